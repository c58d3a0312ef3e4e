//! Agents on the simulated network, with signalling between them and a STUN server.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::ops::{Index, IndexMut};
use std::time::{Duration, Instant};

use antiphon_crypto::Provider;
use antiphon_ice::{Agent, Candidate, Config, Event, GatheringState, IceState, Role, TcpType};
use antiphon_stun::{Attribute, Message, MessageBuilder, MessageType};
use antiphon_testkit::{Link, Loss, Node, NodeId, Simulation};
use antiphon_util::{Path, Protocol, Received, Rng, Transmit, Writer};

pub(crate) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub(crate) fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

pub(crate) fn agent(role: Role, seed: u64) -> Agent {
    Agent::new(Config::new(Provider::default(), role), Rng::from_test_seed(seed))
}

/// An agent, and what it has told.
pub(crate) struct Host {
    pub(crate) agent: Agent,
    pub(crate) events: Vec<(Duration, Event)>,
    /// Its events are handed to the peer after this time; `None` keeps them back.
    pub(crate) signalling: Option<Duration>,
    pub(crate) transmitted: u64,
    /// Binding requests among those.
    pub(crate) requests: u64,
    /// The local addresses that it has sent from.
    pub(crate) sources: Vec<SocketAddr>,
    /// What is still to be sent to the peer over the selected path.
    pub(crate) to_say: VecDeque<Vec<u8>>,
    /// What came over validated paths.
    pub(crate) heard: Vec<(Path, Vec<u8>)>,
}

impl Host {
    fn new(agent: Agent) -> Self {
        Self {
            agent,
            events: Vec::new(),
            signalling: Some(Duration::ZERO),
            transmitted: 0,
            requests: 0,
            sources: Vec::new(),
            to_say: VecDeque::new(),
            heard: Vec::new(),
        }
    }

    pub(crate) fn states(&self) -> Vec<IceState> {
        let state = |event: &Event| match event {
            Event::StateChanged(state) => Some(*state),
            _ => None,
        };
        self.events.iter().filter_map(|(_, event)| state(event)).collect()
    }

    pub(crate) fn since(&self, wanted: IceState) -> Option<Duration> {
        self.events.iter().find(|(_, event)| *event == Event::StateChanged(wanted)).map(|(at, _)| *at)
    }

    fn say(&mut self, buf: &mut Vec<u8>) -> Option<Transmit> {
        let path = self.agent.selected_path()?;
        let said = self.to_say.pop_front()?;
        buf.extend_from_slice(&said);
        Some(Transmit { path, ecn: None, len: said.len(), segment_size: None })
    }
}

/// Answers whoever asks with the address that it sees.
#[derive(Default)]
pub(crate) struct Server {
    answers: VecDeque<(Path, Vec<u8>)>,
}

pub(crate) enum Member {
    Host(Box<Host>),
    Server(Server),
}

impl Node for Member {
    fn handle_receive(&mut self, now: Instant, received: Received<'_>) {
        match self {
            Member::Host(host) => {
                let path = received.path;
                if let Some(validated) = host.agent.handle_receive(now, received) {
                    host.heard.push((path, validated.datagram().to_vec()));
                }
            }
            Member::Server(server) => {
                let message = Message::try_from(&*received.datagram).unwrap();
                assert_eq!(message.kind(), MessageType::BINDING_REQUEST);
                let mut bytes = Vec::new();
                let mut writer = Writer::new(&mut bytes);
                let mut builder =
                    MessageBuilder::new(&mut writer, MessageType::BINDING_SUCCESS, message.id());
                builder.attribute(&Attribute::XorMappedAddress(received.path.remote));
                builder.fingerprint();
                builder.finish().unwrap();
                server.answers.push_back((received.path, bytes));
            }
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        if let Member::Host(host) = self {
            host.agent.handle_timeout(now);
        }
    }

    fn poll_transmit(&mut self, now: Instant, buf: &mut Vec<u8>) -> Option<Transmit> {
        match self {
            Member::Host(host) => {
                let transmit = host.agent.poll_transmit(now, buf).or_else(|| host.say(buf))?;
                assert_eq!(transmit.len, buf.len());
                host.transmitted += 1;
                if !host.sources.contains(&transmit.path.local) {
                    host.sources.push(transmit.path.local);
                }
                let message = Message::try_from(&buf[..]);
                host.requests += u64::from(message.is_ok_and(|m| m.kind() == MessageType::BINDING_REQUEST));
                Some(transmit)
            }
            Member::Server(server) => {
                let (path, bytes) = server.answers.pop_front()?;
                buf.extend_from_slice(&bytes);
                Some(Transmit { path, ecn: None, len: bytes.len(), segment_size: None })
            }
        }
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        match self {
            Member::Host(host) => host.agent.poll_timeout(),
            Member::Server(_) => None,
        }
    }
}

/// What one end tells the other: of which session, by its user name fragment, and a candidate or the end of them.
struct Signal {
    to: usize,
    ufrag: String,
    candidate: Option<Candidate>,
}

/// Two agents, by index, on a path of 25 ms each way.
pub(crate) struct Net {
    pub(crate) simulation: Simulation<Member>,
    ids: [NodeId; 2],
    pub(crate) rng: Rng,
    signals: BTreeMap<(Instant, u64), Signal>,
    signalled: u64,
    link: Link,
    /// Candidates overtake one another by up to this.
    pub(crate) shuffle: Duration,
    cuts: Vec<(IpAddr, IpAddr)>,
}

impl Index<usize> for Net {
    type Output = Host;

