//! ICE restart (RFC 8445 §9): a new session finds its pair while the one before goes on carrying the traffic.

use std::time::Instant;

use antiphon_stun::{Message, MessageType};
use antiphon_util::{Path, Transmit};
use tracing::debug;

use super::checking::Request;
use super::{Agent, LocalSide, RemoteSide, Schedule};
use crate::checklist::Pair;
use crate::config::Role;
use crate::credentials::Credentials;
use crate::embedding::Load;
use crate::event::{DropReason, Event};
use crate::state::{GatheringState, IceState};

/// The session before the restart.
#[derive(Debug)]
pub(super) struct Former {
    pub(super) local: LocalSide,
    remote: RemoteSide,
    role: Role,
    /// Its selected pair, as long as consent to it lasts.
    pair: Option<Pair>,
    /// When the new session had a pair nominated, which says that the peer is there as well. From then on this one only
    /// answers, for those checks of the peer's that are late.
    superseded: Option<Instant>,
}

impl Former {
    /// The pair that carries the traffic while the new session has none.
    pub(super) fn pair(&self) -> Option<&Pair> {
        self.pair.as_ref().filter(|_| self.superseded.is_none())
    }

    pub(super) fn remote_credentials(&self) -> Option<&Credentials> {
        self.remote.access.as_ref().map(|access| &access.credentials)
    }

    fn pair_mut(&mut self) -> Option<&mut Pair> {
        self.pair.as_mut().filter(|_| self.superseded.is_none())
    }
}

impl Agent {
    /// Restarts ICE with `credentials`, or fresh ones. All local candidates are told again, servers are asked again, and
    /// the peer's credentials and candidates have to be given anew. Datagrams go on over the pair that was selected, with
    /// consent to it maintained, until the new session has one. An agent that has failed comes to life again; one
    /// that is closed does not.
    pub fn restart(&mut self, now: Instant, credentials: Option<Credentials>) {
        if self.state() == IceState::Closed {
            return;
        }
        debug!("restart");
        let credentials = credentials.unwrap_or_else(|| Credentials::random(&mut self.rng));
        let local = LocalSide::new(self.config.provider, credentials);
        self.leave_session(local);
        self.show(match self.state() {
            IceState::Completed => IceState::Connected,
            IceState::Disconnected | IceState::Failed => IceState::Checking,
            state => state,
        });
        self.shown.gathering = GatheringState::Gathering;
        self.events.push_back(Event::GatheringStateChanged(GatheringState::Gathering));
        for candidate in self.gatherer.restart(now, &mut self.rng) {
            self.tell_candidate(candidate);
        }
        self.settle(now);
    }

    /// Takes back a restart to which the peer has not agreed: the session before goes on. Gives whether there was one.
    pub fn cancel_restart(&mut self, now: Instant) -> bool {
        if self.remote.access.is_some() || self.has_ended() {
            return false;
        }
        let Some(former) = self.former.take() else { return false };
        debug!("restart taken back");
        let Former { local, remote, role, pair, .. } = former;
        (self.local, self.remote, self.role) = (local, remote, role);
        self.responses.clear();
        self.checklist.clear();
        self.schedule = Schedule { valid_since: pair.is_some().then_some(now), ..Schedule::default() };
        self.selected = pair.as_ref().map(|pair| pair.path);
        if let Some(pair) = pair {
            self.checklist.restore(pair);
        } else {
            self.schedule.patience = Some(now + self.config.patience);
            self.add_pairs(|_| true);
        }
        self.settle(now);
        true
    }

    /// The user name fragments by which checks for this agent may name it: that of the session before a restart comes
    /// last.
    pub fn local_ufrags(&self) -> impl Iterator<Item = &str> {
        let former = self.former.as_ref().map(|former| &former.local);
        std::iter::once(&self.local).chain(former).map(|local| local.credentials.ufrag.as_str())
    }

    /// The path of the session before, while it carries the traffic.
    pub(super) fn former_path(&self) -> Option<Path> {
        Some(self.former.as_ref()?.pair()?.path)
    }

    /// The pair that carries the traffic: of this session, or of the one before.
    pub(super) fn carrying_pair(&self) -> Option<&Pair> {
        self.selected_pair().or_else(|| self.former.as_ref()?.pair())
    }

