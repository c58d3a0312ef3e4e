//! The handle of a data channel.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use antiphon_peer::{Channel, ChannelId, Message, Priority, ReadyState};
use tokio::task::coop::poll_proceed;

use crate::DataChannelStream;
use crate::clock::now;
use crate::connection::Connection;
use crate::error::{RecvError, SendError};
use crate::shared::{ChannelWaiters, Guard, Phase, SEND_HIGH_WATER, State};

/// A data channel: the W3C's `RTCDataChannel`.
///
/// A clone is another handle of the same channel. When the last one is dropped, the channel closes: what was sent is
/// still delivered, what was not received is discarded. A handle keeps the connection open.
///
/// Messages that are not received hold the peer back, on all channels of the connection: they share one receive window.
///
/// Every `async` method may be cancelled (its future dropped) at any time: a message is either received by the caller
/// or still there, and either accepted or not.
#[derive(Debug, Clone)]
pub struct DataChannel {
    handle: Arc<Handle>,
}

#[derive(Debug)]
struct Handle {
    connection: Arc<Connection>,
    channel: ChannelId,
    label: String,
    protocol: String,
    ordered: bool,
    priority: Priority,
}

impl Drop for Handle {
    fn drop(&mut self) {
        let mut state = self.connection.shared.lock();
        state.forget_channel(self.channel);
        let now = now();
        state.peer.close_channel(now, self.channel);
        state.take_events(now);
        state.wake_driver();
    }
}

impl DataChannel {
    /// A handle of `channel`, which has none yet.
    pub(crate) fn adopt(connection: Arc<Connection>, channel: ChannelId, state: &mut State) -> Self {
        state.channels.insert(channel, ChannelWaiters::default());
        let (label, protocol, ordered, priority) = match state.peer.channel(channel) {
            Some(known) => {
                (known.label().to_owned(), known.protocol().to_owned(), known.ordered(), known.priority())
            }
            None => (String::new(), String::new(), true, Priority::default()),
        };
        Self { handle: Arc::new(Handle { connection, channel, label, protocol, ordered, priority }) }
    }

    /// The name that its creator gave it.
    pub fn label(&self) -> &str {
        &self.handle.label
    }

    /// The subprotocol that its creator named; often empty.
    pub fn protocol(&self) -> &str {
        &self.handle.protocol
    }

    /// Whether messages arrive in the order in which they were sent.
    pub fn ordered(&self) -> bool {
        self.handle.ordered
    }

    /// How it stands to the other channels of the connection.
    pub fn priority(&self) -> Priority {
        self.handle.priority
    }

    /// Its stream id, once that is settled.
    pub fn id(&self) -> Option<u16> {
        self.lock().peer.channel(self.handle.channel).and_then(|channel| channel.id())
    }

    /// Where it stands between connecting and closed.
    pub fn ready_state(&self) -> ReadyState {
        self.state_in(&self.lock())
    }

    /// Bytes of payload that were accepted and not yet handed to the network.
    pub fn buffered_amount(&self) -> usize {
        self.lock().peer.buffered_amount(self.handle.channel)
    }

    /// The amount at which [`DataChannel::buffered_amount_low`] resolves; 0 at first.
    pub fn buffered_amount_low_threshold(&self) -> usize {
        self.lock().peer.channel(self.handle.channel).map_or(0, Channel::buffered_amount_low_threshold)
    }

    /// Sets the amount at which [`DataChannel::buffered_amount_low`] resolves.
    pub fn set_buffered_amount_low_threshold(&self, threshold: usize) {
        let mut state = self.lock();
        state.peer.set_buffered_amount_low_threshold(self.handle.channel, threshold);
        state.wake_whole_channel(self.handle.channel);
    }

    /// Waits until no more than the threshold is buffered; at once where that is so already.
    ///
    /// # Errors
    /// Where the channel is closed or the connection has failed.
    pub async fn buffered_amount_low(&self) -> Result<(), SendError> {
        poll_fn(|cx| {
            let mut state = self.lock();
            let threshold =
                state.peer.channel(self.handle.channel).map_or(0, Channel::buffered_amount_low_threshold);
            let low = state.peer.buffered_amount(self.handle.channel) <= threshold;
            if let Some(error) = self.send_error(&state).filter(|error| *error != SendError::NotOpen) {
                return Poll::Ready(Err(error));
            }
            if low {
                return Poll::Ready(Ok(()));
            }
            self.waiters(&mut state, |waiters| waiters.state.register(cx));
            Poll::Pending
        })
        .await
    }

    /// Waits until the channel is open.
    ///
    /// # Errors
    /// Where it is closed or the connection has failed.
    pub async fn opened(&self) -> Result<(), SendError> {
        poll_fn(|cx| {
            let mut state = self.lock();
            match self.send_error(&state) {
                None => Poll::Ready(Ok(())),
                Some(SendError::NotOpen) => {
                    self.waiters(&mut state, |waiters| waiters.state.register(cx));
                    Poll::Pending
                }
                Some(error) => Poll::Ready(Err(error)),
            }
        })
        .await
    }

    /// Sends a message: waits until the channel is open and, while much is buffered, until there is room. A message that
    /// is accepted is on its way; a dropped future has sent nothing.
    ///
    /// # Errors
    /// Where the channel is closed, the connection has failed, or the message is larger than the peer accepts.
    pub async fn send(&self, message: impl Into<Message>) -> Result<(), SendError> {
        let mut message = Some(message.into());
        poll_fn(|cx| self.poll_send(cx, &mut message)).await
    }

