//! A native WebRTC peer for tokio: the W3C's `RTCPeerConnection` and `RTCDataChannel` as `async` Rust.
//!
//! Two peers exchange descriptions through whatever connects them already (a web server, a message queue, a terminal), and
//! from then on talk directly, encrypted, over UDP. Here both live in one program:
//!
//! ```
//! use antiphon::{Configuration, DataChannelInit, Message, PeerConnection};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let alice = PeerConnection::new(Configuration::default()).await?;
//! let bob = PeerConnection::new(Configuration::default()).await?;
//! let channel = alice.create_data_channel("chat", DataChannelInit::default())?;
//!
//! alice.set_local_description(None).await?; // makes the offer
//! alice.gathering_complete().await?;
//! bob.set_remote_description(alice.local_description().ok_or("no offer")?).await?;
//! bob.set_local_description(None).await?; // makes the answer
//! bob.gathering_complete().await?;
//! alice.set_remote_description(bob.local_description().ok_or("no answer")?).await?;
//!
//! channel.send("Hello, Bob!").await?; // waits until the channel is open
//! let incoming = bob.accept_data_channel().await?;
//! assert_eq!(incoming.recv().await?, Message::from("Hello, Bob!"));
//! # Ok(())
//! # }
//! ```
//!
//! # How it works
//!
//! * [`PeerConnection`] and [`DataChannel`] are handles: cheap to clone, and calls on them are ordinary calls under the one
//!   lock of the connection. One task per connection moves datagrams; no code of yours runs on it, and there are no callbacks.
//! * Events are a stream ([`PeerConnection::next_event`]), states are accessors, and waiting is a future
//!   ([`PeerConnection::connected`], [`DataChannel::opened`] …).
//! * [`DataChannel::send`] waits where the peer or the network can't keep up, and a reader that stops holds the sender
//!   back, so that memory stays bounded. [`DataChannel::into_stream`] gives `AsyncRead` and `AsyncWrite`.
//! * A connection has sockets of its own, or shares those of an [`Endpoint`] with thousands of others.
//! * [`PeerConnection::close`] ends a connection at once and tells the peer, as does the drop of the last handle;
//!   [`PeerConnection::shutdown`] first delivers what was accepted.
//! * Each error is a small enum of what its command can run into, and its `name()` is that of the W3C's exception.
//!
//! Names and behaviour follow W3C webrtc-pc; the protocols are in the crates below: [`antiphon_peer`] is the same connection
//! without sockets, clock and tasks, for servers that bring their own.
//!
//! # What it leaves out
//!
//! Media, and simultaneous open of TCP, which RFC 6544 §4.1 leaves to the implementation: firewalls that pass it are rare,
//! and a relay serves where neither end can be reached.

mod buffers;
mod channel;
mod clock;
mod configuration;
mod connection;
mod driver;
mod endpoint;
mod error;
mod events;
mod ice_server;
mod interfaces;
mod multicast;
mod network;
mod own_sockets;
mod shared;
mod socket;
mod srv;
mod stream;
mod tcp;
pub mod turn;

pub use antiphon_peer::{
    AddIceCandidateError, AddressPolicy, AddressRewrite, Candidate, CandidateKind, CandidatePairState,
    CandidatePairStatistics, Certificate, CheckBudget, Congestion, CongestionControl, ConnectionState,
    Consent, CreateDataChannelError, CreateDescriptionError, DataChannelInit, DtlsState, ErrorName,
    IceCandidate, IceConfiguration, IceConnectionState, IceGatheringState, IceTransportPolicy, IpRange,
    Limits, MdnsLimits, Message, OfferOptions, Priority, Provider, ReadyState, SdpType, SessionDescription,
    SetDescriptionError, SignalingState, Statistics,
};
pub use bytes::Bytes;
pub use channel::DataChannel;
pub use configuration::{Builder, Configuration};
pub use connection::PeerConnection;
pub use endpoint::{Endpoint, EndpointBuilder, EndpointConfiguration, EndpointLimits, EndpointStatistics};
pub use error::{ConfigurationError, ConnectionError, IceServerError, RecvError, SendError, ShutdownError};
pub use events::{Event, Events, IceCandidateError};
pub use ice_server::IceServer;
pub use network::{AddressFilter, Network, Tcp};
pub use stream::DataChannelStream;
pub use turn::TlsRoots;

/// The program of the README is compiled and run as a test.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
