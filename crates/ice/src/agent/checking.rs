//! Our own checks: which is due, how it looks, what happens when no answer comes (RFC 8445 §7.2).

use std::time::{Duration, Instant};

use antiphon_stun::{
    Attribute, ClientTransaction, MessageBuilder, MessageType, Step, Timing, TooLong, TransactionId,
};
use antiphon_util::{Path, Protocol, Transmit, Writer};

use super::{Agent, RemoteAccess};
use crate::checklist::{Check, Pair, PairState, Valid};
use crate::config::Role;
use crate::embedding::Load;
use crate::event::DropReason;

/// A request that is about to be sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request {
    pub(super) path: Path,
    pub(super) id: TransactionId,
    pub(super) role: Role,
    /// The number of the nomination that it makes.
    pub(super) nomination: Option<u32>,
}

/// After an unanswered consent check the path is probed this often until it answers or consent expires: RFC 7675 §5.1
/// has consent checks themselves sent every 4 s at most.
const PROBE_INTERVAL: Duration = Duration::from_millis(500);

const PROBE_TIMING: Timing = Timing {
    timeout: PROBE_INTERVAL,
    max_timeout: PROBE_INTERVAL,
    max_requests: 120,
    last_wait: PROBE_INTERVAL,
};

impl Agent {
    /// Appends the check that is due: a triggered one, a repetition, a consent check, or the next in order.
    pub(super) fn transmit_check(&mut self, now: Instant, buf: &mut Vec<u8>) -> Option<Transmit> {
        if self.config.lite {
            return None;
        }
        self.remote.access.as_ref()?;
        let request = self
            .start_triggered(now)
            .or_else(|| self.repeat_check(now))
            .or_else(|| self.start_consent_check(now))
            .or_else(|| self.start_ordinary(now))?;
        self.count_request(now, request);
        let access = self.remote.access.as_ref()?;
        let load = self.embedding.load(request.path.remote.ip(), access.username.len());
        self.transmit_request(request, access, load, buf)
    }

    fn count_request(&mut self, now: Instant, request: Request) {
        if let Some(pair) = self.checklist.find_mut(request.path) {
            pair.counters.sent(now);
            if pair.valid().is_some_and(|valid| valid.consent.awaits(request.id)) {
                pair.counters.consent_requests_sent += 1;
            }
        }
    }

    /// Appends a check that is made with `access` and carries `load`.
    pub(super) fn transmit_request(
        &self,
        request: Request,
        access: &RemoteAccess,
        load: Load,
        buf: &mut Vec<u8>,
    ) -> Option<Transmit> {
        let start = buf.len();
        match self.write_check(request, access, load, buf) {
            Ok(len) => Some(Transmit { path: request.path, ecn: None, len, segment_size: None }),
            Err(TooLong) => {
                buf.truncate(start);
                None
            }
        }
    }

    /// Appends the request to a STUN server that is due.
    pub(super) fn transmit_inquiry(&mut self, now: Instant, buf: &mut Vec<u8>) -> Option<Transmit> {
        let (path, id) = self.gatherer.next_request(now)?;
        let mut writer = Writer::new(buf);
        let mut builder = MessageBuilder::new(&mut writer, MessageType::BINDING_REQUEST, id);
        builder.fingerprint();
        let len = builder.finish().ok()?;
        Some(Transmit { path, ecn: None, len, segment_size: None })
    }

    /// Sends USE-CANDIDATE on a pair that works (RFC 8445 §8.1.1).
    pub(super) fn nominate(&mut self, now: Instant, path: Path) {
        self.nominations += 1;
        let check = self.new_check(now, self.timing_on(path), Some(self.nominations));
        if let Some(valid) = self.checklist.find_mut(path).and_then(Pair::valid_mut) {
            valid.check = Some(check);
        }
    }

