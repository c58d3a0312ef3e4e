//! One port for many connections.

mod attachment;
mod inbox;
mod receiver;
mod router;

use std::collections::HashMap;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use antiphon_peer::{Addressee, CheckBudget, TransactionTag};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::error::ConfigurationError;
use crate::ice_server::{IceServer, StunServer};
use crate::multicast::Groups;
use crate::network::{AddressFilter, Network, Tcp, Watch, with_port};
use crate::socket::Socket;
use crate::tcp::{Accepted, Listener, TcpCounters};
pub(crate) use attachment::Attachment;
pub(crate) use inbox::Inbox;
use receiver::{Counters, Receiver};
use router::{Change, Router};

/// Sockets that many connections share: one UDP port an address, however many peers.
///
/// Datagrams find their connection by the user fragment or transaction that they name, and after that by the peer's address.
/// What is for nobody is dropped and counted. A clone is another handle of the same endpoint; it lives as long as one of
/// its handles or connections does.
///
/// Two connections of one endpoint can't both have the same peer address, as they would where two endpoints of one port each
/// connect to each other twice: between two ports there is one path, and nothing in DTLS says whose a record is.
///
/// ```
/// use antiphon::{Endpoint, PeerConnection};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let endpoint = Endpoint::builder().bind("127.0.0.1:0".parse()?).build().await?;
/// let first = PeerConnection::builder().endpoint(&endpoint).build().await?;
/// let second = PeerConnection::builder().endpoint(&endpoint).build().await?;
/// assert_eq!(endpoint.local_addresses().len(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Endpoint {
    pub(crate) inner: Arc<Inner>,
}

/// How an endpoint is set up.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct EndpointConfiguration {
    /// The addresses and ports.
    pub network: Network,
    /// Servers for connections that name none themselves.
    pub ice_servers: Vec<IceServer>,
    /// Sockets that share each port (`SO_REUSEPORT`, Unix only), each read by a task of its own, so that a multi-threaded
    /// runtime reads on several cores; the kernel keeps each peer with one of them. Default 1.
    pub shards: NonZeroUsize,
    /// What all its connections together may send to addresses that don't answer.
    pub check_budget: CheckBudget,
    /// Bounds on what peers can make grow.
    pub limits: EndpointLimits,
}

impl Default for EndpointConfiguration {
    fn default() -> Self {
        Self {
            network: Network::default(),
            ice_servers: Vec::new(),
            shards: NonZeroUsize::MIN,
            check_budget: CheckBudget::default(),
            limits: EndpointLimits::default(),
        }
    }
}

/// Bounds on what peers can make grow at an endpoint.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct EndpointLimits {
    /// Bytes of datagrams that wait for one connection before further ones are lost, as in a full socket buffer; default
    /// 1 MiB.
    pub inbox_bytes: usize,
    /// Peer addresses that lead to one connection at a time; beyond it the oldest is forgotten; default 16.
    pub addresses: usize,
    /// TCP connections that have not said yet whom they are for; further ones are closed at once; default 256.
    pub tcp_pending: usize,
    /// How many of them may come from one address; default 32.
    pub tcp_pending_per_address: usize,
    /// How long a TCP connection may take to say whom it is for; default 10 s.
    pub tcp_patience: Duration,
    /// TCP connections handed to one peer connection that it has not looked at yet; default 8.
    pub tcp_accepted: usize,
}

impl Default for EndpointLimits {
    fn default() -> Self {
        Self {
            inbox_bytes: 1 << 20,
            addresses: 16,
            tcp_pending: 256,
            tcp_pending_per_address: 32,
            tcp_patience: Duration::from_secs(10),
            tcp_accepted: 8,
        }
    }
}

/// What an endpoint has received since its start, over all its sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct EndpointStatistics {
    /// Connections at present.
    pub connections: usize,
    /// UDP datagrams received.
    pub datagrams_received: u64,
    /// Those of them that were dropped because they are for no connection.
    pub datagrams_unknown: u64,
    /// Those of them that were dropped because too many waited for their connection.
    pub datagrams_overflowed: u64,
    /// TCP connections accepted.
    pub tcp_accepted: u64,
    /// TCP connections closed at once because too many others had not said yet whom they are for.
    pub tcp_refused: u64,
    /// TCP connections closed because they did not say in time that they are for a connection which is there.
    pub tcp_unknown: u64,
}

