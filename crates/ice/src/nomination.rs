//! Which pair is nominated, and which is used (RFC 8445 §8.1).

use std::time::{Duration, Instant};

use antiphon_util::Path;

use crate::checklist::{Checklist, Pair, PairState, Valid};
use crate::config::Role;
use crate::consent::Liveness;

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
    /// Whether a better pair takes over from one that is nominated and works.
    pub(crate) renominates: bool,
}

/// An answer may be this much later than that of another pair, if not half the round-trip time.
const ALLOWANCE: Duration = Duration::from_millis(10);

/// Decides for the controlling agent: the best pair that works is nominated as soon as no better one can be expected.
/// An untried better pair is awaited for a while; one being checked for the round-trip time of the pair that
/// works and half of it, but no pair that was checked Ta before that one, since its answer should have come first.
///
/// Where both sides know renomination, a better pair takes over at once. Otherwise a nomination is final, and only a
/// nominated pair that has fallen silent makes room for another that answers. RFC 8445 §8.1.1 has the session restarted
/// instead; browsers follow, and it spares the interruption.
pub(crate) fn decide(checklist: &Checklist, now: Instant, liveness: Liveness, waiting: Waiting) -> Decision {
    let is_responsive = |valid: &&Valid| valid.consent.is_responsive(now, liveness);
    let responsive = |pair| Some((pair, Pair::valid(pair).filter(is_responsive)?));
    let Some((best, valid)) = checklist.iter().find_map(responsive) else {
        return Decision::Nothing;
    };
    let is_being_nominated = |pair: &Pair| pair.check().is_some_and(|check| check.nomination.is_some());
    let working = || checklist.iter().filter_map(responsive).map(|(pair, _)| pair);
    let chosen = working().filter(|pair| pair.nominated.is_some()).max_by_key(|pair| pair.nominated);
    if working().any(is_being_nominated)
        || chosen.is_some_and(|chosen| !waiting.renominates || chosen.path == best.path)
    {
        return Decision::Nothing;
    }
    if chosen.is_some() {
        return Decision::Nominate(best.path);
    }
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

/// The pair to send on: one that answers before one that is silent, nominated before merely working, and the best of
/// those. Of several nominations of our own the last counts; where a controlling peer has nominated several
/// (aggressive nomination, RFC 5245 §8.1.1.2), the best of those it nominated lately.
pub(crate) fn select(checklist: &Checklist, role: Role, now: Instant, liveness: Liveness) -> Option<&Pair> {
    let responsive = |pair: &&Pair| pair.valid().is_some_and(|v| v.consent.is_responsive(now, liveness));
    let consented = |pair: &&Pair| pair.valid().is_some_and(|v| v.consent.expires(liveness.expiry) > now);
    best(role, || checklist.iter().filter(responsive))
        .or_else(|| best(role, || checklist.iter().filter(consented)))
}

fn best<'a, I: Iterator<Item = &'a Pair>>(role: Role, pairs: impl Fn() -> I) -> Option<&'a Pair> {
    let Some(latest) = pairs().filter_map(|pair| pair.nominated).max() else {
        return pairs().next();
    };
    let lifetime = match role {
        Role::Controlling => Duration::ZERO,
        Role::Controlled => NOMINATION_LIFETIME,
    };
    pairs().find(|pair| {
        pair.nominated.is_some_and(|nomination| {
            nomination.number == latest.number && nomination.at + lifetime >= latest.at
        })
    })
}
