//! Which pair is nominated, and which is used (RFC 8445 §8.1).

use std::time::{Duration, Instant};

use antiphon_util::Path;

use crate::checklist::{Checklist, Pair, PairState};
use crate::config::Role;

/// What the controlling agent does about nomination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Nominate this pair now.
    Nominate(Path),
    /// A better pair may still turn out to work; decide again then.
    WaitUntil(Instant),
    /// There is nothing to nominate, or it has been done.
    Nothing,
}

/// How long nomination waits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waiting {
    /// When there was a working pair first.
    pub(crate) since: Instant,
    /// For better pairs that have not been tried.
    pub(crate) patience: Duration,
    /// Ta, the time between two checks.
    pub(crate) pacing: Duration,
}

/// An answer may be this much later than that of another pair, if not half the round-trip time.
const ALLOWANCE: Duration = Duration::from_millis(10);

/// Decides for the controlling agent: the best pair that works is nominated as soon as no better one can be expected.
/// An untried better pair is awaited for a while; one being checked for the round-trip time of the pair that
/// works and half of it, but no pair that was checked Ta before that one, since its answer should have come first.
pub(crate) fn decide(checklist: &Checklist, now: Instant, waiting: Waiting) -> Decision {
    let done = |pair: &Pair| pair.nominated.is_some() || pair.check().is_some_and(|check| check.nominates);
    if checklist.iter().any(done) {
        return Decision::Nothing;
    }
    let Some((best, valid)) = checklist.iter().find_map(|pair| Some((pair, pair.valid()?))) else {
        return Decision::Nothing;
    };
    let patient_until = waiting.since + waiting.patience;
    let round_trip = valid.rtt.get().unwrap_or_default();
    let answer_time = round_trip + (round_trip / 2).max(ALLOWANCE).min(waiting.pacing);
    let better = checklist.iter().take_while(|pair| pair.path != best.path);
    let expected = better.filter_map(|pair| match &pair.state {
        PairState::Frozen | PairState::Waiting => Some(patient_until),
        PairState::InProgress(check) => {
            Some((check.transaction.first_sent()? + answer_time).min(patient_until))
        }
        PairState::Succeeded(_) | PairState::Failed => None,
    });
    match expected.max() {
        Some(until) if until > now => Decision::WaitUntil(until),
        _ => Decision::Nominate(best.path),
    }
}

/// Nominations this much older than the latest don't count any more: a controlling browser repeats USE-CANDIDATE
/// on the pair that it uses every few seconds, and on none that it has left.
const NOMINATION_LIFETIME: Duration = Duration::from_secs(6);

/// The pair to send on: nominated before merely working, and the best of those. Where a controlling agent has nominated
/// several (aggressive nomination, RFC 5245 §8.1.1.2), the best of those it nominated lately.
pub(crate) fn select(checklist: &Checklist, role: Role, now: Instant, expiry: Duration) -> Option<&Pair> {
    let is_usable = |pair: &&Pair| pair.valid().is_some_and(|valid| valid.consent.expires(expiry) > now);
    let valid = || checklist.iter().filter(is_usable);
    let Some(latest) = valid().filter_map(|pair| pair.nominated).max() else {
        return valid().next();
    };
    let is_current = |pair: &&Pair| match (role, pair.nominated) {
        (Role::Controlling, nominated) => nominated.is_some(),
        (Role::Controlled, Some(at)) => at + NOMINATION_LIFETIME > latest,
        (Role::Controlled, None) => false,
    };
    valid().find(is_current)
}
