//! Messages accepted and not yet on the wire, by stream.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::messages::MessageKey;
use super::scheduler::Scheduler;
use crate::config::Scheduling;
use crate::stream_map::StreamMap;
use crate::{Message, PayloadProtocolId, Reliability, SendOptions, StreamId};

/// Messages by stream. Streams take turns as the scheduler has it: message by message, or fragment by fragment where
/// the peer can put together several messages at once (RFC 8260). It outlives connection attempts.
#[derive(Debug, Default)]
pub(crate) struct SendQueue {
    streams: StreamMap<Stream>,
    scheduler: Scheduler,
    interleaving: Interleaving,
    buffered: usize,
    /// Streams whose buffered amount fell to their threshold.
    low: Vec<StreamId>,
    /// When messages expire that were not begun, one entry a stream at most.
    deadlines: BinaryHeap<Reverse<(Instant, StreamId)>>,
}

/// Whether fragments of several messages may alternate.
#[derive(Debug, Default)]
enum Interleaving {
    /// The message of this stream has to be finished first.
    #[default]
    Off,
    Busy(StreamId),
    On {
        /// Bytes of large messages that may be begun at a time, so that the peer can finish one of them.
        budget: usize,
        begun: usize,
        /// Streams that wait for another's message to be finished.
        parked: Vec<StreamId>,
    },
}

#[derive(Debug, Default)]
struct Stream {
    messages: VecDeque<Queued>,
    /// The message of which a part is on the wire.
    current: Option<Current>,
    next_mid: u32,
    next_unordered_mid: u32,
    /// Bytes of this stream not on the wire yet.
    buffered: usize,
    low_threshold: usize,
    /// Whether it has an entry among the deadlines.
    watched: bool,
    phase: Phase,
    /// Messages accepted since a reset was asked for: they wait until the peer confirmed it.
    held: VecDeque<Queued>,
}

#[derive(Debug, Clone, Copy)]
struct Current {
    key: MessageKey,
    rest: usize,
    /// Bytes of the whole message.
    len: usize,
}

impl Current {
    /// Bytes that it counts against the budget.
    fn cost(&self) -> usize {
        if self.len > ALWAYS_BEGUN { self.len } else { 0 }
    }
}

/// How a stream stands to its reset.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Messages are sent.
    #[default]
    Open,
    /// Messages are sent up to the reset; the peer will be asked for it, or was.
    Resetting,
}

/// A message before its first fragment is sent.
#[derive(Debug)]
struct Queued {
    ppid: PayloadProtocolId,
    payload: Bytes,
    ordered: bool,
    until: GiveUp,
}

/// When a message is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GiveUp {
    Never,
    /// After so many retransmissions of a chunk.
    Retransmissions(u16),
    /// At that instant.
    At(Instant),
}

/// A message whose first fragment is about to be sent.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) stream: StreamId,
    pub(super) ppid: PayloadProtocolId,
    pub(super) payload: Bytes,
    pub(super) ordered: bool,
    /// Its number among the ordered or the unordered ones of its stream.
    pub(super) mid: u32,
    pub(super) until: GiveUp,
}

/// Whose turn it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turn {
    pub(super) stream: StreamId,
    /// The message, where a part of it is on the wire.
    pub(super) begun: Option<MessageKey>,
    /// Bytes of it that are not on the wire.
    pub(super) len: usize,
}

impl SendQueue {
    pub(crate) fn new(scheduling: Scheduling) -> Self {
        Self { scheduler: Scheduler::new(scheduling), ..Self::default() }
    }

    /// Lets fragments of several messages alternate, `budget` bytes of large messages at a time.
    pub(crate) fn interleave(&mut self, budget: usize) {
        self.interleaving = Interleaving::On { budget, begun: 0, parked: Vec::new() };
    }

    /// Sets the weight of a stream among the others.
    pub(crate) fn set_weight(&mut self, stream: StreamId, weight: u16) {
        self.scheduler.set_weight(stream, weight);
    }

