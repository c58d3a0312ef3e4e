//! Agents on a simulated network: seeded loss and delay, a NAT in front of an agent, a STUN server, time that jumps.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use antiphon_crypto::Provider;
use antiphon_ice::{Agent, Candidate, Config, Event, IceState, Role};
use antiphon_stun::{Attribute, Message, MessageBuilder, MessageType};
use antiphon_testkit::origin;
use antiphon_util::{Path, Received, Rng, Writer};

pub(crate) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub(crate) fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// An agent, its addresses, and what it has told.
pub(crate) struct Node {
    pub(crate) agent: Agent,
    pub(crate) events: Vec<(Duration, Event)>,
    /// A NAT with one binding a local address: inside to outside.
    pub(crate) nat: Vec<(SocketAddr, SocketAddr)>,
    /// Whether the NAT lets in only what has been sent to.
    pub(crate) filters: bool,
    sent_to: Vec<(SocketAddr, SocketAddr)>,
    /// Its events are handed to the peer after this time; `None` keeps them back.
    pub(crate) signalling: Option<Duration>,
    pub(crate) transmitted: u64,
}

struct Packet {
    from: SocketAddr,
    to: SocketAddr,
    bytes: Vec<u8>,
}

enum Delivery {
    Packet(Packet),
    Candidate(usize, Candidate),
    EndOfCandidates(usize),
}

pub(crate) struct Net {
    pub(crate) start: Instant,
    pub(crate) now: Instant,
    pub(crate) nodes: Vec<Node>,
    pub(crate) delay: Duration,
    /// 0 to 1.
    pub(crate) loss: f64,
    /// Drops everything between these addresses.
    pub(crate) blocked: Vec<(SocketAddr, SocketAddr)>,
    pub(crate) stun_server: Option<SocketAddr>,
    pub(crate) rng: Rng,
    flying: BTreeMap<(Instant, u64), Delivery>,
    counter: u64,
}

pub(crate) fn agent(role: Role, seed: u64) -> Agent {
    Agent::new(Config::new(Provider::default(), role), Rng::from_test_seed(seed))
}

