//! Ids of a connection of 1.3 that change (RFC 9147 §9).

use crate::HandshakeError;
use crate::connection::{Connection, Event};
use crate::message::Message;
use crate::post_handshake::PostHandshake;
use crate::record::Sealer;

/// When the peer is to use ids that it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionIdUsage {
    /// At once.
    Immediate,
    /// When it likes to, as when it takes another path.
    Spare,
}

impl ConnectionIdUsage {
    pub(crate) fn code(self) -> u8 {
        match self {
            ConnectionIdUsage::Immediate => 0,
            ConnectionIdUsage::Spare => 1,
        }
    }

    fn of_code(code: u8) -> Option<Self> {
        [ConnectionIdUsage::Immediate, ConnectionIdUsage::Spare]
            .into_iter()
            .find(|usage| usage.code() == code)
    }
}

impl Connection {
    /// Gives the peer ids for what it sends us, as many bytes each as the first one has; those given before stay
    /// good, of which the latest [`Limits::connection_ids`](crate::Limits::connection_ids) are remembered. Gives whether the peer is told: not
    /// in 1.2, where no id was agreed for what we receive, and where an id has another length.
    pub fn give_connection_ids(&mut self, ids: Vec<Vec<u8>>, usage: ConnectionIdUsage) -> bool {
        let len = self.core.local_connection_id_len;
        if !self.is_connected_1_3() || len == 0 || ids.is_empty() || ids.iter().any(|id| id.len() != len) {
            return false;
        }
        let limit = self.core.config.limits.connection_ids;
        self.core.local_connection_ids.extend(ids.iter().cloned());
        let surplus = self.core.local_connection_ids.len().saturating_sub(limit);
        self.core.local_connection_ids.drain(..surplus);
        self.post(PostHandshake::NewConnectionId { ids, usage });
        true
    }

    /// Asks the peer for `count` ids to put into what we send, for a path that is to be taken later. Gives whether it is asked: not
    /// in 1.2, and where no id was agreed for what we send.
    pub fn request_connection_ids(&mut self, count: u8) -> bool {
        if !self.is_connected_1_3() || self.core.remote_connection_id.is_empty() {
            return false;
        }
        self.post(PostHandshake::RequestConnectionId { count });
        true
    }

    /// Puts another of the ids that the peer has given into what we send, so that nobody on the way can tell by them that what
    /// comes on a new path belongs to the old one. Gives whether there was one.
    pub fn change_connection_id(&mut self) -> bool {
        let next =
            (!self.core.spare_connection_ids.is_empty()).then(|| self.core.spare_connection_ids.remove(0));
        next.map(|id| self.use_connection_id(id)).is_some()
    }

    fn use_connection_id(&mut self, id: Vec<u8>) {
        if let Some(Sealer::Unified(sealer)) = self.core.writing.sealer_mut() {
            sealer.set_connection_id(&id);
        }
        self.core.remote_connection_id = id;
    }

    /// The peer gives ids for what we send.
    pub(crate) fn handle_new_connection_id(&mut self, message: &Message) -> Result<(), HandshakeError> {
        if self.core.remote_connection_id.is_empty() {
            return Err(HandshakeError::UnexpectedMessage);
        }
        let (ids, usage) = message.read(|reader| {
            let mut list = reader.vec16()?;
            let mut ids = Vec::new();
            while !list.is_empty() {
                ids.push(list.vec8()?.rest().to_vec());
            }
            Ok((ids, reader.u8()?))
        })?;
        let usage = ConnectionIdUsage::of_code(usage).ok_or(HandshakeError::IllegalParameter)?;
        if ids.iter().any(Vec::is_empty) {
            return Err(HandshakeError::IllegalParameter);
        }
        let mut ids = ids.into_iter();
        if usage == ConnectionIdUsage::Immediate {
            self.core.spare_connection_ids.clear();
            self.use_connection_id(ids.next().ok_or(HandshakeError::IllegalParameter)?);
        }
        let limit = self.core.config.limits.connection_ids;
        let room = limit.saturating_sub(self.core.spare_connection_ids.len());
        self.core.spare_connection_ids.extend(ids.take(room));
        Ok(())
    }

    /// The peer asks for ids.
    pub(crate) fn handle_request_connection_id(&mut self, message: &Message) -> Result<(), HandshakeError> {
        let count = message.read(|reader| reader.u8())?;
        if self.core.local_connection_id_len == 0 {
            return Err(HandshakeError::UnexpectedMessage);
        }
        self.tell_once(Event::ConnectionIdsRequested(count));
        Ok(())
    }
}
