//! What the user of an association hands in and gets back.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

/// A stream of an association: one direction of it is ours, the other the peer's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub u16);

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a message's payload is, as its user defines it (RFC 9260 §3.3.1); not looked at here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PayloadProtocolId(pub u32);

/// How hard the association tries to deliver a message (RFC 3758, RFC 7496).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reliability {
    /// Until it is delivered or the association ends.
    #[default]
    Reliable,
    /// Each of its chunks is retransmitted at most so often.
    MaxRetransmits(u16),
    /// It is not sent, and not sent again, after so long.
    MaxLifetime(Duration),
}

/// How a message is to be delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SendOptions {
    /// Whether it keeps its place among the ordered messages of its stream.
    pub ordered: bool,
    /// How hard to try.
    pub reliability: Reliability,
}

impl Default for SendOptions {
    /// Ordered and reliable.
    fn default() -> Self {
        Self { ordered: true, reliability: Reliability::Reliable }
    }
}

/// A message, whole.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// The stream it travels on.
    pub stream: StreamId,
    /// What the payload is.
    pub ppid: PayloadProtocolId,
    /// The user's bytes; at least one (RFC 9260 §3.3.1).
    pub payload: Bytes,
}

/// Prints the length of the payload, not its bytes.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("stream", &self.stream.0)
            .field("ppid", &self.ppid.0)
            .field("len", &self.payload.len())
            .finish()
    }
}
