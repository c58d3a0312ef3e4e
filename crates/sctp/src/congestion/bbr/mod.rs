//! BBR, third version (draft-ietf-ccwg-bbr): a model of the path made of delivery rate, round trip and loss.
//!
//! ```text
//!   Startup ──► Drain ──► ProbeBw(Down) ──► Cruise ──► Refill ──► Up ──┐
//!                              ▲                                       │
//!                              └───────────────────────────────────────┘
//!   any ──► ProbeRtt ──► Cruise, or Startup where the rate is not known yet
//! ```
//!
//! Two things are done otherwise than in the draft. Loss lowers the short-term bounds only in rounds that lose more than
//! the threshold: the draft lowers them at each loss, so that random loss below the threshold eats up the rate between
//! two probes. And probing upwards ends once a quarter more than the path holds is in flight, as in the second
//! version, which keeps the queue that it makes to one round trip.

mod bounds;
mod filters;
mod phases;

use std::time::{Duration, Instant};

use antiphon_util::Rng;

use self::bounds::Bounds;
use self::filters::{AckAggregation, FullPipe, MaxBandwidth, MinRoundTrip};
use super::rounds::Rounds;
use super::{Acked, Lost, MIN_PACKETS};

/// Pacing gains.
const STARTUP_GAIN: f64 = 2.77;
const DRAIN_GAIN: f64 = 0.5;
/// Window gains.
const WINDOW_GAIN: f64 = 2.0;
const UP_WINDOW_GAIN: f64 = 2.25;
const PROBE_RTT_WINDOW_GAIN: f64 = 0.5;
/// What is paced below the rate, so that a queue drains.
const PACING_MARGIN: f64 = 0.99;
/// Gaps of lost packets in a round that end the start-up.
const STARTUP_LOSSES: u32 = 6;
const PROBE_RTT_DURATION: Duration = Duration::from_millis(200);
/// Bytes of a burst: what the window leaves room for beyond what the path holds.
const MAX_QUANTUM: f64 = 65_536.0;

/// The controller.
#[derive(Debug)]
pub(crate) struct Bbr {
    packet_size: usize,
    initial_window: usize,
    loss_threshold: f64,
    rng: Rng,
    state: State,
    rounds: Rounds,
    round_starts: bool,
    bandwidth: MaxBandwidth,
    round_trip: MinRoundTrip,
    aggregation: AckAggregation,
    pipe: FullPipe,
    bounds: Bounds,
    window: usize,
    /// Window before recovery or ProbeRtt.
    saved_window: usize,
    pacing_rate: Option<f64>,
    /// Bytes in flight and all delivered, as last told.
    in_flight: usize,
    delivered: u64,
    /// Sending began anew after the application paused.
    idle_restart: bool,
    /// Gaps found lost in this round of Startup.
    losses_in_round: u32,
}

/// Where it stands.
#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Startup,
    Drain,
    ProbeBw(Cycle),
    ProbeRtt(ProbeRtt),
}

/// A cycle of probing for bandwidth.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Cycle {
    phase: Phase,
    /// When the cycle began, and how long it waits until it probes.
    began: Instant,
    wait: Duration,
    rounds_waited: u64,
    /// When the phase began.
    since: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Sends more slowly, until the queue is gone.
    Down,
    /// Sends at the rate measured.
    Cruise,
    /// Fills the pipe for a round before it probes.
    Refill,
    /// Sends faster, to see whether there is more.
    Up,
}

/// Little is in flight, so that the round trip shows without queue.
#[derive(Debug, Clone, Copy, PartialEq)]
struct ProbeRtt {
    /// When it may end, known once little is in flight.
    until: Option<Instant>,
    round_done: bool,
}

impl Bbr {
    pub(super) fn new(packet_size: usize, initial_packets: usize, loss_threshold: f64, rng: Rng) -> Self {
        let window = initial_packets * packet_size;
        Self {
            packet_size,
            initial_window: window,
            loss_threshold,
            rng,
            state: State::Startup,
            rounds: Rounds::default(),
            round_starts: false,
            bandwidth: MaxBandwidth::default(),
            round_trip: MinRoundTrip::default(),
            aggregation: AckAggregation::default(),
            pipe: FullPipe::default(),
            bounds: Bounds::default(),
            window,
            saved_window: 0,
            pacing_rate: None,
            in_flight: 0,
            delivered: 0,
            idle_restart: false,
            losses_in_round: 0,
        }
    }

    pub(super) fn window(&self) -> usize {
        self.window
    }

