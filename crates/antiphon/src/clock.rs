//! The one place that reads the clock.

use std::time::Instant;

/// The present, on the clock that the runtime's timers follow.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
