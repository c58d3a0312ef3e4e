//! DTLS 1.3 and 1.2, client and server, for WebRTC and by itself; sans-IO.
//!
//! * 1.3: RFC 9147 over RFC 8446, with the hybrid groups X25519MLKEM768 and SecP256r1MLKEM768 where the provider has them.
//! * 1.2: RFC 6347 over RFC 5246, with the extended master secret (RFC 7627, required) and ECDHE (RFC 8422).
//! * Both: X25519, P-256 and P-384, AES-GCM (RFC 5288, RFC 5289) and ChaCha20-Poly1305 (RFC 7905), certificates on both
//!   ends whose fingerprints are compared (RFC 8122), `use_srtp` (RFC 5764), keying material exporters (RFC 5705), connection
//!   ids (RFC 9146) that can be changed in 1.3.
//!
//! A [`Connection`] is handed datagrams ([`Connection::handle_datagram`]) and the time ([`Connection::handle_timeout`]), and
//! asked for datagrams ([`Connection::poll_transmit`]), events ([`Connection::poll_event`]) and the next deadline
//! ([`Connection::poll_timeout`]). Application data is sealed in the caller's buffer ([`Connection::seal_in_place`]) and
//! opened in the received one.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Instant;
//!
//! use antiphon_crypto::{Certificate, HashAlgorithm, Provider};
//! use antiphon_dtls::{Config, Connection, Event};
//! use antiphon_util::Rng;
//!
//! let provider = Provider::default();
//! let rng = || Rng::from_seed(provider.random_seed());
//! let ours = Arc::new(Certificate::generate(provider)?);
//! let theirs = Arc::new(Certificate::generate(provider)?);
//! let fingerprint = |certificate: &Certificate| vec![certificate.fingerprint(HashAlgorithm::Sha256)];
//! let mut client = Connection::client(Config::new(provider, ours.clone(), fingerprint(&theirs)), rng());
//! let mut server = Connection::server(Config::new(provider, theirs.clone(), fingerprint(&ours)), rng());
//!
//! let now = Instant::now();
//! client.start(now, None);
//! server.start(now, None);
//! while !(client.is_connected() && server.is_connected()) {
//!     let mut datagram = Vec::new();
//!     while client.poll_transmit(now, &mut datagram).is_some() {
//!         server.handle_datagram(now, &mut std::mem::take(&mut datagram), |_| {});
//!     }
//!     while server.poll_transmit(now, &mut datagram).is_some() {
//!         client.handle_datagram(now, &mut std::mem::take(&mut datagram), |_| {});
//!     }
//! }
//! assert_eq!(client.poll_event(), Some(Event::Connected));
//!
//! let mut record = vec![0; client.headroom()];
//! record.extend_from_slice(b"hello");
//! client.seal_in_place(&mut record, 0)?;
//! server.handle_datagram(now, &mut record, |plaintext| assert_eq!(&*plaintext, b"hello"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! It knows no addresses: inside WebRTC it is given only what came over a path that ICE has validated; by itself a server
//! demands a cookie first, and a [`Gate`] does so for any number of clients without remembering them. Chains of certificates are
//! judged by the [`ChainVerifier`] that one is given, where fingerprints are not what is compared. It resumes no sessions,
//! refuses renegotiation, knows no pre-shared keys and has no early data.

mod acks;
#[cfg(test)]
mod capture13_test;
#[cfg(test)]
mod capture_test;
mod client;
mod client12;
mod client13;
mod config;
mod connection;
mod connection_ids;
mod cookie;
mod core;
mod error;
mod flight;
mod gate;
mod handshake13;
mod key_log;
mod key_update;
mod keys12;
mod message;
mod pieces;
mod post_handshake;
mod reassembly;
mod receiving;
mod record;
mod registry;
mod schedule;
mod secrets;
mod server;
mod server12;
mod server13;
mod transcript;
#[cfg(test)]
mod violations_test;

pub use config::{ChainVerifier, Config, CookieExchange, Limits, PeerAuthentication, Timing};
pub use connection::{Connection, Event, KeyUpdate, Plaintext};
pub use connection_ids::ConnectionIdUsage;
pub use error::{Alert, CloseReason, DropReason, ExportError, HandshakeError, SealError};
pub use gate::Gate;
pub use key_log::KeyLog;
pub use registry::{CipherSuite, SrtpProfile, Version};
