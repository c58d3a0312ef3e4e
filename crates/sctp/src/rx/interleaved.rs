//! Messages put together from I-DATA (RFC 8260 §2.1).

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;

use super::{MessageKey, OVERHEAD};
use crate::packet::IData;
use crate::{PayloadProtocolId, StreamId};

/// Messages of which some fragments arrived. Fragments come in any order; those in the order of the message go straight
/// to its end.
#[derive(Debug, Default)]
pub(super) struct Interleaved {
    partial: HashMap<MessageKey, Partial>,
    charged: usize,
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
        if let (Some(ppid), true) = (data.ppid, data.ending) {
            return if data.payload.len() > max_message {
                Joined::TooLarge
            } else {
                Joined::Whole(ppid, Bytes::copy_from_slice(data.payload))
            };
        }
        let key = MessageKey::of(data);
        let partial = self.partial.entry(key).or_insert_with(|| {
            self.charged += OVERHEAD;
            Partial::default()
        });
        let before = partial.charge();
        let joined = partial.add(data, max_message);
        self.charged = self.charged - before + partial.charge();
        if partial.is_whole() {
            let ppid = partial.ppid.unwrap_or(PayloadProtocolId(0));
            let bytes = std::mem::take(&mut partial.bytes);
            self.partial.remove(&key);
            self.charged -= bytes.len() + OVERHEAD;
            return Joined::Whole(ppid, bytes.into());
        }
        joined
    }

    /// Lets go of messages of a stream that will not be finished: up to `mid`, the numbers going in a circle.
    pub(super) fn skip(&mut self, stream: StreamId, unordered: bool, mid: u32) {
        self.retain(|key| {
            key.stream != stream || key.unordered != unordered || (mid.wrapping_sub(key.mid) as i32) < 0
        });
    }

    /// Lets go of all messages of these streams; without any, of all.
    pub(super) fn reset(&mut self, streams: &[StreamId]) {
        self.retain(|key| !streams.is_empty() && !streams.contains(&key.stream));
    }

    fn retain(&mut self, keep: impl Fn(&MessageKey) -> bool) {
        let charged = &mut self.charged;
        self.partial.retain(|key, partial| {
            let keep = keep(key);
            if !keep {
                *charged -= partial.charge() + OVERHEAD;
            }
            keep
        });
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
