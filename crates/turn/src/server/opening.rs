//! New allocations (RFC 8656 §7.2): what is asked for, an address for it, and the answer when that is bound.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use antiphon_stun::{
    AddressFamily, Attribute, AttributeType, Class, ErrorCode, Message, MessageType, Method,
    TransportProtocol,
};
use antiphon_util::Protocol;

use super::allocation::{Allocation, Mobility, Opening, Relay, Relayed};
use super::authentication::Signer;
use super::rate::Bucket;
use super::requests::{Request, new_ticket};
use super::{AllocationId, Event, Reservation, Server, Usage};

/// Ports tried for one address.
const TRIES: u32 = 16;

/// How long a port is kept for the client that wanted two (RFC 8656 §7.2).
const RESERVATION_LIFETIME: Duration = Duration::from_secs(30);

/// What an Allocate request asks for, where its attributes go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Wanted {
    kind: Relayed,
    ipv4: bool,
    ipv6: bool,
    even_port: bool,
    reserve_next: bool,
    reservation: Option<[u8; 8]>,
}

impl Wanted {
    /// RFC 8656 §7.2, steps 3 to 8.
    fn of(message: &Message<'_>, over: Protocol, tcp_relaying: bool) -> Result<Self, ErrorCode<'static>> {
        let kind = match message.attribute(AttributeType::REQUESTED_TRANSPORT) {
            Some(Attribute::RequestedTransport(TransportProtocol::UDP)) => Relayed::Udp,
            Some(Attribute::RequestedTransport(TransportProtocol::TCP)) if tcp_relaying => Relayed::Tcp,
            Some(Attribute::RequestedTransport(_)) => return Err(ErrorCode::UNSUPPORTED_TRANSPORT_PROTOCOL),
            _ => return Err(ErrorCode::BAD_REQUEST),
        };
        let family = match message.attribute(AttributeType::REQUESTED_ADDRESS_FAMILY) {
            Some(Attribute::RequestedAddressFamily(family)) => Some(family),
            _ => None,
        };
        let additional = message.attribute(AttributeType::ADDITIONAL_ADDRESS_FAMILY);
        let reservation = match message.attribute(AttributeType::RESERVATION_TOKEN) {
            Some(Attribute::ReservationToken(token)) => Some(*token),
            _ => None,
        };
        let (even_port, reserve_next) = match message.attribute(AttributeType::EVEN_PORT) {
            Some(Attribute::EvenPort { reserve_next }) => (true, reserve_next),
            _ => (false, false),
        };
        let dont_fragment = message.find(AttributeType::DONT_FRAGMENT).is_some();
        let contradicts = family.is_some() && additional.is_some()
            || reservation.is_some() && (family.is_some() || additional.is_some() || even_port)
            || reserve_next && additional.is_some()
            || additional.is_some_and(|additional| {
                additional != Attribute::AdditionalAddressFamily(AddressFamily::IPV6)
            })
            // RFC 6062 §5.1
            || kind == Relayed::Tcp
                && (over == Protocol::Udp || even_port || dont_fragment || reservation.is_some());
        if contradicts {
            return Err(ErrorCode::BAD_REQUEST);
        }
        let (ipv4, ipv6) = match family {
            None => (true, additional.is_some()),
            Some(AddressFamily::IPV4) => (true, false),
            Some(AddressFamily::IPV6) => (false, true),
            Some(_) => return Err(ErrorCode::ADDRESS_FAMILY_NOT_SUPPORTED),
        };
        Ok(Self { kind, ipv4, ipv6, even_port, reserve_next, reservation })
    }
}

impl Server {
    pub(super) fn handle_allocate(
        &mut self,
        now: Instant,
        request: &Request<'_>,
    ) -> Result<(), ErrorCode<'static>> {
        if let Some(id) = self.by_client.get(&request.path).copied() {
            return self.allocate_again(id, request);
        }
        let wanted = Wanted::of(request.message, request.path.protocol, self.config.tcp_relaying)?;
        self.check_quota(request)?;
        let (mut addresses, mut missing) = (Vec::new(), None);
        if let Some(token) = wanted.reservation {
            addresses.push(self.redeem(token, &request.sender.user)?);
        } else {
            let even = wanted.even_port;
            if wanted.ipv4 {
                addresses.push(self.choose(true, even, wanted.reserve_next)?);
            }
            match wanted.ipv6.then(|| self.choose(false, even, wanted.reserve_next)) {
                Some(Ok(address)) => addresses.push(address),
                Some(Err(error)) if addresses.is_empty() => return Err(error),
                Some(Err(error)) => missing = Some(error),
                None => {}
            }
        }
        self.open(now, request, wanted, &addresses, missing);
        Ok(())
    }

