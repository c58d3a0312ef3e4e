//! Loss detection by time (RACK, RFC 8985), with packets in the place of TCP's segments.

use std::time::{Duration, Instant};

use super::flight::Serial;

/// What the newest delivered packet says about those sent before it.
#[derive(Debug, Default)]
pub(super) struct Rack {
    newest: Option<Delivered>,
    least_round_trip: Option<Duration>,
    /// Whether packets were seen to overtake each other.
    reordered: bool,
    /// By how many quarters of the least round trip a packet may be late; grows with each spurious loss.
    lateness: u32,
    /// Recoveries after which `lateness` is forgotten.
    patience: u32,
}

/// The packet delivered that was sent last.
#[derive(Debug, Clone, Copy)]
pub(super) struct Delivered {
    pub(super) serial: Serial,
    pub(super) round_trip: Duration,
}

/// How a packet sent before the newest delivered one stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Sent later than what was delivered.
    Unknown,
    /// Late, and lost if it is not acknowledged by then.
    LateUntil(Instant),
    Lost,
}

/// Packets delivered after one by which it counts as lost, while nothing was seen to overtake (RFC 8985 §6.2).
const PACKETS: u64 = 3;
const MAX_LATENESS: u32 = 16;
/// RFC 8985 §6.2.
const PATIENCE: u32 = 16;

impl Rack {
    /// `round_trip` is that of the set-up: that of a lone packet has the peer's delay in it.
    pub(super) fn new(round_trip: Option<Duration>) -> Self {
        Self { least_round_trip: round_trip, ..Self::default() }
    }

    /// A packet was delivered; `ambiguous` where it carried again what may have arrived before.
    pub(super) fn delivered(&mut self, packet: Delivered, ambiguous: bool) {
        if !ambiguous {
            self.least_round_trip =
                Some(self.least_round_trip.map_or(packet.round_trip, |least| least.min(packet.round_trip)));
        }
        if self.newest.is_none_or(|newest| packet.serial > newest.serial) {
            self.newest = Some(packet);
        }
    }

    /// Whether an acknowledgement came too soon to be one of a packet sent so long ago: it is of an earlier
    /// transmission.
    pub(super) fn is_too_soon(&self, since_sent: Duration) -> bool {
        self.least_round_trip.is_some_and(|least| since_sent < least)
    }

    /// A chunk sent once was acknowledged after one that was sent later.
    pub(super) fn overtaken(&mut self) {
        self.reordered = true;
    }

    /// A chunk was thought lost and was not: more patience.
    pub(super) fn spurious(&mut self) {
        self.reordered = true;
        self.lateness = (self.lateness.max(1) + 1).min(MAX_LATENESS);
        self.patience = PATIENCE;
    }

    /// A recovery ended.
    pub(super) fn recovered(&mut self) {
        self.patience = self.patience.saturating_sub(1);
        if self.patience == 0 {
            self.lateness = 0;
        }
    }

    /// Judges a packet that is not acknowledged.
    pub(super) fn judge(
        &self,
        now: Instant,
        serial: Serial,
        sent_at: Instant,
        smoothed: Option<Duration>,
    ) -> Verdict {
        let Some(newest) = self.newest.filter(|newest| newest.serial > serial) else {
            return Verdict::Unknown;
        };
        if !self.reordered && newest.serial >= serial + PACKETS {
            return Verdict::Lost;
        }
        let least = self.least_round_trip.unwrap_or(newest.round_trip);
        let window = (least / 4 * self.lateness.max(1)).min(smoothed.unwrap_or(least));
        let until = sent_at + newest.round_trip.max(smoothed.unwrap_or_default()) + window;
        if until <= now { Verdict::Lost } else { Verdict::LateUntil(until) }
    }

    pub(super) fn least_round_trip(&self) -> Option<Duration> {
        self.least_round_trip
    }
}

#[cfg(test)]
mod tests {
    use antiphon_testkit::origin;

    use super::*;

    const fn ms(value: u64) -> Duration {
        Duration::from_millis(value)
    }

    fn delivered(serial: Serial) -> Delivered {
        Delivered { serial, round_trip: ms(40) }
    }

    #[test]
    fn three_later_packets_or_a_quarter_round_trip_tell_of_a_loss() {
        let (start, mut rack) = (origin(), Rack::default());
        assert_eq!(rack.judge(start, 5, start, None), Verdict::Unknown);
        rack.delivered(delivered(7), false);
        assert_eq!(rack.judge(start + ms(41), 8, start, None), Verdict::Unknown);
        assert_eq!(rack.judge(start + ms(41), 5, start, None), Verdict::LateUntil(start + ms(50)));
        assert_eq!(rack.judge(start + ms(50), 5, start, None), Verdict::Lost);
        assert_eq!(rack.judge(start + ms(41), 4, start, None), Verdict::Lost);
    }

    #[test]
    fn where_packets_overtake_only_time_tells_and_spurious_losses_make_patient() {
        let (start, mut rack) = (origin(), Rack::default());
        rack.delivered(delivered(20), false);
        rack.overtaken();
        assert_eq!(rack.judge(start + ms(41), 4, start, None), Verdict::LateUntil(start + ms(50)));
        rack.spurious();
        assert_eq!(rack.judge(start + ms(51), 4, start, None), Verdict::LateUntil(start + ms(60)));
        for _ in 0..100 {
            rack.spurious();
        }
        let latest = Verdict::LateUntil(start + ms(80));
        assert_eq!(rack.judge(start + ms(51), 4, start, Some(ms(40))), latest, "a round trip at most");
        (0..PATIENCE).for_each(|_| rack.recovered());
        assert_eq!(rack.judge(start + ms(41), 4, start, None), Verdict::LateUntil(start + ms(50)));
    }
}
