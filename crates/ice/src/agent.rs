//! The agent: what its owner calls. What it does about candidates, checks and messages stands in the modules below.

mod checking;
mod connections;
mod embedding;
mod pairing;
mod receiving;
mod restarting;
mod settling;

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use antiphon_crypto::{HashAlgorithm, HmacKey, Provider};
use antiphon_util::{Path, Protocol, Received, Rng, Tally, Transmit};
use tracing::debug;

use crate::addressee::TransactionTag;
use crate::candidate::{Candidate, CandidateKind, TcpType};
use crate::checklist::{Checklist, Pair};
use crate::config::{Config, Role, TransportPolicy};
use crate::credentials::Credentials;
use crate::embedding::Embedding;
use crate::event::{AddCandidateError, DropReason, Event};
use crate::gather::Gatherer;
use crate::responses::Responses;
use crate::state::{GatheringState, IceState};
use crate::statistics::CandidatePairStatistics;
use crate::validated::{Validated, ValidatedPaths};
use receiving::EarlyCheck;
use restarting::Former;

/// One end of one ICE session.
#[derive(Debug)]
pub struct Agent {
    config: Config,
    rng: Rng,
    role: Role,
    tie_breaker: u64,
    tag: TransactionTag,
    local: LocalSide,
    remote: RemoteSide,
    former: Option<Former>,
    /// How many nominations were made.
    nominations: u32,
    gatherer: Gatherer,
    checklist: Checklist,
    validated: ValidatedPaths,
    responses: Responses,
    embedding: Embedding,
    schedule: Schedule,
    drops: Tally<DropReason>,
    selected: Option<Path>,
    shown: Shown,
    events: VecDeque<Event>,
}

/// Our credentials and the key of their password.
#[derive(Debug)]
struct LocalSide {
    credentials: Credentials,
    key: HmacKey,
}

impl LocalSide {
    fn new(provider: Provider, credentials: Credentials) -> Self {
        let key = provider.hmac_key(HashAlgorithm::Sha1, credentials.pwd.as_bytes());
        Self { credentials, key }
    }
}

/// What is known of the peer.
#[derive(Debug, Default)]
struct RemoteSide {
    access: Option<RemoteAccess>,
    candidates: Vec<Remote>,
    /// Checks that came before the credentials.
    early: Vec<EarlyCheck>,
    foundations: u32,
    complete: bool,
    /// Whether it follows from one nominated pair to another.
    renomination: bool,
}

/// What it takes to send checks to the peer.
#[derive(Debug)]
struct RemoteAccess {
    credentials: Credentials,
    key: HmacKey,
    /// The user name of our checks: its fragment, a colon, ours.
    username: String,
}

/// A remote candidate with the number of its foundation.
#[derive(Debug)]
struct Remote {
    candidate: Candidate,
    foundation: u32,
}

/// What is due when, besides the checks' own timers.
#[derive(Debug, Default)]
struct Schedule {
    /// The earliest instant of the next check that is not triggered.
    next_ordinary: Option<Instant>,
    /// When there was a working pair first.
    valid_since: Option<Instant>,
    /// When to decide on nomination again.
    nomination: Option<Instant>,
    /// When the last working pair was lost otherwise than by its consent: another may be found as long as consent lasts.
    lost: Option<Instant>,
    /// Whether consent has expired on the last pair that had it.
    consent_lost: bool,
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

/// How well it is known that the peer is at the other end of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// An authenticated check came from there; its source address may have been forged, even by the peer itself.
    Checked,
    /// A check of ours was answered, so that what is sent there reaches the peer.
    Answered,
}

impl Agent {
    /// An agent with fresh credentials, unless `config` has some, and no addresses.
    pub fn new(mut config: Config, mut rng: Rng) -> Self {
        let credentials = config.credentials.take().unwrap_or_else(|| Credentials::random(&mut rng));
        let tag = TransactionTag::random(&mut rng);
        Self {
            role: if config.lite { Role::Controlled } else { config.role },
            tag,
            tie_breaker: rng.u64(),
            local: LocalSide::new(config.provider, credentials),
            remote: RemoteSide::default(),
            former: None,
            nominations: 0,
            gatherer: Gatherer::new(tag, &config),
            checklist: Checklist::new(config.limits.pairs),
            validated: ValidatedPaths::default(),
            responses: Responses::new(config.limits.queued_responses, config.limits.errors_per_second),
            embedding: Embedding::new(config.embeds, config.limits),
            schedule: Schedule::default(),
            drops: Tally::new(),
            selected: None,
            shown: Shown { ice: IceState::New, gathering: GatheringState::New },
            events: VecDeque::new(),
            config,
            rng,
        }
    }

