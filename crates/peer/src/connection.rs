//! The connection: what its owner calls, and what follows from any change.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use antiphon_crypto::{Certificate, HashAlgorithm};
use antiphon_ice::{self as ice, GatheringState, MdnsDestination, Standing, TcpType, TransactionTag};
use antiphon_sctp as sctp;
use antiphon_util::{Path, Protocol, Received, Rng, Tally, Transmit};

use crate::channels::Channels;
use crate::names::Names;
use crate::negotiation::Negotiation;
use crate::section::{EMBEDDING, Parameters};
use crate::state::connection_state;
use crate::transport::Transport;
use crate::{
    Configuration, ConfigurationError, ConnectionState, DropReason, DtlsState, Event, IceConnectionState,
    Limits, SignalingState, Statistics,
};

/// A peer connection (W3C `RTCPeerConnection`) without sockets, clock and tasks.
#[derive(Debug)]
pub struct PeerConnection {
    pub(crate) negotiation: Negotiation,
    pub(crate) transport: Transport,
    pub(crate) channels: Channels,
    pub(crate) gathering: Gathering,
    pub(crate) names: Names,
    pub(crate) events: VecDeque<Event>,
    pub(crate) drops: Tally<DropReason>,
    pub(crate) rng: Rng,
    pub(crate) limits: Limits,
    /// Whether the application has been told that an offer is needed.
    pub(crate) negotiation_needed: bool,
    closed: bool,
    told: Told,
    /// Since when events of the association wait for room in ours.
    backlog: Option<Instant>,
}

/// What local candidates are gathered from.
#[derive(Debug, Default)]
pub(crate) struct Gathering {
    addresses: Vec<LocalAddress>,
    servers: Vec<SocketAddr>,
    ended: bool,
    /// The local description calls for candidates, so that everything goes to the agent at once.
    started: bool,
}

/// An address that datagrams can be sent from and received at.
#[derive(Debug, Clone, Copy)]
enum LocalAddress {
    Udp(SocketAddr),
    Tcp(SocketAddr, TcpType),
    Relayed(SocketAddr, SocketAddr),
}

impl LocalAddress {
    fn give_to(self, agent: &mut ice::Agent, now: Instant) {
        match self {
            LocalAddress::Udp(address) => agent.add_local_address(now, address),
            LocalAddress::Tcp(address, tcp_type) => agent.add_local_tcp_address(now, address, tcp_type),
            LocalAddress::Relayed(relayed, mapped) => agent.add_relayed_address(now, relayed, mapped),
        }
    }
}

/// The derived states as last told by events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Told {
    signaling: SignalingState,
    ice: IceConnectionState,
    dtls: DtlsState,
    connection: ConnectionState,
}

impl PeerConnection {
    /// A connection that has not begun; all its randomness follows from `seed`, but for a certificate that has to be
    /// made.
    ///
    /// # Errors
    /// Where no certificate was given and none can be made.
    pub fn new(
        _now: Instant,
        configuration: Configuration,
        seed: [u8; 32],
    ) -> Result<Self, ConfigurationError> {
        let Configuration { provider, certificate, limits, consent, ice, congestion } = configuration;
        let mut rng = Rng::from_seed(seed);
        let certificate = match certificate {
            Some(certificate) => certificate,
            None => Arc::new(Certificate::generate(provider)?),
        };
        let fingerprint = certificate.fingerprint(HashAlgorithm::Sha256);
        let transport =
            Transport::new(provider, certificate, limits.clone(), consent, &ice, congestion, &mut rng);
        let parameters = Parameters {
            credentials: transport.credentials().clone(),
            fingerprint,
            sctp_port: 5000,
            max_message_size: limits.message_size as u64,
            ice_lite: ice.lite,
            ice_renomination: ice.renomination,
            embedding: EMBEDDING.into_iter().filter(|_| ice.embed_dtls).collect(),
            sctp_init: Some(transport.association.described_init()),
        };
        let is_pooled = ice.candidate_pool_size > 0;
        Ok(Self {
            negotiation: Negotiation::new(parameters, rng.u64(), limits.sdp),
            transport,
            channels: Channels::new(&limits),
            gathering: Gathering { started: is_pooled, ..Gathering::default() },
            names: Names::new(&ice, limits.ice.remote_candidates, rng.fork()),
            events: VecDeque::new(),
            drops: Tally::new(),
            rng,
            limits,
            negotiation_needed: false,
            closed: false,
            told: Told {
                signaling: SignalingState::Stable,
                ice: IceConnectionState::New,
                dtls: DtlsState::New,
                connection: ConnectionState::New,
            },
            backlog: None,
        })
    }

