//! The receive window: how much the peer may send ahead of what is read.

use std::time::{Duration, Instant};

/// Grows while the peer uses all of it and everything is read: a window that is used up within two round trips holds
/// the peer back, and is doubled up to its limit.
#[derive(Debug)]
pub(super) struct Window {
    size: usize,
    max: usize,
    /// What was read since, and when that began.
    read: usize,
    since: Option<Instant>,
    /// The round trip, as far as it is known.
    round_trip: Duration,
}

impl Window {
    pub(super) fn new(size: usize, max: usize, round_trip: Option<Duration>) -> Self {
        let round_trip = round_trip.unwrap_or(ASSUMED);
        Self { size, max: max.max(size), read: 0, since: None, round_trip }
    }

    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// The round trip was measured.
    pub(super) fn measured(&mut self, round_trip: Duration) {
        self.round_trip = round_trip;
    }

    /// `bytes` were read, overheads included.
    pub(super) fn handle_read(&mut self, now: Instant, bytes: usize) {
        if self.size >= self.max {
            return;
        }
        let since = *self.since.get_or_insert(now);
        self.read += bytes;
        let elapsed = now.saturating_duration_since(since);
        if elapsed > self.round_trip * 2 {
            (self.read, self.since) = (0, Some(now));
        } else if self.read > self.size / 2 {
            self.size = (self.size * 2).min(self.max);
            (self.read, self.since) = (0, Some(now));
        }
    }
}

/// The round trip before it was measured: a long one, so that the window grows rather too soon.
const ASSUMED: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use antiphon_testkit::origin;

    use super::*;

    #[test]
    fn grows_with_the_rate_of_reading_up_to_its_limit() {
        let (start, mut window) =
            (origin(), Window::new(1_000_000, 10_000_000, Some(Duration::from_millis(50))));
        let at = |ms| start + Duration::from_millis(ms);
        for ms in 0..1_000 {
            window.handle_read(at(ms), 1_000);
        }
        assert_eq!(window.size(), 1_000_000, "100 kB a round trip are no hurry");
        for ms in 1_000..3_000 {
            window.handle_read(at(ms), 12_500);
        }
        assert_eq!(window.size(), 4_000_000, "100 Mbit/s at 50 ms");
        window.handle_read(at(3_000), 100_000_000);
        window.handle_read(at(3_000), 100_000_000);
        assert_eq!(window.size(), 10_000_000);
    }
}
