//! Messages accepted and not yet on the wire, by stream.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;

use crate::stream_map::StreamMap;
use crate::{Message, PayloadProtocolId, Reliability, SendOptions, StreamId};

/// Messages by stream; streams take turns, message by message (RFC 8260 §3.2). It outlives connection attempts.
#[derive(Debug, Default)]
pub(crate) struct SendQueue {
    streams: StreamMap<Stream>,
    /// Streams that have a message to start and may, in the order of their turns.
    turns: VecDeque<StreamId>,
    buffered: usize,
    /// Streams whose buffered amount fell to their threshold.
    low: Vec<StreamId>,
}

#[derive(Debug, Default)]
struct Stream {
    messages: VecDeque<Queued>,
    next_ssn: u16,
    /// Bytes of this stream not on the wire yet.
    buffered: usize,
    low_threshold: usize,
    phase: Phase,
    /// Messages accepted since a reset was asked for: they wait until the peer confirmed it.
    held: VecDeque<Queued>,
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
    /// `None` where it is unordered.
    pub(super) ssn: Option<u16>,
    pub(super) until: GiveUp,
}

impl SendQueue {
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
        if stream.messages.is_empty() {
            self.turns.push_back(message.stream);
        }
        stream.messages.push_back(queued);
    }

    /// Length of the message whose turn it is; messages that expired in the queue are dropped on the way.
    pub(super) fn next_len(&mut self, now: Instant, partial_reliability: bool) -> Option<usize> {
        loop {
            let id = *self.turns.front()?;
            let stream = self.streams.get_mut(&id)?;
            let Some(message) = stream.messages.front() else {
                self.turns.pop_front();
                continue;
            };
            match message.until {
                GiveUp::At(at) if partial_reliability && at <= now => {
                    let len = message.payload.len();
                    stream.messages.pop_front();
                    self.sent(id, len);
                }
                _ => return Some(message.payload.len()),
            }
        }
    }

    /// Takes the message whose turn it is; its bytes stay buffered until [`Self::sent`].
    pub(super) fn start(&mut self) -> Option<Started> {
        let id = self.turns.pop_front()?;
        let stream = self.streams.get_mut(&id)?;
        let message = stream.messages.pop_front()?;
        if !stream.messages.is_empty() {
            self.turns.push_back(id);
        }
        let ssn = message.ordered.then(|| {
            let ssn = stream.next_ssn;
            stream.next_ssn = ssn.wrapping_add(1);
            ssn
        });
        Some(Started { stream: id, ppid: message.ppid, payload: message.payload, ssn, until: message.until })
    }

    /// `len` bytes of a message of `stream` went out, or will never.
    pub(super) fn sent(&mut self, stream: StreamId, len: usize) {
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

    /// Whether no message waits for its first fragment.
    pub(crate) fn is_empty(&self) -> bool {
        self.turns.is_empty() && self.streams.values().all(|stream| stream.held.is_empty())
    }

    /// Whether no byte of `stream` waits that was accepted before [`Self::hold`].
    pub(crate) fn is_drained(&self, stream: StreamId) -> bool {
        self.streams.get(&stream).is_none_or(|stream| {
            let held: usize = stream.held.iter().map(|message| message.payload.len()).sum();
            stream.buffered == held
        })
    }

    /// Holds back messages of `stream` accepted from now on until [`Self::resume`].
    pub(crate) fn hold(&mut self, stream: StreamId) {
        self.streams.entry(stream).or_default().phase = Phase::Resetting;
    }

    /// Lets the messages go that were held; `afresh` where the peer reset the stream.
    pub(crate) fn resume(&mut self, id: StreamId, afresh: bool) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        stream.phase = Phase::Open;
        stream.messages.append(&mut stream.held);
        if afresh {
            stream.next_ssn = 0;
        }
        if !stream.messages.is_empty() && !self.turns.contains(&id) {
            self.turns.push_back(id);
        }
    }

    /// The association starts afresh: all streams count from 0.
    pub(crate) fn restart(&mut self) {
        let ids: Vec<StreamId> = self.streams.keys().copied().collect();
        ids.into_iter().for_each(|id| self.resume(id, true));
    }
}
