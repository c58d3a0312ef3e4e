//! What the handles and the driver of a connection share: one lock, and who waits for what.

use std::collections::{HashMap, VecDeque};
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::Instant;

use antiphon_peer::{ChannelId, ConnectionState, DtlsState, Event as PeerEvent, ReadyState};

use crate::events::{EventQueue, IceCandidateError};

/// A sender waits once this many bytes are queued on its channel ...
pub(crate) const SEND_HIGH_WATER: usize = 1 << 20;

/// ... and goes on when no more than this many are left, so that it is woken once for many messages.
pub(crate) const SEND_LOW_WATER: usize = SEND_HIGH_WATER / 2;

/// Failures of servers that wait for the user.
const MAX_CANDIDATE_ERRORS: usize = 64;

/// The state of a connection behind its lock.
#[derive(Debug)]
pub(crate) struct Shared(Mutex<State>);

/// What the lock guards.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) peer: antiphon_peer::PeerConnection,
    pub(crate) events: EventQueue,
    /// Servers that gave no address; those that come after the first [`MAX_CANDIDATE_ERRORS`] unread ones are traced only.
    pub(crate) candidate_errors: VecDeque<IceCandidateError>,
    /// Tasks that wait for an event.
    pub(crate) event_waiters: Waiters,
    /// Tasks that wait for a state of the connection.
    pub(crate) state_waiters: Waiters,
    /// The channels that have a handle.
    pub(crate) channels: HashMap<ChannelId, ChannelWaiters>,
    /// Channels with senders that wait for room.
    pub(crate) full: Vec<ChannelId>,
    pub(crate) phase: Phase,
    /// Set while the driver sleeps.
    driver: Option<Waker>,
    /// Woken when the lock is given back, so that they don't run into it.
    wakes: Vec<Waker>,
}

/// How far the end of the connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// In use.
    Open,
    /// What was accepted is delivered, nothing more is accepted.
    Draining,
    /// Closed; the driver sends what tells the peer.
    Closing,
    /// The driver is gone.
    Gone,
}

/// Tasks that wait for something of one channel.
#[derive(Debug, Default)]
pub(crate) struct ChannelWaiters {
    pub(crate) readable: Waiters,
    pub(crate) writable: Waiters,
    pub(crate) state: Waiters,
}

impl Shared {
    pub(crate) fn new(peer: antiphon_peer::PeerConnection) -> Self {
        Self(Mutex::new(State {
            peer,
            events: EventQueue::default(),
            candidate_errors: VecDeque::new(),
            event_waiters: Waiters::default(),
            state_waiters: Waiters::default(),
            channels: HashMap::new(),
            full: Vec::new(),
            phase: Phase::Open,
            driver: None,
            wakes: Vec::new(),
        }))
    }

