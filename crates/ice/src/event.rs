//! What an agent tells its owner.

use antiphon_util::Path;

use crate::{Candidate, GatheringState, IceState, Role};

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A local candidate, to be told to the peer.
    CandidateGathered(Candidate),
    /// A local candidate that was told is no more, as its address was removed.
    CandidateRemoved(Candidate),
    /// Gathering has begun or ended.
    GatheringStateChanged(GatheringState),
    /// The state has changed.
    StateChanged(IceState),
    /// Datagrams go another way now.
    SelectedPathChanged(Path),
    /// A conflict has changed our role (RFC 8445 §7.3.1.1).
    RoleChanged(Role),
}

/// Why a datagram was dropped or had less effect than it asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DropReason {
    /// It arrived when the agent was closed or had failed.
    Ended,
    /// It looks like STUN and is none, or its fingerprint is wrong.
    Malformed,
    /// A STUN message of a kind that ICE does not use.
    Unexpected,
    /// It is no STUN and came over a path that is not validated.
    NotValidated,
    /// It arrived at an address that is none of ours.
    UnknownLocalAddress,
    /// A check lacks a mandatory attribute, or carries one that has to be understood and is not.
    BadRequest,
    /// A check is not made with our credentials, or not from the peer's.
    Unauthenticated,
    /// [`Config::remote_addresses`](crate::Config::remote_addresses) denies the address that it came from.
    NotPermitted,
    /// A check was not sent, as its address has not answered too many ([`CheckBudget`](crate::CheckBudget)).
    CheckBudget,
    /// Both ends claimed the same role.
    RoleConflict,
    /// A response answers no request of ours.
    UnknownTransaction,
    /// A response is not made with the peer's password.
    BadResponseIntegrity,
    /// A response came over another path than its request went.
    AsymmetricResponse,
    /// The peer refused a check.
    Refused,
    /// [`Limits::peer_reflexive_candidates`](crate::Limits::peer_reflexive_candidates) is reached.
    PeerReflexiveLimit,
    /// [`Limits::pairs`](crate::Limits::pairs) is reached.
    PairLimit,
    /// [`Limits::early_checks`](crate::Limits::early_checks) is reached.
    EarlyCheckLimit,
    /// [`Limits::queued_responses`](crate::Limits::queued_responses) is reached.
    ResponseLimit,
    /// [`Limits::errors_per_second`](crate::Limits::errors_per_second) is reached.
    ErrorLimit,
    /// [`Limits::embedded_datagrams`](crate::Limits::embedded_datagrams) is reached.
    EmbeddedLimit,
}

/// Why a remote candidate is not used; nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddCandidateError {
    /// Only component 1 is used, since RTP and RTCP share it.
    #[error("candidate is of a component that is not used")]
    Component,
    /// Over TCP without a TCP type, or over UDP with one.
    #[error("candidate's protocol and TCP type do not fit")]
    Protocol,
    /// [`Config::remote_addresses`](crate::Config::remote_addresses) denies its address.
    #[error("candidate has an address that is not permitted")]
    NotPermitted,
    /// Port 0, or an unspecified, multicast or broadcast address.
    #[error("candidate has an address that nothing can be sent to")]
    Address,
    /// [`Limits::remote_candidates`](crate::Limits::remote_candidates) is reached.
    #[error("too many remote candidates")]
    TooMany,
    /// The agent is closed or has failed.
    #[error("agent has ended")]
    Ended,
}