    /// Adds an address that datagrams can be sent from and received at. Candidates are told once a local description
    /// calls for them.
    pub fn add_local_address(&mut self, now: Instant, address: SocketAddr) {
        self.add_address(now, LocalAddress::Udp(address));
    }

    /// Adds an address for TCP, as [`add_local_address`](Self::add_local_address) does. The section
    /// [TCP](antiphon_ice#tcp) of the ICE crate says when connections are to be opened, and what path their datagrams have.
    pub fn add_local_tcp_address(&mut self, now: Instant, address: SocketAddr, tcp_type: TcpType) {
        self.add_address(now, LocalAddress::Tcp(address, tcp_type));
    }

    /// Adds an address on a TURN server, whose datagrams the owner carries: their paths have it as the local one. `mapped` is
    /// where the server sees us, which the peer is told.
    pub fn add_relayed_address(&mut self, now: Instant, relayed: SocketAddr, mapped: SocketAddr) {
        self.add_address(now, LocalAddress::Relayed(relayed, mapped));
    }

    /// Takes back an address that is gone; its candidates are used no more.
    pub fn remove_local_address(&mut self, now: Instant, protocol: Protocol, address: SocketAddr) {
        self.gathering.addresses.retain(|known| match known {
            LocalAddress::Udp(known) => protocol != Protocol::Udp || *known != address,
            LocalAddress::Relayed(known, _) => protocol != Protocol::Udp || *known != address,
            LocalAddress::Tcp(known, _) => protocol != Protocol::Tcp || *known != address,
        });
        self.transport.ice.remove_local_address(now, protocol, address);
        let is_there = |candidate: &ice::Candidate| candidate.address.ip() == address.ip();
        if !self.transport.ice.local_candidates().iter().any(is_there) {
            self.names.mdns.withdraw(now, address.ip());
        }
        self.settle(now);
    }

    /// Says that the TCP connection of `path` is closed, or could not be opened.
    pub fn handle_connection_closed(&mut self, now: Instant, path: Path) {
        self.transport.ice.handle_connection_closed(now, path);
        self.settle(now);
    }

    /// Adds a STUN server, which tells the addresses that others see.
    pub fn add_stun_server(&mut self, now: Instant, server: SocketAddr) {
        if self.gathering.started {
            self.transport.ice.add_stun_server(now, server);
            self.settle(now);
        } else {
            self.gathering.servers.push(server);
        }
    }

    /// Says that no local address will follow: gathering completes when the STUN servers have answered, or do not.
    pub fn end_of_local_addresses(&mut self, now: Instant) {
        self.gathering.ended = true;
        if self.gathering.started {
            self.transport.ice.end_of_local_addresses(now);
            self.settle(now);
        }
    }

    /// Handles a message of multicast DNS, from the groups `224.0.0.251` and `ff02::fb` on port
    /// [`MDNS_PORT`](antiphon_ice::MDNS_PORT). Without this names of the peer's candidates are not resolved.
    pub fn handle_multicast(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        if !self.closed {
            self.names.mdns.handle_datagram(now, from, datagram);
            self.settle(now);
        }
    }

    /// Appends the next message of multicast DNS to `buf`; gives where it is to be sent, from port
    /// [`MDNS_PORT`](antiphon_ice::MDNS_PORT), and its bytes.
    pub fn poll_multicast(&mut self, buf: &mut Vec<u8>) -> Option<(MdnsDestination, usize)> {
        self.names.mdns.poll_transmit(buf)
    }

    /// Whether messages of multicast DNS are to be received and sent now: a name is asked for, or one of ours is published.
    pub fn wants_multicast(&self) -> bool {
        !self.closed && self.names.mdns.is_active()
    }

