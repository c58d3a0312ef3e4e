//! The relays of a connection: one task for each URL, which finds the server, asks it for addresses, and carries datagrams.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use antiphon_crypto::Provider;
use antiphon_stun::{Credential, Host, UriTransport};
use antiphon_turn::client::{Allocated, Client, Config, Event, Failure, Families};
use antiphon_util::{Protocol, Received, Rng, Transmit};
use tokio::sync::{mpsc, watch};
use tokio_rustls::rustls::pki_types::ServerName;

use super::carrier::{Carrier, Security};
use super::tls::TlsRoots;
use crate::clock::now;
use crate::events::IceCandidateError;
use crate::ice_server::resolve;
use crate::shared::Shared;

/// Runs of datagrams that wait for one relay; more are dropped.
const QUEUED_RUNS: usize = 256;

/// How long connecting, and finding the way to the server, may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Servers that may send us on to another.
const MAX_ALTERNATES: usize = 3;

/// How long the server has to hear that the allocation is not needed any more.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// The error code of a server that cannot be reached (W3C webrtc-pc §4.8.2).
const UNREACHABLE: u16 = 701;

/// A TURN server as a URL names it, and who we are to it.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) url: String,
    pub(crate) host: Host,
    pub(crate) port: u16,
    /// What SRV records are asked for.
    pub(crate) service: Option<&'static str>,
    pub(crate) transport: UriTransport,
    pub(crate) secure: bool,
    pub(crate) username: String,
    pub(crate) password: String,
}

/// The relayed addresses of a connection and the way to them. Its drop ends the allocations.
#[derive(Debug)]
pub(crate) struct Relays {
    table: Table,
    /// Closed with this value, which the tasks watch.
    _alive: watch::Sender<()>,
}

type Table = Arc<Mutex<Vec<(SocketAddr, mpsc::Sender<Run>)>>>;

/// Datagrams to one peer.
#[derive(Debug)]
struct Run {
    peer: SocketAddr,
    segment: usize,
    bytes: Vec<u8>,
}

impl Relays {
    /// Starts a task for each of `targets`. The receiver gets nothing, and is closed when each has its addresses or none.
    pub(crate) fn start(
        shared: &Arc<Shared>,
        targets: Vec<Target>,
        roots: &TlsRoots,
        hide_mapped: bool,
    ) -> (Self, mpsc::Receiver<()>) {
        let (alive, watched) = watch::channel(());
        let (settling, settled) = mpsc::channel(1);
        let table = Table::default();
        for target in targets {
            let task = Task {
                shared: Arc::clone(shared),
                table: Arc::clone(&table),
                target,
                roots: roots.clone(),
                hide_mapped,
                alive: watched.clone(),
                settling: Some(settling.clone()),
                relayed: Vec::new(),
            };
            tokio::spawn(task.run());
        }
        (Self { table, _alive: alive }, settled)
    }

    /// Takes a run that leaves from a relayed address; `false` where it is none.
    pub(crate) fn send(&self, transmit: &Transmit, bytes: &[u8]) -> bool {
        let table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((_, queue)) = table.iter().find(|(relayed, _)| *relayed == transmit.path.local) else {
            return false;
        };
        let segment = transmit.segment_size.unwrap_or(bytes.len()).max(1);
        if queue.try_send(Run { peer: transmit.path.remote, segment, bytes: bytes.to_vec() }).is_err() {
            tracing::trace!(path = ?transmit.path, "relay is busy, datagrams dropped");
        }
        true
    }
}

/// One URL.
struct Task {
    shared: Arc<Shared>,
    table: Table,
    target: Target,
    roots: TlsRoots,
    hide_mapped: bool,
    alive: watch::Receiver<()>,
    settling: Option<mpsc::Sender<()>>,
    /// What is relayed now.
    relayed: Vec<SocketAddr>,
}

/// Why there is no relay at an address of the server.
enum Trouble {
    Failed(Failure),
    Io(io::Error),
}

