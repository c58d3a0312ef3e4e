//! Round-trip time of a pair, measured by its checks.

use std::time::{Duration, Instant};

use antiphon_stun::ClientTransaction;

/// A smoothed round-trip time (RFC 6298 §2.3, with its gain of 1/8).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct RoundTrip {
    estimate: Option<Estimate>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Estimate {
    /// An upper bound: the answered request had been sent more than once.
    Bound(Duration),
    Smoothed(Duration),
}

impl RoundTrip {
    /// The answer to `transaction` came at `now`. Which of several requests was answered can't be told, so their time
    /// since the first only serves until a better sample comes (Karn's rule).
    pub(crate) fn answered(&mut self, now: Instant, transaction: &ClientTransaction) {
        let Some(first) = transaction.first_sent() else { return };
        let sample = now.saturating_duration_since(first);
        if transaction.requests() == 1 {
            return self.sample(sample);
        }
        self.estimate = Some(match self.estimate {
            Some(Estimate::Smoothed(old)) => Estimate::Smoothed(old),
            Some(Estimate::Bound(old)) => Estimate::Bound(old.min(sample)),
            None => Estimate::Bound(sample),
        });
    }

    /// A request sent once was answered after `sample`.
    pub(crate) fn sample(&mut self, sample: Duration) {
        self.estimate = Some(Estimate::Smoothed(match self.estimate {
            Some(Estimate::Smoothed(old)) => (old * 7 + sample) / 8,
            Some(Estimate::Bound(_)) | None => sample,
        }));
    }

    /// The current estimate, if there was an answer.
    pub(crate) fn get(&self) -> Option<Duration> {
        self.estimate.map(|estimate| match estimate {
            Estimate::Bound(time) | Estimate::Smoothed(time) => time,
        })
    }
}

#[cfg(test)]
mod tests {
    use antiphon_stun::{Timing, TransactionId};
    use antiphon_testkit::origin;

    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn an_answer_to_a_repeated_request_only_bounds_the_estimate() {
        let start = origin();
        let mut transaction =
            ClientTransaction::new(start, TransactionId([0; 12]), Timing::recommended(ms(100)));
        transaction.step(start);
        transaction.step(start + ms(100));
        let mut rtt = RoundTrip::default();
        rtt.answered(start + ms(130), &transaction);
        assert_eq!(rtt.get(), Some(ms(130)));
        rtt.answered(start + ms(160), &transaction);
        assert_eq!(rtt.get(), Some(ms(130)));
        rtt.sample(ms(20));
        assert_eq!(rtt.get(), Some(ms(20)));
        rtt.answered(start + ms(130), &transaction);
        assert_eq!(rtt.get(), Some(ms(20)));
    }

    #[test]
    fn samples_are_smoothed() {
        let mut rtt = RoundTrip::default();
        assert_eq!(rtt.get(), None);
        rtt.sample(ms(80));
        rtt.sample(ms(160));
        assert_eq!(rtt.get(), Some(ms(90)));
    }
}
