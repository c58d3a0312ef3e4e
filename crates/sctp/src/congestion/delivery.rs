//! Delivery rate: what the acknowledgements of a round trip say about the path
//! (draft-cheng-iccrg-delivery-rate-estimation).

use std::time::{Duration, Instant};

/// What was delivered and lost so far.
#[derive(Debug, Default)]
pub(crate) struct Delivery {
    delivered: u64,
    lost: u64,
    delivered_at: Option<Instant>,
    /// When the packet was sent whose acknowledgement came last.
    first_sent_at: Option<Instant>,
    /// Until so much is delivered, the rate tells of the application and not of the path.
    limited_until: u64,
}

/// How things stood when a packet was sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Snapshot {
    pub(crate) sent_at: Instant,
    pub(crate) delivered: u64,
    delivered_at: Instant,
    first_sent_at: Instant,
    pub(crate) lost: u64,
    /// Bytes in flight with this packet.
    pub(crate) in_flight: usize,
    pub(crate) limited: bool,
}

/// The rate at which the path delivered between a packet's departure and its acknowledgement.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RateSample {
    /// Bytes a second, where the interval was long enough to tell.
    pub(crate) rate: Option<f64>,
    /// Bytes delivered and lost in between.
    pub(crate) delivered: u64,
    pub(crate) lost: u64,
    /// Bytes that were delivered when the packet was sent.
    pub(crate) prior_delivered: u64,
    /// Bytes in flight when it was sent.
    pub(crate) in_flight: usize,
    /// Whether the application had nothing more to send.
    pub(crate) limited: bool,
}

impl Delivery {
    /// A packet is about to be sent, after which `in_flight` bytes will be in flight.
    pub(crate) fn snapshot(&mut self, now: Instant, in_flight_before: usize) -> Snapshot {
        if in_flight_before == 0 {
            (self.first_sent_at, self.delivered_at) = (Some(now), Some(now));
        }
        Snapshot {
            sent_at: now,
            delivered: self.delivered,
            delivered_at: self.delivered_at.unwrap_or(now),
            first_sent_at: self.first_sent_at.unwrap_or(now),
            lost: self.lost,
            in_flight: in_flight_before,
            limited: self.limited_until > 0,
        }
    }

    pub(crate) fn lose(&mut self, bytes: usize) {
        self.lost += bytes as u64;
    }

    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }

    pub(crate) fn delivered(&self) -> u64 {
        self.delivered
    }

    /// `bytes` were acknowledged, `newest` being the last sent packet among them.
    pub(crate) fn acknowledge(
        &mut self,
        now: Instant,
        bytes: usize,
        newest: Option<Snapshot>,
        least_interval: Option<Duration>,
    ) -> Option<RateSample> {
        self.delivered += bytes as u64;
        self.delivered_at = Some(now);
        if self.delivered > self.limited_until {
            self.limited_until = 0;
        }
        let packet = newest?;
        self.first_sent_at = Some(packet.sent_at);
        let sending = packet.sent_at.saturating_duration_since(packet.first_sent_at);
        let interval = sending.max(now.saturating_duration_since(packet.delivered_at));
        let delivered = self.delivered.saturating_sub(packet.delivered);
        // Shorter than a round trip, it would tell of a burst of acknowledgements.
        let told = !interval.is_zero() && least_interval.is_none_or(|least| interval >= least);
        Some(RateSample {
            rate: told.then(|| delivered as f64 / interval.as_secs_f64()),
            delivered,
            lost: self.lost.saturating_sub(packet.lost),
            prior_delivered: packet.delivered,
            in_flight: packet.in_flight,
            limited: packet.limited,
        })
    }

    /// Less is sent than the windows would allow.
    pub(crate) fn limit(&mut self, in_flight: usize) {
        self.limited_until = (self.delivered + in_flight as u64).max(1);
    }

    pub(crate) fn is_limited(&self) -> bool {
        self.limited_until > 0
    }
}
