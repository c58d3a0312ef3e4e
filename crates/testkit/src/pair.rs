//! Two endpoints that know no addresses.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use antiphon_util::{Path, Received, Rng, Transmit};

use crate::chart::Chart;
use crate::link::Link;
use crate::network::Packet;
use crate::pcap::Pcap;
use crate::simulation::{Node, NodeId, Simulation};

/// An endpoint without addresses under test, usually a small wrapper that hands its verbs on.
pub trait DatagramEndpoint {
    /// A datagram has arrived.
    fn handle_datagram(&mut self, now: Instant, datagram: &mut [u8]);

    /// An instant that `poll_timeout` gave has come.
    fn handle_timeout(&mut self, now: Instant);

    /// Appends one datagram to `buf` and gives its length.
    fn poll_transmit(&mut self, now: Instant, buf: &mut Vec<u8>) -> Option<usize>;

    /// When `handle_timeout` is to be called.
    fn poll_timeout(&mut self) -> Option<Instant>;

    /// Called after each input and command, before anything is sent: the place where a test takes events out.
    fn settle(&mut self, now: Instant) {
        let _ = now;
    }
}

/// Two endpoints and a link in each direction.
pub struct Pair<L, R> {
    simulation: Simulation<Side<L, R>>,
    left: NodeId,
    right: NodeId,
}

impl<L: DatagramEndpoint, R: DatagramEndpoint> Pair<L, R> {
    /// Joins two endpoints by `link` in both directions; the same `seed` gives the same run.
    pub fn new(seed: u64, link: Link, left: L, right: R) -> Self {
        let mut simulation = Simulation::new(seed, link);
        let left = simulation.add_node(Side::Left(left), &[LEFT.ip()]);
        let right = simulation.add_node(Side::Right(right), &[RIGHT.ip()]);
        Self { simulation, left, right }
    }

    /// The endpoint on the left.
    pub fn left(&self) -> &L {
        match &self.simulation[self.left] {
            Side::Left(left) => left,
            Side::Right(_) => unreachable!("the first node is the left one"),
        }
    }

    /// The endpoint on the left, for commands.
    pub fn left_mut(&mut self) -> &mut L {
        match &mut self.simulation[self.left] {
            Side::Left(left) => left,
            Side::Right(_) => unreachable!("the first node is the left one"),
        }
    }

    /// The endpoint on the right.
    pub fn right(&self) -> &R {
        match &self.simulation[self.right] {
            Side::Right(right) => right,
            Side::Left(_) => unreachable!("the second node is the right one"),
        }
    }

    /// The endpoint on the right, for commands.
    pub fn right_mut(&mut self) -> &mut R {
        match &mut self.simulation[self.right] {
            Side::Right(right) => right,
            Side::Left(_) => unreachable!("the second node is the right one"),
        }
    }

    /// Changes both directions.
    pub fn set_link(&mut self, link: Link) {
        self.simulation.set_default_link(link);
    }

    /// Changes the direction from left to right alone.
    pub fn set_rightward_link(&mut self, link: Link) {
        self.simulation.set_address_link(LEFT.ip(), RIGHT.ip(), link);
    }

    /// Changes the direction from right to left alone.
    pub fn set_leftward_link(&mut self, link: Link) {
        self.simulation.set_address_link(RIGHT.ip(), LEFT.ip(), link);
    }

    /// Shows every datagram to `interceptor` as it is sent, with the flag that says that it goes to the right; it may
    /// change it, and takes it away by giving `false`.
    pub fn intercept(&mut self, mut interceptor: impl FnMut(bool, &mut Packet<'_>) -> bool + 'static) {
        self.simulation.intercept(move |packet| interceptor(packet.to == RIGHT, packet));
    }

    /// Ends [`Pair::intercept`].
    pub fn stop_intercepting(&mut self) {
        self.simulation.stop_intercepting();
    }

    /// Names datagrams in the chart.
    pub fn label(&mut self, labeller: impl Fn(&[u8]) -> String + 'static) {
        self.simulation.label(labeller);
    }

    /// Writes every datagram that is sent from now on to `pcap`.
    pub fn capture(&mut self, pcap: Pcap) {
        self.simulation.capture(pcap);
    }

    /// Sends a datagram that the left did not make to the right.
    pub fn inject_rightward(&mut self, datagram: &[u8]) {
        self.simulation.inject(LEFT, RIGHT, datagram);
    }

    /// Sends a datagram that the right did not make to the left.
    pub fn inject_leftward(&mut self, datagram: &[u8]) {
        self.simulation.inject(RIGHT, LEFT, datagram);
    }

    /// Runs until `done` or until `limit` has passed, and tells whether it became so.
    pub fn run_until(&mut self, limit: Duration, mut done: impl FnMut(&Self) -> bool) -> bool {
        let limit = self.now() + limit;
        self.simulation.settle_all();
        loop {
            if done(self) {
                return true;
            }
            if !self.simulation.step(limit) {
                return done(self);
            }
        }
    }

    /// Runs for `duration`.
    pub fn run_for(&mut self, duration: Duration) {
        self.simulation.run_for(duration);
    }

    /// The present of the simulation.
    pub fn now(&self) -> Instant {
        self.simulation.now()
    }

    /// Simulated time since the start.
    pub fn elapsed(&self) -> Duration {
        self.simulation.elapsed()
    }

    /// Datagrams sent so far, delivered or not.
    pub fn sent(&self) -> u64 {
        self.simulation.sent()
    }

    /// What happened to the latest datagrams.
    pub fn chart(&self) -> &Chart {
        self.simulation.chart()
    }

    /// Randomness for the test itself, from the same seed.
    pub fn rng(&mut self) -> &mut Rng {
        self.simulation.rng()
    }
}

/// Addresses for documentation (RFC 5737), which the endpoints never see.
const LEFT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 5_000);
const RIGHT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)), 5_000);

/// An endpoint that was given an address.
enum Side<L, R> {
    Left(L),
    Right(R),
}

impl<L: DatagramEndpoint, R: DatagramEndpoint> Node for Side<L, R> {
    fn handle_receive(&mut self, now: Instant, received: Received<'_>) {
        match self {
            Self::Left(left) => left.handle_datagram(now, received.datagram),
            Self::Right(right) => right.handle_datagram(now, received.datagram),
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        match self {
            Self::Left(left) => left.handle_timeout(now),
            Self::Right(right) => right.handle_timeout(now),
        }
    }

    fn poll_transmit(&mut self, now: Instant, buf: &mut Vec<u8>) -> Option<Transmit> {
        let (len, path) = match self {
            Self::Left(left) => (left.poll_transmit(now, buf)?, Path::udp(LEFT, RIGHT)),
            Self::Right(right) => (right.poll_transmit(now, buf)?, Path::udp(RIGHT, LEFT)),
        };
        Some(Transmit { path, ecn: None, len, segment_size: None })
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        match self {
            Self::Left(left) => left.poll_timeout(),
            Self::Right(right) => right.poll_timeout(),
        }
    }

    fn settle(&mut self, now: Instant) {
        match self {
            Self::Left(left) => left.settle(now),
            Self::Right(right) => right.settle(now),
        }
    }
}
