//! What DATA goes into the next packet.

use std::time::Instant;

use super::flight::Serial;
use super::outstanding::LostChunk;
use super::queue::{GiveUp, Turn};
use super::sender::{Forward, Sender, Tail};
use super::{RetransmissionTimeout, SendQueue};
use crate::StreamId;
use crate::packet::{ForwardTsn, Fragment, HEADER_LEN, IForwardTsn, PacketWriter};

impl Sender {
    /// Whether [`Self::write_data`] would write something into an empty packet.
    pub(crate) fn has_data(
        &mut self,
        now: Instant,
        rto: &RetransmissionTimeout,
        queue: &mut SendQueue,
    ) -> bool {
        self.give_up_due(now, queue);
        if self.forward == Forward::Due || self.tail == Tail::ProbeDue {
            return true;
        }
        if self.is_paced(now, rto) {
            return false;
        }
        let lost = self.outstanding.next_lost(now, self.features.partial_reliability).map(|lost| lost.len);
        let Some(len) = lost.or_else(|| queue.turn(now).map(|turn| turn.len)) else { return false };
        self.allows(len.min(self.full_fragment()))
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
        if self.forward == Forward::Due {
            self.write_forward_tsn(now, packet);
        }
        let room = packet.remaining();
        let serial = self.flight.next();
        if self.tail == Tail::ProbeDue {
            self.write_probe(now, rto, packet, queue);
        } else if !self.is_paced(now, rto) {
            self.probing_window |= self.peer_window < self.path_mtu.base();
            self.write_lost(now, rto, packet, queue);
            self.write_new(now, serial, packet, queue);
        }
        if self.flight.next() == serial {
            self.note_limit(now, rto, queue);
        } else {
            self.sent(now, rto, room - packet.remaining());
            self.flight.end(packet.len());
            if queue.turn(now).is_some() {
                self.path_mtu.filled(now);
            }
        }
        if self.forward == Forward::Due {
            self.write_forward_tsn(now, packet);
        }
        if self.tail == Tail::Idle && self.waits() {
            self.restart_tail(now, rto);
        }
    }

    /// Whether `len` bytes of user data may be sent now.
    fn allows(&self, len: usize) -> bool {
        let payload = self.outstanding.in_flight_payload();
        // With nothing in flight one chunk may go out whatever the window: it probes a closed one (RFC 9260 §6.1 A).
        let peer = payload == 0 || payload + len <= self.peer_window.min(self.max_in_flight);
        peer && self.outstanding.in_flight() < self.controller.window()
    }

    /// Whether the next packet waits for its time, which is noted.
    fn is_paced(&mut self, now: Instant, rto: &RetransmissionTimeout) -> bool {
        let blocked = self.pacer.blocked(now);
        if blocked.is_some() && self.pacing_rate(rto).is_none() {
            self.pacer.reset();
            return false;
        }
        blocked.is_some()
    }

    /// A packet with `data` bytes of DATA chunks was written.
    fn sent(&mut self, now: Instant, rto: &RetransmissionTimeout, data: usize) {
        let in_flight = self.outstanding.in_flight();
        let idle = in_flight <= data && self.delivery.is_limited();
        self.controller.handle_sent(now, data, idle);
        if let Some(rate) = self.pacing_rate(rto) {
            self.pacer.sent(now, data, rate);
        }
        self.last_sent = Some(now);
        // The probe is due a while after the last packet; the timer runs on.
        if !matches!(self.tail, Tail::Timeout(_)) {
            self.restart_tail(now, rto);
        }
    }

    /// Nothing was sent: why, and until when.
    fn note_limit(&mut self, now: Instant, rto: &RetransmissionTimeout, queue: &mut SendQueue) {
        self.paced_until = None;
        let lost = self.outstanding.next_lost(now, self.features.partial_reliability).is_some();
        let open = self.outstanding.in_flight() < self.controller.window();
        let waits = lost || queue.turn(now).is_some();
        if open && waits && self.is_paced(now, rto) {
            self.paced_until = self.pacer.blocked(now);
        } else if open && !lost {
            // The application has nothing, or the peer takes nothing.
            self.delivery.limit(self.outstanding.in_flight());
        }
    }