    pub(crate) fn push(&mut self, now: Instant, message: Message, options: SendOptions) {
        let until = match options.reliability {
            Reliability::Reliable => GiveUp::Never,
            Reliability::MaxRetransmits(count) => GiveUp::Retransmissions(count),
            Reliability::MaxLifetime(lifetime) => now.checked_add(lifetime).map_or(GiveUp::Never, GiveUp::At),
        };
        let stream = self.streams.entry(message.stream).or_default();
        stream.buffered += message.payload.len();
        self.buffered += message.payload.len();
        let ordered = options.ordered;
        let queued = Queued { ppid: message.ppid, payload: message.payload, ordered, until };
        if stream.phase == Phase::Resetting {
            stream.held.push_back(queued);
            return;
        }
        if let (GiveUp::At(at), false) = (until, stream.watched) {
            stream.watched = true;
            self.deadlines.push(Reverse((at, message.stream)));
        }
        let waiting = !stream.messages.is_empty() || stream.current.is_some();
        stream.messages.push_back(queued);
        if !waiting {
            self.scheduler.activate(message.stream);
        }
    }

    /// Whose turn it is; messages that expired before they were begun are dropped on the way.
    pub(super) fn turn(&mut self, now: Instant) -> Option<Turn> {
        if let Interleaving::Busy(id) = self.interleaving
            && let Some(current) = self.streams.get(&id).and_then(|stream| stream.current)
        {
            return Some(Turn { stream: id, begun: Some(current.key), len: current.rest });
        }
        loop {
            let id = self.scheduler.next()?;
            let Some(stream) = self.streams.get(&id) else {
                self.scheduler.retire(id);
                continue;
            };
            if let Some(current) = stream.current {
                return Some(Turn { stream: id, begun: Some(current.key), len: current.rest });
            }
            let Some(message) = stream.messages.front() else {
                self.scheduler.retire(id);
                continue;
            };
            if matches!(message.until, GiveUp::At(at) if at <= now) {
                self.drop_expired(now, id);
                continue;
            }
            let len = message.payload.len();
            if let Interleaving::On { budget, begun, parked } = &mut self.interleaving
                && *begun > 0
                && len > ALWAYS_BEGUN
                && *begun + len > *budget
            {
                self.scheduler.retire(id);
                parked.push(id);
                continue;
            }
            return Some(Turn { stream: id, begun: None, len });
        }
    }

    /// Takes the message whose turn it is, of which no part is on the wire; its bytes stay buffered until
    /// [`Self::cut`].
    pub(super) fn start(&mut self, id: StreamId) -> Option<Started> {
        let stream = self.streams.get_mut(&id)?;
        let message = stream.messages.pop_front()?;
        let next = if message.ordered { &mut stream.next_mid } else { &mut stream.next_unordered_mid };
        let mid = *next;
        *next = mid.wrapping_add(1);
        let Queued { ppid, payload, ordered, until } = message;
        Some(Started { stream: id, ppid, payload, ordered, mid, until })
    }

    /// `len` bytes of the message `key` of `stream` went out; `rest` are left.
    pub(super) fn cut(&mut self, id: StreamId, key: MessageKey, len: usize, rest: usize) {
        self.sent(id, len);
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let begun = stream.current.is_none();
        let mut current = stream.current.take().unwrap_or(Current { key, rest, len: len + rest });
        current.rest = rest;
        if rest == 0 {
            self.finish(if begun { 0 } else { current.cost() });
        } else {
            stream.current = Some(current);
            match &mut self.interleaving {
                Interleaving::On { begun: bytes, .. } if begun => *bytes += current.cost(),
                Interleaving::On { .. } => {}
                Interleaving::Off | Interleaving::Busy(_) => self.interleaving = Interleaving::Busy(id),
            }
        }
        // A message that is sent in one go is paid for at its end.
        match &self.interleaving {
            Interleaving::On { .. } => self.scheduler.served(id, len),
            Interleaving::Off => self.scheduler.served(id, current.len),
            Interleaving::Busy(_) => {}
        }
        self.retire_if_empty(id);
    }

    /// The rest of the message of `stream` that was begun, `len` bytes, is given up.
    pub(super) fn give_up(&mut self, id: StreamId, len: usize) {
        self.sent(id, len);
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let cost = stream.current.take().map_or(0, |current| current.cost());
        self.finish(cost);
        self.retire_if_empty(id);
    }

