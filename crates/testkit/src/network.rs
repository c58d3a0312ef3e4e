//! What lies between the nodes: addresses, links, translators, and the datagrams on their way.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use antiphon_util::{Ecn, Path, Rng};

use crate::chart::{Chart, Fate, Passage};
use crate::link::{Carried, Link, LinkState};
use crate::nat::{Nat, NatState};
use crate::pcap::Pcap;

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
    /// Which node has an address.
    hosts: HashMap<IpAddr, usize>,
    unplugged: HashSet<usize>,
    /// Which translator an address is behind.
    behind: HashMap<IpAddr, usize>,
    nats: Vec<NatState>,
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
            hosts: HashMap::new(),
            unplugged: HashSet::new(),
            behind: HashMap::new(),
            nats: Vec::new(),
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

    pub(crate) fn add_host(&mut self, address: IpAddr, node: usize) {
        let other = self.hosts.insert(address, node);
        assert!(other.is_none(), "{address} is taken");
    }

    pub(crate) fn remove_host(&mut self, address: IpAddr) {
        self.hosts.remove(&address);
    }

    pub(crate) fn add_nat(&mut self, nat: Nat, inside: &[IpAddr]) {
        self.behind.extend(inside.iter().map(|address| (*address, self.nats.len())));
        self.nats.push(NatState::new(nat));
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
        self.hosts.get(&address) == Some(&node)
    }

    /// Takes a datagram from `path.local` to `path.remote`.
    pub(crate) fn send(&mut self, now: Instant, path: Path, ecn: Option<Ecn>, datagram: &[u8]) {
        let mut datagram = datagram.to_vec();
        let (from, to) = (path.local, path.remote);
        let sent = now - self.start;
        let mut packet = Packet { number: self.sent, sent, from, to, datagram: &mut datagram };
        let passes = self.interceptor.as_mut().is_none_or(|interceptor| interceptor(&mut packet));
        self.sent += 1;
        let carried = match self.source_on_the_wire(now, from, to) {
            _ if !passes => Carried::Dropped(Fate::Intercepted),
            Some(_) if self.is_unplugged(from) || self.is_unplugged(to) => Carried::Dropped(Fate::Lost),
            Some(source) => {
                let carried = self.carry(now, from, to, datagram.len());
                self.launch(&carried, Path { local: source, ..path }, ecn, &datagram);
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
            let Path { protocol, local: source, remote: destination } = flight.path;
            let nat = self.nats.iter().find(|nat| nat.config.public == destination.ip());
            let inside = match nat {
                Some(nat) => nat.inbound(flight.at, destination.port(), source),
                None => Some(destination),
            };
            let host = inside.and_then(|inside| Some((inside, *self.hosts.get(&inside.ip())?)));
            match host {
                Some((local, node)) if !self.unplugged.contains(&node) => {
                    let path = Path { protocol, local, remote: source };
                    return Some(Arrival { node, path, ecn: flight.ecn, datagram: flight.datagram });
                }
                Some(_) => {}
                None => self.refuse(flight, nat.is_some()),
            }
        }
        None
    }

    /// The source address that the receiver will see, or `None` where there is no way.
    fn source_on_the_wire(&mut self, now: Instant, from: SocketAddr, to: SocketAddr) -> Option<SocketAddr> {
        if from.is_ipv4() != to.is_ipv4() {
            return None;
        }
        let (source_nat, target_nat) = (self.behind.get(&from.ip()), self.behind.get(&to.ip()));
        let direct =
            self.hosts.contains_key(&to.ip()) && target_nat.is_none_or(|nat| source_nat == Some(nat));
        let public = self.nats.iter().position(|nat| nat.config.public == to.ip());
        match (source_nat.copied(), public) {
            (Some(nat), Some(public)) if nat == public && !self.nats[nat].config.hairpin => None,
            (Some(_), None) if direct && target_nat.is_some() => Some(from),
            (Some(nat), public) if direct || public.is_some() => Some(self.nats[nat].outbound(now, from, to)),
            (None, public) if direct || public.is_some() => Some(from),
            _ => None,
        }
    }

    fn is_unplugged(&self, address: SocketAddr) -> bool {
        self.hosts.get(&address.ip()).is_some_and(|node| self.unplugged.contains(node))
    }

    fn carry(&mut self, now: Instant, from: SocketAddr, to: SocketAddr, payload: usize) -> Carried {
        let ends = (from.ip(), to.ip());
        let link = self.links.get(&ends).copied().unwrap_or(self.default_link);
        let headers = if from.is_ipv4() { 20 + 8 } else { 40 + 8 };
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

    fn refuse(&mut self, flight: Flight, by_nat: bool) {
        let (from, to) = (flight.path.local, flight.path.remote);
        let at = flight.at - self.start;
        let fate = if by_nat { Fate::Filtered } else { Fate::Unroutable };
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
