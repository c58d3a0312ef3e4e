//! One direction of a link.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use antiphon_util::Rng;

use crate::chart::Fate;
use crate::loss::{Loss, LossState};

/// What one direction of a link does to datagrams; the default delivers each at once and unharmed.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Link {
    /// Time from the end of sending to arrival.
    pub delay: Duration,
    /// Further delay, uniform from zero to this; it does not reorder, since a later datagram waits for the earlier.
    pub jitter: Duration,
    /// Which datagrams are lost.
    pub loss: Loss,
    /// Share of datagrams, in [0, 1], that are held back so that later ones overtake them.
    pub reorder: f64,
    /// How long a reordered datagram is held back: uniform from zero to this, 10 ms where it is zero.
    pub reorder_delay: Duration,
    /// Share of datagrams, in [0, 1], that arrive twice.
    pub duplicate: f64,
    /// Bits per second, IP and UDP headers counted; `None` is without limit.
    pub rate: Option<u64>,
    /// Bytes that may wait for a limited rate before the newest is dropped; `None` is without limit.
    pub queue: Option<usize>,
    /// The largest IP packet that passes, in bytes; `None` is without limit.
    pub mtu: Option<usize>,
}

impl Link {
    /// A link with nothing but `delay` in each direction.
    pub fn with_delay(delay: Duration) -> Self {
        Self { delay, ..Self::default() }
    }

    /// A cable of one building: 0.3 ms, 1 Gbit/s.
    pub fn lan() -> Self {
        Self {
            delay: Duration::from_micros(300),
            rate: Some(1_000_000_000),
            queue: Some(512 << 10),
            mtu: Some(1_500),
            ..Self::default()
        }
    }

    /// A home's line over radio to a peer in the same country: 20 ms, 50 Mbit/s, some loss and jitter.
    pub fn home() -> Self {
        Self {
            delay: Duration::from_millis(20),
            jitter: Duration::from_millis(5),
            loss: Loss::random(0.001),
            rate: Some(50_000_000),
            queue: Some(256 << 10),
            mtu: Some(1_492),
            ..Self::default()
        }
    }

    /// A phone on the move: 50 ms, 10 Mbit/s with a deep queue, bursts of loss, reordering.
    pub fn mobile() -> Self {
        Self {
            delay: Duration::from_millis(50),
            jitter: Duration::from_millis(30),
            loss: Loss::bursty(0.02, 4.0),
            reorder: 0.01,
            reorder_delay: Duration::from_millis(20),
            rate: Some(10_000_000),
            queue: Some(1 << 20),
            mtu: Some(1_400),
            ..Self::default()
        }
    }

    /// A link that loses everything.
    pub fn cut() -> Self {
        Self { loss: Loss::everything(), ..Self::default() }
    }
}

/// A link at work.
#[derive(Debug, Default)]
pub(crate) struct LinkState {
    loss: LossState,
    /// Datagrams that wait for the limited rate or are being sent: when each has left, and its bytes.
    waiting: VecDeque<(Instant, usize)>,
    waiting_bytes: usize,
    last_arrival: Option<Instant>,
}

/// What becomes of a datagram: when it arrives, once or twice, or why it does not.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Carried {
    Arrives { at: Instant, copy_at: Option<Instant> },
    Dropped(Fate),
}

impl LinkState {
    /// Takes a packet of `bytes`, headers counted, at `now`.
    pub(crate) fn carry(&mut self, now: Instant, link: &Link, bytes: usize, rng: &mut Rng) -> Carried {
        if link.mtu.is_some_and(|mtu| bytes > mtu) {
            return Carried::Dropped(Fate::TooLarge);
        }
        if self.loss.next(link.loss, rng) {
            return Carried::Dropped(Fate::Lost);
        }
        let Some(departure) = self.enqueue(now, link, bytes) else {
            return Carried::Dropped(Fate::QueueFull);
        };
        let at = self.arrival(departure, link, rng);
        let copied = link.duplicate > 0.0 && rng.unit() < link.duplicate;
        let copy_at = copied.then(|| at + uniform(link.jitter, rng));
        Carried::Arrives { at, copy_at }
    }

