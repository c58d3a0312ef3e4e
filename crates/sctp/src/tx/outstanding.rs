//! DATA that has a TSN and is not acknowledged cumulatively.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::time::Instant;

use bytes::Bytes;

use super::queue::{GiveUp, Started};
use crate::packet::{DATA_HEADER_LEN, Data};
use crate::ranges::Ranges;
use crate::tsn::Tsn;
use crate::{PayloadProtocolId, StreamId};

/// Chunks by TSN and the messages that they are cut from. A chunk refers to its message by number and offset, so that
/// neither sending nor acknowledging touches a reference count or the allocator.
#[derive(Debug)]
pub(super) struct Outstanding {
    /// Cumulative TSN ack point.
    cumulative: Tsn,
    /// The first holds the TSN after `cumulative`.
    chunks: VecDeque<SentChunk>,
    messages: VecDeque<SentMessage>,
    /// Number of the first in `messages`.
    first_message: u64,
    /// Acknowledged by gap blocks.
    acked: Ranges,
    /// Lost chunks in the order in which they were found; some may be acknowledged or abandoned since.
    lost: VecDeque<Tsn>,
    /// Advanced.Peer.Ack.Point (RFC 3758 §3.5): everything up to it is acknowledged or abandoned.
    advanced: Tsn,
    in_flight: usize,
    in_flight_payload: usize,
    in_flight_chunks: usize,
    abandoned_messages: u64,
}

#[derive(Debug)]
struct SentChunk {
    message: u64,
    offset: u32,
    len: u16,
    transmissions: u16,
    state: ChunkState,
    ending: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ChunkState {
    InFlight,
    /// Thought lost; waits to be sent again.
    Lost,
    /// Acknowledged by a gap block.
    Acked,
    /// Given up under partial reliability.
    Abandoned,
}

#[derive(Debug)]
struct SentMessage {
    stream: StreamId,
    ppid: PayloadProtocolId,
    payload: Bytes,
    ssn: Option<u16>,
    until: GiveUp,
    first_tsn: Tsn,
    /// Bytes that have a TSN.
    cut: usize,
    abandoned: bool,
}

/// What a SACK newly acknowledged.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct NewlyAcked {
    /// Bytes, chunk headers included.
    pub(super) bytes: usize,
    /// The greatest TSN.
    pub(super) highest: Option<Tsn>,
    /// Whether the cumulative point moved.
    pub(super) cumulative_moved: bool,
}

/// A message that was given up before all of it was cut.
#[derive(Debug, Clone, Copy)]
pub(super) struct Uncut {
    pub(super) stream: StreamId,
    pub(super) len: usize,
}

impl Outstanding {
    pub(super) fn new(initial_tsn: u32) -> Self {
        let cumulative = Tsn::initial(initial_tsn).prev();
        Self {
            cumulative,
            chunks: VecDeque::new(),
            messages: VecDeque::new(),
            first_message: 0,
            acked: Ranges::default(),
            lost: VecDeque::new(),
            advanced: cumulative,
            in_flight: 0,
            in_flight_payload: 0,
            in_flight_chunks: 0,
            abandoned_messages: 0,
        }
    }

    /// Begins to cut a message into chunks.
    pub(super) fn start(&mut self, message: Started) {
        self.messages.push_back(SentMessage {
            stream: message.stream,
            ppid: message.ppid,
            payload: message.payload,
            ssn: message.ssn,
            until: message.until,
            first_tsn: self.next_tsn(),
            cut: 0,
            abandoned: false,
        });
    }

    /// Bytes of the message being cut that have no TSN yet.
    pub(super) fn uncut(&self) -> Option<usize> {
        let message = self.messages.back()?;
        let rest = message.payload.len() - message.cut;
        (rest > 0 && !message.abandoned).then_some(rest)
    }

