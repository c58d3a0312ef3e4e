//! TCP connections between relayed addresses and peers (RFC 6062 §5).

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use antiphon_stun::{Attribute, AttributeType, Class, ErrorCode, MessageType, Method, TransactionId};
use antiphon_util::{Path, Protocol};

use super::allocation::Relayed;
use super::authentication::Signer;
use super::requests::Request;
use super::{AllocationId, DropReason, Event, Server};

/// How long connecting to a peer may take, and how long a connection waits for its client (RFC 6062 §5.2, §5.3).
const PATIENCE: Duration = Duration::from_secs(30);

/// The connections of all allocations.
#[derive(Debug, Default)]
pub(super) struct Connections(HashMap<u32, Connection>);

#[derive(Debug)]
struct Connection {
    allocation: AllocationId,
    peer: SocketAddr,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The peer is being connected to, for this request.
    Connecting {
        path: Path,
        transaction: TransactionId,
        fingerprint: bool,
        signer: Box<Signer>,
        until: Instant,
    },
    /// The client has to bind it.
    Waiting {
        until: Instant,
    },
    Joined,
}

impl Connections {
    pub(super) fn remove(&mut self, id: u32) {
        self.0.remove(&id);
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.0.values().filter_map(Connection::until).min()
    }
}

impl Connection {
    fn until(&self) -> Option<Instant> {
        match &self.state {
            State::Connecting { until, .. } | State::Waiting { until } => Some(*until),
            State::Joined => None,
        }
    }
}

