//! Nodes on a network, driven through time.

use std::net::{IpAddr, SocketAddr};
use std::ops::{Index, IndexMut};
use std::time::{Duration, Instant};

use antiphon_util::{Path, Received, Rng, Transmit};

use crate::chart::Chart;
use crate::link::Link;
use crate::nat::Nat;
use crate::network::{Network, Packet};
use crate::pcap::Pcap;

/// Transmissions of one node at one instant, and turns at one instant without a datagram, after which a node is taken
/// to be stuck.
const STUCK: u32 = 200_000;
const IDLE: u32 = 1_000;

/// An endpoint with addresses under test, usually a small wrapper that hands its verbs on.
pub trait Node {
    /// A datagram has arrived.
    fn handle_receive(&mut self, now: Instant, received: Received<'_>);

    /// An instant that `poll_timeout` gave has come.
    fn handle_timeout(&mut self, now: Instant);

    /// Appends what is to be sent to `buf`.
    fn poll_transmit(&mut self, now: Instant, buf: &mut Vec<u8>) -> Option<Transmit>;

    /// When `handle_timeout` is to be called.
    fn poll_timeout(&mut self) -> Option<Instant>;

    /// Called after each input and command, before anything is sent: the place where a test takes events out.
    fn settle(&mut self, now: Instant) {
        let _ = now;
    }
}

/// Names a node of a simulation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NodeId(usize);

/// Nodes on a network. Commands go to a node by index, `simulation[alice].connect(now)`; `run_until` and its siblings
/// then carry datagrams and let time pass, which jumps to the next thing due.
pub struct Simulation<N> {
    start: Instant,
    now: Instant,
    nodes: Vec<N>,
    addresses: Vec<Vec<IpAddr>>,
    network: Network,
    rng: Rng,
    buf: Vec<u8>,
    idle: u32,
}

impl<N: Node> Simulation<N> {
    /// An empty network whose links are all `link` unless set otherwise; the same `seed` gives the same run.
    pub fn new(seed: u64, link: Link) -> Self {
        let start = crate::origin();
        let mut rng = Rng::from_test_seed(seed);
        Self {
            start,
            now: start,
            nodes: Vec::new(),
            addresses: Vec::new(),
            network: Network::new(start, rng.u64(), link),
            rng,
            buf: Vec::new(),
            idle: 0,
        }
    }

    /// Adds a node that has `addresses`.
    ///
    /// # Panics
    ///
    /// Where another node has one of them.
    pub fn add_node(&mut self, node: N, addresses: &[IpAddr]) -> NodeId {
        let id = self.nodes.len();
        for address in addresses {
            self.network.routing().add_host(*address, id);
        }
        self.nodes.push(node);
        self.addresses.push(addresses.to_vec());
        NodeId(id)
    }

    /// Gives `node` one more address; the node itself is not told.
    pub fn add_address(&mut self, node: NodeId, address: IpAddr) {
        self.network.routing().add_host(address, node.0);
        self.addresses[node.0].push(address);
    }

    /// Whether `node` has `address`.
    pub fn has_address(&self, node: NodeId, address: IpAddr) -> bool {
        self.network.has(address, node.0)
    }

    /// Takes an address from its node: what is sent to it is lost.
    pub fn remove_address(&mut self, node: NodeId, address: IpAddr) {
        self.network.routing().remove_host(address);
        self.addresses[node.0].retain(|known| *known != address);
    }

    /// Puts the addresses `inside` behind a translator; the public address of another may be among them.
    pub fn add_nat(&mut self, nat: Nat, inside: &[IpAddr]) {
        self.network.routing().add_nat(nat, inside);
    }

    /// Lets the IPv6 addresses `inside` reach IPv4 through a translator, by the addresses that
    /// [`nat64_address`](crate::nat64_address) gives.
    pub fn add_nat64(&mut self, nat: Nat, inside: &[IpAddr]) {
        self.network.routing().add_nat64(nat, inside);
    }

    /// Has a firewall drop all UDP from and to these addresses.
    pub fn block_udp(&mut self, addresses: &[IpAddr]) {
        self.network.routing().block_udp(addresses);
    }

    /// Changes all links that were not set by themselves.
    pub fn set_default_link(&mut self, link: Link) {
        self.network.set_default_link(link);
    }

    /// Sets the links between two nodes, both directions, all present addresses.
    pub fn set_link(&mut self, a: NodeId, b: NodeId, link: Link) {
        for from in self.addresses[a.0].clone() {
            for to in self.addresses[b.0].clone() {
                self.set_address_link(from, to, link);
                self.set_address_link(to, from, link);
            }
        }
    }

    /// Sets one direction of the link between two addresses.
    pub fn set_address_link(&mut self, from: IpAddr, to: IpAddr, link: Link) {
        self.network.set_link(from, to, link);
    }

    /// Pulls the plug of `node`: nothing leaves or reaches it any more.
    pub fn unplug(&mut self, node: NodeId) {
        self.network.set_plugged(node.0, false);
    }

    /// Undoes [`Simulation::unplug`].
    pub fn plug(&mut self, node: NodeId) {
        self.network.set_plugged(node.0, true);
    }

