//! The handle of a connection.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use antiphon_peer::{
    AddIceCandidateError, ConnectionState, CreateDataChannelError, CreateDescriptionError, DataChannelInit,
    DtlsState, IceCandidate, IceConnectionState, IceGatheringState, IceTransportPolicy, OfferOptions,
    SessionDescription, SetDescriptionError, SignalingState, Statistics,
};

use crate::DataChannel;
use crate::clock::now;
use crate::configuration::{Builder, Configuration};
use crate::driver::{Driver, Resolution};
use crate::endpoint::{Attachment, Endpoint};
use crate::error::{ConfigurationError, ConnectionError, ShutdownError};
use crate::events::{Event, Events, poll_event};
use crate::ice_server::{Servers, resolve_all};
use crate::multicast::Multicast;
use crate::own_sockets::OwnSockets;
use crate::shared::{Guard, Phase, Shared};
use crate::turn::Relays;

/// A WebRTC peer connection: the W3C's `RTCPeerConnection`.
///
/// A clone is another handle of the same connection. Handles of its data channels count as well: when the last of them
/// all is dropped, the connection closes and the peer is told.
///
/// Every `async` method may be cancelled (its future dropped) at any time without losing an event or message.
#[derive(Debug, Clone)]
pub struct PeerConnection {
    connection: Arc<Connection>,
}

/// What every handle holds; its drop is the end of the connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) shared: Arc<Shared>,
    shutdown_timeout: Duration,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.shared.lock().close(now());
    }
}

impl PeerConnection {
    /// Binds the sockets and starts the connection's task on the current tokio runtime.
    ///
    /// # Errors
    /// Where a server's URL is not usable, or no socket can be bound.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O and time enabled.
    pub async fn new(configuration: Configuration) -> Result<Self, ConfigurationError> {
        let mut servers = Servers::parse(&configuration.ice_servers)?;
        let relayed_only = configuration.ice.transport_policy == IceTransportPolicy::Relay;
        let mut own = if relayed_only { OwnSockets::default() } else { OwnSockets::bind(&configuration)? };
        let now = now();
        let mut peer = new_peer(now, &configuration)?;
        own.tell(now, &mut peer);
        let mut attachments = Vec::new();
        let multicast = match &configuration.endpoint {
            _ if relayed_only => Multicast::never(),
            Some(endpoint) if own.readers.is_empty() => Multicast::new(Arc::clone(&endpoint.inner.multicast)),
            _ => Multicast::new(Arc::default()),
        };
        if let Some(endpoint) = configuration.endpoint.filter(|_| !relayed_only) {
            if configuration.ice_servers.is_empty() {
                servers.stun.clone_from(&endpoint.inner.stun_servers);
            }
            attachments.push(Attachment::new(now, endpoint.inner, &mut peer));
        }
        if configuration.network.tcp.passive && !relayed_only {
            let tcp = Endpoint::of_tcp(&configuration.network, own.locals()).inner;
            own.share_with(Arc::clone(&tcp));
            attachments.push(Attachment::new(now, tcp, &mut peer));
        }
        let stun = if relayed_only { Vec::new() } else { servers.stun };
        let resolution: Option<Resolution> =
            if stun.is_empty() { None } else { Some(Box::pin(resolve_all(stun))) };
        if resolution.is_none() && servers.turn.is_empty() {
            peer.end_of_local_addresses(now);
        }
        let shared = Arc::new(Shared::new(peer));
        let relays = (!servers.turn.is_empty())
            .then(|| Relays::start(&shared, servers.turn, &configuration.tls_roots, relayed_only));
        tokio::spawn(Driver::new(Arc::clone(&shared), own, attachments, multicast, resolution, relays));
        let connection = Connection { shared, shutdown_timeout: configuration.shutdown_timeout };
        Ok(Self { connection: Arc::new(connection) })
    }

    /// Sets a connection up step by step.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Makes an offer of what the connection has; nothing changes before it is set as local description.
    ///
    /// # Errors
    /// Where the connection is closed.
    pub async fn create_offer(&self) -> Result<SessionDescription, CreateDescriptionError> {
        self.create_offer_with(OfferOptions::default()).await
    }

    /// Makes an offer as [`create_offer`](Self::create_offer) does, with options.
    ///
    /// # Errors
    /// Where the connection is closed.
    pub async fn create_offer_with(
        &self,
        options: OfferOptions,
    ) -> Result<SessionDescription, CreateDescriptionError> {
        self.command(|state| state.peer.create_offer_with(options))
    }

    /// Asks for a restart of ICE, which the next offer proposes: [`Event::NegotiationNeeded`] follows. A restart finds another
    /// path while traffic goes on over the present one, and brings a connection back that has failed, with its channels.
    /// Without effect before the first negotiation and after the end.
    pub fn restart_ice(&self) {
        self.command(|state| state.peer.restart_ice());
    }

