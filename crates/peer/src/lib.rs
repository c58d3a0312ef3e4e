//! The sans-IO WebRTC peer connection: signalling, one bundle of transports, data channels.
//!
//! [`PeerConnection`] ties ICE, DTLS and SCTP together as JSEP (RFC 8829) and the W3C's `RTCPeerConnection` have it:
//! offers and answers with one data section (RFC 8841), candidates trickled (RFC 8838) or in the description,
//! demultiplexing (RFC 7983), data channels (RFC 8831) opened in band (RFC 8832) or negotiated outside.
//!
//! # How to drive it
//!
//! It has no sockets, no clock and no tasks. Its owner calls, in any order and any number of times:
//!
//! * [`PeerConnection::handle_receive`] with each datagram, [`PeerConnection::handle_timeout`] when
//!   [`PeerConnection::poll_timeout`] is due,
//! * [`PeerConnection::poll_transmit`] until it gives `None`, after a burst of input has been handled: what it appends
//!   is a datagram, or a run of datagrams of one size that one system call can send,
//! * [`PeerConnection::poll_event`] for what happened, and [`PeerConnection::receive`] for messages.
//!
//! ```
//! use antiphon_peer::{Configuration, DataChannelInit, PeerConnection};
//! # use std::time::Instant;
//! # #[allow(clippy::disallowed_methods)]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let now = Instant::now();
//! let mut alice = PeerConnection::new(now, Configuration::default(), [1; 32])?;
//! let mut bob = PeerConnection::new(now, Configuration::default(), [2; 32])?;
//! alice.add_local_address(now, "192.0.2.1:4000".parse()?);
//! bob.add_local_address(now, "192.0.2.2:4000".parse()?);
//!
//! let channel = alice.create_data_channel(now, "chat", DataChannelInit::default())?;
//! alice.set_local_description(now, None)?;
//! bob.set_remote_description(now, alice.local_description().ok_or("no offer")?)?;
//! bob.set_local_description(now, None)?;
//! alice.set_remote_description(now, bob.local_description().ok_or("no answer")?)?;
//! // From here on their datagrams have to be carried, and `alice.send(now, channel, "hello".into())` can be called
//! // after `Event::ChannelOpen(channel)`.
//! # let _ = channel;
//! # Ok(())
//! # }
//! ```
//!
//! # What it leaves out
//!
//! Media: sections for audio and video are rejected in answers. TURN.
//! Sockets, name resolution and `async` are those of the crate `antiphon`.

mod candidate;
mod channel;
mod channel_api;
mod channels;
mod configuration;
mod connection;
pub mod dcep;
mod description;
mod error;
mod event;
mod message;
mod names;
mod negotiation;
mod section;
mod signaling;
mod signaling_api;
mod state;
mod statistics;
mod transport;

pub use antiphon_crypto::{Certificate, Provider};
pub use antiphon_ice::{
    AddressPolicy, AddressRewrite, Addressee, Candidate, CandidateKind, CandidatePairState,
    CandidatePairStatistics, CheckBudget, FrameDecoder, FrameError, Framing,
    GatheringState as IceGatheringState, IceState as IceConnectionState, InterfaceAddress, IpRange,
    MDNS_PORT, MdnsDestination, MdnsLimits, Standing, TcpType, TransactionTag,
    TransportPolicy as IceTransportPolicy, gathering_addresses,
};
pub use antiphon_sctp::{Congestion, CongestionControl};
pub use candidate::IceCandidate;
pub use channel::{Channel, ChannelId, ChannelStatistics, DataChannelInit, Priority, ReadyState};
pub use configuration::{Configuration, Consent, IceConfiguration, Limits};
pub use connection::PeerConnection;
pub use description::{OfferOptions, SdpType, SessionDescription};
pub use error::{
    AddIceCandidateError, ConfigurationError, CreateDataChannelError, CreateDescriptionError, ErrorName,
    InvalidSection, SendError, SetDescriptionError,
};
pub use event::Event;
pub use message::{Message, Utf8Bytes};
pub use signaling::SignalingState;
pub use state::ConnectionState;
pub use statistics::{DropReason, Statistics};
pub use transport::DtlsState;
