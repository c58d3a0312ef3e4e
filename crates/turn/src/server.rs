//! The server: many clients, their allocations, and what goes between them and their peers.

mod allocation;
mod authentication;
mod config;
mod connections;
mod metrics;
mod opening;
mod outbox;
mod policy;
mod rate;
mod relaying;
mod requests;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use antiphon_stun::{
    Attribute, AttributeType, Authenticator, Class, ErrorCode, Message, MessageBuilder, MessageType, Method,
    TransactionId,
};
use antiphon_util::{Path, Protocol, Received, Rng, Transmit, Writer};

pub use allocation::{AllocationId, Relayed};
pub use config::{Config, Limits, PermissionHook, PermissionRequest, RelayAddress, Users};
pub use metrics::{DropReason, Metrics};
pub use policy::{AddressPolicy, Block, BlockError};
pub use rate::Rate;

use crate::channel::is_channel_data;
use allocation::Allocation;
use authentication::Signer;
use connections::Connections;
use outbox::Outbox;
use rate::{Bucket, Sources};

/// A TURN and STUN server without sockets.
#[derive(Debug)]
pub struct Server {
    config: Config,
    rng: Rng,
    authenticator: Authenticator,
    allocations: HashMap<AllocationId, Allocation>,
    next_id: u64,
    by_client: HashMap<Path, AllocationId>,
    by_relayed: HashMap<SocketAddr, AllocationId>,
    /// Addresses as peers see them, of all allocations.
    advertised: HashMap<SocketAddr, AllocationId>,
    users: HashMap<Arc<str>, Usage>,
    reservations: Vec<Reservation>,
    connections: Connections,
    expiry: BTreeSet<(Instant, AllocationId)>,
    sources: Sources,
    unpaid: Bucket,
    bandwidth: Option<Bucket>,
    outbox: Outbox,
    events: VecDeque<Event>,
    metrics: Metrics,
}

/// What one user has.
#[derive(Debug)]
struct Usage {
    allocations: usize,
    bandwidth: Option<Bucket>,
}

/// A port kept for another allocation (RFC 8656 §7.2).
#[derive(Debug)]
struct Reservation {
    token: [u8; 8],
    address: SocketAddr,
    user: Arc<str>,
    expires: Instant,
}

/// What the owner of a server has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Bind this address and say with [`Server::relay_opened`] how that went; what arrives there goes to
    /// [`Server::handle_receive`], with this address as the local one.
    OpenRelay {
        /// Whose it is.
        allocation: AllocationId,
        /// The address to bind.
        address: SocketAddr,
        /// What it speaks.
        kind: Relayed,
    },
    /// Close the socket at this address, and what was connected from there.
    CloseRelay {
        /// The address.
        address: SocketAddr,
    },
    /// Connect from the relayed address `local` to the peer and say with [`Server::connection_opened`] how that went (RFC 6062).
    OpenConnection {
        /// Names the connection.
        connection: u32,
        /// The relayed address.
        local: SocketAddr,
        /// The peer.
        peer: SocketAddr,
    },
    /// From now on every byte goes between the connection and the client's stream at `client`, neither of which is handed to
    /// the server any more, until one of them closes (RFC 6062 §5.4).
    JoinConnection {
        /// Names the connection.
        connection: u32,
        /// The client's stream.
        client: Path,
    },
    /// Close this connection.
    CloseConnection {
        /// Names the connection.
        connection: u32,
    },
}

impl Server {
    /// A server without clients.
    pub fn new(now: Instant, config: Config, mut rng: Rng) -> Self {
        let limits = config.limits;
        let secret = rng.array();
        let mut authenticator =
            Authenticator::new(now, config.provider, config.realm.clone(), &secret, config.nonce_lifetime);
        if !config.offer_sha256 {
            authenticator = authenticator.without_password_algorithms();
        }
        Self {
            authenticator,
            allocations: HashMap::new(),
            next_id: 0,
            by_client: HashMap::new(),
            by_relayed: HashMap::new(),
            advertised: HashMap::new(),
            users: HashMap::new(),
            reservations: Vec::new(),
            connections: Connections::default(),
            expiry: BTreeSet::new(),
            sources: Sources::new(limits.source_buckets, limits.unpaid_bytes),
            unpaid: Bucket::new(now, limits.unpaid_bytes_in_all),
            bandwidth: config.total_bandwidth.map(|rate| Bucket::new(now, rate)),
            outbox: Outbox::new(limits.outbox_bytes),
            events: VecDeque::new(),
            metrics: Metrics::default(),
            config,
            rng,
        }
    }

