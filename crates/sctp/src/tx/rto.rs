//! Round-trip time and retransmission time-out (RFC 9260 §6.3.1).

use std::time::Duration;

use crate::config::Timing;

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
        self.timeout = (smoothed + self.variation * 4).clamp(self.min, self.max);
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
        assert_eq!(rto.timeout(), ms(100));
        for _ in 0..20 {
            rto.back_off();
        }
        assert_eq!(rto.timeout(), ms(10_000));
        rto.measured(ms(1));
        assert_eq!(rto.timeout(), ms(100));
    }
}
