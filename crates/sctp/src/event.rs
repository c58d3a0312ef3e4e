//! What an association reports: events, errors of commands, reasons and counts.

use std::time::Duration;

use crate::StreamId;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The association is established.
    Connected {
        /// Streams on which we may send, from 0.
        outgoing_streams: u16,
        /// Streams on which the peer may send, from 0.
        incoming_streams: u16,
    },
    /// The peer lost its state and started afresh (RFC 9260 §5.2.4.1). What was sent and not acknowledged is lost,
    /// and all streams count from the start.
    Restarted,
    /// A message can be read from a stream that had none. It comes once: read until nothing is left.
    Readable(StreamId),
    /// The buffered amount of the stream fell to its threshold or below.
    BufferedAmountLow(StreamId),
    /// `send` refused a message for lack of room, and there is room again.
    Writable,
    /// The peer ended its direction of these streams; what it sent before can be read.
    IncomingStreamsReset(Vec<StreamId>),
    /// The peer confirmed that our direction of these streams is reset; the ids may be used again.
    OutgoingStreamsReset(Vec<StreamId>),
    /// The peer refused to reset our direction of these streams.
    ResetFailed(Vec<StreamId>),
    /// The association is over; the last event.
    Closed(CloseReason),
}

/// Why an association ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CloseReason {
    /// Shut down in order, by either side.
    Shutdown,
    /// `abort` was called.
    Aborted,
    /// The peer aborted.
    PeerAborted {
        /// First error cause (RFC 9260 §3.3.10), 12 for the peer's user; `None` where it gave none.
        cause: Option<u16>,
        /// The peer's text, where it gave one.
        reason: String,
    },
    /// The peer broke the protocol and was told so by ABORT.
    ProtocolViolation(&'static str),
    /// The peer did not answer while the association was set up.
    ConnectTimedOut,
    /// The peer no longer acknowledges.
    PeerUnreachable,
}

/// Why a message was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The association is over or is being shut down.
    #[error("the association is closed")]
    Closed,
    /// A message of no bytes does not exist in SCTP.
    #[error("the message is empty")]
    Empty,
    /// The message is larger than the peer takes.
    #[error("the message is larger than {limit} bytes")]
    TooLarge {
        /// Largest size, in bytes.
        limit: usize,
    },
    /// The peer does not have this stream.
    #[error("the stream id is beyond those negotiated")]
    InvalidStream,
    /// Too much waits already; [`Event::Writable`] tells when to try again.
    #[error("the send buffer is full")]
    Full,
}

/// Why streams cannot be reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ResetError {
    /// The association is over or is being shut down.
    #[error("the association is closed")]
    Closed,
    /// The peer does not know RFC 6525.
    #[error("the peer does not support stream reset")]
    Unsupported,
}

/// Why something that was received had no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DropReason {
    /// A packet or chunk that cannot be read.
    Malformed,
    /// The checksum is wrong.
    Checksum,
    /// Ports of another association.
    Port,
    /// The verification tag is not ours.
    VerificationTag,
    /// A chunk that does not belong in this state.
    UnexpectedChunk,
    /// A chunk of an unknown type.
    UnknownChunk,
    /// DATA that was received before.
    DuplicateData,
    /// DATA too far ahead, or with more gaps than are tracked.
    DataTooFarAhead,
    /// DATA for which there is no room until messages are read.
    ReceiveBufferFull,
    /// DATA of a stream that was not negotiated.
    InvalidStream,
    /// A fragment whose beginning was skipped or never sent.
    OrphanFragment,
    /// A message with a stream sequence number that was delivered or skipped already.
    OldMessage,
    /// SACK of what was never sent.
    InvalidSack,
    /// SACK older than one handled before.
    OldSack,
    /// A cookie that we did not sign.
    ForgedCookie,
    /// A cookie past its lifetime.
    StaleCookie,
    /// A cookie of an earlier attempt.
    LateCookie,
    /// A HEARTBEAT ACK to no heartbeat of ours.
    UnknownHeartbeat,
    /// A RE-CONFIG out of sequence.
    ReconfigSequence,
    /// Something that wanted an answer while too many answers waited.
    TooManyReplies,
}

/// Counters and gauges of an association.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Statistics {
    /// Packets sent.
    pub packets_sent: u64,
    /// Packets received with right checksum, ports and tag.
    pub packets_received: u64,
    /// Bytes of packets sent, headers included.
    pub bytes_sent: u64,
    /// Bytes of packets received, headers included.
    pub bytes_received: u64,
    /// DATA chunks sent again.
    pub chunks_retransmitted: u64,
    /// Times that the retransmission timer expired.
    pub timeouts: u64,
    /// Times that fast recovery was entered.
    pub fast_recoveries: u64,
    /// Times that the end of what was sent was probed (RFC 8985 §7).
    pub tail_probes: u64,
    /// Recoveries that turned out to have had no cause.
    pub spurious_recoveries: u64,
    /// Messages given up under partial reliability.
    pub messages_abandoned: u64,
    /// Bytes that a packet with data may have, its header included, as the path is known to carry.
    pub packet_size: usize,
    /// Congestion window, in bytes.
    pub congestion_window: usize,
    /// Bytes sent and neither acknowledged nor thought lost, chunk headers included.
    pub in_flight: usize,
    /// The peer's receive window as last advertised, in bytes.
    pub peer_receive_window: usize,
    /// Bytes received and not yet read, as counted against the receive window.
    pub receive_buffered: usize,
    /// Smoothed round-trip time.
    pub round_trip_time: Option<Duration>,
    /// Least round-trip time of a packet with data.
    pub least_round_trip_time: Option<Duration>,
    /// Bytes a second at which packets are spaced; `None` where they are not.
    pub pacing_rate: Option<u64>,
    /// Bytes that the peer may send ahead of what is read.
    pub receive_window: usize,
    /// Whether messages are interleaved (RFC 8260).
    pub interleaving: bool,
    /// Whether our packets go without checksum (RFC 9653).
    pub zero_checksum: bool,
    /// Retransmission time-out in force.
    pub retransmission_timeout: Duration,
}
