//! When a client sends a request again, and when it gives up (RFC 8489 §6.2.1).

use std::time::{Duration, Instant};

use crate::TransactionId;

/// The timing of a request.
///
/// The request is sent `max_requests` times; the interval starts with `timeout` and doubles up to `max_timeout`; after the
/// last one an answer is awaited for `last_wait`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// RTO, the first interval.
    pub timeout: Duration,
    /// The longest interval.
    pub max_timeout: Duration,
    /// Rc, requests in all.
    pub max_requests: u32,
    /// Rm × RTO, the wait after the last request.
    pub last_wait: Duration,
}

impl Timing {
    /// The timing that RFC 8489 §6.2.1 recommends, for an initial `timeout`: 7 requests, and a wait of 16 of them after the
    /// last; 39.5 s in all for one of 500 ms.
    pub fn recommended(timeout: Duration) -> Self {
        Self { timeout, max_timeout: Duration::MAX, max_requests: 7, last_wait: timeout * 16 }
    }

    /// The timing of RFC 8489 §6.2.2 over TCP and TLS, which repeat on their own: sent once, given up after 39.5 s.
    pub fn reliable() -> Self {
        let wait = RELIABLE_TIMEOUT;
        Self { timeout: wait, max_timeout: wait, max_requests: 1, last_wait: wait }
    }

    /// Whether requests are sent once only, for the transport repeats them.
    pub fn is_reliable(&self) -> bool {
        self.max_requests == 1
    }
}

/// The time that a request over a reliable transport has (RFC 8489 §6.2.2).
const RELIABLE_TIMEOUT: Duration = Duration::from_millis(39_500);

/// What a transaction wants done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Send the request (again) now.
    Send,
    /// Nothing before [`ClientTransaction::due`].
    Wait,
    /// No answer came; the transaction has failed.
    TimedOut,
}

/// One request that awaits its answer; dropped when the answer has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientTransaction {
    id: TransactionId,
    timing: Timing,
    interval: Duration,
    sent: u32,
    first_sent: Option<Instant>,
    last_sent: Option<Instant>,
    due: Instant,
}

impl ClientTransaction {
    /// A request whose first sending is due at `now`.
    pub fn new(now: Instant, id: TransactionId, timing: Timing) -> Self {
        let interval = timing.timeout;
        Self { id, timing, interval, sent: 0, first_sent: None, last_sent: None, due: now }
    }

    /// What is to be done at `now`; after [`Step::Send`] the request counts as sent.
    pub fn step(&mut self, now: Instant) -> Step {
        if now < self.due {
            return Step::Wait;
        }
        if self.sent >= self.timing.max_requests {
            return Step::TimedOut;
        }
        self.sent += 1;
        self.first_sent.get_or_insert(now);
        self.last_sent = Some(now);
        let wait = if self.sent == self.timing.max_requests { self.timing.last_wait } else { self.interval };
        self.due = now + wait;
        self.interval = self.interval.saturating_mul(2).min(self.timing.max_timeout);
        Step::Send
    }

    /// Makes the next sending due at `now`, unless none is left: there is a sign that the peer can be reached.
    pub fn hasten(&mut self, now: Instant) {
        if self.sent < self.timing.max_requests {
            self.due = self.due.min(now);
        }
    }

    /// The id that the answer repeats.
    pub fn id(&self) -> TransactionId {
        self.id
    }

    /// When [`step`](Self::step) has something to do.
    pub fn due(&self) -> Instant {
        self.due
    }

    /// Whether [`step`](Self::step) would fail at [`due`](Self::due) instead of sending.
    pub fn is_exhausted(&self) -> bool {
        self.sent >= self.timing.max_requests
    }

    /// How often the request was sent.
    pub fn requests(&self) -> u32 {
        self.sent
    }

    /// When the request was sent first.
    pub fn first_sent(&self) -> Option<Instant> {
        self.first_sent
    }

    /// When the request was sent last.
    pub fn last_sent(&self) -> Option<Instant> {
        self.last_sent
    }
}

#[cfg(test)]
mod tests {
    use antiphon_testkit::origin;

    use super::*;

    fn schedule(timing: Timing) -> (Vec<u128>, u128) {
        let start = origin();
        let mut transaction = ClientTransaction::new(start, TransactionId([0; 12]), timing);
        let mut sent = Vec::new();
        loop {
            let due = transaction.due();
            match transaction.step(due) {
                Step::Send => sent.push((due - start).as_millis()),
                Step::Wait => panic!("it was due"),
                Step::TimedOut => return (sent, (due - start).as_millis()),
            }
        }
    }

    #[test]
    fn follows_the_schedule_of_the_rfc() {
        let (sent, failed) = schedule(Timing::recommended(Duration::from_millis(500)));
        assert_eq!(sent, [0, 500, 1_500, 3_500, 7_500, 15_500, 31_500]);
        assert_eq!(failed, 39_500);
    }

    #[test]
    fn intervals_stop_growing_at_the_longest() {
        let ms = Duration::from_millis;
        let timing = Timing { timeout: ms(100), max_timeout: ms(200), max_requests: 4, last_wait: ms(1_000) };
        assert_eq!(schedule(timing), (vec![0, 100, 300, 500], 1_500));
    }

    #[test]
    fn waits_until_due_and_can_be_hastened() {
        let start = origin();
        let timing = Timing::recommended(Duration::from_millis(500));
        let mut transaction = ClientTransaction::new(start, TransactionId([0; 12]), timing);
        assert_eq!(transaction.step(start), Step::Send);
        let later = start + Duration::from_millis(100);
        assert_eq!(transaction.step(later), Step::Wait);
        transaction.hasten(later);
        assert_eq!(transaction.step(later), Step::Send);
        assert_eq!(transaction.due(), later + Duration::from_millis(1_000));
        assert_eq!((transaction.first_sent(), transaction.last_sent()), (Some(start), Some(later)));
    }
}
