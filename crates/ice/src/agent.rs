//! The agent: what its owner calls, and what follows from any change.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use antiphon_crypto::{HashAlgorithm, HmacKey};
use antiphon_util::{Path, Protocol, Received, Rng, Tally, Transmit};
use tracing::debug;

use crate::candidate::{Candidate, CandidateKind, are_compatible};
use crate::checklist::{Checklist, Foundation, Pair, Priorities};
use crate::config::{Config, Role};
use crate::credentials::Credentials;
use crate::event::{AddCandidateError, DropReason, Event};
use crate::gather::Gatherer;
use crate::nomination::{self, Decision, Waiting};
use crate::receiving::EarlyCheck;
use crate::responses::Responses;
use crate::state::{self, Facts, GatheringState, IceState, Selection};
use crate::validated::{Validated, ValidatedPaths};

/// One end of one ICE session.
#[derive(Debug)]
pub struct Agent {
    pub(crate) config: Config,
    pub(crate) rng: Rng,
    pub(crate) role: Role,
    pub(crate) tie_breaker: u64,
    pub(crate) local: LocalSide,
    pub(crate) remote: RemoteSide,
    pub(crate) gatherer: Gatherer,
    pub(crate) checklist: Checklist,
    pub(crate) validated: ValidatedPaths,
    pub(crate) responses: Responses,
    pub(crate) schedule: Schedule,
    pub(crate) drops: Tally<DropReason>,
    selected: Option<Path>,
    shown: Shown,
    events: VecDeque<Event>,
}

/// Our credentials and the key of their password.
#[derive(Debug)]
pub(crate) struct LocalSide {
    pub(crate) credentials: Credentials,
    pub(crate) key: HmacKey,
}

/// What is known of the peer.
#[derive(Debug, Default)]
pub(crate) struct RemoteSide {
    pub(crate) access: Option<RemoteAccess>,
    pub(crate) candidates: Vec<Remote>,
    /// Checks that came before the credentials.
    pub(crate) early: Vec<EarlyCheck>,
    foundations: u32,
    complete: bool,
}

/// What it takes to send checks to the peer.
#[derive(Debug)]
pub(crate) struct RemoteAccess {
    pub(crate) credentials: Credentials,
    pub(crate) key: HmacKey,
    /// The user name of our checks: its fragment, a colon, ours.
    pub(crate) username: String,
}

/// A remote candidate with the number of its foundation.
#[derive(Debug)]
pub(crate) struct Remote {
    pub(crate) candidate: Candidate,
    foundation: u32,
}

/// What is due when, besides the checks' own timers.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    /// The earliest instant of the next check that is not triggered.
    pub(crate) next_ordinary: Option<Instant>,
    /// When there was a working pair first.
    valid_since: Option<Instant>,
    /// When to decide on nomination again.
    nomination: Option<Instant>,
    /// When an agent without a working pair may give up.
    patience: Option<Instant>,
    /// Whether that has come.
    impatient: bool,
    /// The earliest of all that is due; computed after each change.
    due: Option<Instant>,
}

/// The states as last told.
#[derive(Debug)]
struct Shown {
    ice: IceState,
    gathering: GatheringState,
}

impl Agent {
    /// An agent with fresh credentials, unless `config` has some, and no addresses.
    pub fn new(mut config: Config, mut rng: Rng) -> Self {
        let credentials = config.credentials.take().unwrap_or_else(|| Credentials::random(&mut rng));
        let key = config.provider.hmac_key(HashAlgorithm::Sha1, credentials.pwd.as_bytes());
        Self {
            role: config.role,
            tie_breaker: rng.u64(),
            local: LocalSide { credentials, key },
            remote: RemoteSide::default(),
            gatherer: Gatherer::new(config.gathering_timing, config.pacing, config.binding_refresh),
            checklist: Checklist::new(config.limits.pairs),
            validated: ValidatedPaths::default(),
            responses: Responses::new(config.limits.queued_responses, config.limits.errors_per_second),
            schedule: Schedule::default(),
            drops: Tally::new(),
            selected: None,
            shown: Shown { ice: IceState::New, gathering: GatheringState::New },
            events: VecDeque::new(),
            config,
            rng,
        }
    }

