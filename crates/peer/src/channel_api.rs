//! Data channels of a connection.

use std::time::Instant;

use crate::channels::{Channels, Context};
use crate::{
    Channel, ChannelId, CreateDataChannelError, DataChannelInit, Message, PeerConnection, ReadyState,
    SendError,
};

impl PeerConnection {
    /// Makes a data channel, which opens as soon as the connection is up. The first one calls for an offer.
    ///
    /// # Errors
    /// Where the connection is closed, or the parameters are out of their range.
    pub fn create_data_channel(
        &mut self,
        now: Instant,
        label: &str,
        init: DataChannelInit,
    ) -> Result<ChannelId, CreateDataChannelError> {
        if self.is_closed() {
            return Err(CreateDataChannelError::Closed);
        }
        let (channels, context) = self.channels_in(now);
        let id = channels.create(label, init, context)?;
        self.negotiation.want_data();
        self.settle(now);
        self.update_negotiation_needed();
        Ok(id)
    }

    /// A channel, until it is closed for good.
    pub fn channel(&self, id: ChannelId) -> Option<&Channel> {
        self.channels.get(id)
    }

    /// The channels that are not closed for good.
    pub fn channel_ids(&self) -> impl Iterator<Item = ChannelId> + '_ {
        self.channels.ids()
    }

    /// How far a channel is; one that is gone is closed.
    pub fn ready_state(&self, id: ChannelId) -> ReadyState {
        self.channels.get(id).map_or(ReadyState::Closed, Channel::ready_state)
    }

    /// Bytes accepted from [`send`](Self::send) that have not gone out yet.
    pub fn buffered_amount(&self, id: ChannelId) -> usize {
        let stream = self.channels.get(id).and_then(|channel| channel.stream);
        stream.map_or(0, |stream| self.transport.association.buffered_amount(stream))
    }

    /// Whether the peer has acknowledged everything that was accepted from [`send`](Self::send), on all channels.
    pub fn is_delivered(&self) -> bool {
        self.transport.association.is_delivered()
    }

    /// The size in bytes of the largest message that can be sent, once the peer has told it.
    pub fn max_message_size(&self) -> Option<usize> {
        let (_, data) = self.negotiation.agreed_remote()?;
        Some(self.transport.max_outgoing_message(data.max_message_size))
    }

    /// Sends a message. A clone of it is cheap, should it have to be sent again.
    ///
    /// # Errors
    /// Where the channel is not open, the message too large, or too much is waiting already.
    pub fn send(&mut self, now: Instant, id: ChannelId, message: Message) -> Result<(), SendError> {
        self.channels.send(now, &mut self.transport.association, id, message)
    }

    /// Receives the next message of a channel. What is not received holds the peer back.
    pub fn receive(&mut self, now: Instant, id: ChannelId) -> Option<Message> {
        let (channels, mut context) = self.channels_in(now);
        channels.receive(&mut context, id)
    }

    /// Sets the buffered amount in bytes at and below which an event tells so; 0 unless set.
    pub fn set_buffered_amount_low_threshold(&mut self, id: ChannelId, threshold: usize) {
        self.channels.set_low_threshold(&mut self.transport.association, id, threshold);
    }

    /// Closes a channel: what was sent is still delivered, what arrives is not.
    pub fn close_channel(&mut self, now: Instant, id: ChannelId) {
        let (channels, context) = self.channels_in(now);
        channels.close(context, id);
        self.settle(now);
    }

    /// The channels, and what they work with.
    pub(crate) fn channels_in(&mut self, now: Instant) -> (&mut Channels, Context<'_>) {
        let Self { channels, transport, events, drops, .. } = self;
        (channels, Context { now, association: &mut transport.association, events, drops })
    }
}