    /// A request from an address that has an allocation: the same one again, whose answer was lost, or another.
    fn allocate_again(&mut self, id: AllocationId, request: &Request<'_>) -> Result<(), ErrorCode<'static>> {
        let allocation = self.allocations.get(&id).ok_or(ErrorCode::ALLOCATION_MISMATCH)?;
        if allocation.transaction != request.message.id() {
            return Err(ErrorCode::ALLOCATION_MISMATCH);
        }
        if allocation.opening.is_none() {
            let lifetime = self.lifetime(request.message).max(Duration::from_secs(1));
            let fingerprint = request.message.has_fingerprint();
            self.answer_allocate(id, &request.sender.signer, fingerprint, lifetime, None, None);
        }
        Ok(())
    }

    fn check_quota(&self, request: &Request<'_>) -> Result<(), ErrorCode<'static>> {
        let limits = self.config.limits;
        if self.allocations.len() >= limits.allocations {
            return Err(match self.config.alternate {
                Some(_) => ErrorCode::TRY_ALTERNATE,
                None => ErrorCode::INSUFFICIENT_CAPACITY,
            });
        }
        let used = self.users.get(request.sender.user.as_str()).map_or(0, |usage| usage.allocations);
        if used >= limits.allocations_per_user { Err(ErrorCode::ALLOCATION_QUOTA_REACHED) } else { Ok(()) }
    }

    fn redeem(&mut self, token: [u8; 8], user: &str) -> Result<SocketAddr, ErrorCode<'static>> {
        let at = self.reservations.iter().position(|kept| kept.token == token && &*kept.user == user);
        let at = at.ok_or(ErrorCode::INSUFFICIENT_CAPACITY)?;
        Ok(self.reservations.swap_remove(at).address)
    }

    /// An address of ours that nothing is relayed from: a port at random, so that nobody guesses it (RFC 8656 §7.2).
    fn choose(&mut self, ipv4: bool, even: bool, next_too: bool) -> Result<SocketAddr, ErrorCode<'static>> {
        let relay = self.config.relays.iter().find(|relay| relay.bind.is_ipv4() == ipv4);
        let bind = relay.ok_or(ErrorCode::ADDRESS_FAMILY_NOT_SUPPORTED)?.bind;
        let (first, last) = (*self.config.ports.start(), *self.config.ports.end());
        let count = u64::from(last.saturating_sub(first)) + 1;
        let is_free = |address: SocketAddr| {
            !self.by_relayed.contains_key(&address)
                && self.reservations.iter().all(|kept| kept.address != address)
        };
        let start = self.rng.below(count);
        for offset in 0..count {
            let port = u16::try_from(u64::from(first) + (start + offset) % count).unwrap_or(last);
            let next = port.checked_add(1).filter(|next| *next <= last);
            let suits = !even || port % 2 == 0;
            let next_suits = !next_too || next.is_some_and(|next| is_free(SocketAddr::new(bind, next)));
            if suits && next_suits && is_free(SocketAddr::new(bind, port)) {
                return Ok(SocketAddr::new(bind, port));
            }
        }
        Err(ErrorCode::INSUFFICIENT_CAPACITY)
    }

