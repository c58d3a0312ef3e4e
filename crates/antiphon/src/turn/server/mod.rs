//! A TURN and STUN server on sockets.
//!
//! One lock guards the protocol; a burst of datagrams is handled under it, and what comes of that is sent behind it, in runs. A
//! relayed address is a socket and a small task, which borrows its buffers only while it reads. Where the system lets a socket have
//! it (Linux, Windows, macOS) every datagram leaves with DF, asked for (DONT-FRAGMENT) or not; ICMP errors are not told to clients.

mod associations;
mod datagrams;
mod peers;
mod streams;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime};

use antiphon_turn::server::{self as core, Config, Event, Metrics, Relayed};
use antiphon_util::{ClockAnchor, Path, Protocol, Rng, Transmit};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::Provider;
use super::tls::{TlsError, TlsIdentity};
use crate::clock::now;
use crate::socket::Socket;
use associations::Associations;

/// How often allocations and connections are looked through for those whose time is over.
const TICK: Duration = Duration::from_millis(500);

/// A server's configuration with the defaults and the present of this machine; see [`Config`].
pub fn config(realm: impl Into<String>) -> Config {
    #[allow(clippy::disallowed_methods, reason = "credentials expire by the calendar")]
    let clock = ClockAnchor::new(now(), SystemTime::now());
    Config::new(Provider::default(), clock, realm)
}

/// Where a server listens.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Listener {
    /// UDP.
    Udp(SocketAddr),
    /// TCP.
    Tcp(SocketAddr),
    /// TLS over TCP.
    Tls(SocketAddr, TlsIdentity),
    /// DTLS over UDP (RFC 7350).
    Dtls(SocketAddr, TlsIdentity),
}

/// Bounds on streams of clients, among which DTLS associations count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerLimits {
    /// Streams at a time, for each listener.
    pub streams: usize,
    /// Streams of one address at a time.
    pub streams_per_address: usize,
    /// How long a stream may be without an allocation or a joined connection, its handshake included.
    pub idle_stream: Duration,
    /// Messages that wait to be written to one stream; more are dropped.
    pub queued_messages: usize,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            streams: 16_384,
            streams_per_address: 256,
            idle_stream: Duration::from_secs(30),
            queued_messages: 256,
        }
    }
}

/// A running server. Its drop ends it at once.
#[derive(Debug)]
pub struct Server {
    shell: Arc<Shell>,
    tasks: Vec<AbortHandle>,
    local: Vec<SocketAddr>,
}

/// What all tasks of a server share.
#[derive(Debug)]
struct Shell {
    state: Mutex<State>,
    limits: ServerLimits,
}

#[derive(Debug)]
struct State {
    server: core::Server,
    /// Sockets that clients talk to.
    listening: HashMap<SocketAddr, Way>,
    /// Relayed addresses.
    relays: HashMap<SocketAddr, Relay>,
    /// Clients' streams.
    streams: HashMap<Path, mpsc::Sender<Vec<u8>>>,
    /// Connections to peers that wait for their client (RFC 6062).
    waiting: HashMap<u32, TcpStream>,
    /// Connections to peers that a client's stream is joined to, until its task fetches them.
    joined: HashMap<Path, (u32, TcpStream)>,
}

/// A relayed address; one for TCP has no socket here, its task listens.
#[derive(Debug)]
struct Relay {
    socket: Option<Arc<Socket>>,
    task: AbortHandle,
}

/// How datagrams leave.
#[derive(Debug, Clone)]
enum Way {
    Plain(Arc<Socket>),
    Dtls(Arc<Associations>),
}

/// What is to be sent once the lock is given back.
#[derive(Debug, Default)]
struct Outgoing {
    bytes: Vec<u8>,
    runs: Vec<(Way, Transmit, Range<usize>)>,
}