    /// Handles a datagram, or a frame of a stream: at a relayed address a peer's, else a client's.
    pub fn handle_receive(&mut self, now: Instant, received: Received<'_>) {
        let Received { path, datagram, .. } = received;
        if let Some(id) = self.by_relayed.get(&path.local).copied() {
            return self.relay_to_client(now, id, path, datagram);
        }
        if is_channel_data(datagram) {
            return self.relay_channel_data(now, path, datagram);
        }
        let Ok(message) = Message::try_from(&*datagram) else {
            return self.drop_datagram(DropReason::Malformed);
        };
        match (message.kind().class, message.kind().method) {
            (Class::Request, Method::BINDING) => self.answer_binding(now, path, &message),
            (Class::Request, _) => self.handle_request(now, path, &message),
            (Class::Indication, Method::SEND) => self.relay_indication(now, path, &message),
            (Class::Indication, Method::BINDING) => {}
            _ => self.drop_datagram(DropReason::Malformed),
        }
    }

    /// Does what time alone causes.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some((_, id)) = self.expiry.first().copied().filter(|(at, _)| *at <= now) {
            self.delete(id);
        }
        self.reservations.retain(|reservation| reservation.expires > now);
        self.expire_connections(now);
    }

    /// Appends the next run of datagrams to `buf`. Over a stream it is one frame.
    pub fn poll_transmit(&mut self, _now: Instant, buf: &mut Vec<u8>) -> Option<Transmit> {
        self.outbox.pop(buf)
    }

    /// What the owner has to do next.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called; in the past where there is something to send.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let expiry = self.expiry.first().map(|(at, _)| *at);
        let reservation = self.reservations.iter().map(|reservation| reservation.expires).min();
        [expiry, reservation, self.connections.due()].into_iter().flatten().min()
    }

    /// A client's stream is gone. An allocation that can move waits for its client until it expires; any other ends.
    pub fn handle_disconnect(&mut self, path: Path) {
        let Some(id) = self.by_client.get(&path).copied() else { return };
        match self.allocations.get_mut(&id) {
            Some(allocation) if allocation.mobility.is_some() && allocation.opening.is_none() => {
                allocation.reachable = false;
                self.by_client.remove(&path);
            }
            _ => self.delete(id),
        }
    }

    /// Makes no allocation any more; those that are there go on.
    pub fn drain(&mut self) {
        self.config.limits.allocations = 0;
    }

    /// Whether a client has an allocation from `path`.
    pub fn serves(&self, path: Path) -> bool {
        self.by_client.contains_key(&path)
    }

    /// Ends every allocation.
    pub fn close(&mut self) {
        let ids: Vec<_> = self.allocations.keys().copied().collect();
        ids.into_iter().for_each(|id| self.delete(id));
    }

    /// What it has counted.
    pub fn metrics(&self) -> Metrics {
        Metrics {
            allocations: self.allocations.len() as u64,
            users: self.users.len() as u64,
            ..self.metrics.clone()
        }
    }

    /// Whether there is something to send.
    pub fn has_output(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// RFC 8489 §6.3: where the request came from.
    fn answer_binding(&mut self, now: Instant, path: Path, message: &Message<'_>) {
        if message.unknown_required(AttributeType::is_of_turn).next().is_some() {
            return self.refuse_unknown(now, path, message, ErrorCode::UNKNOWN_ATTRIBUTE);
        }
        self.metrics.bindings += 1;
        self.answer_unknown(now, path, message, Class::SuccessResponse, |_, builder| {
            builder.attribute(&Attribute::XorMappedAddress(path.remote));
        });
    }

    /// Refuses the request of a sender that is not known, as short as can be.
    fn refuse_unknown(&mut self, now: Instant, path: Path, message: &Message<'_>, error: ErrorCode<'_>) {
        self.metrics.refusals.count(error.code);
        self.answer_unknown(now, path, message, Class::ErrorResponse, |_, builder| {
            write_refusal(builder, message, ErrorCode::new(error.code, ""));
        });
    }

    /// Answers a sender that is not known. Its address may be forged, unless it has a stream: the bytes that the answer has more
    /// than the request are limited, so that nobody gets others flooded by us with more than it sends itself.
    fn answer_unknown(
        &mut self,
        now: Instant,
        path: Path,
        message: &Message<'_>,
        class: Class,
        write: impl FnOnce(&Self, &mut MessageBuilder<'_>),
    ) {
        let kind = MessageType::new(message.kind().method, class);
        let fingerprint = message.has_fingerprint();
        let built = build(kind, message.id(), fingerprint, None, |builder| write(self, builder));
        let Some(bytes) = built else { return self.drop_datagram(DropReason::TooLong) };
        let surplus = bytes.len().saturating_sub(message.bytes().len()) as u64;
        let in_all = self.config.limits.unpaid_bytes_in_all;
        let may = path.protocol == Protocol::Tcp
            || self.sources.take(now, path.remote.ip(), surplus) && self.unpaid.take(now, in_all, surplus);
        if !may {
            return self.drop_datagram(DropReason::UnauthenticatedLimit);
        }
        self.post(path, bytes.len(), |out| out.extend_from_slice(&bytes));
    }

    fn succeed(
        &mut self,
        path: Path,
        method: Method,
        id: TransactionId,
        fingerprint: bool,
        signer: &Signer,
        write: impl FnOnce(&mut MessageBuilder<'_>),
    ) {
        let kind = MessageType::new(method, Class::SuccessResponse);
        self.send(path, kind, id, fingerprint, Some(signer), write);
    }

    /// Refuses a request whose sender is known.
    fn refuse(&mut self, path: Path, message: &Message<'_>, error: ErrorCode<'_>, signer: &Signer) {
        self.metrics.refusals.count(error.code);
        let kind = MessageType::new(message.kind().method, Class::ErrorResponse);
        let is_sent_on = error.code == ErrorCode::TRY_ALTERNATE.code;
        let alternate = self.config.alternate.filter(|_| is_sent_on);
        let domain = self.config.alternate_domain.clone().filter(|_| is_sent_on);
        self.send(path, kind, message.id(), message.has_fingerprint(), Some(signer), |builder| {
            if let Some(alternate) = alternate {
                builder.attribute(&Attribute::AlternateServer(alternate));
            }
            if let Some(domain) = &domain {
                builder.attribute(&Attribute::AlternateDomain(domain));
            }
            write_refusal(builder, message, error);
        });
    }

    fn send(
        &mut self,
        path: Path,
        kind: MessageType,
        id: TransactionId,
        fingerprint: bool,
        signer: Option<&Signer>,
        write: impl FnOnce(&mut MessageBuilder<'_>),
    ) {
        let Some(bytes) = build(kind, id, fingerprint, signer, write) else {
            return self.drop_datagram(DropReason::TooLong);
        };
        self.post(path, bytes.len(), |out| out.extend_from_slice(&bytes));
    }

    fn post(&mut self, path: Path, len: usize, write: impl FnOnce(&mut Vec<u8>)) -> bool {
        let fits = self.outbox.push(path, len, write);
        if !fits {
            self.drop_datagram(DropReason::OutboxLimit);
        }
        fits
    }

    /// Ends an allocation and frees everything of it.
    fn delete(&mut self, id: AllocationId) {
        let Some(allocation) = self.allocations.remove(&id) else { return };
        self.expiry.remove(&(allocation.expires, id));
        if self.by_client.get(&allocation.client) == Some(&id) {
            self.by_client.remove(&allocation.client);
        }
        let awaited = allocation.opening.iter().flat_map(|opening| opening.awaited.iter().map(|(at, _)| *at));
        let bound = allocation.relays.iter().flatten().map(|relay| relay.bound);
        for address in awaited.chain(bound) {
            self.by_relayed.remove(&address);
            self.events.push_back(Event::CloseRelay { address });
        }
        for relay in allocation.relays.iter().flatten() {
            self.advertised.remove(&relay.advertised);
        }
        for connection in allocation.connections {
            self.connections.remove(connection);
            self.events.push_back(Event::CloseConnection { connection });
        }
        if let Some(usage) = self.users.get_mut(&allocation.user) {
            usage.allocations = usage.allocations.saturating_sub(1);
            if usage.allocations == 0 {
                self.users.remove(&allocation.user);
            }
        }
        tracing::debug!(?id, user = %allocation.user, "allocation ended");
    }

    fn drop_datagram(&mut self, reason: DropReason) {
        tracing::trace!(?reason, "datagram dropped");
        self.metrics.drops.count(reason);
    }
}

/// The bytes of a message; `None` where it would be too long.
fn build(
    kind: MessageType,
    id: TransactionId,
    fingerprint: bool,
    signer: Option<&Signer>,
    write: impl FnOnce(&mut MessageBuilder<'_>),
) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes);
    let mut builder = MessageBuilder::new(&mut writer, kind, id);
    write(&mut builder);
    if let Some(signer) = signer {
        signer.sign(&mut builder);
    }
    if fingerprint {
        builder.fingerprint();
    }
    builder.finish().is_ok().then_some(bytes)
}

fn write_refusal(builder: &mut MessageBuilder<'_>, message: &Message<'_>, error: ErrorCode<'_>) {
    builder.attribute(&Attribute::ErrorCode(error));
    if error.code == ErrorCode::UNKNOWN_ATTRIBUTE.code {
        // As many as a refusal has room for that is no longer than the request.
        builder.unknown_attributes(message.unknown_required(AttributeType::is_of_turn).take(8));
    }
}