    /// Shows every datagram to `interceptor` as it is sent; it may change it, and takes it away by giving `false`.
    pub fn intercept(&mut self, interceptor: impl FnMut(&mut Packet<'_>) -> bool + 'static) {
        self.network.intercept(Some(Box::new(interceptor)));
    }

    /// Ends [`Simulation::intercept`].
    pub fn stop_intercepting(&mut self) {
        self.network.intercept(None);
    }

    /// Names datagrams in the chart.
    pub fn label(&mut self, labeller: impl Fn(&[u8]) -> String + 'static) {
        self.network.label(Box::new(labeller));
    }

    /// Writes every datagram that is sent from now on to `pcap`.
    pub fn capture(&mut self, pcap: Pcap) {
        self.network.capture(pcap);
    }

    /// Sends a datagram that no node made, from any address: what an attacker would do.
    pub fn inject(&mut self, from: SocketAddr, to: SocketAddr, datagram: &[u8]) {
        self.network.send(self.now, Path::udp(from, to), None, datagram);
    }

    /// Runs until `done` or until `limit` has passed, and tells whether it became so.
    pub fn run_until(&mut self, limit: Duration, mut done: impl FnMut(&Self) -> bool) -> bool {
        let limit = self.now + limit;
        self.settle_all();
        loop {
            if done(self) {
                return true;
            }
            if !self.step(limit) {
                return done(self);
            }
        }
    }

    /// Runs for `duration`.
    pub fn run_for(&mut self, duration: Duration) {
        self.run_until(duration, |_| false);
    }

    /// Sends what is to be sent, then jumps to the next instant at which something is due, but not beyond `limit`,
    /// and lets it happen. Gives `false` once `limit` is reached.
    ///
    /// # Panics
    ///
    /// Where a node sends without end, or its timer stays due.
    pub fn step(&mut self, limit: Instant) -> bool {
        self.flush();
        let timeouts = self.nodes.iter_mut().filter_map(N::poll_timeout);
        let Some(next) = timeouts.chain(self.network.next_arrival()).min().filter(|next| *next <= limit)
        else {
            self.now = self.now.max(limit);
            return false;
        };
        let sent = self.network.sent();
        let received = self.advance(next);
        self.flush();
        let idle = !received && sent == self.network.sent() && self.is_due();
        self.idle = if idle { self.idle + 1 } else { 0 };
        assert!(self.idle < IDLE, "a timer stays due, and nothing happens");
        true
    }

    /// The present of the simulation.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Simulated time since the start.
    pub fn elapsed(&self) -> Duration {
        self.now - self.start
    }

    /// Datagrams sent so far, delivered or not.
    pub fn sent(&self) -> u64 {
        self.network.sent()
    }

    /// What happened to the latest datagrams.
    pub fn chart(&self) -> &Chart {
        self.network.chart()
    }

    /// Randomness for the test itself and for its endpoints, from the same seed.
    pub fn rng(&mut self) -> &mut Rng {
        &mut self.rng
    }

    /// Makes `next` the present and hands out what is due; tells whether a datagram was among it.
    fn advance(&mut self, next: Instant) -> bool {
        self.now = self.now.max(next);
        let now = self.now;
        let mut received = false;
        while let Some(mut arrival) = self.network.poll_arrival(now) {
            received = true;
            let node = &mut self.nodes[arrival.node];
            let datagram = &mut arrival.datagram;
            node.handle_receive(now, Received { path: arrival.path, ecn: arrival.ecn, datagram });
            node.settle(now);
        }
        for node in &mut self.nodes {
            if node.poll_timeout().is_some_and(|due| due <= now) {
                node.handle_timeout(now);
                node.settle(now);
            }
        }
        received
    }

    /// Whether a timer is due already.
    fn is_due(&mut self) -> bool {
        let now = self.now;
        self.nodes.iter_mut().any(|node| node.poll_timeout().is_some_and(|due| due <= now))
    }

    pub(crate) fn settle_all(&mut self) {
        for node in &mut self.nodes {
            node.settle(self.now);
        }
    }

    /// Puts on the network what the nodes have to send.
    fn flush(&mut self) {
        for id in 0..self.nodes.len() {
            for count in 0.. {
                assert!(count < STUCK, "node {id} sends without end");
                self.buf.clear();
                self.nodes[id].settle(self.now);
                let Some(transmit) = self.nodes[id].poll_transmit(self.now, &mut self.buf) else { break };
                self.transmit(id, transmit);
            }
        }
    }

    fn transmit(&mut self, id: usize, transmit: Transmit) {
        let local = transmit.path.local;
        assert!(self.network.has(local.ip(), id), "node {id} sends from {local}, which it doesn't have");
        assert_eq!(transmit.len, self.buf.len(), "what was appended is what is to be sent");
        let segment = transmit.segment_size.unwrap_or(transmit.len).max(1);
        for datagram in self.buf.chunks(segment) {
            self.network.send(self.now, transmit.path, transmit.ecn, datagram);
        }
    }
}

impl<N> Index<NodeId> for Simulation<N> {
    type Output = N;

    fn index(&self, id: NodeId) -> &N {
        &self.nodes[id.0]
    }
}

impl<N> IndexMut<NodeId> for Simulation<N> {
    fn index_mut(&mut self, id: NodeId) -> &mut N {
        &mut self.nodes[id.0]
    }
}
