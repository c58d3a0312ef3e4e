//! The ICE agent, sans-IO (RFC 8445): finds a path between two peers behind whatever is between them, and keeps watch on it.
//!
//! * Host, server-reflexive, peer-reflexive and relayed candidates over UDP, host candidates over TCP (RFC 6544);
//!   trickled in any order (RFC 8838); patience
//!   for a peer that names no usable candidate (RFC 8863); consent to send and its freshness (RFC 7675).
//! * Full and lite; restart, during which the traffic goes on over the pair in use; addresses that come and go; renomination.
//! * The agent is told addresses, credentials and candidates, and handed every datagram that arrives; it gives
//!   datagrams to be sent, events, and the next instant at which it wants to be called.
//! * What is not STUN comes back from [`Agent::handle_receive`] as [`Validated`], and only over a path that ICE has validated.
//!
//! One agent serves one component of one data stream: everything of a connection shares it (BUNDLE, rtcp-mux).
//! Names of `.local` are resolved and published by [`Mdns`], which the owner drives beside the agent.
//!
//! Where both ends agree, datagrams of the layer above ride in checks and their answers before there is a path
//! ([`Agent::embed`]), and are given only out of those that prove to be the peer's.
//!
//! There is no TURN here: a relayed address is one more local address, whose datagrams the owner carries through the relay.
//! Not here either: sockets, name resolution.
//!
//! ```
//! # #[allow(clippy::disallowed_methods)]
//! # fn main() {
//! use antiphon_crypto::Provider;
//! use antiphon_ice::{Agent, Config, Event, Role};
//! use antiphon_util::Rng;
//!
//! let provider = Provider::default();
//! let mut agent = Agent::new(Config::new(provider, Role::Controlling), Rng::from_seed(provider.random_seed()));
//! let now = std::time::Instant::now();
//! agent.add_local_address(now, "192.0.2.1:4000".parse().unwrap());
//! agent.end_of_local_addresses(now);
//! while let Some(event) = agent.poll_event() {
//!     if let Event::CandidateGathered(candidate) = event {
//!         println!("tell the peer: {candidate:?} of {}", agent.local_credentials().ufrag);
//!     }
//! }
//! # }
//! ```
//!
//! After that the owner calls [`Agent::handle_receive`] with what its sockets give, [`Agent::handle_timeout`] at the
//! instant of [`Agent::poll_timeout`], and after either sends what [`Agent::poll_transmit`] gives, in any order and as often
//! as it likes.
//!
//! # TCP
//!
//! A path whose protocol is TCP stands for one connection, on which each datagram has its length in front (RFC 4571).
//! The agent never asks for a connection in another way than by a [`Transmit`](antiphon_util::Transmit) on its path:
//!
//! * The local address of an **active** path has port 9. When the agent sends on it first, the owner opens a connection from
//!   any port of that IP address to the remote address, and keeps what is to be sent until it is open. Whatever arrives
//!   on this connection is handed in with that same path, port 9 included.
//! * The local address of a **passive** path is that of the listening socket. The owner hands in what arrives on an
//!   accepted connection with that address and the connection's remote one. The first message there is a check; its
//!   [`Addressee`] is the agent where several share a listener.
//! * For **simultaneous open** the owner binds to the local address, opens a connection to the remote one when the agent
//!   sends first, and takes one that comes from there meanwhile for the same.
//!
//! When a connection has ended or could not be opened, the owner calls [`Agent::handle_connection_closed`]. A later
//! transmit on that path asks for a new connection.

mod addressee;
mod agent;
mod budget;
mod candidate;
mod checklist;
mod config;
mod consent;
mod credentials;
mod embedding;
mod event;
mod gather;
mod interfaces;
mod mdns;
mod nomination;
mod policy;
mod responses;
mod rtt;
mod state;
mod statistics;
mod validated;

pub use addressee::{Addressee, TransactionTag};
pub use agent::{Agent, Standing};
pub use antiphon_stun::{FrameDecoder, FrameError, Framing};
pub use budget::CheckBudget;
pub use candidate::{Candidate, CandidateKind, TcpType};
pub use config::{AddressRewrite, Config, Limits, Role, TransportPolicy};
pub use credentials::Credentials;
pub use embedding::EmbeddedDatagrams;
pub use event::{AddCandidateError, DropReason, Event};
pub use interfaces::{InterfaceAddress, gathering_addresses};
pub use mdns::{MDNS_PORT, Mdns, MdnsDestination, MdnsEvent, MdnsLimits, ResolveError};
pub use policy::{AddressPolicy, InvalidIpRange, IpRange};
pub use state::{GatheringState, IceState};
pub use statistics::{CandidatePairState, CandidatePairStatistics};
pub use validated::Validated;