/// What handles, drivers and tasks of an endpoint share. Its lock is taken when a connection comes, goes or moves, and never
/// for a datagram.
#[derive(Debug, Default)]
pub(crate) struct Inner {
    registry: Mutex<Registry>,
    pub(crate) limits: EndpointLimits,
    pub(crate) check_budget: CheckBudget,
    pub(crate) stun_servers: Vec<StunServer>,
    /// Whether its connections open TCP connections.
    tcp_active: bool,
    tcp_counters: Arc<TcpCounters>,
    /// Spreads connections over the shards that they send from.
    next_shard: AtomicUsize,
    /// Where its connections ask for names.
    pub(crate) multicast: Arc<Groups>,
}

#[derive(Debug, Default)]
struct Registry {
    ports: Vec<Port>,
    listeners: Vec<Listener>,
    ufrags: HashMap<Arc<str>, Arc<Inbox>>,
    tags: HashMap<TransactionTag, Arc<Inbox>>,
}

/// The sockets that share one address.
#[derive(Debug)]
struct Port {
    local: SocketAddr,
    shards: Vec<Shard>,
}

#[derive(Debug)]
struct Shard {
    socket: Arc<Socket>,
    changes: UnboundedSender<Change>,
    counters: Arc<Counters>,
}

impl Endpoint {
    /// Binds the sockets and starts a task for each on the current tokio runtime.
    ///
    /// # Errors
    /// Where a server's URL is not usable, or no socket can be bound.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O and time enabled.
    pub async fn new(configuration: EndpointConfiguration) -> Result<Self, ConfigurationError> {
        let EndpointConfiguration { network, ice_servers, shards, check_budget, limits } = configuration;
        let stun_servers = StunServer::parse_all(&ice_servers)?;
        let sockets = network.bind(|address| bind_shards(address, shards))?;
        let inner =
            Inner { stun_servers, limits, check_budget, tcp_active: network.tcp.active, ..Inner::default() };
        let endpoint = Self { inner: Arc::new(inner) };
        if network.tcp.passive {
            let locals = sockets.iter().filter_map(|shards| shards.first()).map(|socket| socket.local());
            endpoint.inner.listen(&network, locals);
        }
        endpoint.inner.lock().ports =
            sockets.into_iter().map(|sockets| Port::new(sockets, &Router::default())).collect();
        if let Some(watch) = Watch::new(&network) {
            tokio::spawn(follow_interfaces(Arc::downgrade(&endpoint.inner), watch, shards));
        }
        Ok(endpoint)
    }

    /// An endpoint of TCP alone, for a connection whose UDP sockets are its own.
    pub(crate) fn of_tcp(network: &Network, locals: impl Iterator<Item = SocketAddr>) -> Self {
        let endpoint = Self { inner: Arc::default() };
        endpoint.inner.listen(network, locals);
        endpoint
    }

    /// Sets an endpoint up step by step.
    pub fn builder() -> EndpointBuilder {
        EndpointBuilder::default()
    }

    /// The addresses that its sockets are bound to.
    pub fn local_addresses(&self) -> Vec<SocketAddr> {
        self.inner.lock().ports.iter().map(|port| port.local).collect()
    }

    /// What has been received.
    pub fn statistics(&self) -> EndpointStatistics {
        let registry = self.inner.lock();
        let mut sum =
            EndpointStatistics { connections: registry.tags.len(), ..EndpointStatistics::default() };
        for Shard { counters, .. } in registry.ports.iter().flat_map(|port| &port.shards) {
            sum.datagrams_received += counters.datagrams.load(Relaxed);
            sum.datagrams_unknown += counters.unknown.load(Relaxed);
            sum.datagrams_overflowed += counters.overflowed.load(Relaxed);
        }
        let TcpCounters { accepted, refused, unknown } = &*self.inner.tcp_counters;
        sum.tcp_accepted = accepted.load(Relaxed);
        sum.tcp_refused = refused.load(Relaxed);
        sum.tcp_unknown = unknown.load(Relaxed);
        sum
    }
}

