//! Requests of clients: who may, and what becomes of it (RFC 8656 §8, §10, §12.2).

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use antiphon_stun::{
    AddressFamily, Attribute, AttributeType, Class, ErrorCode, Message, MessageBuilder, Method,
};
use antiphon_util::Path;

use super::allocation::{ChannelError, Mobility, Relayed};
use super::authentication::{Sender, authenticate};
use super::config::PermissionRequest;
use super::policy::embedded;
use super::{AllocationId, Server};
use crate::channel::UNDERSTOOD_NUMBERS;

/// A request whose sender is known.
pub(super) struct Request<'m> {
    pub(super) path: Path,
    pub(super) message: &'m Message<'m>,
    pub(super) sender: Sender,
}

type Refusal = ErrorCode<'static>;

impl Server {
    pub(super) fn handle_request(&mut self, now: Instant, path: Path, message: &Message<'_>) {
        let method = message.kind().method;
        let known = [
            Method::ALLOCATE,
            Method::REFRESH,
            Method::CREATE_PERMISSION,
            Method::CHANNEL_BIND,
            Method::CONNECT,
            Method::CONNECTION_BIND,
        ];
        if !known.contains(&method) {
            return self.drop_datagram(super::DropReason::Malformed);
        }
        let target = self.by_client.get(&path).copied().or_else(|| self.ticket_holder(path, message));
        let established = target.and_then(|id| self.allocations.get(&id)).map(|a| a.username.clone());
        match authenticate(&self.config, &self.authenticator, now, path, message, established.as_deref()) {
            Ok(sender) => {
                let request = Request { path, message, sender };
                if let Err(refusal) = self.handle_authenticated(now, &request) {
                    self.refuse(path, message, refusal, &request.sender.signer);
                }
            }
            Err(denied) if denied.is_challenge => self.challenge(now, path, message, denied.error),
            Err(denied) => self.refuse_unknown(now, path, message, denied.error),
        }
    }

    fn handle_authenticated(&mut self, now: Instant, request: &Request<'_>) -> Result<(), Refusal> {
        if request.message.unknown_required(AttributeType::is_of_turn).next().is_some() {
            return Err(ErrorCode::UNKNOWN_ATTRIBUTE);
        }
        match request.message.kind().method {
            Method::ALLOCATE => self.handle_allocate(now, request),
            Method::CONNECTION_BIND => self.handle_connection_bind(now, request),
            Method::REFRESH => self.handle_refresh(now, request),
            method => {
                let id = self.own_allocation(request)?;
                match method {
                    Method::CREATE_PERMISSION => self.handle_create_permission(now, id, request),
                    Method::CHANNEL_BIND => self.handle_channel_bind(now, id, request),
                    _ => self.handle_connect(now, id, request),
                }
            }
        }
    }

    /// The allocation of the sender's address, made with the same credentials (RFC 8656 §5).
    fn own_allocation(&self, request: &Request<'_>) -> Result<AllocationId, Refusal> {
        let id = *self.by_client.get(&request.path).ok_or(ErrorCode::ALLOCATION_MISMATCH)?;
        let allocation = self.allocations.get(&id).ok_or(ErrorCode::ALLOCATION_MISMATCH)?;
        if allocation.opening.is_some() {
            return Err(ErrorCode::ALLOCATION_MISMATCH);
        }
        if *allocation.user != *request.sender.user {
            return Err(ErrorCode::WRONG_CREDENTIALS);
        }
        Ok(id)
    }

    /// RFC 8656 §8.2
    fn handle_refresh(&mut self, now: Instant, request: &Request<'_>) -> Result<(), Refusal> {
        let id = match ticket(request.message) {
            Some(_) => self.move_allocation(request)?,
            None => self.own_allocation(request)?,
        };
        let lifetime = self.lifetime(request.message);
        let allocation = self.allocations.get_mut(&id).ok_or(ErrorCode::ALLOCATION_MISMATCH)?;
        if let Some(Attribute::RequestedAddressFamily(family)) =
            request.message.attribute(AttributeType::REQUESTED_ADDRESS_FAMILY)
        {
            let [v4, v6] = allocation.relays;
            let relay = if family == AddressFamily::IPV4 { v4 } else { v6 };
            relay.ok_or(ErrorCode::PEER_ADDRESS_FAMILY_MISMATCH)?;
        }
        // Credentials that hold a time are replaced by later ones of the same user.
        allocation.username = request.sender.username.clone().into();
        self.expiry.remove(&(allocation.expires, id));
        allocation.expires = now + lifetime;
        self.expiry.insert((allocation.expires, id));
        let ticket = allocation.mobility.as_ref().map(|mobility| mobility.ticket);
        if lifetime.is_zero() {
            self.delete(id);
        }
        self.accept(request, |builder| {
            builder.attribute(&Attribute::Lifetime(lifetime));
            if let Some(ticket) = ticket.filter(|_| !lifetime.is_zero()) {
                builder.attribute(&Attribute::MobilityTicket(&ticket));
            }
        });
        Ok(())
    }

