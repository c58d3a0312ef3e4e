//! A server, clients and peers on a simulated network.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant, SystemTime};

use antiphon_crypto::Provider;
use antiphon_stun::Credential;
use antiphon_testkit::{Link, Node, NodeId, Simulation, origin};
use antiphon_turn::client::{self, Client};
use antiphon_turn::server::{self, Server};
use antiphon_util::{ClockAnchor, Path, Received, Rng, Transmit};

pub(crate) const SERVER: &str = "198.41.0.4";
pub(crate) const SERVER_V6: &str = "2620:0:2d0:200::7";
pub(crate) const CLIENT: &str = "8.0.0.1";
pub(crate) const PEER: &str = "9.9.9.9";
pub(crate) const PEER_V6: &str = "2620:fe::fe";
/// The calendar at the start of every simulation, in seconds since 1970.
pub(crate) const EPOCH: u64 = 1_700_000_000;

pub(crate) fn at(ip: &str, port: u16) -> SocketAddr {
    SocketAddr::new(ip.parse().unwrap(), port)
}

pub(crate) enum Party {
    Client(Box<ClientParty>),
    Server(Box<ServerParty>),
    Peer(PeerParty),
}

pub(crate) struct ClientParty {
    pub(crate) client: Client,
    pub(crate) events: Vec<client::Event>,
    /// What peers sent.
    pub(crate) received: Vec<(SocketAddr, Vec<u8>)>,
    outgoing: VecDeque<(Transmit, Vec<u8>)>,
}

pub(crate) struct ServerParty {
    pub(crate) server: Server,
    /// Addresses that are bound.
    pub(crate) bound: Vec<SocketAddr>,
    /// Ports that cannot be bound.
    pub(crate) taken: Vec<u16>,
}

/// Sends back what it gets.
#[derive(Default)]
pub(crate) struct PeerParty {
    pub(crate) received: Vec<(SocketAddr, Vec<u8>)>,
    answers: VecDeque<(Path, Vec<u8>)>,
}

impl ClientParty {
    pub(crate) fn send(&mut self, now: Instant, peer: SocketAddr, datagram: &[u8]) {
        let mut buf = Vec::new();
        if let Some(transmit) = self.client.send(now, peer, datagram, &mut buf) {
            self.outgoing.push_back((transmit, buf));
        }
    }
}

impl Node for Party {
    fn handle_receive(&mut self, now: Instant, received: Received<'_>) {
        match self {
            Party::Client(party) => {
                if let Some(data) = party.client.handle_receive(now, received) {
                    party.received.push((data.path.remote, data.datagram.to_vec()));
                }
            }
            Party::Server(party) => party.server.handle_receive(now, received),
            Party::Peer(party) => {
                party.received.push((received.path.remote, received.datagram.to_vec()));
                party.answers.push_back((received.path, received.datagram.to_vec()));
            }
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        match self {
            Party::Client(party) => party.client.handle_timeout(now),
            Party::Server(party) => party.server.handle_timeout(now),
            Party::Peer(_) => {}
        }
    }

    fn poll_transmit(&mut self, now: Instant, buf: &mut Vec<u8>) -> Option<Transmit> {
        match self {
            Party::Client(party) => {
                if let Some((transmit, bytes)) = party.outgoing.pop_front() {
                    buf.extend_from_slice(&bytes);
                    return Some(transmit);
                }
                party.client.poll_transmit(now, buf)
            }
            Party::Server(party) => party.server.poll_transmit(now, buf),
            Party::Peer(party) => {
                let (path, bytes) = party.answers.pop_front()?;
                buf.extend_from_slice(&bytes);
                Some(Transmit { path, ecn: None, len: bytes.len(), segment_size: None })
            }
        }
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        match self {
            Party::Client(party) => party.client.poll_timeout(),
            Party::Server(party) => party.server.poll_timeout(),
            Party::Peer(_) => None,
        }
    }

    fn settle(&mut self, now: Instant) {
        match self {
            Party::Client(party) => party.events.extend(std::iter::from_fn(|| party.client.poll_event())),
            Party::Server(party) => party.settle(now),
            Party::Peer(_) => {}
        }
    }
}

impl ServerParty {
    fn settle(&mut self, now: Instant) {
        while let Some(event) = self.server.poll_event() {
            match event {
                server::Event::OpenRelay { address, .. } => {
                    let free = !self.taken.contains(&address.port());
                    if free {
                        assert!(!self.bound.contains(&address), "{address} is bound already");
                        self.bound.push(address);
                    }
                    self.server.relay_opened(now, address, free);
                }
                server::Event::CloseRelay { address } => self.bound.retain(|bound| *bound != address),
                _ => {}
            }
        }
    }
}

/// A simulation with a server, one client and one peer.
pub(crate) struct World {
    pub(crate) net: Simulation<Party>,
    pub(crate) server: NodeId,
    pub(crate) client: NodeId,
    pub(crate) peer: NodeId,
}

pub(crate) fn server_config() -> server::Config {
    let clock = ClockAnchor::new(origin(), SystemTime::UNIX_EPOCH + Duration::from_secs(EPOCH));
    let mut config = server::Config::new(Provider::default(), clock, "example.org");
    config.users.passwords.insert("alice".to_owned(), "wonderland".to_owned());
    config.users.passwords.insert("bob".to_owned(), "builder".to_owned());
    config.users.secrets.push("shared".to_owned());
    config.relays = [SERVER, SERVER_V6].map(|ip| ip.parse::<IpAddr>().unwrap().into()).to_vec();
    config.own_addresses = vec![SERVER.parse().unwrap(), SERVER_V6.parse().unwrap()];
    config
}

/// A client's configuration and who it is.
#[derive(Clone)]
pub(crate) struct Setup {
    config: client::Config,
    username: String,
    password: String,
}

impl Setup {
    pub(crate) fn client(self, now: Instant, rng: Rng, path: Path) -> Client {
        let credential = Credential::new(&self.username, &self.password).unwrap();
        Client::new(now, self.config, credential, rng, path)
    }
}

impl Deref for Setup {
    type Target = client::Config;

