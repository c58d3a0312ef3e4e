//! Order of messages within streams.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::{Inbox, MessageKey, OVERHEAD};
use crate::stream_map::StreamMap;
use crate::{PayloadProtocolId, StreamId};

/// Whole messages that wait for earlier ones of their stream, and what each stream waits for.
#[derive(Debug)]
pub(super) struct Orders {
    streams: StreamMap<Order>,
    /// Streams of which messages wait.
    held_up: BTreeSet<StreamId>,
    /// Bytes of messages that wait, overheads included.
    waiting: usize,
    /// Half the circle of message numbers: 16 bits with DATA, 32 with I-DATA.
    half_circle: u64,
}

/// Order of one stream's messages.
#[derive(Debug, Default)]
struct Order {
    /// Number of the next message to deliver, extended so that it never wraps.
    next: u64,
    /// Later messages that wait for it.
    waiting: BTreeMap<u64, (PayloadProtocolId, Bytes)>,
}

/// A message with a number that was delivered, skipped or received before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OldMessage;

impl Orders {
    pub(super) fn new(interleaving: bool) -> Self {
        let half_circle = if interleaving { 1 << 31 } else { 1 << 15 };
        Self { streams: StreamMap::default(), held_up: BTreeSet::new(), waiting: 0, half_circle }
    }

    /// Bytes that count against the receive window.
    pub(super) fn charged(&self) -> usize {
        self.waiting
    }

    /// Hands a whole message to the inbox, or lets it wait for earlier ones of its stream.
    pub(super) fn deliver(
        &mut self,
        key: MessageKey,
        ppid: PayloadProtocolId,
        payload: Bytes,
        inbox: &mut Inbox,
    ) -> Result<(), OldMessage> {
        if key.unordered {
            inbox.push(key.stream, ppid, payload);
            return Ok(());
        }
        let order = self.streams.entry(key.stream).or_default();
        let number = order.extend(key.mid, self.half_circle).ok_or(OldMessage)?;
        if number != order.next {
            let charge = payload.len() + OVERHEAD;
            let Entry::Vacant(slot) = order.waiting.entry(number) else { return Err(OldMessage) };
            slot.insert((ppid, payload));
            self.held_up.insert(key.stream);
            self.waiting += charge;
            return Ok(());
        }
        order.next += 1;
        inbox.push(key.stream, ppid, payload);
        if !order.waiting.is_empty() {
            self.waiting -= order.release(key.stream, inbox);
        }
        Ok(())
    }

    /// Messages of `stream` up to `mid` will not come; those that did are delivered.
    pub(super) fn skip(&mut self, stream: StreamId, mid: u32, inbox: &mut Inbox) {
        let order = self.streams.entry(stream).or_default();
        let Some(last) = order.extend(mid, self.half_circle) else { return };
        let later = order.waiting.split_off(&(last + 1));
        for (_, (ppid, payload)) in std::mem::replace(&mut order.waiting, later) {
            self.waiting -= payload.len() + OVERHEAD;
            inbox.push(stream, ppid, payload);
        }
        order.next = last + 1;
        self.waiting -= order.release(stream, inbox);
    }

    /// Everything that was sent so far has arrived: messages that wait for earlier ones wait in vain, and are delivered.
    pub(super) fn release_held_up(&mut self, inbox: &mut Inbox) {
        while let Some(stream) = self.held_up.pop_first() {
            let Some(order) = self.streams.get_mut(&stream) else { continue };
            for (number, (ppid, payload)) in std::mem::take(&mut order.waiting) {
                order.next = number + 1;
                self.waiting -= payload.len() + OVERHEAD;
                inbox.push(stream, ppid, payload);
            }
        }
    }

    /// These streams start afresh; without any, all.
    pub(super) fn reset(&mut self, streams: &[StreamId]) {
        let waiting = |order: Order| order.waiting.values().map(|(_, b)| b.len() + OVERHEAD).sum::<usize>();
        if streams.is_empty() {
            self.waiting = 0;
            self.streams.clear();
        }
        for stream in streams {
            self.waiting -= self.streams.remove(stream).map_or(0, waiting);
        }
    }
}

impl Order {
    /// The number `mid` in full, `None` where it lies before the next one.
    fn extend(&self, mid: u32, half_circle: u64) -> Option<u64> {
        let ahead = u64::from(mid).wrapping_sub(self.next) & (2 * half_circle - 1);
        (ahead < half_circle).then(|| self.next + ahead)
    }

    /// Delivers what no longer waits and gives the bytes that it was charged.
    fn release(&mut self, stream: StreamId, inbox: &mut Inbox) -> usize {
        let mut released = 0;
        while let Some((ppid, payload)) = self.waiting.remove(&self.next) {
            self.next += 1;
            released += payload.len() + OVERHEAD;
            inbox.push(stream, ppid, payload);
        }
        released
    }
}
