//! Two peers behind symmetric NATs, whom nothing but a relay brings together: the server and its clients in simulated time.
#![allow(clippy::panic, clippy::indexing_slicing, clippy::unwrap_used, reason = "a test may fail loudly")]

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use antiphon_crypto::{Certificate, Provider};
use antiphon_peer::{
    Configuration, DataChannelInit, Event, IceConfiguration, IceTransportPolicy, Message, PeerConnection,
    ReadyState,
};
use antiphon_stun::Credential;
use antiphon_testkit::{Link, Loss, Nat, Node, NodeId, Simulation, for_each_seed, origin};
use antiphon_turn::client::{self, Client};
use antiphon_turn::server::{self, Server};
use antiphon_util::{ClockAnchor, Path, Received, Rng, Transmit};

const SERVER: &str = "198.41.0.4";
const INSIDE: [&str; 2] = ["10.1.0.2", "10.2.0.2"];
const OUTSIDE: [&str; 2] = ["8.0.0.1", "9.0.0.1"];

fn at(ip: &str, port: u16) -> SocketAddr {
    SocketAddr::new(ip.parse().unwrap(), port)
}

/// A peer connection, and its client at the relay, whose addresses are the connection's.
struct Peer {
    connection: PeerConnection,
    client: Client,
    relayed: Vec<SocketAddr>,
    /// What the connection sends from a relayed address, on its way to the server.
    outgoing: VecDeque<(Transmit, Vec<u8>)>,
    received: Vec<Message>,
}

impl Peer {
    fn new(which: usize, seed: u64, policy: IceTransportPolicy) -> Self {
        let provider = Provider::default();
        let ice = IceConfiguration { transport_policy: policy, ..IceConfiguration::default() };
        let certificate = Some(Arc::new(Certificate::generate(provider).unwrap()));
        let configuration = Configuration { certificate, ice, ..Configuration::default() };
        let mut rng = Rng::from_test_seed(2 * seed + which as u64);
        let mut connection = PeerConnection::new(origin(), configuration, rng.array()).unwrap();
        connection.add_local_address(origin(), at(INSIDE[which], 4_000));
        let path = Path::udp(at(INSIDE[which], 4_001), at(SERVER, 3_478));
        let credential = Credential::new("user", "secret").unwrap();
        let client = Client::new(origin(), client::Config::new(provider), credential, rng, path);
        Self { connection, client, relayed: Vec::new(), outgoing: VecDeque::new(), received: Vec::new() }
    }

    /// Has the client wrap a run that leaves from the relay.
    fn relay(&mut self, now: Instant, transmit: &Transmit, run: &[u8]) {
        for datagram in run.chunks(transmit.segment_size.unwrap_or(run.len()).max(1)) {
            let mut buf = Vec::new();
            if let Some(transmit) = self.client.send(now, transmit.path.remote, datagram, &mut buf) {
                self.outgoing.push_back((transmit, buf));
            }
        }
    }
}

enum Party {
    Peer(Box<Peer>),
    Relay(Box<Server>),
}

