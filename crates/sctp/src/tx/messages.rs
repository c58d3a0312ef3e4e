//! Messages of which some bytes have a TSN.

use std::time::Instant;

use bytes::Bytes;

use super::queue::{GiveUp, Started};
use crate::packet::Fragment;
use crate::tsn::Tsn;
use crate::{PayloadProtocolId, StreamId};

/// Names a message in [`Messages`] for as long as it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct MessageKey {
    slot: u32,
    /// Tells the message from an earlier one in the same slot.
    generation: u32,
}

/// Messages in slots that are used again.
#[derive(Debug, Default)]
pub(super) struct Messages {
    slots: Vec<(u32, Option<SentMessage>)>,
    free: Vec<u32>,
}

#[derive(Debug)]
pub(super) struct SentMessage {
    pub(super) stream: StreamId,
    ppid: PayloadProtocolId,
    payload: Bytes,
    pub(super) ordered: bool,
    /// Message identifier; its low half is the stream sequence number.
    pub(super) mid: u32,
    pub(super) until: GiveUp,
    /// Bytes that have a TSN.
    cut: usize,
    fragments: u32,
    /// Chunks that are outstanding.
    pub(super) chunks: usize,
    /// Whether it was given up.
    pub(super) abandoned: bool,
    /// The first and last TSN.
    pub(super) tsns: Option<(Tsn, Tsn)>,
}

impl Messages {
    pub(super) fn insert(&mut self, message: Started) -> MessageKey {
        let message = SentMessage {
            stream: message.stream,
            ppid: message.ppid,
            payload: message.payload,
            ordered: message.ordered,
            mid: message.mid,
            until: message.until,
            cut: 0,
            fragments: 0,
            chunks: 0,
            abandoned: false,
            tsns: None,
        };
        if let Some(slot) = self.free.pop()
            && let Some((generation, place)) = self.slots.get_mut(slot as usize)
        {
            *generation = generation.wrapping_add(1);
            *place = Some(message);
            return MessageKey { slot, generation: *generation };
        }
        let slot = self.slots.len() as u32;
        self.slots.push((0, Some(message)));
        MessageKey { slot, generation: 0 }
    }

    pub(super) fn get(&self, key: MessageKey) -> Option<&SentMessage> {
        let (generation, message) = self.slots.get(key.slot as usize)?;
        message.as_ref().filter(|_| *generation == key.generation)
    }

    pub(super) fn get_mut(&mut self, key: MessageKey) -> Option<&mut SentMessage> {
        let (generation, message) = self.slots.get_mut(key.slot as usize)?;
        message.as_mut().filter(|_| *generation == key.generation)
    }

    /// One of its chunks is settled: with the last one of a message that is cut to its end it goes.
    pub(super) fn settle(&mut self, key: MessageKey) {
        let Some(message) = self.get_mut(key) else { return };
        message.chunks = message.chunks.saturating_sub(1);
        if message.chunks > 0 || (message.rest() > 0 && !message.abandoned) {
            return;
        }
        if let Some((_, place)) = self.slots.get_mut(key.slot as usize) {
            *place = None;
            self.free.push(key.slot);
        }
    }
}

impl SentMessage {
    /// Bytes that have no TSN yet.
    pub(super) fn rest(&self) -> usize {
        self.payload.len() - self.cut
    }

    /// Cuts off at most `max_len` bytes: their offset, their number and the fragment's number.
    pub(super) fn cut(&mut self, max_len: usize, tsn: Tsn) -> Cut {
        let len = self.rest().min(max_len).min(u16::MAX.into());
        let cut = Cut { offset: self.cut as u32, len: len as u16, fsn: self.fragments };
        self.cut += len;
        self.fragments += 1;
        self.chunks += 1;
        self.span(tsn);
        cut
    }

    /// It has the TSN `tsn`, too.
    pub(super) fn span(&mut self, tsn: Tsn) {
        self.tsns = Some(self.tsns.map_or((tsn, tsn), |(first, _)| (first, tsn)));
    }

    pub(super) fn is_expired(&self, now: Instant) -> bool {
        matches!(self.until, GiveUp::At(at) if at <= now)
    }

    pub(super) fn fragment(&self, tsn: Tsn, cut: &Cut, ending: bool) -> Fragment<'_> {
        let from = cut.offset as usize;
        Fragment {
            tsn: tsn.wire(),
            stream: self.stream,
            mid: self.mid,
            fsn: cut.fsn,
            ppid: self.ppid,
            beginning: from == 0,
            ending,
            unordered: !self.ordered,
            immediate: false,
            payload: self.payload.get(from..from + usize::from(cut.len)).unwrap_or_default(),
        }
    }
}

/// Where in its message a chunk lies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut {
    pub(super) offset: u32,
    pub(super) len: u16,
    pub(super) fsn: u32,
}