    pub(super) fn pacing_rate(&self) -> Option<f64> {
        self.pacing_rate
    }

    pub(super) fn handle_ack(&mut self, acked: &Acked) {
        self.in_flight = acked.in_flight;
        self.delivered = acked.delivered;
        self.round_starts = false;
        if let Some(sample) = acked.sample {
            self.update_model(acked, &sample);
            self.check_startup(acked, &sample);
            self.check_drain(acked.now);
            self.update_cycle(acked, &sample);
        }
        let expired = self.round_trip.update(acked.now, acked.round_trip);
        self.check_probe_rtt(acked.now, expired);
        if let Some(sample) = acked.sample {
            self.bounds.end_ack(&sample);
            if sample.delivered > 0 {
                self.idle_restart = false;
            }
        }
        self.set_pacing_rate(self.pacing_gain());
        self.set_window(acked.bytes);
    }

    pub(super) fn handle_lost(&mut self, now: Instant, lost: &Lost) {
        self.losses_in_round += 1;
        self.probe_lost(now, lost);
    }

    /// Before a recovery.
    pub(super) fn save_window(&mut self) {
        self.saved_window = if matches!(self.state, State::ProbeRtt(_)) {
            self.saved_window.max(self.window)
        } else {
            self.window
        };
    }

    pub(super) fn restore_window(&mut self) {
        self.window = self.window.max(self.saved_window);
    }

    pub(super) fn undo(&mut self) {
        self.restore_window();
        self.bounds.forget_short_term();
        self.bounds.undo();
    }

    pub(super) fn handle_timeout(&mut self) {
        self.save_window();
        self.window = self.packet_size;
    }

    pub(super) fn handle_idle_restart(&mut self, now: Instant) {
        self.idle_restart = true;
        self.aggregation.restart(now);
        match self.state {
            State::ProbeBw(_) => self.set_pacing_rate(1.0),
            State::ProbeRtt(probe) => self.end_probe_rtt_when_due(now, probe),
            State::Startup | State::Drain => {}
        }
    }

    fn update_model(&mut self, acked: &Acked, sample: &super::RateSample) {
        self.round_starts = self.rounds.advance(sample.prior_delivered, acked.delivered);
        if let Some(rate) = sample.rate {
            self.bandwidth.update(rate, sample.limited);
        }
        let signals = bounds::Signals {
            sample: *sample,
            delivered: acked.delivered,
            lost: acked.lost,
            probing: self.is_probing(),
            window: self.window,
            bandwidth: self.bandwidth.get(),
            loss_threshold: self.loss_threshold,
        };
        self.bounds.update(&signals);
        self.aggregation.update(
            acked.now,
            acked.bytes,
            self.bandwidth(),
            self.window,
            if self.pipe.is_full() { 10 } else { 1 },
            self.round_starts,
        );
    }

    /// Whether the pipe is full, so that start-up is over.
    fn check_startup(&mut self, acked: &Acked, sample: &super::RateSample) {
        if self.round_starts {
            self.pipe.check(sample.rate, sample.limited);
        }
        if self.state != State::Startup {
            self.losses_in_round = 0;
            return;
        }
        if self.round_starts {
            let share = sample.lost as f64 / (sample.lost + sample.delivered).max(1) as f64;
            if self.losses_in_round >= STARTUP_LOSSES && acked.in_recovery && share > self.loss_threshold {
                self.pipe.set_full();
                let holds = self.inflight(1.0).max(self.bounds.inflight_latest());
                self.bounds.set_long_term(holds);
            }
            self.losses_in_round = 0;
        }
        if self.pipe.is_full() {
            self.state = State::Drain;
        }
    }

    fn check_drain(&mut self, now: Instant) {
        if self.state == State::Drain && self.in_flight <= self.inflight(1.0) {
            self.start_down(now);
        }
    }

    fn check_probe_rtt(&mut self, now: Instant, expired: bool) {
        match self.state {
            State::ProbeRtt(probe) => self.stay_in_probe_rtt(now, probe),
            _ if expired && !self.idle_restart && self.bandwidth.get() > 0.0 => {
                self.save_window();
                self.bounds.stop_probing();
                self.rounds.restart(self.delivered);
                self.state = State::ProbeRtt(ProbeRtt { until: None, round_done: false });
            }
            _ => {}
        }
    }

