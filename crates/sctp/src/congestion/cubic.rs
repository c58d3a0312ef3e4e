//! The growth function of CUBIC (RFC 9438 §4).

use std::time::{Duration, Instant};

/// RFC 9438 §4.1: packets per second cubed, and the factor of reduction.
const C: f64 = 0.4;
pub(super) const BETA: f64 = 0.7;
/// Growth that makes the reduction by [`BETA`] as fast as Reno is (RFC 9438 §4.3).
const ALPHA: f64 = 3.0 * (1.0 - BETA) / (1.0 + BETA);

/// Windows in packets.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Cubic {
    /// Window at the last reduction.
    max: f64,
    epoch: Option<Epoch>,
}

#[derive(Debug, Clone, Copy)]
struct Epoch {
    start: Instant,
    /// Seconds until the window reaches `max`.
    k: f64,
    /// Window at its start.
    prior: f64,
    /// What Reno would have.
    estimate: f64,
}

impl Cubic {
    /// The window is cut from `window` packets.
    pub(super) fn reduce(&mut self, window: f64) {
        // Fast convergence (RFC 9438 §4.7): a flow that could not regain its window leaves room to others.
        self.max = if window < self.max { window * (1.0 + BETA) / 2.0 } else { window };
        self.epoch = None;
    }

    /// The window grows afresh: time in which nothing was sent does not count (RFC 9438 §5.8).
    pub(super) fn pause(&mut self) {
        self.epoch = None;
    }

    /// By how many packets the window of `window` packets grows when `acked` packets are acknowledged.
    pub(super) fn growth(&mut self, now: Instant, window: f64, acked: f64, round_trip: Duration) -> f64 {
        let max = self.max.max(window);
        let epoch = self.epoch.get_or_insert_with(|| Epoch {
            start: now,
            k: ((max - window) / C).cbrt(),
            prior: max,
            estimate: window,
        });
        let alpha = if epoch.estimate < epoch.prior { ALPHA } else { 1.0 };
        epoch.estimate += alpha * acked / window;
        let elapsed = now.saturating_duration_since(epoch.start).as_secs_f64();
        let at = |time: f64| C * (time - epoch.k).powi(3) + max;
        if at(elapsed) < epoch.estimate {
            return (epoch.estimate - window).max(0.0);
        }
        let target = at(elapsed + round_trip.as_secs_f64()).clamp(window, 1.5 * window);
        (target - window) / window * acked
    }
}

#[cfg(test)]
mod tests {
    use antiphon_testkit::origin;

    use super::*;

    /// Window after `seconds` at a round trip of 100 ms.
    fn grown(cubic: &mut Cubic, mut window: f64, seconds: usize) -> f64 {
        let (start, round_trip) = (origin(), Duration::from_millis(100));
        for round in 0..10 * seconds {
            let now = start + round_trip * round as u32;
            window += cubic.growth(now, window, window, round_trip);
        }
        window
    }

    #[test]
    fn returns_to_the_old_maximum_in_time_k_and_goes_beyond() {
        let mut cubic = Cubic::default();
        cubic.reduce(1_000.0);
        // K = cbrt(300 / 0.4) = 9.1 s.
        let window = grown(&mut { cubic }, 700.0, 5);
        assert!((900.0..1_000.0).contains(&window), "{window}");
        let window = grown(&mut { cubic }, 700.0, 9);
        assert!((990.0..1_010.0).contains(&window), "{window}");
        assert!(grown(&mut { cubic }, 700.0, 15) > 1_050.0);
    }

    #[test]
    fn is_no_slower_than_reno_where_the_window_is_small() {
        let mut cubic = Cubic::default();
        cubic.reduce(10.0);
        let window = grown(&mut cubic, 7.0, 2);
        assert!(window > 7.0 + 0.5 * 19.0, "{window}");
    }

    #[test]
    fn leaves_room_after_a_second_reduction() {
        let mut cubic = Cubic::default();
        cubic.reduce(1_000.0);
        cubic.reduce(700.0);
        assert_eq!(cubic.max, 595.0);
    }
}
