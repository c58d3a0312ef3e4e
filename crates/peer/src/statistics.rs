//! What is counted.

use std::time::Duration;

use antiphon_ice::{Candidate, CandidatePairStatistics, EmbeddedDatagrams};
use antiphon_util::Path;

/// Why something that was received had no effect in this layer; the layers below count their own reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DropReason {
    /// A DTLS datagram beyond those kept until the remote description is known.
    TooEarly,
    /// A DTLS datagram after the end of the connection.
    Ended,
    /// RTP or RTCP, for which nothing was agreed.
    Media,
    /// A datagram of no known protocol (RFC 7983).
    UnknownProtocol,
    /// A message on a stream that no channel was opened on.
    NoChannel,
    /// A message of DCEP that does not belong there.
    UnexpectedDcep,
    /// A message with an unknown payload protocol identifier.
    UnknownPayload,
    /// A channel of the peer's with an id of ours, or beyond a limit.
    ChannelRefused,
    /// A message on a channel that we closed.
    ChannelClosed,
    /// A candidate whose name of multicast DNS nobody answered for, or that is one too many.
    MdnsCandidate,
    /// A candidate that names its address in another way.
    NamedCandidate,
    /// A candidate of another transport, component or kind than the agent tries.
    UnknownCandidate,
    /// A candidate of a media section that is not used.
    UnusedSectionCandidate,
    /// A candidate that the agent did not take.
    RefusedCandidate,
}

/// Counters and gauges of a connection.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Statistics {
    /// UDP datagrams sent, of all protocols.
    pub datagrams_sent: u64,
    /// Bytes of those.
    pub bytes_sent: u64,
    /// UDP datagrams handed in.
    pub datagrams_received: u64,
    /// Bytes of those.
    pub bytes_received: u64,
    /// Messages of open channels accepted for sending.
    pub messages_sent: u64,
    /// Messages of open channels received by the application.
    pub messages_received: u64,
    /// Channels opened so far.
    pub channels_opened: u64,
    /// Channels closed so far.
    pub channels_closed: u64,
    /// Where datagrams are sent.
    pub selected_path: Option<Path>,
    /// Round-trip time of that path, by ICE.
    pub round_trip_time: Option<Duration>,
    /// Datagrams of the DTLS handshake that rode in checks.
    pub embedded: EmbeddedDatagrams,
    /// The pairs of candidates and what passed over each (W3C `RTCIceCandidatePairStats`).
    pub candidate_pairs: Vec<CandidatePairStatistics>,
    /// Our candidates (W3C `RTCIceCandidateStats`). Those of a pair have its local address as their own or, where they are
    /// reflexive, as the related one.
    pub local_candidates: Vec<Candidate>,
    /// The peer's candidates, learned ones included.
    pub remote_candidates: Vec<Candidate>,
    /// Of the SCTP association.
    pub sctp: antiphon_sctp::Statistics,
    /// What was dropped in this layer, by reason.
    pub drops: Vec<(DropReason, u64)>,
}
