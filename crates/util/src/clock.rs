//! The monotonic clock and the calendar.

use std::time::{Duration, Instant, SystemTime};

/// Relates instants to calendar time through one moment at which both were read.
///
/// Time stamps made from it never run backwards, whatever happens to the calendar.
#[derive(Debug, Clone, Copy)]
pub struct ClockAnchor {
    instant: Instant,
    system: SystemTime,
}

impl ClockAnchor {
    /// `instant` and `system` read at the same moment.
    pub fn new(instant: Instant, system: SystemTime) -> Self {
        Self { instant, system }
    }

    /// Calendar time at `now`.
    pub fn system_time(&self, now: Instant) -> SystemTime {
        match now.checked_duration_since(self.instant) {
            Some(later) => self.system + later,
            None => self.system - self.instant.saturating_duration_since(now),
        }
    }

    /// Time since 1970-01-01 UTC at `now`, 0 before it.
    pub fn unix_time(&self, now: Instant) -> Duration {
        self.system_time(now).duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods, reason = "any instant serves as the origin")]
    fn keeps_distances_in_both_directions() {
        let start = Instant::now() + Duration::from_secs(60);
        let anchor = ClockAnchor::new(start, SystemTime::UNIX_EPOCH + Duration::from_secs(100));
        assert_eq!(anchor.unix_time(start + Duration::from_millis(1_500)), Duration::from_millis(101_500));
        assert_eq!(anchor.unix_time(start - Duration::from_secs(40)), Duration::from_secs(60));
    }
}
