//! Whole messages that wait to be read.

use std::collections::VecDeque;

use bytes::Bytes;

use super::OVERHEAD;
use crate::stream_map::StreamMap;
use crate::{Message, PayloadProtocolId, StreamId};

/// Messages by stream, in the order of delivery. It outlives the association's end, so that what arrived can be read.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    streams: StreamMap<VecDeque<(PayloadProtocolId, Bytes)>>,
    charged: usize,
    /// Streams that became readable and were not reported yet.
    newly_readable: Vec<StreamId>,
}

impl Inbox {
    pub(crate) fn push(&mut self, stream: StreamId, ppid: PayloadProtocolId, payload: Bytes) {
        self.charged += payload.len() + OVERHEAD;
        let queue = self.streams.entry(stream).or_default();
        if queue.is_empty() {
            self.newly_readable.push(stream);
        }
        queue.push_back((ppid, payload));
    }

    pub(crate) fn pop(&mut self, stream: StreamId) -> Option<Message> {
        let (ppid, payload) = self.streams.get_mut(&stream)?.pop_front()?;
        self.charged -= payload.len() + OVERHEAD;
        Some(Message { stream, ppid, payload })
    }

    /// Streams that had nothing and now have something.
    pub(crate) fn take_newly_readable(&mut self) -> impl Iterator<Item = StreamId> + '_ {
        self.newly_readable.drain(..)
    }

    /// Bytes that count against the receive window.
    pub(crate) fn charged(&self) -> usize {
        self.charged
    }
}
