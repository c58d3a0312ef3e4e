//! Decides what DATA goes into the next packet, and what acknowledgements and time-outs mean.

use std::time::{Duration, Instant};

use super::outstanding::{NewlyAcked, Outstanding, Uncut};
use super::{RetransmissionTimeout, SendQueue};
use crate::congestion::{Acked, NewReno};
use crate::packet::{DATA_HEADER_LEN, Data, ForwardTsn, HEADER_LEN, PacketWriter, Sack};
use crate::tsn::Tsn;

/// The sending half of an association.
#[derive(Debug)]
pub(crate) struct Sender {
    outstanding: Outstanding,
    congestion: NewReno,
    recovery: Recovery,
    packet_size: usize,
    /// The peer's window as last advertised.
    peer_window: usize,
    /// Whether the peer knows FORWARD TSN; without it nothing is given up.
    partial_reliability: bool,
    /// Whether a FORWARD TSN is to be sent.
    forward_due: bool,
    /// Whether something was sent beyond the peer's window, to learn whether it is open.
    probing: bool,
    /// The chunk whose acknowledgement measures the round trip, one at a time.
    probe: Option<(Tsn, Instant)>,
    last_sent: Option<Instant>,
    /// When the retransmission timer expires.
    expiry: Option<Instant>,
    counts: Counts,
}

/// What this side counts.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Counts {
    pub(crate) retransmitted: u64,
    pub(crate) timeouts: u64,
    pub(crate) fast_recoveries: u64,
}

/// Loss detection by miss indications (RFC 9260 §7.2.4).
///
/// A chunk is lost once three SACKs newly acknowledged something above it. For chunks sent once that is the same as
/// lying below the third greatest of those "highest newly acked" TSNs, so that no chunk has a counter and none is
/// looked at twice.
#[derive(Debug)]
struct Recovery {
    /// The three greatest highest TSNs newly acknowledged, greatest first.
    highest: [Tsn; 3],
    /// Fast recovery lasts until everything below this is acknowledged.
    exit: Option<Tsn>,
    /// One packet of retransmissions may go out beyond the congestion window.
    retransmit_now: bool,
}

/// A SACK that acknowledges what was never sent, or nothing that is of interest any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InvalidSack {
    /// Older than what was handled.
    Old,
    /// Beyond what was sent.
    Beyond,
}

/// What a SACK did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SackOutcome {
    /// Whether it shows that the path works: new data, or a closed window that is probed.
    pub(crate) alive: bool,
}

impl Sender {
    pub(crate) fn new(packet_size: usize, initial_tsn: u32, peer_window: u32, forward_tsn: bool) -> Self {
        let before = Tsn::initial(initial_tsn).prev();
        Self {
            outstanding: Outstanding::new(initial_tsn),
            congestion: NewReno::new(packet_size),
            recovery: Recovery { highest: [before; 3], exit: None, retransmit_now: false },
            packet_size,
            peer_window: peer_window as usize,
            partial_reliability: forward_tsn,
            forward_due: false,
            probing: false,
            probe: None,
            last_sent: None,
            expiry: None,
            counts: Counts::default(),
        }
    }

    /// Whether [`Self::write_data`] would write something into an empty packet.
    pub(crate) fn has_data(&mut self, now: Instant, queue: &mut SendQueue) -> bool {
        self.give_up_due(now, queue);
        if self.forward_due {
            return true;
        }
        let lost = self.outstanding.next_lost(now, self.partial_reliability);
        let Some(len) = lost
            .map(|lost| lost.len)
            .or_else(|| self.outstanding.uncut().or_else(|| queue.next_len(now, self.partial_reliability)))
        else {
            return false;
        };
        let allowed = self.allows(len.min(self.full_fragment()));
        if lost.is_some() { allowed || self.recovery.retransmit_now } else { allowed }
    }

