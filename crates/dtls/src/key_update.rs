//! New keys for a connection of 1.3 (RFC 8446 §4.6.3, RFC 9147 §8).
//!
//! Ours are in use once the peer has acknowledged our KeyUpdate; the peer's old ones are kept for a while, and at most until it
//! updates again, for what was overtaken.

use std::time::Instant;

use crate::HandshakeError;
use crate::connection::{Connection, State};
use crate::core::Secrets;
use crate::flight::Repetition;
use crate::message::{Kind, Message};
use crate::record::{Opener, Sealer};

impl Connection {
    /// Sends a KeyUpdate, unless one is under way, as soon as no other flight of ours is; `is_peer_asked` to do the same.
    pub(crate) fn begin_key_update(&mut self, is_peer_asked: bool) {
        let State::Connected(session) = &mut self.state else { return };
        let Secrets::Dtls13(secrets) = &mut session.secrets else { return };
        if secrets.next.is_some() || self.core.next_sequence > u16::MAX.into() {
            return;
        }
        if self.core.flight.is_awaiting() {
            secrets.deferred_update = Some(is_peer_asked);
            return;
        }
        secrets.next = secrets.ours.update(self.core.config.provider);
        let message = self.core.message(Kind::KEY_UPDATE, |w| w.u8(is_peer_asked.into()));
        self.core.flight.begin(Repetition::Timed);
        self.core.flight.push(message, self.core.write_epoch);
    }

    /// Sends the KeyUpdate that waited for the end of another flight, if any.
    pub(crate) fn begin_deferred_key_update(&mut self) {
        let State::Connected(session) = &mut self.state else { return };
        let Secrets::Dtls13(secrets) = &mut session.secrets else { return };
        if let Some(is_peer_asked) = secrets.deferred_update.take() {
            self.begin_key_update(is_peer_asked);
        }
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
