//! One allocation, as the server keeps it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use antiphon_stun::{ErrorCode, TransactionId};
use antiphon_util::Path;

use super::authentication::Signer;
use super::rate::Bucket;
use crate::client::{CHANNEL_LIFETIME, PERMISSION_LIFETIME};

/// Names an allocation for as long as the server lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AllocationId(pub(super) u64);

/// What a relayed address speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Relayed {
    /// Datagrams.
    Udp,
    /// Connections (RFC 6062): the address listens, and is what connections to peers leave from.
    Tcp,
}

#[derive(Debug)]
pub(super) struct Allocation {
    pub(super) client: Path,
    /// Whether the client's stream is there; datagrams need none.
    pub(super) reachable: bool,
    pub(super) username: Box<str>,
    pub(super) user: Arc<str>,
    /// Of the request that made it, which may come again.
    pub(super) transaction: TransactionId,
    pub(super) kind: Relayed,
    pub(super) expires: Instant,
    /// One of each family at most, IPv4 first.
    pub(super) relays: [Option<Relay>; 2],
    pub(super) permissions: Vec<Permission>,
    pub(super) channels: Vec<Channel>,
    pub(super) connections: Vec<u32>,
    pub(super) mobility: Option<Box<Mobility>>,
    pub(super) bandwidth: Option<Bucket>,
    /// While its addresses are being bound.
    pub(super) opening: Option<Box<Opening>>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Relay {
    pub(super) bound: SocketAddr,
    pub(super) advertised: SocketAddr,
}

/// What moves an allocation to another address of its client (RFC 8016). The ticket before the last stays good for the address
/// that it was used from, whose answer may have been lost.
#[derive(Debug)]
pub(super) struct Mobility {
    pub(super) ticket: [u8; 24],
    pub(super) last: Option<([u8; 24], Path)>,
}

/// An Allocate request that waits for its addresses.
#[derive(Debug)]
pub(super) struct Opening {
    pub(super) signer: Signer,
    pub(super) fingerprint: bool,
    pub(super) lifetime: Duration,
    pub(super) even_port: bool,
    /// The next port is to be kept.
    pub(super) reserve_next: bool,
    pub(super) reservation: Option<[u8; 8]>,
    /// The addresses asked for, and how often.
    pub(super) awaited: Vec<(SocketAddr, u32)>,
    /// Why there is no IPv6 address beside the IPv4 one.
    pub(super) missing: Option<ErrorCode<'static>>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Permission {
    pub(super) peer: IpAddr,
    pub(super) expires: Instant,
    /// Whether it is an address of this machine: then only what is relayed is let in.
    pub(super) own: bool,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Channel {
    pub(super) number: u16,
    pub(super) peer: SocketAddr,
    pub(super) expires: Instant,
}

/// A channel cannot be bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ChannelError {
    /// The number or the peer are bound otherwise (RFC 8656 §12.2).
    Taken,
    TooMany,
}

impl Allocation {
    pub(super) fn relay_for(&self, peer: IpAddr) -> Option<Relay> {
        let [v4, v6] = self.relays;
        if peer.is_ipv4() { v4 } else { v6 }
    }

    pub(super) fn permission(&self, now: Instant, peer: IpAddr) -> Option<&Permission> {
        self.permissions.iter().find(|known| known.peer == peer && known.expires > now)
    }

    /// Whether so many more permissions fit, beside those that are there and last.
    pub(super) fn has_room_for(&mut self, now: Instant, peers: &[(IpAddr, bool)], limit: usize) -> bool {
        self.permissions.retain(|known| known.expires > now);
        let new = peers.iter().filter(|(peer, _)| self.permissions.iter().all(|known| known.peer != *peer));
        self.permissions.len() + new.count() <= limit
    }

    pub(super) fn permit(&mut self, now: Instant, peer: IpAddr, own: bool) {
        let expires = now + PERMISSION_LIFETIME;
        match self.permissions.iter_mut().find(|known| known.peer == peer) {
            Some(known) => known.expires = expires,
            None => self.permissions.push(Permission { peer, expires, own }),
        }
    }

    pub(super) fn bind_channel(
        &mut self,
        now: Instant,
        number: u16,
        peer: SocketAddr,
        limit: usize,
    ) -> Result<(), ChannelError> {
        self.channels.retain(|known| known.expires > now);
        let (expires, full) = (now + CHANNEL_LIFETIME, self.channels.len() >= limit);
        match self.channels.iter_mut().find(|known| known.number == number || known.peer == peer) {
            Some(known) if known.number == number && known.peer == peer => known.expires = expires,
            Some(_) => return Err(ChannelError::Taken),
            None if full => return Err(ChannelError::TooMany),
            None => self.channels.push(Channel { number, peer, expires }),
        }
        Ok(())
    }

    pub(super) fn channel(&self, now: Instant, number: u16) -> Option<SocketAddr> {
        self.channels
            .iter()
            .find(|known| known.number == number && known.expires > now)
            .map(|known| known.peer)
    }

    pub(super) fn channel_to(&self, now: Instant, peer: SocketAddr) -> Option<u16> {
        self.channels.iter().find(|known| known.peer == peer && known.expires > now).map(|known| known.number)
    }
}
