//! DATA and FORWARD TSN received: acknowledgement state, reassembly, order within streams.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use antiphon_util::Tally;
use bytes::Bytes;

use super::ack::Acknowledgement;
use super::ahead::{Ahead, Taken, Whole};
use super::{FragmentHeader, Inbox, MessageKey, OVERHEAD};
use crate::config::Config;
use crate::packet::{Data, ForwardTsn, GapBlock, PacketWriter, Sack};
use crate::ranges::Ranges;
use crate::stream_map::StreamMap;
use crate::tsn::Tsn;
use crate::{DropReason, PayloadProtocolId, StreamId};

/// The receiving half of an association.
///
/// DATA that continues where the last one ended goes straight to the end of the message being assembled. Fragments of
/// a message have consecutive TSNs (RFC 9260 §6.9), so that there is at most one such message.
#[derive(Debug)]
pub(crate) struct Receiver {
    bounds: Bounds,
    /// All TSNs up to this one were received or skipped.
    cumulative: Tsn,
    /// TSNs received beyond it.
    gaps: Ranges,
    ahead: Ahead,
    assembly: Option<Assembly>,
    /// Size of the last message assembled from fragments: what the next one is given room for.
    last_size: usize,
    streams: StreamMap<Order>,
    /// Bytes of messages that wait for earlier ones of their stream, overheads included.
    waiting: usize,
    duplicates: Vec<u32>,
    acknowledgement: Acknowledgement,
    /// Window last told to the peer.
    advertised: usize,
}

/// What of the configuration concerns this side.
#[derive(Debug)]
struct Bounds {
    window: usize,
    max_message: usize,
    max_tsn_ahead: usize,
    max_gap_blocks: usize,
    max_duplicates: usize,
    streams: u16,
    ack_delay: Duration,
}

/// The message at the cumulative point, so far.
#[derive(Debug)]
struct Assembly {
    key: MessageKey,
    ppid: PayloadProtocolId,
    bytes: Vec<u8>,
}

/// Order of one stream's messages.
#[derive(Debug, Default)]
struct Order {
    /// Sequence number of the next message to deliver, extended so that it never wraps.
    next: u64,
    /// Later messages that wait for it.
    waiting: BTreeMap<u64, (PayloadProtocolId, Bytes)>,
}

/// What became of DATA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Received {
    /// Taken.
    New,
    /// It had no effect.
    Dropped(DropReason),
    /// The peer breaks the protocol; the association cannot go on.
    Violation(&'static str),
}

impl Receiver {
    pub(crate) fn new(config: &Config, streams: u16, initial_tsn: u32) -> Self {
        let first = Tsn::initial(initial_tsn);
        let bounds = Bounds {
            window: config.window(),
            max_message: config.max_incoming_message,
            max_tsn_ahead: config.limits.max_tsn_ahead.min(u16::MAX.into()),
            max_gap_blocks: config.limits.max_gap_blocks,
            max_duplicates: config.limits.max_duplicates,
            streams,
            ack_delay: config.timing.ack_delay,
        };
        Self {
            advertised: bounds.window,
            bounds,
            cumulative: first.prev(),
            gaps: Ranges::default(),
            ahead: Ahead::new(first),
            assembly: None,
            last_size: 0,
            streams: StreamMap::default(),
            waiting: 0,
            duplicates: Vec::new(),
            acknowledgement: Acknowledgement::None,
        }
    }

