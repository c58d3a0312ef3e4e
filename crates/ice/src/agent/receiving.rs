//! Messages that arrive: the peer's checks (RFC 8445 §7.3) and the answers to ours (§7.2.5).

use std::time::Instant;

use antiphon_stun::{Attribute, AttributeType, ErrorCode, Message, MessageType, TransactionId};
use antiphon_util::Path;
use tracing::trace;

use super::pairing::is_at;
use super::{Agent, LocalSide};
use crate::checklist::{Check, Nomination, PairState, Valid};
use crate::config::Role;
use crate::consent::Consent;
use crate::credentials::Credentials;
use crate::event::DropReason;
use crate::responses::{Answer, Refused, Response};
use crate::rtt::RoundTrip;

/// An authenticated check that came before the peer's credentials; acted on when they are known.
#[derive(Debug)]
pub(super) struct EarlyCheck {
    path: Path,
    ufrag: String,
    priority: u32,
    nomination: Option<u32>,
}

/// What an authenticated check says.
#[derive(Debug, Clone, Copy)]
struct InboundCheck<'a> {
    remote_ufrag: &'a str,
    priority: u32,
    /// Its number, where the check nominates.
    nomination: Option<u32>,
    claim: Option<Claim>,
    /// Whether it belongs to the session before a restart.
    is_former: bool,
}

/// The role that the peer claims, with its tie-breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Claim {
    role: Role,
    tie_breaker: u64,
}

/// What follows from the roles of both ends (RFC 8445 §7.3.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Conflict {
    None,
    /// We change role and answer as usual.
    Switch,
    /// The peer has to change: 487.
    Refuse,
}

/// How a response was taken.
enum Outcome {
    Succeeded(Check),
    RoleConflict(Check),
    Failed,
}

impl Agent {
    /// Handles a STUN message; gives whether it changed anything.
    pub(super) fn handle_stun(&mut self, now: Instant, path: Path, datagram: &[u8]) -> bool {
        let message = match Message::try_from(datagram) {
            Ok(message) if !message.has_fingerprint() || message.verify_fingerprint() => message,
            _ => {
                self.drop_datagram(DropReason::Malformed);
                return false;
            }
        };
        if self.gatherer.base_of(path).is_none() {
            self.drop_datagram(DropReason::UnknownLocalAddress);
            return false;
        }
        match message.kind() {
            MessageType::BINDING_REQUEST if !self.config.remote_addresses.permits(path.remote.ip()) => {
                self.drop_datagram(DropReason::NotPermitted);
                false
            }
            MessageType::BINDING_REQUEST => self.handle_request(now, path, &message),
            MessageType::BINDING_SUCCESS | MessageType::BINDING_ERROR => {
                self.handle_response(now, path, &message)
            }
            // A keep-alive (RFC 8445 §11) says nothing.
            MessageType::BINDING_INDICATION => false,
            _ => {
                self.drop_datagram(DropReason::Unexpected);
                false
            }
        }
    }

    /// Acts on the checks that came before the credentials.
    pub(super) fn take_early_checks(&mut self, now: Instant) {
        for early in std::mem::take(&mut self.remote.early) {
            if self.remote_credentials().is_some_and(|credentials| credentials.ufrag == early.ufrag) {
                self.follow_check(now, early.path, early.priority, early.nomination);
            }
        }
    }

    fn handle_request(&mut self, now: Instant, path: Path, message: &Message<'_>) -> bool {
        let check = match self.read_check(message) {
            Ok(check) => check,
            Err(answer) => {
                let reason = match answer {
                    Answer::Unsigned(ErrorCode { code: 401, .. }) => DropReason::Unauthenticated,
                    _ => DropReason::BadRequest,
                };
                self.drop_datagram(reason);
                self.respond(now, path, message.id(), answer);
                return false;
            }
        };
        if check.is_former {
            self.hear_former(now, path);
            let response = Response { path, id: message.id(), answer: Answer::Success, is_former: true };
            self.queue_response(now, response);
            return true;
        }
        match check.claim.map_or(Conflict::None, |claim| resolve(self.role, self.tie_breaker, claim)) {
            Conflict::None => {}
            Conflict::Switch if !self.config.lite => self.switch_role(),
            Conflict::Switch | Conflict::Refuse => {
                self.drop_datagram(DropReason::RoleConflict);
                self.respond(now, path, message.id(), Answer::Error(ErrorCode::ROLE_CONFLICT));
                return false;
            }
        }
        self.take_embedded(message);
        self.respond(now, path, message.id(), Answer::Success);
        if self.remote.access.is_some() {
            self.follow_check(now, path, check.priority, check.nomination);
        } else {
            self.remember(path, check);
        }
        true
    }