    /// Sets the role, as signalling gives it; without effect where it is the same, and on a lite agent, which is always
    /// controlled.
    pub fn set_role(&mut self, role: Role) {
        if self.role == role || self.config.lite {
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
        self.add_base(now, Candidate::host(address));
    }

    /// Adds an address for TCP (RFC 6544); its host candidate is told by an event. An active one is given by its IP
    /// address, and its port does not matter; a passive one is that of a listening socket. The section
    /// [TCP](crate#tcp) says what the owner does with paths over TCP.
    pub fn add_local_tcp_address(&mut self, now: Instant, address: SocketAddr, tcp_type: TcpType) {
        self.add_base(now, Candidate::tcp(address, tcp_type));
    }

    /// Adds an address on a TURN server, whose datagrams the owner carries; `mapped` is where the server sees us.
    pub fn add_relayed_address(&mut self, now: Instant, relayed: SocketAddr, mapped: SocketAddr) {
        self.add_base(now, Candidate::relayed(relayed, mapped));
    }

    /// Takes an address away: its interface is gone. Its candidates are told as removed, and what used it goes another way
    /// at once, where there is one. The address of an active TCP candidate has port 9.
    pub fn remove_local_address(&mut self, now: Instant, protocol: Protocol, address: SocketAddr) {
        let on_base = |path: Path| path.protocol == protocol && path.local == address;
        let removed = self.gatherer.remove_base(protocol, address);
        if removed.is_empty() || self.has_ended() {
            return;
        }
        debug!(%address, "local address removed");
        self.events.extend(removed.into_iter().map(Event::CandidateRemoved));
        self.checklist.remove_all(on_base);
        self.validated.remove_all(on_base);
        self.forget_former_pair(on_base);
        self.settle(now);
    }

    /// Says whether the peer follows from one nominated pair to another (the ICE option `renomination`). Where
    /// [`Config::renomination`](crate::Config::renomination) is set as well, a better pair that turns up later is
    /// nominated in place of the one in use.
    pub fn set_remote_renomination(&mut self, renomination: bool) {
        self.remote.renomination = renomination;
    }

    /// Asks a STUN server from every local address of its family. One beyond
    /// [`Limits::stun_servers`](crate::Limits::stun_servers) is left out; a lite agent asks none.
    pub fn add_stun_server(&mut self, now: Instant, server: SocketAddr) {
        if self.state() == IceState::Closed || self.config.lite {
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

    /// Sets what the peer's messages are authenticated with; checks can be made from now on. Only the first call counts, and
    /// the first after a [`restart`](Self::restart), since other credentials are those of another ICE session. Empty ones, and longer ones than
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
        if (candidate.protocol == Protocol::Tcp) != candidate.tcp_type.is_some() {
            return Err(AddCandidateError::Protocol);
        }
        // Nothing is sent to an active one, which comes to us.
        if candidate.tcp_type == Some(TcpType::Active) {
            return Ok(());
        }
        if !is_usable(candidate.address) {
            return Err(AddCandidateError::Address);
        }
        if !self.config.remote_addresses.permits(candidate.address.ip()) {
            return Err(AddCandidateError::NotPermitted);
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
            Some(_) if self.validated.receive(now, received.path, received.datagram.len()) => {
                Some(Validated::new(received))
            }
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
        self.expire_former(now);
        let refreshing = self.selected.is_none();
        self.gatherer.handle_timeout(now, &mut self.rng, refreshing);
        self.settle(now);
    }

    /// Appends the next datagram to `buf`: answers first, then checks as they are due.
    pub fn poll_transmit(&mut self, now: Instant, buf: &mut Vec<u8>) -> Option<Transmit> {
        if self.has_ended() {
            return None;
        }
        let former = self.former.as_ref().map(|former| &former.local.key);
        if let Some(transmit) =
            self.responses.poll_transmit(&self.local.key, former, &mut self.embedding, buf)
        {
            return Some(transmit);
        }
        if self.schedule.due.is_none_or(|due| now < due) {
            return None;
        }
        let transmit = self
            .transmit_check(now, buf)
            .or_else(|| self.transmit_former(now, buf))
            .or_else(|| self.transmit_inquiry(now, buf))?;
        self.schedule.due = self.compute_due(now);
        Some(transmit)
    }

    /// Counts datagrams of the owner's own that it sent over a path, for the statistics of its pair.
    pub fn count_transmit(&mut self, now: Instant, transmit: &Transmit) {
        self.validated.sent(now, transmit);
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

    /// All pairs with their counters, by falling priority; last the one that still carries the traffic during a restart.
    pub fn candidate_pairs(&self) -> impl Iterator<Item = CandidatePairStatistics> {
        let selected = self.selected_path();
        let former = self.former.as_ref().and_then(Former::pair);
        let pairs = self.checklist.iter().chain(former);
        pairs.map(move |pair| pair.statistics(selected, self.validated.traffic(pair.path)))
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

    /// Where datagrams are to be sent now: the nominated pair, before that the best that works, and after a restart,
    /// until there is one, the pair in use before.
    pub fn selected_path(&self) -> Option<Path> {
        self.selected.or_else(|| self.former_path())
    }

    /// What the transaction ids of its requests have in common, by which responses find it among others behind one socket.
    pub fn transaction_tag(&self) -> TransactionTag {
        self.tag
    }

    /// How well it is known that the peer is at the other end of `path`; `None` where it is not known at all.
    pub fn standing(&self, path: Path) -> Option<Standing> {
        let works = |pair: &Pair| pair.path == path && pair.valid().is_some();
        if self.checklist.find(path).into_iter().chain(self.carrying_pair()).any(works) {
            Some(Standing::Answered)
        } else {
            self.validated.knows(path).then_some(Standing::Checked)
        }
    }

    /// Whether the selected path is nominated.
    pub fn is_nominated(&self) -> bool {
        self.selected_pair().is_some_and(|pair| pair.nominated.is_some())
    }

    /// The round-trip time of the selected path, measured by its checks.
    pub fn round_trip_time(&self) -> Option<Duration> {
        self.carrying_pair()?.valid()?.rtt.get()
    }

    /// What was dropped, by reason.
    pub fn drops(&self) -> &Tally<DropReason> {
        &self.drops
    }

    fn drop_datagram(&mut self, reason: DropReason) {
        tracing::trace!(?reason, "datagram dropped");
        self.drops.count(reason);
    }

    /// Changes role in a conflict.
    fn switch_role(&mut self) {
        self.set_role(self.role.opposite());
        debug!(role = ?self.role, "role switched");
        self.events.push_back(Event::RoleChanged(self.role));
    }

    /// Tells a local candidate.
    fn tell_candidate(&mut self, candidate: Candidate) {
        self.events.push_back(Event::CandidateGathered(candidate));
    }

    fn add_base(&mut self, now: Instant, candidate: Candidate) {
        let address = candidate.address;
        let full = self.gatherer.bases().len() >= self.config.limits.local_addresses;
        let closed = self.state() == IceState::Closed;
        if full || !is_usable(address) || !self.is_wanted(&candidate) || closed {
            debug!(%address, "local address left out");
            return;
        }
        let protocol = candidate.protocol;
        if self.gatherer.base(protocol, address).is_some() {
            return;
        }
        let candidates = self.gatherer.add_base(now, &mut self.rng, candidate);
        // One that has failed tells it when it restarts.
        if self.has_ended() {
            return;
        }
        candidates.into_iter().for_each(|candidate| self.tell_candidate(candidate));
        self.add_pairs(|path| path.protocol == protocol && path.local == address);
        self.settle(now);
    }

    fn is_wanted(&self, candidate: &Candidate) -> bool {
        candidate.kind == CandidateKind::Relayed
            || self.config.transport_policy == TransportPolicy::All
                && self.config.local_addresses.permits(candidate.address.ip())
    }

    fn selected_pair(&self) -> Option<&Pair> {
        self.checklist.find(self.selected?)
    }

    fn has_ended(&self) -> bool {
        matches!(self.shown.ice, IceState::Failed | IceState::Closed)
    }
}

/// Whether datagrams can be sent to `address`.
fn is_usable(address: SocketAddr) -> bool {
    let ip = address.ip();
    let broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
    address.port() != 0 && !ip.is_unspecified() && !ip.is_multicast() && !broadcast
}
