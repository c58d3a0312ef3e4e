//! What an association is told at construction.

use std::time::Duration;

use antiphon_crypto::Provider;

use crate::Congestion;
use crate::packet::Capabilities;

/// Configuration of an association.
#[derive(Debug, Clone)]
pub struct Config {
    /// Signs the state cookie.
    pub provider: Provider,
    /// Our port, 5000 by WebRTC custom.
    pub local_port: u16,
    /// The peer's port, 5000 by WebRTC custom.
    pub remote_port: u16,
    /// SCTP packet that every path is taken to carry, in bytes with its header; rounded down to a multiple of 4, at least 512. The default
    /// leaves room in 1,200 bytes for the record around it.
    pub max_packet_size: usize,
    /// Larger packets, in bytes with their headers, that are sent where probes show that the path carries them (RFC 8899); see
    /// [`set_probed_packet_sizes`](crate::Association::set_probed_packet_sizes). None at first.
    pub probed_packet_sizes: Vec<usize>,
    /// Largest message accepted from the peer, in bytes.
    pub max_incoming_message: usize,
    /// Largest message that may be sent to the peer, in bytes.
    pub max_outgoing_message: usize,
    /// Bytes that may wait for reassembly and for [`read`](crate::Association::read) at first; raised where it could not
    /// hold a message of the largest size. While all of it is used and read, it grows up to
    /// [`Limits::max_receive_window`].
    pub receive_window: usize,
    /// Outgoing streams offered, at most 65,535.
    pub outgoing_streams: u16,
    /// Incoming streams accepted, at most 65,535.
    pub incoming_streams: u16,
    /// How fast is sent.
    pub congestion: Congestion,
    /// In which order streams are served.
    pub scheduling: Scheduling,
    /// Whether messages are interleaved with peers that can do it (RFC 8260), so that a large one holds up no other.
    pub interleaving: bool,
    /// Whether packets of the peer may come without checksum, and ours go without to a peer that takes them (RFC 9653).
    /// Only where what carries the packets finds every error, as DTLS does.
    pub zero_checksum: bool,
    /// Timers.
    pub timing: Timing,
    /// Bounds on what the peer can make us hold.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            provider: Provider::default(),
            local_port: 5000,
            remote_port: 5000,
            max_packet_size: 1200 - 37,
            probed_packet_sizes: Vec::new(),
            max_incoming_message: 256 * 1024,
            max_outgoing_message: 256 * 1024,
            receive_window: 1024 * 1024,
            outgoing_streams: u16::MAX,
            incoming_streams: u16::MAX,
            congestion: Congestion::default(),
            scheduling: Scheduling::default(),
            interleaving: true,
            zero_checksum: true,
            timing: Timing::default(),
            limits: Limits::default(),
        }
    }
}

/// In which order streams with something to send are served (RFC 8260 §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scheduling {
    /// By the bytes that each sent, in proportion to its weight (RFC 8260 §3.6); see
    /// [`set_stream_weight`](crate::Association::set_stream_weight).
    #[default]
    Weighted,
    /// In turns (RFC 8260 §3.2, §3.3).
    RoundRobin,
}

impl Config {
    /// What this end can do.
    pub(crate) fn capabilities(&self) -> Capabilities {
        Capabilities {
            forward_tsn: true,
            reconfig: true,
            interleaving: self.interleaving,
            zero_checksum: self.zero_checksum,
        }
    }

    /// The packet size as used: a multiple of 4, so that full packets are all of one size.
    pub(crate) fn packet_size(&self) -> usize {
        self.max_packet_size.clamp(512, 65_532) & !3
    }

    /// The receive window as used. A message in reassembly counts against it, so that it has to be larger than one.
    pub(crate) fn window(&self) -> usize {
        self.receive_window
            .max(self.max_incoming_message.saturating_mul(2))
            .clamp(16 * 1024, i32::MAX as usize)
    }
}

/// Timers and the counts that go with them (RFC 9260 §16).
#[derive(Debug, Clone)]
pub struct Timing {
    /// Retransmission time-out before the first measurement.
    pub rto_initial: Duration,
    /// What the retransmission time-out has at least beyond the round trip. RFC 9260 has a time-out of a second at
    /// least, which stalls a data channel for as long at each lost tail; a lone packet always waits for the peer's delayed
    /// acknowledgement.
    pub rto_min: Duration,
    /// Greatest retransmission time-out.
    pub rto_max: Duration,
    /// How often the association may time out in a row before the peer counts as unreachable.
    pub max_retransmissions: u32,
    /// How often INIT and COOKIE ECHO are sent again.
    pub max_init_retransmissions: u32,
    /// How long an acknowledgement may wait for company, at most 200 ms.
    pub ack_delay: Duration,
    /// Idle time after which the peer is asked whether it lives; `None` never asks.
    pub heartbeat_interval: Option<Duration>,
    /// How long a state cookie is good for.
    pub cookie_lifetime: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            rto_initial: Duration::from_millis(500),
            rto_min: Duration::from_millis(100),
            rto_max: Duration::from_secs(10),
            max_retransmissions: 10,
            max_init_retransmissions: 8,
            ack_delay: Duration::from_millis(20),
            heartbeat_interval: Some(Duration::from_secs(30)),
            cookie_lifetime: Duration::from_secs(60),
        }
    }
}

/// Bounds on what is held.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes accepted by `send` and not yet on the wire, over all streams.
    pub max_buffered: usize,
    /// Bytes to which the receive window may grow.
    pub max_receive_window: usize,
    /// Bytes that may be on the wire and not acknowledged, whatever windows the peer and its path allow.
    pub max_in_flight: usize,
    /// How far ahead of the cumulative point a TSN may be received, at most 65,535.
    pub max_tsn_ahead: usize,
    /// Separate runs of TSNs received ahead of the cumulative point.
    pub max_gap_blocks: usize,
    /// Duplicate TSNs reported in one SACK.
    pub max_duplicates: usize,
    /// Answers to control chunks (HEARTBEAT, INIT, unknown chunks) that wait to be sent.
    pub max_replies: usize,
    /// Events not yet taken; above it the peer's stream resets wait.
    pub max_events: usize,
    /// Bytes of an abort's reason that are kept.
    pub max_abort_reason: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_buffered: 16 * 1024 * 1024,
            max_receive_window: 32 * 1024 * 1024,
            max_in_flight: 64 * 1024 * 1024,
            max_tsn_ahead: 32 * 1024,
            max_gap_blocks: 1024,
            max_duplicates: 32,
            max_replies: 32,
            max_events: 1024,
            max_abort_reason: 256,
        }
    }
}