impl Server {
    /// RFC 6062 §5.2
    pub(super) fn handle_connect(
        &mut self,
        now: Instant,
        id: AllocationId,
        request: &Request<'_>,
    ) -> Result<(), ErrorCode<'static>> {
        let Some(Attribute::XorPeerAddress(peer)) =
            request.message.attribute(AttributeType::XOR_PEER_ADDRESS)
        else {
            return Err(ErrorCode::BAD_REQUEST);
        };
        let allocation = self.allocations.get(&id).ok_or(ErrorCode::ALLOCATION_MISMATCH)?;
        if allocation.kind != Relayed::Tcp {
            return Err(ErrorCode::BAD_REQUEST);
        }
        let own = self.admit(id, request, peer)?;
        if own && !self.advertised.contains_key(&peer) {
            return Err(ErrorCode::FORBIDDEN);
        }
        let local = allocation.relay_for(peer.ip()).ok_or(ErrorCode::PEER_ADDRESS_FAMILY_MISMATCH)?.bound;
        let exists = |number: &u32| self.connections.0.get(number).is_some_and(|known| known.peer == peer);
        if allocation.connections.iter().any(exists) {
            return Err(ErrorCode::CONNECTION_ALREADY_EXISTS);
        }
        if allocation.connections.len() >= self.config.limits.connections {
            return Err(ErrorCode::INSUFFICIENT_CAPACITY);
        }
        let state = State::Connecting {
            path: request.path,
            transaction: request.message.id(),
            fingerprint: request.message.has_fingerprint(),
            signer: Box::new(request.sender.signer.clone()),
            until: now + PATIENCE,
        };
        let connection = self.add_connection(id, peer, state);
        self.events.push_back(Event::OpenConnection { connection, local, peer });
        Ok(())
    }

    /// Says how [`Event::OpenConnection`] went.
    pub fn connection_opened(&mut self, now: Instant, connection: u32, connected: bool) {
        let Some(known) = self.connections.0.get_mut(&connection) else {
            if connected {
                self.events.push_back(Event::CloseConnection { connection });
            }
            return;
        };
        let waiting = State::Waiting { until: now + PATIENCE };
        match std::mem::replace(&mut known.state, waiting) {
            State::Connecting { path, transaction, fingerprint, signer, .. } if connected => {
                self.metrics.requests += 1;
                self.succeed(path, Method::CONNECT, transaction, fingerprint, &signer, |builder| {
                    builder.attribute(&Attribute::ConnectionId(connection));
                });
            }
            State::Connecting { path, transaction, fingerprint, signer, .. } => {
                self.drop_connection(connection);
                let error = ErrorCode::CONNECTION_TIMEOUT_OR_FAILURE;
                self.metrics.refusals.count(error.code);
                let kind = MessageType::new(Method::CONNECT, Class::ErrorResponse);
                self.send(path, kind, transaction, fingerprint, Some(&signer), |builder| {
                    builder.attribute(&Attribute::ErrorCode(error));
                });
            }
            other => known.state = other,
        }
    }

    /// A peer connected to a relayed address; gives the name of the connection, or `None` where it is to be closed
    /// (RFC 6062 §5.3).
    pub fn connection_accepted(&mut self, now: Instant, local: SocketAddr, peer: SocketAddr) -> Option<u32> {
        let id = *self.by_relayed.get(&local)?;
        let allocation = self.allocations.get(&id)?;
        if allocation.permission(now, peer.ip()).is_none() {
            self.drop_datagram(DropReason::NoPermission);
            return None;
        }
        if !allocation.reachable || allocation.connections.len() >= self.config.limits.connections {
            self.drop_datagram(DropReason::Unreachable);
            return None;
        }
        let client = allocation.client;
        let connection = self.add_connection(id, peer, State::Waiting { until: now + PATIENCE });
        let kind = MessageType::new(Method::CONNECTION_ATTEMPT, Class::Indication);
        let transaction = TransactionId::random(&mut self.rng);
        self.send(client, kind, transaction, false, None, |builder| {
            builder.attribute(&Attribute::ConnectionId(connection));
            builder.attribute(&Attribute::XorPeerAddress(peer));
        });
        Some(connection)
    }

    /// One side of a connection has closed, or its client's stream.
    pub fn connection_closed(&mut self, connection: u32) {
        self.drop_connection(connection);
    }

    /// RFC 6062 §5.4
    pub(super) fn handle_connection_bind(
        &mut self,
        _now: Instant,
        request: &Request<'_>,
    ) -> Result<(), ErrorCode<'static>> {
        let Some(Attribute::ConnectionId(connection)) =
            request.message.attribute(AttributeType::CONNECTION_ID)
        else {
            return Err(ErrorCode::BAD_REQUEST);
        };
        if request.path.protocol == Protocol::Udp || self.by_client.contains_key(&request.path) {
            return Err(ErrorCode::BAD_REQUEST);
        }
        let known = self.connections.0.get_mut(&connection).ok_or(ErrorCode::BAD_REQUEST)?;
        let owner = self.allocations.get(&known.allocation).ok_or(ErrorCode::BAD_REQUEST)?;
        if *owner.user != *request.sender.user || !matches!(known.state, State::Waiting { .. }) {
            return Err(ErrorCode::BAD_REQUEST);
        }
        known.state = State::Joined;
        self.metrics.connections += 1;
        self.accept(request, |_| {});
        self.events.push_back(Event::JoinConnection { connection, client: request.path });
        Ok(())
    }

    pub(super) fn expire_connections(&mut self, now: Instant) {
        let over =
            |(id, known): (&u32, &Connection)| known.until().is_some_and(|until| until <= now).then_some(*id);
        let expired: Vec<u32> = self.connections.0.iter().filter_map(over).collect();
        for connection in expired {
            match self.connections.0.get(&connection).map(|known| &known.state) {
                Some(State::Connecting { .. }) => self.connection_opened(now, connection, false),
                _ => self.drop_connection(connection),
            }
            self.events.push_back(Event::CloseConnection { connection });
        }
    }

    /// A number that nobody guesses.
    fn add_connection(&mut self, allocation: AllocationId, peer: SocketAddr, state: State) -> u32 {
        let mut connection = self.rng.u32();
        while self.connections.0.contains_key(&connection) {
            connection = connection.wrapping_add(1);
        }
        self.connections.0.insert(connection, Connection { allocation, peer, state });
        if let Some(allocation) = self.allocations.get_mut(&allocation) {
            allocation.connections.push(connection);
        }
        connection
    }

    fn drop_connection(&mut self, connection: u32) {
        let Some(known) = self.connections.0.remove(&connection) else { return };
        if let Some(allocation) = self.allocations.get_mut(&known.allocation) {
            allocation.connections.retain(|other| *other != connection);
        }
    }
}
