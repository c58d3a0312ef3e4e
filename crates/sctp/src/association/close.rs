//! Ending the association (RFC 9260 §9), and what errors mean.

use std::time::Instant;

use tracing::debug;

use super::transmit::Control;
use super::{Association, Phase, State, Timer};
use crate::packet::{Causes, Chunk, ErrorCause, RawChunk, cause, unknown, write_chunk};
use crate::{CloseReason, DropReason};

/// Greatest time-outs that a shutdown may take (RFC 9260 §9.2).
const SHUTDOWN_GUARD: u32 = 5;

impl Association {
    /// Ends the association after everything that `send` accepted was delivered; the end is [`Event::Closed`]. Once all is
    /// delivered, a peer that still sends has five times the greatest retransmission time-out to finish.
    ///
    /// [`Event::Closed`]: crate::Event::Closed
    pub fn shutdown(&mut self, now: Instant) {
        match &self.state {
            State::Open { phase: Phase::Established, .. } => {
                self.set_phase(Phase::ShutdownPending);
                self.proceed_shutdown(now);
            }
            State::Idle { .. } | State::CookieWait { .. } | State::CookieEchoed { .. } => {
                self.end(CloseReason::Shutdown);
            }
            State::Open { .. } | State::Ended => {}
        }
    }

    /// Ends the association at once; the peer is told `reason` with cause 12 (RFC 9260 §9.1).
    pub fn abort(&mut self, _now: Instant, reason: &str) {
        let end = reason.floor_char_boundary(self.config.limits.max_abort_reason);
        let reason = reason.get(..end).unwrap_or_default();
        self.send_abort(cause::USER_INITIATED_ABORT, reason.as_bytes());
        self.end(CloseReason::Aborted);
    }

    /// The peer broke the protocol.
    pub(super) fn violation(&mut self, what: &'static str) {
        debug!(what, "protocol violation");
        let code = match what {
            "DATA without user data" => cause::NO_USER_DATA,
            _ => cause::PROTOCOL_VIOLATION,
        };
        self.send_abort(code, what.as_bytes());
        self.end(CloseReason::ProtocolViolation(what));
    }

    pub(super) fn handle_abort(&mut self, causes: &Causes<'_>) {
        if matches!(self.state, State::Idle { .. } | State::Ended) {
            return self.drop_for(DropReason::UnexpectedChunk);
        }
        let first = causes.iter().next();
        let text = first.map_or(&[][..], |cause| cause.information);
        let text = text.get(..self.config.limits.max_abort_reason).unwrap_or(text);
        let reason = String::from_utf8_lossy(text).into_owned();
        self.end(CloseReason::PeerAborted { cause: first.map(|cause| cause.code), reason });
    }

    /// ERROR: only the stale cookie has a consequence (RFC 9260 §5.2.6).
    pub(super) fn handle_error(&mut self, causes: &Causes<'_>) {
        // Enough for every cause that means something.
        const MOST: usize = 16;
        for ErrorCause { code, .. } in causes.iter().take(MOST) {
            debug!(code, "the peer reports an error");
            if code == cause::STALE_COOKIE {
                self.handle_stale_cookie();
            }
        }
    }

    /// A chunk of unknown type; its top bits say what to do (RFC 9260 §3.2).
    pub(super) fn handle_unknown(&mut self, raw: RawChunk<'_>) -> bool {
        self.drop_for(DropReason::UnknownChunk);
        let action = unknown(raw.kind);
        if action.report && matches!(self.state, State::Open { .. }) {
            const MOST: usize = 128;
            let value = raw.value.get(..MOST).unwrap_or(raw.value);
            let mut chunk = Vec::new();
            write_chunk(&mut antiphon_util::Writer::new(&mut chunk), raw.kind, raw.flags, value);
            self.reply_error(ErrorCause { code: cause::UNRECOGNIZED_CHUNK, information: &chunk });
        }
        action.skip
    }

    pub(super) fn handle_shutdown(&mut self, cumulative_tsn_ack: u32) {
        let State::Open { block, phase } = &mut self.state else {
            return self.drop_for(DropReason::UnexpectedChunk);
        };
        if block.sender.handle_shutdown(cumulative_tsn_ack).is_err() {
            return self.drop_for(DropReason::InvalidSack);
        }
        match phase {
            Phase::Established | Phase::ShutdownPending => self.set_phase(Phase::ShutdownReceived),
            // Both shut down at once (RFC 9260 §9.2).
            Phase::ShutdownSent => {
                self.outbox.withdraw(Control::Shutdown);
                self.set_phase(Phase::ShutdownAckSent);
                self.outbox.want(Control::ShutdownAck);
            }
            Phase::ShutdownAckSent => self.outbox.want(Control::ShutdownAck),
            Phase::ShutdownReceived => {}
        }
    }

    pub(super) fn handle_shutdown_ack(&mut self, tag: u32) {
        match &self.state {
            State::Open { block, phase: Phase::ShutdownSent | Phase::ShutdownAckSent } => {
                let peer_tag = block.peer.tag;
                self.reply_apart(peer_tag, &Chunk::ShutdownComplete { reflected: false });
                self.end(CloseReason::Shutdown);
            }
            State::CookieWait { .. } | State::CookieEchoed { .. } => {
                self.complete_shutdown_out_of_the_blue(tag)
            }
            State::Idle { .. } | State::Open { .. } | State::Ended => {
                self.drop_for(DropReason::UnexpectedChunk)
            }
        }
    }

    pub(super) fn handle_shutdown_complete(&mut self) {
        if matches!(self.state, State::Open { phase: Phase::ShutdownAckSent, .. }) {
            self.end(CloseReason::Shutdown);
        } else {
            self.drop_for(DropReason::UnexpectedChunk);
        }
    }

    /// Goes on with the shutdown once all data is acknowledged.
    pub(super) fn proceed_shutdown(&mut self, now: Instant) {
        let State::Open { block, phase: phase @ (Phase::ShutdownPending | Phase::ShutdownReceived) } =
            &self.state
        else {
            return;
        };
        if !block.sender.is_idle() || !self.queue.is_empty() {
            return;
        }
        let (next, control) = match phase {
            Phase::ShutdownPending => {
                self.timers.set(Timer::ShutdownGuard, now + SHUTDOWN_GUARD * self.config.timing.rto_max);
                (Phase::ShutdownSent, Control::Shutdown)
            }
            _ => (Phase::ShutdownAckSent, Control::ShutdownAck),
        };
        self.set_phase(next);
        self.outbox.want(control);
    }

    /// T2 expired.
    pub(super) fn shutdown_expired(&mut self) {
        let control = match &self.state {
            State::Open { phase: Phase::ShutdownSent, .. } => Control::Shutdown,
            State::Open { phase: Phase::ShutdownAckSent, .. } => Control::ShutdownAck,
            _ => return,
        };
        self.timers.stop(Timer::Shutdown);
        if let State::Open { block, .. } = &mut self.state {
            block.rto.back_off();
        }
        if self.count_error() {
            self.outbox.want(control);
        }
    }

    /// T5 expired (RFC 9260 §9.2).
    pub(super) fn give_up_shutdown(&mut self) {
        self.send_abort(cause::PROTOCOL_VIOLATION, b"shutdown takes too long");
        self.end(CloseReason::PeerUnreachable);
    }
}