impl Task {
    async fn run(mut self) {
        let addresses = resolve(&self.target.host, self.target.port, self.target.service).await;
        if addresses.is_empty() {
            return self.report(None, UNREACHABLE, "server not found");
        }
        for address in addresses {
            match self.serve(address).await {
                Ok(()) => return,
                Err((address, trouble)) => self.report_trouble(address, trouble),
            }
        }
    }

    /// Asks the server at `address`, or the one that it names, and carries datagrams to the end.
    async fn serve(&mut self, mut address: SocketAddr) -> Result<(), (SocketAddr, Trouble)> {
        let mut host = self.target.host.clone();
        for _ in 0..=MAX_ALTERNATES {
            match self.serve_at(address, &host).await {
                // RFC 8489 §10: its certificate is the domain's, or else that of the server which named it.
                Err(Trouble::Failed(Failure::Alternate { address: other, domain })) => {
                    address = other;
                    host = domain.map_or(host, Host::Name);
                }
                Err(trouble) => return Err((address, trouble)),
                Ok(()) => return Ok(()),
            }
        }
        Err((address, Trouble::Io(io::Error::other("too many alternate servers"))))
    }

    async fn serve_at(&mut self, address: SocketAddr, host: &Host) -> Result<(), Trouble> {
        let security = self.security(host).map_err(Trouble::Io)?;
        let connecting = Carrier::connect(address, self.target.transport, security);
        let mut carrier = tokio::select! {
            connected = tokio::time::timeout(CONNECT_TIMEOUT, connecting) => {
                connected.map_err(|_| Trouble::Failed(Failure::TimedOut))?.map_err(Trouble::Io)?
            }
            // The connection is over before the server heard of it.
            () = closed(&mut self.alive) => return Ok(()),
        };
        let provider = Provider::default();
        let credential = Credential::new(&self.target.username, &self.target.password)
            .map_err(|error| Trouble::Io(io::Error::other(error)))?;
        let mut config = Config::new(provider);
        config.families = Families::Both;
        let rng = Rng::from_seed(provider.random_seed());
        let mut client = Client::new(now(), config, credential, rng, carrier.path());
        let outcome = self.carry(&mut client, &mut carrier).await;
        carrier.close().await;
        self.forget();
        outcome
    }

    fn security(&self, host: &Host) -> io::Result<Security> {
        if !self.target.secure {
            return Ok(Security::Plain);
        }
        let name = match host {
            Host::Address(address) => ServerName::IpAddress((*address).into()),
            Host::Name(name) => ServerName::try_from(name.clone()).map_err(io::Error::other)?,
        };
        Ok(match self.target.transport {
            UriTransport::Tcp => Security::Tls(self.roots.client()?, name),
            UriTransport::Udp => Security::Dtls(Box::new(self.roots.dtls_client(name)?)),
        })
    }

