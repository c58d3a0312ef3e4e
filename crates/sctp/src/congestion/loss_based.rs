//! NewReno and CUBIC: the window grows until something is lost.

use std::time::{Duration, Instant};

use super::cubic::{BETA, Cubic};
use super::hystart::{CONSERVATIVE_DIVISOR, HyStart, SlowStart};
use super::prr::Prr;
use super::{Acked, MIN_PACKETS};

/// Slow start, avoidance, and reduction spread over the recovery.
///
/// Growth counts acknowledged bytes, so that one SACK for a burst opens the window as far as many SACKs would: the
/// limit of one packet a SACK in RFC 9260 §7.2.1 assumes a SACK for every second packet.
#[derive(Debug)]
pub(crate) struct LossBased {
    packet_size: usize,
    initial_window: usize,
    window: usize,
    threshold: usize,
    growth: Growth,
    hystart: HyStart,
    /// Part of a packet by which the window has grown.
    fraction: f64,
    recovery: Option<Prr>,
    /// What the last reduction took away.
    before: Option<Before>,
    smoothed: Option<Duration>,
}

/// How the window grows beyond the threshold.
#[derive(Debug, Clone, Copy)]
pub(super) enum Growth {
    /// By a packet a round trip.
    NewReno,
    Cubic(Cubic),
}

#[derive(Debug, Clone, Copy)]
struct Before {
    window: usize,
    threshold: usize,
    growth: Growth,
}

impl LossBased {
    pub(super) fn new(packet_size: usize, initial_packets: usize, growth: Growth) -> Self {
        let initial_window = initial_packets * packet_size;
        Self {
            packet_size,
            initial_window,
            window: initial_window,
            threshold: usize::MAX,
            growth,
            hystart: HyStart::default(),
            fraction: 0.0,
            recovery: None,
            before: None,
            smoothed: None,
        }
    }

    pub(super) fn window(&self) -> usize {
        self.window
    }

    /// Twice the window a round trip in slow start, a fifth more than the window after it: bursts are spread, and the
    /// window decides.
    pub(super) fn pacing_rate(&self, smoothed: Duration) -> Option<f64> {
        let gain = if self.window < self.threshold / 2 { 2.0 } else { 1.2 };
        let seconds = smoothed.as_secs_f64();
        (seconds > 0.0).then(|| gain * self.window.max(self.initial_window) as f64 / seconds)
    }

    pub(super) fn handle_sent(&mut self, bytes: usize) {
        if let Some(prr) = &mut self.recovery {
            prr.sent(bytes);
        }
    }

    pub(super) fn handle_ack(&mut self, acked: &Acked) {
        if let Some(sample) = acked.round_trip {
            self.smoothed = Some(self.smoothed.map_or(sample, |smoothed| (smoothed * 7 + sample) / 8));
        }
        if let Some(prr) = &mut self.recovery {
            let clean = acked.lost == 0;
            self.window = prr.window(acked.bytes, clean, acked.in_flight, self.threshold, self.packet_size);
            return;
        }
        let slow_start = acked.sample.map_or(SlowStart::Exponential, |sample| {
            self.hystart.handle_ack(sample.prior_delivered, acked.delivered, acked.round_trip)
        });
        // An idle or limited sender learns nothing about the path (RFC 9260 §7.2.1).
        if acked.in_flight_before + self.packet_size <= self.window {
            if let Growth::Cubic(cubic) = &mut self.growth {
                cubic.pause();
            }
            return;
        }
        if self.window < self.threshold {
            return self.slow_start(slow_start, acked.bytes);
        }
        self.avoid_congestion(acked);
    }

    /// RFC 9260 §7.2.4, RFC 9438 §4.6.
    pub(super) fn handle_congestion(&mut self, _now: Instant, in_flight: usize) {
        self.reduce();
        self.recovery = Some(Prr::new(in_flight));
    }

    pub(super) fn handle_recovered(&mut self) {
        if self.recovery.take().is_some() {
            self.window = self.threshold.max(MIN_PACKETS * self.packet_size);
        }
        self.before = None;
    }

    /// RFC 9260 §7.2.3.
    pub(super) fn handle_timeout(&mut self, _now: Instant) {
        self.reduce();
        self.recovery = None;
        self.window = self.packet_size;
    }