    /// When the packet has left, or `None` where the queue is full.
    fn enqueue(&mut self, now: Instant, link: &Link, bytes: usize) -> Option<Instant> {
        let Some(rate) = link.rate.filter(|rate| *rate > 0) else { return Some(now) };
        while let Some((left, size)) = self.waiting.front().copied().filter(|(left, _)| *left <= now) {
            debug_assert!(left <= now);
            self.waiting_bytes -= size;
            self.waiting.pop_front();
        }
        if link.queue.is_some_and(|queue| self.waiting_bytes + bytes > queue) {
            return None;
        }
        let free = self.waiting.back().map_or(now, |(left, _)| *left);
        let nanos = (bytes as u128 * 8 * 1_000_000_000) / u128::from(rate);
        let left = free + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        self.waiting.push_back((left, bytes));
        self.waiting_bytes += bytes;
        Some(left)
    }

    fn arrival(&mut self, departure: Instant, link: &Link, rng: &mut Rng) -> Instant {
        let at = departure + link.delay + uniform(link.jitter, rng);
        if link.reorder > 0.0 && rng.unit() < link.reorder {
            let hold =
                if link.reorder_delay.is_zero() { Duration::from_millis(10) } else { link.reorder_delay };
            return at + uniform(hold, rng);
        }
        let at = self.last_arrival.map_or(at, |last| at.max(last));
        self.last_arrival = Some(at);
        at
    }
}

fn uniform(bound: Duration, rng: &mut Rng) -> Duration {
    Duration::from_nanos(rng.below(u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::origin;

    fn arrivals(link: &Link, count: usize, spacing: Duration) -> Vec<Duration> {
        let (mut state, mut rng, start) = (LinkState::default(), Rng::from_test_seed(1), origin());
        (0..count)
            .filter_map(|index| match state.carry(start + spacing * index as u32, link, 1_000, &mut rng) {
                Carried::Arrives { at, .. } => Some(at - start),
                Carried::Dropped(_) => None,
            })
            .collect()
    }

    #[test]
    fn delays_by_the_time_asked_for() {
        let link = Link::with_delay(Duration::from_millis(7));
        assert_eq!(arrivals(&link, 1, Duration::ZERO), [Duration::from_millis(7)]);
    }

    #[test]
    fn jitter_spreads_and_keeps_the_order() {
        let link = Link { jitter: Duration::from_millis(50), ..Link::with_delay(Duration::from_millis(10)) };
        let at = arrivals(&link, 1_000, Duration::from_millis(1));
        assert!(at.is_sorted());
        let transit: Vec<_> =
            at.iter().enumerate().map(|(i, at)| *at - Duration::from_millis(i as u64)).collect();
        assert!(transit.iter().all(|t| (10..=60).contains(&t.as_millis())));
        assert!(transit.iter().any(|t| t.as_millis() < 40) && transit.iter().any(|t| t.as_millis() > 50));
    }

    #[test]
    fn reorders_the_share_asked_for() {
        let link = Link { reorder: 0.1, ..Link::with_delay(Duration::from_millis(10)) };
        let at = arrivals(&link, 10_000, Duration::from_micros(1));
        let held = at.windows(2).filter(|pair| pair[0] > pair[1]).count();
        assert!((800..1_000).contains(&held), "{held}");
    }

    #[test]
    fn a_rate_spaces_packets_and_a_full_queue_drops_the_newest() {
        // 1,000 bytes take 1 ms at 8 Mbit/s.
        let link = Link { rate: Some(8_000_000), queue: Some(4_000), ..Link::default() };
        let at = arrivals(&link, 10, Duration::ZERO);
        assert_eq!(at, [1, 2, 3, 4].map(Duration::from_millis));
        let at = arrivals(&link, 10, Duration::from_millis(1));
        assert_eq!(at.len(), 10);
    }

    #[test]
    fn what_exceeds_the_mtu_is_dropped() {
        let (mut state, mut rng, now) = (LinkState::default(), Rng::from_test_seed(1), origin());
        let link = Link { mtu: Some(1_280), ..Link::default() };
        let arrives = Carried::Arrives { at: now, copy_at: None };
        assert_eq!(state.carry(now, &link, 1_280, &mut rng), arrives);
        assert_eq!(state.carry(now, &link, 1_281, &mut rng), Carried::Dropped(Fate::TooLarge));
    }

    #[test]
    fn duplicates_the_share_asked_for() {
        let (mut state, mut rng, now) = (LinkState::default(), Rng::from_test_seed(1), origin());
        let link = Link { duplicate: 0.25, ..Link::default() };
        let copies = (0..10_000)
            .filter(|_| {
                matches!(state.carry(now, &link, 100, &mut rng), Carried::Arrives { copy_at: Some(_), .. })
            })
            .count();
        assert!((2_300..2_700).contains(&copies), "{copies}");
    }
}
