//! New keys for a connection of 1.3 (RFC 8446 §4.6.3, RFC 9147 §8).
//!
//! Ours are in use once the peer has acknowledged our KeyUpdate; the peer's old ones are kept for a while, and at most until it
//! updates again, for what was overtaken.

use std::time::Instant;

use crate::HandshakeError;
use crate::connection::{Connection, State};
use crate::core::Secrets;
use crate::message::Message;
use crate::post_handshake::PostHandshake;
use crate::record::{Opener, Sealer};

impl Connection {
    /// Sends a KeyUpdate, unless one is under way, as soon as no other flight of ours is; `is_peer_asked` to do the same.
    pub(crate) fn begin_key_update(&mut self, is_peer_asked: bool) {
        let State::Connected(session) = &mut self.state else { return };
        let Secrets::Dtls13(secrets) = &mut session.secrets else { return };
        if secrets.next.is_none() {
            self.post(PostHandshake::KeyUpdate { is_peer_asked });
        }
    }

    /// Makes the keys that follow ours; gives whether none were being made.
    pub(crate) fn prepare_key_update(&mut self) -> bool {
        let State::Connected(session) = &mut self.state else { return false };
        let Secrets::Dtls13(secrets) = &mut session.secrets else { return false };
        let is_first = secrets.next.is_none();
        if is_first {
            secrets.next = secrets.ours.update(self.core.config.provider);
        }
        is_first
    }

    /// The peer has our KeyUpdate: what we send from now on is sealed with the new key.
    pub(crate) fn complete_key_update(&mut self) {
        let State::Connected(session) = &mut self.state else { return };
        let Secrets::Dtls13(secrets) = &mut session.secrets else { return };
        let Some(next) = secrets.next.take() else { return };
        let core = &mut self.core;
        let epoch = core.write_epoch + 1;
        let sealer =
            next.sealer(core.config.provider, epoch, core.config.key_lifetime, &core.remote_connection_id);
        // The provider made a key of this kind before.
        if let Some(sealer) = sealer {
            tracing::debug!(epoch, "new keys for what is sent");
            core.writing.install(Sealer::Unified(sealer));
            core.write_epoch = epoch;
            secrets.ours = next;
        }
    }

    /// The peer seals with new keys behind this message, which came in `epoch`.
    pub(crate) fn handle_key_update(
        &mut self,
        now: Instant,
        epoch: u64,
        message: &Message,
    ) -> Result<(), HandshakeError> {
        let is_asked = match message.read(|reader| reader.u8())? {
            0 => false,
            1 => true,
            _ => return Err(HandshakeError::IllegalParameter),
        };
        let State::Connected(session) = &mut self.state else {
            return Err(HandshakeError::UnexpectedMessage);
        };
        let Secrets::Dtls13(secrets) = &mut session.secrets else {
            return Err(HandshakeError::UnexpectedMessage);
        };
        let provider = self.core.config.provider;
        secrets.theirs = secrets.theirs.update(provider).ok_or(HandshakeError::Internal)?;
        let opener = secrets.theirs.opener(provider, epoch + 1).ok_or(HandshakeError::Internal)?;
        self.core.openers.retain(|opener| opener.epoch() == epoch);
        self.core.openers.push(Opener::Unified(opener));
        self.keep_old_keys(now);
        if is_asked {
            self.begin_key_update(false);
        }
        Ok(())
    }
}
