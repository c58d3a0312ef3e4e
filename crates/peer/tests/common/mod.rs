//! Two peer connections on a simulated network.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use antiphon_crypto::{Certificate, Provider};
use antiphon_peer::{
    ChannelId, Configuration, ConnectionState, DataChannelInit, Event, IceCandidate, IceConfiguration,
    Limits, Message, PeerConnection, ReadyState, SessionDescription,
};
use antiphon_testkit::{Link, Node, NodeId, Simulation, origin};
use antiphon_util::{Received, Rng, Transmit};

/// Long enough for what takes many time-outs at worst.
pub const SOON: Duration = Duration::from_secs(600);

/// A peer connection and what it reported.
pub struct Peer {
    pub pc: PeerConnection,
    pub events: Vec<Event>,
    pub received: Vec<(ChannelId, Message)>,
    /// Candidates to carry to the other side.
    pub candidates: Vec<Option<IceCandidate>>,
    /// Whether messages are received as they come.
    pub reads: bool,
    /// Sizes of the runs that were sent, in datagrams.
    pub runs: Vec<usize>,
}

impl Node for Peer {
    fn handle_receive(&mut self, now: Instant, received: Received<'_>) {
        self.pc.handle_receive(now, received);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.pc.handle_timeout(now);
    }

    fn poll_transmit(&mut self, now: Instant, buf: &mut Vec<u8>) -> Option<Transmit> {
        let transmit = self.pc.poll_transmit(now, buf)?;
        self.runs.push(transmit.segment_size.map_or(1, |size| transmit.len.div_ceil(size)));
        Some(transmit)
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        self.pc.poll_timeout()
    }

    fn settle(&mut self, now: Instant) {
        while let Some(event) = self.pc.poll_event() {
            if let Event::IceCandidate(candidate) = &event {
                self.candidates.push(candidate.clone());
            }
            if let Event::ChannelReadable(id) = &event
                && self.reads
            {
                self.read(now, *id);
            }
            self.events.push(event);
        }
    }
}

impl Peer {
    pub fn new(seed: u64, address: SocketAddr, limits: Limits) -> Self {
        Self::with_ice(seed, address, limits, IceConfiguration::default())
    }

    pub fn with_ice(seed: u64, address: SocketAddr, limits: Limits, ice: IceConfiguration) -> Self {
        Self::configured(seed, address, Configuration { limits, ice, ..Configuration::default() })
    }

    pub fn configured(seed: u64, address: SocketAddr, configuration: Configuration) -> Self {
        static CERTIFICATE: OnceLock<[Arc<Certificate>; 2]> = OnceLock::new();
        let generate = || Arc::new(Certificate::generate(Provider::default()).unwrap());
        let certificates = CERTIFICATE.get_or_init(|| [generate(), generate()]);
        let certificate = Some(Arc::clone(&certificates[usize::from(seed.is_multiple_of(2))]));
        let configuration = Configuration { certificate, ..configuration };
        let mut pc = PeerConnection::new(origin(), configuration, Rng::from_test_seed(seed).array()).unwrap();
        pc.add_local_address(origin(), address);
        pc.end_of_local_addresses(origin());
        Self { pc, events: vec![], received: vec![], candidates: vec![], reads: true, runs: vec![] }
    }

    pub fn read(&mut self, now: Instant, id: ChannelId) {
        while let Some(message) = self.pc.receive(now, id) {
            self.received.push((id, message));
        }
    }

    /// The messages received so far.
    pub fn messages(&self) -> Vec<Message> {
        self.received.iter().map(|(_, message)| message.clone()).collect()
    }

    pub fn is_open(&self, id: ChannelId) -> bool {
        self.pc.ready_state(id) == ReadyState::Open
    }

    /// The channels that the other side opened.
    pub fn opened(&self) -> Vec<ChannelId> {
        self.events
            .iter()
            .filter_map(|event| match event {
                Event::DataChannel(id) => Some(*id),
                _ => None,
            })
            .collect()
    }

    pub fn has(&self, event: &Event) -> bool {
        self.events.contains(event)
    }
}

/// Two peers and the network between them.
pub struct Net {
    pub simulation: Simulation<Peer>,
    pub a: NodeId,
    pub b: NodeId,
}

pub fn address(of: u8) -> SocketAddr {
    SocketAddr::new(IpAddr::from([192, 0, 2, of]), 4_000)
}

impl Net {
    pub fn new(seed: u64, link: Link) -> Self {
        Self::with_limits(seed, link, Limits::default())
    }