    /// Cuts the next chunk, of at most `max_len` bytes, and counts it as sent.
    pub(super) fn cut(&mut self, max_len: usize) -> Option<Data<'_>> {
        let tsn = self.next_tsn();
        let number = self.first_message + self.messages.len() as u64 - 1;
        let message = self.messages.back_mut()?;
        let offset = message.cut;
        let len = (message.payload.len() - offset).min(max_len).min(u16::MAX.into());
        message.cut += len;
        let chunk = SentChunk {
            message: number,
            offset: offset as u32,
            len: len as u16,
            transmissions: 1,
            state: ChunkState::InFlight,
            ending: message.cut == message.payload.len(),
        };
        self.in_flight += chunk.wire_len();
        self.in_flight_payload += len;
        self.in_flight_chunks += 1;
        let data = message.data(tsn, &chunk);
        self.chunks.push_back(chunk);
        Some(data)
    }

    /// Acknowledges everything up to `cumulative`, which must be below [`Self::next_tsn`].
    pub(super) fn acknowledge_through(&mut self, cumulative: Tsn, acked: &mut NewlyAcked) {
        while self.cumulative < cumulative {
            let Some(chunk) = self.chunks.pop_front() else { return };
            self.cumulative = self.cumulative.next();
            acked.cumulative_moved = true;
            match chunk.state {
                ChunkState::InFlight => {
                    self.leave_flight(&chunk);
                    acked.add(self.cumulative, chunk.wire_len());
                }
                ChunkState::Lost => acked.add(self.cumulative, chunk.wire_len()),
                ChunkState::Acked | ChunkState::Abandoned => {}
            }
            if chunk.ending {
                self.messages.pop_front();
                self.first_message += 1;
            }
        }
        self.acked.remove_through(self.cumulative);
        self.advanced = self.advanced.max(self.cumulative);
    }

    /// Acknowledges `first..=last`, which must lie below [`Self::next_tsn`].
    pub(super) fn acknowledge_gap(&mut self, first: Tsn, last: Tsn, acked: &mut NewlyAcked) {
        let Self {
            acked: ranges, chunks, cumulative, in_flight, in_flight_payload, in_flight_chunks, ..
        } = self;
        ranges.insert(first, last, |first, last| {
            let Some(range) = indices(*cumulative, first, last, chunks.len()) else { return };
            let mut tsn = first;
            for chunk in chunks.range_mut(range) {
                match chunk.state {
                    ChunkState::InFlight => {
                        *in_flight -= chunk.wire_len();
                        *in_flight_payload -= usize::from(chunk.len);
                        *in_flight_chunks -= 1;
                        acked.add(tsn, chunk.wire_len());
                        chunk.state = ChunkState::Acked;
                    }
                    ChunkState::Lost => {
                        acked.add(tsn, chunk.wire_len());
                        chunk.state = ChunkState::Acked;
                    }
                    ChunkState::Acked | ChunkState::Abandoned => {}
                }
                tsn = tsn.next();
            }
        });
    }

    /// Whether the peer took back what it acknowledged by gap blocks: were the first outstanding chunk received, the
    /// cumulative point would be beyond it. What was taken back counts as lost.
    pub(super) fn handle_reneging(&mut self) -> bool {
        if self.chunks.front().is_none_or(|chunk| chunk.state != ChunkState::Acked) {
            return false;
        }
        self.acked.clear();
        self.lost.clear();
        for (at, chunk) in self.chunks.iter_mut().enumerate() {
            if matches!(chunk.state, ChunkState::Acked | ChunkState::Lost) {
                chunk.state = ChunkState::Lost;
                self.lost.push_back(self.cumulative.plus(at + 1));
            }
        }
        true
    }

    /// Counts chunks of `first..end` as lost that are in flight for the first time; whether there were any.
    pub(super) fn lose_first_transmissions(&mut self, first: Tsn, end: Tsn) -> bool {
        let first = first.max(self.cumulative.next());
        let Some(range) = indices(self.cumulative, first, end.prev(), self.chunks.len()) else {
            return false;
        };
        let (mut any, mut tsn) = (false, first);
        for at in range {
            let chunk = self.chunks.get_mut(at);
            if let Some(chunk) = chunk
                && chunk.state == ChunkState::InFlight
                && chunk.transmissions == 1
            {
                chunk.state = ChunkState::Lost;
                self.in_flight -= chunk.wire_len();
                self.in_flight_payload -= usize::from(chunk.len);
                self.in_flight_chunks -= 1;
                self.lost.push_back(tsn);
                any = true;
            }
            tsn = tsn.next();
        }
        any
    }

    /// Counts all that is in flight as lost.
    pub(super) fn lose_all(&mut self) {
        self.lost.clear();
        for (at, chunk) in self.chunks.iter_mut().enumerate() {
            if chunk.state == ChunkState::InFlight {
                chunk.state = ChunkState::Lost;
            }
            if chunk.state == ChunkState::Lost {
                self.lost.push_back(self.cumulative.plus(at + 1));
            }
        }
        (self.in_flight, self.in_flight_payload, self.in_flight_chunks) = (0, 0, 0);
    }

    /// The first lost chunk: its length, and whether its message is to be given up instead.
    pub(super) fn next_lost(&mut self, now: Instant, partial_reliability: bool) -> Option<LostChunk> {
        loop {
            let tsn = *self.lost.front()?;
            let chunk = tsn.since(self.cumulative.next()).and_then(|at| self.chunks.get(at));
            let Some(chunk) = chunk.filter(|chunk| chunk.state == ChunkState::Lost) else {
                self.lost.pop_front();
                continue;
            };
            let message = self.message(chunk.message)?;
            let give_up = partial_reliability
                && match message.until {
                    GiveUp::Never => false,
                    GiveUp::Retransmissions(most) => chunk.transmissions > most,
                    GiveUp::At(at) => at <= now,
                };
            return Some(LostChunk { tsn, len: chunk.len.into(), message: chunk.message, give_up });
        }
    }

    /// Sends the first lost chunk again.
    pub(super) fn retransmit(&mut self, lost: &LostChunk) -> Option<Data<'_>> {
        self.lost.pop_front();
        let at = lost.tsn.since(self.cumulative.next())?;
        let chunk = self.chunks.get_mut(at)?;
        chunk.state = ChunkState::InFlight;
        chunk.transmissions = chunk.transmissions.saturating_add(1);
        self.in_flight += chunk.wire_len();
        self.in_flight_payload += usize::from(chunk.len);
        self.in_flight_chunks += 1;
        let (chunk, index) = (self.chunks.get(at)?, lost.message.checked_sub(self.first_message)?);
        Some(self.messages.get(usize::try_from(index).ok()?)?.data(lost.tsn, chunk))
    }

    /// Whether the message being cut has expired.
    pub(super) fn is_cut_expired(&self, now: Instant) -> Option<u64> {
        let message = self.messages.back()?;
        let expired = matches!(message.until, GiveUp::At(at) if at <= now);
        (expired && self.uncut().is_some()).then(|| self.first_message + self.messages.len() as u64 - 1)
    }

    /// Gives up a message: none of its chunks is sent again, and its rest not at all. Where its end has no TSN yet,
    /// one is spent that FORWARD TSN can skip, so that the receiver lets go of the beginning.
    pub(super) fn abandon(&mut self, number: u64) -> Option<Uncut> {
        let next_tsn = self.next_tsn();
        let index = usize::try_from(number.checked_sub(self.first_message)?).ok()?;
        let last = index + 1 == self.messages.len();
        let message = self.messages.get_mut(index)?;
        message.abandoned = true;
        self.abandoned_messages += 1;
        let first = message.first_tsn.max(self.cumulative.next());
        let rest = message.payload.len() - message.cut;
        let uncut = (rest > 0).then_some(Uncut { stream: message.stream, len: rest });
        let range = indices(self.cumulative, first, next_tsn.prev(), self.chunks.len());
        for at in range.into_iter().flatten() {
            let Some(chunk) = self.chunks.get_mut(at).filter(|chunk| chunk.message == number) else { break };
            if chunk.state == ChunkState::InFlight {
                self.in_flight -= chunk.wire_len();
                self.in_flight_payload -= usize::from(chunk.len);
                self.in_flight_chunks -= 1;
            }
            chunk.state = ChunkState::Abandoned;
        }
        if last && uncut.is_some() {
            self.chunks.push_back(SentChunk {
                message: number,
                offset: 0,
                len: 0,
                transmissions: 0,
                state: ChunkState::Abandoned,
                ending: true,
            });
        }
        uncut
    }

    /// Moves the advanced point over what was given up; whether the peer has to be told.
    pub(super) fn advance(&mut self) -> bool {
        while let Some(at) = self.advanced.next().since(self.cumulative.next())
            && self.chunks.get(at).is_some_and(|chunk| chunk.state == ChunkState::Abandoned)
        {
            self.advanced = self.advanced.next();
        }
        self.advanced > self.cumulative
    }

    /// The point that FORWARD TSN tells, with the last sequence number skipped in each ordered stream. It lies lower
    /// where more than `max_streams` would have to be named.
    pub(super) fn forward(&self, max_streams: usize) -> (Tsn, Vec<(StreamId, u16)>) {
        let mut skipped: Vec<(StreamId, u16)> = Vec::new();
        for message in self.messages.iter().take_while(|message| message.first_tsn <= self.advanced) {
            let Some(ssn) = message.ssn.filter(|_| message.abandoned) else { continue };
            if let Some((_, last)) = skipped.iter_mut().find(|(stream, _)| *stream == message.stream) {
                *last = ssn;
            } else if skipped.len() < max_streams {
                skipped.push((message.stream, ssn));
            } else {
                return (message.first_tsn.prev(), skipped);
            }
        }
        (self.advanced, skipped)
    }

    pub(super) fn next_tsn(&self) -> Tsn {
        self.cumulative.plus(self.chunks.len() + 1)
    }

    pub(super) fn cumulative(&self) -> Tsn {
        self.cumulative
    }

    /// The greatest TSN acknowledged, by gap block or cumulatively.
    pub(super) fn highest_acked(&self) -> Tsn {
        self.acked.last().unwrap_or(self.cumulative)
    }

    /// Whether nothing waits for acknowledgement.
    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Bytes in flight, chunk headers included.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Bytes of user data in flight.
    pub(super) fn in_flight_payload(&self) -> usize {
        self.in_flight_payload
    }

    pub(super) fn in_flight_chunks(&self) -> usize {
        self.in_flight_chunks
    }

    pub(super) fn abandoned_messages(&self) -> u64 {
        self.abandoned_messages
    }

    /// Whether `tsn` was acknowledged, by gap block or cumulatively.
    pub(super) fn is_acknowledged(&self, tsn: Tsn) -> bool {
        tsn <= self.cumulative || self.acked.contains(tsn)
    }

    fn message(&self, number: u64) -> Option<&SentMessage> {
        self.messages.get(usize::try_from(number.checked_sub(self.first_message)?).ok()?)
    }

    fn leave_flight(&mut self, chunk: &SentChunk) {
        self.in_flight -= chunk.wire_len();
        self.in_flight_payload -= usize::from(chunk.len);
        self.in_flight_chunks -= 1;
    }
}

