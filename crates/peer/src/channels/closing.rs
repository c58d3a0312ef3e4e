//! How channels close: each direction by a stream reset (RFC 8831 §6.7, RFC 6525).

use antiphon_sctp::StreamId;

use super::{Channels, Context, discard, read};
use crate::channel::{Closing, OwnReset, State};
use crate::{ChannelId, Event};

impl Channels {
    /// Closes a channel.
    pub(crate) fn close(&mut self, mut context: Context<'_>, id: ChannelId) {
        if !self.connected {
            return self.remove(id, context.events);
        }
        let Some(channel) = self.channels.get_mut(&id) else { return };
        let closing = match channel.state {
            State::Open { .. } => Closing::by_us(),
            State::Closing(closing) if !closing.discards => Closing { discards: true, ..closing },
            State::Closing(_) => return,
            State::Connecting | State::Closed => return self.remove(id, context.events),
        };
        channel.state = State::Closing(closing);
        channel.ahead = None;
        if !closing.peers_done {
            discard(channel, &mut context);
        }
        self.release(&mut context, id);
    }

    pub(super) fn handle_incoming_reset(&mut self, context: &mut Context<'_>, stream: StreamId) {
        let Some(id) = self.by_stream.get(&stream).copied() else { return };
        let Some(channel) = self.channels.get_mut(&id) else { return };
        match channel.state {
            State::Open { .. } => {
                channel.state = State::Closing(Closing::by_peer());
                if channel.ahead.is_none() {
                    channel.ahead = read(channel, context);
                }
                context.events.push_back(Event::ChannelClosing(id));
            }
            State::Closing(closing) => {
                let next_closed = closing.peers_done;
                channel.state = State::Closing(Closing { peers_done: true, next_closed, ..closing });
            }
            State::Connecting | State::Closed => {}
        }
        self.release(context, id);
    }

    pub(super) fn handle_outgoing_reset(&mut self, context: &mut Context<'_>, stream: StreamId) {
        let Some(id) = self.by_stream.get(&stream).copied() else { return };
        if let Some(channel) = self.channels.get_mut(&id)
            && let State::Closing(closing) = channel.state
        {
            channel.state = State::Closing(Closing { ours: OwnReset::Done, ..closing });
            self.release(context, id);
        }
    }

    /// Takes the next step of closing that can be taken.
    pub(super) fn release(&mut self, context: &mut Context<'_>, id: ChannelId) {
        let Some(channel) = self.channels.get_mut(&id) else { return };
        let (State::Closing(closing), Some(stream)) = (channel.state, channel.stream) else { return };
        match closing.ours {
            OwnReset::Held => {
                if !closing.discards && channel.ahead.is_none() {
                    channel.ahead = read(channel, context);
                }
                if channel.ahead.is_some() {
                    return;
                }
                channel.state = State::Closing(Closing { ours: OwnReset::Requested, ..closing });
                if context.association.reset_streams(context.now, &[stream]).is_err() {
                    self.retired.insert(stream);
                    self.remove(id, context.events);
                }
            }
            OwnReset::Done if closing.peers_done => {
                self.remove(id, context.events);
                // The peer may have opened the next channel on it already.
                self.accept(context, stream);
                if closing.next_closed {
                    self.handle_incoming_reset(context, stream);
                }
            }
            OwnReset::Requested | OwnReset::Done => {}
        }
    }
}
