//! RE-CONFIG received (RFC 6525 §5.2).

use std::time::Instant;

use antiphon_util::Writer;

use super::reset::{OpenRequest, Sequence};
use super::{Association, State};
use crate::packet::{OutgoingReset, ReConfig, Reconfiguration, ResetResult};
use crate::{DropReason, Event, StreamId};

impl Association {
    pub(super) fn handle_reconfig(&mut self, now: Instant, reconfig: &ReConfig<'_>) {
        if !matches!(self.state, State::Open { .. }) {
            return self.drop_for(DropReason::UnexpectedChunk);
        }
        for parameter in reconfig.parameters() {
            match parameter {
                Ok(Reconfiguration::OutgoingReset(reset)) => self.handle_outgoing_reset(&reset),
                Ok(Reconfiguration::Response { request, result }) => {
                    self.handle_reset_response(now, request, result);
                }
                // More streams than the peer has ids for are never refused: 65,535 are there from the start.
                Ok(Reconfiguration::AddOutgoing { request, .. }) => {
                    self.answer_request(request, ResetResult::Performed);
                }
                // Closing a channel is asked for by resetting one's own direction (RFC 8831 §6.7).
                Ok(
                    Reconfiguration::IncomingReset(crate::packet::IncomingReset { request, .. })
                    | Reconfiguration::SsnTsnReset { request }
                    | Reconfiguration::AddIncoming { request, .. },
                ) => self.answer_request(request, ResetResult::Denied),
                Ok(Reconfiguration::Unknown(_)) => self.drop_for(DropReason::UnknownChunk),
                Err(_) => return self.drop_for(DropReason::Malformed),
            }
        }
    }

    /// Answers the peer's request that waited, once all sent before it has arrived.
    pub(super) fn perform_deferred_reset(&mut self) {
        let State::Open { block, .. } = &mut self.state else { return };
        if let Some((request, streams)) = block.resets.take_deferred(block.receiver.cumulative()) {
            self.perform_reset(streams);
            self.respond(request, ResetResult::Performed);
        }
    }

    fn handle_outgoing_reset(&mut self, reset: &OutgoingReset<'_>) {
        let State::Open { block, .. } = &mut self.state else { return };
        match block.resets.sequence(reset.request) {
            Sequence::New => {}
            Sequence::Repeated(result) => return self.respond(reset.request, result),
            Sequence::Wrong => {
                self.drop_for(DropReason::ReconfigSequence);
                return self.respond(reset.request, ResetResult::BadSequenceNumber);
            }
        }
        if block.resets.is_deferring() {
            // One at a time (RFC 6525 §5.1.1). Not noted: the peer may ask again.
            return self.respond(reset.request, ResetResult::RequestInProgress);
        }
        let streams: Vec<StreamId> = reset.streams().collect();
        if streams.iter().any(|stream| stream.0 >= block.peer.incoming_streams) {
            return self.answer_request(reset.request, ResetResult::WrongStream);
        }
        if self.events.len() >= self.config.limits.max_events {
            // Not noted: the peer asks again.
            return self.respond(reset.request, ResetResult::InProgress);
        }
        let last_tsn = block.receiver.cumulative().extend(reset.last_tsn);
        if last_tsn > block.receiver.cumulative() {
            block.resets.answered(reset.request, ResetResult::InProgress);
            block.resets.defer(reset.request, last_tsn, streams);
            return self.respond(reset.request, ResetResult::InProgress);
        }
        self.perform_reset(streams);
        self.answer_request(reset.request, ResetResult::Performed);
    }

    fn handle_reset_response(&mut self, now: Instant, request: u32, result: ResetResult) {
        let State::Open { block, .. } = &mut self.state else { return };
        block.errors = 0;
        let Some(OpenRequest { streams, .. }) =
            block.resets.handle_response(now, request, result, &block.rto)
        else {
            return;
        };
        let done = matches!(result, ResetResult::Performed | ResetResult::NothingToDo);
        streams.iter().for_each(|stream| self.queue.resume(*stream, done));
        self.events.push_back(if done {
            Event::OutgoingStreamsReset(streams)
        } else {
            Event::ResetFailed(streams)
        });
    }

    fn perform_reset(&mut self, streams: Vec<StreamId>) {
        let State::Open { block, .. } = &mut self.state else { return };
        block.receiver.reset_streams(&streams);
        // What came before the reset is readable before it is reported.
        self.collect_events();
        self.events.push_back(Event::IncomingStreamsReset(streams));
    }

    /// Answers a request that is not repeated, and notes the answer.
    fn answer_request(&mut self, request: u32, result: ResetResult) {
        let State::Open { block, .. } = &mut self.state else { return };
        let result = match block.resets.sequence(request) {
            Sequence::New => {
                block.resets.answered(request, result);
                result
            }
            Sequence::Repeated(before) => before,
            Sequence::Wrong => ResetResult::BadSequenceNumber,
        };
        self.respond(request, result);
    }

    fn respond(&mut self, request: u32, result: ResetResult) {
        let mut chunk = Vec::new();
        result.write_response(&mut Writer::new(&mut chunk), request);
        self.reply_chunk(chunk);
    }
}