    pub(super) fn undo(&mut self) {
        if let Some(before) = self.before.take() {
            self.recovery = None;
            self.window = self.window.max(before.window);
            self.threshold = before.threshold;
            self.growth = before.growth;
        }
    }

    /// RFC 9260 §7.2.1.
    pub(super) fn handle_idle(&mut self) {
        if self.window > self.initial_window {
            self.threshold = self.threshold.max(self.window / 4 * 3);
            self.window = (self.window / 2).max(self.initial_window);
        }
        if let Growth::Cubic(cubic) = &mut self.growth {
            cubic.pause();
        }
    }

    fn slow_start(&mut self, how: SlowStart, acked: usize) {
        match how {
            SlowStart::Exponential => self.window += acked,
            SlowStart::Conservative => self.window += acked / CONSERVATIVE_DIVISOR,
            SlowStart::Over => self.threshold = self.window,
        }
    }

    fn avoid_congestion(&mut self, acked: &Acked) {
        let packet = self.packet_size as f64;
        let (window, bytes) = (self.window as f64 / packet, acked.bytes as f64 / packet);
        self.fraction += match &mut self.growth {
            Growth::NewReno => bytes / window,
            Growth::Cubic(cubic) => cubic.growth(acked.now, window, bytes, self.smoothed.unwrap_or_default()),
        };
        let grown = (self.fraction * packet) as usize;
        self.window += grown;
        self.fraction -= grown as f64 / packet;
    }

    fn reduce(&mut self) {
        let before = Before { window: self.window, threshold: self.threshold, growth: self.growth };
        self.before = Some(before);
        let factor = match &mut self.growth {
            Growth::NewReno => 0.5,
            Growth::Cubic(cubic) => {
                cubic.reduce(self.window as f64 / self.packet_size as f64);
                BETA
            }
        };
        self.fraction = 0.0;
        self.threshold = ((self.window as f64 * factor) as usize).max(MIN_PACKETS * self.packet_size);
    }
}

#[cfg(test)]
mod tests {
    use antiphon_testkit::origin;

    use super::*;

    fn full(controller: &LossBased, bytes: usize) -> Acked {
        Acked {
            now: origin(),
            bytes,
            lost: 0,
            in_flight_before: controller.window(),
            in_flight: controller.window() - bytes,
            round_trip: None,
            sample: None,
            delivered: 0,
            in_recovery: false,
        }
    }

    fn reno() -> LossBased {
        LossBased::new(1000, 10, Growth::NewReno)
    }

    #[test]
    fn doubles_in_slow_start_whatever_the_number_of_acks() {
        let mut controller = reno();
        controller.handle_ack(&full(&controller, 10_000));
        assert_eq!(controller.window(), 20_000);
    }

    #[test]
    fn halves_on_loss_and_then_grows_by_a_packet_a_round_trip() {
        let mut controller = reno();
        controller.handle_ack(&full(&controller, 10_000));
        controller.handle_congestion(origin(), 20_000);
        controller.handle_recovered();
        assert_eq!(controller.window(), 10_000);
        for _ in 0..10 {
            controller.handle_ack(&full(&controller, 1_000));
        }
        assert!((10_900..=11_000).contains(&controller.window()), "{}", controller.window());
    }

    #[test]
    fn a_timeout_leaves_one_packet_and_half_as_threshold() {
        let mut controller = reno();
        controller.handle_timeout(origin());
        assert_eq!(controller.window(), 1_000);
        let mut windows = Vec::new();
        for _ in 0..4 {
            controller.handle_ack(&full(&controller, controller.window()));
            windows.push(controller.window());
        }
        assert_eq!(windows, [2_000, 4_000, 8_000, 9_000]);
    }

    #[test]
    fn a_reduction_without_cause_is_undone() {
        let mut controller = reno();
        controller.handle_timeout(origin());
        controller.undo();
        assert_eq!(controller.window(), 10_000);
        controller.handle_congestion(origin(), 10_000);
        controller.undo();
        controller.handle_recovered();
        assert_eq!(controller.window(), 10_000);
    }

    #[test]
    fn does_not_grow_while_the_window_is_not_used() {
        let mut controller = reno();
        let acked = Acked { bytes: 2_000, in_flight_before: 2_000, in_flight: 0, ..full(&controller, 2_000) };
        controller.handle_ack(&acked);
        assert_eq!(controller.window(), 10_000);
    }
}