    pub fn with_ice(a_ice: IceConfiguration, b_ice: IceConfiguration) -> Self {
        let mut simulation = Simulation::new(1, quick());
        let peer = |seed, of, ice| Peer::with_ice(seed, address(of), Limits::default(), ice);
        let a = simulation.add_node(peer(2, 1, a_ice), &[address(1).ip()]);
        let b = simulation.add_node(peer(3, 2, b_ice), &[address(2).ip()]);
        Self { simulation, a, b }
    }

    pub fn configured(seed: u64, link: Link, a: Configuration, b: Configuration) -> Self {
        let mut simulation = Simulation::new(seed, link);
        let a = simulation.add_node(Peer::configured(2 * seed, address(1), a), &[address(1).ip()]);
        let b = simulation.add_node(Peer::configured(2 * seed + 1, address(2), b), &[address(2).ip()]);
        Self { simulation, a, b }
    }

    pub fn with_limits(seed: u64, link: Link, limits: Limits) -> Self {
        let mut simulation = Simulation::new(seed, link);
        let a = simulation.add_node(Peer::new(2 * seed, address(1), limits.clone()), &[address(1).ip()]);
        let b = simulation.add_node(Peer::new(2 * seed + 1, address(2), limits), &[address(2).ip()]);
        Self { simulation, a, b }
    }

    /// Two peers with one open channel.
    pub fn connected(seed: u64, link: Link) -> (Self, ChannelId, ChannelId) {
        let mut net = Self::new(seed, link);
        let (ours, theirs) = net.connect();
        (net, ours, theirs)
    }

    /// Opens the first channel of `a`; gives its name on both sides.
    pub fn connect(&mut self) -> (ChannelId, ChannelId) {
        let ours = self.create_first();
        self.negotiate();
        self.until(|a, b| a.is_open(ours) && !b.opened().is_empty());
        let theirs = self.b().opened()[0];
        (ours, theirs)
    }

    pub fn create_first(&mut self) -> ChannelId {
        let now = self.now();
        self.a().pc.create_data_channel(now, "first", DataChannelInit::default()).unwrap()
    }

    pub fn now(&self) -> Instant {
        self.simulation.now()
    }

    pub fn a(&mut self) -> &mut Peer {
        &mut self.simulation[self.a]
    }

    pub fn b(&mut self) -> &mut Peer {
        &mut self.simulation[self.b]
    }

    /// Offer of `a` and answer of `b`, with the candidates in them.
    pub fn negotiate(&mut self) {
        self.negotiate_with(|sdp| sdp);
    }

    /// The same, with `change` made to each description on its way.
    pub fn negotiate_with(&mut self, change: impl Fn(String) -> String) {
        let now = self.now();
        self.a().pc.set_local_description(now, None).unwrap();
        let offer = self.a().pc.local_description().unwrap();
        self.b().pc.set_remote_description(now, changed(offer, &change)).unwrap();
        self.b().pc.set_local_description(now, None).unwrap();
        let answer = self.b().pc.local_description().unwrap();
        self.a().pc.set_remote_description(now, changed(answer, &change)).unwrap();
    }

    /// Runs until `done`, which has to be soon.
    pub fn until(&mut self, done: impl Fn(&Peer, &Peer) -> bool) {
        let (a, b) = (self.a, self.b);
        let became = self.simulation.run_until(SOON, |s| done(&s[a], &s[b]));
        assert!(
            became,
            "not done; a: {:?} {:?}\nb: {:?} {:?}\n",
            self.simulation[a].events,
            self.simulation[a].pc.statistics(),
            self.simulation[b].events,
            self.simulation[b].pc.statistics(),
        );
    }

    pub fn send_a(&mut self, id: ChannelId, message: impl Into<Message>) {
        let now = self.now();
        self.a().pc.send(now, id, message.into()).unwrap();
    }

    pub fn send_b(&mut self, id: ChannelId, message: impl Into<Message>) {
        let now = self.now();
        self.b().pc.send(now, id, message.into()).unwrap();
    }

    pub fn is_connected(&self) -> bool {
        [self.a, self.b]
            .iter()
            .all(|id| self.simulation[*id].pc.connection_state() == ConnectionState::Connected)
    }
}

fn changed(description: SessionDescription, change: impl Fn(String) -> String) -> SessionDescription {
    SessionDescription { sdp: change(description.sdp), ..description }
}

pub fn lossy(loss: f64) -> Link {
    Link { delay: Duration::from_millis(20), loss: antiphon_testkit::Loss::random(loss), ..Link::default() }
}

pub fn quick() -> Link {
    Link::with_delay(Duration::from_millis(1))
}
