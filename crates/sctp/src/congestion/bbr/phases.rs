//! The cycle in which BBR probes for bandwidth: down, cruise, refill, up.

use std::time::{Duration, Instant};

use super::bounds::Feedback;
use super::{Bbr, Cycle, Phase, State};
use crate::congestion::{Acked, Lost, MIN_PACKETS, RateSample};

/// Factor by which a probe that lost too much lowers the bound.
const BETA: f64 = 0.7;
/// More in flight than the path holds, at which a probe has seen enough.
const PROBED: f64 = 1.25;
/// Rounds after which it probes although time has not come: Reno would have gained a window by then.
const MAX_RENO_ROUNDS: u64 = 63;

impl Bbr {
    /// Goes on with the cycle.
    pub(super) fn update_cycle(&mut self, acked: &Acked, sample: &RateSample) {
        if !self.pipe.is_full() {
            return;
        }
        self.adapt_long_term(acked, sample);
        let State::ProbeBw(mut cycle) = self.state else { return };
        let now = acked.now;
        if self.round_starts && matches!(cycle.phase, Phase::Down | Phase::Cruise) {
            cycle.rounds_waited += 1;
            self.state = State::ProbeBw(cycle);
        }
        match cycle.phase {
            Phase::Down | Phase::Cruise if self.is_time_to_probe(now, &cycle) => {
                self.start_refill(now, cycle)
            }
            Phase::Down if self.is_time_to_cruise() => self.start_cruise(now),
            Phase::Refill if self.round_starts => self.start_up(now, cycle, sample),
            Phase::Up if self.has_probed(now, &cycle, sample) => self.start_down(now),
            Phase::Down | Phase::Cruise | Phase::Refill | Phase::Up => {}
        }
    }

    /// A packet sent while probing is lost: was it one too many?
    pub(super) fn probe_lost(&mut self, now: Instant, lost: &Lost) {
        if !self.bounds.is_judged() {
            return;
        }
        let (in_flight, lost_since) = (lost.snapshot.in_flight as f64, lost.lost_since as f64);
        if lost_since <= in_flight * self.loss_threshold {
            return;
        }
        // How much was in flight when the share of lost packets reached the threshold.
        let size = lost.bytes as f64;
        let (flight_before, lost_before) = (in_flight - size, lost_since - size);
        let prefix =
            ((self.loss_threshold * flight_before - lost_before) / (1.0 - self.loss_threshold)).max(0.0);
        self.handle_too_high(now, (flight_before + prefix) as usize, lost.snapshot.limited);
    }

    pub(super) fn start_down(&mut self, now: Instant) {
        self.bounds.forget_losses();
        self.bounds.stop_probing();
        self.rounds.restart(self.delivered);
        let wait = Duration::from_millis(2_000 + self.rng.below(1_000));
        let rounds_waited = self.rng.below(2);
        self.state =
            State::ProbeBw(Cycle { phase: Phase::Down, began: now, wait, rounds_waited, since: now });
    }

    pub(super) fn start_cruise(&mut self, now: Instant) {
        self.enter(Phase::Cruise, now);
    }

    fn start_refill(&mut self, now: Instant, cycle: Cycle) {
        self.bounds.forget_short_term();
        self.bounds.set_feedback(Feedback::Refilling);
        self.rounds.restart(self.delivered);
        self.state = State::ProbeBw(Cycle { phase: Phase::Refill, since: now, ..cycle });
    }

    fn start_up(&mut self, now: Instant, cycle: Cycle, sample: &RateSample) {
        self.bounds.set_feedback(Feedback::Starting);
        self.bounds.judge(true);
        self.rounds.restart(self.delivered);
        self.pipe.look_again(sample.rate.unwrap_or(0.0));
        self.bounds.begin_growth(self.window);
        self.state = State::ProbeBw(Cycle { phase: Phase::Up, since: now, ..cycle });
    }

    fn enter(&mut self, phase: Phase, now: Instant) {
        if let State::ProbeBw(cycle) = &mut self.state {
            (cycle.phase, cycle.since) = (phase, now);
        }
    }

    fn is_time_to_probe(&self, now: Instant, cycle: &Cycle) -> bool {
        if now.saturating_duration_since(cycle.began) > cycle.wait {
            return true;
        }
        let target = self.target_inflight() / self.packet_size;
        cycle.rounds_waited >= (target as u64).min(MAX_RENO_ROUNDS)
    }

    fn is_time_to_cruise(&self) -> bool {
        let headroom = self.bounds.with_headroom(self.packet_size).unwrap_or(usize::MAX);
        let least = MIN_PACKETS * self.packet_size;
        self.in_flight <= headroom.max(least) && self.in_flight <= self.inflight_at_most(1.0)
    }

    fn has_probed(&mut self, now: Instant, cycle: &Cycle, sample: &RateSample) -> bool {
        if self.is_window_limited() && self.bounds.long_term().is_some_and(|long| self.window >= long) {
            self.pipe.look_again(sample.rate.unwrap_or(0.0));
        } else if self.pipe.is_plateau() {
            return true;
        }
        let round_trip = self.round_trip.get().unwrap_or_default();
        now.saturating_duration_since(cycle.since) > round_trip
            && self.in_flight > self.inflight_at_most(PROBED)
    }

    /// What the path holds at the greatest rate seen, times `gain`.
    fn inflight_at_most(&self, gain: f64) -> usize {
        self.quantized(self.bdp(self.bandwidth.get(), gain))
    }

    fn target_inflight(&self) -> usize {
        self.bdp(self.bandwidth(), 1.0).min(self.window)
    }

    fn is_window_limited(&self) -> bool {
        self.in_flight + 2 * self.packet_size >= self.window
    }

    fn adapt_long_term(&mut self, acked: &Acked, sample: &RateSample) {
        match self.bounds.feedback() {
            Feedback::Starting if self.round_starts => self.bounds.set_feedback(Feedback::Heard),
            Feedback::Stopping if self.round_starts => {
                self.bounds.set_feedback(Feedback::None);
                self.bounds.judge(false);
                if matches!(self.state, State::ProbeBw(_)) && !sample.limited {
                    self.bandwidth.end_cycle();
                }
            }
            _ => {}
        }
        if sample.lost as f64 > sample.in_flight as f64 * self.loss_threshold {
            if self.bounds.is_judged() {
                self.handle_too_high(acked.now, sample.in_flight, sample.limited);
            }
            return;
        }
        self.bounds.raise_to(sample.in_flight);
        if self.phase() == Some(Phase::Up)
            && self.is_window_limited()
            && self.bounds.long_term().is_some_and(|long| self.window >= long)
        {
            self.bounds.grow(acked.bytes, self.window, self.round_starts, self.packet_size);
        }
    }

    fn handle_too_high(&mut self, now: Instant, in_flight: usize, limited: bool) {
        // Once a probe is enough.
        self.bounds.judge(false);
        if !limited {
            let least = (BETA * self.target_inflight() as f64) as usize;
            self.bounds.lower_long_term(in_flight.max(least));
        }
        if self.phase() == Some(Phase::Up) {
            self.start_down(now);
        }
    }
}
