//! TURN, client and server, sans-IO (RFC 8656): an address on a relay, for peers that no other way reaches.
//!
//! * [`client::Client`] is one allocation on one server, from the first request to the end: authentication with long-term
//!   credentials (MD5 and SHA-256), refresh, permissions, Send and Data indications, channels, IPv4 and IPv6, even ports and
//!   reservations, mobility (RFC 8016) and TCP allocations (RFC 6062).
//! * [`server::Server`] serves many clients: it answers STUN binding requests, authenticates, makes allocations, relays in runs,
//!   and keeps every count within its [`server::Limits`]. It relays to no address that only the server reaches.
//!
//! Both are handed what arrives and what time it is, and asked what to send: over UDP a datagram at a time, over a stream
//! a frame at a time, as [`antiphon_stun::FrameDecoder`] cuts it. Sockets, TLS, DTLS and name resolution are the owner's, as is the
//! choice among several servers.
//!
//! ```
//! use std::time::Instant;
//! use antiphon_crypto::Provider;
//! use antiphon_stun::Credential;
//! use antiphon_turn::client::{Client, Config, Event};
//! use antiphon_util::{Path, Rng};
//!
//! # #[allow(clippy::disallowed_methods)]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let provider = Provider::default();
//! let path = Path::udp("192.0.2.1:4000".parse().unwrap(), "192.0.2.9:3478".parse().unwrap());
//! let credential = Credential::new("user", "password")?;
//! let rng = Rng::from_seed(provider.random_seed());
//! let mut client = Client::new(Instant::now(), Config::new(provider), credential, rng, path);
//! let mut buf = Vec::new();
//! let transmit = client.poll_transmit(Instant::now(), &mut buf).expect("an Allocate request");
//! assert_eq!(transmit.path, path);
//! while let Some(event) = client.poll_event() {
//!     if let Event::Allocated(allocated) = event {
//!         println!("relayed from {:?}", allocated.relayed);
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What it leaves out
//!
//! Third-party authorization (RFC 7635), anonymous user names (USERHASH), ICMP errors of peers (they are not told to clients), and
//! the copying of ECN, DSCP and hop limits between the two sides of the relay. DONT-FRAGMENT is accepted: that datagrams leave with
//! DF is the part of who owns the sockets.

mod channel;
pub mod client;
pub mod server;
mod time_limited;

pub use channel::{CHANNEL_HEADER_LEN, is_channel_data};
pub use time_limited::time_limited_password;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
