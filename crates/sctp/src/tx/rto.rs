//! Round-trip time and retransmission time-out (RFC 9260 §6.3.1).

use std::time::Duration;

use crate::config::Timing;

/// Longest delay of a peer's acknowledgement (RFC 9260 §6.2).
const MAX_ACK_DELAY: Duration = Duration::from_millis(200);
/// What timers and schedulers of two machines may add.
const LEAST_PATIENCE: Duration = Duration::from_millis(10);

/// The estimator; knows neither clock nor packets.
#[derive(Debug, Clone)]
pub(crate) struct RetransmissionTimeout {
    min: Duration,
    max: Duration,
    smoothed: Option<Duration>,
    variation: Duration,
    timeout: Duration,
}

impl RetransmissionTimeout {
    pub(crate) fn new(timing: &Timing) -> Self {
        Self {
            min: timing.rto_min,
            max: timing.rto_max,
            smoothed: None,
            variation: Duration::ZERO,
            timeout: timing.rto_initial,
        }
    }

    /// Takes a measurement.
    pub(crate) fn measured(&mut self, round_trip: Duration) {
        let smoothed = match self.smoothed {
            None => {
                self.variation = round_trip / 2;
                round_trip
            }
            Some(smoothed) => {
                self.variation = (self.variation * 3 + smoothed.abs_diff(round_trip)) / 4;
                (smoothed * 7 + round_trip) / 8
            }
        };
        self.smoothed = Some(smoothed);
        // On a steady path the variation vanishes, and a queue that begins to fill would look like a loss: the least
        // time-out is what is added at least. RFC 9260 §6.3.1 C6 has a least time-out of a second instead.
        self.timeout = (smoothed + (self.variation * 4).max(self.min)).min(self.max);
    }

    /// How long the last packet of a flight may stay unacknowledged before it is probed (RFC 8985 §7.2): two round
    /// trips, and the peer's delay where it waits for a second packet; a time-out at most.
    pub(crate) fn probe_timeout(&self, lone: bool) -> Duration {
        let Some(smoothed) = self.smoothed else { return self.timeout };
        let delay = if lone { MAX_ACK_DELAY } else { Duration::ZERO };
        (smoothed * 2 + LEAST_PATIENCE + delay).min(self.timeout.max(smoothed + delay))
    }

    /// The time-out for what is in flight: a lone packet is acknowledged after the peer's delay only.
    pub(crate) fn flight_timeout(&self, lone: bool) -> Duration {
        if lone { self.timeout.max(MAX_ACK_DELAY + LEAST_PATIENCE * 2) } else { self.timeout }
    }

    /// Doubles the time-out after it passed (RFC 9260 §6.3.3 E2).
    pub(crate) fn back_off(&mut self) {
        self.timeout = (self.timeout * 2).min(self.max);
    }

    /// The time-out in force.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Smoothed round-trip time.
    pub(crate) fn smoothed(&self) -> Option<Duration> {
        self.smoothed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(value: u64) -> Duration {
        Duration::from_millis(value)
    }

    #[test]
    fn follows_the_formula_of_the_rfc() {
        let mut rto = RetransmissionTimeout::new(&Timing::default());
        assert_eq!(rto.timeout(), ms(500));
        rto.measured(ms(200));
        assert_eq!((rto.smoothed(), rto.timeout()), (Some(ms(200)), ms(600)));
        rto.measured(ms(280));
        assert_eq!((rto.smoothed(), rto.timeout()), (Some(ms(210)), ms(210 + 4 * 95)));
    }

    #[test]
    fn stays_between_its_bounds() {
        let mut rto = RetransmissionTimeout::new(&Timing::default());
        rto.measured(ms(1));
        assert_eq!(rto.timeout(), ms(101));
        for _ in 0..20 {
            rto.back_off();
        }
        assert_eq!(rto.timeout(), ms(10_000));
        rto.measured(ms(1));
        assert_eq!(rto.timeout(), ms(101));
    }
}
