//! DATA, I-DATA and FORWARD TSN received: acknowledgement state, reassembly, order within streams.

use std::time::{Duration, Instant};

use antiphon_util::Tally;
use bytes::Bytes;

use super::ack::Acknowledgement;
use super::ahead::{Ahead, Taken, Whole};
use super::interleaved::{Interleaved, Joined};
use super::order::{OldMessage, Orders};
use super::window::Window;
use super::{FragmentHeader, Inbox, MessageKey, OVERHEAD, trimmed};
use crate::config::Config;
use crate::packet::{Data, ForwardTsn, GapBlock, IData, IForwardTsn, PacketWriter, Sack};
use crate::ranges::Ranges;
use crate::tsn::Tsn;
use crate::{DropReason, PayloadProtocolId, StreamId};

/// The receiving half of an association.
///
/// DATA that continues where the last one ended goes straight to the end of the message being assembled. Fragments of
/// a message have consecutive TSNs (RFC 9260 §6.9), so that there is at most one such message. Fragments that come as
/// I-DATA name their message, and join it in any order.
#[derive(Debug)]
pub(crate) struct Receiver {
    bounds: Bounds,
    window: Window,
    /// All TSNs up to this one were received or skipped.
    cumulative: Tsn,
    /// TSNs received beyond it.
    gaps: Ranges,
    ahead: Ahead,
    assembly: Option<Assembly>,
    /// Size of the last message assembled from fragments: what the next one is given room for.
    last_size: usize,
    interleaved: Interleaved,
    orders: Orders,
    duplicates: Vec<u32>,
    acknowledgement: Acknowledgement,
    /// Window last told to the peer.
    advertised: usize,
}

/// What of the configuration concerns this side.
#[derive(Debug)]
struct Bounds {
    interleaving: bool,
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

/// What a receiver is made with, beside the configuration.
#[derive(Debug)]
pub(crate) struct ReceiverConfig {
    /// Streams that the peer may send on.
    pub(crate) streams: u16,
    /// The peer's first TSN.
    pub(crate) initial_tsn: u32,
    /// Whether the peer sends I-DATA.
    pub(crate) interleaving: bool,
    pub(crate) round_trip: Option<Duration>,
}

impl Receiver {
    pub(crate) fn new(config: &Config, receiver: &ReceiverConfig) -> Self {
        let first = Tsn::initial(receiver.initial_tsn);
        let window = Window::new(config.window(), config.limits.max_receive_window, receiver.round_trip);
        let bounds = Bounds {
            interleaving: receiver.interleaving,
            max_message: config.max_incoming_message,
            max_tsn_ahead: config.limits.max_tsn_ahead.min(u16::MAX.into()),
            max_gap_blocks: config.limits.max_gap_blocks,
            max_duplicates: config.limits.max_duplicates,
            streams: receiver.streams,
            ack_delay: config.timing.ack_delay,
        };
        Self {
            advertised: window.size(),
            orders: Orders::new(bounds.interleaving),
            bounds,
            window,
            cumulative: first.prev(),
            gaps: Ranges::default(),
            ahead: Ahead::new(first),
            assembly: None,
            last_size: 0,
            interleaved: Interleaved::default(),
            duplicates: Vec::new(),
            acknowledgement: Acknowledgement::First,
        }
    }

