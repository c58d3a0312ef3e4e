//! The client of a TURN server: one allocation from its first request to its end.

mod config;
mod event;
mod peers;
mod request;
mod responses;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use antiphon_stun::{
    Attribute, AttributeType, Authentication, Class, Credential, Message, MessageBuilder, MessageType,
    Method, Signature, Step, Timing, TransactionId, Verdict,
};
use antiphon_util::{Path, Protocol, Received, Rng, Tally, Transmit, Writer};
use tracing::debug;

pub use config::{Config, EvenPort, Families, Limits, Relaying};
pub use event::{Allocated, DropReason, Event, Failure, Refusal};

use crate::channel::{self, CHANNEL_HEADER_LEN, is_channel_data};
pub(crate) use peers::{CHANNEL_LIFETIME, PERMISSION_LIFETIME};
use peers::{Peers, Way, Wish};
use request::{Kind, Request};

/// How often a ConnectionBind is made anew.
const MAX_BIND_RENEWALS: u32 = 2;

/// One allocation on one server, seen from the client.
///
/// ```text
///            refused, not answered                    refused, not answered
/// Allocating ---------------------> Ended <---------- Allocated
///     |                              ^                    |
///     +---- answered --> Allocated   +---- Deleting <-----+ close
/// ```
#[derive(Debug)]
pub struct Client {
    config: Config,
    rng: Rng,
    path: Path,
    authentication: Authentication,
    state: State,
    requests: Vec<Request>,
    peers: Peers,
    /// Connections between relay and peers that are not bound yet (RFC 6062).
    connections: Vec<(u32, SocketAddr)>,
    events: VecDeque<Event>,
    drops: Tally<DropReason>,
}

#[derive(Debug)]
enum State {
    Allocating,
    Allocated(Allocation),
    Deleting,
    Ended,
}

#[derive(Debug)]
struct Allocation {
    relayed: Vec<SocketAddr>,
    /// When it is refreshed; none while that is under way.
    refresh: Option<Instant>,
    expires: Instant,
    /// What moves it to another address of ours.
    ticket: Option<Vec<u8>>,
}

impl Client {
    /// A client that asks the server at `path.remote` for an allocation from `path.local`. Over a stream (TCP, TLS) the
    /// protocol is [`Protocol::Tcp`]; over DTLS it is [`Protocol::Udp`].
    pub fn new(now: Instant, mut config: Config, credential: Credential, rng: Rng, path: Path) -> Self {
        if path.protocol == Protocol::Tcp {
            config.timing = Timing::reliable();
        }
        let mut client = Self {
            peers: Peers::new(config.limits),
            authentication: Authentication::new(config.provider, credential),
            config,
            rng,
            path,
            state: State::Allocating,
            requests: Vec::new(),
            connections: Vec::new(),
            events: VecDeque::new(),
            drops: Tally::new(),
        };
        client.request(now, Kind::Allocate);
        client
    }