    /// The new session has a nominated pair.
    pub(super) fn supersede_former(&mut self, now: Instant) {
        if let Some(former) = &mut self.former {
            former.superseded.get_or_insert(now);
        }
    }

    /// Ends what time has ended of the session before.
    pub(super) fn expire_former(&mut self, now: Instant) {
        let expiry = self.config.consent_expiry;
        let Some(former) = &mut self.former else { return };
        if former.superseded.is_some_and(|since| since + expiry <= now) {
            self.former = None;
            return;
        }
        let lapsed = |pair: &mut Pair| pair.valid().is_none_or(|valid| valid.consent.expires(expiry) <= now);
        if former.pair.take_if(lapsed).is_some() {
            debug!("consent to the pair before the restart has expired");
        }
    }

    /// When the session before has something to do.
    pub(super) fn former_due(&self) -> Option<Instant> {
        let former = self.former.as_ref()?;
        let expiry = self.config.consent_expiry;
        if let Some(since) = former.superseded {
            return Some(since + expiry);
        }
        let consent = &former.pair()?.valid()?.consent;
        let check = (!self.config.lite).then(|| consent.due());
        [check, Some(consent.expires(expiry))].into_iter().flatten().min()
    }

    /// Appends the consent check of the pair before the restart that is due.
    pub(super) fn transmit_former(&mut self, now: Instant, buf: &mut Vec<u8>) -> Option<Transmit> {
        if self.config.lite {
            return None;
        }
        let (tag, period, rng) = (self.tag, self.config.consent_period, &mut self.rng);
        let former = self.former.as_mut()?;
        let role = former.role;
        let pair = former.pair_mut()?;
        let path = pair.path;
        let valid = pair.valid_mut().filter(|valid| valid.consent.due() <= now)?;
        let id = tag.id(rng);
        valid.consent.sent(now, id, period, rng);
        let access = self.former.as_ref()?.remote.access.as_ref()?;
        self.transmit_request(Request { path, id, role, nomination: None }, access, Load::Nothing, buf)
    }

    /// Takes the answer to a consent check of the pair before the restart; `None` where it answers none of those.
    pub(super) fn handle_former_response(
        &mut self,
        now: Instant,
        path: Path,
        message: &Message<'_>,
    ) -> Option<bool> {
        let former = self.former.as_mut()?;
        former.pair().filter(|pair| pair.path == path && pair.awaits(message.id()))?;
        let authentic =
            former.remote.access.as_ref().is_some_and(|access| message.verify_integrity(&access.key));
        if !authentic {
            self.drop_datagram(DropReason::BadResponseIntegrity);
            return Some(false);
        }
        if message.kind() == MessageType::BINDING_SUCCESS
            && let Some(valid) = former.pair_mut().and_then(Pair::valid_mut)
        {
            valid.consent_answered(now, message.id());
        }
        Some(true)
    }

    /// A check of the session before came: a lite agent takes it for consent.
    pub(super) fn hear_former(&mut self, now: Instant, path: Path) {
        if let Some(pair) = self.former.as_mut().and_then(Former::pair_mut)
            && pair.path == path
            && self.config.lite
            && let Some(valid) = pair.valid_mut()
        {
            valid.consent.heard(now);
        }
    }

    /// The pair before the restart is no more.
    pub(super) fn forget_former_pair(&mut self, gone: impl Fn(Path) -> bool) {
        if let Some(former) = &mut self.former {
            former.pair.take_if(|pair| gone(pair.path));
        }
    }

    /// Puts the present session aside and begins one with `local`.
    fn leave_session(&mut self, local: LocalSide) {
        let selected = self.selected.take();
        let mut pair = selected.and_then(|path| self.checklist.take(path));
        if let Some(valid) = pair.as_mut().and_then(Pair::valid_mut) {
            valid.check = None;
        }
        let local = std::mem::replace(&mut self.local, local);
        let remote = std::mem::take(&mut self.remote);
        // A restart of a restart that came to nothing still relies on the session before both.
        if pair.is_some() || self.former.as_ref().is_none_or(|former| former.pair().is_none()) {
            self.former = Some(Former { local, remote, role: self.role, pair, superseded: None });
        }
        self.checklist.clear();
        self.responses.clear();
        self.schedule = Schedule::default();
        self.tie_breaker = self.rng.u64();
    }
}