impl Inner {
    /// Gives a TCP connection to the peer connection that its first message names; `false` where that is not there.
    pub(crate) fn hand_over(&self, accepted: Accepted) -> bool {
        let Addressee::Ufrag(ufrag) = Addressee::of(&accepted.first) else { return false };
        let inbox = self.lock().ufrags.get(ufrag).cloned();
        inbox.is_some_and(|inbox| inbox.push_accepted(accepted, self.limits.tcp_accepted).is_ok())
    }

    /// Has the UDP sockets follow the interfaces of the machine.
    fn follow_interfaces(self: &Arc<Self>, network: &Network, shards: NonZeroUsize) {
        let bound: Vec<SocketAddr> = self.lock().ports.iter().map(|port| port.local).collect();
        let changes = network.changes(&bound);
        if changes.is_empty() {
            return;
        }
        let bind = |address: &SocketAddr| {
            let bound = network.bind_one(*address, |address| bind_shards(address, shards));
            bound.inspect_err(|error| tracing::debug!(%address, %error, "address left out")).ok()
        };
        let sockets: Vec<_> = changes.new.iter().filter_map(bind).collect();
        let locals: Vec<SocketAddr> =
            sockets.iter().filter_map(|shards| shards.first()).map(|socket| socket.local()).collect();
        let mut registry = self.lock();
        registry.ports.retain(|port| !changes.gone.contains(&port.local));
        let router = registry.router();
        registry.ports.extend(sockets.into_iter().map(|sockets| Port::new(sockets, &router)));
        drop(registry);
        self.multicast.close();
        let tcp = if network.tcp.passive { locals } else { Vec::new() };
        self.follow_listeners(network, &tcp, &changes.gone);
    }

    /// Accepts TCP connections at `new` addresses and no more at those that are `gone`; connections are told of that, and
    /// of what has become of the sockets.
    pub(crate) fn follow_listeners(
        self: &Arc<Self>,
        network: &Network,
        new: &[SocketAddr],
        gone: &[SocketAddr],
    ) {
        let is_gone = |listener: &Listener| gone.iter().any(|gone| gone.ip() == listener.local().ip());
        self.lock().listeners.retain(|listener| !is_gone(listener));
        self.listen(network, new.iter().copied());
        self.lock().tags.values().for_each(|inbox| inbox.push_sockets_changed());
    }