    /// Fills the packet with FORWARD TSN, retransmissions and new data, as the windows allow.
    pub(crate) fn write_data(
        &mut self,
        now: Instant,
        rto: &RetransmissionTimeout,
        packet: &mut PacketWriter<'_>,
        queue: &mut SendQueue,
    ) {
        self.age_window(now, rto);
        self.give_up_due(now, queue);
        if self.forward_due {
            self.write_forward_tsn(packet);
        }
        let before = self.outstanding.in_flight();
        self.probing |= self.peer_window < self.packet_size;
        self.write_lost(now, rto, packet, queue);
        self.write_new(now, packet, queue);
        if self.forward_due {
            self.write_forward_tsn(packet);
        }
        if self.outstanding.in_flight() != before {
            self.last_sent = Some(now);
        }
        if self.expiry.is_none() && self.waits() {
            self.restart_timer(now, rto);
        }
    }

    /// Handles a SACK (RFC 9260 §6.2.1).
    pub(crate) fn handle_sack(
        &mut self,
        now: Instant,
        sack: &Sack<'_>,
        rto: &mut RetransmissionTimeout,
    ) -> Result<SackOutcome, InvalidSack> {
        let cumulative = self.outstanding.cumulative().extend(sack.cumulative_tsn_ack);
        let end = self.outstanding.next_tsn();
        if cumulative < self.outstanding.cumulative() {
            return Err(InvalidSack::Old);
        }
        let beyond = |gap: &crate::packet::GapBlock| {
            gap.start == 0 || gap.start > gap.end || cumulative.plus(gap.end.into()) >= end
        };
        if cumulative >= end || sack.gaps().any(|gap| beyond(&gap)) {
            return Err(InvalidSack::Beyond);
        }
        let in_flight_before = self.outstanding.in_flight();
        let mut acked = NewlyAcked::default();
        self.outstanding.acknowledge_through(cumulative, &mut acked);
        for gap in sack.gaps() {
            let (first, last) = (cumulative.plus(gap.start.into()), cumulative.plus(gap.end.into()));
            self.outstanding.acknowledge_gap(first, last, &mut acked);
        }
        self.update_window(sack.a_rwnd as usize);
        self.measure(now, rto);
        self.recover(&acked);
        if acked.bytes > 0 {
            let in_recovery = self.recovery.exit.is_some();
            self.congestion.handle_ack(Acked { bytes: acked.bytes, in_flight_before, in_recovery });
        }
        self.forward_due |= acked.cumulative_moved && self.outstanding.advance();
        if !self.waits() {
            self.expiry = None;
        } else if acked.cumulative_moved || self.expiry.is_none() {
            self.restart_timer(now, rto);
        }
        // A window that takes no packet is closed, even if it is not 0: what is sent then is a probe (RFC 9260 §6.1 A).
        let probed = self.peer_window < self.packet_size;
        Ok(SackOutcome { alive: acked.bytes > 0 || acked.cumulative_moved || probed })
    }

    /// Takes the cumulative acknowledgement of a SHUTDOWN.
    pub(crate) fn handle_shutdown(&mut self, cumulative_tsn_ack: u32) -> Result<(), InvalidSack> {
        let cumulative = self.outstanding.cumulative().extend(cumulative_tsn_ack);
        if cumulative >= self.outstanding.next_tsn() {
            return Err(InvalidSack::Beyond);
        }
        self.outstanding.acknowledge_through(cumulative, &mut NewlyAcked::default());
        if !self.waits() {
            self.expiry = None;
        }
        Ok(())
    }

    /// When the retransmission timer (T3) expires.
    pub(crate) fn expiry(&self) -> Option<Instant> {
        self.expiry
    }

    /// T3 expired (RFC 9260 §6.3.3); `rto` has been backed off.
    pub(crate) fn handle_timeout(&mut self, now: Instant, rto: &RetransmissionTimeout) {
        self.counts.timeouts += 1;
        self.congestion.handle_timeout();
        self.outstanding.lose_all();
        self.recovery.exit = None;
        // Nothing sent before counts in a fast retransmission any more.
        self.recovery.highest = [self.outstanding.next_tsn(); 3];
        self.probe = None;
        self.forward_due |= self.outstanding.advance();
        self.restart_timer(now, rto);
    }

    /// Whether all that was sent is acknowledged.
    pub(crate) fn is_idle(&self) -> bool {
        self.outstanding.is_empty()
    }

    /// Whether a message was begun and not cut to its end.
    pub(crate) fn is_cutting(&self) -> bool {
        self.outstanding.uncut().is_some()
    }

