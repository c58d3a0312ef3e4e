//! Stream reset in both directions (RFC 6525 §5).

use std::time::Instant;

use crate::StreamId;
use crate::packet::ResetResult;
use crate::tsn::Tsn;
use crate::tx::{RetransmissionTimeout, SendQueue};

/// Requests of ours and of the peer. One request of ours is open at a time (RFC 6525 §5.1.1).
#[derive(Debug)]
pub(super) struct Resets {
    next_request: u32,
    /// Streams to reset once their messages are on the wire.
    waiting: Vec<StreamId>,
    open: Option<OpenRequest>,
    /// Sequence number that the peer's next request has.
    expected: u32,
    /// How the peer's last request was answered.
    last_result: ResetResult,
    deferred: Option<Deferred>,
}

/// A request of ours that is not settled.
#[derive(Debug, Clone)]
pub(super) struct OpenRequest {
    pub(super) request: u32,
    pub(super) last_tsn: u32,
    pub(super) streams: Vec<StreamId>,
    /// When it is sent again; `None` while it is to be sent.
    expiry: Option<Instant>,
}

/// A request of the peer that waits for DATA sent before it.
#[derive(Debug)]
struct Deferred {
    request: u32,
    last_tsn: Tsn,
    streams: Vec<StreamId>,
}

/// How the sequence number of a peer's request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sequence {
    New,
    /// The last request again; its answer was this.
    Repeated(ResetResult),
    Wrong,
}

impl Resets {
    pub(super) fn new(local_initial_tsn: u32, peer_initial_tsn: u32) -> Self {
        Self {
            next_request: local_initial_tsn,
            waiting: Vec::new(),
            open: None,
            expected: peer_initial_tsn,
            last_result: ResetResult::NothingToDo,
            deferred: None,
        }
    }

    /// Wants our direction of `streams` reset.
    pub(super) fn want(&mut self, streams: &[StreamId], queue: &mut SendQueue) {
        for stream in streams {
            queue.hold(*stream);
            let open = self.open.as_ref().is_some_and(|open| open.streams.contains(stream));
            if !open && !self.waiting.contains(stream) {
                self.waiting.push(*stream);
            }
        }
    }

    /// Opens a request for the streams that have nothing left to send, at most `max` of them.
    pub(super) fn open_request(&mut self, queue: &SendQueue, last_tsn: Tsn, max: usize) {
        if self.open.is_some() || self.waiting.is_empty() {
            return;
        }
        let mut streams = Vec::new();
        self.waiting.retain(|stream| {
            let ready = streams.len() < max && queue.is_drained(*stream);
            if ready {
                streams.push(*stream);
            }
            !ready
        });
        if streams.is_empty() {
            return;
        }
        let request = self.next_request;
        self.next_request = request.wrapping_add(1);
        self.open = Some(OpenRequest { request, last_tsn: last_tsn.wire(), streams, expiry: None });
    }

    /// The request that is to be sent now.
    pub(super) fn due(&self) -> Option<&OpenRequest> {
        self.open.as_ref().filter(|open| open.expiry.is_none())
    }

    /// The request was sent.
    pub(super) fn sent(&mut self, now: Instant, rto: &RetransmissionTimeout) {
        if let Some(open) = &mut self.open {
            open.expiry = Some(now + rto.timeout());
        }
    }

    pub(super) fn expiry(&self) -> Option<Instant> {
        self.open.as_ref().and_then(|open| open.expiry)
    }

    /// No answer came: the request is due again.
    pub(super) fn handle_timeout(&mut self) {
        if let Some(open) = &mut self.open {
            open.expiry = None;
        }
    }

    /// The request that `result` settles; `None` where it answers nothing or the peer is at work.
    pub(super) fn handle_response(
        &mut self,
        now: Instant,
        request: u32,
        result: ResetResult,
        rto: &RetransmissionTimeout,
    ) -> Option<OpenRequest> {
        let open = self.open.as_mut().filter(|open| open.request == request)?;
        if matches!(result, ResetResult::InProgress | ResetResult::RequestInProgress) {
            open.expiry = Some(now + rto.timeout());
            return None;
        }
        self.open.take()
    }

    /// Sequence number for the response field of a request of ours: that of the peer's last request.
    pub(super) fn last_peer_request(&self) -> u32 {
        self.expected.wrapping_sub(1)
    }

    /// Judges the sequence number of a request of the peer.
    pub(super) fn sequence(&self, request: u32) -> Sequence {
        if request == self.expected {
            Sequence::New
        } else if request == self.last_peer_request() {
            Sequence::Repeated(self.last_result)
        } else {
            Sequence::Wrong
        }
    }

    /// Notes the answer to the peer's request with the expected sequence number.
    pub(super) fn answered(&mut self, request: u32, result: ResetResult) {
        self.expected = request.wrapping_add(1);
        self.last_result = result;
    }

    /// Keeps a request of the peer until the cumulative point reaches `last_tsn`.
    pub(super) fn defer(&mut self, request: u32, last_tsn: Tsn, streams: Vec<StreamId>) {
        self.deferred = Some(Deferred { request, last_tsn, streams });
    }

    /// Whether a request of the peer waits.
    pub(super) fn is_deferring(&self) -> bool {
        self.deferred.is_some()
    }

    /// The deferred request, once everything sent before it has arrived.
    pub(super) fn take_deferred(&mut self, cumulative: Tsn) -> Option<(u32, Vec<StreamId>)> {
        let deferred = self.deferred.take_if(|deferred| deferred.last_tsn <= cumulative)?;
        self.last_result = ResetResult::Performed;
        Some((deferred.request, deferred.streams))
    }
}
