//! What acknowledgements and time-outs mean for DATA under way.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use antiphon_util::Rng;

use super::flight::{Flight, Serial};
use super::messages::MessageKey;
use super::outstanding::{NewlyAcked, Outstanding, Uncut};
use super::path_mtu::{LostPackets, PathMtu};
use super::rack::{Delivered, Rack, Verdict};
use super::recovery::Recovery;
use super::{RetransmissionTimeout, SendQueue};
use crate::congestion::{Acked, Congestion, Controller, Delivery, Lost, Pacer};
use crate::packet::{DATA_HEADER_LEN, I_DATA_HEADER_LEN, Sack};
use crate::tsn::Tsn;

/// The sending half of an association.
#[derive(Debug)]
pub(crate) struct Sender {
    pub(super) outstanding: Outstanding,
    pub(super) flight: Flight,
    pub(super) controller: Controller,
    pub(super) delivery: Delivery,
    pub(super) pacer: Pacer,
    pub(super) recovery: Recovery,
    rack: Rack,
    pub(super) features: Features,
    pub(crate) path_mtu: PathMtu,
    pub(super) max_in_flight: usize,
    /// The peer's window as last advertised.
    pub(super) peer_window: usize,
    pub(super) forward: Forward,
    /// Whether something was sent beyond the peer's window, to learn whether it is open.
    pub(super) probing_window: bool,
    pub(super) tail: Tail,
    /// The packet with which the last chunk was sent again as a probe.
    pub(super) probe: Option<Serial>,
    /// When something sent before what was delivered counts as lost.
    late: Option<Instant>,
    /// When begun messages expire.
    pub(super) deadlines: BinaryHeap<Reverse<(Instant, MessageKey)>>,
    /// Until when the next packet waits that the windows would allow.
    pub(super) paced_until: Option<Instant>,
    /// The packet whose acknowledgement measures the round trip for the time-out, one a round trip.
    measured_from: Serial,
    pub(super) last_sent: Option<Instant>,
    pub(super) counts: Counts,
    acked: NewlyAcked,
}

/// What a sender is made with.
#[derive(Debug)]
pub(crate) struct SenderConfig<'a> {
    pub(crate) packet_size: usize,
    pub(crate) probed_packet_sizes: &'a [usize],
    pub(crate) initial_tsn: u32,
    pub(crate) peer_window: u32,
    pub(crate) partial_reliability: bool,
    pub(crate) interleaving: bool,
    pub(crate) congestion: Congestion,
    pub(crate) max_in_flight: usize,
    /// The round trip of the set-up, where it was measured.
    pub(crate) round_trip: Option<Duration>,
}

/// What the peer can do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Features {
    /// FORWARD TSN; without it nothing is given up that was begun.
    pub(super) partial_reliability: bool,
    /// I-DATA in the place of DATA.
    pub(super) interleaving: bool,
}

/// Whether the peer is to be told of what was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Forward {
    No,
    Due,
    /// It was told at that instant.
    Told(Instant),
}

/// What happens if nothing is acknowledged any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tail {
    /// Nothing is owed an acknowledgement.
    Idle,
    /// The last packet is probed (RFC 8985 §7), and then the timer runs.
    Probe(Instant),
    /// The probe is to be sent.
    ProbeDue,
    /// T3 (RFC 9260 §6.3).
    Timeout(Instant),
}

/// What this side counts.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Counts {
    pub(crate) retransmitted: u64,
    pub(crate) timeouts: u64,
    pub(crate) fast_recoveries: u64,
    pub(crate) tail_probes: u64,
    pub(crate) spurious_recoveries: u64,
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

/// What a SACK said, put together.
#[derive(Debug, Default)]
struct Findings {
    newest: Option<Delivered>,
    /// Round trip of the newest packet, unless it is ambiguous.
    round_trip: Option<Duration>,
    /// Bytes of the largest packet of which something was delivered.
    largest: usize,
    /// Chunks that were thought lost and had arrived, and how many of them before they were sent again.
    found: u32,
    found_unsent: u32,
}