    /// Takes one DATA chunk.
    pub(crate) fn handle_data(
        &mut self,
        data: &Data<'_>,
        inbox: &mut Inbox,
        drops: &mut Tally<DropReason>,
    ) -> Received {
        if data.payload.is_empty() {
            return Received::Violation("DATA without user data");
        }
        let tsn = self.cumulative.extend(data.tsn);
        if data.immediate {
            self.acknowledgement = Acknowledgement::Now;
        }
        if tsn <= self.cumulative || self.gaps.contains(tsn) {
            return self.duplicate(data.tsn);
        }
        // A TSN beyond the streams negotiated is acknowledged, not delivered (RFC 9260 §6.5).
        let valid = data.stream.0 < self.bounds.streams;
        if tsn != self.cumulative.next() {
            return self.receive_ahead(tsn, data, valid, inbox, drops);
        }
        if self.charged(inbox) + data.payload.len() + OVERHEAD > self.bound_in_order(inbox) {
            self.acknowledgement = Acknowledgement::Now;
            return Received::Dropped(DropReason::ReceiveBufferFull);
        }
        self.cumulative = tsn;
        self.ahead.advance();
        let mut received = if valid {
            self.append(FragmentHeader::of(data), data.payload, inbox, drops)
        } else {
            self.assembly = None;
            Received::Dropped(DropReason::InvalidStream)
        };
        if !self.gaps.is_empty() {
            self.acknowledgement = Acknowledgement::Now;
            if let violation @ Received::Violation(_) = self.drain(inbox, drops) {
                received = violation;
            }
        }
        received
    }

    /// Tells that a packet with DATA ended; called once a packet.
    pub(crate) fn end_of_data_packet(&mut self, now: Instant) {
        if self.gaps.is_empty() {
            self.acknowledgement.on_data_packet(now, self.bounds.ack_delay);
        } else {
            self.acknowledgement = Acknowledgement::Now;
        }
    }

    /// Skips what the peer abandoned (RFC 3758 §3.6).
    pub(crate) fn handle_forward_tsn(
        &mut self,
        forward: &ForwardTsn<'_>,
        inbox: &mut Inbox,
        drops: &mut Tally<DropReason>,
    ) -> Received {
        self.acknowledgement = Acknowledgement::Now;
        let to = self.cumulative.extend(forward.new_cumulative_tsn);
        if to <= self.cumulative {
            return Received::Dropped(DropReason::DuplicateData);
        }
        self.assembly = None;
        self.cumulative = to;
        self.gaps.remove_through(to);
        self.ahead.skip_to(to.next());
        for (stream, ssn) in forward.skipped() {
            if stream.0 < self.bounds.streams {
                self.skip_messages(stream, ssn, inbox);
            }
        }
        self.drain(inbox, drops)
    }

    /// The peer starts these streams afresh; without any, all (RFC 6525 §5.2.2).
    pub(crate) fn reset_streams(&mut self, streams: &[StreamId]) {
        let waiting = |order: Order| order.waiting.values().map(|(_, b)| b.len() + OVERHEAD).sum::<usize>();
        if streams.is_empty() {
            self.waiting = 0;
            self.streams.clear();
        }
        for stream in streams {
            self.waiting -= self.streams.remove(stream).map_or(0, waiting);
        }
    }

    /// Asks for a SACK at the next opportunity.
    pub(crate) fn acknowledge_now(&mut self) {
        self.acknowledgement = Acknowledgement::Now;
    }

    /// Messages were read: a window that opened by a quarter, or again, is worth telling.
    pub(crate) fn handle_read(&mut self, inbox: &Inbox) {
        let window = self.window(inbox);
        let opened = window.saturating_sub(self.advertised);
        let was_closed = self.advertised < self.bounds.window / 8;
        if opened > self.bounds.window / 4 || (was_closed && opened > self.bounds.window / 16) {
            self.acknowledgement = Acknowledgement::Now;
        }
    }

    /// Whether a SACK is to be sent even if nothing else is.
    pub(crate) fn wants_sack(&self) -> bool {
        self.acknowledgement == Acknowledgement::Now
    }

    /// Whether a SACK is worth its room in a packet that is sent anyway.
    pub(crate) fn has_sack(&self) -> bool {
        self.acknowledgement != Acknowledgement::None
    }

    /// When a delayed SACK is due.
    pub(crate) fn sack_due(&self) -> Option<Instant> {
        self.acknowledgement.deadline()
    }