    /// Takes the lock. A panic under it leaves a state that is still safe to close.
    pub(crate) fn lock(&self) -> Guard<'_> {
        Guard(Some(self.0.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl State {
    /// Has the driver look after the connection, if it sleeps.
    pub(crate) fn wake_driver(&mut self) {
        self.wakes.extend(self.driver.take());
    }

    /// Where the driver is woken from its sleep.
    pub(crate) fn set_driver(&mut self, waker: &Waker) {
        if !self.driver.as_ref().is_some_and(|known| known.will_wake(waker)) {
            self.driver = Some(waker.clone());
        }
    }

    /// Tells the user that a server gave no address.
    pub(crate) fn report(&mut self, error: IceCandidateError) {
        if self.candidate_errors.len() < MAX_CANDIDATE_ERRORS {
            self.candidate_errors.push_back(error);
            self.event_waiters.wake(&mut self.wakes);
        }
    }

    /// Takes what the peer has to say: queues events for the user and wakes who waited.
    pub(crate) fn take_events(&mut self, now: Instant) {
        while let Some(event) = self.peer.poll_event() {
            self.take_event(now, event);
        }
        self.wake_senders();
        if self.phase == Phase::Draining && self.peer.is_delivered() {
            self.state_waiters.wake(&mut self.wakes);
        }
    }

    fn take_event(&mut self, now: Instant, event: PeerEvent) {
        match event {
            PeerEvent::ChannelReadable(id) => self.wake_channel(id, |channel| &mut channel.readable),
            PeerEvent::ChannelBufferedAmountLow(id) => self.wake_channel(id, |channel| &mut channel.state),
            PeerEvent::Writable => {
                // The association as a whole has room again.
                for id in std::mem::take(&mut self.full) {
                    self.wake_channel(id, |channel| &mut channel.writable);
                }
            }
            PeerEvent::ChannelOpen(id) | PeerEvent::ChannelClosing(id) | PeerEvent::ChannelClosed(id) => {
                self.wake_whole_channel(id);
            }
            event => {
                let ends = matches!(
                    event,
                    PeerEvent::ConnectionStateChange(ConnectionState::Failed | ConnectionState::Closed)
                        | PeerEvent::DtlsStateChange(DtlsState::Failed | DtlsState::Closed)
                );
                if let Err(PeerEvent::DataChannel(refused)) = self.events.push(event) {
                    tracing::debug!(?refused, "too many events unread, channel refused");
                    self.peer.close_channel(now, refused);
                }
                self.event_waiters.wake(&mut self.wakes);
                self.state_waiters.wake(&mut self.wakes);
                if ends {
                    self.wake_all();
                }
                if self.peer.connection_state() == ConnectionState::Closed && self.phase < Phase::Closing {
                    self.phase = Phase::Closing;
                }
            }
        }
    }

    /// Wakes the senders whose channel has room again.
    fn wake_senders(&mut self) {
        let Self { peer, channels, full, wakes, .. } = self;
        full.retain(|id| {
            let still_full = peer.channel(*id).is_some_and(|channel| {
                channel.ready_state() == ReadyState::Open && peer.buffered_amount(*id) > SEND_LOW_WATER
            });
            if !still_full && let Some(channel) = channels.get_mut(id) {
                channel.writable.wake(wakes);
            }
            still_full
        });
    }

    /// Ends the connection at once, as the W3C's `close()` does.
    pub(crate) fn close(&mut self, now: Instant) {
        if self.phase < Phase::Closing {
            self.phase = Phase::Closing;
            self.peer.close(now);
            self.take_events(now);
            self.wake_all();
            self.wake_driver();
        }
    }

    /// Accepts nothing more; what was accepted is still delivered.
    pub(crate) fn drain(&mut self) {
        if self.phase == Phase::Open {
            self.phase = Phase::Draining;
            for channel in self.channels.values_mut() {
                channel.wake_all(&mut self.wakes);
            }
        }
    }

    /// The driver is gone; nothing more will happen.
    pub(crate) fn driver_gone(&mut self) {
        self.phase = Phase::Gone;
        self.wake_all();
    }

    /// Whether no channel can carry anything any more: closed, or the peer is lost.
    pub(crate) fn is_over(&self) -> bool {
        self.phase >= Phase::Closing
            || matches!(self.peer.dtls_state(), DtlsState::Closed | DtlsState::Failed)
            || self.has_failed()
    }

    /// Whether the peer is lost.
    pub(crate) fn has_failed(&self) -> bool {
        self.peer.connection_state() == ConnectionState::Failed
    }

    fn wake_channel(&mut self, id: ChannelId, waiters: impl FnOnce(&mut ChannelWaiters) -> &mut Waiters) {
        if let Some(channel) = self.channels.get_mut(&id) {
            waiters(channel).wake(&mut self.wakes);
        }
    }

    /// Wakes everyone who waits for anything of channel `id`.
    pub(crate) fn wake_whole_channel(&mut self, id: ChannelId) {
        if let Some(channel) = self.channels.get_mut(&id) {
            channel.wake_all(&mut self.wakes);
        }
    }

    /// The last handle of channel `id` is gone.
    pub(crate) fn forget_channel(&mut self, id: ChannelId) {
        if let Some(mut channel) = self.channels.remove(&id) {
            // Nobody waits any more; what is left over is let go of outside of the lock.
            channel.wake_all(&mut self.wakes);
        }
    }

    fn wake_all(&mut self) {
        self.event_waiters.wake(&mut self.wakes);
        self.state_waiters.wake(&mut self.wakes);
        for channel in self.channels.values_mut() {
            channel.wake_all(&mut self.wakes);
        }
    }
}

impl ChannelWaiters {
    fn wake_all(&mut self, wakes: &mut Vec<Waker>) {
        self.readable.wake(wakes);
        self.writable.wake(wakes);
        self.state.wake(wakes);
    }
}

/// Tasks that wait for the same thing; all are woken at once.
#[derive(Debug, Default)]
pub(crate) struct Waiters(Vec<Waker>);

impl Waiters {
    /// Has the task of `cx` woken the next time.
    pub(crate) fn register(&mut self, cx: &Context<'_>) {
        if !self.0.iter().any(|known| known.will_wake(cx.waker())) {
            self.0.push(cx.waker().clone());
        }
    }

    /// Moves all to `wakes`.
    fn wake(&mut self, wakes: &mut Vec<Waker>) {
        wakes.append(&mut self.0);
    }
}

/// The lock, held. Whoever is to be woken is woken when it has been given back.
#[derive(Debug)]
pub(crate) struct Guard<'a>(Option<MutexGuard<'a, State>>);

impl Deref for Guard<'_> {
    type Target = State;

    #[allow(clippy::expect_used, reason = "invariant: only drop takes the guard out")]
    fn deref(&self) -> &State {
        self.0.as_ref().expect("held until dropped")
    }
}

impl DerefMut for Guard<'_> {
    #[allow(clippy::expect_used, reason = "invariant: only drop takes the guard out")]
    fn deref_mut(&mut self) -> &mut State {
        self.0.as_mut().expect("held until dropped")
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        let Some(mut state) = self.0.take() else { return };
        let wakes = std::mem::take(&mut state.wakes);
        drop(state);
        for waker in wakes {
            waker.wake();
        }
    }
}
