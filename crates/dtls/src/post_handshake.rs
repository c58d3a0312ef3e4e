//! Messages of 1.3 that we send after the handshake (RFC 9147 §5.8.4), one flight at a time.

use antiphon_util::Writer;

use crate::connection::{Connection, State};
use crate::flight::Repetition;
use crate::message::Kind;
use crate::{ConnectionIdUsage, Version};

/// A message that is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PostHandshake {
    KeyUpdate { is_peer_asked: bool },
    NewConnectionId { ids: Vec<Vec<u8>>, usage: ConnectionIdUsage },
    RequestConnectionId { count: u8 },
}

impl PostHandshake {
    fn kind(&self) -> Kind {
        match self {
            PostHandshake::KeyUpdate { .. } => Kind::KEY_UPDATE,
            PostHandshake::NewConnectionId { .. } => Kind::NEW_CONNECTION_ID,
            PostHandshake::RequestConnectionId { .. } => Kind::REQUEST_CONNECTION_ID,
        }
    }

    fn write(&self, writer: &mut Writer<'_>) {
        match self {
            PostHandshake::KeyUpdate { is_peer_asked } => writer.u8((*is_peer_asked).into()),
            PostHandshake::NewConnectionId { ids, usage } => {
                writer.vec16(|w| ids.iter().for_each(|id| w.vec8(|w| w.bytes(id))));
                writer.u8(usage.code());
            }
            PostHandshake::RequestConnectionId { count } => writer.u8(*count),
        }
    }
}

impl Connection {
    /// Sends `message` as soon as no other flight of ours is under way. Of one kind the last that waits counts.
    pub(crate) fn post(&mut self, message: PostHandshake) {
        if self.core.version != Some(Version::Dtls13) || self.core.next_sequence > u16::MAX.into() {
            return;
        }
        if self.core.flight.is_awaiting() {
            self.core.posts.retain(|waiting| waiting.kind() != message.kind());
            self.core.posts.push_back(message);
            return;
        }
        if matches!(message, PostHandshake::KeyUpdate { .. }) && !self.prepare_key_update() {
            return;
        }
        let sent = self.core.message(message.kind(), |w| message.write(w));
        self.core.flight.begin(Repetition::Timed);
        self.core.flight.push(sent, self.core.write_epoch);
    }

    /// Sends what waited for the end of another flight, if anything.
    pub(crate) fn post_next(&mut self) {
        if !matches!(self.state, State::Connected(_)) {
            return;
        }
        while !self.core.flight.is_awaiting()
            && let Some(message) = self.core.posts.pop_front()
        {
            self.post(message);
        }
    }
}