    /// Sets the role, as signalling gives it; without effect where it is the same.
    pub fn set_role(&mut self, role: Role) {
        if self.role == role {
            return;
        }
        self.role = role;
        self.checklist.set_role(role);
        // A nomination is the controlling agent's: what the other role nominated does not count.
        self.checklist.iter_mut().for_each(|pair| pair.nominated = None);
    }

    /// Adds an address that datagrams can be sent from and received at; its host candidate is told by an event. An
    /// unspecified address, or one beyond [`Limits::local_addresses`](crate::Limits::local_addresses), is left out.
    pub fn add_local_address(&mut self, now: Instant, address: SocketAddr) {
        self.add_base(now, CandidateKind::Host, address, None);
    }

    /// Adds an address on a TURN server, whose datagrams the owner carries; `mapped` is where the server sees us.
    pub fn add_relayed_address(&mut self, now: Instant, relayed: SocketAddr, mapped: SocketAddr) {
        self.add_base(now, CandidateKind::Relayed, relayed, Some(mapped));
    }

    /// Asks a STUN server from every local address of its family. One beyond
    /// [`Limits::stun_servers`](crate::Limits::stun_servers) is left out.
    pub fn add_stun_server(&mut self, now: Instant, server: SocketAddr) {
        if self.has_ended() {
            return;
        }
        self.gatherer.add_server(now, &mut self.rng, server, self.config.limits.stun_servers);
        self.settle(now);
    }

    /// Says that no local address will follow: gathering is complete when no STUN server is awaited any more.
    pub fn end_of_local_addresses(&mut self, now: Instant) {
        self.gatherer.end_of_bases();
        self.settle(now);
    }

    /// Sets what the peer's messages are authenticated with; checks can be made from now on. Only the first call counts, since
    /// other credentials are those of another ICE session. Empty ones, and longer ones than
    /// [`Limits::credential_len`](crate::Limits::credential_len), are ignored.
    pub fn set_remote_credentials(&mut self, now: Instant, credentials: Credentials) {
        let fits = |text: &str| (1..=self.config.limits.credential_len).contains(&text.len());
        if self.remote.access.is_some()
            || self.has_ended()
            || !fits(&credentials.ufrag)
            || !fits(&credentials.pwd)
        {
            debug!("remote credentials ignored");
            return;
        }
        let key = self.config.provider.hmac_key(HashAlgorithm::Sha1, credentials.pwd.as_bytes());
        let username = format!("{}:{}", credentials.ufrag, self.local.credentials.ufrag);
        self.remote.access = Some(RemoteAccess { credentials, key, username });
        self.schedule.patience = Some(now + self.config.patience);
        self.take_early_checks(now);
        self.settle(now);
    }

    /// Adds a candidate of the peer's; one that is known already is accepted and changes nothing.
    ///
    /// # Errors
    /// Where the candidate can't be used.
    pub fn add_remote_candidate(
        &mut self,
        now: Instant,
        candidate: Candidate,
    ) -> Result<(), AddCandidateError> {
        if self.has_ended() {
            return Err(AddCandidateError::Ended);
        }
        if candidate.component != 1 {
            return Err(AddCandidateError::Component);
        }
        if candidate.protocol != Protocol::Udp {
            return Err(AddCandidateError::Protocol);
        }
        if !is_usable(candidate.address) {
            return Err(AddCandidateError::Address);
        }
        self.learn_signalled(candidate)?;
        self.settle(now);
        Ok(())
    }

    /// Says that the peer has no further candidates; without it the agent goes on waiting for them.
    pub fn end_of_remote_candidates(&mut self, now: Instant) {
        self.remote.complete = true;
        self.settle(now);
    }

