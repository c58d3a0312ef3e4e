//! What a client tells its owner.

use std::net::SocketAddr;
use std::time::Duration;

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The server relays for us.
    Allocated(Allocated),
    /// The server does not relay for us, or no longer; the client has ended.
    Failed(Failure),
    /// The server does not let this peer in; what is sent to it is dropped for a while.
    PeerRefused {
        /// The peer.
        peer: SocketAddr,
        /// Why.
        refusal: Refusal,
    },
    /// A connection to a peer awaits [`Client::bind_connection`](super::Client::bind_connection) (RFC 6062).
    ConnectionReady {
        /// Names it to the server.
        id: u32,
        /// The peer.
        peer: SocketAddr,
    },
    /// The relay could not connect to the peer (RFC 6062).
    ConnectionFailed {
        /// The peer.
        peer: SocketAddr,
        /// Why.
        refusal: Refusal,
    },
    /// The allocation serves our new address (RFC 8016).
    Moved,
    /// The allocation is deleted, as [`Client::close`](super::Client::close) asked; the client has ended.
    Closed,
}

/// An allocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allocated {
    /// Our addresses on the relay, one of each family at most.
    pub relayed: Vec<SocketAddr>,
    /// Where the server sees us.
    pub mapped: SocketAddr,
    /// How long it lives; the client refreshes it.
    pub lifetime: Duration,
    /// Names the port that is kept, where [`EvenPort::ReserveNext`](super::EvenPort) was asked for.
    pub reservation: Option<[u8; 8]>,
    /// Why there is no address of the second family, where both were asked for.
    pub missing: Option<Refusal>,
    /// Whether it can move to another address of ours.
    pub mobile: bool,
}

/// Why the server does not relay for us.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// No answer came.
    #[error("TURN server does not answer")]
    TimedOut,
    /// The server refused.
    #[error("TURN server refuses: {0}")]
    Refused(Refusal),
    /// Another server is to be asked, with a client of its own (RFC 8489 §10).
    #[error("TURN server names another: {address}")]
    Alternate {
        /// Where it is.
        address: SocketAddr,
        /// The name in its certificate, where it differs.
        domain: Option<String>,
    },
    /// What the server offers is weaker than what it claims to have offered, or than it offered before (RFC 8489 §9.2.1).
    #[error("somebody on the path weakens the authentication")]
    BidDown,
    /// An answer lacks what it must have.
    #[error("TURN server gives an unusable answer")]
    Malformed,
    /// The stream to the server has ended.
    #[error("connection to the TURN server lost")]
    Disconnected,
}

/// An error that the server answered with (RFC 8489 §14.8).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code} {reason}")]
pub struct Refusal {
    /// 300 to 699: 401 wrong credentials, 403 forbidden, 437 allocation mismatch, 440 no such address family,
    /// 441 credentials of somebody else, 442 transport not supported, 443 family of the peer, 486 quota reached,
    /// 508 no capacity …
    pub code: u16,
    /// For people.
    pub reason: String,
}

/// Why something was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DropReason {
    /// It came from elsewhere than the server.
    NotFromServer,
    /// It is neither STUN nor ChannelData, or a length contradicts another.
    Malformed,
    /// An attribute has to be understood and is not.
    UnknownAttribute,
    /// A response answers no request of ours.
    UnknownTransaction,
    /// A response is not made with our key, or not protected at all.
    BadIntegrity,
    /// Data of a channel that is not bound.
    UnknownChannel,
    /// Data of a peer that has no permission.
    NoPermission,
    /// [`Limits::waiting_bytes`](super::Limits::waiting_bytes) is reached.
    WaitingLimit,
    /// [`Limits::peers`](super::Limits::peers) is reached.
    PeerLimit,
    /// The server refused the peer.
    PeerRefused,
    /// [`Limits::connections`](super::Limits::connections) is reached.
    ConnectionLimit,
    /// There is no allocation, or none of the peer's family.
    NoAllocation,
    /// It is too long to be relayed.
    TooLong,
}