impl Server {
    /// Binds every listener and serves.
    ///
    /// # Errors
    /// Where an address cannot be bound, or a key does not serve for DTLS.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O and time enabled.
    pub async fn start(
        mut config: Config,
        listeners: Vec<Listener>,
        limits: ServerLimits,
    ) -> io::Result<Self> {
        let (mut sockets, mut streams) = (Vec::new(), Vec::new());
        let mut associations = Vec::new();
        for listener in listeners {
            match listener {
                Listener::Udp(address) => sockets.push(Arc::new(Socket::bind(address, false)?)),
                Listener::Dtls(address, identity) => {
                    let socket = Arc::new(Socket::bind(address, false)?);
                    let certificate = identity.dtls.ok_or(TlsError::NotForDtls)?;
                    associations.push(Arc::new(Associations::new(socket, certificate, limits)));
                }
                Listener::Tcp(address) => streams.push((TcpListener::bind(address).await?, None)),
                Listener::Tls(address, identity) => {
                    streams.push((TcpListener::bind(address).await?, Some(identity)));
                }
            }
        }
        let mut local: Vec<SocketAddr> = sockets.iter().map(|socket| socket.local()).collect();
        local.extend(associations.iter().map(|associations| associations.local()));
        for (listener, _) in &streams {
            local.push(listener.local_addr()?);
        }
        config.own_addresses.extend(own_addresses(&local));
        let rng = Rng::from_seed(config.provider.random_seed());
        let server = core::Server::new(now(), config, rng);
        let shell = Arc::new(Shell::new(server, ways(&sockets, &associations), limits));
        let mut tasks = vec![tokio::spawn(tick(Arc::downgrade(&shell))).abort_handle()];
        for socket in sockets {
            tasks.push(tokio::spawn(datagrams::read(Arc::downgrade(&shell), socket)).abort_handle());
        }
        for associations in associations {
            let task = associations::serve(Arc::downgrade(&shell), associations);
            tasks.push(tokio::spawn(task).abort_handle());
        }
        for (listener, identity) in streams {
            let task = streams::listen(Arc::downgrade(&shell), listener, identity);
            tasks.push(tokio::spawn(task).abort_handle());
        }
        Ok(Self { shell, tasks, local })
    }

    /// Where it listens: first UDP, then DTLS, then the others, each in the order of the listeners.
    pub fn local_addresses(&self) -> &[SocketAddr] {
        &self.local
    }

    /// What it has counted.
    pub fn metrics(&self) -> Metrics {
        self.shell.lock().server.metrics()
    }

    /// Makes no allocation any more, and ends when the last one does, or after `patience`.
    pub async fn shutdown(self, patience: Duration) {
        let deadline = now() + patience;
        self.shell.lock().server.drain();
        while now() < deadline && self.metrics().allocations > 0 {
            tokio::time::sleep(TICK.min(deadline.saturating_duration_since(now()))).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
        self.shell.drive(|server, _| server.close());
        // The queues of streams close, and with them the streams.
        let mut state = self.shell.lock();
        state.streams.clear();
        for way in state.listening.values() {
            if let Way::Dtls(associations) = way {
                associations.close();
            }
        }
    }
}

impl Shell {
    fn new(server: core::Server, listening: HashMap<SocketAddr, Way>, limits: ServerLimits) -> Self {
        let state = State {
            server,
            listening,
            relays: HashMap::new(),
            streams: HashMap::new(),
            waiting: HashMap::new(),
            joined: HashMap::new(),
        };
        Self { state: Mutex::new(state), limits }
    }

    /// A panic under the lock leaves a state that is still safe to use.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the server handle something, does what it asks for, and sends what comes of it.
    fn drive(self: &Arc<Self>, handle: impl FnOnce(&mut core::Server, Instant)) {
        let now = now();
        let mut outgoing = Outgoing::default();
        {
            let mut state = self.lock();
            handle(&mut state.server, now);
            while let Some(event) = state.server.poll_event() {
                self.handle_event(&mut state, now, event);
            }
            state.collect(now, &mut outgoing);
        }
        outgoing.send();
    }

