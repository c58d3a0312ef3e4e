//! When the next packet may leave.

use std::time::{Duration, Instant};

/// Spaces packets at the controller's rate, in bursts of about a millisecond: timers are no finer, and a burst costs
/// one system call.
#[derive(Debug, Default)]
pub(crate) struct Pacer {
    /// When the line, as paced, is free again.
    free_at: Option<Instant>,
    /// Nothing leaves before it.
    release: Option<Instant>,
}

/// Time whose packets leave together.
const QUANTUM: Duration = Duration::from_millis(1);
/// Bytes that leave together at most: what one system call carries.
const MAX_BURST: f64 = 65_536.0;
/// What was missed through a late timer may be caught up on, and a burst begins what was idle.
const CREDIT: Duration = Duration::from_millis(3);

impl Pacer {
    /// Until when the next packet waits; `None` where it may leave.
    pub(crate) fn blocked(&self, now: Instant) -> Option<Instant> {
        self.release.filter(|release| *release > now)
    }

    /// A packet of `bytes` leaves at `rate` bytes a second.
    pub(crate) fn sent(&mut self, now: Instant, bytes: usize, rate: f64) {
        let earliest = now.checked_sub(CREDIT).unwrap_or(now);
        let free_at = self.free_at.map_or(earliest, |at| at.max(earliest));
        let free_at = free_at + Duration::from_secs_f64((bytes as f64 / rate.max(1.0)).min(10.0));
        self.free_at = Some(free_at);
        if free_at <= now {
            self.release = None;
            return;
        }
        // The next burst leaves when its last packet would have.
        let burst = (QUANTUM.as_secs_f64() * rate).min(MAX_BURST) - bytes as f64;
        let wait = if burst > 0.0 { Duration::from_secs_f64(burst / rate) } else { Duration::ZERO };
        self.release = Some(free_at + wait);
    }

    /// Nothing is paced for now.
    pub(crate) fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use antiphon_testkit::origin;

    use super::*;

    #[test]
    fn keeps_the_rate_in_bursts_of_a_millisecond() {
        let (start, mut pacer) = (origin(), Pacer::default());
        let (mut now, mut sent, mut wakes) = (start, 0, 0);
        while now < start + Duration::from_secs(1) {
            match pacer.blocked(now) {
                Some(at) => (now, wakes) = (at, wakes + 1),
                None => {
                    pacer.sent(now, 1_000, 10e6);
                    sent += 1_000;
                }
            }
        }
        assert!((9_900_000..10_100_000).contains(&sent), "{sent}");
        assert!((950..1_100).contains(&wakes), "{wakes}");
    }

    #[test]
    fn catches_up_on_a_late_timer_but_not_on_idle_time() {
        let (start, mut pacer) = (origin(), Pacer::default());
        pacer.sent(start, 1_000, 1e6);
        let late = start + Duration::from_secs(10);
        let mut burst = 0;
        while pacer.blocked(late).is_none() {
            pacer.sent(late, 1_000, 1e6);
            burst += 1;
        }
        assert_eq!(burst, 4, "three milliseconds, and the packet of now");
    }
}
