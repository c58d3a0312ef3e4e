//! What lies between the nodes: addresses, links, translators, and the datagrams on their way.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use antiphon_util::{Ecn, Path, Protocol, Rng};

use crate::chart::{Chart, Fate, Passage};
use crate::link::{Carried, Link, LinkState};
use crate::loss::Loss;
use crate::pcap::Pcap;
use crate::routing::{Destination, Routing};

/// A datagram as it is sent, for a test that intercepts it.
#[derive(Debug)]
pub struct Packet<'a> {
    /// How many datagrams were sent before it.
    pub number: u64,
    /// Since the start of the simulation.
    pub sent: Duration,
    /// Its source as the sender has it.
    pub from: SocketAddr,
    /// Its destination as the sender has it.
    pub to: SocketAddr,
    /// Its payload, which may be changed.
    pub datagram: &'a mut Vec<u8>,
}

/// A datagram that has arrived.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) node: usize,
    pub(crate) path: Path,
    pub(crate) ecn: Option<Ecn>,
    pub(crate) datagram: Vec<u8>,
}

type Interceptor = Box<dyn FnMut(&mut Packet<'_>) -> bool>;
type Labeller = Box<dyn Fn(&[u8]) -> String>;

pub(crate) struct Network {
    start: Instant,
    rng: Rng,
    routing: Routing,
    unplugged: HashSet<usize>,
    default_link: Link,
    links: HashMap<(IpAddr, IpAddr), Link>,
    states: HashMap<(IpAddr, IpAddr), LinkState>,
    in_flight: BinaryHeap<Reverse<Flight>>,
    sent: u64,
    flights: u64,
    interceptor: Option<Interceptor>,
    labeller: Option<Labeller>,
    pcap: Option<Pcap>,
    chart: Chart,
}

impl Network {
    pub(crate) fn new(start: Instant, seed: u64, default_link: Link) -> Self {
        Self {
            start,
            rng: Rng::from_test_seed(seed),
            routing: Routing::default(),
            unplugged: HashSet::new(),
            default_link,
            links: HashMap::new(),
            states: HashMap::new(),
            in_flight: BinaryHeap::new(),
            sent: 0,
            flights: 0,
            interceptor: None,
            labeller: None,
            pcap: None,
            chart: Chart::default(),
        }
    }

    pub(crate) fn routing(&mut self) -> &mut Routing {
        &mut self.routing
    }

    pub(crate) fn set_default_link(&mut self, link: Link) {
        self.default_link = link;
    }

    pub(crate) fn set_link(&mut self, from: IpAddr, to: IpAddr, link: Link) {
        self.links.insert((from, to), link);
    }

    pub(crate) fn set_plugged(&mut self, node: usize, plugged: bool) {
        if plugged {
            self.unplugged.remove(&node);
        } else {
            self.unplugged.insert(node);
        }
    }

    pub(crate) fn intercept(&mut self, interceptor: Option<Interceptor>) {
        self.interceptor = interceptor;
    }

    pub(crate) fn label(&mut self, labeller: Labeller) {
        self.labeller = Some(labeller);
    }

    pub(crate) fn capture(&mut self, pcap: Pcap) {
        self.pcap = Some(pcap);
    }

    pub(crate) fn chart(&self) -> &Chart {
        &self.chart
    }

    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    pub(crate) fn has(&self, address: IpAddr, node: usize) -> bool {
        self.routing.host(address) == Some(node)
    }

    /// Takes a datagram from `path.local` to `path.remote`.
    pub(crate) fn send(&mut self, now: Instant, path: Path, ecn: Option<Ecn>, datagram: &[u8]) {
        let mut datagram = datagram.to_vec();
        let (from, to) = (path.local, path.remote);
        let sent = now - self.start;
        let mut packet = Packet { number: self.sent, sent, from, to, datagram: &mut datagram };
        let passes = self.interceptor.as_mut().is_none_or(|interceptor| interceptor(&mut packet));
        self.sent += 1;
        let carried = match self.routing.outbound(now, path) {
            _ if !passes => Carried::Dropped(Fate::Intercepted),
            _ if self.routing.blocks(path) => Carried::Dropped(Fate::Filtered),
            Some(_) if self.is_unplugged(from) || self.is_unplugged(to) => Carried::Dropped(Fate::Lost),
            Some(wire) => {
                let carried = self.carry(now, path, datagram.len());
                self.launch(&carried, wire, ecn, &datagram);
                carried
            }
            None => Carried::Dropped(Fate::Unroutable),
        };
        if let Some(pcap) = self.pcap.as_mut().filter(|_| from.is_ipv4() == to.is_ipv4())
            && let Err(error) = pcap.write(sent, from, to, &datagram)
        {
            panic!("the capture file: {error}");
        }
        let (arrives, fate) = match carried {
            Carried::Arrives { at, copy_at: None } => (at - self.start, Fate::Arrives),
            Carried::Arrives { at, copy_at: Some(_) } => (at - self.start, Fate::ArrivesTwice),
            Carried::Dropped(fate) => (sent, fate),
        };
        self.record(
            Passage { sent, from, to, len: datagram.len(), arrives, fate, label: String::new() },
            &datagram,
        );
    }

    /// When the next datagram arrives.
    pub(crate) fn next_arrival(&self) -> Option<Instant> {
        self.in_flight.peek().map(|Reverse(flight)| flight.at)
    }

    /// The next datagram that has arrived at `now`.
    pub(crate) fn poll_arrival(&mut self, now: Instant) -> Option<Arrival> {
        while self.next_arrival().is_some_and(|at| at <= now) {
            let Reverse(flight) = self.in_flight.pop()?;
            match self.routing.inbound(flight.at, flight.path) {
                Destination::Host(node, path) if !self.unplugged.contains(&node) => {
                    return Some(Arrival { node, path, ecn: flight.ecn, datagram: flight.datagram });
                }
                Destination::Host(..) => {}
                Destination::Filtered => self.refuse(flight, Fate::Filtered),
                Destination::Nobody => self.refuse(flight, Fate::Unroutable),
            }
        }
        None
    }

    fn is_unplugged(&self, address: SocketAddr) -> bool {
        self.routing.host(address.ip()).is_some_and(|node| self.unplugged.contains(&node))
    }

    fn carry(&mut self, now: Instant, path: Path, payload: usize) -> Carried {
        let ends = (path.local.ip(), path.remote.ip());
        let mut link = self.links.get(&ends).copied().unwrap_or(self.default_link);
        if path.protocol == Protocol::Tcp && link.loss != Loss::everything() {
            link = Link { loss: Loss::default(), reorder: 0.0, duplicate: 0.0, mtu: None, ..link };
        }
        let headers = if path.local.is_ipv4() { 20 + 8 } else { 40 + 8 };
        self.states.entry(ends).or_default().carry(now, &link, payload + headers, &mut self.rng)
    }

    fn launch(&mut self, carried: &Carried, path: Path, ecn: Option<Ecn>, datagram: &[u8]) {
        let Carried::Arrives { at, copy_at } = carried else { return };
        for at in [Some(*at), *copy_at].into_iter().flatten() {
            let flight = Flight { at, number: self.flights, path, ecn, datagram: datagram.to_vec() };
            self.in_flight.push(Reverse(flight));
            self.flights += 1;
        }
    }

    fn refuse(&mut self, flight: Flight, fate: Fate) {
        let (from, to) = (flight.path.local, flight.path.remote);
        let at = flight.at - self.start;
        let len = flight.datagram.len();
        self.record(
            Passage { sent: at, from, to, len, arrives: at, fate, label: String::new() },
            &flight.datagram,
        );
    }

    fn record(&mut self, mut passage: Passage, datagram: &[u8]) {
        if let Some(labeller) = &self.labeller {
            passage.label = labeller(datagram);
        }
        self.chart.push(passage);
    }
}

/// A datagram on its way; ordered by arrival, then by departure.
#[derive(Debug)]
struct Flight {
    at: Instant,
    number: u64,
    path: Path,
    ecn: Option<Ecn>,
    datagram: Vec<u8>,
}

impl PartialEq for Flight {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Flight {}

impl PartialOrd for Flight {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Flight {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}