/// A lost chunk whose turn it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct LostChunk {
    pub(super) tsn: Tsn,
    /// Bytes of user data.
    pub(super) len: usize,
    pub(super) message: u64,
    /// Whether the message is to be given up.
    pub(super) give_up: bool,
}

impl NewlyAcked {
    fn add(&mut self, tsn: Tsn, bytes: usize) {
        self.bytes += bytes;
        self.highest = self.highest.max(Some(tsn));
    }
}

impl SentChunk {
    /// Bytes that it takes in a packet.
    fn wire_len(&self) -> usize {
        DATA_HEADER_LEN + usize::from(self.len).next_multiple_of(4)
    }
}

impl SentMessage {
    fn data(&self, tsn: Tsn, chunk: &SentChunk) -> Data<'_> {
        let from = chunk.offset as usize;
        Data {
            tsn: tsn.wire(),
            stream: self.stream,
            ssn: self.ssn.unwrap_or(0),
            ppid: self.ppid,
            beginning: from == 0,
            ending: chunk.ending,
            unordered: self.ssn.is_none(),
            immediate: false,
            payload: self.payload.get(from..from + usize::from(chunk.len)).unwrap_or_default(),
        }
    }
}

/// Places of `first..=last` in a queue of `len` whose first has the TSN after `cumulative`.
fn indices(cumulative: Tsn, first: Tsn, last: Tsn, len: usize) -> Option<RangeInclusive<usize>> {
    let (from, to) = (first.since(cumulative.next())?, last.since(cumulative.next())?);
    (from <= to && to < len).then_some(from..=to)
}