impl Sender {
    pub(crate) fn new(config: &SenderConfig<'_>, rng: Rng) -> Self {
        let header_len = if config.interleaving { I_DATA_HEADER_LEN } else { DATA_HEADER_LEN };
        Self {
            outstanding: Outstanding::new(config.initial_tsn, header_len),
            flight: Flight::default(),
            controller: Controller::new(&config.congestion, config.packet_size, rng),
            delivery: Delivery::default(),
            pacer: Pacer::default(),
            recovery: Recovery::default(),
            rack: Rack::new(config.round_trip),
            features: Features {
                partial_reliability: config.partial_reliability,
                interleaving: config.interleaving,
            },
            path_mtu: PathMtu::new(config.packet_size, config.probed_packet_sizes),
            max_in_flight: config.max_in_flight,
            peer_window: config.peer_window as usize,
            forward: Forward::No,
            probing_window: false,
            tail: Tail::Idle,
            probe: None,
            late: None,
            deadlines: BinaryHeap::new(),
            paced_until: None,
            measured_from: 0,
            last_sent: None,
            counts: Counts::default(),
            acked: NewlyAcked::default(),
        }
    }

    /// Handles a SACK (RFC 9260 §6.2.1).
    pub(crate) fn handle_sack(
        &mut self,
        now: Instant,
        sack: &Sack<'_>,
        rto: &mut RetransmissionTimeout,
    ) -> Result<SackOutcome, InvalidSack> {
        let cumulative = self.validate(sack)?;
        let in_flight_before = self.outstanding.in_flight();
        let highest_before = self.outstanding.highest_acked();
        let mut acked = std::mem::take(&mut self.acked);
        self.outstanding.acknowledge_through(cumulative, &mut acked);
        for gap in sack.gaps() {
            let (first, last) = (cumulative.plus(gap.start.into()), cumulative.plus(gap.end.into()));
            self.outstanding.acknowledge_gap(first, last, &mut acked);
        }
        self.update_window(sack.a_rwnd as usize);
        let mut findings = self.evaluate(now, &acked, highest_before);
        self.path_mtu.delivered(findings.largest);
        findings.found += u32::try_from(self.duplicates(sack)).unwrap_or(u32::MAX);
        self.measure(&findings, rto);
        let newest = findings.newest.and_then(|newest| self.flight.snapshot(newest.serial));
        for chunk in &acked.chunks {
            self.flight.settle(chunk.packet);
        }
        let sample = self.delivery.acknowledge(now, acked.bytes, newest, self.rack.least_round_trip());
        self.forgive(now, &findings);
        if self.recovery.acknowledge(cumulative, self.last_tsn()) {
            self.rack.recovered();
            self.controller.handle_recovered();
        }
        let lost = self.detect_losses(now, rto) + self.evaluate_probe(now, &findings);
        if acked.bytes > 0 || lost > 0 {
            self.controller.handle_ack(&Acked {
                now,
                bytes: acked.bytes,
                lost,
                in_flight_before,
                in_flight: self.outstanding.in_flight(),
                round_trip: findings.round_trip,
                sample,
                delivered: self.delivery.delivered(),
                in_recovery: self.recovery.is_active(),
            });
        }
        self.update_forward(now, acked.cumulative_moved, rto);
        if !self.waits() {
            (self.tail, self.late) = (Tail::Idle, None);
        } else if acked.bytes > 0 || acked.cumulative_moved || self.tail == Tail::Idle {
            self.restart_tail(now, rto);
        }
        // A window that takes no packet is closed, even if it is not 0: what is sent then is a probe (RFC 9260 §6.1 A).
        let probed = self.peer_window < self.path_mtu.base();
        let outcome = SackOutcome { alive: acked.bytes > 0 || acked.cumulative_moved || probed };
        acked.clear();
        self.acked = acked;
        Ok(outcome)
    }