    fn write_forward_tsn(&mut self, now: Instant, packet: &mut PacketWriter<'_>) {
        let Some(room) = packet.remaining().checked_sub(8) else { return };
        if !self.outstanding.is_ahead() {
            self.forward = Forward::No;
            return;
        }
        self.forward = Forward::Told(now);
        if self.features.interleaving {
            let (to, skipped) = self.outstanding.forward(room / 8, true);
            let skipped = skipped.iter().map(|skipped| (skipped.stream, skipped.unordered, skipped.mid));
            IForwardTsn::write_parts(packet.chunks(), to.wire(), skipped);
        } else {
            let (to, skipped) = self.outstanding.forward(room / 4, false);
            let skipped: Vec<(StreamId, u16)> =
                skipped.iter().map(|skipped| (skipped.stream, skipped.mid as u16)).collect();
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
        let serial = self.flight.next();
        while let Some(lost) = self.outstanding.next_lost(now, self.features.partial_reliability) {
            if lost.give_up {
                self.give_up(lost.message, queue);
                continue;
            }
            if self.header_len() + lost.len > packet.remaining() || !self.allows(lost.len) {
                return;
            }
            self.begin_packet(now, serial);
            self.repeat(&lost, packet);
            // The timer starts anew with the earliest chunk (RFC 9260 §7.2.4).
            if lost.tsn == self.outstanding.cumulative().next() {
                self.restart_tail(now, rto);
            }
        }
    }

    /// Sends a chunk again in the packet that was begun.
    fn repeat(&mut self, lost: &LostChunk, packet: &mut PacketWriter<'_>) {
        let (serial, interleaving) = (self.flight.current(), self.features.interleaving);
        if let Some(fragment) = self.outstanding.retransmit(lost, serial) {
            self.counts.retransmitted += 1;
            // What is sent again is wanted urgently.
            Fragment { immediate: true, ..fragment }.write(packet.chunks(), interleaving);
        }
        self.flight.carry(lost.tsn, self.outstanding.in_flight());
        self.flight.settle(lost.packet);
    }

    /// Sends something that makes the peer acknowledge: new data where there is some, else the last chunk again
    /// (RFC 8985 §7.3).
    fn write_probe(
        &mut self,
        now: Instant,
        rto: &RetransmissionTimeout,
        packet: &mut PacketWriter<'_>,
        queue: &mut SendQueue,
    ) {
        let serial = self.flight.next();
        let fits = |turn: &Turn| {
            self.outstanding.in_flight_payload() + turn.len.min(self.full_fragment()) <= self.peer_window
        };
        if let Some(turn) = queue.turn(now).filter(fits) {
            let room = packet.remaining().saturating_sub(self.header_len()).min(self.full_fragment()) & !3;
            if self.is_worth_cutting(turn.len, room, packet.is_empty()) {
                self.begin_packet(now, serial);
                self.cut(&turn, room, packet, queue);
            }
        } else if let Some(last) = self.outstanding.lose_last(now, self.features.partial_reliability)
            && self.header_len() + last.len <= packet.remaining()
        {
            self.begin_packet(now, serial);
            self.repeat(&last, packet);
            self.probe = Some(serial);
        }
        let lone = self.outstanding.in_flight_chunks() <= 1;
        self.counts.tail_probes += u64::from(self.flight.next() != serial);
        self.tail = Tail::Timeout(now + rto.flight_timeout(lone));
    }

    /// Fills the packet, which has the number `serial`, with new data.
    fn write_new(
        &mut self,
        now: Instant,
        serial: Serial,
        packet: &mut PacketWriter<'_>,
        queue: &mut SendQueue,
    ) {
        while let Some(room) = packet.remaining().checked_sub(self.header_len() + 1).map(|room| room + 1) {
            let room = room.min(self.full_fragment()) & !3;
            let Some(turn) = queue.turn(now) else { return };
            if !self.is_worth_cutting(turn.len, room, packet.is_empty()) || !self.allows(turn.len.min(room)) {
                return;
            }
            self.begin_packet(now, serial);
            self.cut(&turn, room, packet, queue);
        }
    }

    /// Cuts a chunk of at most `room` bytes.
    fn cut(&mut self, turn: &Turn, room: usize, packet: &mut PacketWriter<'_>, queue: &mut SendQueue) {
        let key = match turn.begun {
            Some(key) => key,
            None => {
                let Some(message) = queue.start(turn.stream) else { return };
                let until = message.until;
                let key = self.outstanding.start(message);
                if let (GiveUp::At(at), true) = (until, self.features.partial_reliability) {
                    self.watch(at, key);
                }
                key
            }
        };
        let tsn = self.outstanding.next_tsn();
        let len = turn.len.min(room);
        // The last chunk for now: what follows waits for its acknowledgement, so it should come soon (RFC 7053).
        let full = self.outstanding.in_flight() + len + self.header_len() >= self.controller.window();
        let immediate = full && self.outstanding.in_flight_chunks() > 2;
        let (interleaving, serial) = (self.features.interleaving, self.flight.current());
        let Some(mut fragment) = self.outstanding.cut(key, room, serial) else { return };
        let cut = fragment.payload.len();
        fragment.immediate = immediate;
        fragment.write(packet.chunks(), interleaving);
        self.flight.carry(tsn, self.outstanding.in_flight());
        queue.cut(turn.stream, key, cut, turn.len - cut);
    }

    /// Begins the packet `serial` unless it is begun.
    fn begin_packet(&mut self, now: Instant, serial: Serial) {
        if self.flight.next() != serial {
            return;
        }
        let snapshot = self.delivery.snapshot(now, self.outstanding.in_flight());
        self.flight.begin(snapshot);
    }

    /// Whether a chunk of a message of which `len` bytes remain should go into `room`. A message that fits a packet
    /// is not split; a longer one fills the packet up, so that packets are full and of one size.
    fn is_worth_cutting(&self, len: usize, room: usize, empty: bool) -> bool {
        const LEAST: usize = 64;
        len <= room || empty || (len > self.full_fragment() && room >= LEAST)
    }

    /// The most that a chunk holds, so that it fits the packets of any path.
    fn full_fragment(&self) -> usize {
        self.path_mtu.base() - HEADER_LEN - self.header_len()
    }

    fn header_len(&self) -> usize {
        Fragment::header_len(self.features.interleaving)
    }

    /// Gives up lost messages that had their time or their retransmissions.
    fn give_up_due(&mut self, now: Instant, queue: &mut SendQueue) {
        if !self.features.partial_reliability {
            return;
        }
        while let Some(lost) = self.outstanding.next_lost(now, true).filter(|lost| lost.give_up) {
            self.give_up(lost.message, queue);
        }
    }

    /// What is known of the path ages while nothing is sent.
    fn age_window(&mut self, now: Instant, rto: &RetransmissionTimeout) {
        let idle = self.outstanding.in_flight() == 0
            && self.last_sent.is_some_and(|at| now.saturating_duration_since(at) > rto.timeout());
        if idle {
            self.controller.handle_idle();
            self.last_sent = Some(now);
        }
    }
}
