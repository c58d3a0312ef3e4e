//! Which stream is served next (RFC 8260 §3).

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::StreamId;
use crate::config::Scheduling;
use crate::stream_map::StreamMap;

/// Streams that have something to send, in the order of their turns.
///
/// A stream's turn comes at its start time: the virtual time at which what it sent before is paid for, at its weight
/// (start-time fair queueing). Where streams simply take turns, all start times are the same, and the order in which they
/// asked decides.
#[derive(Debug, Default)]
pub(super) struct Scheduler {
    scheduling: Scheduling,
    streams: StreamMap<Entry>,
    turns: BinaryHeap<Reverse<(u64, u64, StreamId)>>,
    /// Start time of the stream served last.
    virtual_time: u64,
    tickets: u64,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    weight: u16,
    /// When its next turn may start.
    paid: u64,
    /// Its place in `turns`, where it has something to send.
    ticket: Option<u64>,
}

/// What a byte costs at weight 1.
const UNIT: u64 = 1 << 16;
/// The W3C's priority "low", which is the default (RFC 8831 §6.4).
const DEFAULT_WEIGHT: u16 = 256;

impl Scheduler {
    pub(super) fn new(scheduling: Scheduling) -> Self {
        Self { scheduling, ..Self::default() }
    }

    pub(super) fn set_weight(&mut self, stream: StreamId, weight: u16) {
        self.entry(stream).weight = weight.max(1);
    }

    /// The stream has something to send.
    pub(super) fn activate(&mut self, stream: StreamId) {
        self.tickets += 1;
        let (ticket, now) = (self.tickets, self.virtual_time);
        let entry = self.entry(stream);
        if entry.ticket.is_some() {
            return;
        }
        entry.ticket = Some(ticket);
        // Time in which it had nothing to send is not credited.
        entry.paid = entry.paid.max(now);
        let turn = (entry.paid, ticket, stream);
        self.turns.push(Reverse(turn));
    }

    /// The stream has nothing to send.
    pub(super) fn retire(&mut self, stream: StreamId) {
        if let Some(entry) = self.streams.get_mut(&stream) {
            entry.ticket = None;
        }
    }

    /// Whose turn it is.
    pub(super) fn next(&mut self) -> Option<StreamId> {
        loop {
            let Reverse((_, ticket, stream)) = *self.turns.peek()?;
            if self.streams.get(&stream).is_some_and(|entry| entry.ticket == Some(ticket)) {
                return Some(stream);
            }
            self.turns.pop();
        }
    }

    /// The stream sent `bytes`, and has more to send unless it is retired.
    pub(super) fn served(&mut self, stream: StreamId, bytes: usize) {
        self.tickets += 1;
        let (ticket, weighted) = (self.tickets, self.scheduling == Scheduling::Weighted);
        let entry = self.entry(stream);
        if entry.ticket.is_none() {
            return;
        }
        let start = entry.paid;
        if weighted {
            entry.paid = start.saturating_add(bytes as u64 * UNIT / u64::from(entry.weight));
        }
        entry.ticket = Some(ticket);
        let turn = (entry.paid, ticket, stream);
        self.virtual_time = self.virtual_time.max(start);
        // Its turn before is at the top, unless another message had to be finished first.
        if self.turns.peek().is_some_and(|Reverse((_, _, top))| *top == stream) {
            self.turns.pop();
        }
        self.turns.push(Reverse(turn));
    }

    fn entry(&mut self, stream: StreamId) -> &mut Entry {
        self.streams.entry(stream).or_insert(Entry { weight: DEFAULT_WEIGHT, paid: 0, ticket: None })
    }
}