    /// Makes the answer to the peer's offer; nothing changes before it is set as local description.
    ///
    /// # Errors
    /// Where there is no offer of the peer, or the connection is closed.
    pub async fn create_answer(&self) -> Result<SessionDescription, CreateDescriptionError> {
        self.command(|state| state.peer.create_answer())
    }

    /// Sets the local description and starts gathering; `None` makes the offer or answer that the signalling state
    /// calls for.
    ///
    /// # Errors
    /// Where the description is not what was created, or does not fit the signalling state; nothing has changed then.
    pub async fn set_local_description(
        &self,
        description: impl Into<Option<SessionDescription>>,
    ) -> Result<(), SetDescriptionError> {
        let description = description.into();
        self.command(|state| state.peer.set_local_description(now(), description))
    }

    /// Sets the peer's description.
    ///
    /// # Errors
    /// Where it is malformed or does not fit the signalling state; nothing has changed then.
    pub async fn set_remote_description(
        &self,
        description: SessionDescription,
    ) -> Result<(), SetDescriptionError> {
        self.command(|state| state.peer.set_remote_description(now(), description))
    }

    /// Adds a candidate of the peer; `None`, or an empty one, says that no more will come.
    ///
    /// # Errors
    /// Where it is malformed or belongs to no section of the remote description; nothing has changed then.
    pub async fn add_ice_candidate(
        &self,
        candidate: impl Into<Option<IceCandidate>>,
    ) -> Result<(), AddIceCandidateError> {
        let candidate = candidate.into();
        self.command(|state| state.peer.add_ice_candidate(now(), candidate))
    }

    /// Makes a channel. It opens once the connection is established; dropping its last handle closes it.
    ///
    /// # Errors
    /// Where the options contradict each other, the id is taken or out of range, or the connection is closed.
    pub fn create_data_channel(
        &self,
        label: &str,
        init: DataChannelInit,
    ) -> Result<DataChannel, CreateDataChannelError> {
        let mut state = self.lock();
        let now = now();
        let id = state.peer.create_data_channel(now, label, init)?;
        state.take_events(now);
        state.wake_driver();
        Ok(DataChannel::adopt(Arc::clone(&self.connection), id, &mut state))
    }

    /// The next channel that the peer opens. Other events stay for [`PeerConnection::next_event`].
    ///
    /// # Errors
    /// Where the connection is closed or has failed.
    pub async fn accept_data_channel(&self) -> Result<DataChannel, ConnectionError> {
        poll_fn(|cx| {
            let mut state = self.lock();
            if let Some(id) = state.events.pop_channel() {
                return Poll::Ready(Ok(DataChannel::adopt(Arc::clone(&self.connection), id, &mut state)));
            }
            if state.is_over() {
                return Poll::Ready(Err(end_of(&state)));
            }
            state.event_waiters.register(cx);
            Poll::Pending
        })
        .await
    }

