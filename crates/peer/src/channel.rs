//! One data channel.

use std::fmt;
use std::time::Duration;

use antiphon_sctp::{Reliability, StreamId};

use crate::{CreateDataChannelError, Message};

/// A channel of one connection; never used for another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChannelId(pub(crate) u64);

impl fmt::Display for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How a channel is made (W3C `RTCDataChannelInit`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataChannelInit {
    /// Whether messages arrive in the order in which they were sent; default true.
    pub ordered: bool,
    /// How long delivery of a message is tried; in whole milliseconds on the wire.
    pub max_packet_life_time: Option<Duration>,
    /// How often a part of a message is sent again.
    pub max_retransmits: Option<u16>,
    /// The protocol spoken on it, by name.
    pub protocol: String,
    /// Whether the other side makes the channel with the same id, in place of being told in band.
    pub negotiated: bool,
    /// The id of a negotiated channel; those opened in band have theirs chosen, whatever stands here.
    pub id: Option<u16>,
    /// The share of the connection that its messages get while others wait, too; default low.
    pub priority: Priority,
}

impl Default for DataChannelInit {
    fn default() -> Self {
        Self {
            ordered: true,
            max_packet_life_time: None,
            max_retransmits: None,
            protocol: String::new(),
            negotiated: false,
            id: None,
            priority: Priority::default(),
        }
    }
}

/// How a channel stands to the others of its connection (W3C `RTCPriorityType`): each has twice the share of the one
/// below it, as far as it uses it. The order is that of the shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Priority {
    /// Below normal (RFC 8831 §6.4).
    VeryLow,
    /// Normal.
    #[default]
    Low,
    /// High.
    Medium,
    /// Extra high.
    High,
}

impl Priority {
    /// The value on the wire (RFC 8832 §5.1), which is the weight of the stream, too (RFC 8831 §6.4).
    pub(crate) fn value(self) -> u16 {
        match self {
            Self::VeryLow => 128,
            Self::Low => 256,
            Self::Medium => 512,
            Self::High => 1_024,
        }
    }

    /// The priority that a value on the wire stands for (W3C webrtc-priority §4.1).
    pub(crate) fn of(value: u16) -> Self {
        match value {
            0..=128 => Self::VeryLow,
            129..=256 => Self::Low,
            257..=512 => Self::Medium,
            513.. => Self::High,
        }
    }
}

impl DataChannelInit {
    pub(crate) fn reliability(&self) -> Result<Reliability, CreateDataChannelError> {
        match (self.max_packet_life_time, self.max_retransmits) {
            (Some(_), Some(_)) => Err(CreateDataChannelError::TwoReliabilities),
            (Some(time), None) => Ok(Reliability::MaxLifetime(time)),
            (None, Some(count)) => Ok(Reliability::MaxRetransmits(count)),
            (None, None) => Ok(Reliability::Reliable),
        }
    }
}

/// How far a channel is (W3C `RTCDataChannelState`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReadyState {
    /// It waits for the connection.
    Connecting,
    /// It can be used.
    Open,
    /// One side has closed it.
    Closing,
    /// It is closed.
    Closed,
}

/// Where a channel stands.
///
/// ```text
/// Connecting -> Open -> Closing -> Closed
///      |          +--------------^    ^
///      +-------------------------------+
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Connecting,
    Open {
        /// The peer has answered, so that messages may overtake the one that opened it (RFC 8832 §6).
        acknowledged: bool,
    },
    Closing(Closing),
    /// With the whole association; what was received can still be read.
    Closed,
}

/// How far the reset of both directions is (RFC 8831 §6.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Closing {
    pub(crate) ours: OwnReset,
    pub(crate) peers_done: bool,
    /// The peer, knowing both directions to be reset before we do, has opened and closed the next channel on the
    /// stream already.
    pub(crate) next_closed: bool,
    /// We closed it, so that what still arrives is of no interest.
    pub(crate) discards: bool,
}

/// The reset of our direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OwnReset {
    /// Held up until what the peer sent has been read.
    Held,
    Requested,
    Done,
}

/// A data channel.
#[derive(Debug)]
pub struct Channel {
    pub(crate) label: String,
    pub(crate) protocol: String,
    pub(crate) ordered: bool,
    pub(crate) reliability: Reliability,
    pub(crate) negotiated: bool,
    pub(crate) stream: Option<StreamId>,
    pub(crate) priority: Priority,
    pub(crate) state: State,
    pub(crate) low_threshold: usize,
    /// A message that was read to look at what comes next.
    pub(crate) ahead: Option<Message>,
    pub(crate) statistics: ChannelStatistics,
}

/// What passed through a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ChannelStatistics {
    /// Messages accepted for sending.
    pub messages_sent: u64,
    /// Bytes of those.
    pub bytes_sent: u64,
    /// Messages received by the application.
    pub messages_received: u64,
    /// Bytes of those.
    pub bytes_received: u64,
}

impl Closing {
    /// We close.
    pub(crate) fn by_us() -> Self {
        Self { ours: OwnReset::Held, peers_done: false, next_closed: false, discards: true }
    }

    /// The peer has closed.
    pub(crate) fn by_peer() -> Self {
        Self { ours: OwnReset::Held, peers_done: true, next_closed: false, discards: false }
    }
}

impl Channel {
    /// The label.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The protocol spoken on it.
    pub fn protocol(&self) -> &str {
        &self.protocol
    }

    /// The id, once it is known.
    pub fn id(&self) -> Option<u16> {
        self.stream.map(|stream| stream.0)
    }

    /// Whether messages arrive in the order in which they were sent.
    pub fn ordered(&self) -> bool {
        self.ordered
    }

    /// How long delivery of a message is tried.
    pub fn max_packet_life_time(&self) -> Option<Duration> {
        match self.reliability {
            Reliability::MaxLifetime(time) => Some(time),
            _ => None,
        }
    }

    /// How often a part of a message is sent again.
    pub fn max_retransmits(&self) -> Option<u16> {
        match self.reliability {
            Reliability::MaxRetransmits(count) => Some(count),
            _ => None,
        }
    }

    /// Whether it was made on both sides rather than in band.
    pub fn negotiated(&self) -> bool {
        self.negotiated
    }

    /// How it stands to the other channels.
    pub fn priority(&self) -> Priority {
        self.priority
    }

    /// How far it is.
    pub fn ready_state(&self) -> ReadyState {
        match self.state {
            State::Connecting => ReadyState::Connecting,
            State::Open { .. } => ReadyState::Open,
            State::Closing(_) => ReadyState::Closing,
            State::Closed => ReadyState::Closed,
        }
    }

    /// The buffered amount at and below which an event tells so, in bytes.
    pub fn buffered_amount_low_threshold(&self) -> usize {
        self.low_threshold
    }

    /// What passed through it.
    pub fn statistics(&self) -> ChannelStatistics {
        self.statistics
    }
}
