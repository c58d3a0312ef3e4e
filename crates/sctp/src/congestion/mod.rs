//! Congestion control: told facts, asked for decisions; it knows nothing of packets, chunks or timers.
//!
//! The sender reports what was sent, acknowledged and found lost; a controller answers how many bytes may be in flight
//! and how fast they may leave. Which controller fits is told at [`CongestionControl`].

mod bbr;
mod cubic;
mod delivery;
mod hystart;
mod loss_based;
mod pacer;
mod prr;
mod rounds;

use std::time::{Duration, Instant};

use antiphon_util::Rng;

use self::bbr::Bbr;
pub(crate) use self::delivery::{Delivery, RateSample, Snapshot};
use self::loss_based::{Growth, LossBased};
pub(crate) use self::pacer::Pacer;

/// How the association finds out how fast it may send.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum CongestionControl {
    /// The classic one (RFC 9260 §7.2): halves at each loss and grows by a packet a round trip. For comparison, and
    /// where a network wants exactly this.
    NewReno,
    /// CUBIC (RFC 9438): what TCP does nearly everywhere. It fills a path that loses nothing but by congestion, keeps
    /// the queue of the bottleneck full, and is fair to TCP. Random loss makes it slow.
    Cubic,
    /// BBR, third version (draft-ietf-ccwg-bbr): measures delivery rate and round trip and sends at that rate, with
    /// little queue. The default: a peer connection shares its bottleneck with its own media, and radio loses packets
    /// that no queue dropped.
    #[default]
    Bbr,
}

/// Parameters of the controller.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Congestion {
    /// Which controller.
    pub control: CongestionControl,
    /// Packets that may leave before the first acknowledgement (RFC 6928 has 10).
    pub initial_packets: usize,
    /// For BBR: the share of lost packets, in (0, 0.5], up to which loss is taken for the path's nature and not for
    /// congestion. The draft has 0.02; 0.1 serves a radio link that nobody else fills.
    pub loss_threshold: f64,
}

impl Default for Congestion {
    fn default() -> Self {
        Self { control: CongestionControl::default(), initial_packets: 10, loss_threshold: 0.02 }
    }
}

/// Least window, in packets.
const MIN_PACKETS: usize = 4;

/// What an acknowledgement told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Acked {
    pub(crate) now: Instant,
    /// Bytes newly acknowledged.
    pub(crate) bytes: usize,
    /// Bytes newly found lost.
    pub(crate) lost: usize,
    /// Bytes in flight before and after it.
    pub(crate) in_flight_before: usize,
    pub(crate) in_flight: usize,
    /// Round trip of the newest packet acknowledged, where it is not ambiguous.
    pub(crate) round_trip: Option<Duration>,
    pub(crate) sample: Option<RateSample>,
    /// All bytes ever acknowledged.
    pub(crate) delivered: u64,
    /// Whether losses are being recovered from.
    pub(crate) in_recovery: bool,
}

/// Something was found lost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lost {
    pub(crate) bytes: usize,
    /// Bytes lost since the packet was sent, this one included.
    pub(crate) lost_since: u64,
    /// As it was when the packet was sent.
    pub(crate) snapshot: Snapshot,
}

/// The controller in use.
#[derive(Debug)]
pub(crate) enum Controller {
    LossBased(Box<LossBased>),
    Bbr(Box<Bbr>),
}

impl Controller {
    pub(crate) fn new(config: &Congestion, packet_size: usize, rng: Rng) -> Self {
        let initial = config.initial_packets.clamp(1, 1_000);
        match config.control {
            CongestionControl::NewReno => {
                Self::LossBased(Box::new(LossBased::new(packet_size, initial, Growth::NewReno)))
            }
            CongestionControl::Cubic => {
                let growth = Growth::Cubic(cubic::Cubic::default());
                Self::LossBased(Box::new(LossBased::new(packet_size, initial, growth)))
            }
            CongestionControl::Bbr => Self::Bbr(Box::new(Bbr::new(
                packet_size,
                initial,
                config.loss_threshold.clamp(0.001, 0.5),
                rng,
            ))),
        }
    }

    /// Bytes that may be in flight.
    pub(crate) fn window(&self) -> usize {
        match self {
            Self::LossBased(it) => it.window(),
            Self::Bbr(it) => it.window(),
        }
    }

    /// Bytes a second; `None` before anything is known.
    pub(crate) fn pacing_rate(&self, smoothed: Option<Duration>) -> Option<f64> {
        match self {
            Self::LossBased(it) => it.pacing_rate(smoothed?),
            Self::Bbr(it) => it.pacing_rate(),
        }
    }

    /// A packet goes out. `idle` tells that nothing was in flight because nothing was there to be sent.
    pub(crate) fn handle_sent(&mut self, now: Instant, bytes: usize, idle: bool) {
        match self {
            Self::LossBased(it) => it.handle_sent(bytes),
            Self::Bbr(it) => {
                if idle {
                    it.handle_idle_restart(now);
                }
            }
        }
    }

    pub(crate) fn handle_lost(&mut self, now: Instant, lost: &Lost) {
        if let Self::Bbr(it) = self {
            it.handle_lost(now, lost);
        }
    }

    /// Losses were seen by acknowledgements, for the first time since the last recovery began.
    pub(crate) fn handle_congestion(&mut self, now: Instant, in_flight: usize) {
        match self {
            Self::LossBased(it) => it.handle_congestion(now, in_flight),
            Self::Bbr(it) => it.save_window(),
        }
    }

    pub(crate) fn handle_recovered(&mut self) {
        match self {
            Self::LossBased(it) => it.handle_recovered(),
            Self::Bbr(it) => it.restore_window(),
        }
    }

    pub(crate) fn handle_ack(&mut self, acked: &Acked) {
        match self {
            Self::LossBased(it) => it.handle_ack(acked),
            Self::Bbr(it) => it.handle_ack(acked),
        }
    }

    /// The retransmission timer expired.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        match self {
            Self::LossBased(it) => it.handle_timeout(now),
            Self::Bbr(it) => it.handle_timeout(),
        }
    }

    /// The last congestion or time-out was none.
    pub(crate) fn undo(&mut self) {
        match self {
            Self::LossBased(it) => it.undo(),
            Self::Bbr(it) => it.undo(),
        }
    }

    /// Nothing was sent for a retransmission time-out; what is known of the path ages.
    pub(crate) fn handle_idle(&mut self) {
        if let Self::LossBased(it) = self {
            it.handle_idle();
        }
    }
}