    /// The next event; `None` when the connection is closed and all events are taken. Each event goes to one taker.
    ///
    /// Who does not read events loses none that matters: of unread state changes the newest is kept.
    pub async fn next_event(&self) -> Option<Event> {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    /// The events as a stream, which does not keep the connection open.
    pub fn events(&self) -> Events {
        Events::new(&self.connection)
    }

    /// Waits until the connection is established.
    ///
    /// # Errors
    /// Where it fails or is closed.
    pub async fn connected(&self) -> Result<(), ConnectionError> {
        self.wait(|state| (state.peer.connection_state() == ConnectionState::Connected).then_some(())).await
    }

    /// Waits until all local candidates are gathered and stand in the local description; it may be called before
    /// gathering begins.
    ///
    /// # Errors
    /// Where the connection fails or is closed.
    pub async fn gathering_complete(&self) -> Result<(), ConnectionError> {
        self.wait(|state| (state.peer.ice_gathering_state() == IceGatheringState::Complete).then_some(()))
            .await
    }

    /// Waits until the connection is closed and its resources are free.
    pub async fn closed(&self) {
        poll_fn(|cx| {
            let mut state = self.lock();
            if state.phase == Phase::Gone {
                return Poll::Ready(());
            }
            state.state_waiters.register(cx);
            Poll::Pending
        })
        .await;
    }

    /// Waits until nothing can be exchanged any more, and gives the reason: closed by either side, or failed. Where the
    /// peer ended it, the connection still has to be closed or dropped to free its resources.
    pub async fn ended(&self) -> ConnectionError {
        poll_fn(|cx| {
            let mut state = self.lock();
            if state.is_over() {
                return Poll::Ready(end_of(&state));
            }
            state.state_waiters.register(cx);
            Poll::Pending
        })
        .await
    }

    /// Closes at once, as the W3C's `close()`: the peer is told, what was not yet sent is lost. Idempotent.
    pub fn close(&self) {
        self.lock().close(now());
    }

    /// Delivers what `send` accepted, then closes; nothing more is accepted from now on. Idempotent. Where its future is
    /// dropped, delivery goes on until [`PeerConnection::close`].
    ///
    /// # Errors
    /// Where not everything was delivered: the connection was closed, has failed, or
    /// [`Configuration::shutdown_timeout`] is over. It is closed in any case.
    pub async fn shutdown(&self) -> Result<(), ShutdownError> {
        {
            let mut state = self.lock();
            state.drain();
        }
        let delivered = tokio::time::timeout(self.connection.shutdown_timeout, self.delivered()).await;
        self.close();
        self.closed().await;
        delivered.unwrap_or(Err(ShutdownError::TimedOut))
    }

    /// The local description: the pending one where there is one, with the candidates gathered so far.
    pub fn local_description(&self) -> Option<SessionDescription> {
        self.lock().peer.local_description()
    }

    /// The local description that the last negotiation settled on.
    pub fn current_local_description(&self) -> Option<SessionDescription> {
        self.lock().peer.current_local_description()
    }

    /// The local description under negotiation.
    pub fn pending_local_description(&self) -> Option<SessionDescription> {
        self.lock().peer.pending_local_description()
    }

    /// The peer's description: the pending one where there is one.
    pub fn remote_description(&self) -> Option<SessionDescription> {
        self.lock().peer.remote_description()
    }

    /// The peer's description that the last negotiation settled on.
    pub fn current_remote_description(&self) -> Option<SessionDescription> {
        self.lock().peer.current_remote_description()
    }

    /// The peer's description under negotiation.
    pub fn pending_remote_description(&self) -> Option<SessionDescription> {
        self.lock().peer.pending_remote_description()
    }

    /// Where offer and answer stand.
    pub fn signaling_state(&self) -> SignalingState {
        self.lock().peer.signaling_state()
    }

    /// How far candidates are gathered.
    pub fn ice_gathering_state(&self) -> IceGatheringState {
        self.lock().peer.ice_gathering_state()
    }

    /// How ICE stands.
    pub fn ice_connection_state(&self) -> IceConnectionState {
        self.lock().peer.ice_connection_state()
    }

    /// How the connection stands as a whole.
    pub fn connection_state(&self) -> ConnectionState {
        self.lock().peer.connection_state()
    }

    /// How the DTLS transport stands (`RTCDtlsTransport.state`).
    pub fn dtls_state(&self) -> DtlsState {
        self.lock().peer.dtls_state()
    }

    /// The longest message that can be sent, in bytes (`RTCSctpTransport.maxMessageSize`); `None` before it is negotiated.
    pub fn max_message_size(&self) -> Option<usize> {
        self.lock().peer.max_message_size()
    }

    /// Counters and gauges of the connection.
    pub fn statistics(&self) -> Statistics {
        self.lock().peer.statistics()
    }

    fn poll_event(&self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        poll_event(&self.connection.shared, || Some(Arc::clone(&self.connection)), cx)
    }

    fn lock(&self) -> Guard<'_> {
        self.connection.shared.lock()
    }

    /// Runs a command under the lock and sees to what it caused.
    fn command<T>(&self, command: impl FnOnce(&mut Guard<'_>) -> T) -> T {
        let mut state = self.lock();
        let outcome = command(&mut state);
        state.take_events(now());
        state.wake_driver();
        outcome
    }

    /// Waits until nothing that was accepted is left to deliver.
    async fn delivered(&self) -> Result<(), ShutdownError> {
        poll_fn(|cx| {
            let mut state = self.lock();
            if state.has_failed() {
                return Poll::Ready(Err(ShutdownError::Failed));
            }
            if state.is_over() {
                return Poll::Ready(Err(ShutdownError::Closed));
            }
            if state.peer.is_delivered() {
                return Poll::Ready(Ok(()));
            }
            state.state_waiters.register(cx);
            Poll::Pending
        })
        .await
    }

    async fn wait<T>(&self, reached: impl Fn(&Guard<'_>) -> Option<T>) -> Result<T, ConnectionError> {
        poll_fn(|cx| {
            let mut state = self.lock();
            if let Some(value) = reached(&state) {
                return Poll::Ready(Ok(value));
            }
            if state.is_over() {
                return Poll::Ready(Err(end_of(&state)));
            }
            state.state_waiters.register(cx);
            Poll::Pending
        })
        .await
    }
}

fn new_peer(
    now: Instant,
    configuration: &Configuration,
) -> Result<antiphon_peer::PeerConnection, ConfigurationError> {
    let mut ice = configuration.ice.clone();
    if let Some(endpoint) = &configuration.endpoint {
        ice.budget = endpoint.inner.check_budget.clone();
    }
    let peer = antiphon_peer::Configuration {
        certificate: configuration.certificate.clone(),
        limits: configuration.limits.clone(),
        consent: configuration.consent,
        ice,
        congestion: configuration.congestion,
        provider: antiphon_peer::Provider::default(),
    };
    let seed = peer.provider.random_seed();
    Ok(antiphon_peer::PeerConnection::new(now, peer, seed)?)
}

fn end_of(state: &Guard<'_>) -> ConnectionError {
    if state.has_failed() { ConnectionError::Failed } else { ConnectionError::Closed }
}