    /// Reads and authenticates a check (RFC 8489 §9.1.3), or tells how to refuse it.
    fn read_check<'a>(&self, message: &Message<'a>) -> Result<InboundCheck<'a>, Answer> {
        let Some(Attribute::Username(username)) = message.attribute(AttributeType::USERNAME) else {
            return Err(Answer::Unsigned(ErrorCode::BAD_REQUEST));
        };
        if !message.has_integrity() {
            return Err(Answer::Unsigned(ErrorCode::BAD_REQUEST));
        }
        let wrong = Answer::Unsigned(ErrorCode::UNAUTHENTICATED);
        let Some((local_ufrag, remote_ufrag)) = username.split_once(':') else { return Err(wrong) };
        let is_short = remote_ufrag.len() <= self.config.limits.credential_len;
        let (local, remote, is_former) = self.session_of(local_ufrag).ok_or(wrong.clone())?;
        let is_peer = remote.is_none_or(|remote| remote.ufrag == remote_ufrag);
        if !is_peer || !is_short || !message.verify_integrity(&local.key) {
            return Err(wrong);
        }
        let unknown: Vec<AttributeType> =
            message.unknown_required(AttributeType::is_of_binding).take(MAX_UNKNOWN_REPORTED).collect();
        if !unknown.is_empty() {
            return Err(Answer::UnknownAttributes(unknown));
        }
        let (mut priority, mut nomination, mut claim) = (None, None, None);
        for attribute in message.attributes().filter_map(|attribute| attribute.decode(message.id()).ok()) {
            match attribute {
                Attribute::Priority(value) => priority = Some(value),
                Attribute::UseCandidate => nomination = nomination.max(Some(UNNUMBERED)),
                Attribute::Nomination(number) if self.config.renomination => {
                    nomination = nomination.max(Some(number));
                }
                Attribute::IceControlling(tie_breaker) => {
                    claim = Some(Claim { role: Role::Controlling, tie_breaker });
                }
                Attribute::IceControlled(tie_breaker) => {
                    claim = Some(Claim { role: Role::Controlled, tie_breaker });
                }
                _ => {}
            }
        }
        let priority = priority.ok_or(Answer::Error(ErrorCode::BAD_REQUEST))?;
        Ok(InboundCheck { remote_ufrag, priority, nomination, claim, is_former })
    }

    fn take_embedded(&mut self, message: &Message<'_>) {
        if let Err(reason) = self.embedding.take(message) {
            self.drop_datagram(reason);
        }
    }

    /// Queues an answer, within the bounds of errors a second and of answers in all.
    fn respond(&mut self, now: Instant, path: Path, id: TransactionId, answer: Answer) {
        self.queue_response(now, Response { path, id, answer, is_former: false });
    }

    fn queue_response(&mut self, now: Instant, response: Response) {
        match self.responses.push(now, response) {
            Ok(()) => {}
            Err(Refused::Full) => self.drop_datagram(DropReason::ResponseLimit),
            Err(Refused::TooManyErrors) => self.drop_datagram(DropReason::ErrorLimit),
        }
    }

    fn remember(&mut self, path: Path, check: InboundCheck<'_>) {
        let known = self.remote.early.iter_mut().find(|e| e.path == path && e.ufrag == check.remote_ufrag);
        if let Some(known) = known {
            known.nomination = known.nomination.max(check.nomination);
            return;
        }
        if self.remote.early.len() >= self.config.limits.early_checks {
            self.drop_datagram(DropReason::EarlyCheckLimit);
            return;
        }
        self.validated.insert(path, self.config.limits.pairs);
        self.remote.early.push(EarlyCheck {
            path,
            ufrag: check.remote_ufrag.to_owned(),
            priority: check.priority,
            nomination: check.nomination,
        });
    }

    /// Acts on an authenticated check (RFC 8445 §7.3.1.3 to §7.3.1.5): learns the candidate, triggers a check of
    /// ours, notes a nomination.
    fn follow_check(&mut self, now: Instant, path: Path, priority: u32, nomination: Option<u32>) {
        let known = self.remote_candidates().any(|candidate| is_at(candidate, path));
        if !known && !self.learn_peer_reflexive(path, priority) {
            self.drop_datagram(DropReason::PeerReflexiveLimit);
            return;
        }
        let Some(pair) = self.pair_of(path) else { return };
        if !self.checklist.insert(pair, true) {
            self.drop_datagram(DropReason::PairLimit);
            return;
        }
        self.validated.insert(path, self.config.limits.pairs);
        if let Some(pair) = self.checklist.find_mut(path) {
            pair.counters.requests_received += 1;
        }
        let nomination = nomination.filter(|_| self.role == Role::Controlled);
        if self.config.lite {
            return self.follow_as_lite(now, path, nomination);
        }
        self.checklist.trigger(path);
        let expiry = self.config.consent_expiry;
        let pacing = self.config.pacing;
        let Some(pair) = self.checklist.find_mut(path) else { return };
        if let Some(number) = nomination {
            pair.nominated = Some(Nomination { number, at: now });
        }
        match &mut pair.state {
            // The peer reaches us: what of ours got lost before may come through now. RFC 8445 §7.3.1.4 begins a new
            // transaction; to send the same one again has the same effect, unless it has just been sent.
            PairState::InProgress(check)
                if check.transaction.last_sent().is_none_or(|sent| now >= sent + pacing) =>
            {
                check.transaction.hasten(now);
            }
            // Unused for so long that it has to show again that it works.
            PairState::Succeeded(valid) if valid.consent.expires(expiry) <= now => {
                pair.state = PairState::Failed;
                self.checklist.trigger(path);
            }
            _ => {}
        }
    }

    /// A lite agent has no checks of its own: what the peer nominates works (RFC 8445 §7.3.2), and its checks are
    /// consent.
    fn follow_as_lite(&mut self, now: Instant, path: Path, nomination: Option<u32>) {
        let Some(pair) = self.checklist.find_mut(path) else { return };
        if let Some(number) = nomination {
            pair.nominated = Some(Nomination { number, at: now });
            if pair.valid().is_none() {
                let consent = Consent::new(now, self.config.consent_period, &mut self.rng);
                pair.state = PairState::Succeeded(Valid { rtt: RoundTrip::default(), consent, check: None });
            }
        }
        if let Some(valid) = pair.valid_mut() {
            valid.consent.heard(now);
        }
    }

    /// The session that checks for `local_ufrag` belong to: its own side, the peer's credentials as far as they are known, and
    /// whether it is the one before a restart.
    fn session_of(&self, local_ufrag: &str) -> Option<(&LocalSide, Option<&Credentials>, bool)> {
        if self.local.credentials.ufrag == local_ufrag {
            return Some((&self.local, self.remote_credentials(), false));
        }
        let former = self.former.as_ref().filter(|former| former.local.credentials.ufrag == local_ufrag)?;
        Some((&former.local, former.remote_credentials(), true))
    }

    fn handle_response(&mut self, now: Instant, path: Path, message: &Message<'_>) -> bool {
        if let Some(changed) = self.handle_former_response(now, path, message) {
            return changed;
        }
        let asked = self.checklist.iter().find(|pair| pair.awaits(message.id())).map(|pair| pair.path);
        let Some(asked) = asked else { return self.handle_server_response(now, path, message) };
        let Some(access) = &self.remote.access else { return false };
        if !message.verify_integrity(&access.key) {
            self.drop_datagram(DropReason::BadResponseIntegrity);
            return false;
        }
        if asked == path && message.kind() == MessageType::BINDING_SUCCESS {
            self.take_embedded(message);
        }
        let outcome = self.read_response(now, asked, path, message);
        match outcome {
            None => {}
            Some(Outcome::Succeeded(check)) => self.check_succeeded(now, asked, &check),
            Some(Outcome::RoleConflict(check)) => self.check_conflicted(asked, &check),
            Some(Outcome::Failed) => {
                if let Some(pair) = self.checklist.find_mut(asked) {
                    pair.state = PairState::Failed;
                    pair.nominated = None;
                }
            }
        }
        true
    }

    /// Takes the check that an authenticated response belongs to; consent checks are dealt with at once.
    fn read_response(
        &mut self,
        now: Instant,
        asked: Path,
        path: Path,
        message: &Message<'_>,
    ) -> Option<Outcome> {
        let is_success = message.kind() == MessageType::BINDING_SUCCESS
            && message.find(AttributeType::XOR_MAPPED_ADDRESS).is_some();
        let error = match message.attribute(AttributeType::ERROR_CODE) {
            Some(Attribute::ErrorCode(error)) => Some(error.code),
            _ => None,
        };
        if asked != path {
            self.drop_datagram(DropReason::AsymmetricResponse);
        } else if !is_success {
            self.drop_datagram(DropReason::Refused);
        }
        let pair = self.checklist.find_mut(asked)?;
        let is_check = pair.check().is_some_and(|check| check.transaction.id() == message.id());
        if !is_check {
            if asked == path && is_success {
                let sent = pair.valid()?.consent.sent_at(message.id());
                pair.counters.answered(now, sent);
                pair.valid_mut()?.consent_answered(now, message.id());
            }
            return None;
        }
        // RFC 8445 §7.2.5.2.1: a check whose answer takes another way has failed.
        if asked != path {
            return Some(Outcome::Failed);
        }
        let check = match &mut pair.state {
            PairState::Succeeded(valid) => valid.check.take()?,
            state => match std::mem::replace(state, PairState::Waiting) {
                PairState::InProgress(check) => check,
                other => {
                    *state = other;
                    return None;
                }
            },
        };
        match (is_success, error) {
            (true, _) => Some(Outcome::Succeeded(check)),
            (false, Some(ROLE_CONFLICT)) => Some(Outcome::RoleConflict(check)),
            (false, _) => Some(Outcome::Failed),
        }
    }

    /// RFC 8445 §7.2.5.3
    fn check_succeeded(&mut self, now: Instant, path: Path, check: &Check) {
        let period = self.config.consent_period;
        let number = check.nomination.filter(|_| check.role == self.role && self.role == Role::Controlling);
        let Some(pair) = self.checklist.find_mut(path) else { return };
        trace!(?path, nomination = number, "check answered");
        self.config.budget.answered(path.remote.ip(), check.transaction.requests());
        self.embedding.answered(path.remote.ip());
        let sent = check.transaction.first_sent().filter(|_| check.transaction.requests() == 1);
        pair.counters.answered(now, sent);
        if pair.valid().is_none() {
            let consent = Consent::new(now, period, &mut self.rng);
            pair.state = PairState::Succeeded(Valid { rtt: RoundTrip::default(), consent, check: None });
        }
        if let Some(number) = number {
            pair.nominated = Some(Nomination { number, at: now });
        }
        let foundation = pair.foundation;
        if let Some(valid) = pair.valid_mut() {
            valid.rtt.answered(now, &check.transaction);
            valid.consent.answered(now, check.transaction.id());
        }
        self.checklist.thaw(foundation);
        self.validated.insert(path, self.config.limits.pairs);
    }

    /// RFC 8445 §7.2.5.1: the peer has the better claim to the role that the check claimed.
    fn check_conflicted(&mut self, path: Path, check: &Check) {
        if check.role == self.role {
            self.switch_role();
            self.tie_breaker = self.rng.u64();
        }
        if let Some(pair) = self.checklist.find_mut(path)
            && !pair.is_pending()
        {
            return;
        }
        self.checklist.trigger(path);
    }

    fn handle_server_response(&mut self, now: Instant, path: Path, message: &Message<'_>) -> bool {
        if !self.gatherer.awaits(path, message.id()) {
            self.drop_datagram(DropReason::UnknownTransaction);
            return false;
        }
        if let Some(candidate) = self.gatherer.handle_response(now, path, message) {
            self.tell_candidate(candidate);
        }
        true
    }
}

