//! Puts handshake messages together from fragments that come in any order, more than once, and overlapping
//! (RFC 6347 §4.2.3).

use std::collections::VecDeque;

use crate::Limits;
use crate::message::{Fragment, Kind, Message};
use crate::pieces::Pieces;

/// What became of a fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Insertion {
    /// It is held.
    Held,
    /// Its message was handed out before; `Repeated(0)` is the message before the awaited one.
    Repeated(u16),
    /// It is beyond a limit, or at odds with other fragments of its message.
    Refused,
}

/// The handshake messages from the awaited one on.
#[derive(Debug)]
pub(crate) struct Reassembly {
    limits: Limits,
    /// The message_seq of the awaited message; 65,536 once all have come.
    next: u32,
    slots: VecDeque<Option<Partial>>,
}

impl Reassembly {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, next: 0, slots: VecDeque::new() }
    }

    /// The message to begin with.
    pub(crate) fn skip_to(&mut self, sequence: u16) {
        self.next = sequence.into();
    }

    pub(crate) fn insert(&mut self, fragment: &Fragment<'_>) -> Insertion {
        let sequence = u32::from(fragment.sequence);
        let Some(ahead) = sequence.checked_sub(self.next) else {
            return Insertion::Repeated((self.next - 1 - sequence) as u16);
        };
        let ahead = ahead as usize;
        if ahead >= self.limits.messages || fragment.length > self.limits.message_size {
            return Insertion::Refused;
        }
        let held = self.held_bytes();
        while self.slots.len() <= ahead {
            self.slots.push_back(None);
        }
        let Some(slot) = self.slots.get_mut(ahead) else { return Insertion::Refused };
        if slot.is_none() {
            // The awaited message always has room, or what came ahead of it could keep it out.
            if ahead > 0 && held + fragment.length > self.limits.reassembly_bytes {
                return Insertion::Refused;
            }
            *slot = Some(Partial::new(fragment));
        }
        let is_added = slot.as_mut().is_some_and(|partial| partial.add(fragment, self.limits.pieces));
        if is_added { Insertion::Held } else { Insertion::Refused }
    }

    /// The awaited message, once it is whole.
    pub(crate) fn take_next(&mut self) -> Option<Message> {
        let whole = self.slots.front()?.as_ref().is_some_and(Partial::is_whole);
        let partial = if whole { self.slots.pop_front()?? } else { return None };
        let sequence = self.next as u16;
        self.next += 1;
        Some(Message { kind: partial.kind, sequence, body: partial.body })
    }

    /// Whether the fragment is of a message that was handed out before.
    pub(crate) fn is_repeated(&self, fragment: &Fragment<'_>) -> bool {
        u32::from(fragment.sequence) < self.next
    }

    /// Whether anything is held of a message whose kind `is_meant`.
    pub(crate) fn holds(&self, is_meant: impl Fn(Kind) -> bool) -> bool {
        self.slots.iter().flatten().any(|partial| is_meant(partial.kind))
    }

    /// Forgets what was held of the messages ahead, and of the awaited one.
    pub(crate) fn forget_held(&mut self) {
        self.slots = VecDeque::new();
    }

    /// Bytes of messages held ahead of the awaited one.
    fn held_bytes(&self) -> usize {
        self.slots.iter().skip(1).flatten().map(|partial| partial.body.len()).sum()
    }
}

/// A message of which some bytes have arrived.
#[derive(Debug)]
struct Partial {
    kind: Kind,
    body: Vec<u8>,
    /// What has arrived.
    pieces: Pieces,
}

impl Partial {
    fn new(fragment: &Fragment<'_>) -> Self {
        Self { kind: fragment.kind, body: vec![0; fragment.length], pieces: Pieces::default() }
    }

    /// Whether every byte has arrived.
    fn is_whole(&self) -> bool {
        self.pieces.covers(self.body.len())
    }

