//! Where simulated time starts.

use std::time::Instant;

/// An origin for tests that are told the time: the one place of the protocol tests where a clock is read.
#[allow(clippy::disallowed_methods, reason = "any instant serves as the origin; only differences matter")]
pub fn origin() -> Instant {
    Instant::now()
}
