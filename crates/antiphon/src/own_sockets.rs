//! The sockets of one connection alone.

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Context;
use std::time::Instant;

use antiphon_peer::{PeerConnection, TcpType};
use antiphon_util::Protocol;

use crate::configuration::Configuration;
use crate::endpoint::Inner;
use crate::error::ConfigurationError;
use crate::network::{Network, Watch, with_port};
use crate::socket::{Reader, Socket};

/// The port of the local address of connections that we open (RFC 6544 §4.5).
pub(crate) const ACTIVE_PORT: u16 = 9;

/// The UDP sockets of one connection alone, which follow the interfaces of the machine where they are not spelled out.
#[derive(Debug, Default)]
pub(crate) struct OwnSockets {
    pub(crate) readers: Vec<Reader>,
    opens_tcp: bool,
    watch: Option<Box<Watch>>,
    /// What accepts TCP connections at the same addresses.
    tcp: Option<Arc<Inner>>,
}

impl OwnSockets {
    /// Binds what `configuration` asks for; at an endpoint only what it spells out.
    pub(crate) fn bind(configuration: &Configuration) -> Result<Self, ConfigurationError> {
        let network = &configuration.network;
        if configuration.endpoint.is_some() && network.bind_addresses.is_empty() {
            return Ok(Self::default());
        }
        let sockets = network.bind(bind_socket)?;
        Ok(Self {
            readers: sockets.into_iter().map(Reader::new).collect(),
            opens_tcp: network.tcp.active,
            watch: Watch::new(network).map(Box::new),
            tcp: None,
        })
    }

    /// The addresses that they are bound to.
    pub(crate) fn locals(&self) -> impl Iterator<Item = SocketAddr> {
        self.readers.iter().map(Reader::local)
    }

    /// Has `tcp` accept connections at the addresses that come later.
    pub(crate) fn share_with(&mut self, tcp: Arc<Inner>) {
        self.tcp = Some(tcp);
    }

    /// Tells `peer` of all addresses.
    pub(crate) fn tell(&self, now: Instant, peer: &mut PeerConnection) {
        self.locals().for_each(|local| add_host(peer, now, local, self.opens_tcp));
    }

    /// Looks at the interfaces when it is time to; gives what has to be told to the peer.
    pub(crate) fn poll_changes(&mut self, cx: &mut Context<'_>) -> Option<HostChanges> {
        let watch = self.watch.as_mut()?;
        if watch.poll_tick(cx).is_pending() {
            return None;
        }
        // The timer is asked once more, so that it wakes the task.
        cx.waker().wake_by_ref();
        let network: &Network = &watch.network;
        let bound: Vec<SocketAddr> = self.readers.iter().map(Reader::local).collect();
        let changes = network.changes(&bound);
        if changes.is_empty() {
            return None;
        }
        let bind = |address: &SocketAddr| {
            let bound = network.bind_one(*address, bind_socket);
            bound.inspect_err(|error| tracing::debug!(%address, %error, "address left out")).ok()
        };
        let sockets: Vec<Arc<Socket>> = changes.new.iter().filter_map(bind).collect();
        let new: Vec<SocketAddr> = sockets.iter().map(|socket| socket.local()).collect();
        if let Some(tcp) = &self.tcp {
            tcp.follow_listeners(network, &new, &changes.gone);
        }
        self.readers.retain(|reader| !changes.gone.contains(&reader.local()));
        self.readers.extend(sockets.into_iter().map(Reader::new));
        Some(HostChanges { new, gone: changes.gone, opens_tcp: self.opens_tcp })
    }
}

/// Addresses that have come or gone.
#[derive(Debug)]
pub(crate) struct HostChanges {
    new: Vec<SocketAddr>,
    gone: Vec<SocketAddr>,
    opens_tcp: bool,
}

impl HostChanges {
    /// Tells `peer`: what is new first, so that there is somewhere to go.
    pub(crate) fn tell(&self, now: Instant, peer: &mut PeerConnection) {
        self.new.iter().for_each(|new| add_host(peer, now, *new, self.opens_tcp));
        self.gone.iter().for_each(|gone| remove_host(peer, now, *gone, self.opens_tcp));
    }
}

/// Has `peer` gather from a UDP socket at `local` and, where it `opens_tcp`, from connections that it opens from there.
pub(crate) fn add_host(peer: &mut PeerConnection, now: Instant, local: SocketAddr, opens_tcp: bool) {
    peer.add_local_address(now, local);
    if opens_tcp {
        peer.add_local_tcp_address(now, with_port(local, ACTIVE_PORT), TcpType::Active);
    }
}

/// Takes back what [`add_host`] has added.
pub(crate) fn remove_host(peer: &mut PeerConnection, now: Instant, local: SocketAddr, opens_tcp: bool) {
    peer.remove_local_address(now, Protocol::Udp, local);
    if opens_tcp {
        peer.remove_local_address(now, Protocol::Tcp, with_port(local, ACTIVE_PORT));
    }
}

fn bind_socket(address: SocketAddr) -> std::io::Result<Arc<Socket>> {
    Socket::bind(address, false).map(Arc::new)
}
