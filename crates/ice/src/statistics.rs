//! What can be told of the candidate pairs (W3C webrtc-stats, `RTCIceCandidatePairStats`).

use std::time::{Duration, Instant};

use antiphon_util::Path;

use crate::checklist::{Pair, PairState};
use crate::validated::Traffic;

/// The state of a pair (RFC 8445 §6.1.2.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CandidatePairState {
    /// It waits for another of the same foundation.
    Frozen,
    /// Its turn will come.
    Waiting,
    /// A check is under way.
    InProgress,
    /// A check was answered.
    Succeeded,
    /// A check was not answered, or consent has expired.
    Failed,
}

/// A candidate pair and its counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct CandidatePairStatistics {
    /// Its local and remote address.
    pub path: Path,
    /// Its state.
    pub state: CandidatePairState,
    /// Whether it is nominated.
    pub nominated: bool,
    /// Whether datagrams go over it.
    pub selected: bool,
    /// Its priority (RFC 8445 §6.1.2.3).
    pub priority: u64,
    /// Binding requests sent, consent checks among them.
    pub requests_sent: u64,
    /// Of those, consent checks.
    pub consent_requests_sent: u64,
    /// Answers received that were authentic.
    pub responses_received: u64,
    /// Authentic checks received.
    pub requests_received: u64,
    /// Answers sent.
    pub responses_sent: u64,
    /// The last round-trip time measured.
    pub current_round_trip_time: Option<Duration>,
    /// The sum of those measured.
    pub total_round_trip_time: Duration,
    /// Datagrams sent, those of ICE not among them, since the path was validated.
    pub packets_sent: u64,
    /// Bytes of those.
    pub bytes_sent: u64,
    /// When such a one was sent last.
    pub last_packet_sent_at: Option<Instant>,
    /// Datagrams received, those of ICE not among them, since the path was validated.
    pub packets_received: u64,
    /// Bytes of those.
    pub bytes_received: u64,
    /// When such a one was received last.
    pub last_packet_received_at: Option<Instant>,
    /// When a request was sent first.
    pub first_request_at: Option<Instant>,
    /// When an answer came last.
    pub last_response_at: Option<Instant>,
}

/// The counters of a pair.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct PairCounters {
    pub(crate) requests_sent: u64,
    pub(crate) consent_requests_sent: u64,
    pub(crate) responses_received: u64,
    pub(crate) requests_received: u64,
    pub(crate) current_round_trip_time: Option<Duration>,
    pub(crate) total_round_trip_time: Duration,
    first_request_at: Option<Instant>,
    last_response_at: Option<Instant>,
}

impl PairCounters {
    pub(crate) fn sent(&mut self, now: Instant) {
        self.requests_sent += 1;
        self.first_request_at.get_or_insert(now);
    }

    pub(crate) fn answered(&mut self, now: Instant, sent: Option<Instant>) {
        self.responses_received += 1;
        self.last_response_at = Some(now);
        if let Some(sent) = sent {
            let time = now.saturating_duration_since(sent);
            self.current_round_trip_time = Some(time);
            self.total_round_trip_time += time;
        }
    }
}

impl Pair {
    pub(crate) fn statistics(&self, selected: Option<Path>, traffic: Traffic) -> CandidatePairStatistics {
        let counters = &self.counters;
        CandidatePairStatistics {
            path: self.path,
            state: match self.state {
                PairState::Frozen => CandidatePairState::Frozen,
                PairState::Waiting => CandidatePairState::Waiting,
                PairState::InProgress(_) => CandidatePairState::InProgress,
                PairState::Succeeded(_) => CandidatePairState::Succeeded,
                PairState::Failed => CandidatePairState::Failed,
            },
            nominated: self.nominated.is_some(),
            selected: selected == Some(self.path),
            priority: self.priority,
            requests_sent: counters.requests_sent,
            consent_requests_sent: counters.consent_requests_sent,
            responses_received: counters.responses_received,
            requests_received: counters.requests_received,
            // Every authentic check is answered.
            responses_sent: counters.requests_received,
            current_round_trip_time: counters.current_round_trip_time,
            total_round_trip_time: counters.total_round_trip_time,
            packets_sent: traffic.packets_sent,
            bytes_sent: traffic.bytes_sent,
            last_packet_sent_at: traffic.last_packet_sent_at,
            packets_received: traffic.packets_received,
            bytes_received: traffic.bytes_received,
            last_packet_received_at: traffic.last_packet_received_at,
            first_request_at: counters.first_request_at,
            last_response_at: counters.last_response_at,
        }
    }
}
