//! Messages put together from I-DATA (RFC 8260 §2.1).

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::{OVERHEAD, trimmed};
use crate::packet::IData;
use crate::stream_map::StreamMap;
use crate::{PayloadProtocolId, StreamId};

/// Messages of which some fragments arrived. Fragments come in any order; those in the order of the message go straight
/// to its end.
#[derive(Debug, Default)]
pub(super) struct Interleaved {
    ordered: StreamMap<Begun>,
    unordered: StreamMap<Begun>,
    charged: usize,
    /// Streams, and whether their unordered messages, where a message is not whole and a later one began.
    overtaken: BTreeSet<(StreamId, bool)>,
    /// Bytes of the last message that became whole: what a message that comes alone gets room for at once.
    last_size: usize,
}

/// The ordered or the unordered messages of a stream, by their numbers, which are extended so that they never wrap.
#[derive(Debug)]
struct Begun {
    partial: BTreeMap<u64, Partial>,
    /// The greatest number seen.
    newest: u64,
}

#[derive(Debug, Default)]
struct Partial {
    ppid: Option<PayloadProtocolId>,
    /// The fragments before `next`.
    bytes: Vec<u8>,
    next: u32,
    /// Later ones.
    ahead: BTreeMap<u32, Bytes>,
    /// Bytes of them.
    ahead_bytes: usize,
    /// The number of the last one, once it is known.
    last: Option<u32>,
}

/// What became of a fragment.
#[derive(Debug)]
pub(super) enum Joined {
    /// It waits for others.
    Held,
    /// With it the message is whole.
    Whole(PayloadProtocolId, Bytes),
    /// It contradicts what came before.
    Contradiction,
    /// The message is larger than announced.
    TooLarge,
}

impl Interleaved {
    /// Bytes that count against the receive window.
    pub(super) fn charged(&self) -> usize {
        self.charged
    }

    /// Adds a fragment that was not received before.
    pub(super) fn insert(&mut self, data: &IData<'_>, max_message: usize) -> Joined {
        // One message alone may take more memory than has arrived of it; among several none may.
        let is_alone = self.ordered.is_empty() && self.unordered.is_empty();
        let Self { ordered, unordered, charged, overtaken, last_size } = self;
        let streams = if data.unordered { unordered } else { ordered };
        if let (Some(ppid), true) = (data.ppid, data.ending) {
            if data.payload.len() > max_message {
                return Joined::TooLarge;
            }
            if streams.get_mut(&data.stream).is_some_and(|begun| begun.overtakes(data.mid)) {
                overtaken.insert((data.stream, data.unordered));
            }
            return Joined::Whole(ppid, Bytes::copy_from_slice(data.payload));
        }
        let begun = streams.entry(data.stream).or_insert_with(|| Begun::new(data.mid));
        if begun.overtakes(data.mid) {
            overtaken.insert((data.stream, data.unordered));
        }
        let number = begun.extend(data.mid);
        let partial = begun.partial.entry(number).or_insert_with(|| {
            *charged += OVERHEAD;
            Partial { bytes: Vec::with_capacity(if is_alone { *last_size } else { 0 }), ..Partial::default() }
        });
        let before = partial.charge();
        let joined = partial.add(data, max_message);
        *charged = *charged - before + partial.charge();
        if !partial.is_whole() {
            return joined;
        }
        let ppid = partial.ppid.unwrap_or(PayloadProtocolId(0));
        let bytes = std::mem::take(&mut partial.bytes);
        *charged -= bytes.len() + OVERHEAD;
        *last_size = bytes.len();
        begun.partial.remove(&number);
        if begun.partial.is_empty() {
            streams.remove(&data.stream);
        }
        Joined::Whole(ppid, trimmed(bytes))
    }

    /// Lets go of messages of a stream that will not be finished: up to `mid`, the numbers going in a circle.
    pub(super) fn skip(&mut self, stream: StreamId, unordered: bool, mid: u32) {
        let Some(begun) = self.streams(unordered).get_mut(&stream) else { return };
        let first = begun.extend(mid) + 1;
        self.drop_before(stream, unordered, first);
    }