    /// Takes over the bytes that have not arrived yet; `false` where the fragment does not belong or makes too many
    /// pieces. What arrived first stays, whatever overlaps it.
    fn add(&mut self, fragment: &Fragment<'_>, limit: usize) -> bool {
        if fragment.kind != self.kind || fragment.length != self.body.len() {
            return false;
        }
        let new = fragment.offset..fragment.offset + fragment.bytes.len();
        let gaps = self.pieces.gaps(new.clone());
        if !self.pieces.insert(new.clone(), limit) {
            return false;
        }
        for gap in gaps {
            let from = fragment.bytes.get(gap.start - new.start..gap.end - new.start).unwrap_or_default();
            if let Some(to) = self.body.get_mut(gap) {
                to.copy_from_slice(from);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use antiphon_util::Rng;

    use super::*;

    const BODY: [u8; 1_000] = {
        let mut body = [0; 1_000];
        let mut at = 0;
        while at < body.len() {
            body[at] = (at % 251) as u8;
            at += 1;
        }
        body
    };

    fn fragment(sequence: u16, range: Range<usize>) -> Fragment<'static> {
        Fragment {
            kind: Kind::CERTIFICATE,
            length: BODY.len(),
            sequence,
            offset: range.start,
            bytes: &BODY[range],
        }
    }

    #[test]
    fn pieces_in_any_order_overlapping_and_repeated_make_the_message() {
        for seed in 0..200 {
            let mut rng = Rng::from_test_seed(seed);
            let mut reassembly = Reassembly::new(Limits::default());
            let message = loop {
                let start = rng.below(1_000) as usize;
                let end = (start + 1 + rng.below(200) as usize).min(1_000);
                assert_eq!(reassembly.insert(&fragment(0, start..end)), Insertion::Held, "seed {seed}");
                if let Some(message) = reassembly.take_next() {
                    break message;
                }
            };
            assert_eq!(message.body, BODY, "seed {seed}");
            assert_eq!(reassembly.insert(&fragment(0, 0..5)), Insertion::Repeated(0));
        }
    }

    #[test]
    fn the_last_message_number_is_the_last() {
        let mut reassembly = Reassembly { next: u16::MAX.into(), ..Reassembly::new(Limits::default()) };
        assert_eq!(reassembly.insert(&fragment(u16::MAX, 0..1_000)), Insertion::Held);
        assert_eq!(reassembly.take_next().map(|message| message.sequence), Some(u16::MAX));
        assert_eq!(reassembly.insert(&fragment(u16::MAX, 0..1_000)), Insertion::Repeated(0));
        assert_eq!(reassembly.insert(&fragment(0, 0..1_000)), Insertion::Repeated(u16::MAX));
        assert_eq!(reassembly.take_next(), None);
    }

    #[test]
    fn messages_come_out_in_order() {
        let mut reassembly = Reassembly::new(Limits::default());
        assert_eq!(reassembly.insert(&fragment(2, 0..1_000)), Insertion::Held);
        assert_eq!(reassembly.insert(&fragment(1, 0..1_000)), Insertion::Held);
        assert_eq!(reassembly.take_next(), None);
        assert_eq!(reassembly.insert(&fragment(0, 0..1_000)), Insertion::Held);
        let order: Vec<u16> =
            std::iter::from_fn(|| reassembly.take_next()).map(|message| message.sequence).collect();
        assert_eq!(order, [0, 1, 2]);
        assert_eq!(reassembly.insert(&fragment(0, 0..5)), Insertion::Repeated(2));
    }

    #[test]
    fn an_empty_message_is_whole_at_once_and_empty_pieces_add_nothing() {
        let mut reassembly = Reassembly::new(Limits::default());
        let done = Fragment { kind: Kind::SERVER_HELLO_DONE, length: 0, sequence: 0, offset: 0, bytes: &[] };
        assert_eq!(reassembly.insert(&done), Insertion::Held);
        assert_eq!(reassembly.take_next().map(|message| message.body), Some(vec![]));
        for _ in 0..1_000 {
            assert_eq!(reassembly.insert(&fragment(1, 7..7)), Insertion::Held);
        }
        assert_eq!(reassembly.take_next(), None);
    }

    #[test]
    fn what_arrived_first_stays_and_contradictions_are_refused() {
        let mut reassembly = Reassembly::new(Limits::default());
        assert_eq!(reassembly.insert(&fragment(0, 0..500)), Insertion::Held);
        let lie = Fragment { bytes: &[0xee; 700], ..fragment(0, 0..700) };
        assert_eq!(reassembly.insert(&lie), Insertion::Held);
        assert_eq!(reassembly.insert(&Fragment { length: 999, ..fragment(0, 0..9) }), Insertion::Refused);
        assert_eq!(
            reassembly.insert(&Fragment { kind: Kind::FINISHED, ..fragment(0, 0..9) }),
            Insertion::Refused
        );
        assert_eq!(reassembly.insert(&fragment(0, 600..1_000)), Insertion::Held);
        let body = reassembly.take_next().unwrap().body;
        assert_eq!(body[..500], BODY[..500]);
        assert_eq!(body[500..700], [0xee; 200]);
        assert_eq!(body[700..], BODY[700..]);
    }

    #[test]
    fn limits_hold_at_the_bound_and_ten_times_over() {
        let limits = Limits {
            message_size: 1_000,
            messages: 3,
            reassembly_bytes: 1_500,
            pieces: 4,
            ..Limits::default()
        };
        let mut reassembly = Reassembly::new(limits);
        assert_eq!(reassembly.insert(&fragment(1, 0..9)), Insertion::Held);
        assert_eq!(reassembly.insert(&fragment(2, 0..9)), Insertion::Refused, "bytes ahead");
        assert_eq!(reassembly.insert(&Fragment { length: 500, ..fragment(2, 0..9) }), Insertion::Held);
        for beyond in [3, 30] {
            assert_eq!(reassembly.insert(&fragment(beyond, 0..9)), Insertion::Refused, "messages ahead");
        }
        for beyond in [1_001, 10_000] {
            assert_eq!(
                reassembly.insert(&Fragment { length: beyond, ..fragment(0, 0..9) }),
                Insertion::Refused
            );
        }
        for piece in 0..40 {
            let expected = if piece < 4 { Insertion::Held } else { Insertion::Refused };
            assert_eq!(reassembly.insert(&fragment(0, piece * 20..piece * 20 + 10)), expected, "pieces");
        }
        assert_eq!(
            reassembly.insert(&fragment(0, 0..1_000)),
            Insertion::Held,
            "what joins the pieces is welcome"
        );
        assert_eq!(reassembly.take_next().map(|message| message.body), Some(BODY.to_vec()));
    }
}