    fn deref(&self) -> &client::Config {
        &self.config
    }
}

impl DerefMut for Setup {
    fn deref_mut(&mut self) -> &mut client::Config {
        &mut self.config
    }
}

pub(crate) fn client_config() -> Setup {
    user("alice", "wonderland")
}

pub(crate) fn user(username: &str, password: &str) -> Setup {
    let config = client::Config::new(Provider::default());
    Setup { config, username: username.to_owned(), password: password.to_owned() }
}

pub(crate) fn link() -> Link {
    Link { delay: Duration::from_millis(20), ..Link::default() }
}

impl World {
    pub(crate) fn new(seed: u64, link: Link, server: server::Config, client: Setup) -> Self {
        let mut net = Simulation::new(seed, link);
        let (now, rng) = (net.now(), net.rng().fork());
        let party =
            ServerParty { server: Server::new(now, server, rng), bound: Vec::new(), taken: Vec::new() };
        let addresses = [SERVER.parse().unwrap(), SERVER_V6.parse().unwrap()];
        let server = net.add_node(Party::Server(Box::new(party)), &addresses);
        let client = add_client(&mut net, CLIENT, client);
        let peer = net
            .add_node(Party::Peer(PeerParty::default()), &[PEER.parse().unwrap(), PEER_V6.parse().unwrap()]);
        Self { net, server, client, peer }
    }

    /// With the defaults, on a perfect network.
    pub(crate) fn simple() -> Self {
        Self::new(1, link(), server_config(), client_config())
    }

    pub(crate) fn add_client(&mut self, ip: &str, config: Setup) -> NodeId {
        add_client(&mut self.net, ip, config)
    }

    pub(crate) fn run(&mut self, duration: Duration) {
        self.net.run_for(duration);
    }

    pub(crate) fn at(&mut self, id: NodeId) -> &mut ClientParty {
        match &mut self.net[id] {
            Party::Client(party) => party,
            _ => panic!("not a client"),
        }
    }

    pub(crate) fn client(&mut self) -> &mut ClientParty {
        self.at(self.client)
    }

    pub(crate) fn server(&mut self) -> &mut ServerParty {
        match &mut self.net[self.server] {
            Party::Server(party) => party,
            _ => panic!("not a server"),
        }
    }

    pub(crate) fn peer(&mut self) -> &mut PeerParty {
        match &mut self.net[self.peer] {
            Party::Peer(party) => party,
            _ => panic!("not a peer"),
        }
    }

    pub(crate) fn send(&mut self, peer: SocketAddr, datagram: &[u8]) {
        let now = self.net.now();
        self.client().send(now, peer, datagram);
    }

    /// Runs until the client has its allocation.
    pub(crate) fn allocate(&mut self) -> client::Allocated {
        let id = self.client;
        let done = self.net.run_until(Duration::from_secs(30), |net| match &net[id] {
            Party::Client(party) => !party.events.is_empty(),
            _ => false,
        });
        assert!(done, "{}", self.net.chart());
        match self.client().events.remove(0) {
            client::Event::Allocated(allocated) => allocated,
            other => panic!("{other:?}\n{}", self.net.chart()),
        }
    }

    /// Runs until the client says something, and gives it.
    pub(crate) fn event(&mut self) -> client::Event {
        let id = self.client;
        self.net.run_until(Duration::from_secs(60), |net| match &net[id] {
            Party::Client(party) => !party.events.is_empty(),
            _ => false,
        });
        self.client().events.remove(0)
    }

    /// How the first request ends that is refused.
    pub(crate) fn refusal(&mut self) -> (u16, String) {
        match self.event() {
            client::Event::Failed(client::Failure::Refused(refusal)) => (refusal.code, refusal.reason),
            other => panic!("{other:?}\n{}", self.net.chart()),
        }
    }
}

fn add_client(net: &mut Simulation<Party>, ip: &str, config: Setup) -> NodeId {
    let (now, rng) = (net.now(), net.rng().fork());
    let is_v6 = ip.contains(':');
    let path = Path::udp(at(ip, 4_000), at(if is_v6 { SERVER_V6 } else { SERVER }, 3_478));
    let party = ClientParty {
        client: config.client(now, rng, path),
        events: Vec::new(),
        received: Vec::new(),
        outgoing: VecDeque::new(),
    };
    net.add_node(Party::Client(Box::new(party)), &[ip.parse().unwrap()])
}