    /// Fails what was not answered in time, and looks for signs of life where a consent check was not answered.
    pub(super) fn expire(&mut self, now: Instant) {
        let (expiry, selected) = (self.config.consent_expiry, self.selected);
        // Another pair that works may take over from one that seems to be cut.
        let is_cut = self.selected_pair().is_some_and(|pair| self.is_silent(pair, now));
        let mut to_probe = Vec::new();
        for pair in self.checklist.iter_mut() {
            let keeps_consent = self.config.lite || keeps_consent(pair, selected);
            let has_failed = match &mut pair.state {
                PairState::InProgress(check) => check.has_timed_out(now),
                PairState::Succeeded(valid) if keeps_consent && valid.consent.expires(expiry) <= now => {
                    self.schedule.consent_lost = true;
                    true
                }
                PairState::Succeeded(valid) => {
                    let is_overdue = keeps_consent && valid.probe_due().is_some_and(|due| due <= now);
                    if (is_overdue || is_cut && valid.check.is_none()) && !self.config.lite {
                        to_probe.push(pair.path);
                    }
                    let ended = valid.check.take_if(|check| check.has_timed_out(now));
                    ended.is_some_and(|check| check.nomination.is_some())
                }
                PairState::Frozen | PairState::Waiting | PairState::Failed => false,
            };
            if has_failed {
                pair.state = PairState::Failed;
                pair.nominated = None;
            }
        }
        for path in to_probe {
            let check = self.new_check(now, PROBE_TIMING, None);
            if let Some(valid) = self.checklist.find_mut(path).and_then(Pair::valid_mut) {
                valid.check = Some(check);
            }
        }
    }

    /// When checks have something to do: send, repeat, or fail; `now` where it is at once.
    pub(super) fn checks_due(&self, now: Instant) -> Option<Instant> {
        self.remote.access.as_ref()?;
        if self.config.lite {
            let expires = |pair: &Pair| Some(pair.valid()?.consent.expires(self.config.consent_expiry));
            return self.checklist.iter().filter_map(expires).min();
        }
        if self.checklist.has_triggered() {
            return Some(now);
        }
        let ordinary = self.checklist.next_ordinary().map(|_| self.schedule.next_ordinary.unwrap_or(now));
        let (expiry, selected) = (self.config.consent_expiry, self.selected);
        let of_pair = |pair: &Pair| {
            let check = pair.check().map(|check| check.transaction.due());
            let consent = pair.valid().filter(|_| keeps_consent(pair, selected)).and_then(|valid| {
                let consent = valid.consent.due().min(valid.consent.expires(expiry));
                [Some(consent), valid.probe_due()].into_iter().flatten().min()
            });
            [check, consent].into_iter().flatten().min()
        };
        self.checklist.iter().filter_map(of_pair).chain(ordinary).min()
    }

    fn start_triggered(&mut self, now: Instant) -> Option<Request> {
        let path = self.checklist.next_triggered()?;
        // Not paced: the peer's checks are, and each pair is triggered once. Nor do the others wait for it, since two translators
        // that map by address and port have the ends learn from each other without end.
        self.start_check(now, path)
    }

    fn start_ordinary(&mut self, now: Instant) -> Option<Request> {
        if self.schedule.next_ordinary.is_some_and(|at| now < at) {
            return None;
        }
        let path = self.checklist.next_ordinary()?;
        self.schedule.next_ordinary = Some(now + self.config.pacing);
        self.start_check(now, path)
    }

    /// Moves the pair to in-progress; its first request counts as sent.
    fn start_check(&mut self, now: Instant, path: Path) -> Option<Request> {
        let mut timing = self.timing_on(path);
        timing.timeout = timing.timeout.max(self.paced_round());
        let mut check = self.new_check(now, timing, None);
        if !self.may_spend(now, path) {
            return None;
        }
        let request = check.request(path, now)?;
        self.checklist.find_mut(path)?.state = PairState::InProgress(check);
        Some(request)
    }

    fn repeat_check(&mut self, now: Instant) -> Option<Request> {
        loop {
            let (path, request) = self.checklist.iter_mut().find_map(|pair| {
                let path = pair.path;
                Some((path, pair.check_mut()?.request(path, now)?))
            })?;
            let is_proven = self.checklist.find(path).is_some_and(|pair| pair.valid().is_some());
            if is_proven || self.may_spend(now, path) {
                return Some(request);
            }
        }
    }

