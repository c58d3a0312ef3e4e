//! How far BBR trusts its model: bounds on rate and flight that loss teaches.

use super::super::RateSample;
use crate::congestion::rounds::Rounds;

/// Least factor by which a round with loss lowers a bound.
const BETA: f64 = 0.7;
/// Part of what fits that is left to others while cruising.
const HEADROOM: f64 = 0.15;

/// Short-term bounds hold until the next probe, the long-term one until a probe finds more.
#[derive(Debug, Default)]
pub(super) struct Bounds {
    rounds: Rounds,
    lost_in_round: u64,
    rate_latest: f64,
    inflight_latest: usize,
    rate_short: Option<f64>,
    inflight_short: Option<usize>,
    inflight_long: Option<usize>,
    /// The long-term bound before it was lowered last.
    before: Option<Option<usize>>,
    /// Whether what is acknowledged tells of a probe.
    feedback: Feedback,
    /// Whether losses are judged as those of a probe: once each.
    judged: bool,
    /// Growth of the long-term bound while probing.
    growth: Growth,
}

/// Whether packets sent while probing are being acknowledged.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Feedback {
    #[default]
    None,
    /// The pipe is refilled.
    Refilling,
    /// It was full, and more is sent.
    Starting,
    /// What was sent then is being acknowledged.
    Heard,
    /// Acknowledgements of the probe may still come.
    Stopping,
}

#[derive(Debug, Default, Clone, Copy)]
struct Growth {
    rounds: u32,
    acked: usize,
    /// Bytes to be acknowledged before the bound grows by a packet.
    needed: usize,
}

/// What is known when an acknowledgement came.
pub(super) struct Signals {
    pub(super) sample: RateSample,
    pub(super) delivered: u64,
    pub(super) lost: usize,
    pub(super) probing: bool,
    pub(super) window: usize,
    pub(super) bandwidth: f64,
    pub(super) loss_threshold: f64,
}

impl Bounds {
    pub(super) fn update(&mut self, signals: &Signals) {
        let sample = &signals.sample;
        self.rate_latest = self.rate_latest.max(sample.rate.unwrap_or(0.0));
        self.inflight_latest = self.inflight_latest.max(sample.delivered as usize);
        self.lost_in_round += signals.lost as u64;
        if !self.rounds.advance(sample.prior_delivered, signals.delivered) {
            return;
        }
        let sent = self.lost_in_round + sample.delivered;
        let lossy = self.lost_in_round as f64 > signals.loss_threshold * sent as f64;
        self.lost_in_round = 0;
        if lossy && !signals.probing {
            let rate = self.rate_short.unwrap_or(signals.bandwidth);
            self.rate_short = Some(self.rate_latest.max(BETA * rate));
            let inflight = self.inflight_short.unwrap_or(signals.window);
            self.inflight_short = Some(self.inflight_latest.max((BETA * inflight as f64) as usize));
        }
        (self.rate_latest, self.inflight_latest) = (0.0, 0);
    }

    /// Called at the end of each acknowledgement: a new round begins with what it told.
    pub(super) fn end_ack(&mut self, sample: &RateSample) {
        if self.inflight_latest == 0 {
            self.rate_latest = sample.rate.unwrap_or(0.0);
            self.inflight_latest = sample.delivered as usize;
        }
    }

    pub(super) fn inflight_latest(&self) -> usize {
        self.inflight_latest
    }

    pub(super) fn bound_rate(&self, bandwidth: f64) -> f64 {
        self.rate_short.map_or(bandwidth, |short| bandwidth.min(short))
    }

    pub(super) fn forget_short_term(&mut self) {
        (self.rate_short, self.inflight_short) = (None, None);
    }

    pub(super) fn set_long_term(&mut self, inflight: usize) {
        self.inflight_long = Some(inflight);
    }

    pub(super) fn lower_long_term(&mut self, inflight: usize) {
        self.before = Some(self.inflight_long);
        self.inflight_long = Some(inflight);
    }

    pub(super) fn undo(&mut self) {
        if let Some(before) = self.before.take() {
            self.inflight_long = before;
        }
    }

    pub(super) fn long_term(&self) -> Option<usize> {
        self.inflight_long
    }

    /// The long-term bound less what is left to others.
    pub(super) fn with_headroom(&self, packet_size: usize) -> Option<usize> {
        let long = self.inflight_long?;
        Some(long.saturating_sub(((HEADROOM * long as f64) as usize).max(packet_size)))
    }

    /// Most that may be in flight.
    pub(super) fn cap(&self, cruising: bool, in_cycle: bool, packet_size: usize) -> usize {
        let long = match (cruising, in_cycle) {
            (true, _) => self.with_headroom(packet_size),
            (false, true) => self.inflight_long,
            (false, false) => None,
        };
        long.unwrap_or(usize::MAX).min(self.inflight_short.unwrap_or(usize::MAX))
    }

    pub(super) fn feedback(&self) -> Feedback {
        self.feedback
    }

    pub(super) fn set_feedback(&mut self, feedback: Feedback) {
        self.feedback = feedback;
    }

    pub(super) fn is_judged(&self) -> bool {
        self.judged
    }

    pub(super) fn judge(&mut self, judged: bool) {
        self.judged = judged;
    }

    pub(super) fn stop_probing(&mut self) {
        self.feedback = Feedback::Stopping;
    }

    pub(super) fn forget_losses(&mut self) {
        self.lost_in_round = 0;
        (self.rate_latest, self.inflight_latest) = (0.0, 0);
    }

    /// The bound grows slowly at first and twice as fast each round.
    pub(super) fn begin_growth(&mut self, window: usize) {
        self.growth = Growth { rounds: 1, acked: 0, needed: window };
    }

    /// `acked` bytes were acknowledged while all that may be in flight is.
    pub(super) fn grow(&mut self, acked: usize, window: usize, round_starts: bool, packet_size: usize) {
        let growth = &mut self.growth;
        growth.acked += acked;
        if let (Some(steps @ 1..), Some(long)) =
            (growth.acked.checked_div(growth.needed), &mut self.inflight_long)
        {
            growth.acked -= steps * growth.needed;
            *long += steps * packet_size;
        }
        if round_starts {
            growth.needed = (window >> growth.rounds.min(30)).max(packet_size);
            growth.rounds += 1;
        }
    }

    pub(super) fn raise_to(&mut self, inflight: usize) {
        if let Some(long) = &mut self.inflight_long {
            *long = (*long).max(inflight);
        }
    }
}
