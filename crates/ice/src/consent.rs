//! Consent to send and its freshness (RFC 7675 §5.1).

use std::time::{Duration, Instant};

use antiphon_stun::TransactionId;
use antiphon_util::Rng;

/// Consent checks of one pair. Each is a request of its own, sent once; any answer renews consent.
#[derive(Debug)]
pub(crate) struct Consent {
    answered: Instant,
    next: Instant,
    /// Requests without an answer; consent expires before there are many.
    unanswered: Vec<Unanswered>,
}

/// From when on a path counts as cut, unused, and without consent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Liveness {
    /// A request is without an answer for this long.
    pub(crate) silent_after: Duration,
    /// The last answer is this old.
    pub(crate) recently: Duration,
    /// The last answer is this old.
    pub(crate) expiry: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Unanswered {
    id: TransactionId,
    sent: Instant,
}

/// No more requests are remembered; a period of 5 s and an expiry of 30 s need 8.
const MAX_UNANSWERED: usize = 16;

impl Consent {
    /// Consent given by an answer at `now`.
    pub(crate) fn new(now: Instant, period: Duration, rng: &mut Rng) -> Self {
        Self { answered: now, next: now + randomized(period, rng), unanswered: Vec::new() }
    }

    /// A request was sent at `now`.
    pub(crate) fn sent(&mut self, now: Instant, id: TransactionId, period: Duration, rng: &mut Rng) {
        self.next = now + randomized(period, rng);
        if self.unanswered.len() < MAX_UNANSWERED {
            self.unanswered.push(Unanswered { id, sent: now });
        }
    }

    /// When the request `id`, which is without an answer, was sent.
    pub(crate) fn sent_at(&self, id: TransactionId) -> Option<Instant> {
        self.unanswered.iter().find(|request| request.id == id).map(|request| request.sent)
    }

    /// Whether `id` is that of a request without an answer.
    pub(crate) fn awaits(&self, id: TransactionId) -> bool {
        self.unanswered.iter().any(|request| request.id == id)
    }

    /// The request `id`, or another check of the pair, was answered at `now`; gives the request's round-trip time.
    pub(crate) fn answered(&mut self, now: Instant, id: TransactionId) -> Option<Duration> {
        let sent = self.sent_at(id);
        self.answered = now;
        self.unanswered.clear();
        sent.map(|sent| now.saturating_duration_since(sent))
    }

    /// A check of the peer's came at `now`, which a lite agent takes for an answer.
    pub(crate) fn heard(&mut self, now: Instant) {
        self.answered = now;
    }

    /// When the path counts as cut where the peer's checks are all that tells.
    pub(crate) fn unheard_at(&self, liveness: Liveness) -> Instant {
        self.answered + liveness.recently
    }

    /// When the next request is due.
    pub(crate) fn due(&self) -> Instant {
        self.next
    }

    /// When the oldest request without an answer was sent.
    pub(crate) fn unanswered_since(&self) -> Option<Instant> {
        self.unanswered.first().map(|request| request.sent)
    }

    /// Whether a request has been without an answer for so long that the path seems to be cut.
    pub(crate) fn is_silent(&self, now: Instant, after: Duration) -> bool {
        self.unanswered_since().is_some_and(|since| since + after <= now)
    }

    /// Whether an answer came within `recently`, and the path does not seem to be cut.
    pub(crate) fn is_responsive(&self, now: Instant, liveness: Liveness) -> bool {
        !self.is_silent(now, liveness.silent_after) && now < self.answered + liveness.recently
    }

    /// When consent expires unless an answer comes.
    pub(crate) fn expires(&self, expiry: Duration) -> Instant {
        self.answered + expiry
    }
}

/// 0.8 to 1.2 times `period`, so that the checks of many connections don't fall together.
fn randomized(period: Duration, rng: &mut Rng) -> Duration {
    period.mul_f64(0.8 + 0.4 * rng.unit())
}

#[cfg(test)]
mod tests {
    use antiphon_testkit::origin;

    use super::*;

    const PERIOD: Duration = Duration::from_secs(5);

    #[test]
    fn periods_vary_by_a_fifth() {
        let mut rng = Rng::from_test_seed(1);
        let periods: Vec<Duration> = (0..1_000).map(|_| randomized(PERIOD, &mut rng)).collect();
        assert!(
            periods.iter().all(|period| (Duration::from_secs(4)..Duration::from_secs(6)).contains(period))
        );
        assert!(periods.iter().any(|period| *period < Duration::from_millis(4_100)));
        assert!(periods.iter().any(|period| *period > Duration::from_millis(5_900)));
    }

    #[test]
    fn an_answer_to_any_of_the_requests_renews_consent() {
        let (start, mut rng) = (origin(), Rng::from_test_seed(1));
        let expiry = Duration::from_secs(30);
        let mut consent = Consent::new(start, PERIOD, &mut rng);
        let [first, second] = [TransactionId([1; 12]), TransactionId([2; 12])];
        consent.sent(start + PERIOD, first, PERIOD, &mut rng);
        consent.sent(start + PERIOD * 2, second, PERIOD, &mut rng);
        assert!(consent.awaits(first) && consent.awaits(second));
        assert!(consent.is_silent(start + PERIOD * 2, PERIOD));
        assert_eq!(consent.expires(expiry), start + expiry);
        let answered = start + PERIOD * 2 + Duration::from_millis(50);
        assert_eq!(consent.answered(answered, first), Some(PERIOD + Duration::from_millis(50)));
        assert!(!consent.awaits(second) && !consent.is_silent(start + PERIOD * 9, PERIOD));
        assert_eq!(consent.expires(expiry), answered + expiry);
    }

    #[test]
    fn requests_are_remembered_up_to_a_bound() {
        let (start, mut rng) = (origin(), Rng::from_test_seed(1));
        let mut consent = Consent::new(start, PERIOD, &mut rng);
        for number in 0..160 {
            consent.sent(start, TransactionId([number; 12]), PERIOD, &mut rng);
        }
        assert_eq!(consent.unanswered.len(), MAX_UNANSWERED);
    }
}