    /// Whether the budget allows one more check to an address that has not answered; otherwise the pair has failed.
    fn may_spend(&mut self, now: Instant, path: Path) -> bool {
        let may = self.config.budget.spend(now, path.remote.ip());
        if !may {
            self.drops.count(DropReason::CheckBudget);
            self.checklist.find_mut(path).into_iter().for_each(Pair::fail);
        }
        may
    }

    fn start_consent_check(&mut self, now: Instant) -> Option<Request> {
        let (period, selected) = (self.config.consent_period, self.selected);
        let (tag, rng) = (self.tag, &mut self.rng);
        let role = self.role;
        self.checklist.iter_mut().find_map(|pair| {
            if !keeps_consent(pair, selected) {
                return None;
            }
            let path = pair.path;
            let valid = pair.valid_mut().filter(|valid| valid.consent.due() <= now)?;
            let id = tag.id(rng);
            valid.consent.sent(now, id, period, rng);
            Some(Request { path, id, role, nomination: None })
        })
    }

    fn timing_on(&self, path: Path) -> Timing {
        match path.protocol {
            Protocol::Udp => self.config.check_timing,
            Protocol::Tcp => Timing::reliable(),
        }
    }

    fn new_check(&mut self, now: Instant, timing: Timing, nomination: Option<u32>) -> Check {
        let transaction = ClientTransaction::new(now, self.tag.id(&mut self.rng), timing);
        Check { transaction, role: self.role, nomination }
    }

    /// Ta for every pair that has its turn before a check is repeated (RFC 8445 §14.3).
    fn paced_round(&self) -> Duration {
        let active = self.checklist.iter().filter(|pair| pair.is_active()).count();
        self.config.pacing.saturating_mul(u32::try_from(active).unwrap_or(u32::MAX))
    }

    fn write_check(
        &self,
        request: Request,
        access: &RemoteAccess,
        load: Load,
        buf: &mut Vec<u8>,
    ) -> Result<usize, TooLong> {
        let base = self.gatherer.base_of(request.path).ok_or(TooLong)?;
        let mut writer = Writer::new(buf);
        let mut builder = MessageBuilder::new(&mut writer, MessageType::BINDING_REQUEST, request.id);
        builder.attribute(&Attribute::Username(&access.username));
        builder.attribute(&match request.role {
            Role::Controlling => Attribute::IceControlling(self.tie_breaker),
            Role::Controlled => Attribute::IceControlled(self.tie_breaker),
        });
        if let Some(number) = request.nomination {
            builder.attribute(&Attribute::UseCandidate);
            if self.renominates() {
                builder.attribute(&Attribute::Nomination(number));
            }
        }
        builder.attribute(&Attribute::Priority(base.reflexive_priority));
        self.embedding.write(load, &mut builder);
        builder.message_integrity(&access.key);
        builder.fingerprint();
        builder.finish()
    }
}

impl Check {
    /// The request, if it is to be sent (again) at `now`; it counts as sent then.
    fn request(&mut self, path: Path, now: Instant) -> Option<Request> {
        if self.transaction.is_exhausted() || self.transaction.step(now) != Step::Send {
            return None;
        }
        Some(Request { path, id: self.transaction.id(), role: self.role, nomination: self.nomination })
    }

    fn has_timed_out(&self, now: Instant) -> bool {
        self.transaction.is_exhausted() && self.transaction.due() <= now
    }
}

impl Valid {
    /// When to look for signs of life: a consent check should have been answered by then.
    fn probe_due(&self) -> Option<Instant> {
        if self.check.is_some() {
            return None;
        }
        let answer_time = (self.rtt.get().unwrap_or_default() * 2).max(PROBE_INTERVAL);
        Some(self.consent.unanswered_since()? + answer_time)
    }
}

/// Whether consent is maintained on `pair`: data may go over it.
fn keeps_consent(pair: &Pair, selected: Option<Path>) -> bool {
    selected == Some(pair.path) || pair.nominated.is_some()
}
