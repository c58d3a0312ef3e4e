//! Data channels of a connection.

use std::time::Instant;

use crate::channels::Context;
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
        let context = self.transport.association.as_mut().map(|association| Context {
            now,
            association,
            events: &mut self.events,
            drops: &mut self.drops,
        });
        let id = self.channels.create(label, init, context)?;
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
        self.transport
            .association
            .as_ref()
            .zip(stream)
            .map_or(0, |(association, stream)| association.buffered_amount(stream))
    }

    /// Whether the peer has acknowledged everything that was accepted from [`send`](Self::send), on all channels.
    pub fn is_delivered(&self) -> bool {
        self.transport.association.as_ref().is_none_or(antiphon_sctp::Association::is_delivered)
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
        let association = self.transport.association.as_mut().ok_or(SendError::NotOpen)?;
        self.channels.send(now, association, id, message)
    }

    /// Receives the next message of a channel. What is not received holds the peer back.
    pub fn receive(&mut self, now: Instant, id: ChannelId) -> Option<Message> {
        let association = self.transport.association.as_mut()?;
        let mut context = Context { now, association, events: &mut self.events, drops: &mut self.drops };
        self.channels.receive(&mut context, id)
    }

    /// Sets the buffered amount in bytes at and below which an event tells so; 0 unless set.
    pub fn set_buffered_amount_low_threshold(&mut self, id: ChannelId, threshold: usize) {
        self.channels.set_low_threshold(self.transport.association.as_mut(), id, threshold);
    }

    /// Closes a channel: what was sent is still delivered, what arrives is not.
    pub fn close_channel(&mut self, now: Instant, id: ChannelId) {
        match &mut self.transport.association {
            Some(association) => {
                let context = Context { now, association, events: &mut self.events, drops: &mut self.drops };
                self.channels.close(context, id);
            }
            None => self.channels.close_unconnected(id, &mut self.events),
        }
        self.settle(now);
    }
}