    fn handle_event(self: &Arc<Self>, state: &mut State, now: Instant, event: Event) {
        match event {
            Event::OpenRelay { address, kind, .. } => {
                let relay = match kind {
                    Relayed::Udp => datagrams::open(self, address),
                    Relayed::Tcp => peers::open(self, address),
                };
                let bound = relay.is_ok();
                match relay {
                    Ok(relay) => drop(state.relays.insert(address, relay)),
                    Err(error) => tracing::debug!(%address, %error, "relayed address not bound"),
                }
                state.server.relay_opened(now, address, bound);
            }
            Event::CloseRelay { address } => {
                if let Some(relay) = state.relays.remove(&address) {
                    relay.task.abort();
                }
            }
            Event::OpenConnection { connection, local, peer } => {
                tokio::spawn(peers::connect(Arc::clone(self), connection, local, peer));
            }
            Event::JoinConnection { connection, client } => {
                if let Some(stream) = state.waiting.remove(&connection) {
                    state.joined.insert(client, (connection, stream));
                }
            }
            Event::CloseConnection { connection } => {
                state.waiting.remove(&connection);
            }
            other => tracing::debug!(?other, "event of the server left alone"),
        }
    }
}

impl State {
    /// Takes out what is to be sent: to streams at once, to sockets when the lock is free.
    fn collect(&mut self, now: Instant, outgoing: &mut Outgoing) {
        loop {
            let start = outgoing.bytes.len();
            let Some(transmit) = self.server.poll_transmit(now, &mut outgoing.bytes) else { return };
            let local = transmit.path.local;
            match transmit.path.protocol {
                Protocol::Tcp => {
                    let bytes = outgoing.bytes.split_off(start);
                    if let Some(stream) = self.streams.get(&transmit.path)
                        && stream.try_send(bytes).is_err()
                    {
                        tracing::trace!(path = ?transmit.path, "stream is busy, messages dropped");
                    }
                }
                Protocol::Udp => {
                    let relay =
                        self.relays.get(&local).and_then(|relay| relay.socket.clone()).map(Way::Plain);
                    if let Some(way) = relay.or_else(|| self.listening.get(&local).cloned()) {
                        outgoing.runs.push((way, transmit, start..outgoing.bytes.len()));
                    }
                }
            }
        }
    }
}

impl Outgoing {
    /// What the kernel has no room for is lost, as datagrams may be.
    fn send(&self) {
        for (way, transmit, range) in &self.runs {
            let bytes = self.bytes.get(range.clone()).unwrap_or_default();
            match way {
                Way::Plain(socket) => drop(socket.send(transmit, bytes)),
                Way::Dtls(associations) => associations.send(transmit, bytes),
            }
        }
    }
}

/// Lets time pass.
async fn tick(shell: Weak<Shell>) {
    loop {
        tokio::time::sleep(TICK).await;
        let Some(shell) = shell.upgrade() else { return };
        let due = shell.lock().server.poll_timeout();
        if due.is_some_and(|due| due <= now()) {
            shell.drive(|server, now| server.handle_timeout(now));
        }
    }
}

/// How datagrams leave from each address that clients talk to.
fn ways(sockets: &[Arc<Socket>], associations: &[Arc<Associations>]) -> HashMap<SocketAddr, Way> {
    let plain = sockets.iter().map(|socket| (socket.local(), Way::Plain(Arc::clone(socket))));
    let dtls = associations.iter().map(|known| (known.local(), Way::Dtls(Arc::clone(known))));
    plain.chain(dtls).collect()
}

/// The addresses of this machine.
fn own_addresses(local: &[SocketAddr]) -> Vec<IpAddr> {
    let mut addresses: Vec<_> = local.iter().map(SocketAddr::ip).filter(|ip| !ip.is_unspecified()).collect();
    if let Ok(interfaces) = if_addrs::get_if_addrs() {
        addresses.extend(interfaces.into_iter().map(|interface| interface.ip()));
    }
    addresses
}

#[cfg(test)]
mod tests {
    use antiphon_stun::{MessageBuilder, MessageType, TransactionId};
    use antiphon_util::{Received, Writer};

    use super::*;

    fn request(number: u8) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes);
        let id = TransactionId([number; 12]);
        MessageBuilder::new(&mut writer, MessageType::BINDING_REQUEST, id).finish().unwrap();
        bytes
    }

    #[test]
    fn messages_for_a_stream_that_is_not_read_are_dropped_at_the_limit() {
        let limits = ServerLimits { queued_messages: 12, ..ServerLimits::default() };
        let server = core::Server::new(now(), config("test"), Rng::from_test_seed(1));
        let shell = Arc::new(Shell::new(server, HashMap::new(), limits));
        let path = Path {
            protocol: Protocol::Tcp,
            local: ([192, 0, 2, 1], 3_478).into(),
            remote: ([192, 0, 2, 2], 4_000).into(),
        };
        let mut queue = streams::queue(&shell, path);
        for number in 0..120 {
            shell.drive(|server, now| {
                server.handle_receive(now, Received { path, ecn: None, datagram: &mut request(number) });
            });
        }
        // The first are there, whole and in order; a stream that is read again gets what comes then.
        let mut ids =
            || std::iter::from_fn(|| queue.try_recv().ok()).map(|message| message[8]).collect::<Vec<_>>();
        assert_eq!(ids(), (0..12).collect::<Vec<_>>());
        shell.drive(|server, now| {
            server.handle_receive(now, Received { path, ecn: None, datagram: &mut request(200) });
        });
        assert_eq!(ids(), [200]);
    }
}