    /// Handles a datagram, or a frame of a stream, and gives what a peer sent: its path leads from our relayed address to
    /// the peer.
    pub fn handle_receive<'a>(&mut self, now: Instant, received: Received<'a>) -> Option<Received<'a>> {
        if received.path != self.path {
            self.drop_datagram(DropReason::NotFromServer);
            return None;
        }
        if is_channel_data(received.datagram) {
            return self.handle_channel_data(received);
        }
        let Ok(message) = Message::try_from(&*received.datagram) else {
            self.drop_datagram(DropReason::Malformed);
            return None;
        };
        if message.unknown_required(AttributeType::is_of_turn).next().is_some() {
            self.drop_datagram(DropReason::UnknownAttribute);
            return None;
        }
        match (message.kind().class, message.kind().method) {
            (Class::SuccessResponse | Class::ErrorResponse, _) => self.handle_response(now, &message),
            (Class::Indication, Method::DATA) => {
                let (peer, range) = data_of(&message).or_else(|| {
                    self.drop_datagram(DropReason::Malformed);
                    None
                })?;
                return self.deliver(peer, received, range);
            }
            (Class::Indication, Method::CONNECTION_ATTEMPT) => self.handle_connection_attempt(&message),
            _ => self.drop_datagram(DropReason::Malformed),
        }
        None
    }

    /// Does what time alone causes.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(at) =
            self.requests.iter().position(|request| request.due() <= now && request.is_exhausted(now))
        {
            let (kind, refusal) = self.requests.swap_remove(at).into_refusal();
            self.handle_failure(now, kind, refusal);
        }
        let State::Allocated(allocation) = &mut self.state else { return };
        if allocation.expires <= now {
            self.end(Event::Failed(Failure::TimedOut));
            return;
        }
        if allocation.refresh.is_some_and(|due| due <= now) {
            allocation.refresh = None;
            self.request(now, Kind::Refresh(self.config.lifetime));
        }
        while let Some(wish) = self.peers.next_wish(now, self.config.channel_after) {
            self.request(
                now,
                match wish {
                    Wish::Permissions(peers) => Kind::Permissions(peers),
                    Wish::Channel(number, peer) => Kind::Channel(number, peer),
                },
            );
        }
    }

    /// Appends the next message to the server to `buf`.
    pub fn poll_transmit(&mut self, now: Instant, buf: &mut Vec<u8>) -> Option<Transmit> {
        let start = buf.len();
        if let Some(request) =
            self.requests.iter_mut().find(|request| request.due() <= now && !request.is_exhausted(now))
            && request.step(now) == Step::Send
        {
            buf.extend_from_slice(&request.message);
            return Some(self.transmit(start, buf));
        }
        let (peer, datagram) = self.peers.pop_ready()?;
        self.write_indication(peer, &datagram, buf);
        Some(self.transmit(start, buf))
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) and [`poll_transmit`](Self::poll_transmit) are to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let requests = self.requests.iter().map(Request::due).min();
        let State::Allocated(allocation) = &self.state else { return requests };
        let peers = self.peers.due(self.config.channel_after);
        [requests, allocation.refresh, Some(allocation.expires), peers].into_iter().flatten().min()
    }

    /// Appends to `buf` what carries `datagram` to `peer`. Where the server has not let the peer in yet, it is asked to,
    /// and the datagram goes out by [`poll_transmit`](Self::poll_transmit) as soon as it has; within
    /// [`Limits::waiting_bytes`], beyond which it is dropped, as datagrams may be.
    pub fn send(
        &mut self,
        now: Instant,
        peer: SocketAddr,
        datagram: &[u8],
        buf: &mut Vec<u8>,
    ) -> Option<Transmit> {
        if self.relayed_for(peer).is_none() {
            self.drop_datagram(DropReason::NoAllocation);
            return None;
        }
        let start = buf.len();
        match self.peers.way(now, peer, datagram, self.config.channel_after) {
            Way::Channel(number) => {
                let padded = self.path.protocol == Protocol::Tcp;
                if !channel::write(&mut Writer::new(buf), number, datagram, padded) {
                    self.drop_datagram(DropReason::TooLong);
                    return None;
                }
            }
            Way::Indication => {
                if !self.write_indication(peer, datagram, buf) {
                    self.drop_datagram(DropReason::TooLong);
                    return None;
                }
            }
            Way::Waits => {}
            Way::Dropped(reason) => {
                self.drop_datagram(reason);
                return None;
            }
        }
        self.handle_timeout(now);
        (buf.len() > start).then(|| self.transmit(start, buf))
    }

    /// Has the server let datagrams of `peer` in, before anything is sent there.
    pub fn permit(&mut self, now: Instant, peer: SocketAddr) {
        if self.relayed_for(peer).is_some() {
            self.peers.want(now, peer.ip());
            self.handle_timeout(now);
        }
    }

    /// Has the relay connect to `peer` (RFC 6062 §4.3); an event tells how that went.
    pub fn connect(&mut self, now: Instant, peer: SocketAddr) {
        if self.relayed_for(peer).is_some() {
            self.request(now, Kind::Connect(peer));
        }
    }

    /// Appends to `buf` the message that makes a new connection to the server, on which it is the first, the one to the peer of
    /// connection `id` (RFC 6062 §4.3). `None` where no such connection awaits it.
    pub fn bind_connection(&mut self, id: u32, buf: &mut Vec<u8>) -> Option<ConnectionBind> {
        let at = self.connections.iter().position(|(known, _)| *known == id)?;
        let (_, peer) = self.connections.swap_remove(at);
        Some(self.write_connection_bind(id, peer, 0, buf))
    }

    /// Takes `answer`, the first frame on that connection, or the next after [`Binding::Again`].
    pub fn handle_bound(&mut self, bind: &ConnectionBind, answer: &[u8], buf: &mut Vec<u8>) -> Binding {
        let Ok(message) = Message::try_from(answer) else { return Binding::Failed };
        if message.kind().method != Method::CONNECTION_BIND || message.id() != bind.transaction {
            return Binding::Failed;
        }
        match self.authentication.judge(bind.signature, &message) {
            Verdict::Accepted if message.kind().class == Class::SuccessResponse => Binding::Bound,
            // The nonce was for another connection.
            Verdict::Retry if bind.renewals < MAX_BIND_RENEWALS => {
                Binding::Again(self.write_connection_bind(bind.id, bind.peer, bind.renewals + 1, buf))
            }
            _ => Binding::Failed,
        }
    }

    /// Our side has another address now, from which the server is asked to serve the allocation on (RFC 8016); where it can't
    /// be moved, it is lost.
    pub fn migrate(&mut self, now: Instant, local: SocketAddr) {
        self.path.local = local;
        self.requests.clear();
        match &self.state {
            State::Allocating => self.request(now, Kind::Allocate),
            State::Allocated(Allocation { ticket: Some(_), .. }) => self.request(now, Kind::Move),
            State::Allocated(_) => self.end(Event::Failed(Failure::Disconnected)),
            State::Deleting | State::Ended => self.state = State::Ended,
        }
    }

    /// The stream to the server has ended; where the allocation is mobile, [`migrate`](Self::migrate) takes it over a new one.
    pub fn handle_disconnect(&mut self) {
        let mobile = matches!(&self.state, State::Allocated(Allocation { ticket: Some(_), .. }));
        if !mobile && !self.has_ended() {
            self.end(Event::Failed(Failure::Disconnected));
        }
    }

    /// Has the server delete the allocation (RFC 8656 §8); an event tells when it has.
    pub fn close(&mut self, now: Instant) {
        match self.state {
            State::Allocated(_) => {
                self.requests.clear();
                self.state = State::Deleting;
                self.request(now, Kind::Delete);
            }
            State::Allocating => self.end(Event::Closed),
            State::Deleting | State::Ended => {}
        }
    }

    /// Whether nothing will be sent or accepted any more.
    pub fn has_ended(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    /// Our addresses on the relay.
    pub fn relayed(&self) -> &[SocketAddr] {
        match &self.state {
            State::Allocated(allocation) => &allocation.relayed,
            _ => &[],
        }
    }

    /// Between which addresses the client and its server talk.
    pub fn path(&self) -> Path {
        self.path
    }

    /// What was dropped, by reason.
    pub fn drops(&self) -> &Tally<DropReason> {
        &self.drops
    }

    /// Our address on the relay that datagrams to `peer` leave from.
    fn relayed_for(&self, peer: SocketAddr) -> Option<SocketAddr> {
        self.relayed().iter().copied().find(|relayed| relayed.is_ipv4() == peer.is_ipv4())
    }

    fn handle_channel_data<'a>(&mut self, received: Received<'a>) -> Option<Received<'a>> {
        let Ok((number, len)) = channel::parse(received.datagram) else {
            self.drop_datagram(DropReason::Malformed);
            return None;
        };
        match self.peers.peer_of(number) {
            Some(peer) => self.deliver(peer, received, CHANNEL_HEADER_LEN..CHANNEL_HEADER_LEN + len),
            None => {
                self.drop_datagram(DropReason::UnknownChannel);
                None
            }
        }
    }

    fn deliver<'a>(
        &mut self,
        peer: SocketAddr,
        received: Received<'a>,
        range: std::ops::Range<usize>,
    ) -> Option<Received<'a>> {
        let Some(local) = self.relayed_for(peer).filter(|_| self.peers.knows(peer.ip())) else {
            self.drop_datagram(DropReason::NoPermission);
            return None;
        };
        let path = Path::udp(local, peer);
        Some(Received { path, ecn: None, datagram: received.datagram.get_mut(range)? })
    }

    fn handle_connection_attempt(&mut self, message: &Message<'_>) {
        let (Some(Attribute::ConnectionId(id)), Some(Attribute::XorPeerAddress(peer))) = (
            message.attribute(AttributeType::CONNECTION_ID),
            message.attribute(AttributeType::XOR_PEER_ADDRESS),
        ) else {
            return self.drop_datagram(DropReason::Malformed);
        };
        self.expect_connection(id, peer);
    }

    fn write_connection_bind(
        &mut self,
        id: u32,
        peer: SocketAddr,
        renewals: u32,
        buf: &mut Vec<u8>,
    ) -> ConnectionBind {
        let transaction = TransactionId::random(&mut self.rng);
        let kind = Kind::BindConnection(id);
        let signature = kind.write(buf, transaction, &self.config, &self.authentication, None);
        ConnectionBind { id, transaction, signature, renewals, peer }
    }

    fn expect_connection(&mut self, id: u32, peer: SocketAddr) {
        if self.connections.len() >= self.config.limits.connections {
            return self.drop_datagram(DropReason::ConnectionLimit);
        }
        if self.connections.iter().all(|(known, _)| *known != id) {
            self.connections.push((id, peer));
            self.events.push_back(Event::ConnectionReady { id, peer });
        }
    }

    /// Appends a Send indication; `false`, with nothing appended, where `datagram` is too long for it.
    fn write_indication(&mut self, peer: SocketAddr, datagram: &[u8], buf: &mut Vec<u8>) -> bool {
        let start = buf.len();
        let id = TransactionId::random(&mut self.rng);
        let mut writer = Writer::new(buf);
        let kind = MessageType::new(Method::SEND, Class::Indication);
        let mut builder = MessageBuilder::new(&mut writer, kind, id);
        builder.attribute(&Attribute::XorPeerAddress(peer));
        builder.attribute(&Attribute::Data(datagram));
        let fits = builder.finish().is_ok();
        if !fits {
            buf.truncate(start);
        }
        fits
    }

    fn request(&mut self, now: Instant, kind: Kind) {
        let ticket = match &self.state {
            State::Allocated(allocation) => allocation.ticket.as_deref(),
            _ => None,
        };
        let request = Request::new(now, &mut self.rng, &self.config, &self.authentication, kind, ticket);
        self.requests.push(request);
    }

    fn end(&mut self, event: Event) {
        debug!(?event, "TURN client ends");
        self.requests.clear();
        self.state = State::Ended;
        self.events.push_back(event);
    }

    fn transmit(&self, start: usize, buf: &[u8]) -> Transmit {
        Transmit { path: self.path, ecn: None, len: buf.len() - start, segment_size: None }
    }

    fn drop_datagram(&mut self, reason: DropReason) {
        tracing::trace!(?reason, "datagram dropped");
        self.drops.count(reason);
    }
}

/// A ConnectionBind request on a connection of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionBind {
    id: u32,
    transaction: TransactionId,
    signature: Signature,
    renewals: u32,
    /// The peer that the connection leads to.
    pub peer: SocketAddr,
}

/// What came of a [`ConnectionBind`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Binding {
    /// The bytes behind the answer are the peer's.
    Bound,
    /// The request was appended anew and is to be sent.
    Again(ConnectionBind),
    /// The connection is to be closed.
    Failed,
}

/// The peer, and where its data stands in the message.
fn data_of(message: &Message<'_>) -> Option<(SocketAddr, std::ops::Range<usize>)> {
    let Some(Attribute::XorPeerAddress(peer)) = message.attribute(AttributeType::XOR_PEER_ADDRESS) else {
        return None;
    };
    let data = message.find(AttributeType::DATA)?.value;
    let start = data.as_ptr().addr().checked_sub(message.bytes().as_ptr().addr())?;
    Some((peer, start..start + data.len()))
}