    /// Everything that was sent so far has arrived: lets go of messages that are not whole although a later one of their
    /// stream began, and gives their number. A sender works on one message a stream at a time (RFC 8260 §2.2.2), so
    /// that nothing of them is to come; dcsctp breaks off a message that expires while it is being sent, without
    /// I-FORWARD-TSN.
    pub(super) fn drop_broken_off(&mut self) -> usize {
        let mut dropped = 0;
        while let Some((stream, unordered)) = self.overtaken.pop_first() {
            let newest = self.streams(unordered).get(&stream).map(|begun| begun.newest);
            dropped += newest.map_or(0, |newest| self.drop_before(stream, unordered, newest));
        }
        dropped
    }

    /// Lets go of all messages of these streams; without any, of all.
    pub(super) fn reset(&mut self, streams: &[StreamId]) {
        if streams.is_empty() {
            *self = Self::default();
        }
        for stream in streams {
            self.drop_before(*stream, false, u64::MAX);
            self.drop_before(*stream, true, u64::MAX);
        }
    }

    fn streams(&mut self, unordered: bool) -> &mut StreamMap<Begun> {
        if unordered { &mut self.unordered } else { &mut self.ordered }
    }

    /// Lets go of messages of a stream with numbers below `first`: how many they were.
    fn drop_before(&mut self, stream: StreamId, unordered: bool, first: u64) -> usize {
        let Some(begun) = self.streams(unordered).get_mut(&stream) else { return 0 };
        let later = begun.partial.split_off(&first);
        let dropped = std::mem::replace(&mut begun.partial, later);
        if begun.partial.is_empty() {
            self.streams(unordered).remove(&stream);
        }
        self.charged -= dropped.values().map(|partial| partial.charge() + OVERHEAD).sum::<usize>();
        dropped.len()
    }
}

impl Begun {
    /// Without messages; `mid` is the number of the first that will come.
    fn new(mid: u32) -> Self {
        Self { partial: BTreeMap::new(), newest: 1 << 32 | u64::from(mid) }
    }

    /// The number that is nearest to the newest.
    fn extend(&self, mid: u32) -> u64 {
        let distance = mid.wrapping_sub(self.newest as u32) as i32;
        self.newest.saturating_add_signed(distance.into())
    }

    /// A fragment of the message `mid` arrived; whether an earlier one is not whole.
    fn overtakes(&mut self, mid: u32) -> bool {
        let number = self.extend(mid);
        self.newest = self.newest.max(number);
        self.partial.first_key_value().is_some_and(|(first, _)| *first < number)
    }
}

impl Partial {
    fn add(&mut self, data: &IData<'_>, max_message: usize) -> Joined {
        let ends_before = self.last.is_some_and(|last| data.fsn >= last);
        if data.fsn < self.next || ends_before || self.ahead.contains_key(&data.fsn) {
            return Joined::Contradiction;
        }
        if data.ending {
            if self.ahead.last_key_value().is_some_and(|(fsn, _)| *fsn > data.fsn) {
                return Joined::Contradiction;
            }
            self.last = Some(data.fsn);
        }
        self.ppid = self.ppid.or(data.ppid);
        if self.bytes.len() + self.ahead_bytes + data.payload.len() > max_message {
            return Joined::TooLarge;
        }
        if data.fsn != self.next {
            self.ahead_bytes += data.payload.len();
            self.ahead.insert(data.fsn, Bytes::copy_from_slice(data.payload));
            return Joined::Held;
        }
        self.bytes.extend_from_slice(data.payload);
        self.next += 1;
        while let Some(payload) = self.ahead.remove(&self.next) {
            self.ahead_bytes -= payload.len();
            self.bytes.extend_from_slice(&payload);
            self.next += 1;
        }
        Joined::Held
    }

    fn is_whole(&self) -> bool {
        self.last.is_some_and(|last| self.next > last)
    }

    fn charge(&self) -> usize {
        self.bytes.len() + self.ahead_bytes + OVERHEAD * self.ahead.len()
    }
}

#[cfg(test)]
mod tests {
    use antiphon_util::Rng;

    use super::*;

