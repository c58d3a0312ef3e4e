//! What follows from any change: nomination, selection, the states, what is due next.

use std::time::Instant;

use tracing::debug;

use super::restarting::Former;
use super::{Agent, Schedule};
use crate::checklist::Pair;
use crate::config::{Config, Role};
use crate::event::Event;
use crate::nomination::{self, Decision, Waiting};
use crate::state::{self, Facts, GatheringState, IceState, Selection};

impl Agent {
    /// Draws the consequences of a change: nomination, selection, states, and what is due next. Every method that changes
    /// something ends here.
    pub(super) fn settle(&mut self, now: Instant) {
        if self.has_ended() {
            return;
        }
        self.decide_nomination(now);
        self.update_selection(now);
        self.update_gathering_state();
        if self.schedule.patience.is_some_and(|until| until <= now) {
            self.schedule.patience = None;
            self.schedule.impatient = true;
        }
        let next = state::next(self.shown.ice, self.facts(now));
        if next == IceState::Failed {
            self.release();
        }
        let is_cut_now = next == IceState::Disconnected && self.shown.ice != next;
        self.show(next);
        if is_cut_now {
            self.pair_again();
        }
        self.schedule.due = self.compute_due(now);
    }

    fn decide_nomination(&mut self, now: Instant) {
        self.schedule.nomination = None;
        if self.checklist.iter().all(|pair| pair.valid().is_none()) {
            return;
        }
        let since = *self.schedule.valid_since.get_or_insert(now);
        if self.role != Role::Controlling {
            return;
        }
        let Config { nomination_patience: patience, pacing, .. } = self.config;
        let liveness = self.config.liveness();
        let waiting = Waiting { since, patience, pacing, renominates: self.renominates() };
        match nomination::decide(&self.checklist, now, liveness, waiting) {
            Decision::Nominate(path) => self.nominate(now, path),
            Decision::WaitUntil(until) => self.schedule.nomination = Some(until),
            Decision::Nothing => {}
        }
    }

    /// Selects the pair to send on.
    fn update_selection(&mut self, now: Instant) {
        let best = nomination::select(&self.checklist, self.role, now, self.config.liveness());
        let Some(pair) = best else {
            if self.selected.take().is_some() {
                self.schedule.lost = Some(now);
            }
            return;
        };
        let (path, priority, nominated) = (pair.path, pair.priority, pair.nominated.is_some());
        let is_silent = self.is_silent(pair, now);
        self.schedule.consent_lost = false;
        self.schedule.lost = None;
        if nominated && !is_silent {
            // Our own nomination is final unless both sides know renomination; a controlling browser may still move to a
            // better pair.
            let is_final = self.role == Role::Controlling && !self.renominates();
            self.checklist.conclude(if is_final { u64::MAX } else { priority });
            self.supersede_former(now);
        }
        if self.selected != Some(path) {
            debug!(?path, nominated, "path selected");
            self.selected = Some(path);
            self.events.retain(|event| !matches!(event, Event::SelectedPathChanged(_)));
            self.events.push_back(Event::SelectedPathChanged(path));
        }
    }

    fn facts(&self, now: Instant) -> Facts {
        let pending = !self.config.lite && self.checklist.iter().any(Pair::is_pending);
        let former = self.former.as_ref().and_then(Former::pair);
        let selection = match self.selected_pair() {
            Some(pair) if self.is_silent(pair, now) => Selection::Silent,
            Some(pair) if pair.nominated.is_some() => Selection::Nominated,
            Some(_) => Selection::Valid,
            None if former.is_some_and(|pair| !self.is_silent(pair, now)) => Selection::Valid,
            None if self.schedule.consent_lost => Selection::Expired,
            None if self.lost_until().is_some_and(|until| until <= now) => Selection::Expired,
            None => Selection::None,
        };
        Facts {
            started: self.remote.access.is_some(),
            selection,
            finished: self.remote.complete && self.gatherer.is_complete() && !pending,
            impatient: self.schedule.impatient,
        }
    }

    /// Whether the pair in use seems to be cut.
    pub(super) fn is_silent(&self, pair: &Pair, now: Instant) -> bool {
        self.silent_at(pair).is_some_and(|at| at <= now)
    }

    /// Whether a better pair takes over from one that is nominated and works.
    pub(super) fn renominates(&self) -> bool {
        self.config.renomination && self.remote.renomination
    }

    fn lost_until(&self) -> Option<Instant> {
        Some(self.schedule.lost? + self.config.consent_expiry)
    }

    fn silent_at(&self, pair: &Pair) -> Option<Instant> {
        let consent = &pair.valid()?.consent;
        if self.config.lite {
            return Some(consent.unheard_at(self.config.liveness()));
        }
        Some(consent.unanswered_since()? + self.config.disconnected_after)
    }

    fn update_gathering_state(&mut self) {
        let gathering = match (self.gatherer.is_begun(), self.gatherer.is_complete()) {
            (false, _) => GatheringState::New,
            (true, false) => GatheringState::Gathering,
            (true, true) => GatheringState::Complete,
        };
        if self.shown.gathering != gathering {
            self.shown.gathering = gathering;
            self.events.push_back(Event::GatheringStateChanged(gathering));
        }
    }

    pub(super) fn show(&mut self, ice: IceState) {
        if self.shown.ice != ice {
            debug!(from = ?self.shown.ice, to = ?ice, "state");
            self.shown.ice = ice;
            self.events.push_back(Event::StateChanged(ice));
        }
    }

    /// Frees what only a living session needs.
    pub(super) fn release(&mut self) {
        self.checklist.clear();
        self.validated.clear();
        self.responses.clear();
        self.remote.early.clear();
        self.selected = None;
        self.former = None;
        self.schedule = Schedule::default();
    }

    pub(super) fn compute_due(&self, now: Instant) -> Option<Instant> {
        let selected = self.carrying_pair();
        let silent_at = selected.and_then(|pair| self.silent_at(pair));
        let patience = if self.selected.is_none() { self.schedule.patience } else { None };
        // Once told, silence causes nothing more until an answer comes.
        let is_up = matches!(self.shown.ice, IceState::Connected | IceState::Completed);
        let silent_at = silent_at.filter(|_| is_up);
        [self.schedule.nomination, patience, silent_at, self.lost_until()]
            .into_iter()
            .flatten()
            .chain(self.checks_due(now))
            .chain(self.former_due())
            .chain(self.gatherer.due(self.selected.is_none()))
            .min()
    }
}