    fn index(&self, index: usize) -> &Host {
        match &self.simulation[self.ids[index]] {
            Member::Host(host) => host,
            Member::Server(_) => panic!("a server"),
        }
    }
}

impl IndexMut<usize> for Net {
    fn index_mut(&mut self, index: usize) -> &mut Host {
        match &mut self.simulation[self.ids[index]] {
            Member::Host(host) => host,
            Member::Server(_) => panic!("a server"),
        }
    }
}

impl Net {
    pub(crate) fn new(left: Agent, right: Agent, seed: u64) -> Self {
        let link = Link::with_delay(ms(25));
        let mut simulation = Simulation::new(seed, link);
        let ids =
            [left, right].map(|agent| simulation.add_node(Member::Host(Box::new(Host::new(agent))), &[]));
        let rng = simulation.rng().fork();
        Self {
            simulation,
            ids,
            rng,
            signals: BTreeMap::new(),
            signalled: 0,
            link,
            shuffle: Duration::ZERO,
            cuts: Vec::new(),
        }
    }

    /// Two agents that know each other's credentials, one address each.
    pub(crate) fn pair(seed: u64) -> Self {
        let mut net = Self::new(agent(Role::Controlling, seed), agent(Role::Controlled, seed + 1_000), seed);
        net.exchange_credentials();
        net.add_address(0, "192.0.2.1:1000");
        net.add_address(1, "198.51.100.1:2000");
        net.end_of_addresses();
        net
    }

    pub(crate) fn exchange_credentials(&mut self) {
        for (to, from) in [(0, 1), (1, 0)] {
            let credentials = self[from].agent.local_credentials().clone();
            let now = self.now();
            self[to].agent.set_remote_credentials(now, credentials);
        }
    }

    /// Hands one agent's credentials and its candidates so far to the other, as a description does.
    pub(crate) fn describe(&mut self, from: usize) {
        let now = self.now();
        let agent = &self[from].agent;
        let (credentials, candidates) =
            (agent.local_credentials().clone(), agent.local_candidates().to_vec());
        let is_complete = agent.gathering_state() == GatheringState::Complete;
        let peer = &mut self[1 - from].agent;
        peer.set_remote_credentials(now, credentials);
        candidates.into_iter().for_each(|candidate| peer.add_remote_candidate(now, candidate).unwrap());
        if is_complete {
            peer.end_of_remote_candidates(now);
        }
    }

    /// Gives a host an address, and its agent a candidate there.
    pub(crate) fn add_address(&mut self, node: usize, address: &str) {
        let address = addr(address);
        self.give_address(node, address.ip());
        let now = self.now();
        self[node].agent.add_local_address(now, address);
    }

    /// As [`Net::add_address`], over TCP.
    pub(crate) fn add_tcp_address(&mut self, node: usize, address: &str, tcp_type: TcpType) {
        let address = addr(address);
        self.give_address(node, address.ip());
        let now = self.now();
        self[node].agent.add_local_tcp_address(now, address, tcp_type);
    }

    /// As [`Net::add_address`], on a relay that sees the host at `mapped`.
    pub(crate) fn add_relayed_address(&mut self, node: usize, relayed: &str, mapped: &str) {
        self.give_address(node, addr(relayed).ip());
        let now = self.now();
        self[node].agent.add_relayed_address(now, addr(relayed), addr(mapped));
    }

    /// Gives a host an address that its agent is not told of.
    pub(crate) fn give_address(&mut self, node: usize, address: IpAddr) {
        if !self.simulation.has_address(self.ids[node], address) {
            self.simulation.add_address(self.ids[node], address);
        }
    }

    /// Takes an address from a host and its agent.
    pub(crate) fn remove_address(&mut self, node: usize, address: &str) {
        let address = addr(address);
        let now = self.now();
        self[node].agent.remove_local_address(now, Protocol::Udp, address);
        self.simulation.remove_address(self.ids[node], address.ip());
    }

    /// Starts a STUN server that the agents are not told of.
    pub(crate) fn start_server(&mut self, address: IpAddr) {
        self.simulation.add_node(Member::Server(Server::default()), &[address]);
    }

