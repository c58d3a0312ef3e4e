//! The way of data between clients and peers (RFC 8656 §11, §12.7).

use std::net::SocketAddr;
use std::time::Instant;

use antiphon_stun::{
    Attribute, AttributeType, Class, Message, MessageBuilder, MessageType, Method, TransactionId,
};
use antiphon_util::{Path, Protocol, Writer};

use super::allocation::Relayed;
use super::{AllocationId, DropReason, Server};
use crate::channel::{self, CHANNEL_HEADER_LEN};

impl Server {
    pub(super) fn relay_channel_data(&mut self, now: Instant, path: Path, datagram: &[u8]) {
        let Ok((number, len)) = channel::parse(datagram) else {
            return self.drop_datagram(DropReason::Malformed);
        };
        let Some(id) = self.by_client.get(&path).copied() else {
            return self.drop_datagram(DropReason::NoAllocation);
        };
        let peer = self.allocations.get(&id).and_then(|allocation| allocation.channel(now, number));
        let Some(peer) = peer else { return self.drop_datagram(DropReason::UnknownChannel) };
        let data = datagram.get(CHANNEL_HEADER_LEN..CHANNEL_HEADER_LEN + len).unwrap_or_default();
        self.relay_to_peer(now, id, peer, data);
    }

    pub(super) fn relay_indication(&mut self, now: Instant, path: Path, message: &Message<'_>) {
        if message.unknown_required(AttributeType::is_of_turn).next().is_some() {
            return self.drop_datagram(DropReason::UnknownAttribute);
        }
        let Some(id) = self.by_client.get(&path).copied() else {
            return self.drop_datagram(DropReason::NoAllocation);
        };
        let (Some(Attribute::XorPeerAddress(peer)), Some(Attribute::Data(data))) =
            (message.attribute(AttributeType::XOR_PEER_ADDRESS), message.attribute(AttributeType::DATA))
        else {
            return self.drop_datagram(DropReason::Malformed);
        };
        self.relay_to_peer(now, id, peer, data);
    }

    fn relay_to_peer(&mut self, now: Instant, id: AllocationId, peer: SocketAddr, data: &[u8]) {
        let Some(allocation) = self.allocations.get(&id).filter(|allocation| allocation.kind == Relayed::Udp)
        else {
            return self.drop_datagram(DropReason::NoAllocation);
        };
        let Some(relay) = allocation.relay_for(peer.ip()) else {
            return self.drop_datagram(DropReason::FamilyMismatch);
        };
        let Some(permission) = allocation.permission(now, peer.ip()) else {
            return self.drop_datagram(DropReason::NoPermission);
        };
        // Of this machine only what is relayed is reached, so that clients of one server can talk.
        if permission.own && !self.advertised.contains_key(&peer) {
            return self.drop_datagram(DropReason::NoPermission);
        }
        if !self.take_bandwidth(now, id, data.len()) {
            return self.drop_datagram(DropReason::Bandwidth);
        }
        if self.post(Path::udp(relay.bound, peer), data.len(), |out| out.extend_from_slice(data)) {
            self.metrics.datagrams_to_peers += 1;
            self.metrics.bytes_to_peers += data.len() as u64;
        }
    }

    pub(super) fn relay_to_client(&mut self, now: Instant, id: AllocationId, path: Path, data: &[u8]) {
        let Some(allocation) = self.allocations.get(&id).filter(|allocation| allocation.kind == Relayed::Udp)
        else {
            return self.drop_datagram(DropReason::NoAllocation);
        };
        let peer = path.remote;
        if allocation
            .permission(now, peer.ip())
            .is_none_or(|permission| permission.own && !self.advertised.contains_key(&peer))
        {
            return self.drop_datagram(DropReason::NoPermission);
        }
        if !allocation.reachable {
            return self.drop_datagram(DropReason::Unreachable);
        }
        let (client, number) = (allocation.client, allocation.channel_to(now, peer));
        if !self.take_bandwidth(now, id, data.len()) {
            return self.drop_datagram(DropReason::Bandwidth);
        }
        let posted = match number {
            Some(number) => self.post_channel_data(client, number, data),
            None => self.post_data(client, peer, data),
        };
        if posted {
            self.metrics.datagrams_to_clients += 1;
            self.metrics.bytes_to_clients += data.len() as u64;
        }
    }

    fn post_channel_data(&mut self, client: Path, number: u16, data: &[u8]) -> bool {
        let padded = client.protocol == Protocol::Tcp;
        if u16::try_from(data.len()).is_err() {
            self.drop_datagram(DropReason::TooLong);
            return false;
        }
        let len = CHANNEL_HEADER_LEN + if padded { data.len().next_multiple_of(4) } else { data.len() };
        self.post(client, len, |out| {
            channel::write(&mut Writer::new(out), number, data, padded);
        })
    }

    fn post_data(&mut self, client: Path, peer: SocketAddr, data: &[u8]) -> bool {
        let id = TransactionId::random(&mut self.rng);
        let mut bytes = Vec::with_capacity(data.len() + 64);
        let mut writer = Writer::new(&mut bytes);
        let kind = MessageType::new(Method::DATA, Class::Indication);
        let mut builder = MessageBuilder::new(&mut writer, kind, id);
        builder.attribute(&Attribute::XorPeerAddress(peer));
        builder.attribute(&Attribute::Data(data));
        if builder.finish().is_err() {
            self.drop_datagram(DropReason::TooLong);
            return false;
        }
        self.post(client, bytes.len(), |out| out.extend_from_slice(&bytes))
    }

    /// Whether `len` bytes may pass now, by every limit there is.
    fn take_bandwidth(&mut self, now: Instant, id: AllocationId, len: usize) -> bool {
        let len = len as u64;
        let Some(allocation) = self.allocations.get_mut(&id) else { return false };
        if let (Some(bucket), Some(rate)) = (&mut allocation.bandwidth, self.config.allocation_bandwidth)
            && !bucket.take(now, rate, len)
        {
            return false;
        }
        if let Some(rate) = self.config.user_bandwidth
            && let Some(bucket) =
                self.users.get_mut(&allocation.user).and_then(|usage| usage.bandwidth.as_mut())
            && !bucket.take(now, rate, len)
        {
            return false;
        }
        match (&mut self.bandwidth, self.config.total_bandwidth) {
            (Some(bucket), Some(rate)) => bucket.take(now, rate, len),
            _ => true,
        }
    }
}