    fn stay_in_probe_rtt(&mut self, now: Instant, mut probe: ProbeRtt) {
        if probe.until.is_none() {
            if self.in_flight <= self.probe_rtt_window() {
                probe.until = Some(now + PROBE_RTT_DURATION);
                self.rounds.restart(self.delivered);
            }
        } else if self.round_starts {
            probe.round_done = true;
        }
        self.state = State::ProbeRtt(probe);
        if probe.round_done {
            self.end_probe_rtt_when_due(now, probe);
        }
    }

    fn end_probe_rtt_when_due(&mut self, now: Instant, probe: ProbeRtt) {
        if probe.until.is_none_or(|until| until > now) {
            return;
        }
        self.round_trip.probed(now);
        self.restore_window();
        self.bounds.forget_short_term();
        if self.pipe.is_full() {
            self.start_down(now);
            self.start_cruise(now);
        } else {
            self.state = State::Startup;
        }
    }

    /// The rate that the model assumes.
    fn bandwidth(&self) -> f64 {
        self.bounds.bound_rate(self.bandwidth.get())
    }

    /// Bytes that the path holds at the rate assumed, times `gain`.
    fn bdp(&self, bandwidth: f64, gain: f64) -> usize {
        match self.round_trip.get() {
            Some(least) => (gain * bandwidth * least.as_secs_f64()) as usize,
            None => self.initial_window,
        }
    }

    /// The same with room for bursts.
    fn inflight(&self, gain: f64) -> usize {
        self.quantized(self.bdp(self.bandwidth(), gain))
    }

    fn quantized(&self, inflight: usize) -> usize {
        let quantum = (self.pacing_rate.unwrap_or(0.0) / 1_000.0).min(MAX_QUANTUM) as usize;
        let burst = 3 * quantum.max(2 * self.packet_size);
        let up = if self.phase() == Some(Phase::Up) { 2 * self.packet_size } else { 0 };
        inflight.max(burst).max(MIN_PACKETS * self.packet_size) + up
    }

    fn set_pacing_rate(&mut self, gain: f64) {
        let initial = |least: Duration| {
            STARTUP_GAIN * self.initial_window as f64 / least.max(Duration::from_micros(1)).as_secs_f64()
        };
        let before = self.pacing_rate.or_else(|| self.round_trip.get().map(initial));
        let rate = gain * self.bandwidth() * PACING_MARGIN;
        // While it looks for the rate, what the first packets tell says little.
        let trusted = rate > 0.0 && (self.pipe.is_full() || before.is_none_or(|before| rate > before));
        self.pacing_rate = if trusted { Some(rate) } else { before };
    }

    fn set_window(&mut self, acked: usize) {
        let least = MIN_PACKETS * self.packet_size;
        let bdp = self.bdp(self.bandwidth(), self.window_gain());
        let most = self.quantized(bdp + self.aggregation.extra());
        if self.pipe.is_full() {
            self.window = (self.window + acked).min(most);
        } else if self.window < most || self.delivered < self.initial_window as u64 {
            self.window += acked;
        }
        self.window = self.window.max(least);
        if matches!(self.state, State::ProbeRtt(_)) {
            self.window = self.window.min(self.probe_rtt_window());
        }
        let cruising = matches!(self.state, State::ProbeRtt(_)) || self.phase() == Some(Phase::Cruise);
        let cap = self.bounds.cap(cruising, self.phase().is_some(), self.packet_size).max(least);
        self.window = self.window.min(cap);
    }

    fn probe_rtt_window(&self) -> usize {
        self.bdp(self.bandwidth(), PROBE_RTT_WINDOW_GAIN).max(MIN_PACKETS * self.packet_size)
    }

    fn pacing_gain(&self) -> f64 {
        match self.state {
            State::Startup => STARTUP_GAIN,
            State::Drain => DRAIN_GAIN,
            State::ProbeBw(cycle) => match cycle.phase {
                Phase::Down => 0.9,
                Phase::Cruise | Phase::Refill => 1.0,
                Phase::Up => 1.25,
            },
            State::ProbeRtt(_) => 1.0,
        }
    }

    fn window_gain(&self) -> f64 {
        if self.phase() == Some(Phase::Up) { UP_WINDOW_GAIN } else { WINDOW_GAIN }
    }

    fn phase(&self) -> Option<Phase> {
        match self.state {
            State::ProbeBw(cycle) => Some(cycle.phase),
            State::Startup | State::Drain | State::ProbeRtt(_) => None,
        }
    }

    /// Whether it sends more than it knows to fit, so that loss is its own doing.
    fn is_probing(&self) -> bool {
        self.state == State::Startup || matches!(self.phase(), Some(Phase::Refill | Phase::Up))
    }
}
