//! What can go wrong, one small enum a command; each names the exception that a browser would raise.

use std::io;

use antiphon_peer::ErrorName;

/// A URL in [`IceServer::urls`](crate::IceServer) is not usable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IceServerError {
    /// It is malformed.
    #[error("invalid ICE server URL: {0}")]
    Syntax(String),
    /// It is well-formed, but its scheme is not supported.
    #[error("unsupported ICE server URL: {0}")]
    NotSupported(String),
    /// It is a TURN server's, and user name or credential are missing or not usable.
    #[error("no usable credentials for ICE server: {0}")]
    Credentials(String),
}

impl IceServerError {
    /// The name of the W3C exception.
    pub fn name(&self) -> ErrorName {
        match self {
            Self::Syntax(_) => ErrorName::SyntaxError,
            Self::NotSupported(_) => ErrorName::NotSupportedError,
            Self::Credentials(_) => ErrorName::InvalidAccessError,
        }
    }
}

/// A connection could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigurationError {
    /// A server's URL is not usable.
    #[error(transparent)]
    IceServer(#[from] IceServerError),
    /// The addresses of the machine could not be listed.
    #[error("cannot list the addresses of this machine: {0}")]
    Interfaces(#[source] io::Error),
    /// Not one address could be bound.
    #[error("cannot bind a socket: {0}")]
    Bind(#[source] io::Error),
    /// The machine has no address.
    #[error("this machine has no address to bind to")]
    NoAddress,
    /// The peer refuses the configuration.
    #[error(transparent)]
    Peer(#[from] antiphon_peer::ConfigurationError),
}

impl ConfigurationError {
    /// The name of the W3C exception.
    pub fn name(&self) -> ErrorName {
        match self {
            Self::IceServer(error) => error.name(),
            Self::Interfaces(_) | Self::Bind(_) | Self::NoAddress | Self::Peer(_) => {
                ErrorName::OperationError
            }
        }
    }
}

/// The connection ended before it came to what was waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectionError {
    /// It was closed, here or by the peer.
    #[error("connection closed")]
    Closed,
    /// The peer can't be reached.
    #[error("connection failed")]
    Failed,
}

impl ConnectionError {
    /// The name of the W3C exception.
    pub fn name(&self) -> ErrorName {
        match self {
            Self::Closed => ErrorName::InvalidStateError,
            Self::Failed => ErrorName::OperationError,
        }
    }
}

/// Not all that was accepted could be delivered before the connection was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShutdownError {
    /// It was closed first, here or by the peer, so that nobody knows what was delivered.
    #[error("connection closed before everything was known to be delivered")]
    Closed,
    /// The peer can't be reached.
    #[error("connection failed before everything was delivered")]
    Failed,
    /// It took longer than [`Configuration::shutdown_timeout`](crate::Configuration).
    #[error("not everything could be delivered in time")]
    TimedOut,
}

impl ShutdownError {
    /// The name of the W3C exception.
    pub fn name(&self) -> ErrorName {
        match self {
            Self::Closed => ErrorName::InvalidStateError,
            Self::Failed | Self::TimedOut => ErrorName::OperationError,
        }
    }
}

/// A message was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The channel is not open yet; [`DataChannel::send`](crate::DataChannel::send) waits in place of this.
    #[error("channel not open yet")]
    NotOpen,
    /// The channel is closing or closed.
    #[error("channel closed")]
    Closed,
    /// The peer can't be reached.
    #[error("connection failed")]
    Failed,
    /// The message is larger than the peer accepts.
    #[error("message larger than the {limit} bytes that the peer accepts")]
    TooLarge {
        /// The largest size, in bytes.
        limit: usize,
    },
    /// Too much is queued; [`DataChannel::send`](crate::DataChannel::send) waits in place of this.
    #[error("send buffer full")]
    Full,
}

impl SendError {
    /// The name of the W3C exception.
    pub fn name(&self) -> ErrorName {
        match self {
            Self::NotOpen | Self::Closed => ErrorName::InvalidStateError,
            Self::TooLarge { .. } => ErrorName::TypeError,
            Self::Failed | Self::Full => ErrorName::OperationError,
        }
    }
}

/// No message will come any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecvError {
    /// The channel is closed and every message of it was received.
    #[error("channel closed")]
    Closed,
    /// The peer can't be reached.
    #[error("connection failed")]
    Failed,
}

impl RecvError {
    /// The name of the W3C exception.
    pub fn name(&self) -> ErrorName {
        match self {
            Self::Closed => ErrorName::InvalidStateError,
            Self::Failed => ErrorName::OperationError,
        }
    }
}

impl From<antiphon_peer::SendError> for SendError {
    fn from(error: antiphon_peer::SendError) -> Self {
        match error {
            antiphon_peer::SendError::TooLarge { limit } => Self::TooLarge { limit },
            antiphon_peer::SendError::Full => Self::Full,
            _ => Self::Closed,
        }
    }
}

impl From<SendError> for io::Error {
    fn from(error: SendError) -> Self {
        let kind = match error {
            SendError::NotOpen => io::ErrorKind::NotConnected,
            SendError::Closed => io::ErrorKind::BrokenPipe,
            SendError::Failed => io::ErrorKind::ConnectionAborted,
            SendError::TooLarge { .. } => io::ErrorKind::InvalidInput,
            SendError::Full => io::ErrorKind::WouldBlock,
        };
        Self::new(kind, error)
    }
}

impl From<RecvError> for io::Error {
    fn from(error: RecvError) -> Self {
        let kind = match error {
            RecvError::Closed => io::ErrorKind::UnexpectedEof,
            RecvError::Failed => io::ErrorKind::ConnectionAborted,
        };
        Self::new(kind, error)
    }
}
