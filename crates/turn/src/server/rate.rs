//! Rates: tokens that come with time and go with use.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// How much a second, and how much at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// In the long run, a second.
    pub per_second: u64,
    /// At once after a pause.
    pub burst: u64,
}

impl Rate {
    /// As much at once as in a second.
    pub fn per_second(per_second: u64) -> Self {
        Self { per_second, burst: per_second }
    }
}

/// What is left of a rate.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bucket {
    /// In millionths.
    level: u64,
    filled: Instant,
}

const UNIT: u64 = 1_000_000;

impl Bucket {
    /// A full one.
    pub(super) fn new(now: Instant, rate: Rate) -> Self {
        Self { level: rate.burst.saturating_mul(UNIT), filled: now }
    }

    /// Takes `amount` out; `false`, with nothing taken, where there is not so much.
    pub(super) fn take(&mut self, now: Instant, rate: Rate, amount: u64) -> bool {
        let elapsed = now.saturating_duration_since(self.filled);
        if elapsed > Duration::ZERO {
            let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
            let whole = rate.burst.saturating_mul(UNIT);
            self.level = self.level.saturating_add(micros.saturating_mul(rate.per_second)).min(whole);
            self.filled = now;
        }
        let Some(left) = self.level.checked_sub(amount.saturating_mul(UNIT)) else { return false };
        self.level = left;
        true
    }
}

/// Rates of as many sources as there are, in constant memory: sources share buckets by a hash that nobody outside
/// knows, so that a flood starves few others.
#[derive(Debug)]
pub(super) struct Sources {
    buckets: Vec<Option<Bucket>>,
    hasher: RandomState,
    rate: Rate,
}

impl Sources {
    pub(super) fn new(count: usize, rate: Rate) -> Self {
        Self { buckets: vec![None; count.max(1)], hasher: RandomState::new(), rate }
    }

    /// Whether `source` may have `amount` more now. IPv6 sources count by their first 64 bits, which are one host's.
    pub(super) fn take(&mut self, now: Instant, source: IpAddr, amount: u64) -> bool {
        let network = match source {
            IpAddr::V4(address) => u64::from(address.to_bits()),
            IpAddr::V6(address) => (address.to_bits() >> 64) as u64,
        };
        let at = self.hasher.hash_one(network) % self.buckets.len() as u64;
        let rate = self.rate;
        self.buckets.get_mut(usize::try_from(at).unwrap_or(0)).is_some_and(|bucket| {
            bucket.get_or_insert_with(|| Bucket::new(now, rate)).take(now, rate, amount)
        })
    }
}

#[cfg(test)]
mod tests {
    use antiphon_testkit::origin;

    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let (start, rate) = (origin(), Rate { per_second: 10, burst: 3 });
        let mut bucket = Bucket::new(start, rate);
        assert_eq!((0..10).filter(|_| bucket.take(start, rate, 1)).count(), 3);
        let taken = (1..=1_000).filter(|ms| bucket.take(start + Duration::from_millis(*ms), rate, 1)).count();
        assert_eq!(taken, 10);
        let later = start + Duration::from_secs(1_000_000);
        assert_eq!((0..10).filter(|_| bucket.take(later, rate, 1)).count(), 3);
        assert!(!bucket.take(later, rate, u64::MAX));
    }

    #[test]
    fn sources_are_counted_apart_in_constant_memory() {
        let start = origin();
        let mut sources = Sources::new(1_024, Rate::per_second(50));
        let one = IpAddr::from([192, 0, 2, 1]);
        assert_eq!((0..100).filter(|_| sources.take(start, one, 10)).count(), 5);
        let others =
            (0..1_000_u32).filter(|n| sources.take(start, IpAddr::from((n + 7).to_be_bytes()), 10)).count();
        assert!(others > 900, "{others} of 1,000 other sources");
        assert_eq!(sources.buckets.len(), 1_024);
    }
}