    /// RFC 8016 §3.2.2: the sender's address becomes that of the allocation; the ticket is replaced.
    fn move_allocation(&mut self, request: &Request<'_>) -> Result<AllocationId, Refusal> {
        if !self.config.mobility {
            return Err(ErrorCode::MOBILITY_FORBIDDEN);
        }
        let id = self.ticket_holder(request.path, request.message).ok_or(ErrorCode::ALLOCATION_MISMATCH)?;
        if self.by_client.get(&request.path).is_some_and(|other| *other != id) {
            return Err(ErrorCode::ALLOCATION_MISMATCH);
        }
        let fresh = new_ticket(id, self.rng.array());
        let allocation = self.allocations.get_mut(&id).ok_or(ErrorCode::ALLOCATION_MISMATCH)?;
        if *allocation.user != *request.sender.user {
            return Err(ErrorCode::WRONG_CREDENTIALS);
        }
        let Some(mobility) = &mut allocation.mobility else { return Err(ErrorCode::MOBILITY_FORBIDDEN) };
        if ticket(request.message) == Some(&mobility.ticket[..]) {
            **mobility = Mobility { last: Some((mobility.ticket, request.path)), ticket: fresh };
        }
        allocation.reachable = true;
        let old = std::mem::replace(&mut allocation.client, request.path);
        if self.by_client.get(&old) == Some(&id) {
            self.by_client.remove(&old);
        }
        self.by_client.insert(request.path, id);
        Ok(id)
    }

    /// The allocation that a mobility ticket is for: the present one, or from the same address the one before.
    fn ticket_holder(&self, path: Path, message: &Message<'_>) -> Option<AllocationId> {
        let ticket = ticket(message)?;
        let id = AllocationId(u64::from_be_bytes(*ticket.first_chunk()?));
        let mobility = self.allocations.get(&id)?.mobility.as_deref()?;
        let equal = |known: &[u8]| antiphon_crypto::constant_time_eq(known, ticket);
        let again = mobility.last.as_ref().is_some_and(|(last, from)| *from == path && equal(last));
        (equal(&mobility.ticket) || again).then_some(id)
    }

    /// RFC 8656 §10.2
    fn handle_create_permission(
        &mut self,
        now: Instant,
        id: AllocationId,
        request: &Request<'_>,
    ) -> Result<(), Refusal> {
        let mut peers = Vec::new();
        for attribute in request.message.attributes().filter(|a| a.kind == AttributeType::XOR_PEER_ADDRESS) {
            let Ok(Attribute::XorPeerAddress(peer)) = attribute.decode(request.message.id()) else {
                return Err(ErrorCode::BAD_REQUEST);
            };
            if peers.len() >= self.config.limits.permissions {
                return Err(ErrorCode::INSUFFICIENT_CAPACITY);
            }
            let own = self.admit(id, request, SocketAddr::new(peer.ip(), 0))?;
            if !peers.contains(&(peer.ip(), own)) {
                peers.push((peer.ip(), own));
            }
        }
        if peers.is_empty() {
            return Err(ErrorCode::BAD_REQUEST);
        }
        let limit = self.config.limits.permissions;
        let allocation = self.allocations.get_mut(&id).ok_or(ErrorCode::ALLOCATION_MISMATCH)?;
        if !allocation.has_room_for(now, &peers, limit) {
            return Err(ErrorCode::INSUFFICIENT_CAPACITY);
        }
        peers.into_iter().for_each(|(peer, own)| allocation.permit(now, peer, own));
        self.accept(request, |_| {});
        Ok(())
    }

