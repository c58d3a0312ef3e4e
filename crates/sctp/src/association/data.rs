//! Data, acknowledgements and time-outs of an open association.

use std::time::Instant;

use antiphon_util::Tally;

use super::heartbeat::{Beat, read_info};
use super::transmit::Control;
use super::{Association, Phase, State};
use crate::packet::{Data, ErrorCause, ForwardTsn, IData, IForwardTsn, Sack, cause};
use crate::rx::{Inbox, Received, Receiver};
use crate::tx::InvalidSack;
use crate::{CloseReason, DropReason, StreamId};

impl Association {
    /// Takes DATA; whether the rest of the packet is to be looked at.
    pub(super) fn handle_data(&mut self, data: &Data<'_>) -> bool {
        self.take_data(data.stream, |receiver, inbox, drops| receiver.handle_data(data, inbox, drops))
    }

    /// Takes I-DATA; whether the rest of the packet is to be looked at.
    pub(super) fn handle_i_data(&mut self, data: &IData<'_>) -> bool {
        self.take_data(data.stream, |receiver, inbox, drops| receiver.handle_i_data(data, inbox, drops))
    }

    fn take_data(
        &mut self,
        stream: StreamId,
        take: impl FnOnce(&mut Receiver, &mut Inbox, &mut Tally<DropReason>) -> Received,
    ) -> bool {
        let State::Open { block, phase } = &mut self.state else {
            self.drop_for(DropReason::UnexpectedChunk);
            return false;
        };
        if !phase.takes_data() {
            self.drop_for(DropReason::UnexpectedChunk);
            return false;
        }
        // DATA in this state is answered with SHUTDOWN again (RFC 9260 §9.2).
        let shutdown_sent = *phase == Phase::ShutdownSent;
        let received = take(&mut block.receiver, &mut self.inbox, &mut self.drops);
        if shutdown_sent {
            block.receiver.acknowledge_now();
            self.outbox.want(Control::Shutdown);
        }
        if received == Received::Dropped(DropReason::InvalidStream) {
            let [high, low] = stream.0.to_be_bytes();
            self.reply_error(ErrorCause { code: cause::INVALID_STREAM, information: &[high, low, 0, 0] });
        }
        self.conclude(received)
    }

    pub(super) fn handle_i_forward_tsn(&mut self, forward: &IForwardTsn<'_>) {
        let State::Open { block, .. } = &mut self.state else {
            return self.drop_for(DropReason::UnexpectedChunk);
        };
        let received = block.receiver.handle_i_forward_tsn(forward, &mut self.inbox, &mut self.drops);
        self.conclude(received);
    }

    pub(super) fn handle_forward_tsn(&mut self, forward: &ForwardTsn<'_>) {
        let State::Open { block, .. } = &mut self.state else {
            return self.drop_for(DropReason::UnexpectedChunk);
        };
        let received = block.receiver.handle_forward_tsn(forward, &mut self.inbox, &mut self.drops);
        self.conclude(received);
    }

    pub(super) fn handle_sack(&mut self, now: Instant, sack: &Sack<'_>) {
        let State::Open { block, .. } = &mut self.state else {
            return self.drop_for(DropReason::UnexpectedChunk);
        };
        match block.sender.handle_sack(now, sack, &mut block.rto) {
            Ok(outcome) => {
                if outcome.alive {
                    block.errors = 0;
                }
                if let Some(round_trip) = block.rto.smoothed() {
                    block.receiver.measured(round_trip);
                }
            }
            Err(InvalidSack::Old) => self.drop_for(DropReason::OldSack),
            Err(InvalidSack::Beyond) => self.drop_for(DropReason::InvalidSack),
        }
    }

    pub(super) fn handle_heartbeat_ack(&mut self, now: Instant, info: &[u8]) {
        let State::Open { block, .. } = &mut self.state else {
            return self.drop_for(DropReason::UnexpectedChunk);
        };
        if read_info(info).is_some_and(|nonce| block.sender.path_mtu.handle_answer(now, nonce)) {
            block.errors = 0;
            return;
        }
        match block.heartbeat.handle_ack(now, info) {
            Some(round_trip) => {
                block.errors = 0;
                block.rto.measured(round_trip);
                block.receiver.measured(round_trip);
            }
            None => self.drop_for(DropReason::UnknownHeartbeat),
        }
    }

    /// What time alone causes in an open association.
    pub(super) fn data_timeout(&mut self, now: Instant) {
        self.queue.expire(now);
        let State::Open { block, .. } = &mut self.state else { return };
        block.receiver.handle_timeout(now);
        if block.sender.next_timeout().is_some_and(|at| at <= now)
            && block.sender.handle_timeout(now, &mut block.rto, &mut self.queue)
            && !self.count_error()
        {
            return;
        }
        let State::Open { block, .. } = &mut self.state else { return };
        if block.resets.expiry().is_some_and(|at| at <= now) {
            block.resets.handle_timeout();
            block.rto.back_off();
            if !self.count_error() {
                return;
            }
        }
        let State::Open { block, .. } = &mut self.state else { return };
        if block.heartbeat.due().is_some_and(|at| at <= now)
            && let Beat::Send { missed } = block.heartbeat.handle_timeout(now)
        {
            if missed {
                block.rto.back_off();
            }
            if !missed || self.count_error() {
                self.outbox.want(Control::Heartbeat);
            }
        }
    }

    /// Counts a time-out; whether the association goes on (RFC 9260 §8.1).
    pub(super) fn count_error(&mut self) -> bool {
        let State::Open { block, .. } = &mut self.state else { return false };
        block.errors += 1;
        if block.errors <= self.config.timing.max_retransmissions {
            return true;
        }
        self.send_abort(cause::PROTOCOL_VIOLATION, b"no acknowledgement");
        self.end(CloseReason::PeerUnreachable);
        false
    }

    fn conclude(&mut self, received: Received) -> bool {
        match received {
            Received::New => true,
            Received::Dropped(reason) => {
                self.drop_for(reason);
                true
            }
            Received::Violation(what) => {
                self.violation(what);
                false
            }
        }
    }
}