    /// Takes one DATA chunk.
    pub(crate) fn handle_data(
        &mut self,
        data: &Data<'_>,
        inbox: &mut Inbox,
        drops: &mut Tally<DropReason>,
    ) -> Received {
        if self.bounds.interleaving {
            return Received::Violation("DATA where I-DATA was agreed on");
        }
        let tsn = match self.admit(data.tsn, data.payload, data.immediate) {
            Ok(tsn) => tsn,
            Err(received) => return received,
        };
        // A TSN beyond the streams negotiated is acknowledged, not delivered (RFC 9260 §6.5).
        let valid = data.stream.0 < self.bounds.streams;
        if tsn != self.cumulative.next() {
            return self.receive_ahead(tsn, data, valid, inbox, drops);
        }
        if let Some(reason) = self.refusal(tsn, data.payload.len(), inbox) {
            self.acknowledgement = Acknowledgement::Now;
            return Received::Dropped(reason);
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

    /// Takes one I-DATA chunk.
    pub(crate) fn handle_i_data(
        &mut self,
        data: &IData<'_>,
        inbox: &mut Inbox,
        drops: &mut Tally<DropReason>,
    ) -> Received {
        if !self.bounds.interleaving {
            return Received::Violation("I-DATA that was not agreed on");
        }
        let tsn = match self.admit(data.tsn, data.payload, data.immediate) {
            Ok(tsn) => tsn,
            Err(received) => return received,
        };
        let in_order = tsn == self.cumulative.next();
        if let Some(reason) = self.refusal(tsn, data.payload.len(), inbox) {
            self.acknowledgement = Acknowledgement::Now;
            return Received::Dropped(reason);
        }
        if in_order {
            self.cumulative = tsn;
            if let Some(last) = self.gaps.take_front_at(tsn.next()) {
                self.cumulative = last;
                self.acknowledgement = Acknowledgement::Now;
            }
        } else {
            self.gaps.insert(tsn, tsn, |_, _| {});
            self.acknowledgement = Acknowledgement::Now;
        }
        if data.stream.0 >= self.bounds.streams {
            return Received::Dropped(DropReason::InvalidStream);
        }
        match self.interleaved.insert(data, self.bounds.max_message) {
            Joined::Held => {}
            Joined::Whole(ppid, payload) => {
                self.deliver(MessageKey::of(data), ppid, payload, inbox, drops);
            }
            Joined::Contradiction => return Received::Violation("fragments that contradict each other"),
            Joined::TooLarge => return Received::Violation("message larger than announced"),
        }
        self.pass_over_broken_off(inbox, drops);
        Received::New
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
        if self.bounds.interleaving {
            return Received::Violation("FORWARD TSN where I-FORWARD-TSN was agreed on");
        }
        if !self.skip_to(forward.new_cumulative_tsn) {
            return Received::Dropped(DropReason::DuplicateData);
        }
        // What is skipped may lie within an ordered message without being of it, which would be named: dcsctp takes a TSN to
        // stand for the end of a message that expired, wherever the next is free.
        let is_skipped = |assembly: &mut Assembly| {
            let MessageKey { stream, mid, unordered } = assembly.key;
            let reaches = |ssn: u16| ssn.wrapping_sub(mid as u16) as i16 >= 0;
            unordered || forward.skipped().any(|(named, ssn)| named == stream && reaches(ssn))
        };
        self.assembly.take_if(is_skipped);
        self.ahead.skip_to(self.cumulative.next());
        for (stream, ssn) in forward.skipped() {
            if stream.0 < self.bounds.streams {
                self.orders.skip(stream, ssn.into(), inbox);
            }
        }
        self.drain(inbox, drops)
    }

    /// Skips what the peer abandoned (RFC 8260 §2.3).
    pub(crate) fn handle_i_forward_tsn(
        &mut self,
        forward: &IForwardTsn<'_>,
        inbox: &mut Inbox,
        drops: &mut Tally<DropReason>,
    ) -> Received {
        if !self.bounds.interleaving {
            return Received::Violation("I-FORWARD-TSN that was not agreed on");
        }
        if !self.skip_to(forward.new_cumulative_tsn) {
            return Received::Dropped(DropReason::DuplicateData);
        }
        for (stream, unordered, mid) in
            forward.skipped().filter(|(stream, ..)| stream.0 < self.bounds.streams)
        {
            self.interleaved.skip(stream, unordered, mid);
            if !unordered {
                self.orders.skip(stream, mid, inbox);
            }
        }
        if let Some(last) = self.gaps.take_front_at(self.cumulative.next()) {
            self.cumulative = last;
        }
        self.pass_over_broken_off(inbox, drops);
        Received::New
    }

    /// The peer starts these streams afresh; without any, all (RFC 6525 §5.2.2).
    pub(crate) fn reset_streams(&mut self, streams: &[StreamId]) {
        self.interleaved.reset(streams);
        self.orders.reset(streams);
    }

    /// Asks for a SACK at the next opportunity.
    pub(crate) fn acknowledge_now(&mut self) {
        self.acknowledgement = Acknowledgement::Now;
    }

    /// A message of `len` bytes was read: a window that opened by a quarter, or again, is worth telling.
    pub(crate) fn handle_read(&mut self, now: Instant, len: usize, inbox: &Inbox) {
        self.window.handle_read(now, len + OVERHEAD);
        let (window, size) = (self.room(inbox), self.window.size());
        let opened = window.saturating_sub(self.advertised);
        let was_closed = self.advertised < size / 8;
        if opened > size / 4 || (was_closed && opened > size / 16) {
            self.acknowledgement = Acknowledgement::Now;
        }
    }

    /// The round trip was measured.
    pub(crate) fn measured(&mut self, round_trip: Duration) {
        self.window.measured(round_trip);
    }

    /// Whether a SACK is to be sent even if nothing else is.
    pub(crate) fn wants_sack(&self) -> bool {
        self.acknowledgement == Acknowledgement::Now
    }

    /// Whether a SACK is worth its room in a packet that is sent anyway.
    pub(crate) fn has_sack(&self) -> bool {
        self.acknowledgement.is_owed()
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
        self.advertised = self.room(inbox);
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
        inbox.charged()
            + self.ahead.charged()
            + self.interleaved.charged()
            + self.orders.charged()
            + assembling
    }

    /// The bytes that may be received now.
    pub(crate) fn room(&self, inbox: &Inbox) -> usize {
        self.window.size().saturating_sub(self.charged(inbox))
    }

    /// The window, whatever is held.
    pub(crate) fn window_size(&self) -> usize {
        self.window.size()
    }

    /// The TSN in full, of DATA that was not received before.
    fn admit(&mut self, tsn: u32, payload: &[u8], immediate: bool) -> Result<Tsn, Received> {
        if payload.is_empty() {
            return Err(Received::Violation("DATA without user data"));
        }
        let full = self.cumulative.extend(tsn);
        if immediate {
            self.acknowledgement = Acknowledgement::Now;
        }
        if full <= self.cumulative || self.gaps.contains(full) {
            return Err(self.duplicate(tsn));
        }
        Ok(full)
    }

    /// Why a fragment of `len` bytes cannot be taken.
    fn refusal(&self, tsn: Tsn, len: usize, inbox: &Inbox) -> Option<DropReason> {
        let in_order = tsn == self.cumulative.next();
        let distance = tsn.since(self.cumulative).unwrap_or(usize::MAX);
        let many = self.gaps.len() >= self.bounds.max_gap_blocks && self.gaps.is_apart(tsn);
        if !in_order && (distance > self.bounds.max_tsn_ahead || many) {
            return Some(DropReason::DataTooFarAhead);
        }
        // Beyond the window where only this fragment can free what is held: behind the first gap, or in a message while
        // nothing can be read.
        let frees_others = in_order && (!self.gaps.is_empty() || inbox.charged() == 0);
        let bound = if frees_others { 2 * self.window.size() } else { self.window.size() };
        (self.charged(inbox) + len + OVERHEAD > bound).then_some(DropReason::ReceiveBufferFull)
    }

    /// Moves the cumulative point to a TSN that the peer gave; whether it moved.
    fn skip_to(&mut self, tsn: u32) -> bool {
        self.acknowledgement = Acknowledgement::Now;
        let to = self.cumulative.extend(tsn);
        if to <= self.cumulative {
            return false;
        }
        self.cumulative = to;
        self.gaps.remove_through(to);
        true
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
        if let Some(reason) = self.refusal(tsn, data.payload.len(), inbox) {
            return Received::Dropped(reason);
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
                Some(Taken::Done) => self.break_off(inbox, drops),
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
            self.break_off(inbox, drops);
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
            if !header.key.unordered {
                // Its beginning will not come any more, and nothing may wait for it.
                self.orders.skip(header.key.stream, header.key.mid, inbox);
            }
            return Received::Dropped(DropReason::OrphanFragment);
        };
        if assembly.bytes.len() + payload.len() > self.bounds.max_message {
            return Received::Violation("message larger than announced");
        }
        assembly.bytes.extend_from_slice(payload);
        if header.ending
            && let Some(Assembly { key, ppid, bytes }) = self.assembly.take()
        {
            self.last_size = bytes.len();
            self.deliver(key, ppid, trimmed(bytes), inbox, drops);
        }
        Received::New
    }

    /// Once everything that was sent so far has arrived, no interleaved message has to wait for an earlier one of its
    /// stream.
    fn pass_over_broken_off(&mut self, inbox: &mut Inbox, drops: &mut Tally<DropReason>) {
        if self.gaps.is_empty() {
            (0..self.interleaved.drop_broken_off()).for_each(|_| drops.count(DropReason::OrphanFragment));
            self.orders.release_held_up(inbox);
        }
    }

    /// Another message follows the one being assembled: the peer broke it off. dcsctp does it to a message that expires
    /// while it is being sent, without FORWARD TSN; later ones of the stream must not wait for it.
    fn break_off(&mut self, inbox: &mut Inbox, drops: &mut Tally<DropReason>) {
        let Some(Assembly { key, .. }) = self.assembly.take() else { return };
        drops.count(DropReason::OrphanFragment);
        if !key.unordered {
            self.orders.skip(key.stream, key.mid, inbox);
        }
    }

    /// Hands a whole message on.
    fn deliver(
        &mut self,
        key: MessageKey,
        ppid: PayloadProtocolId,
        payload: Bytes,
        inbox: &mut Inbox,
        drops: &mut Tally<DropReason>,
    ) {
        if let Err(OldMessage) = self.orders.deliver(key, ppid, payload, inbox) {
            drops.count(DropReason::OldMessage);
        }
    }
}