impl Node {
    pub(crate) fn new(agent: Agent) -> Self {
        Self {
            agent,
            events: Vec::new(),
            nat: Vec::new(),
            filters: true,
            sent_to: Vec::new(),
            signalling: Some(Duration::ZERO),
            transmitted: 0,
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
}

impl Net {
    /// Two agents with a path of 25 ms each way.
    pub(crate) fn new(left: Agent, right: Agent, seed: u64) -> Self {
        let start = origin();
        Self {
            start,
            now: start,
            nodes: vec![Node::new(left), Node::new(right)],
            delay: ms(25),
            loss: 0.0,
            blocked: Vec::new(),
            stun_server: None,
            rng: Rng::from_test_seed(seed),
            flying: BTreeMap::new(),
            counter: 0,
        }
    }

    /// Two agents that know each other's credentials, one address each.
    pub(crate) fn pair(seed: u64) -> Self {
        let mut net = Self::new(agent(Role::Controlling, seed), agent(Role::Controlled, seed + 1_000), seed);
        net.exchange_credentials();
        net.nodes[0].agent.add_local_address(net.now, addr("192.0.2.1:1000"));
        net.nodes[1].agent.add_local_address(net.now, addr("198.51.100.1:2000"));
        net.end_of_addresses();
        net
    }

    pub(crate) fn exchange_credentials(&mut self) {
        for (to, from) in [(0, 1), (1, 0)] {
            let credentials = self.nodes[from].agent.local_credentials().clone();
            let now = self.now;
            self.nodes[to].agent.set_remote_credentials(now, credentials);
        }
    }

    pub(crate) fn end_of_addresses(&mut self) {
        let now = self.now;
        self.nodes.iter_mut().for_each(|node| node.agent.end_of_local_addresses(now));
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.now - self.start
    }

    /// Runs until nothing is left to do before `end` after the start.
    pub(crate) fn run_until(&mut self, end: Duration) {
        self.run_while(end, |_| true);
    }

    /// Runs while `condition` holds, at most until `end` after the start; gives whether it ceased to hold.
    pub(crate) fn run_while(&mut self, end: Duration, condition: impl Fn(&Net) -> bool) -> bool {
        loop {
            self.flush();
            if !condition(self) {
                return true;
            }
            let timeouts = self.nodes.iter().filter_map(|node| node.agent.poll_timeout());
            let arrival = self.flying.keys().next().map(|(at, _)| *at);
            let Some(next) = timeouts.chain(arrival).min().filter(|next| *next <= self.start + end) else {
                self.now = self.start + end;
                return false;
            };
            self.now = next.max(self.now);
            while let Some(entry) = self.flying.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let delivery = entry.remove();
                self.deliver(delivery);
            }
            let now = self.now;
            self.nodes.iter_mut().for_each(|node| node.agent.handle_timeout(now));
        }
    }

    pub(crate) fn run_until_connected(&mut self, end: Duration) -> bool {
        let up = |node: &Node| matches!(node.agent.state(), IceState::Connected | IceState::Completed);
        self.run_while(end, |net| !net.nodes.iter().all(up))
    }

    pub(crate) fn run_until_nominated(&mut self, end: Duration) -> bool {
        self.run_while(end, |net| !net.nodes.iter().all(|node| node.agent.is_nominated()))
    }

    /// Sends a datagram into the network, unless it is lost there.
    pub(crate) fn send(&mut self, from: SocketAddr, to: SocketAddr, bytes: Vec<u8>) {
        if self.rng.unit() >= self.loss && !self.blocked.contains(&(from, to)) {
            let at = self.now + self.delay;
            self.launch(at, Delivery::Packet(Packet { from, to, bytes }));
        }
    }

    /// Hands a datagram to a node as if it had come over `path`.
    pub(crate) fn inject(&mut self, node: usize, path: Path, bytes: &mut [u8]) -> bool {
        let received = Received { path, ecn: None, datagram: bytes };
        self.nodes[node].agent.handle_receive(self.now, received).is_some()
    }

    /// Takes what a node wants to send, without sending it.
    pub(crate) fn take_transmits(&mut self, node: usize) -> Vec<(Path, Vec<u8>)> {
        let mut taken = Vec::new();
        let mut buf = Vec::new();
        while let Some(transmit) = self.nodes[node].agent.poll_transmit(self.now, &mut buf) {
            assert_eq!(transmit.len, buf.len());
            taken.push((transmit.path, std::mem::take(&mut buf)));
        }
        taken
    }

    fn launch(&mut self, at: Instant, delivery: Delivery) {
        self.counter += 1;
        self.flying.insert((at, self.counter), delivery);
    }

    fn flush(&mut self) {
        for index in 0..self.nodes.len() {
            for (path, bytes) in self.take_transmits(index) {
                let node = &mut self.nodes[index];
                node.transmitted += 1;
                let mapped = node.nat.iter().find(|(inside, _)| *inside == path.local);
                let from = mapped.map_or(path.local, |(_, outside)| *outside);
                if !node.sent_to.contains(&(path.local, path.remote)) {
                    node.sent_to.push((path.local, path.remote));
                }
                self.send(from, path.remote, bytes);
            }
            self.signal(index);
        }
    }

    fn signal(&mut self, index: usize) {
        let elapsed = self.elapsed();
        while let Some(event) = self.nodes[index].agent.poll_event() {
            self.nodes[index].events.push((elapsed, event.clone()));
            let Some(delay) = self.nodes[index].signalling else { continue };
            let (at, peer) = (self.now + delay, 1 - index);
            match event {
                Event::CandidateGathered(candidate) => self.launch(at, Delivery::Candidate(peer, candidate)),
                Event::GatheringStateChanged(antiphon_ice::GatheringState::Complete) => {
                    self.launch(at, Delivery::EndOfCandidates(peer));
                }
                _ => {}
            }
        }
    }

    fn deliver(&mut self, delivery: Delivery) {
        match delivery {
            Delivery::Packet(packet) => self.deliver_packet(packet),
            Delivery::Candidate(to, candidate) => {
                self.nodes[to].agent.add_remote_candidate(self.now, candidate).unwrap();
            }
            Delivery::EndOfCandidates(to) => self.nodes[to].agent.end_of_remote_candidates(self.now),
        }
    }

    fn deliver_packet(&mut self, mut packet: Packet) {
        if self.stun_server == Some(packet.to) {
            return self.answer(&packet);
        }
        let now = self.now;
        for node in &mut self.nodes {
            let mut local = packet.to;
            if let Some((inside, _)) = node.nat.iter().find(|(_, outside)| *outside == packet.to) {
                if node.filters && !node.sent_to.contains(&(*inside, packet.from)) {
                    return;
                }
                local = *inside;
            } else if node.nat.iter().any(|(inside, _)| *inside == packet.to) {
                continue;
            }
            if node.agent.local_candidates().iter().any(|candidate| candidate.address == local) {
                let path = Path::udp(local, packet.from);
                let received = Received { path, ecn: None, datagram: &mut packet.bytes };
                assert!(node.agent.handle_receive(now, received).is_none(), "only STUN is sent here");
                return;
            }
        }
    }

    fn answer(&mut self, packet: &Packet) {
        let message = Message::try_from(&packet.bytes[..]).unwrap();
        assert_eq!(message.kind(), MessageType::BINDING_REQUEST);
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes);
        let mut builder = MessageBuilder::new(&mut writer, MessageType::BINDING_SUCCESS, message.id());
        builder.attribute(&Attribute::XorMappedAddress(packet.from));
        builder.fingerprint();
        builder.finish().unwrap();
        self.send(packet.to, packet.from, bytes);
    }
}