    /// Accepts TCP connections on the ports of UDP, or on others where they are taken.
    fn listen(self: &Arc<Self>, network: &Network, locals: impl Iterator<Item = SocketAddr>) {
        for local in locals {
            let any_port = || network.bind_one(with_port(local, 0), Listener::bind);
            let started = Listener::bind(local)
                .or_else(|_| any_port())
                .and_then(|io| Listener::start(io, Arc::downgrade(self), Arc::clone(&self.tcp_counters)));
            match started {
                Ok(listener) => self.lock().listeners.push(listener),
                Err(error) => tracing::debug!(%local, %error, "no TCP at this address"),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registry {
    /// Has every socket know of `change`.
    fn announce(&self, change: &Change) {
        self.ports.iter().for_each(|port| port.announce(change));
    }

    /// The socket of each address that a connection of this number sends from.
    fn sockets(&self, number: usize) -> Vec<Arc<Socket>> {
        let of_port = |port: &Port| {
            let shard = port.shards.get(number % port.shards.len().max(1))?;
            Some(Arc::clone(&shard.socket))
        };
        self.ports.iter().filter_map(of_port).collect()
    }

    /// What a socket has to know that comes later.
    fn router(&self) -> Router {
        Router::new(self.ufrags.clone(), self.tags.clone())
    }
}

impl Port {
    /// Starts to read `sockets`, which share one address, with what `router` knows.
    fn new(sockets: Vec<Arc<Socket>>, router: &Router) -> Self {
        let local = sockets.first().map_or_else(|| ([0, 0, 0, 0], 0).into(), |socket| socket.local());
        let shards = sockets.into_iter().map(|socket| Shard::new(socket, router.clone())).collect();
        Self { local, shards }
    }

    fn announce(&self, change: &Change) {
        for shard in &self.shards {
            // A receiver that is gone needs to know nothing.
            let _ = shard.changes.send(change.clone());
        }
    }
}

impl Shard {
    fn new(socket: Arc<Socket>, router: Router) -> Self {
        let (changes, incoming) = unbounded_channel();
        let counters = Arc::new(Counters::default());
        let receiver = Receiver::new(Arc::clone(&socket), router, incoming, Arc::clone(&counters));
        tokio::spawn(receiver);
        Self { socket, changes, counters }
    }
}

/// Looks at the interfaces from time to time, for as long as the endpoint is there.
async fn follow_interfaces(endpoint: Weak<Inner>, mut watch: Watch, shards: NonZeroUsize) {
    loop {
        poll_fn(|cx| watch.poll_tick(cx)).await;
        let Some(endpoint) = endpoint.upgrade() else { return };
        endpoint.follow_interfaces(&watch.network, shards);
    }
}

/// So many sockets at one address.
fn bind_shards(address: SocketAddr, shards: NonZeroUsize) -> std::io::Result<Vec<Arc<Socket>>> {
    let shared = shards.get() > 1;
    let first = Arc::new(Socket::bind(address, shared)?);
    let local = first.local();
    let others = (1..shards.get()).map(|_| Socket::bind(local, shared).map(Arc::new));
    std::iter::once(Ok(first)).chain(others).collect()
}

/// Builds an [`Endpoint`] step by step.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct EndpointBuilder {
    configuration: EndpointConfiguration,
}

impl EndpointBuilder {
    /// Binds to `address` in place of every address of the machine; may be repeated. `0.0.0.0` and `::` stand for all addresses
    /// of their family.
    pub fn bind(mut self, address: SocketAddr) -> Self {
        self.configuration.network.bind_addresses.push(address);
        self
    }

    /// Uses loopback addresses too.
    pub fn include_loopback(mut self, include: bool) -> Self {
        self.configuration.network.include_loopback = include;
        self
    }

    /// Uses only addresses that the filter permits.
    pub fn filter(mut self, filter: AddressFilter) -> Self {
        self.configuration.network.filter = Some(filter);
        self
    }

    /// Chooses ports from this range where none is given.
    pub fn ports(mut self, ports: std::ops::RangeInclusive<u16>) -> Self {
        self.configuration.network.ports = ports;
        self
    }

    /// Offers TCP beside UDP.
    pub fn tcp(mut self, tcp: Tcp) -> Self {
        self.configuration.network.tcp = tcp;
        self
    }

    /// How often the interfaces of the machine are looked at.
    pub fn watch(mut self, period: impl Into<Option<Duration>>) -> Self {
        self.configuration.network.watch = period.into();
        self
    }

    /// Adds a server for connections that name none themselves.
    pub fn ice_server(mut self, server: impl Into<IceServer>) -> Self {
        self.configuration.ice_servers.push(server.into());
        self
    }

    /// Reads each port with so many sockets.
    pub fn shards(mut self, shards: NonZeroUsize) -> Self {
        self.configuration.shards = shards;
        self
    }

    /// What all its connections together may send to addresses that don't answer.
    pub fn check_budget(mut self, budget: CheckBudget) -> Self {
        self.configuration.check_budget = budget;
        self
    }

    /// Bounds on what peers can make grow.
    pub fn limits(mut self, limits: EndpointLimits) -> Self {
        self.configuration.limits = limits;
        self
    }

    /// Binds the sockets.
    ///
    /// # Errors
    /// As [`Endpoint::new`].
    pub async fn build(self) -> Result<Endpoint, ConfigurationError> {
        Endpoint::new(self.configuration).await
    }
}