    /// The last TSN that was assigned.
    pub(crate) fn last_tsn(&self) -> Tsn {
        self.outstanding.next_tsn().prev()
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    pub(crate) fn abandoned_messages(&self) -> u64 {
        self.outstanding.abandoned_messages()
    }

    pub(crate) fn congestion_window(&self) -> usize {
        self.congestion.window()
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.outstanding.in_flight()
    }

    pub(crate) fn peer_window(&self) -> usize {
        self.peer_window
    }

    /// Whether `len` bytes of user data may be sent now.
    fn allows(&self, len: usize) -> bool {
        let in_flight = self.outstanding.in_flight_payload();
        // With nothing in flight one chunk may go out whatever the window: it probes a closed one (RFC 9260 §6.1 A).
        let peer = in_flight == 0 || in_flight + len <= self.peer_window;
        peer && self.outstanding.in_flight() < self.congestion.window()
    }

    fn write_forward_tsn(&mut self, packet: &mut PacketWriter<'_>) {
        let Some(room) = packet.remaining().checked_sub(8) else { return };
        self.forward_due = false;
        if self.outstanding.advance() {
            let (to, skipped) = self.outstanding.forward(room / 4);
            ForwardTsn::write_parts(packet.chunks(), to.wire(), &skipped);
        }
    }

    fn write_lost(
        &mut self,
        now: Instant,
        rto: &RetransmissionTimeout,
        packet: &mut PacketWriter<'_>,
        queue: &mut SendQueue,
    ) {
        let mut wrote = false;
        while let Some(lost) = self.outstanding.next_lost(now, self.partial_reliability) {
            if lost.give_up {
                self.give_up(lost.message, queue);
                continue;
            }
            let fits = DATA_HEADER_LEN + lost.len <= packet.remaining();
            if !fits || !(self.recovery.retransmit_now || self.allows(lost.len)) {
                break;
            }
            if self.probe.is_some_and(|(tsn, _)| tsn == lost.tsn) {
                self.probe = None;
            }
            if lost.tsn == self.outstanding.cumulative().next() {
                self.expiry = None;
            }
            if let Some(data) = self.outstanding.retransmit(&lost) {
                self.counts.retransmitted += 1;
                wrote = true;
                // What is sent again is wanted urgently.
                Data { immediate: true, ..data }.write(packet.chunks());
            }
        }
        if wrote {
            self.recovery.retransmit_now = false;
        }
        // The timer starts anew with the earliest chunk (RFC 9260 §6.3.2 R1, §7.2.4).
        if self.expiry.is_none() && wrote {
            self.restart_timer(now, rto);
        }
    }

    fn write_new(&mut self, now: Instant, packet: &mut PacketWriter<'_>, queue: &mut SendQueue) {
        while let Some(room) = packet.remaining().checked_sub(DATA_HEADER_LEN + 1).map(|room| room + 1) {
            let room = room & !3;
            let (len, started) = match self.outstanding.uncut() {
                Some(len) => (len, true),
                None => match queue.next_len(now, self.partial_reliability) {
                    Some(len) => (len, false),
                    None => return,
                },
            };
            if !self.is_worth_cutting(len, room, packet.is_empty()) || !self.allows(len.min(room)) {
                return;
            }
            if !started && let Some(message) = queue.start() {
                self.outstanding.start(message);
            }
            let tsn = self.outstanding.next_tsn();
            // The last chunk for now: what follows waits for its acknowledgement, so it should come soon (RFC 7053).
            let chunk_len = len.min(room);
            let window_full =
                self.outstanding.in_flight() + chunk_len + DATA_HEADER_LEN >= self.congestion.window();
            let many = self.outstanding.in_flight_chunks() > 2;
            let Some(data) = self.outstanding.cut(room) else { return };
            let (stream, cut) = (data.stream, data.payload.len());
            Data { immediate: window_full && many, ..data }.write(packet.chunks());
            queue.sent(stream, cut);
            if self.probe.is_none() {
                self.probe = Some((tsn, now));
            }
        }
    }

    /// Whether a chunk of a message of which `len` bytes remain should go into `room`. A message that fits a packet
    /// is not split; a longer one fills the packet up, so that packets are full and of one size.
    fn is_worth_cutting(&self, len: usize, room: usize, empty: bool) -> bool {
        const LEAST: usize = 64;
        len <= room || empty || (len > self.full_fragment() && room >= LEAST)
    }

    fn full_fragment(&self) -> usize {
        self.packet_size - HEADER_LEN - DATA_HEADER_LEN
    }

    /// Gives up what is at the front and has had its time or its retransmissions.
    fn give_up_due(&mut self, now: Instant, queue: &mut SendQueue) {
        if !self.partial_reliability {
            return;
        }
        if let Some(message) = self.outstanding.is_cut_expired(now) {
            self.give_up(message, queue);
        }
        while let Some(lost) = self.outstanding.next_lost(now, true).filter(|lost| lost.give_up) {
            self.give_up(lost.message, queue);
        }
    }

    fn give_up(&mut self, message: u64, queue: &mut SendQueue) {
        self.probe = None;
        if let Some(Uncut { stream, len }) = self.outstanding.abandon(message) {
            queue.sent(stream, len);
        }
        self.forward_due |= self.outstanding.advance();
    }

    /// Whether something is owed an acknowledgement, so that T3 runs.
    fn waits(&self) -> bool {
        !self.outstanding.is_empty()
    }

    fn restart_timer(&mut self, now: Instant, rto: &RetransmissionTimeout) {
        // A lone packet is acknowledged after the peer's delay of at most 200 ms (RFC 9260 §6.2), as RFC 8985 §7.2
        // allows for in its probe.
        const WORST_DELAY: Duration = Duration::from_millis(220);
        let lone = self.outstanding.in_flight_chunks() <= 1;
        let timeout = if lone { rto.timeout().max(WORST_DELAY) } else { rto.timeout() };
        self.expiry = Some(now + timeout);
    }

    /// Takes the peer's window. Where it opens, what was sent against the closed one was refused, or nearly: it is
    /// sent again now and not when the timer, long backed off, expires.
    fn update_window(&mut self, window: usize) {
        let opened = self.peer_window < self.packet_size && window >= self.packet_size;
        self.peer_window = window;
        if opened && self.probing {
            self.probing = false;
            self.probe = None;
            self.outstanding.lose_all();
        }
    }

    fn measure(&mut self, now: Instant, rto: &mut RetransmissionTimeout) {
        let Some((tsn, sent_at)) = self.probe else { return };
        if self.outstanding.is_acknowledged(tsn) {
            self.probe = None;
            rto.measured(now.saturating_duration_since(sent_at));
        }
    }

    fn recover(&mut self, acked: &NewlyAcked) {
        let cumulative = self.outstanding.cumulative();
        if self.recovery.exit.is_some_and(|exit| cumulative >= exit) {
            self.recovery.exit = None;
        }
        let mut lost = false;
        if let Some(mut highest) = acked.highest {
            // In recovery a SACK that moves the cumulative point counts for all that it reports missing.
            if self.recovery.exit.is_some() && acked.cumulative_moved {
                highest = highest.max(self.outstanding.highest_acked());
            }
            let from = self.recovery.lost_below();
            self.recovery.count(highest);
            lost = self.outstanding.lose_first_transmissions(from, self.recovery.lost_below());
        }
        lost |= self.outstanding.handle_reneging();
        if lost && self.recovery.exit.is_none() {
            self.recovery.exit = Some(self.last_tsn());
            self.recovery.retransmit_now = true;
            self.counts.fast_recoveries += 1;
            self.congestion.handle_loss();
        }
    }

    fn age_window(&mut self, now: Instant, rto: &RetransmissionTimeout) {
        let idle = self.outstanding.in_flight() == 0
            && self.last_sent.is_some_and(|at| now.saturating_duration_since(at) > rto.timeout());
        if idle {
            self.congestion.handle_idle();
            self.last_sent = Some(now);
        }
    }
}

impl Recovery {
    /// Everything below was sent before three greater TSNs were acknowledged.
    fn lost_below(&self) -> Tsn {
        let [_, _, third] = self.highest;
        third
    }

    fn count(&mut self, highest: Tsn) {
        let [first, second, third] = self.highest;
        self.highest = if highest > first {
            [highest, first, second]
        } else if highest > second {
            [first, highest, second]
        } else {
            [first, second, third.max(highest)]
        };
    }
}