    /// The delay has passed.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.sack_due().is_some_and(|at| at <= now) {
            self.acknowledgement = Acknowledgement::Now;
        }
    }

    /// Appends a SACK of what is known; needs 16 bytes at least.
    pub(crate) fn write_sack(&mut self, packet: &mut PacketWriter<'_>, inbox: &Inbox) {
        let room = packet.remaining();
        self.advertised = self.window(inbox);
        let offset = |tsn: Tsn| tsn.since(self.cumulative).and_then(|by| u16::try_from(by).ok());
        let gaps = self
            .gaps
            .iter()
            .map_while(|(start, end)| Some(GapBlock { start: offset(start)?, end: offset(end)? }));
        let (cumulative, window) = (self.cumulative.wire(), self.advertised as u32);
        Sack::write_parts(packet.chunks(), cumulative, window, gaps, &self.duplicates, room);
        self.duplicates.clear();
        self.acknowledgement = Acknowledgement::None;
    }

    /// All TSNs up to this one were received.
    pub(crate) fn cumulative(&self) -> Tsn {
        self.cumulative
    }

    /// Bytes held, overheads included.
    pub(crate) fn charged(&self, inbox: &Inbox) -> usize {
        let assembling = self.assembly.as_ref().map_or(0, |assembly| assembly.bytes.len());
        inbox.charged() + self.ahead.charged() + self.waiting + assembling
    }

    /// Bytes that may be held once the next fragment in order is taken. Beyond the window where only that fragment can
    /// free what is held: behind the first gap, or in a message of which nothing can be read yet.
    fn bound_in_order(&self, inbox: &Inbox) -> usize {
        let frees_others = !self.gaps.is_empty() || inbox.charged() == 0;
        if frees_others { 2 * self.bounds.window } else { self.bounds.window }
    }

    fn window(&self, inbox: &Inbox) -> usize {
        self.bounds.window.saturating_sub(self.charged(inbox))
    }

    fn duplicate(&mut self, tsn: u32) -> Received {
        // Reported at once (RFC 9260 §6.2).
        self.acknowledgement = Acknowledgement::Now;
        if self.duplicates.len() < self.bounds.max_duplicates {
            self.duplicates.push(tsn);
        }
        Received::Dropped(DropReason::DuplicateData)
    }

    fn receive_ahead(
        &mut self,
        tsn: Tsn,
        data: &Data<'_>,
        valid: bool,
        inbox: &mut Inbox,
        drops: &mut Tally<DropReason>,
    ) -> Received {
        self.acknowledgement = Acknowledgement::Now;
        let distance = tsn.since(self.cumulative).unwrap_or(usize::MAX);
        let many = self.gaps.len() >= self.bounds.max_gap_blocks && self.gaps.is_apart(tsn);
        if distance > self.bounds.max_tsn_ahead || many {
            return Received::Dropped(DropReason::DataTooFarAhead);
        }
        if self.charged(inbox) + data.payload.len() + OVERHEAD > self.bounds.window {
            return Received::Dropped(DropReason::ReceiveBufferFull);
        }
        self.gaps.insert(tsn, tsn, |_, _| {});
        let mut header = FragmentHeader::of(data);
        if !valid {
            (header.beginning, header.ending) = (true, true);
        }
        match self.ahead.insert(tsn, header, data.payload) {
            _ if !valid => return Received::Dropped(DropReason::InvalidStream),
            Some(whole) if whole.payload.len() > self.bounds.max_message => {
                return Received::Violation("message larger than announced");
            }
            Some(Whole { key, ppid, payload }) => self.deliver(key, ppid, payload, inbox, drops),
            None => {}
        }
        Received::New
    }

    /// Takes on what was received ahead and is now in order.
    fn drain(&mut self, inbox: &mut Inbox, drops: &mut Tally<DropReason>) -> Received {
        let Some(last) = self.gaps.take_front_at(self.cumulative.next()) else { return Received::New };
        while self.cumulative < last {
            self.cumulative = self.cumulative.next();
            match self.ahead.pop_received() {
                Some(Taken::Fragment(header, payload)) => match self.append(header, &payload, inbox, drops) {
                    Received::New => {}
                    Received::Dropped(reason) => drops.count(reason),
                    violation @ Received::Violation(_) => return violation,
                },
                Some(Taken::Done) => {}
                None => self.ahead.advance(),
            }
        }
        Received::New
    }

    /// Takes the fragment at the cumulative point.
    fn append(
        &mut self,
        header: FragmentHeader,
        payload: &[u8],
        inbox: &mut Inbox,
        drops: &mut Tally<DropReason>,
    ) -> Received {
        if header.beginning {
            if let Some(Assembly { key, .. }) = self.assembly.take() {
                // The peer broke a message off and began another. dcsctp does it to a message that expires while it
                // is being sent, without FORWARD TSN; later ones of the stream must not wait for it.
                drops.count(DropReason::OrphanFragment);
                if !key.unordered {
                    self.skip_messages(key.stream, key.ssn, inbox);
                }
            }
            if header.ending {
                if payload.len() > self.bounds.max_message {
                    return Received::Violation("message larger than announced");
                }
                self.deliver(header.key, header.ppid, Bytes::copy_from_slice(payload), inbox, drops);
                return Received::New;
            }
            let mut bytes = Vec::with_capacity(self.last_size.max(payload.len()));
            bytes.extend_from_slice(payload);
            self.assembly = Some(Assembly { key: header.key, ppid: header.ppid, bytes });
            return Received::New;
        }
        let Some(assembly) = self.assembly.as_mut().filter(|assembly| assembly.key == header.key) else {
            self.assembly = None;
            return Received::Dropped(DropReason::OrphanFragment);
        };
        if assembly.bytes.len() + payload.len() > self.bounds.max_message {
            return Received::Violation("message larger than announced");
        }
        assembly.bytes.extend_from_slice(payload);
        if header.ending
            && let Some(Assembly { key, ppid, mut bytes }) = self.assembly.take()
        {
            self.last_size = bytes.len();
            if bytes.capacity() > 2 * bytes.len() {
                bytes.shrink_to_fit();
            }
            self.deliver(key, ppid, bytes.into(), inbox, drops);
        }
        Received::New
    }

    /// Hands a whole message to the inbox, or lets it wait for earlier ones of its stream.
    fn deliver(
        &mut self,
        key: MessageKey,
        ppid: PayloadProtocolId,
        payload: Bytes,
        inbox: &mut Inbox,
        drops: &mut Tally<DropReason>,
    ) {
        if key.unordered {
            inbox.push(key.stream, ppid, payload);
            return;
        }
        let order = self.streams.entry(key.stream).or_default();
        let Some(ssn) = order.extend(key.ssn) else {
            drops.count(DropReason::OldMessage);
            return;
        };
        if ssn != order.next {
            let charge = payload.len() + OVERHEAD;
            match order.waiting.entry(ssn) {
                std::collections::btree_map::Entry::Vacant(slot) => {
                    slot.insert((ppid, payload));
                    self.waiting += charge;
                }
                std::collections::btree_map::Entry::Occupied(_) => drops.count(DropReason::OldMessage),
            }
            return;
        }
        order.next += 1;
        inbox.push(key.stream, ppid, payload);
        if !order.waiting.is_empty() {
            self.waiting -= order.release(key.stream, inbox);
        }
    }

    /// Messages of `stream` up to `ssn` will not come; those that did are delivered.
    fn skip_messages(&mut self, stream: StreamId, ssn: u16, inbox: &mut Inbox) {
        let order = self.streams.entry(stream).or_default();
        let Some(last) = order.extend(ssn) else { return };
        let later = order.waiting.split_off(&(last + 1));
        for (_, (ppid, payload)) in std::mem::replace(&mut order.waiting, later) {
            self.waiting -= payload.len() + OVERHEAD;
            inbox.push(stream, ppid, payload);
        }
        order.next = last + 1;
        self.waiting -= order.release(stream, inbox);
    }
}

impl Order {
    /// The sequence number `ssn` in full, `None` where it lies before the next one.
    fn extend(&self, ssn: u16) -> Option<u64> {
        let ahead = ssn.wrapping_sub(self.next as u16);
        (ahead < 0x8000).then(|| self.next + u64::from(ahead))
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