    async fn carry(&mut self, client: &mut Client, carrier: &mut Carrier) -> Result<(), Trouble> {
        let (queue, mut runs) = mpsc::channel(QUEUED_RUNS);
        let mut buf = Vec::new();
        let shared = Arc::clone(&self.shared);
        let mut closing = None;
        loop {
            while let Some(event) = client.poll_event() {
                match event {
                    Event::Allocated(allocated) => self.announce(&allocated, &queue),
                    Event::Failed(failure) => return Err(Trouble::Failed(failure)),
                    Event::Closed => return Ok(()),
                    other => tracing::debug!(url = self.target.url, ?other, "TURN"),
                }
            }
            buf.clear();
            while client.poll_transmit(now(), &mut buf).is_some() {
                carrier.send(&buf, None).await.map_err(Trouble::Io)?;
                buf.clear();
            }
            let due = [client.poll_timeout(), closing].into_iter().flatten().min();
            let handle = |received: Received<'_>| {
                let now = now();
                if let Some(received) = client.handle_receive(now, received) {
                    let mut state = shared.lock();
                    state.peer.handle_receive(now, received);
                    state.take_events(now);
                    state.wake_driver();
                }
            };
            tokio::select! {
                received = carrier.receive(handle) => received.map_err(Trouble::Io)?,
                Some(run) = runs.recv() => {
                    send_run(client, carrier, &run, &mut buf).await.map_err(Trouble::Io)?;
                }
                () = sleep_until(due) => {
                    let now = now();
                    client.handle_timeout(now);
                    if closing.is_some_and(|closing| closing <= now) {
                        return Ok(());
                    }
                }
                () = closed(&mut self.alive), if closing.is_none() => {
                    let now = now();
                    client.close(now);
                    closing = Some(now + CLOSE_TIMEOUT);
                }
            }
        }
    }

    /// Hands the addresses to the connection.
    fn announce(&mut self, allocated: &Allocated, queue: &mpsc::Sender<Run>) {
        let now = now();
        {
            let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
            table.extend(allocated.relayed.iter().map(|relayed| (*relayed, queue.clone())));
        }
        self.relayed.clone_from(&allocated.relayed);
        let mut state = self.shared.lock();
        for relayed in &allocated.relayed {
            let mapped = if self.hide_mapped { nowhere(*relayed) } else { allocated.mapped };
            state.peer.add_relayed_address(now, *relayed, mapped);
        }
        state.take_events(now);
        state.wake_driver();
        self.settling = None;
    }

    /// Takes the addresses back, which are relayed no more.
    fn forget(&mut self) {
        let relayed = std::mem::take(&mut self.relayed);
        self.table
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|(known, _)| !relayed.contains(known));
        let now = now();
        let mut state = self.shared.lock();
        for relayed in relayed {
            state.peer.remove_local_address(now, Protocol::Udp, relayed);
        }
        state.take_events(now);
        state.wake_driver();
    }

    fn report_trouble(&self, address: SocketAddr, trouble: Trouble) {
        match trouble {
            Trouble::Failed(Failure::Refused(refusal)) => {
                self.report(Some(address), refusal.code, &refusal.reason);
            }
            Trouble::Failed(failure) => self.report(Some(address), UNREACHABLE, &failure.to_string()),
            Trouble::Io(error) => self.report(Some(address), UNREACHABLE, &error.to_string()),
        }
    }

    fn report(&self, server: Option<SocketAddr>, error_code: u16, error_text: &str) {
        tracing::debug!(url = self.target.url, ?server, error_code, error_text, "no relay");
        let error = IceCandidateError {
            url: self.target.url.clone(),
            server,
            error_code,
            error_text: error_text.to_owned(),
        };
        self.shared.lock().report(error);
    }
}

/// Sends what the connection has for one peer, as one run where the lengths permit.
async fn send_run(
    client: &mut Client,
    carrier: &mut Carrier,
    run: &Run,
    buf: &mut Vec<u8>,
) -> io::Result<()> {
    buf.clear();
    let mut segment = None;
    for datagram in run.bytes.chunks(run.segment) {
        let before = buf.len();
        if client.send(now(), run.peer, datagram, buf).is_none() {
            continue;
        }
        let len = buf.len() - before;
        match segment {
            None => segment = Some(len),
            Some(first) if len == first => {}
            // A shorter one ends a run; in the middle of one the way has changed, from indications to a channel.
            Some(first) => {
                let last = buf.split_off(before);
                carrier.send(buf, Some(first)).await?;
                buf.clear();
                buf.extend_from_slice(&last);
                segment = Some(len);
            }
        }
    }
    if buf.is_empty() { Ok(()) } else { carrier.send(buf, segment).await }
}

/// An address that tells nothing.
fn nowhere(like: SocketAddr) -> SocketAddr {
    let ip =
        if like.is_ipv4() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
    SocketAddr::new(ip, 0)
}

/// Ready when the connection is over.
async fn closed(alive: &mut watch::Receiver<()>) {
    while alive.changed().await.is_ok() {}
}

/// Never ready where nothing is due.
pub(super) async fn sleep_until(due: Option<std::time::Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}