    /// Handles a datagram. STUN messages are consumed; anything else comes back where its path is validated.
    pub fn handle_receive<'a>(&mut self, now: Instant, received: Received<'a>) -> Option<Validated<'a>> {
        if self.has_ended() {
            self.drop_datagram(DropReason::Ended);
            return None;
        }
        match received.datagram.first() {
            // RFC 7983 §7: the first byte of STUN is 0 to 3, and of nothing else.
            Some(0..=3) => {
                if self.handle_stun(now, received.path, received.datagram) {
                    self.settle(now);
                }
                None
            }
            Some(_) if self.validated.contains(received.path) => Some(Validated::new(received)),
            Some(_) => {
                self.drop_datagram(DropReason::NotValidated);
                None
            }
            None => {
                self.drop_datagram(DropReason::Malformed);
                None
            }
        }
    }

    /// Does what time alone causes.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.schedule.due.is_none_or(|due| now < due) || self.has_ended() {
            return;
        }
        self.expire(now);
        let refreshing = self.selected.is_none();
        self.gatherer.handle_timeout(now, &mut self.rng, refreshing);
        self.settle(now);
    }

    /// Appends the next datagram to `buf`: answers first, then checks as they are due.
    pub fn poll_transmit(&mut self, now: Instant, buf: &mut Vec<u8>) -> Option<Transmit> {
        if self.has_ended() {
            return None;
        }
        if let Some(transmit) = self.responses.poll_transmit(&self.local.key, buf) {
            return Some(transmit);
        }
        if self.schedule.due.is_none_or(|due| now < due) {
            return None;
        }
        let transmit = self.transmit_check(now, buf).or_else(|| self.transmit_inquiry(now, buf))?;
        self.schedule.due = self.compute_due(now);
        Some(transmit)
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) and [`poll_transmit`](Self::poll_transmit) are to be called;
    /// in the past where there is something to send at once.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.has_ended() { None } else { self.schedule.due }
    }

    /// Ends the session: nothing is sent or accepted any more.
    pub fn close(&mut self) {
        self.release();
        self.show(IceState::Closed);
    }

    /// What the peer's checks have to be made with.
    pub fn local_credentials(&self) -> &Credentials {
        &self.local.credentials
    }

    /// What our checks are made with, once it is known.
    pub fn remote_credentials(&self) -> Option<&Credentials> {
        self.remote.access.as_ref().map(|access| &access.credentials)
    }

    /// Our own candidates so far.
    pub fn local_candidates(&self) -> &[Candidate] {
        self.gatherer.candidates()
    }

    /// The peer's candidates so far, learned ones included.
    pub fn remote_candidates(&self) -> impl Iterator<Item = &Candidate> {
        self.remote.candidates.iter().map(|remote| &remote.candidate)
    }

    /// The role at present.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The state at present.
    pub fn state(&self) -> IceState {
        self.shown.ice
    }

    /// Whether our own candidates are complete.
    pub fn gathering_state(&self) -> GatheringState {
        self.shown.gathering
    }

    /// Where datagrams are to be sent now: the nominated pair, or before that the best that works.
    pub fn selected_path(&self) -> Option<Path> {
        self.selected
    }

    /// Whether the selected path is nominated.
    pub fn is_nominated(&self) -> bool {
        self.selected_pair().is_some_and(|pair| pair.nominated.is_some())
    }

    /// The round-trip time of the selected path, measured by its checks.
    pub fn round_trip_time(&self) -> Option<Duration> {
        self.selected_pair()?.valid()?.rtt.get()
    }

    /// What was dropped, by reason.
    pub fn drops(&self) -> &Tally<DropReason> {
        &self.drops
    }

    pub(crate) fn drop_datagram(&mut self, reason: DropReason) {
        tracing::trace!(?reason, "datagram dropped");
        self.drops.count(reason);
    }

    /// Changes role in a conflict.
    pub(crate) fn switch_role(&mut self) {
        self.set_role(self.role.opposite());
        debug!(role = ?self.role, "role switched");
        self.events.push_back(Event::RoleChanged(self.role));
    }

    /// Tells a local candidate.
    pub(crate) fn tell_candidate(&mut self, candidate: Candidate) {
        self.events.push_back(Event::CandidateGathered(candidate));
    }

    /// Adds the remote candidate of a check from an unknown address (RFC 8445 §7.3.1.3).
    pub(crate) fn learn_peer_reflexive(&mut self, address: SocketAddr, priority: u32) -> bool {
        let learned =
            self.remote.candidates.iter().filter(|r| r.candidate.kind == CandidateKind::PeerReflexive);
        if learned.count() >= self.config.limits.peer_reflexive_candidates && !self.forget_peer_reflexive() {
            return false;
        }
        debug!(%address, "peer-reflexive candidate");
        self.remote.foundations += 1;
        let foundation = self.remote.foundations;
        let candidate = Candidate {
            foundation: format!("prflx{foundation}"),
            priority,
            ..Candidate::new(CandidateKind::PeerReflexive, address)
        };
        self.remote.candidates.push(Remote { candidate, foundation });
        true
    }

    /// Makes the pair of a base of ours and a known remote candidate.
    pub(crate) fn pair_of(&self, path: Path) -> Option<Pair> {
        let base = self.gatherer.base(path.local)?;
        let remote = self.remote.candidates.iter().find(|remote| remote.candidate.address == path.remote)?;
        let priorities = Priorities { local: base.priority, remote: remote.candidate.priority };
        let foundation = Foundation { local: base.foundation, remote: remote.foundation };
        Some(Pair::new(path, priorities, foundation, self.role))
    }

    fn add_base(
        &mut self,
        now: Instant,
        kind: CandidateKind,
        address: SocketAddr,
        related: Option<SocketAddr>,
    ) {
        let full = self.gatherer.bases().len() >= self.config.limits.local_addresses;
        if full || !is_usable(address) || self.has_ended() {
            debug!(%address, "local address left out");
            return;
        }
        let Some(candidate) = self.gatherer.add_base(now, &mut self.rng, kind, address, related) else {
            return;
        };
        self.tell_candidate(candidate);
        let remotes: Vec<SocketAddr> = self.remote_candidates().map(|remote| remote.address).collect();
        for remote in remotes {
            self.add_pair(Path::udp(address, remote));
        }
        self.settle(now);
    }

    fn learn_signalled(&mut self, candidate: Candidate) -> Result<(), AddCandidateError> {
        let remotes = &mut self.remote.candidates;
        let alike = remotes.iter().find(|known| known.candidate.foundation == candidate.foundation);
        let foundation = alike.map(|known| known.foundation);
        if let Some(known) = remotes.iter_mut().find(|known| known.candidate.address == candidate.address) {
            // Signalling is late: what a check revealed turns out to be announced (RFC 8838 §11.4).
            if known.candidate.kind == CandidateKind::PeerReflexive {
                known.candidate.kind = candidate.kind;
                known.candidate.foundation = candidate.foundation;
                known.candidate.related = candidate.related;
                known.candidate.priority = candidate.priority;
                self.checklist.set_remote_priority(self.role, candidate.address, candidate.priority);
            }
            return Ok(());
        }
        let signalled = remotes.iter().filter(|r| r.candidate.kind != CandidateKind::PeerReflexive).count();
        if signalled >= self.config.limits.remote_candidates {
            return Err(AddCandidateError::TooMany);
        }
        let foundation = foundation.unwrap_or_else(|| {
            self.remote.foundations += 1;
            self.remote.foundations
        });
        let address = candidate.address;
        self.remote.candidates.push(Remote { candidate, foundation });
        let bases: Vec<SocketAddr> = self.gatherer.bases().iter().map(|base| base.address).collect();
        for base in bases {
            self.add_pair(Path::udp(base, address));
        }
        Ok(())
    }

    /// Adds the pair of two candidates, unless it could not be better than what is nominated.
    fn add_pair(&mut self, path: Path) {
        if !are_compatible(path.local, path.remote) || self.is_nominated() {
            return;
        }
        if let Some(pair) = self.pair_of(path)
            && !self.checklist.insert(pair, false)
        {
            self.drops.count(DropReason::PairLimit);
        }
    }

    /// Makes room for a peer-reflexive candidate by one that leads nowhere.
    fn forget_peer_reflexive(&mut self) -> bool {
        let is_useless = |remote: &Remote| {
            let address = remote.candidate.address;
            remote.candidate.kind == CandidateKind::PeerReflexive
                && !self
                    .checklist
                    .iter()
                    .any(|p| p.path.remote == address && (p.is_pending() || p.valid().is_some()))
        };
        let Some(at) = self.remote.candidates.iter().position(is_useless) else { return false };
        self.remote.candidates.remove(at);
        true
    }

    fn selected_pair(&self) -> Option<&Pair> {
        self.checklist.find(self.selected?)
    }

    fn has_ended(&self) -> bool {
        matches!(self.shown.ice, IceState::Failed | IceState::Closed)
    }

    /// Draws the consequences of a change: nomination, selection, states, and what is due next. Every method that changes
    /// something ends here.
    fn settle(&mut self, now: Instant) {
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
        self.show(next);
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
        match nomination::decide(&self.checklist, now, Waiting { since, patience, pacing }) {
            Decision::Nominate(path) => self.nominate(now, path),
            Decision::WaitUntil(until) => self.schedule.nomination = Some(until),
            Decision::Nothing => {}
        }
    }

    /// Selects the pair to send on.
    fn update_selection(&mut self, now: Instant) {
        let expiry = self.config.consent_expiry;
        let best = nomination::select(&self.checklist, self.role, now, expiry);
        let selected = best.map(|pair| (pair.path, pair.priority, pair.nominated.is_some()));
        let Some((path, priority, nominated)) = selected else {
            self.selected = None;
            return;
        };
        if nominated {
            // Our own nomination is final; a controlling browser may still move to a better pair.
            self.checklist.conclude(if self.role == Role::Controlling { u64::MAX } else { priority });
        }
        if self.selected != Some(path) {
            debug!(?path, nominated, "path selected");
            self.selected = Some(path);
            self.events.retain(|event| !matches!(event, Event::SelectedPathChanged(_)));
            self.events.push_back(Event::SelectedPathChanged(path));
        }
    }

    fn facts(&self, now: Instant) -> Facts {
        let pending = self.checklist.iter().any(Pair::is_pending);
        let selection = match self.selected_pair() {
            Some(pair) if self.is_silent(pair, now) => Selection::Silent,
            Some(pair) if pair.nominated.is_some() => Selection::Nominated,
            Some(_) => Selection::Valid,
            None if self.schedule.valid_since.is_some() && !pending => Selection::Expired,
            None => Selection::None,
        };
        Facts {
            started: self.remote.access.is_some(),
            selection,
            finished: self.remote.complete && self.gatherer.is_complete() && !pending,
            impatient: self.schedule.impatient,
        }
    }

    fn is_silent(&self, pair: &Pair, now: Instant) -> bool {
        self.silent_at(pair).is_some_and(|at| at <= now)
    }

    fn silent_at(&self, pair: &Pair) -> Option<Instant> {
        Some(pair.valid()?.consent.unanswered_since()? + self.config.disconnected_after)
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

    fn show(&mut self, ice: IceState) {
        if self.shown.ice != ice {
            debug!(from = ?self.shown.ice, to = ?ice, "state");
            self.shown.ice = ice;
            self.events.push_back(Event::StateChanged(ice));
        }
    }

    /// Frees what only a living session needs.
    fn release(&mut self) {
        self.checklist.clear();
        self.validated.clear();
        self.responses.clear();
        self.remote.early.clear();
        self.selected = None;
        self.schedule = Schedule::default();
    }

    fn compute_due(&self, now: Instant) -> Option<Instant> {
        let selected = self.selected_pair();
        let silent_at = selected.and_then(|pair| self.silent_at(pair));
        let patience = if selected.is_none() { self.schedule.patience } else { None };
        // Once told, silence causes nothing more until an answer comes.
        let silent_at = silent_at.filter(|_| self.shown.ice != IceState::Disconnected);
        [self.schedule.nomination, patience, silent_at]
            .into_iter()
            .flatten()
            .chain(self.checks_due(now))
            .chain(self.gatherer.due(self.selected.is_none()))
            .min()
    }
}

/// Whether datagrams can be sent to `address`.
fn is_usable(address: SocketAddr) -> bool {
    let ip = address.ip();
    let broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
    address.port() != 0 && !ip.is_unspecified() && !ip.is_multicast() && !broadcast
}