    /// Takes the cumulative acknowledgement of a SHUTDOWN.
    pub(crate) fn handle_shutdown(&mut self, cumulative_tsn_ack: u32) -> Result<(), InvalidSack> {
        let cumulative = self.outstanding.cumulative().extend(cumulative_tsn_ack);
        if cumulative >= self.outstanding.next_tsn() {
            return Err(InvalidSack::Beyond);
        }
        let mut acked = NewlyAcked::default();
        self.outstanding.acknowledge_through(cumulative, &mut acked);
        acked.chunks.iter().for_each(|chunk| self.flight.settle(chunk.packet));
        if !self.waits() {
            (self.tail, self.late) = (Tail::Idle, None);
        }
        Ok(())
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        let tail = match self.tail {
            Tail::Probe(at) | Tail::Timeout(at) => Some(at),
            Tail::Idle | Tail::ProbeDue => None,
        };
        let deadline = self.deadlines.peek().map(|Reverse((at, _))| *at);
        [tail, self.late, self.paced_until, deadline, self.path_mtu.next_timeout()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Handles what time alone causes; whether the retransmission timer expired (RFC 9260 §6.3.3), `rto` being backed
    /// off then.
    pub(crate) fn handle_timeout(
        &mut self,
        now: Instant,
        rto: &mut RetransmissionTimeout,
        queue: &mut SendQueue,
    ) -> bool {
        self.paced_until = self.paced_until.filter(|at| *at > now);
        self.expire(now, queue);
        self.path_mtu.handle_timeout(now);
        if self.late.is_some_and(|at| at <= now) {
            self.late = None;
            let lost = self.detect_losses(now, rto);
            if lost > 0 {
                self.tell_controller_of_loss(now, lost);
            }
        }
        match self.tail {
            Tail::Probe(at) if at <= now => self.begin_probe(now, rto, queue),
            Tail::Timeout(at) if at <= now => {
                rto.back_off();
                self.time_out(now, rto);
                true
            }
            Tail::Idle | Tail::ProbeDue | Tail::Probe(_) | Tail::Timeout(_) => false,
        }
    }

    /// Whether all that was sent is acknowledged.
    pub(crate) fn is_idle(&self) -> bool {
        self.outstanding.is_empty()
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
        self.controller.window()
    }

    /// Bytes a second at which packets are spaced, where they are.
    pub(crate) fn pacing_rate(&self, rto: &RetransmissionTimeout) -> Option<f64> {
        // What is faster than timers is clocked by acknowledgements.
        let least = self.rack.least_round_trip()?;
        if least < LEAST_PACED { None } else { self.controller.pacing_rate(rto.smoothed()) }
    }

    pub(crate) fn least_round_trip(&self) -> Option<Duration> {
        self.rack.least_round_trip()
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.outstanding.in_flight()
    }

    pub(crate) fn peer_window(&self) -> usize {
        self.peer_window
    }

    /// Whether something is owed an acknowledgement.
    pub(super) fn waits(&self) -> bool {
        !self.outstanding.is_empty()
    }

    /// Starts anew what runs while something is owed an acknowledgement.
    pub(super) fn restart_tail(&mut self, now: Instant, rto: &RetransmissionTimeout) {
        let lone = self.outstanding.in_flight_chunks() <= 1;
        // A probe is of use where nothing tells of a loss (RFC 8985 §7.3).
        let probe = self.outstanding.in_flight() > 0
            && !self.recovery.is_active()
            && !self.outstanding.has_gaps()
            && !self.probing_window;
        self.tail = if probe {
            Tail::Probe(now + rto.probe_timeout(lone))
        } else {
            Tail::Timeout(now + rto.flight_timeout(lone))
        };
    }

    pub(super) fn give_up(&mut self, message: MessageKey, queue: &mut SendQueue) {
        let Self { outstanding, flight, .. } = self;
        if let Some(Uncut { stream, len }) = outstanding.abandon(message, |packet| flight.settle(packet)) {
            queue.give_up(stream, len);
        }
        if self.outstanding.advance() {
            self.forward = Forward::Due;
        }
    }

    /// Gives up begun messages whose time has come: those of which something is lost or not sent yet. What is in flight
    /// may still arrive.
    fn expire(&mut self, now: Instant, queue: &mut SendQueue) {
        while self.deadlines.peek().is_some_and(|Reverse((at, _))| *at <= now) {
            let Some(Reverse((_, message))) = self.deadlines.pop() else { return };
            if self.outstanding.is_expired(message, now) {
                self.give_up(message, queue);
            }
        }
    }

    fn validate(&self, sack: &Sack<'_>) -> Result<Tsn, InvalidSack> {
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
        Ok(cumulative)
    }

    /// Remembers when a begun message expires.
    pub(super) fn watch(&mut self, at: Instant, message: MessageKey) {
        // Messages that are delivered leave their entry behind.
        if self.deadlines.len() > 1_024 + 2 * self.outstanding.len() {
            let Self { deadlines, outstanding, .. } = self;
            deadlines.retain(|Reverse((_, message))| outstanding.has_message(*message));
        }
        self.deadlines.push(Reverse((at, message)));
    }

    /// What the newly acknowledged chunks say about the path.
    fn evaluate(&mut self, now: Instant, acked: &NewlyAcked, highest_before: Tsn) -> Findings {
        let mut findings = Findings::default();
        let mut newest_ambiguous = false;
        for chunk in &acked.chunks {
            let Some(sent_at) = self.flight.sent_at(chunk.packet) else { continue };
            let round_trip = now.saturating_duration_since(sent_at);
            findings.largest = findings.largest.max(self.flight.size(chunk.packet));
            let repeated = chunk.transmissions > 1;
            if chunk.was_lost {
                findings.found += 1;
                findings.found_unsent += 1;
            } else if repeated && self.rack.is_too_soon(round_trip) {
                // The acknowledgement is one of an earlier transmission.
                findings.found += 1;
                continue;
            }
            if !repeated && chunk.tsn < highest_before {
                self.rack.overtaken();
            }
            if findings.newest.is_none_or(|newest| chunk.packet >= newest.serial) {
                let same = findings.newest.is_some_and(|newest| newest.serial == chunk.packet);
                newest_ambiguous = repeated || (same && newest_ambiguous);
                findings.newest = Some(Delivered { serial: chunk.packet, round_trip });
            }
        }
        if let Some(newest) = findings.newest {
            self.rack.delivered(newest, newest_ambiguous);
            findings.round_trip = Some(newest.round_trip).filter(|_| !newest_ambiguous);
        }
        findings
    }

    /// Chunks that the peer received twice although they were thought lost.
    fn duplicates(&self, sack: &Sack<'_>) -> usize {
        if self.recovery.is_active() { sack.duplicates().count() } else { 0 }
    }

    /// What was thought lost and was not.
    fn forgive(&mut self, now: Instant, findings: &Findings) {
        if findings.found == 0 {
            return;
        }
        self.rack.spurious();
        if !self.recovery.find(findings.found, findings.found_unsent) {
            return;
        }
        self.counts.spurious_recoveries += 1;
        let timed_out = !self.recovery.is_fast();
        self.recovery.cancel();
        self.controller.undo();
        if timed_out {
            let transmissions = self.outstanding.find_all();
            self.flight.restore(transmissions);
        }
        tracing::trace!(?now, timed_out, "recovery undone");
    }

    fn measure(&mut self, findings: &Findings, rto: &mut RetransmissionTimeout) {
        let (Some(newest), Some(round_trip)) = (findings.newest, findings.round_trip) else { return };
        if newest.serial >= self.measured_from {
            self.measured_from = self.flight.next();
            rto.measured(round_trip);
        }
    }

    /// Finds what is lost by what was delivered after it (RFC 8985 §6.2): the bytes.
    fn detect_losses(&mut self, now: Instant, rto: &RetransmissionTimeout) -> usize {
        self.late = None;
        let (mut bytes, mut chunks, mut last) = (0, 0, self.outstanding.cumulative());
        let mut larger = None;
        let reneged = self.outstanding.handle_reneging();
        while let Some((tsn, serial)) = self.flight.earliest() {
            if !self.outstanding.is_in_flight(tsn, serial) {
                self.flight.drop_earliest();
                continue;
            }
            let Some(snapshot) = self.flight.snapshot(serial) else {
                self.flight.drop_earliest();
                continue;
            };
            match self.rack.judge(now, serial, snapshot.sent_at, rto.smoothed()) {
                Verdict::Unknown => break,
                Verdict::LateUntil(at) => {
                    self.late = Some(at);
                    break;
                }
                Verdict::Lost => {}
            }
            self.flight.drop_earliest();
            let len = self.outstanding.lose(tsn);
            self.delivery.lose(len);
            let lost_since = self.delivery.lost().saturating_sub(snapshot.lost);
            self.controller.handle_lost(now, &Lost { bytes: len, lost_since, snapshot });
            bytes += len;
            chunks += 1;
            last = last.max(tsn);
            let packet = LostPackets { smallest: self.flight.size(serial), sent_at: snapshot.sent_at };
            if packet.smallest > self.path_mtu.base() {
                larger = Some(LostPackets::and(larger, packet));
            }
        }
        if let Some(larger) = larger {
            self.path_mtu.lost(now, larger);
        }
        if (chunks > 0 || reneged) && self.recovery.lose(chunks, last, self.last_tsn()) {
            self.counts.fast_recoveries += 1;
            self.controller.handle_congestion(now, self.outstanding.in_flight() + bytes);
        }
        bytes
    }

    /// A probe that sent the last chunk again and was acknowledged in its time repaired a loss that nothing else tells
    /// of (RFC 8985 §7.4): the bytes, roughly.
    fn evaluate_probe(&mut self, now: Instant, findings: &Findings) -> usize {
        let Some(newest) = findings.newest else { return 0 };
        if self.probe.take_if(|probe| *probe <= newest.serial) != Some(newest.serial)
            || findings.found > 0
            || !self.recovery.lose(1, self.last_tsn(), self.last_tsn())
        {
            return 0;
        }
        self.counts.fast_recoveries += 1;
        self.controller.handle_congestion(now, self.outstanding.in_flight() + self.path_mtu.base());
        self.path_mtu.base()
    }

    /// Losses were found by time alone: there is no acknowledgement to tell with them.
    fn tell_controller_of_loss(&mut self, now: Instant, lost: usize) {
        let in_flight = self.outstanding.in_flight();
        self.controller.handle_ack(&Acked {
            now,
            bytes: 0,
            lost,
            in_flight_before: in_flight + lost,
            in_flight,
            round_trip: None,
            sample: None,
            delivered: self.delivery.delivered(),
            in_recovery: self.recovery.is_active(),
        });
    }

    /// The last packet is to be probed; whether, in its place, the timer expired: something that is not sent again is
    /// waited for a time-out long.
    fn begin_probe(&mut self, now: Instant, rto: &mut RetransmissionTimeout, queue: &mut SendQueue) -> bool {
        let repeats = self.outstanding.repeats_last(now, self.features.partial_reliability);
        if repeats || queue.turn(now).is_some() {
            self.tail = Tail::ProbeDue;
            return false;
        }
        let lone = self.outstanding.in_flight_chunks() <= 1;
        let at = self.last_sent.unwrap_or(now) + rto.flight_timeout(lone);
        self.tail = Tail::Timeout(at);
        if at > now {
            return false;
        }
        rto.back_off();
        self.time_out(now, rto);
        true
    }

    fn time_out(&mut self, now: Instant, rto: &RetransmissionTimeout) {
        self.counts.timeouts += 1;
        self.controller.handle_timeout(now);
        if let Some(larger) = self.flight.larger_than(self.path_mtu.base()) {
            self.path_mtu.lost(now, larger);
        }
        self.outstanding.lose_all();
        self.recovery.time_out(self.last_tsn());
        self.late = None;
        self.pacer.reset();
        self.outstanding.advance();
        if self.outstanding.is_ahead() {
            self.forward = Forward::Due;
        }
        self.tail = Tail::Timeout(now + rto.timeout());
    }

    /// FORWARD TSN is repeated when the peer still has not got it after a round trip.
    fn update_forward(&mut self, now: Instant, cumulative_moved: bool, rto: &RetransmissionTimeout) {
        if cumulative_moved && self.outstanding.advance() {
            self.forward = Forward::Due;
        }
        let patience = rto.smoothed().unwrap_or_default();
        self.forward = match self.forward {
            _ if !self.outstanding.is_ahead() => Forward::No,
            Forward::Told(at) if now.saturating_duration_since(at) > patience => Forward::Due,
            forward => forward,
        };
    }

    /// Takes the peer's window. Where it opens, what was sent against the closed one was refused, or nearly: it is
    /// sent again now and not when the timer, long backed off, expires.
    fn update_window(&mut self, window: usize) {
        let opened = self.peer_window < self.path_mtu.base() && window >= self.path_mtu.base();
        self.peer_window = window;
        if opened && self.probing_window {
            self.probing_window = false;
            self.outstanding.lose_all();
        }
    }
}

/// A shorter round trip is not paced: no timer is as fine.
const LEAST_PACED: Duration = Duration::from_millis(1);
