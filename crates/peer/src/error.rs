//! What commands refuse, each operation with its own few reasons, and the name that a browser gives to each.

use std::fmt;

use antiphon_sdp as sdp;

use crate::{SdpType, SignalingState};

/// The name of the exception that a browser raises for an error (W3C webrtc-pc, WebIDL).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorName {
    /// A value that does not fit the session.
    InvalidAccessError,
    /// A description was changed where it must not be.
    InvalidModificationError,
    /// The call does not fit the state.
    InvalidStateError,
    /// It is well-formed, but nothing we can do.
    NotSupportedError,
    /// It could not be done.
    OperationError,
    /// It is malformed.
    SyntaxError,
    /// An argument is out of its range.
    TypeError,
}

impl fmt::Display for ErrorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Why a connection can't be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigurationError {
    /// No certificate was given and none could be made.
    #[error("no certificate: {0}")]
    Certificate(#[from] antiphon_crypto::CertificateError),
}

/// Why no description can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CreateDescriptionError {
    /// The connection is closed.
    #[error("the connection is closed")]
    Closed,
    /// There is no remote offer to answer.
    #[error("there is no remote offer to answer")]
    NoRemoteOffer,
}

impl CreateDescriptionError {
    /// The browser's name for it.
    pub fn name(&self) -> ErrorName {
        ErrorName::InvalidStateError
    }
}

/// Why a description is not set; nothing has changed then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SetDescriptionError {
    /// The connection is closed.
    #[error("the connection is closed")]
    Closed,
    /// A description of this type does not fit the signalling state.
    #[error("{kind:?} in signalling state {state:?}")]
    WrongState {
        /// The state.
        state: SignalingState,
        /// The type.
        kind: SdpType,
    },
    /// The text is not a description.
    #[error("malformed description: {0}")]
    Malformed(#[from] sdp::ParseError),
    /// A local description is not the one that was created.
    #[error("the description is not the one that was created")]
    Modified,
    /// A description could not be made first.
    #[error(transparent)]
    Create(#[from] CreateDescriptionError),
    /// A media section does not fit the session.
    #[error("media section {section}: {reason}")]
    Invalid {
        /// The section, from 0.
        section: usize,
        /// What is wrong with it.
        reason: InvalidSection,
    },
}

impl SetDescriptionError {
    /// The browser's name for it.
    pub fn name(&self) -> ErrorName {
        match self {
            Self::Closed | Self::WrongState { .. } | Self::Create(_) => ErrorName::InvalidStateError,
            Self::Malformed(_) => ErrorName::OperationError,
            Self::Modified => ErrorName::InvalidModificationError,
            Self::Invalid { .. } => ErrorName::InvalidAccessError,
        }
    }
}

/// What is wrong with a media section.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidSection {
    /// `ice-ufrag` or `ice-pwd` is missing.
    #[error("no ice credentials")]
    NoIceCredentials,
    /// There is no fingerprint with a hash function that is strong enough.
    #[error("no usable fingerprint")]
    NoFingerprint,
    /// `setup` is missing, or is not an answer to the offer's.
    #[error("no usable setup attribute")]
    Setup,
    /// Sections were added to, removed from or changed in an answer.
    #[error("the sections are not those of the offer")]
    NotTheOffered,
    /// Sections were removed or changed in a later offer.
    #[error("the sections are not those of the session")]
    NotTheSessions,
    /// The ICE credentials changed in an answer to an offer that did not restart ICE, or stayed in one to an offer that did.
    #[error("the ice credentials of the answer do not fit the offer")]
    IceRestart,
    /// The fingerprints changed, which is not supported.
    #[error("a change of fingerprints is not supported")]
    FingerprintsChanged,
}

/// Why a candidate is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddIceCandidateError {
    /// The connection is closed.
    #[error("the connection is closed")]
    Closed,
    /// There is no remote description yet.
    #[error("there is no remote description")]
    NoRemoteDescription,
    /// The text is not a candidate.
    #[error("malformed candidate: {0}")]
    Malformed(#[from] sdp::ParseError),
    /// It names no media section.
    #[error("neither identification tag nor line index is given")]
    NoSection,
    /// It names a media section that the remote description does not have.
    #[error("there is no such media section")]
    UnknownSection,
    /// It belongs to other ICE credentials.
    #[error("the user fragment is not that of the remote description")]
    UnknownUfrag,
    /// There are more candidates than the limits allow.
    #[error("too many candidates")]
    TooMany,
}

impl AddIceCandidateError {
    /// The browser's name for it.
    pub fn name(&self) -> ErrorName {
        match self {
            Self::Closed | Self::NoRemoteDescription => ErrorName::InvalidStateError,
            Self::NoSection => ErrorName::TypeError,
            Self::Malformed(_) | Self::UnknownSection | Self::UnknownUfrag | Self::TooMany => {
                ErrorName::OperationError
            }
        }
    }
}

/// Why no data channel is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CreateDataChannelError {
    /// The connection is closed.
    #[error("the connection is closed")]
    Closed,
    /// The label is longer than 65,535 bytes, or than the limits allow.
    #[error("the label is too long")]
    LabelTooLong,
    /// The protocol is longer than 65,535 bytes, or than the limits allow.
    #[error("the protocol is too long")]
    ProtocolTooLong,
    /// Both a lifetime and a count of retransmissions are given.
    #[error("both a lifetime and a count of retransmissions are given")]
    TwoReliabilities,
    /// A channel negotiated outside needs its id.
    #[error("a negotiated channel needs an id")]
    NoId,
    /// The id is 65,535, or beyond the streams of the association.
    #[error("the id is beyond the streams of the association")]
    InvalidId,
    /// Another channel has the id.
    #[error("the id is in use")]
    IdInUse,
    /// All ids of our role are in use.
    #[error("no id is left")]
    NoIdLeft,
    /// There are as many channels as the limits allow.
    #[error("too many channels")]
    TooMany,
}

impl CreateDataChannelError {
    /// The browser's name for it.
    pub fn name(&self) -> ErrorName {
        match self {
            Self::Closed => ErrorName::InvalidStateError,
            Self::LabelTooLong | Self::ProtocolTooLong | Self::TwoReliabilities | Self::NoId => {
                ErrorName::TypeError
            }
            Self::InvalidId | Self::IdInUse | Self::NoIdLeft | Self::TooMany => ErrorName::OperationError,
        }
    }
}

/// Why a message is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The channel is not open.
    #[error("the channel is not open")]
    NotOpen,
    /// The message is larger than the peer takes.
    #[error("the message is larger than the {limit} bytes that the peer takes")]
    TooLarge {
        /// The largest size, in bytes.
        limit: usize,
    },
    /// Too much waits already; [`Event::Writable`](crate::Event::Writable) tells when to try again.
    #[error("the send buffer is full")]
    Full,
}

impl SendError {
    /// The browser's name for it.
    pub fn name(&self) -> ErrorName {
        match self {
            Self::NotOpen => ErrorName::InvalidStateError,
            Self::TooLarge { .. } => ErrorName::TypeError,
            Self::Full => ErrorName::OperationError,
        }
    }
}