    /// Sends a message if the channel is open and has room, and never waits.
    ///
    /// # Errors
    /// As [`DataChannel::send`], and [`SendError::NotOpen`] or [`SendError::Full`] where that one would wait.
    pub fn try_send(&self, message: impl Into<Message>) -> Result<(), SendError> {
        let mut state = self.lock();
        self.send_now(&mut state, &mut Some(message.into()))
    }

    /// The next message.
    ///
    /// # Errors
    /// Where the channel is closed and every message was received, or the connection has failed.
    pub async fn recv(&self) -> Result<Message, RecvError> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// The next message, if it has arrived; registers the task of `cx` where it has not.
    ///
    /// # Errors
    /// As [`DataChannel::recv`].
    pub fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<Result<Message, RecvError>> {
        let coop = ready!(poll_proceed(cx));
        let mut state = self.lock();
        if let Some(message) = state.peer.receive(now(), self.handle.channel) {
            // The receive window has grown; the driver tells the peer.
            state.wake_driver();
            coop.made_progress();
            return Poll::Ready(Ok(message));
        }
        let failed = state.has_failed();
        if failed || state.is_over() || self.state_in(&state) == ReadyState::Closed {
            return Poll::Ready(Err(if failed { RecvError::Failed } else { RecvError::Closed }));
        }
        self.waiters(&mut state, |waiters| waiters.readable.register(cx));
        Poll::Pending
    }

    /// Takes the message out of `message` and sends it, or registers the task of `cx` where that has to wait.
    ///
    /// # Errors
    /// As [`DataChannel::send`].
    pub fn poll_send(
        &self,
        cx: &mut Context<'_>,
        message: &mut Option<Message>,
    ) -> Poll<Result<(), SendError>> {
        let coop = ready!(poll_proceed(cx));
        let mut state = self.lock();
        match self.send_now(&mut state, message) {
            Err(SendError::NotOpen | SendError::Full) => {
                self.wait_for_room(&mut state, cx);
                Poll::Pending
            }
            outcome => {
                coop.made_progress();
                Poll::Ready(outcome)
            }
        }
    }

    /// The channel as a byte stream, without message boundaries.
    pub fn into_stream(self) -> DataChannelStream {
        DataChannelStream::new(self)
    }

    /// Closes the channel, here and at the peer; what was sent before is still delivered. Idempotent.
    pub fn close(&self) {
        let mut state = self.lock();
        let now = now();
        state.peer.close_channel(now, self.handle.channel);
        state.take_events(now);
        state.wake_whole_channel(self.handle.channel);
        state.wake_driver();
    }

    /// Waits until the channel is closed, or lost with its connection.
    pub async fn closed(&self) {
        poll_fn(|cx| self.poll_closed(cx)).await;
    }

    /// Ready when a message can be sent, or never can.
    pub(crate) fn poll_writable(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        match self.send_error(&state) {
            Some(SendError::NotOpen) => {}
            None if self.is_full(&state) => {}
            _ => return Poll::Ready(()),
        }
        self.wait_for_room(&mut state, cx);
        Poll::Pending
    }

    pub(crate) fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if state.is_over() || self.state_in(&state) == ReadyState::Closed {
            return Poll::Ready(());
        }
        self.waiters(&mut state, |waiters| waiters.state.register(cx));
        Poll::Pending
    }

    /// Registers the task of `cx` for when there is room to send.
    fn wait_for_room(&self, state: &mut Guard<'_>, cx: &Context<'_>) {
        if !state.full.contains(&self.handle.channel) {
            state.full.push(self.handle.channel);
        }
        self.waiters(state, |waiters| waiters.writable.register(cx));
    }

    fn send_now(&self, state: &mut Guard<'_>, message: &mut Option<Message>) -> Result<(), SendError> {
        if let Some(error) = self.send_error(state) {
            return Err(error);
        }
        if self.is_full(state) {
            return Err(SendError::Full);
        }
        // Cloning copies no bytes, and leaves the message where it is not accepted.
        let Some(accepted) = message.clone() else { return Ok(()) };
        state.peer.send(now(), self.handle.channel, accepted)?;
        *message = None;
        state.wake_driver();
        Ok(())
    }

    fn is_full(&self, state: &State) -> bool {
        state.peer.buffered_amount(self.handle.channel) >= SEND_HIGH_WATER
    }

    /// Why nothing can be sent now, if that is so.
    fn send_error(&self, state: &State) -> Option<SendError> {
        if state.has_failed() {
            return Some(SendError::Failed);
        }
        match self.state_in(state) {
            _ if state.phase != Phase::Open => Some(SendError::Closed),
            ReadyState::Connecting => Some(SendError::NotOpen),
            ReadyState::Open => None,
            ReadyState::Closing | ReadyState::Closed => Some(SendError::Closed),
        }
    }

    fn state_in(&self, state: &State) -> ReadyState {
        state.peer.channel(self.handle.channel).map_or(ReadyState::Closed, |channel| channel.ready_state())
    }

    fn waiters(&self, state: &mut State, act: impl FnOnce(&mut ChannelWaiters)) {
        if let Some(waiters) = state.channels.get_mut(&self.handle.channel) {
            act(waiters);
        }
    }

    fn lock(&self) -> Guard<'_> {
        self.handle.connection.shared.lock()
    }
}
