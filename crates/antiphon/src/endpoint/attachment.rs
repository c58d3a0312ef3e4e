//! A connection's place at an endpoint.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use std::time::Instant;

use antiphon_peer::{PeerConnection, Standing, TcpType, TransactionTag};
use antiphon_util::{Path, Protocol};

use super::Inner;
use super::inbox::{Arrivals, Inbox};
use super::router::Change;
use crate::own_sockets::{add_host, remove_host};
use crate::socket::Socket;
use crate::tcp::Listener;

/// By what a connection is found at an endpoint. Its drop takes all of that back.
#[derive(Debug)]
pub(crate) struct Attachment {
    endpoint: Arc<Inner>,
    inbox: Arc<Inbox>,
    /// Which of the sockets of an address it sends from.
    shard: usize,
    /// The sockets to send from, one an address, and where TCP connections are accepted: as the peer was told.
    sockets: Vec<Arc<Socket>>,
    listeners: Vec<SocketAddr>,
    tag: TransactionTag,
    ufrags: Vec<Arc<str>>,
    /// The paths on which the peer's datagrams find here, the oldest first.
    claims: Vec<(Path, Standing)>,
}

impl Attachment {
    /// From now on datagrams for `peer` come here, which is told of all addresses.
    pub(crate) fn new(now: Instant, endpoint: Arc<Inner>, peer: &mut PeerConnection) -> Self {
        let inbox = Arc::new(Inbox::new(endpoint.limits.inbox_bytes));
        let tag = peer.transaction_tag();
        let mut registry = endpoint.lock();
        registry.tags.insert(tag, Arc::clone(&inbox));
        registry.announce(&Change::AddTag(tag, Arc::clone(&inbox)));
        drop(registry);
        let mut attachment = Self {
            shard: endpoint.next_shard.fetch_add(1, Relaxed),
            endpoint,
            inbox,
            sockets: Vec::new(),
            listeners: Vec::new(),
            tag,
            ufrags: Vec::new(),
            claims: Vec::new(),
        };
        attachment.follow_ufrags(peer);
        attachment.follow_sockets(now, peer);
        attachment
    }

    /// The sockets to send from, one an address.
    pub(crate) fn sockets(&self) -> &[Arc<Socket>] {
        &self.sockets
    }

    /// Tells `peer` which addresses have come or gone.
    pub(crate) fn follow_sockets(&mut self, now: Instant, peer: &mut PeerConnection) {
        let registry = self.endpoint.lock();
        let sockets = registry.sockets(self.shard);
        let listeners: Vec<SocketAddr> = registry.listeners.iter().map(Listener::local).collect();
        drop(registry);
        let opens_tcp = self.endpoint.tcp_active;
        let lacks = |sockets: &[Arc<Socket>], wanted: &Socket| {
            !sockets.iter().any(|socket| socket.local() == wanted.local())
        };
        for old in self.sockets.iter().filter(|old| lacks(&sockets, old)) {
            remove_host(peer, now, old.local(), opens_tcp);
        }
        for new in sockets.iter().filter(|new| lacks(&self.sockets, new)) {
            add_host(peer, now, new.local(), opens_tcp);
        }
        for old in self.listeners.iter().filter(|old| !listeners.contains(old)) {
            peer.remove_local_address(now, Protocol::Tcp, *old);
        }
        for new in listeners.iter().filter(|new| !self.listeners.contains(new)) {
            peer.add_local_tcp_address(now, *new, TcpType::Passive);
        }
        (self.sockets, self.listeners) = (sockets, listeners);
    }

    /// What has arrived; pending, with `cx` registered, where nothing has.
    pub(crate) fn poll_take(&self, cx: &Context<'_>) -> Poll<Arrivals> {
        self.inbox.poll_take(cx)
    }

    /// Has requests find here that name one of the user fragments of `peer`.
    pub(crate) fn follow_ufrags(&mut self, peer: &PeerConnection) {
        if peer.local_ufrags().eq(self.ufrags.iter().map(|ufrag| &**ufrag)) {
            return;
        }
        let ufrags: Vec<Arc<str>> = peer.local_ufrags().map(Arc::from).collect();
        let mut registry = self.endpoint.lock();
        for old in self.ufrags.iter().filter(|old| !ufrags.contains(old)) {
            registry.ufrags.remove(old);
            registry.announce(&Change::RemoveUfrag(Arc::clone(old)));
        }
        for new in ufrags.iter().filter(|new| !self.ufrags.contains(new)) {
            registry.ufrags.insert(Arc::clone(new), Arc::clone(&self.inbox));
            registry.announce(&Change::AddUfrag(Arc::clone(new), Arc::clone(&self.inbox)));
        }
        drop(registry);
        self.ufrags = ufrags;
    }

    /// Has other datagrams of `path` find here, if ICE knows that the peer is there.
    pub(crate) fn claim(&mut self, path: Path, standing: Option<Standing>) {
        let Some(standing) = standing else { return };
        match self.claims.iter_mut().find(|(known, _)| *known == path) {
            Some((_, known)) if *known >= standing => return,
            Some((_, known)) => *known = standing,
            None => {
                if self.claims.len() >= self.endpoint.limits.addresses.max(1) {
                    let unproven = self.claims.iter().position(|(_, known)| *known == Standing::Checked);
                    let (oldest, _) = self.claims.remove(unproven.unwrap_or(0));
                    self.announce(oldest, &Change::Release(oldest.remote, Arc::clone(&self.inbox)));
                }
                self.claims.push((path, standing));
            }
        }
        self.announce(path, &Change::Claim(path.remote, standing, Arc::clone(&self.inbox)));
    }

    /// Tells the sockets at the local end of `path`.
    fn announce(&self, path: Path, change: &Change) {
        let registry = self.endpoint.lock();
        registry.ports.iter().filter(|port| port.local == path.local).for_each(|port| port.announce(change));
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        let mut registry = self.endpoint.lock();
        registry.tags.remove(&self.tag);
        registry.announce(&Change::RemoveTag(self.tag));
        for ufrag in &self.ufrags {
            registry.ufrags.remove(ufrag);
            registry.announce(&Change::RemoveUfrag(Arc::clone(ufrag)));
        }
        drop(registry);
        for (path, _) in &self.claims {
            self.announce(*path, &Change::Release(path.remote, Arc::clone(&self.inbox)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use antiphon_peer::Configuration;

    use super::*;
    use crate::Endpoint;
    use crate::clock::now;

    #[tokio::test]
    async fn a_connection_holds_no_more_addresses_than_the_limit() {
        let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let endpoint = Endpoint::builder().bind(local).build().await.unwrap();
        let mut peer = PeerConnection::new(now(), Configuration::default(), [7; 32]).unwrap();
        let mut attachment = Attachment::new(now(), Arc::clone(&endpoint.inner), &mut peer);
        let limit = endpoint.inner.limits.addresses as u16;
        let path =
            |port| Path::udp(endpoint.local_addresses()[0], SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        attachment.claim(path(1), Some(Standing::Answered));
        for port in 2..10 * limit {
            attachment.claim(path(port), Some(Standing::Checked));
            attachment.claim(path(port + 1), None);
        }
        assert_eq!(attachment.claims.len(), usize::from(limit));
        // Where the peer has shown to be is not given up for what it only says.
        assert!(attachment.claims.contains(&(path(1), Standing::Answered)));
    }
}
