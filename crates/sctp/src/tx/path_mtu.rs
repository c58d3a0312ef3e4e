//! How large a packet the path carries (RFC 8899): found by probes that carry no data, and found anew where larger packets
//! vanish.
//!
//! ```text
//!            a full packet was sent            all sizes are judged
//!   Waiting ───────────────────────► Searching ────────────────────► Found
//!      ▲                                 ▲                             │
//!      │ the path is another             │ ten minutes later, or       │
//!      └─────────────────────────────────┴─ larger packets vanish ─────┘
//! ```
//!
//! Chunks stay as small as the least packet, however large packets are: a chunk that has its TSN can't be cut again,
//! so that it has to fit whatever path it is sent again on. Larger packets hold more chunks.

use std::time::{Duration, Instant};

use antiphon_util::Rng;

/// What a packet may have in bytes, its SCTP header included.
#[derive(Debug)]
pub(crate) struct PathMtu {
    /// What every path carries.
    base: usize,
    /// Larger sizes that are tried, in order.
    sizes: Vec<usize>,
    /// In use: the base or one of `sizes`.
    size: usize,
    search: Search,
    suspicion: Option<Suspicion>,
}

#[derive(Debug, Clone, Copy)]
enum Search {
    /// Nothing was sent that larger packets would serve.
    Waiting,
    /// By halving: of `sizes`, those before `carried` are carried and those from `lost` on are not.
    Searching { carried: usize, lost: usize, probe: Probe },
    /// Until the path may have become better.
    Found { until: Instant },
}

#[derive(Debug, Clone, Copy)]
enum Probe {
    /// To be sent; so many of its size were lost.
    Due(u32),
    Sent {
        lost: u32,
        nonce: u64,
        until: Instant,
    },
}

/// Packets larger than the base were lost, and none as large arrived since.
#[derive(Debug, Clone, Copy)]
struct Suspicion {
    /// The smallest that was lost.
    size: usize,
    times: u32,
    /// When that was last noticed; losses of what was sent before are the same ones.
    noticed: Instant,
}

/// Packets with data, larger than the base, that were lost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LostPackets {
    /// Bytes of the smallest.
    pub(crate) smallest: usize,
    /// When the last was sent.
    pub(crate) sent_at: Instant,
}

impl LostPackets {
    /// These and another.
    pub(crate) fn and(this: Option<Self>, other: Self) -> Self {
        this.map_or(other, |this| Self {
            smallest: this.smallest.min(other.smallest),
            sent_at: this.sent_at.max(other.sent_at),
        })
    }
}

/// Probes of one size, lost in a row, by which it counts as too large (RFC 8899 §5.1.2).
const MAX_PROBES: u32 = 3;
/// After which larger sizes are tried again (RFC 8899 §5.1.1).
const RAISE_AFTER: Duration = Duration::from_secs(600);
/// Losses without a delivery between them, by which larger packets count as vanishing (RFC 8899 §4.3).
const MAX_LOSSES: u32 = 3;

impl PathMtu {
    /// `base` and `sizes`, in any order, are of packets as they leave SCTP; sizes not above the base are of no use.
    pub(crate) fn new(base: usize, sizes: &[usize]) -> Self {
        let mut this = Self { base, sizes: Vec::new(), size: base, search: Search::Waiting, suspicion: None };
        this.offer(sizes);
        this
    }

    /// Begins anew on another path, with other sizes.
    pub(crate) fn restart(&mut self, sizes: &[usize]) {
        *self = Self::new(self.base, sizes);
    }

    fn offer(&mut self, sizes: &[usize]) {
        self.sizes = sizes.iter().map(|size| size & !3).filter(|size| *size > self.base).collect();
        self.sizes.sort_unstable();
        self.sizes.dedup();
    }

    /// What a packet with data may have.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// What every packet may have, and so a chunk with what is around it.
    pub(crate) fn base(&self) -> usize {
        self.base
    }

