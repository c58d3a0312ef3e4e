//! DATA that has a TSN and is not acknowledged cumulatively.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::time::Instant;

use super::flight::Serial;
use super::messages::{Cut, MessageKey, Messages};
use super::queue::{GiveUp, Started};
use crate::StreamId;
use crate::packet::Fragment;
use crate::ranges::Ranges;
use crate::tsn::Tsn;

/// Chunks by TSN and the messages that they are cut from. A chunk refers to its message by key and offset, so that
/// neither sending nor acknowledging touches a reference count or the allocator.
#[derive(Debug)]
pub(super) struct Outstanding {
    /// Bytes of a chunk before the user data.
    header_len: usize,
    /// Cumulative TSN ack point.
    cumulative: Tsn,
    /// The first holds the TSN after `cumulative`.
    chunks: VecDeque<SentChunk>,
    messages: Messages,
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
    message: MessageKey,
    cut: Cut,
    transmissions: u16,
    state: ChunkState,
    ending: bool,
    /// Packet that carried it last.
    packet: Serial,
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

/// What a SACK newly acknowledged.
#[derive(Debug, Default)]
pub(super) struct NewlyAcked {
    pub(super) chunks: Vec<AckedChunk>,
    /// Bytes, chunk headers included.
    pub(super) bytes: usize,
    /// Whether the cumulative point moved.
    pub(super) cumulative_moved: bool,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct AckedChunk {
    pub(super) tsn: Tsn,
    pub(super) packet: Serial,
    pub(super) transmissions: u16,
    /// Whether it was thought lost and not sent again.
    pub(super) was_lost: bool,
}

/// A message that was given up before all of it was cut.
#[derive(Debug, Clone, Copy)]
pub(super) struct Uncut {
    pub(super) stream: StreamId,
    pub(super) len: usize,
}

impl Outstanding {
    pub(super) fn new(initial_tsn: u32, header_len: usize) -> Self {
        let cumulative = Tsn::initial(initial_tsn).prev();
        Self {
            header_len,
            cumulative,
            chunks: VecDeque::new(),
            messages: Messages::default(),
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
    pub(super) fn start(&mut self, message: Started) -> MessageKey {
        self.messages.insert(message)
    }

    /// Cuts the next chunk of a message, of at most `max_len` bytes, and counts it as sent with packet `packet`.
    pub(super) fn cut(&mut self, key: MessageKey, max_len: usize, packet: Serial) -> Option<Fragment<'_>> {
        let tsn = self.next_tsn();
        let message = self.messages.get_mut(key)?;
        let cut = message.cut(max_len, tsn);
        let ending = message.rest() == 0;
        self.chunks.push_back(SentChunk {
            message: key,
            cut,
            transmissions: 1,
            state: ChunkState::InFlight,
            ending,
            packet,
        });
        self.in_flight += wire_len(self.header_len, &cut);
        self.in_flight_payload += usize::from(cut.len);
        self.in_flight_chunks += 1;
        Some(self.messages.get(key)?.fragment(tsn, &cut, ending))
    }

    /// Acknowledges everything up to `cumulative`, which must be below [`Self::next_tsn`].
    pub(super) fn acknowledge_through(&mut self, cumulative: Tsn, acked: &mut NewlyAcked) {
        while self.cumulative < cumulative {
            let Some(chunk) = self.chunks.pop_front() else { return };
            self.cumulative = self.cumulative.next();
            acked.cumulative_moved = true;
            if chunk.state == ChunkState::InFlight {
                self.leave_flight(&chunk.cut);
            }
            acked.add(self.cumulative, &chunk, self.header_len);
            self.messages.settle(chunk.message);
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
                if chunk.state == ChunkState::InFlight {
                    *in_flight -= wire_len(self.header_len, &chunk.cut);
                    *in_flight_payload -= usize::from(chunk.cut.len);
                    *in_flight_chunks -= 1;
                }
                acked.add(tsn, chunk, self.header_len);
                if chunk.state != ChunkState::Abandoned {
                    chunk.state = ChunkState::Acked;
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

    /// Whether `tsn` is in flight, last sent with packet `packet`.
    pub(super) fn is_in_flight(&self, tsn: Tsn, packet: Serial) -> bool {
        self.chunk(tsn).is_some_and(|chunk| chunk.packet == packet && chunk.state == ChunkState::InFlight)
    }

    /// Counts `tsn`, which is in flight, as lost: its bytes, chunk header included.
    pub(super) fn lose(&mut self, tsn: Tsn) -> usize {
        let at = tsn.since(self.cumulative.next());
        let Some(chunk) = at.and_then(|at| self.chunks.get_mut(at)) else { return 0 };
        if chunk.state != ChunkState::InFlight {
            return 0;
        }
        chunk.state = ChunkState::Lost;
        let cut = chunk.cut;
        self.leave_flight(&cut);
        self.lost.push_back(tsn);
        wire_len(self.header_len, &cut)
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

    /// Takes back that chunks are lost: every transmission in flight after it.
    pub(super) fn find_all(&mut self) -> Vec<(Tsn, Serial)> {
        self.lost.clear();
        let mut transmissions = Vec::new();
        for (at, chunk) in self.chunks.iter_mut().enumerate() {
            if chunk.state == ChunkState::Lost {
                chunk.state = ChunkState::InFlight;
                self.in_flight += wire_len(self.header_len, &chunk.cut);
                self.in_flight_payload += usize::from(chunk.cut.len);
                self.in_flight_chunks += 1;
            }
            if chunk.state == ChunkState::InFlight {
                transmissions.push((self.cumulative.plus(at + 1), chunk.packet));
            }
        }
        transmissions
    }

    /// The first lost chunk: its length, and whether its message is to be given up instead.
    pub(super) fn next_lost(&mut self, now: Instant, partial_reliability: bool) -> Option<LostChunk> {
        loop {
            let tsn = *self.lost.front()?;
            let chunk = self.chunk(tsn);
            let Some(chunk) = chunk.filter(|chunk| chunk.state == ChunkState::Lost) else {
                self.lost.pop_front();
                continue;
            };
            let give_up = partial_reliability && !self.may_repeat(chunk, now);
            return Some(LostChunk {
                tsn,
                len: chunk.cut.len.into(),
                message: chunk.message,
                packet: chunk.packet,
                give_up,
            });
        }
    }

    /// Whether the chunk in flight with the greatest TSN may be sent again.
    pub(super) fn repeats_last(&self, now: Instant, partial_reliability: bool) -> bool {
        let last = self.chunks.iter().rfind(|chunk| chunk.state == ChunkState::InFlight);
        last.is_some_and(|chunk| !partial_reliability || self.may_repeat(chunk, now))
    }

    /// The chunk in flight with the greatest TSN, where it may be sent again to probe the path: as lost.
    pub(super) fn lose_last(&mut self, now: Instant, partial_reliability: bool) -> Option<LostChunk> {
        if !self.repeats_last(now, partial_reliability) {
            return None;
        }
        let at = self.chunks.iter().rposition(|chunk| chunk.state == ChunkState::InFlight)?;
        let tsn = self.cumulative.plus(at + 1);
        self.lose(tsn);
        self.lost.pop_back();
        self.lost.push_front(tsn);
        self.next_lost(now, partial_reliability)
    }

    /// Sends the first lost chunk again, with packet `packet`.
    pub(super) fn retransmit(&mut self, lost: &LostChunk, packet: Serial) -> Option<Fragment<'_>> {
        self.lost.pop_front();
        let at = lost.tsn.since(self.cumulative.next())?;
        let chunk = self.chunks.get_mut(at)?;
        chunk.state = ChunkState::InFlight;
        chunk.transmissions = chunk.transmissions.saturating_add(1);
        chunk.packet = packet;
        let (cut, ending) = (chunk.cut, chunk.ending);
        self.in_flight += wire_len(self.header_len, &cut);
        self.in_flight_payload += usize::from(cut.len);
        self.in_flight_chunks += 1;
        Some(self.messages.get(lost.message)?.fragment(lost.tsn, &cut, ending))
    }

    /// Whether a message that is being cut, or of which something is lost, had its time.
    pub(super) fn is_expired(&self, key: MessageKey, now: Instant) -> bool {
        let Some(message) = self.messages.get(key).filter(|message| message.is_expired(now)) else {
            return false;
        };
        let lost = |(first, last): (Tsn, Tsn)| {
            let first = first.max(self.cumulative.next());
            indices(self.cumulative, first, last, self.chunks.len()).is_some_and(|range| {
                self.chunks.range(range).any(|chunk| chunk.message == key && chunk.state == ChunkState::Lost)
            })
        };
        !message.abandoned && (message.rest() > 0 || message.tsns.is_some_and(lost))
    }

    /// Gives up a message: none of its chunks is sent again, and its rest not at all. Where its end has no TSN yet,
    /// one is spent that FORWARD TSN can skip, so that the receiver lets go of the beginning. `settled` is told the
    /// packets of its chunks.
    pub(super) fn abandon(&mut self, key: MessageKey, mut settled: impl FnMut(Serial)) -> Option<Uncut> {
        let next_tsn = self.next_tsn();
        let message = self.messages.get_mut(key)?;
        if message.abandoned {
            return None;
        }
        message.abandoned = true;
        self.abandoned_messages += 1;
        let rest = message.rest();
        let uncut = (rest > 0).then_some(Uncut { stream: message.stream, len: rest });
        if uncut.is_some() {
            message.span(next_tsn);
            message.chunks += 1;
        }
        let (first, last) = message.tsns?;
        let first = first.max(self.cumulative.next());
        let last = if uncut.is_some() { last.prev() } else { last };
        let header_len = self.header_len;
        for at in indices(self.cumulative, first, last, self.chunks.len()).into_iter().flatten() {
            let Some(chunk) = self.chunks.get_mut(at).filter(|chunk| chunk.message == key) else { continue };
            if chunk.state == ChunkState::InFlight {
                self.in_flight -= wire_len(header_len, &chunk.cut);
                self.in_flight_payload -= usize::from(chunk.cut.len);
                self.in_flight_chunks -= 1;
            }
            if matches!(chunk.state, ChunkState::InFlight | ChunkState::Lost) {
                settled(chunk.packet);
            }
            chunk.state = ChunkState::Abandoned;
        }
        if uncut.is_some() {
            self.chunks.push_back(SentChunk {
                message: key,
                cut: Cut { offset: 0, len: 0, fsn: 0 },
                transmissions: 0,
                state: ChunkState::Abandoned,
                ending: true,
                packet: 0,
            });
        }
        uncut
    }

    /// Moves the advanced point over what was given up; whether it moved.
    pub(super) fn advance(&mut self) -> bool {
        let before = self.advanced;
        while let Some(at) = self.advanced.next().since(self.cumulative.next())
            && self.chunks.get(at).is_some_and(|chunk| chunk.state == ChunkState::Abandoned)
        {
            self.advanced = self.advanced.next();
        }
        self.advanced > before
    }

    /// Whether the peer is still to be told of the advanced point.
    pub(super) fn is_ahead(&self) -> bool {
        self.advanced > self.cumulative
    }

    /// The point that FORWARD TSN tells, with the last message skipped of each kind in each stream. It lies lower
    /// where more than `max_streams` would have to be named.
    pub(super) fn forward(&self, max_streams: usize, unordered_too: bool) -> (Tsn, Vec<Skipped>) {
        let mut skipped: Vec<Skipped> = Vec::new();
        let mut last_key = None;
        let mut point = self.cumulative;
        for chunk in &self.chunks {
            if point >= self.advanced {
                break;
            }
            point = point.next();
            if last_key == Some(chunk.message) {
                continue;
            }
            last_key = Some(chunk.message);
            let Some(message) = self.messages.get(chunk.message) else { continue };
            if !message.ordered && !unordered_too {
                continue;
            }
            let (stream, unordered, mid) = (message.stream, !message.ordered, message.mid);
            let same = |known: &Skipped| known.stream == stream && known.unordered == unordered;
            if let Some(known) = skipped.iter_mut().find(|known| same(known)) {
                if mid.wrapping_sub(known.mid) as i32 > 0 {
                    known.mid = mid;
                }
            } else if skipped.len() < max_streams {
                skipped.push(Skipped { stream, unordered, mid });
            } else {
                return (point.prev(), skipped);
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

    /// Whether something beyond the cumulative point is acknowledged.
    pub(super) fn has_gaps(&self) -> bool {
        !self.acked.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.chunks.len()
    }

    pub(super) fn has_message(&self, key: MessageKey) -> bool {
        self.messages.get(key).is_some()
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

    fn may_repeat(&self, chunk: &SentChunk, now: Instant) -> bool {
        self.messages.get(chunk.message).is_some_and(|message| match message.until {
            GiveUp::Never => true,
            GiveUp::Retransmissions(most) => chunk.transmissions <= most,
            GiveUp::At(at) => at > now,
        })
    }

    fn chunk(&self, tsn: Tsn) -> Option<&SentChunk> {
        self.chunks.get(tsn.since(self.cumulative.next())?)
    }

    fn leave_flight(&mut self, cut: &Cut) {
        self.in_flight -= wire_len(self.header_len, cut);
        self.in_flight_payload -= usize::from(cut.len);
        self.in_flight_chunks -= 1;
    }
}

/// A lost chunk whose turn it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct LostChunk {
    pub(super) tsn: Tsn,
    /// Bytes of user data.
    pub(super) len: usize,
    pub(super) message: MessageKey,
    /// Packet that carried it last.
    pub(super) packet: Serial,
    /// Whether the message is to be given up.
    pub(super) give_up: bool,
}

/// Messages up to this one are skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Skipped {
    pub(super) stream: StreamId,
    pub(super) unordered: bool,
    pub(super) mid: u32,
}

impl NewlyAcked {
    pub(super) fn clear(&mut self) {
        self.chunks.clear();
        (self.bytes, self.cumulative_moved) = (0, false);
    }

    fn add(&mut self, tsn: Tsn, chunk: &SentChunk, header_len: usize) {
        let was_lost = match chunk.state {
            ChunkState::InFlight => false,
            ChunkState::Lost => true,
            ChunkState::Acked | ChunkState::Abandoned => return,
        };
        self.bytes += wire_len(header_len, &chunk.cut);
        let (packet, transmissions) = (chunk.packet, chunk.transmissions);
        self.chunks.push(AckedChunk { tsn, packet, transmissions, was_lost });
    }
}

/// Bytes that a chunk takes in a packet.
fn wire_len(header_len: usize, cut: &Cut) -> usize {
    header_len + usize::from(cut.len).next_multiple_of(4)
}

/// Places of `first..=last` in a queue of `len` whose first has the TSN after `cumulative`.
fn indices(cumulative: Tsn, first: Tsn, last: Tsn, len: usize) -> Option<RangeInclusive<usize>> {
    let (from, to) = (first.since(cumulative.next())?, last.since(cumulative.next())?);
    (from <= to && to < len).then_some(from..=to)
}