    /// RFC 8656 §12.2
    fn handle_channel_bind(
        &mut self,
        now: Instant,
        id: AllocationId,
        request: &Request<'_>,
    ) -> Result<(), Refusal> {
        let (Some(Attribute::ChannelNumber(number)), Some(Attribute::XorPeerAddress(peer))) = (
            request.message.attribute(AttributeType::CHANNEL_NUMBER),
            request.message.attribute(AttributeType::XOR_PEER_ADDRESS),
        ) else {
            return Err(ErrorCode::BAD_REQUEST);
        };
        if !UNDERSTOOD_NUMBERS.contains(&number) {
            return Err(ErrorCode::BAD_REQUEST);
        }
        let own = self.admit(id, request, peer)?;
        let limits = self.config.limits;
        let allocation = self.allocations.get_mut(&id).ok_or(ErrorCode::ALLOCATION_MISMATCH)?;
        if allocation.kind == Relayed::Tcp {
            return Err(ErrorCode::BAD_REQUEST);
        }
        if !allocation.has_room_for(now, &[(peer.ip(), own)], limits.permissions) {
            return Err(ErrorCode::INSUFFICIENT_CAPACITY);
        }
        allocation.bind_channel(now, number, peer, limits.channels).map_err(|error| match error {
            ChannelError::Taken => ErrorCode::BAD_REQUEST,
            ChannelError::TooMany => ErrorCode::INSUFFICIENT_CAPACITY,
        })?;
        allocation.permit(now, peer.ip(), own);
        self.accept(request, |_| {});
        Ok(())
    }

    /// Whether the client of `id` may talk to `peer`, and whether that is an address of this machine.
    pub(super) fn admit(
        &self,
        id: AllocationId,
        request: &Request<'_>,
        peer: SocketAddr,
    ) -> Result<bool, Refusal> {
        let allocation = self.allocations.get(&id).ok_or(ErrorCode::ALLOCATION_MISMATCH)?;
        allocation.relay_for(peer.ip()).ok_or(ErrorCode::PEER_ADDRESS_FAMILY_MISMATCH)?;
        let own = self.is_own(peer.ip());
        // What is relayed from here is let in; each datagram is held against the ports that are.
        let relayed = self.config.relays.iter().any(|relay| relay.advertise == peer.ip());
        if !own && !self.config.policy.permits(peer.ip()) || own && !relayed {
            return Err(ErrorCode::FORBIDDEN);
        }
        let question = PermissionRequest { user: &request.sender.user, client: request.path.remote, peer };
        if self.config.permission.as_ref().is_some_and(|hook| !hook.permits(&question)) {
            return Err(ErrorCode::FORBIDDEN);
        }
        Ok(own)
    }

    /// Whether datagrams to `address` may end up on this machine, as far as is known.
    fn is_own(&self, address: IpAddr) -> bool {
        let allow = &self.config.policy.allow;
        let own = |address: IpAddr| {
            let relays =
                self.config.relays.iter().any(|relay| relay.bind == address || relay.advertise == address);
            (relays || self.config.own_addresses.contains(&address))
                && !allow.iter().any(|block| block.contains(address))
        };
        own(address) || embedded(address).any(own)
    }

    /// How long the allocation of a request is to live (RFC 8656 §7.2).
    pub(super) fn lifetime(&self, message: &Message<'_>) -> Duration {
        let whole = |time: Duration| Duration::from_secs(time.as_secs());
        match message.attribute(AttributeType::LIFETIME) {
            Some(Attribute::Lifetime(wanted)) if wanted.is_zero() => wanted,
            Some(Attribute::Lifetime(wanted)) => {
                whole(wanted.clamp(
                    self.config.default_lifetime.min(self.config.max_lifetime),
                    self.config.max_lifetime,
                ))
            }
            _ => whole(self.config.default_lifetime),
        }
    }

    /// Wants credentials (RFC 8489 §9.2.4). The sender's address may be forged: the answer has nothing that is not needed.
    fn challenge(&mut self, now: Instant, path: Path, message: &Message<'_>, error: Refusal) {
        self.metrics.refusals.count(error.code);
        self.answer_unknown(now, path, message, Class::ErrorResponse, |server, builder| {
            builder.attribute(&Attribute::ErrorCode(ErrorCode::new(error.code, "")));
            server.authenticator.challenge(now, path.remote, builder);
        });
    }

    pub(super) fn accept(&mut self, request: &Request<'_>, write: impl FnOnce(&mut MessageBuilder<'_>)) {
        self.metrics.requests += 1;
        let (method, id) = (request.message.kind().method, request.message.id());
        let fingerprint = request.message.has_fingerprint();
        self.succeed(request.path, method, id, fingerprint, &request.sender.signer, write);
    }
}

/// The mobility ticket of a request that moves an allocation.
fn ticket<'a>(message: &Message<'a>) -> Option<&'a [u8]> {
    match message.attribute(AttributeType::MOBILITY_TICKET) {
        Some(Attribute::MobilityTicket(ticket)) if !ticket.is_empty() => Some(ticket),
        _ => None,
    }
}

/// Names the allocation, and proves that it was given by us.
pub(super) fn new_ticket(id: AllocationId, secret: [u8; 16]) -> [u8; 24] {
    let mut ticket = [0; 24];
    let bytes = id.0.to_be_bytes().into_iter().chain(secret);
    ticket.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
    ticket
}