    /// A packet without room for more was sent: larger ones would be of use.
    pub(crate) fn filled(&mut self, now: Instant) {
        match self.search {
            Search::Waiting => self.search(0, self.sizes.len(), now),
            Search::Found { until } if until <= now => {
                let carried = self.sizes.partition_point(|size| *size <= self.size);
                self.search(carried, self.sizes.len(), now);
            }
            Search::Searching { .. } | Search::Found { .. } => {}
        }
    }

    /// The size of the probe that is to be sent now.
    pub(crate) fn due(&self) -> Option<usize> {
        match self.search {
            Search::Searching { carried, lost, probe: Probe::Due(_) } => {
                self.sizes.get(middle(carried, lost)).copied()
            }
            _ => None,
        }
    }

    /// The probe that is due goes out; gives what tells its answer. `timeout` is how long that may take.
    pub(crate) fn sent(&mut self, now: Instant, timeout: Duration, rng: &mut Rng) -> u64 {
        let nonce = rng.u64();
        if let Search::Searching { probe, .. } = &mut self.search
            && let Probe::Due(lost) = *probe
        {
            *probe = Probe::Sent { lost, nonce, until: now + timeout };
        }
        nonce
    }

    /// Whether `nonce` answers the probe that is under way, whose size is then in use.
    pub(crate) fn handle_answer(&mut self, now: Instant, nonce: u64) -> bool {
        match self.search {
            Search::Searching { carried, lost, probe: Probe::Sent { nonce: expected, .. } }
                if expected == nonce =>
            {
                let probed = middle(carried, lost);
                self.size = self.sizes.get(probed).copied().unwrap_or(self.size);
                self.search(probed + 1, lost, now);
                true
            }
            _ => false,
        }
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        match self.search {
            Search::Searching { probe: Probe::Sent { until, .. }, .. } => Some(until),
            _ => None,
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        let Search::Searching { carried, lost, probe } = &mut self.search else { return };
        let Probe::Sent { lost: times, until, .. } = *probe else { return };
        if until > now {
            return;
        }
        if times + 1 < MAX_PROBES {
            *probe = Probe::Due(times + 1);
        } else {
            let (carried, lost) = (*carried, middle(*carried, *lost));
            self.search(carried, lost, now);
        }
    }

    /// A packet with data of `size` arrived.
    pub(crate) fn delivered(&mut self, size: usize) {
        self.suspicion = self.suspicion.filter(|suspicion| size < suspicion.size);
    }

    /// Packets were lost, which is noticed now.
    pub(crate) fn lost(&mut self, now: Instant, packets: LostPackets) {
        let times = match self.suspicion {
            None => 1,
            Some(before) if packets.sent_at <= before.noticed => return,
            Some(before) => before.times + 1,
        };
        let size = self.suspicion.map_or(packets.smallest, |before| before.size.min(packets.smallest));
        let suspicion = Suspicion { size, times, noticed: now };
        if times < MAX_LOSSES {
            self.suspicion = Some(suspicion);
            return;
        }
        tracing::debug!(size = suspicion.size, "larger packets vanish");
        self.suspicion = None;
        self.size = self.base;
        // What vanishes is not tried before long, even if its probes should pass.
        let lost = self.sizes.partition_point(|size| *size < suspicion.size);
        self.search(0, lost, now);
    }

    /// Goes on with the sizes from `carried` on and before `lost`.
    fn search(&mut self, carried: usize, lost: usize, now: Instant) {
        self.search = if carried < lost {
            Search::Searching { carried, lost, probe: Probe::Due(0) }
        } else {
            tracing::debug!(size = self.size, "packet size of the path");
            Search::Found { until: now + RAISE_AFTER }
        };
    }
}

fn middle(carried: usize, lost: usize) -> usize {
    carried + (lost - carried) / 2
}

#[cfg(test)]
mod tests {
    use antiphon_testkit::origin;

    use super::*;

    const SIZES: [usize; 5] = [1_400, 1_432, 4_000, 8_900, 16_212];
    const TIMEOUT: Duration = Duration::from_millis(200);

