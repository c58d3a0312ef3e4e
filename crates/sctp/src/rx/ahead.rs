//! Fragments received ahead of the cumulative point, while a gap before them is open.

use std::collections::VecDeque;

use bytes::Bytes;

use super::{FragmentHeader, MessageKey, OVERHEAD};
use crate::PayloadProtocolId;
use crate::tsn::Tsn;

/// One slot a TSN, from the first that is missing. Neighbouring fragments of one message form a run; both ends of a
/// run know the other end, so that adding a fragment and finding a whole message take constant time.
#[derive(Debug)]
pub(super) struct Ahead {
    /// TSN of the first slot.
    base: Tsn,
    slots: VecDeque<Slot>,
    charged: usize,
}

#[derive(Debug, Clone, Default)]
enum Slot {
    /// Not received.
    #[default]
    Missing,
    /// Received, of a message that is not whole.
    Held(Fragment),
    /// Received, of a message that was handed on.
    Done,
}

/// A fragment that waits.
#[derive(Debug, Clone)]
pub(super) struct Fragment {
    pub(super) header: FragmentHeader,
    pub(super) payload: Bytes,
    /// The other end of the run; kept at both ends of a run, stale inside.
    other_end: Tsn,
}

/// What the front slot held.
#[derive(Debug)]
pub(super) enum Taken {
    /// A fragment of a message that is not whole yet.
    Fragment(FragmentHeader, Bytes),
    /// Part of a message that was handed on before.
    Done,
}

/// A message that became whole while it was ahead.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) key: MessageKey,
    pub(super) ppid: PayloadProtocolId,
    pub(super) payload: Bytes,
}

impl Ahead {
    /// Nothing is held; `base` is the first missing TSN.
    pub(super) fn new(base: Tsn) -> Self {
        Self { base, slots: VecDeque::new(), charged: 0 }
    }

    /// Bytes that count against the receive window.
    pub(super) fn charged(&self) -> usize {
        self.charged
    }

    /// Adds a fragment that was not received before and gives the message that it completes.
    pub(super) fn insert(&mut self, tsn: Tsn, header: FragmentHeader, payload: &[u8]) -> Option<Whole> {
        let at = tsn.since(self.base)?;
        if self.slots.len() <= at {
            self.slots.resize(at + 1, Slot::Missing);
        }
        if header.beginning && header.ending {
            *self.slots.get_mut(at)? = Slot::Done;
            let payload = Bytes::copy_from_slice(payload);
            return Some(Whole { key: header.key, ppid: header.ppid, payload });
        }
        self.charged += payload.len() + OVERHEAD;
        let first = match self.held(tsn.prev()) {
            Some(left) if !header.beginning && !left.header.ending && left.header.key == header.key => {
                left.other_end
            }
            _ => tsn,
        };
        let last = match self.held(tsn.next()) {
            Some(right) if !header.ending && !right.header.beginning && right.header.key == header.key => {
                right.other_end
            }
            _ => tsn,
        };
        let payload = Bytes::copy_from_slice(payload);
        *self.slots.get_mut(at)? = Slot::Held(Fragment { header, payload, other_end: last });
        let begins = self.held_mut(first).is_some_and(|fragment| {
            fragment.other_end = last;
            fragment.header.beginning
        });
        let ends = self.held_mut(last).is_some_and(|fragment| {
            fragment.other_end = first;
            fragment.header.ending
        });
        if begins && ends { self.assemble(first, last) } else { None }
    }

    /// Takes the front slot where its TSN was received; the base moves on by one.
    pub(super) fn pop_received(&mut self) -> Option<Taken> {
        let taken = match self.slots.front_mut()? {
            Slot::Missing => return None,
            Slot::Done => Taken::Done,
            Slot::Held(fragment) => {
                self.charged -= fragment.payload.len() + OVERHEAD;
                Taken::Fragment(fragment.header, std::mem::take(&mut fragment.payload))
            }
        };
        self.slots.pop_front();
        self.base = self.base.next();
        Some(taken)
    }

    /// Moves the base over one TSN that is not held here, because it was just received in order.
    pub(super) fn advance(&mut self) {
        self.slots.pop_front();
        self.base = self.base.next();
    }

    /// Gives up all before `base`, received or not.
    pub(super) fn skip_to(&mut self, base: Tsn) {
        while self.base < base {
            match self.slots.pop_front() {
                Some(Slot::Held(fragment)) => self.charged -= fragment.payload.len() + OVERHEAD,
                Some(_) => {}
                None => break,
            }
            self.base = self.base.next();
        }
        self.base = self.base.max(base);
    }

    /// Hands on the run `first..=last`, which is a whole message.
    fn assemble(&mut self, first: Tsn, last: Tsn) -> Option<Whole> {
        let (from, to) = (first.since(self.base)?, last.since(self.base)?);
        let size = self.slots.range(from..=to).map(|slot| slot.payload().len()).sum();
        let mut payload = Vec::with_capacity(size);
        let mut head = None;
        for slot in self.slots.range_mut(from..=to) {
            if let Slot::Held(fragment) = std::mem::replace(slot, Slot::Done) {
                self.charged -= fragment.payload.len() + OVERHEAD;
                payload.extend_from_slice(&fragment.payload);
                head.get_or_insert(fragment.header);
            }
        }
        head.map(|header| Whole { key: header.key, ppid: header.ppid, payload: payload.into() })
    }

    fn held(&self, tsn: Tsn) -> Option<&Fragment> {
        match self.slots.get(tsn.since(self.base)?)? {
            Slot::Held(fragment) => Some(fragment),
            Slot::Missing | Slot::Done => None,
        }
    }

    fn held_mut(&mut self, tsn: Tsn) -> Option<&mut Fragment> {
        match self.slots.get_mut(tsn.since(self.base)?)? {
            Slot::Held(fragment) => Some(fragment),
            Slot::Missing | Slot::Done => None,
        }
    }
}

impl Slot {
    fn payload(&self) -> &[u8] {
        match self {
            Slot::Held(fragment) => &fragment.payload,
            Slot::Missing | Slot::Done => &[],
        }
    }
}
