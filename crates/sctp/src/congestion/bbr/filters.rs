//! What BBR remembers of its measurements.

use std::time::{Duration, Instant};

/// Greatest delivery rate of this cycle of probing and the last.
#[derive(Debug, Default)]
pub(super) struct MaxBandwidth {
    cycles: [f64; 2],
}

impl MaxBandwidth {
    /// A rate that the application limited tells only where it is greater.
    pub(super) fn update(&mut self, rate: f64, limited: bool) {
        if rate >= self.get() || !limited {
            let [_, current] = &mut self.cycles;
            *current = current.max(rate);
        }
    }

    pub(super) fn end_cycle(&mut self) {
        let [last, current] = &mut self.cycles;
        if *current > 0.0 {
            *last = std::mem::take(current);
        }
    }

    pub(super) fn get(&self) -> f64 {
        let [last, current] = self.cycles;
        last.max(current)
    }
}

/// Least round trip, and whether it is time to look again.
#[derive(Debug, Default)]
pub(super) struct MinRoundTrip {
    least: Option<(Duration, Instant)>,
    recent: Option<(Duration, Instant)>,
}

impl MinRoundTrip {
    const LIFETIME: Duration = Duration::from_secs(10);
    const PROBE_INTERVAL: Duration = Duration::from_secs(5);

    /// Takes a measurement; whether the last low one is so old that it has to be probed for.
    pub(super) fn update(&mut self, now: Instant, sample: Option<Duration>) -> bool {
        let older = |entry: Option<(Duration, Instant)>, than: Duration| {
            entry.is_some_and(|(_, at)| now.saturating_duration_since(at) > than)
        };
        let expired = older(self.recent, Self::PROBE_INTERVAL);
        if let Some(sample) = sample
            && (expired || self.recent.is_none_or(|(least, _)| sample <= least))
        {
            self.recent = Some((sample, now));
        }
        if let Some((recent, at)) = self.recent
            && (older(self.least, Self::LIFETIME) || self.least.is_none_or(|(least, _)| recent <= least))
        {
            self.least = Some((recent, at));
        }
        expired
    }

    /// It was probed for until now.
    pub(super) fn probed(&mut self, now: Instant) {
        if let Some((_, at)) = &mut self.recent {
            *at = now;
        }
    }

    pub(super) fn get(&self) -> Option<Duration> {
        self.least.map(|(least, _)| least)
    }
}

/// How far acknowledgements come in bunches, so that more has to be in flight than the path holds.
#[derive(Debug, Default)]
pub(super) struct AckAggregation {
    since: Option<Instant>,
    delivered: usize,
    /// Greatest excess of the last rounds and of these.
    excess: [usize; 2],
    rounds: u32,
}

impl AckAggregation {
    pub(super) fn update(
        &mut self,
        now: Instant,
        acked: usize,
        bandwidth: f64,
        window: usize,
        rounds: u32,
        round_starts: bool,
    ) {
        if round_starts {
            self.rounds += 1;
            if self.rounds >= rounds.div_ceil(2) {
                self.rounds = 0;
                let [_, current] = self.excess;
                self.excess = [if rounds > 1 { current } else { 0 }, 0];
            }
        }
        let since = *self.since.get_or_insert(now);
        let mut expected = (bandwidth * now.saturating_duration_since(since).as_secs_f64()) as usize;
        if self.delivered <= expected {
            (self.since, self.delivered, expected) = (Some(now), 0, 0);
        }
        self.delivered += acked;
        let [_, current] = &mut self.excess;
        *current = (*current).max((self.delivered - expected).min(window));
    }

    pub(super) fn restart(&mut self, now: Instant) {
        (self.since, self.delivered) = (Some(now), 0);
    }

    pub(super) fn extra(&self) -> usize {
        let [last, current] = self.excess;
        last.max(current)
    }
}

/// Whether the delivery rate stopped to grow: three rounds without a quarter more.
#[derive(Debug, Default)]
pub(super) struct FullPipe {
    rate: f64,
    rounds: u32,
    plateau: bool,
    full: bool,
}

impl FullPipe {
    /// Judges the round that ends.
    pub(super) fn check(&mut self, rate: Option<f64>, limited: bool) {
        let Some(rate) = rate.filter(|_| !limited && !self.plateau) else { return };
        if rate >= 1.25 * self.rate {
            (self.rate, self.rounds) = (rate, 0);
            return;
        }
        self.rounds += 1;
        self.plateau = self.rounds >= 3;
        self.full |= self.plateau;
    }

    pub(super) fn set_full(&mut self) {
        self.full = true;
    }

    /// Looks anew for a plateau, beginning with `rate`.
    pub(super) fn look_again(&mut self, rate: f64) {
        (self.rate, self.rounds, self.plateau) = (rate, 0, false);
    }

    /// Whether the rate was found in this or an earlier probe.
    pub(super) fn is_full(&self) -> bool {
        self.full
    }

    /// Whether the last look found a plateau.
    pub(super) fn is_plateau(&self) -> bool {
        self.plateau
    }
}

#[cfg(test)]
mod tests {
    use antiphon_testkit::origin;

    use super::*;

    #[test]
    fn bandwidth_is_remembered_for_two_cycles() {
        let mut filter = MaxBandwidth::default();
        filter.update(100.0, false);
        filter.end_cycle();
        filter.update(60.0, false);
        assert_eq!(filter.get(), 100.0);
        filter.end_cycle();
        assert_eq!(filter.get(), 60.0);
        filter.end_cycle();
        assert_eq!(filter.get(), 60.0, "a cycle without sample tells nothing");
        filter.update(50.0, true);
        filter.update(70.0, true);
        assert_eq!(filter.get(), 70.0);
    }

    #[test]
    fn a_low_round_trip_is_looked_for_after_five_seconds() {
        let (start, mut filter) = (origin(), MinRoundTrip::default());
        let ms = Duration::from_millis;
        assert!(!filter.update(start, Some(ms(50))));
        assert!(!filter.update(start + ms(4_900), Some(ms(80))));
        assert!(filter.update(start + ms(5_100), Some(ms(80))));
        assert_eq!(filter.get(), Some(ms(50)), "kept for ten seconds");
        filter.update(start + ms(10_100), Some(ms(90)));
        assert_eq!(filter.get(), Some(ms(80)));
    }

    #[test]
    fn a_pipe_is_full_after_three_rounds_without_growth() {
        let mut pipe = FullPipe::default();
        for rate in [100.0, 200.0, 240.0, 245.0] {
            pipe.check(Some(rate), false);
        }
        assert!(!pipe.is_full());
        pipe.check(Some(10.0), true);
        assert!(!pipe.is_full());
        pipe.check(Some(240.0), false);
        assert!(pipe.is_full());
    }
}