    fn fragment(mid: u32, fsn: u32, ending: bool, payload: &[u8]) -> IData<'_> {
        let ppid = (fsn == 0).then_some(PayloadProtocolId(53));
        let (stream, unordered, immediate) = (StreamId(1), false, false);
        IData { tsn: 0, stream, mid, fsn, ppid, ending, unordered, immediate, payload }
    }

    #[test]
    fn fragments_of_several_messages_join_in_any_order() {
        let mut rng = Rng::from_test_seed(1);
        for _ in 0..100 {
            let mut all: Vec<(u32, u32)> = (0..4).flat_map(|mid| (0..6).map(move |fsn| (mid, fsn))).collect();
            let mut messages = Interleaved::default();
            let mut whole = 0;
            while !all.is_empty() {
                let (mid, fsn) = all.swap_remove(rng.below(all.len() as u64) as usize);
                let payload = [mid as u8, fsn as u8];
                match messages.insert(&fragment(mid, fsn, fsn == 5, &payload), 100) {
                    Joined::Whole(ppid, bytes) => {
                        assert_eq!(ppid, PayloadProtocolId(53));
                        let expected: Vec<u8> = (0..6).flat_map(|fsn| [mid as u8, fsn]).collect();
                        assert_eq!(bytes, expected);
                        whole += 1;
                    }
                    Joined::Held => {}
                    other => panic!("{other:?}"),
                }
            }
            assert_eq!((whole, messages.charged()), (4, 0));
        }
    }

    #[test]
    fn contradictions_and_messages_too_large_are_found() {
        let mut messages = Interleaved::default();
        messages.insert(&fragment(1, 0, false, b"a"), 100);
        assert!(matches!(messages.insert(&fragment(1, 0, false, b"b"), 100), Joined::Contradiction));
        messages.insert(&fragment(1, 3, true, b"d"), 100);
        assert!(matches!(messages.insert(&fragment(1, 4, false, b"e"), 100), Joined::Contradiction));
        assert!(matches!(messages.insert(&fragment(1, 2, true, b"e"), 100), Joined::Contradiction));
        assert!(matches!(messages.insert(&fragment(2, 0, false, &[0; 60]), 100), Joined::Held));
        assert!(matches!(messages.insert(&fragment(2, 2, false, &[0; 60]), 100), Joined::TooLarge));
    }

    #[test]
    fn what_was_broken_off_is_let_go_of_once_nothing_is_missing() {
        let mut messages = Interleaved::default();
        for mid in [u32::MAX, 0, 1] {
            messages.insert(&fragment(mid, 0, false, b"a"), 100);
        }
        let one = messages.charged() / 3;
        assert_eq!((messages.drop_broken_off(), messages.charged()), (2, one));
        assert_eq!((messages.drop_broken_off(), messages.charged()), (0, one), "the newest may be going on");
        assert!(matches!(messages.insert(&fragment(2, 0, true, b"a"), 100), Joined::Whole(..)));
        assert_eq!((messages.drop_broken_off(), messages.charged()), (1, 0));
    }

    #[test]
    fn only_a_message_alone_takes_more_memory_than_it_has_bytes_and_only_until_it_is_whole() {
        let mut messages = Interleaved::default();
        messages.insert(&fragment(1, 0, false, &[0; 1_000]), 10_000);
        messages.insert(&fragment(1, 1, true, &[0; 1_000]), 10_000);
        messages.insert(&fragment(2, 0, false, b"a"), 10_000);
        messages.insert(&fragment(3, 0, false, b"a"), 10_000);
        let partial = messages.ordered[&StreamId(1)].partial.values();
        let capacities: Vec<usize> = partial.map(|partial| partial.bytes.capacity()).collect();
        assert!(matches!(capacities[..], [2_000, 0..100]), "{capacities:?}");
        let Joined::Whole(_, bytes) = messages.insert(&fragment(2, 1, true, b"b"), 10_000) else { panic!() };
        assert_eq!(bytes, "ab");
        assert!(bytes.try_into_mut().unwrap().capacity() < 100);
    }

    #[test]
    fn what_is_skipped_is_let_go_of() {
        let mut messages = Interleaved::default();
        for mid in [u32::MAX, 0, 1, 2] {
            messages.insert(&fragment(mid, 1, false, b"a"), 100);
        }
        let one = messages.charged() / 4;
        messages.skip(StreamId(1), false, 1);
        assert_eq!(messages.charged(), one);
        messages.skip(StreamId(1), true, 9);
        messages.skip(StreamId(2), false, 9);
        assert_eq!(messages.charged(), one);
        messages.reset(&[StreamId(1)]);
        assert_eq!(messages.charged(), 0);
    }
}