    /// Runs a search over a path that carries `limit`; gives the probes sent.
    fn search(mtu: &mut PathMtu, now: &mut Instant, limit: usize) -> u32 {
        let (mut probes, mut rng) = (0, Rng::from_test_seed(1));
        mtu.filled(*now);
        while let Some(size) = mtu.due() {
            probes += 1;
            let nonce = mtu.sent(*now, TIMEOUT, &mut rng);
            assert_eq!(mtu.due(), None, "one at a time");
            assert!(!mtu.handle_answer(*now, nonce ^ 1));
            if size <= limit {
                assert!(mtu.handle_answer(*now, nonce));
            } else {
                *now = mtu.next_timeout().unwrap();
                mtu.handle_timeout(*now);
            }
        }
        probes
    }

    #[test]
    fn the_largest_size_that_is_carried_is_found() {
        let sizes = std::iter::once(1_160).chain(SIZES);
        for (found, limit) in sizes.clone().map(|size| (size, size + 3)) {
            let (mut mtu, mut now) = (PathMtu::new(1_160, &SIZES), origin());
            assert_eq!(mtu.due(), None, "nothing is probed for before it is of use");
            let probes = search(&mut mtu, &mut now, limit);
            assert_eq!(mtu.size(), found);
            assert!(probes <= 3 * MAX_PROBES, "{probes}");
            assert_eq!(search(&mut mtu, &mut now, usize::MAX), 0, "it is found for a while");
            now += RAISE_AFTER;
            search(&mut mtu, &mut now, usize::MAX);
            assert_eq!(mtu.size(), 16_212);
        }
    }

    #[test]
    fn sizes_not_above_the_base_are_of_no_use() {
        let mut mtu = PathMtu::new(1_160, &[1_000, 1_160, 1_163]);
        mtu.filled(origin());
        assert_eq!((mtu.due(), mtu.size()), (None, 1_160));
    }

    /// Loses packets of `size` that were sent just now.
    fn lose(mtu: &mut PathMtu, now: &mut Instant, size: usize) {
        let sent_at = *now;
        *now += TIMEOUT;
        mtu.lost(*now, LostPackets { smallest: size, sent_at });
        *now += TIMEOUT;
    }

    #[test]
    fn a_path_that_shrinks_is_searched_anew_below_what_vanished() {
        let (mut mtu, mut now) = (PathMtu::new(1_160, &SIZES), origin());
        search(&mut mtu, &mut now, usize::MAX);
        let before = now;
        lose(&mut mtu, &mut now, 9_000);
        mtu.lost(now, LostPackets { smallest: 9_000, sent_at: before });
        mtu.lost(now, LostPackets { smallest: 9_000, sent_at: before });
        lose(&mut mtu, &mut now, 16_212);
        assert_eq!(mtu.size(), 16_212, "two losses may be chance, however often they are noticed");
        lose(&mut mtu, &mut now, 16_212);
        assert_eq!(mtu.size(), 1_160);
        search(&mut mtu, &mut now, 1_500);
        assert_eq!(mtu.size(), 1_432);
    }

    #[test]
    fn losses_with_deliveries_between_them_are_the_paths_nature() {
        let (mut mtu, mut now) = (PathMtu::new(1_160, &SIZES), origin());
        search(&mut mtu, &mut now, usize::MAX);
        for _ in 0..100 {
            lose(&mut mtu, &mut now, 16_212);
            mtu.delivered(16_212);
        }
        assert_eq!(mtu.size(), 16_212);
        lose(&mut mtu, &mut now, 16_212);
        mtu.delivered(1_160);
        lose(&mut mtu, &mut now, 16_212);
        lose(&mut mtu, &mut now, 16_212);
        assert_eq!(mtu.size(), 1_160, "smaller ones arrive");
    }

    #[test]
    fn another_path_is_another_search() {
        let (mut mtu, mut now) = (PathMtu::new(1_160, &SIZES), origin());
        search(&mut mtu, &mut now, usize::MAX);
        mtu.restart(&SIZES);
        assert_eq!(mtu.size(), 1_160);
        search(&mut mtu, &mut now, 1_400);
        assert_eq!(mtu.size(), 1_400);
    }
}