impl Valid {
    pub(super) fn consent_answered(&mut self, now: Instant, id: TransactionId) {
        if let Some(time) = self.consent.answered(now, id) {
            self.rtt.sample(time);
        }
        self.check.take_if(|check| check.nomination.is_none());
    }
}

fn resolve(role: Role, tie_breaker: u64, claim: Claim) -> Conflict {
    if claim.role != role {
        return Conflict::None;
    }
    // The larger tie-breaker becomes, or stays, controlling.
    let becomes = if tie_breaker >= claim.tie_breaker { Role::Controlling } else { Role::Controlled };
    if becomes == role { Conflict::Refuse } else { Conflict::Switch }
}

/// The number of a nomination that has none.
const UNNUMBERED: u32 = 1;

/// ERROR-CODE of a role conflict (RFC 8445 §7.3.1.1).
const ROLE_CONFLICT: u16 = 487;

/// No more of the attributes that a request should not have are named in its refusal.
const MAX_UNKNOWN_REPORTED: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_larger_tie_breaker_controls() {
        use Conflict::{None, Refuse, Switch};
        use Role::{Controlled, Controlling};
        let table = [
            (Controlling, 5, Controlled, 9, None),
            (Controlled, 5, Controlling, 9, None),
            (Controlling, 5, Controlling, 4, Refuse),
            (Controlling, 5, Controlling, 5, Refuse),
            (Controlling, 5, Controlling, 6, Switch),
            (Controlled, 5, Controlled, 4, Switch),
            (Controlled, 5, Controlled, 5, Switch),
            (Controlled, 5, Controlled, 6, Refuse),
        ];
        for (role, ours, claimed, theirs, expected) in table {
            assert_eq!(resolve(role, ours, Claim { role: claimed, tie_breaker: theirs }), expected);
        }
    }
}