    /// When [`Self::expire`] has something to do.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.peek().map(|Reverse((at, _))| *at)
    }

    /// Drops messages whose time has come before they were begun. Lifetimes of a stream's messages are taken to be
    /// alike: one that waits behind a message that lives longer is dropped when its turn comes.
    pub(crate) fn expire(&mut self, now: Instant) {
        while self.next_deadline().is_some_and(|at| at <= now) {
            let Some(Reverse((_, id))) = self.deadlines.pop() else { return };
            self.drop_expired(now, id);
            let Some(stream) = self.streams.get_mut(&id) else { continue };
            let next = stream.messages.iter().find_map(|message| match message.until {
                GiveUp::At(at) => Some(at.max(now + LEAST_LIFETIME)),
                GiveUp::Never | GiveUp::Retransmissions(_) => None,
            });
            stream.watched = next.is_some();
            self.deadlines.extend(next.map(|at| Reverse((at, id))));
        }
    }

    /// Drops the expired messages at the front of a stream.
    fn drop_expired(&mut self, now: Instant, id: StreamId) {
        while let Some(len) = self.streams.get_mut(&id).and_then(|stream| {
            let expired = |message: &mut Queued| matches!(message.until, GiveUp::At(at) if at <= now);
            stream.messages.pop_front_if(expired).map(|message| message.payload.len())
        }) {
            self.sent(id, len);
        }
        self.retire_if_empty(id);
    }

    /// `len` bytes of a message of `stream` went out, or will never.
    fn sent(&mut self, stream: StreamId, len: usize) {
        self.buffered = self.buffered.saturating_sub(len);
        if let Some(entry) = self.streams.get_mut(&stream) {
            let before = entry.buffered;
            entry.buffered = before.saturating_sub(len);
            if before > entry.low_threshold && entry.buffered <= entry.low_threshold {
                self.low.push(stream);
            }
        }
    }

    pub(crate) fn set_low_threshold(&mut self, stream: StreamId, threshold: usize) {
        self.streams.entry(stream).or_default().low_threshold = threshold;
    }

    /// Streams whose buffered amount fell to their threshold since the last call.
    pub(crate) fn take_low(&mut self) -> impl Iterator<Item = StreamId> + '_ {
        self.low.drain(..)
    }

    /// Bytes of all streams that are not on the wire.
    pub(crate) fn buffered(&self) -> usize {
        self.buffered
    }

    /// Bytes of `stream` that are not on the wire.
    pub(crate) fn stream_buffered(&self, stream: StreamId) -> usize {
        self.streams.get(&stream).map_or(0, |stream| stream.buffered)
    }

    /// Whether no message waits for a fragment to be sent.
    pub(crate) fn is_empty(&self) -> bool {
        self.buffered == 0
    }

    /// Whether no byte of `stream` waits that was accepted before [`Self::hold`].
    pub(crate) fn is_drained(&self, stream: StreamId) -> bool {
        self.streams.get(&stream).is_none_or(|stream| stream.messages.is_empty() && stream.current.is_none())
    }

    /// Holds back messages of `stream` accepted from now on until [`Self::resume`].
    pub(crate) fn hold(&mut self, stream: StreamId) {
        self.streams.entry(stream).or_default().phase = Phase::Resetting;
    }

    /// Lets the messages go that were held; `afresh` where the peer reset the stream.
    pub(crate) fn resume(&mut self, id: StreamId, afresh: bool) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        stream.phase = Phase::Open;
        let waiting = !stream.messages.is_empty() || stream.current.is_some();
        let deadline = stream.held.iter().find_map(|held| match held.until {
            GiveUp::At(at) => Some(at),
            GiveUp::Never | GiveUp::Retransmissions(_) => None,
        });
        if let (Some(at), false) = (deadline, stream.watched) {
            stream.watched = true;
            self.deadlines.push(Reverse((at, id)));
        }
        stream.messages.append(&mut stream.held);
        if afresh {
            (stream.next_mid, stream.next_unordered_mid) = (0, 0);
        }
        if !waiting && !stream.messages.is_empty() {
            self.scheduler.activate(id);
        }
    }

    /// The association starts afresh: what was begun is lost, and all streams count from 0.
    pub(crate) fn restart(&mut self) {
        self.interleaving = Interleaving::Off;
        let ids: Vec<StreamId> = self.streams.keys().copied().collect();
        for id in ids {
            let current = self.streams.get_mut(&id).and_then(|stream| stream.current.take());
            if let Some(current) = current {
                self.sent(id, current.rest);
            }
            self.scheduler.retire(id);
            self.resume(id, true);
            if self.streams.get(&id).is_some_and(|stream| !stream.messages.is_empty()) {
                self.scheduler.activate(id);
            }
        }
    }

    /// A message that cost `cost` bytes of the budget is no longer being cut.
    fn finish(&mut self, cost: usize) {
        match &mut self.interleaving {
            Interleaving::Off => {}
            Interleaving::Busy(_) => self.interleaving = Interleaving::Off,
            Interleaving::On { begun, parked, .. } => {
                *begun = begun.saturating_sub(cost);
                if cost > 0 {
                    parked.drain(..).for_each(|id| self.scheduler.activate(id));
                }
            }
        }
    }

    fn retire_if_empty(&mut self, id: StreamId) {
        let empty = |stream: &Stream| stream.messages.is_empty() && stream.current.is_none();
        if self.streams.get(&id).is_none_or(empty) {
            self.scheduler.retire(id);
        }
    }
}

