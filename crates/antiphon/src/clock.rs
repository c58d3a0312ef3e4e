//! The one place that reads the clock.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// What is due no sooner than this has time: keep-alives, checks of consent, heartbeats.
const HAS_TIME: Duration = Duration::from_secs(1);

/// What has time waits for the next multiple of this, so that thousands of idle connections wake the process twenty times a
/// second at most and not each for itself.
const GRID: Duration = Duration::from_millis(50);

/// The present, on the clock that the runtime's timers follow.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// When to look after what is `due`: then, or a little later where it has time.
pub(crate) fn coarse(now: Instant, due: Instant) -> Instant {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    if due < now + HAS_TIME {
        return due;
    }
    let origin = *ORIGIN.get_or_init(|| now);
    let since = due.saturating_duration_since(origin).as_nanos();
    let late = GRID.as_nanos() - since % GRID.as_nanos();
    due + Duration::from_nanos(u64::try_from(late).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_time_comes_together_and_nothing_comes_early() {
        let now = now();
        let soon = now + Duration::from_millis(999);
        assert_eq!(coarse(now, soon), soon);
        let mut instants = Vec::new();
        for offset in 0..1_000 {
            let due = now + HAS_TIME + Duration::from_micros(offset * 997);
            let at = coarse(now, due);
            assert!(at >= due && at <= due + GRID);
            instants.push(at);
        }
        instants.dedup();
        assert!(instants.len() <= 21, "{} instants in a second", instants.len());
    }
}