    fn open(
        &mut self,
        now: Instant,
        request: &Request<'_>,
        wanted: Wanted,
        addresses: &[SocketAddr],
        missing: Option<ErrorCode<'static>>,
    ) {
        let id = AllocationId(self.next_id);
        self.next_id += 1;
        let lifetime = self.lifetime(request.message).max(Duration::from_secs(1));
        let user = self.count_user(now, &request.sender.user);
        let mobile = self.config.mobility
            && request
                .message
                .find(AttributeType::MOBILITY_TICKET)
                .is_some_and(|ticket| ticket.value.is_empty());
        let mobility =
            mobile.then(|| Box::new(Mobility { ticket: new_ticket(id, self.rng.array()), last: None }));
        let opening = Opening {
            signer: request.sender.signer.clone(),
            fingerprint: request.message.has_fingerprint(),
            lifetime,
            even_port: wanted.even_port,
            reserve_next: wanted.reserve_next,
            reservation: wanted.reservation,
            awaited: addresses.iter().map(|address| (*address, 1)).collect(),
            missing,
        };
        let allocation = Allocation {
            client: request.path,
            reachable: true,
            username: request.sender.username.clone().into(),
            user,
            transaction: request.message.id(),
            kind: wanted.kind,
            expires: now + lifetime,
            relays: [None; 2],
            permissions: Vec::new(),
            channels: Vec::new(),
            connections: Vec::new(),
            mobility,
            bandwidth: self.config.allocation_bandwidth.map(|rate| Bucket::new(now, rate)),
            opening: Some(Box::new(opening)),
        };
        self.expiry.insert((allocation.expires, id));
        self.by_client.insert(request.path, id);
        self.allocations.insert(id, allocation);
        for address in addresses {
            self.by_relayed.insert(*address, id);
            self.events.push_back(Event::OpenRelay { allocation: id, address: *address, kind: wanted.kind });
        }
    }

    /// Counts one more allocation of a user; quotas hold across addresses and streams of the user.
    fn count_user(&mut self, now: Instant, user: &str) -> Arc<str> {
        let (user, usage) = match self.users.remove_entry(user) {
            Some((user, usage)) => (user, usage),
            None => {
                let bandwidth = self.config.user_bandwidth.map(|rate| Bucket::new(now, rate));
                (Arc::from(user), Usage { allocations: 0, bandwidth })
            }
        };
        self.users.insert(Arc::clone(&user), Usage { allocations: usage.allocations + 1, ..usage });
        user
    }

    /// Says how [`Event::OpenRelay`] went.
    pub fn relay_opened(&mut self, now: Instant, address: SocketAddr, bound: bool) {
        let Some(id) = self.by_relayed.get(&address).copied() else { return };
        let Some(allocation) = self.allocations.get_mut(&id) else { return };
        let Some(opening) = &mut allocation.opening else { return };
        let Some(at) = opening.awaited.iter().position(|(awaited, _)| *awaited == address) else { return };
        let (_, tries) = opening.awaited.swap_remove(at);
        if bound {
            self.adopt(id, address);
        } else {
            self.by_relayed.remove(&address);
            self.try_another(id, address, tries);
        }
        let done = |allocation: &Allocation| {
            allocation.opening.as_ref().is_some_and(|opening| opening.awaited.is_empty())
        };
        if self.allocations.get(&id).is_some_and(done) {
            self.finish_opening(now, id);
        }
    }

    fn adopt(&mut self, id: AllocationId, bound: SocketAddr) {
        let relay = self.config.relays.iter().find(|relay| relay.bind == bound.ip());
        let advertised = SocketAddr::new(relay.map_or(bound.ip(), |relay| relay.advertise), bound.port());
        let Some(allocation) = self.allocations.get_mut(&id) else { return };
        let [v4, v6] = &mut allocation.relays;
        *(if bound.is_ipv4() { v4 } else { v6 }) = Some(Relay { bound, advertised });
        self.advertised.insert(advertised, id);
    }