/// An expired message that is not at the front of its stream is looked at again after this.
const LEAST_LIFETIME: Duration = Duration::from_millis(1);
/// A message of no more bytes does not count against the budget.
const ALWAYS_BEGUN: usize = 1_024;

#[cfg(test)]
mod tests {
    use antiphon_testkit::origin;

    use super::*;
    use crate::tx::messages::Messages;

    fn filled(scheduling: Scheduling, weights: &[u16]) -> SendQueue {
        let mut queue = SendQueue::new(scheduling);
        for (id, weight) in (1u16..).zip(weights) {
            queue.set_weight(StreamId(id), *weight);
            for _ in 0..100 {
                let payload = Bytes::from(vec![0; 10_000]);
                let message = Message { stream: StreamId(id), ppid: PayloadProtocolId(53), payload };
                queue.push(origin(), message, SendOptions::default());
            }
        }
        queue
    }

    /// Cuts `count` fragments of 1,000 bytes; how many each stream got.
    fn shares(queue: &mut SendQueue, count: usize) -> Vec<usize> {
        let mut messages = Messages::default();
        let mut shares = vec![0; 4];
        for _ in 0..count {
            let Some(turn) = queue.turn(origin()) else { break };
            let key = match turn.begun {
                Some(key) => key,
                None => messages.insert(queue.start(turn.stream).unwrap()),
            };
            queue.cut(turn.stream, key, 1_000.min(turn.len), turn.len.saturating_sub(1_000));
            shares[usize::from(turn.stream.0)] += 1;
        }
        shares
    }

    #[test]
    fn streams_share_by_weight_with_and_without_interleaving() {
        for budget in [None, Some(1 << 20)] {
            let mut queue = filled(Scheduling::Weighted, &[1_024, 256, 128]);
            budget.into_iter().for_each(|budget| queue.interleave(budget));
            let shares = shares(&mut queue, 1_100);
            assert!((770..=810).contains(&shares[1]), "{shares:?}");
            assert!((190..=210).contains(&shares[2]), "{shares:?}");
        }
    }

    #[test]
    fn streams_take_turns_whatever_their_weight() {
        for interleaved in [false, true] {
            let mut queue = filled(Scheduling::RoundRobin, &[1_024, 256, 128]);
            if interleaved {
                queue.interleave(1 << 20);
            }
            assert_eq!(shares(&mut queue, 300), [0, 100, 100, 100]);
        }
    }

    #[test]
    fn no_more_large_messages_are_begun_than_the_peer_can_finish() {
        let mut queue = filled(Scheduling::RoundRobin, &[256, 256, 256]);
        queue.interleave(25_000);
        let first = shares(&mut queue, 20);
        assert_eq!(first, [0, 10, 10, 0], "two of three fit");
        let message =
            Message { stream: StreamId(0), ppid: PayloadProtocolId(53), payload: vec![0; 100].into() };
        queue.push(origin(), message, SendOptions::default());
        assert_eq!(shares(&mut queue, 3)[0], 1, "a small one goes at any time");
        let all = shares(&mut queue, 10_000);
        assert_eq!(all.iter().sum::<usize>(), 3_000 - 22);
    }
}
