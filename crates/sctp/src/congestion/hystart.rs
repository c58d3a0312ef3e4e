//! HyStart++ (RFC 9406): leaves slow start when the round trip grows, before the queue overflows.

use std::time::Duration;

use super::rounds::Rounds;

/// Samples of a round that are needed to judge it.
const SAMPLES: u32 = 8;
const MIN_THRESHOLD: Duration = Duration::from_millis(4);
const MAX_THRESHOLD: Duration = Duration::from_millis(16);
/// Rounds of conservative slow start.
const CONSERVATIVE_ROUNDS: u32 = 5;
/// By how much the window grows more slowly in them.
pub(super) const CONSERVATIVE_DIVISOR: usize = 4;

/// Slow start, watched.
#[derive(Debug, Default)]
pub(super) struct HyStart {
    rounds: Rounds,
    last_min: Option<Duration>,
    current_min: Option<Duration>,
    samples: u32,
    conservative: Option<Conservative>,
}

#[derive(Debug)]
struct Conservative {
    baseline: Duration,
    rounds: u32,
}

/// How slow start goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SlowStart {
    Exponential,
    Conservative,
    Over,
}

impl HyStart {
    pub(super) fn handle_ack(
        &mut self,
        prior_delivered: u64,
        delivered: u64,
        round_trip: Option<Duration>,
    ) -> SlowStart {
        if self.rounds.advance(prior_delivered, delivered) {
            self.last_min = self.current_min.take();
            self.samples = 0;
            if let Some(conservative) = &mut self.conservative {
                conservative.rounds += 1;
                if conservative.rounds >= CONSERVATIVE_ROUNDS {
                    return SlowStart::Over;
                }
            }
        }
        if let Some(sample) = round_trip {
            self.current_min = Some(self.current_min.map_or(sample, |least| least.min(sample)));
            self.samples += 1;
        }
        self.judge();
        if self.conservative.is_some() { SlowStart::Conservative } else { SlowStart::Exponential }
    }

    fn judge(&mut self) {
        let (Some(current), Some(last), true) = (self.current_min, self.last_min, self.samples >= SAMPLES)
        else {
            return;
        };
        match &self.conservative {
            None => {
                let threshold = (last / 8).clamp(MIN_THRESHOLD, MAX_THRESHOLD);
                if current >= last + threshold {
                    self.conservative = Some(Conservative { baseline: current, rounds: 0 });
                }
            }
            // It was a moment's delay.
            Some(conservative) if current < conservative.baseline => self.conservative = None,
            Some(_) => {}
        }
    }
}