impl Node for Party {
    fn handle_receive(&mut self, now: Instant, received: Received<'_>) {
        match self {
            Party::Peer(peer) if received.path.local == peer.client.path().local => {
                if let Some(received) = peer.client.handle_receive(now, received) {
                    peer.connection.handle_receive(now, received);
                }
            }
            Party::Peer(peer) => peer.connection.handle_receive(now, received),
            Party::Relay(relay) => relay.handle_receive(now, received),
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        match self {
            Party::Peer(peer) => {
                peer.client.handle_timeout(now);
                peer.connection.handle_timeout(now);
            }
            Party::Relay(relay) => relay.handle_timeout(now),
        }
    }

    fn poll_transmit(&mut self, now: Instant, buf: &mut Vec<u8>) -> Option<Transmit> {
        let peer = match self {
            Party::Relay(relay) => return relay.poll_transmit(now, buf),
            Party::Peer(peer) => peer,
        };
        loop {
            if let Some((transmit, bytes)) = peer.outgoing.pop_front() {
                buf.extend_from_slice(&bytes);
                return Some(transmit);
            }
            if let Some(transmit) = peer.client.poll_transmit(now, buf) {
                return Some(transmit);
            }
            let transmit = peer.connection.poll_transmit(now, buf)?;
            if !peer.relayed.contains(&transmit.path.local) {
                return Some(transmit);
            }
            let run = std::mem::take(buf);
            peer.relay(now, &transmit, &run);
        }
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        match self {
            Party::Peer(peer) => {
                [peer.client.poll_timeout(), peer.connection.poll_timeout()].into_iter().flatten().min()
            }
            Party::Relay(relay) => relay.poll_timeout(),
        }
    }

    fn settle(&mut self, now: Instant) {
        match self {
            Party::Peer(peer) => {
                while let Some(event) = peer.client.poll_event() {
                    let allocated = match event {
                        client::Event::Allocated(allocated) => allocated,
                        // The private address of the other end.
                        client::Event::PeerRefused { peer, .. }
                            if INSIDE.contains(&&*peer.ip().to_string()) =>
                        {
                            continue;
                        }
                        other => panic!("{other:?}"),
                    };
                    for relayed in &allocated.relayed {
                        peer.connection.add_relayed_address(now, *relayed, allocated.mapped);
                    }
                    peer.relayed = allocated.relayed;
                    peer.connection.end_of_local_addresses(now);
                }
                while let Some(event) = peer.connection.poll_event() {
                    if let Event::ChannelReadable(id) = event {
                        let messages = std::iter::from_fn(|| peer.connection.receive(now, id));
                        peer.received.extend(messages);
                    }
                }
            }
            Party::Relay(relay) => {
                while let Some(event) = relay.poll_event() {
                    if let server::Event::OpenRelay { address, .. } = event {
                        relay.relay_opened(now, address, true);
                    }
                }
            }
        }
    }
}

struct Lab {
    net: Simulation<Party>,
    peers: [NodeId; 2],
    relay: NodeId,
}

impl Lab {
    fn new(seed: u64, link: Link, policy: IceTransportPolicy) -> Self {
        let mut net = Simulation::new(seed, link);
        let clock = ClockAnchor::new(origin(), SystemTime::UNIX_EPOCH);
        let mut config = server::Config::new(Provider::default(), clock, "lab");
        config.users.passwords.insert("user".to_owned(), "secret".to_owned());
        config.relays.push(SERVER.parse::<IpAddr>().unwrap().into());
        let server = Server::new(origin(), config, Rng::from_test_seed(seed));
        let relay = net.add_node(Party::Relay(Box::new(server)), &[SERVER.parse().unwrap()]);
        let peers = [0, 1].map(|which| {
            let inside = INSIDE[which].parse().unwrap();
            net.add_nat(Nat::symmetric(OUTSIDE[which].parse().unwrap()), &[inside]);
            net.add_node(Party::Peer(Box::new(Peer::new(which, seed, policy))), &[inside])
        });
        Self { net, peers, relay }
    }

    fn peer(&mut self, which: usize) -> &mut Peer {
        match &mut self.net[self.peers[which]] {
            Party::Peer(peer) => peer,
            Party::Relay(_) => panic!("the relay"),
        }
    }

    fn until(&mut self, done: impl Fn(&[&Peer; 2]) -> bool) {
        let ids = self.peers;
        let became = self.net.run_until(Duration::from_secs(120), |net| {
            let peers = ids.map(|id| match &net[id] {
                Party::Peer(peer) => &**peer,
                Party::Relay(_) => panic!("the relay"),
            });
            done(&peers)
        });
        assert!(became, "{}", self.net.chart());
    }

    /// Offer, answer, and messages both ways; then the datagrams that the relay passed on.
    fn call(&mut self) -> u64 {
        self.until(|peers| peers.iter().all(|peer| !peer.relayed.is_empty()));
        let now = self.net.now();
        let channel =
            self.peer(0).connection.create_data_channel(now, "lab", DataChannelInit::default()).unwrap();
        self.peer(0).connection.set_local_description(now, None).unwrap();
        let offer = self.peer(0).connection.local_description().unwrap();
        self.peer(1).connection.set_remote_description(now, offer).unwrap();
        self.peer(1).connection.set_local_description(now, None).unwrap();
        let answer = self.peer(1).connection.local_description().unwrap();
        self.peer(0).connection.set_remote_description(now, answer).unwrap();
        self.until(|[near, _]| near.connection.ready_state(channel) == ReadyState::Open);
        for number in 0..20_u8 {
            let now = self.net.now();
            self.peer(0).connection.send(now, channel, Message::from(vec![number; 3_000])).unwrap();
        }
        self.until(|[_, far]| far.received.len() == 20);
        let expected: Vec<Message> = (0..20).map(|number| Message::from(vec![number; 3_000])).collect();
        assert_eq!(self.peer(1).received, expected);
        let relay = self.relay;
        match &mut self.net[relay] {
            Party::Relay(relay) => relay.metrics().datagrams_to_peers,
            Party::Peer(_) => panic!("a peer"),
        }
    }
}

#[test]
fn peers_behind_symmetric_nats_talk_through_the_relay() {
    for_each_seed(5, |seed| {
        let link = Link { loss: Loss::random(0.05), ..Link::with_delay(Duration::from_millis(20)) };
        let relayed = Lab::new(seed, link, IceTransportPolicy::All).call();
        assert!(relayed >= 60, "{relayed} datagrams");
    });
}

#[test]
fn peers_that_want_relays_alone_talk_from_one_to_the_other() {
    for_each_seed(5, |seed| {
        let link = Link::with_delay(Duration::from_millis(20));
        // Each datagram is relayed twice, out of the one relayed address and into the other.
        let relayed = Lab::new(seed, link, IceTransportPolicy::Relay).call();
        assert!(relayed >= 60, "{relayed} datagrams");
    });
}