    /// Handles a datagram. Whatever it is, it causes no error: what does not belong is dropped and counted.
    pub fn handle_receive(&mut self, now: Instant, received: Received<'_>) {
        if self.closed {
            return self.drops.count(DropReason::Ended);
        }
        self.transport.handle_receive(now, received, &mut self.drops);
        self.settle(now);
    }

    /// Does what time alone causes.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.transport.handle_timeout(now);
        if !self.closed {
            self.names.mdns.handle_timeout(now);
        }
        self.settle(now);
    }

    /// Appends the next datagram, or a run of datagrams of one size, to `buf`; call it until it gives `None`.
    pub fn poll_transmit(&mut self, now: Instant, buf: &mut Vec<u8>) -> Option<Transmit> {
        self.transport.poll_transmit(now, buf)
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) and [`poll_transmit`](Self::poll_transmit) are to be called next;
    /// in the past where that is at once.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let backlog = self.backlog.filter(|_| self.events.len() < self.limits.events);
        let names = self.names.mdns.poll_timeout().filter(|_| !self.closed);
        [backlog, self.transport.poll_timeout(), names].into_iter().flatten().min()
    }

    /// Closes the connection at once (W3C webrtc-pc §4.4.1.6): channels close, what is queued is dropped, and the peer
    /// is told by what [`poll_transmit`](Self::poll_transmit) still gives.
    pub fn close(&mut self, now: Instant) {
        if self.closed {
            return;
        }
        self.closed = true;
        self.negotiation.close();
        self.transport.close(now);
        self.channels.disconnect(&mut self.events);
        self.settle(now);
    }

    /// Where the exchange of offer and answer stands.
    pub fn signaling_state(&self) -> SignalingState {
        self.negotiation.state()
    }

    /// Whether our candidates are complete.
    pub fn ice_gathering_state(&self) -> GatheringState {
        match self.negotiation.local_credentials() {
            Some(_) => self.transport.ice.gathering_state(),
            // What is in the pool is not told before a description calls for it.
            None => GatheringState::New,
        }
    }

    /// The state of ICE.
    pub fn ice_connection_state(&self) -> IceConnectionState {
        if self.closed { IceConnectionState::Closed } else { self.transport.ice.state() }
    }

    /// The state of DTLS.
    pub fn dtls_state(&self) -> DtlsState {
        self.transport.dtls_state()
    }

    /// The state of the whole, computed from those of its parts.
    pub fn connection_state(&self) -> ConnectionState {
        connection_state(self.closed, self.transport.ice.state(), self.transport.dtls_state())
    }

    /// What was dropped in this layer, by reason.
    pub fn drops(&self) -> &Tally<DropReason> {
        &self.drops
    }

    /// Counters and gauges.
    pub fn statistics(&self) -> Statistics {
        let traffic = self.transport.traffic;
        let (messages_sent, messages_received) = self.channels.messages();
        Statistics {
            datagrams_sent: traffic.datagrams_sent,
            bytes_sent: traffic.bytes_sent,
            datagrams_received: traffic.datagrams_received,
            bytes_received: traffic.bytes_received,
            messages_sent,
            messages_received,
            channels_opened: self.channels.opened,
            channels_closed: self.channels.closed,
            selected_path: self.transport.ice.selected_path(),
            round_trip_time: self.transport.ice.round_trip_time(),
            embedded: self.transport.ice.embedded_datagrams(),
            candidate_pairs: self.transport.ice.candidate_pairs().collect(),
            local_candidates: self.transport.ice.local_candidates().to_vec(),
            remote_candidates: self.transport.ice.remote_candidates().cloned().collect(),
            sctp: self.transport.association.statistics(),
            drops: self.drops.iter().collect(),
        }
    }

    /// The user fragments of which STUN requests to this connection name one.
    pub fn local_ufrags(&self) -> impl Iterator<Item = &str> {
        self.transport.ice.local_ufrags()
    }

    /// What the STUN requests of this connection have in common, and so the responses to them.
    pub fn transaction_tag(&self) -> TransactionTag {
        self.transport.ice.transaction_tag()
    }

    /// How well it is known that the peer is at the other end of `path`; `None` where it is not known at all.
    pub fn standing(&self, path: Path) -> Option<Standing> {
        self.transport.ice.standing(path)
    }

    fn add_address(&mut self, now: Instant, address: LocalAddress) {
        if self.gathering.started {
            address.give_to(&mut self.transport.ice, now);
            self.settle(now);
        } else {
            self.gathering.addresses.push(address);
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Hands the agent what candidates are gathered from, once a local description has a data section.
    pub(crate) fn start_gathering(&mut self, now: Instant) {
        if self.gathering.started {
            return;
        }
        self.gathering.started = true;
        let ice = &mut self.transport.ice;
        self.gathering.addresses.drain(..).for_each(|address| address.give_to(ice, now));
        self.gathering.servers.drain(..).for_each(|server| ice.add_stun_server(now, server));
        if self.gathering.ended {
            ice.end_of_local_addresses(now);
        }
    }

    /// Carries every change through the layers, then tells the states that became others.
    pub(crate) fn settle(&mut self, now: Instant) {
        loop {
            self.take_named(now);
            let ice = self.handle_ice_events();
            self.transport.start(now, &mut self.drops);
            let dtls = self.transport.handle_dtls_events(now);
            // Channels may open with the connection, and are told after it.
            self.tell_states();
            let sctp = self.handle_association_events(now);
            if !(ice || dtls || sctp) {
                break;
            }
        }
        // Where ICE alone has failed a restart can bring them back.
        if matches!(self.transport.dtls_state(), DtlsState::Failed | DtlsState::Closed) {
            self.channels.disconnect(&mut self.events);
        }
        self.tell_states();
    }

    fn handle_ice_events(&mut self) -> bool {
        let mut any = false;
        // Candidates of the pool wait for a description that calls for them.
        if self.negotiation.local_credentials().is_none() && !self.closed {
            return false;
        }
        while let Some(event) = self.transport.ice.poll_event() {
            any = true;
            match event {
                ice::Event::CandidateGathered(candidate) => {
                    self.names.publish(&candidate);
                    if let Some(candidate) = self.describe_candidate(&candidate) {
                        self.events.push_back(Event::IceCandidate(Some(candidate)));
                    }
                }
                ice::Event::GatheringStateChanged(state) => {
                    self.events.push_back(Event::IceGatheringStateChange(state));
                    if state == GatheringState::Complete {
                        self.events.push_back(Event::IceCandidate(None));
                    }
                }
                _ => {}
            }
        }
        any
    }

    fn handle_association_events(&mut self, now: Instant) -> bool {
        let mut any = false;
        self.backlog = None;
        loop {
            if self.events.len() >= self.limits.events {
                self.backlog = Some(now);
                return any;
            }
            let Some(event) = self.transport.association.poll_event() else { return any };
            any = true;
            let (channels, mut context) = self.channels_in(now);
            match event {
                sctp::Event::Connected { outgoing_streams, incoming_streams } => {
                    channels.connect(&mut context, outgoing_streams.min(incoming_streams));
                }
                sctp::Event::Closed(reason) => {
                    tracing::debug!(?reason, "association closed");
                    channels.disconnect(context.events);
                }
                event => channels.handle_event(&mut context, event),
            }
        }
    }

    fn tell_states(&mut self) {
        let now = Told {
            signaling: self.signaling_state(),
            ice: self.ice_connection_state(),
            dtls: self.dtls_state(),
            connection: self.connection_state(),
        };
        let before = std::mem::replace(&mut self.told, now);
        if before.signaling != now.signaling {
            self.events.push_back(Event::SignalingStateChange(now.signaling));
        }
        if before.ice != now.ice {
            self.events.push_back(Event::IceConnectionStateChange(now.ice));
        }
        if before.dtls != now.dtls {
            self.events.push_back(Event::DtlsStateChange(now.dtls));
        }
        if before.connection != now.connection {
            tracing::debug!(from = ?before.connection, to = ?now.connection, "connection state");
            self.events.push_back(Event::ConnectionStateChange(now.connection));
        }
    }
}
