//! What happened to a connection, in order, until the user takes it.

use std::collections::VecDeque;
use std::mem::discriminant;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use antiphon_peer::{
    ChannelId, ConnectionState, DtlsState, Event as PeerEvent, IceCandidate, IceConnectionState,
    IceGatheringState, SignalingState,
};
use futures_core::Stream;

use crate::DataChannel;
use crate::connection::Connection;
use crate::shared::{Phase, Shared};

/// Above this many unread events, a state change replaces the older one of its kind.
const COALESCE_ABOVE: usize = 64;

/// More unread events than this are not kept: candidates are in the local description as well, and further channels of
/// the peer are refused.
const MAX_EVENTS: usize = 1_024;

/// Something that happened to a connection: the events of the W3C's `RTCPeerConnection`.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// An offer and answer are needed to put local changes into effect: `negotiationneeded`.
    NegotiationNeeded,
    /// A local candidate to hand to the peer, or the end of candidates: `icecandidate`.
    IceCandidate(Option<IceCandidate>),
    /// A server gave no address: `icecandidateerror`.
    IceCandidateError(IceCandidateError),
    /// `signalingstatechange`.
    SignalingStateChange(SignalingState),
    /// `icegatheringstatechange`.
    IceGatheringStateChange(IceGatheringState),
    /// `iceconnectionstatechange`.
    IceConnectionStateChange(IceConnectionState),
    /// The `statechange` of the `RTCDtlsTransport`; `Closed` where the peer closed the connection.
    DtlsStateChange(DtlsState),
    /// `connectionstatechange`.
    ConnectionStateChange(ConnectionState),
    /// The peer opened a channel: `datachannel`.
    DataChannel(DataChannel),
}

/// Why a server gave no address: the W3C's `RTCPeerConnectionIceErrorEvent`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct IceCandidateError {
    /// The server as the configuration names it.
    pub url: String,
    /// Which of its addresses was asked; `None` where it has none.
    pub server: Option<SocketAddr>,
    /// The code of its answer (300 to 699), or 701 where it could not be reached.
    pub error_code: u16,
    /// For people.
    pub error_text: String,
}

/// The events of a connection as a stream; it ends when the connection is closed and all events are taken.
///
/// It does not keep the connection open. Each event goes to one taker, where there are several.
#[derive(Debug)]
pub struct Events {
    shared: Arc<Shared>,
    connection: Weak<Connection>,
}

impl Events {
    pub(crate) fn new(connection: &Arc<Connection>) -> Self {
        Self { shared: Arc::clone(&connection.shared), connection: Arc::downgrade(connection) }
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        poll_event(&self.shared, || self.connection.upgrade(), cx)
    }
}

/// The next event, with `cx` registered where there is none yet; `None` at the end.
pub(crate) fn poll_event(
    shared: &Shared,
    connection: impl Fn() -> Option<Arc<Connection>>,
    cx: &mut Context<'_>,
) -> Poll<Option<Event>> {
    let mut state = shared.lock();
    if let Some(error) = state.candidate_errors.pop_front() {
        return Poll::Ready(Some(Event::IceCandidateError(error)));
    }
    while let Some(event) = state.events.pop() {
        match event {
            PeerEvent::DataChannel(id) => {
                // Without a connection the last handle is gone and the channel closes with it.
                if let Some(connection) = connection() {
                    let channel = DataChannel::adopt(connection, id, &mut state);
                    return Poll::Ready(Some(Event::DataChannel(channel)));
                }
            }
            other => {
                if let Some(event) = public(other) {
                    return Poll::Ready(Some(event));
                }
            }
        }
    }
    if state.phase == Phase::Gone {
        return Poll::Ready(None);
    }
    state.event_waiters.register(cx);
    Poll::Pending
}

fn public(event: PeerEvent) -> Option<Event> {
    match event {
        PeerEvent::NegotiationNeeded => Some(Event::NegotiationNeeded),
        PeerEvent::IceCandidate(candidate) => Some(Event::IceCandidate(candidate)),
        PeerEvent::SignalingStateChange(state) => Some(Event::SignalingStateChange(state)),
        PeerEvent::IceGatheringStateChange(state) => Some(Event::IceGatheringStateChange(state)),
        PeerEvent::IceConnectionStateChange(state) => Some(Event::IceConnectionStateChange(state)),
        PeerEvent::DtlsStateChange(state) => Some(Event::DtlsStateChange(state)),
        PeerEvent::ConnectionStateChange(state) => Some(Event::ConnectionStateChange(state)),
        _ => None,
    }
}

/// Events that wait for the user, bounded whatever the user does.
#[derive(Debug, Default)]
pub(crate) struct EventQueue(VecDeque<PeerEvent>);

impl EventQueue {
    /// Queues `event`; gives it back where too many are unread.
    pub(crate) fn push(&mut self, event: PeerEvent) -> Result<(), PeerEvent> {
        if self.0.len() >= COALESCE_ABOVE && is_state(&event) {
            let kind = discriminant(&event);
            if let Some(older) = self.0.iter().position(|queued| discriminant(queued) == kind) {
                self.0.remove(older);
            }
        }
        if self.0.len() >= MAX_EVENTS && !is_state(&event) {
            return Err(event);
        }
        self.0.push_back(event);
        Ok(())
    }

    pub(crate) fn pop(&mut self) -> Option<PeerEvent> {
        self.0.pop_front()
    }

    /// Takes the first channel that the peer opened, leaving the other events.
    pub(crate) fn pop_channel(&mut self) -> Option<ChannelId> {
        let at = self.0.iter().position(|event| matches!(event, PeerEvent::DataChannel(_)))?;
        match self.0.remove(at) {
            Some(PeerEvent::DataChannel(id)) => Some(id),
            _ => None,
        }
    }
}

/// Whether only the newest event of this kind matters to one who comes late.
fn is_state(event: &PeerEvent) -> bool {
    matches!(
        event,
        PeerEvent::NegotiationNeeded
            | PeerEvent::SignalingStateChange(_)
            | PeerEvent::IceGatheringStateChange(_)
            | PeerEvent::IceConnectionStateChange(_)
            | PeerEvent::DtlsStateChange(_)
            | PeerEvent::ConnectionStateChange(_)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_coalesce_when_nobody_reads() {
        let mut queue = EventQueue::default();
        for round in 0..10 * MAX_EVENTS {
            let state = if round % 2 == 0 { ConnectionState::Connecting } else { ConnectionState::Connected };
            assert!(queue.push(PeerEvent::ConnectionStateChange(state)).is_ok());
        }
        assert_eq!(queue.0.len(), COALESCE_ABOVE);
        assert!(matches!(queue.0.back(), Some(PeerEvent::ConnectionStateChange(ConnectionState::Connected))));
    }

    #[test]
    fn other_events_stop_at_the_limit_and_states_still_fit() {
        let mut queue = EventQueue::default();
        for _ in 0..MAX_EVENTS {
            assert!(queue.push(PeerEvent::IceCandidate(None)).is_ok());
        }
        for _ in 0..10 * MAX_EVENTS {
            assert!(queue.push(PeerEvent::IceCandidate(None)).is_err());
            assert!(queue.push(PeerEvent::NegotiationNeeded).is_ok());
        }
        assert_eq!(queue.0.len(), MAX_EVENTS + 1);
    }
}
