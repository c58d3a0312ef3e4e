//! When to acknowledge (RFC 9260 §6.2).

use std::time::{Duration, Instant};

/// Whether a SACK is owed, and by when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Acknowledgement {
    /// No DATA has come yet: the first is acknowledged at once (RFC 9260 §5.1).
    First,
    /// Everything received is acknowledged.
    None,
    /// One packet with DATA waits for company until the instant.
    Delayed(Instant),
    /// The next opportunity is to be used.
    Now,
}

impl Acknowledgement {
    /// A packet with new DATA arrived: every second one is acknowledged at once, one alone after `delay`.
    pub(super) fn on_data_packet(&mut self, now: Instant, delay: Duration) {
        *self = match self {
            Self::None => Self::Delayed(now + delay),
            Self::First | Self::Delayed(_) | Self::Now => Self::Now,
        };
    }

    /// Whether something is not acknowledged.
    pub(super) fn is_owed(self) -> bool {
        matches!(self, Self::Delayed(_) | Self::Now)
    }

    /// When the delay ends.
    pub(super) fn deadline(self) -> Option<Instant> {
        match self {
            Self::Delayed(at) => Some(at),
            Self::First | Self::None | Self::Now => None,
        }
    }
}