    pub(crate) fn end_of_addresses(&mut self) {
        let now = self.now();
        (0..2).for_each(|node| self[node].agent.end_of_local_addresses(now));
    }

    pub(crate) fn set_delay(&mut self, delay: Duration) {
        self.link.delay = delay;
        self.simulation.set_default_link(self.link);
    }

    pub(crate) fn set_loss(&mut self, loss: f64) {
        self.link.loss = Loss::random(loss);
        self.simulation.set_default_link(self.link);
    }

    /// Cuts the way between two addresses.
    pub(crate) fn cut(&mut self, a: &str, b: &str) {
        let (a, b) = (addr(a).ip(), addr(b).ip());
        for (from, to) in [(a, b), (b, a)] {
            self.simulation.set_address_link(from, to, Link::cut());
            self.cuts.push((from, to));
        }
    }

    /// Undoes every cut.
    pub(crate) fn mend(&mut self) {
        for (from, to) in std::mem::take(&mut self.cuts) {
            self.simulation.set_address_link(from, to, self.link);
        }
    }

    /// Has a host say a numbered word over the selected path every 20 ms for `time`, and lets the time pass.
    pub(crate) fn chatter(&mut self, node: usize, time: Duration) -> usize {
        let words = time.as_millis() / 20;
        for word in 0..words {
            self[node].to_say.push_back(format!("word {word}").into_bytes());
            let until = self.elapsed() + ms(20);
            self.run_until(until);
        }
        usize::try_from(words).unwrap()
    }

    pub(crate) fn now(&self) -> Instant {
        self.simulation.now()
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.simulation.elapsed()
    }

    pub(crate) fn hosts(&self) -> impl Iterator<Item = &Host> {
        (0..2).map(|index| &self[index])
    }

    /// Runs until `end` after the start.
    pub(crate) fn run_until(&mut self, end: Duration) {
        self.run_while(end, |_| true);
    }

    /// Runs while `condition` holds, at most until `end` after the start; gives whether it ceased to hold.
    pub(crate) fn run_while(&mut self, end: Duration, condition: impl Fn(&Net) -> bool) -> bool {
        let end = self.now() - self.elapsed() + end;
        loop {
            self.signal();
            if !condition(self) {
                return true;
            }
            let signal = self.signals.keys().next().map(|(at, _)| *at);
            let limit = signal.map_or(end, |at| at.min(end));
            if !self.simulation.step(limit) && limit == end {
                self.signal();
                return !condition(self);
            }
        }
    }

    pub(crate) fn run_until_connected(&mut self, end: Duration) -> bool {
        let up = |host: &Host| matches!(host.agent.state(), IceState::Connected | IceState::Completed);
        self.run_while(end, |net| !net.hosts().all(up))
    }

    pub(crate) fn run_until_nominated(&mut self, end: Duration) -> bool {
        self.run_while(end, |net| !net.hosts().all(|host| host.agent.is_nominated()))
    }

    /// Hands a datagram to a host as if it had come over `path`.
    pub(crate) fn inject(&mut self, node: usize, path: Path, bytes: &mut [u8]) -> bool {
        let now = self.now();
        let received = Received { path, ecn: None, datagram: bytes };
        self[node].agent.handle_receive(now, received).is_some()
    }

    /// Takes the events and hands on to the peers what is due.
    fn signal(&mut self) {
        loop {
            (0..2).for_each(|index| self.take_events(index));
            let now = self.now();
            let Some(entry) = self.signals.first_entry().filter(|entry| entry.key().0 <= now) else { return };
            let Signal { to, ufrag, candidate } = entry.remove();
            let agent = &mut self[to].agent;
            match candidate {
                _ if agent.remote_credentials().is_some_and(|known| known.ufrag != ufrag) => {}
                Some(candidate) => agent.add_remote_candidate(now, candidate).unwrap(),
                None => agent.end_of_remote_candidates(now),
            }
        }
    }

    fn take_events(&mut self, index: usize) {
        let (now, elapsed, peer) = (self.now(), self.elapsed(), 1 - index);
        while let Some(event) = self[index].agent.poll_event() {
            self[index].events.push((elapsed, event.clone()));
            let Some(delay) = self[index].signalling else { continue };
            let (candidate, shuffle) = match event {
                Event::CandidateGathered(candidate) => {
                    let nanos = u64::try_from(self.shuffle.as_nanos()).unwrap();
                    (Some(candidate), Duration::from_nanos(self.rng.below(nanos + 1)))
                }
                Event::GatheringStateChanged(GatheringState::Complete) => (None, self.shuffle),
                _ => continue,
            };
            let ufrag = self[index].agent.local_credentials().ufrag.clone();
            let signal = Signal { to: peer, ufrag, candidate };
            self.signalled += 1;
            self.signals.insert((now + delay + shuffle, self.signalled), signal);
        }
    }
}