    /// The port was taken by somebody else on this machine.
    fn try_another(&mut self, id: AllocationId, address: SocketAddr, tries: u32) {
        let Some(allocation) = self.allocations.get(&id) else { return };
        let (kind, Some(opening)) = (allocation.kind, allocation.opening.as_deref()) else { return };
        let (even, next) = (opening.even_port, opening.reserve_next);
        let fixed = opening.reservation.is_some() || tries >= TRIES;
        let chosen = if fixed { None } else { self.choose(address.is_ipv4(), even, next).ok() };
        let Some(opening) = self.allocations.get_mut(&id).and_then(|allocation| allocation.opening.as_mut())
        else {
            return;
        };
        match chosen {
            Some(chosen) => {
                opening.awaited.push((chosen, tries + 1));
                self.by_relayed.insert(chosen, id);
                self.events.push_back(Event::OpenRelay { allocation: id, address: chosen, kind });
            }
            None => opening.missing = Some(ErrorCode::INSUFFICIENT_CAPACITY),
        }
    }

    fn finish_opening(&mut self, now: Instant, id: AllocationId) {
        let Some(allocation) = self.allocations.get_mut(&id) else { return };
        let Some(opening) = allocation.opening.take() else { return };
        let first = allocation.relays.iter().flatten().next().map(|relay| relay.bound);
        let Some(first) = first else {
            let (path, transaction) = (allocation.client, allocation.transaction);
            let error = ErrorCode::INSUFFICIENT_CAPACITY;
            self.delete(id);
            self.metrics.refusals.count(error.code);
            let kind = MessageType::new(Method::ALLOCATE, Class::ErrorResponse);
            return self.send(
                path,
                kind,
                transaction,
                opening.fingerprint,
                Some(&opening.signer),
                |builder| {
                    builder.attribute(&Attribute::ErrorCode(error));
                },
            );
        };
        let user = Arc::clone(&allocation.user);
        let reservation = if opening.reserve_next { self.reserve(now, first, user) } else { None };
        self.metrics.allocations_made += 1;
        self.metrics.requests += 1;
        let Opening { signer, fingerprint, lifetime, missing, .. } = *opening;
        self.answer_allocate(id, &signer, fingerprint, lifetime, missing, reservation);
    }

    fn reserve(&mut self, now: Instant, first: SocketAddr, user: Arc<str>) -> Option<[u8; 8]> {
        if self.reservations.len() >= self.config.limits.reservations {
            return None;
        }
        let token = self.rng.array();
        let address = SocketAddr::new(first.ip(), first.port().checked_add(1)?);
        self.reservations.push(Reservation { token, address, user, expires: now + RESERVATION_LIFETIME });
        Some(token)
    }

    fn answer_allocate(
        &mut self,
        id: AllocationId,
        signer: &Signer,
        fingerprint: bool,
        lifetime: Duration,
        missing: Option<ErrorCode<'static>>,
        reservation: Option<[u8; 8]>,
    ) {
        let Some(allocation) = self.allocations.get(&id) else { return };
        let (path, transaction, relays) = (allocation.client, allocation.transaction, allocation.relays);
        let ticket = allocation.mobility.as_ref().map(|mobility| mobility.ticket);
        self.succeed(path, Method::ALLOCATE, transaction, fingerprint, signer, |builder| {
            for relay in relays.into_iter().flatten() {
                builder.attribute(&Attribute::XorRelayedAddress(relay.advertised));
            }
            builder.attribute(&Attribute::Lifetime(lifetime));
            builder.attribute(&Attribute::XorMappedAddress(path.remote));
            if let Some(error) = missing {
                builder.attribute(&Attribute::AddressErrorCode { family: AddressFamily::IPV6, error });
            }
            if let Some(token) = &reservation {
                builder.attribute(&Attribute::ReservationToken(token));
            }
            if let Some(ticket) = &ticket {
                builder.attribute(&Attribute::MobilityTicket(ticket));
            }
        });
    }
}
