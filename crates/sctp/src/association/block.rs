//! What exists once the peer is known: the transmission control block (RFC 9260 §14).

use std::time::{Duration, Instant};

use super::cookie::{LocalInit, PeerInit, TieTags};
use super::heartbeat::Heartbeat;
use super::reset::Resets;
use crate::Config;
use antiphon_util::Rng;

use crate::rx::{Receiver, ReceiverConfig};
use crate::tx::{RetransmissionTimeout, Sender, SenderConfig};

/// The control block.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) local: LocalInit,
    pub(super) peer: PeerInit,
    /// Stand for this association in cookies of a possible restart.
    pub(super) tie_tags: TieTags,
    pub(super) receiver: Receiver,
    pub(super) sender: Sender,
    pub(super) rto: RetransmissionTimeout,
    pub(super) resets: Resets,
    pub(super) heartbeat: Heartbeat,
    /// Whether descriptions took the place of the set-up.
    pub(super) described: bool,
    /// Time-outs in a row (RFC 9260 §8.1).
    pub(super) errors: u32,
}

impl Block {
    pub(super) fn new(
        config: &Config,
        local: LocalInit,
        peer: PeerInit,
        tie_tags: TieTags,
        round_trip: Option<Duration>,
        rng: Rng,
    ) -> Self {
        let mut rto = RetransmissionTimeout::new(&config.timing);
        if let Some(round_trip) = round_trip {
            rto.measured(round_trip);
        }
        let interleaving = config.interleaving && peer.capabilities.interleaving;
        let receiver = ReceiverConfig {
            streams: peer.incoming_streams,
            initial_tsn: peer.initial_tsn,
            interleaving,
            round_trip,
        };
        let sender = SenderConfig {
            packet_size: config.packet_size(),
            probed_packet_sizes: &config.probed_packet_sizes,
            initial_tsn: local.initial_tsn,
            peer_window: peer.window,
            partial_reliability: peer.capabilities.forward_tsn,
            interleaving,
            congestion: config.congestion,
            max_in_flight: config.limits.max_in_flight,
            round_trip,
        };
        Self {
            receiver: Receiver::new(config, &receiver),
            sender: Sender::new(&sender, rng),
            rto,
            resets: Resets::new(local.initial_tsn, peer.initial_tsn),
            heartbeat: Heartbeat::new(config.timing.heartbeat_interval),
            described: false,
            errors: 0,
            local,
            peer,
            tie_tags,
        }
    }

    /// Whether messages are interleaved in both directions (RFC 8260 §2.2.1).
    pub(super) fn interleaves(&self, config: &Config) -> bool {
        config.interleaving && self.peer.capabilities.interleaving
    }

    /// Whether our packets go without checksum: what the peer announced says what it takes, whatever it sends itself
    /// (RFC 9653 §5.1).
    pub(super) fn goes_without_checksum(&self, config: &Config) -> bool {
        config.zero_checksum && self.peer.capabilities.zero_checksum
    }

    /// When time alone causes something.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        [self.receiver.sack_due(), self.sender.next_timeout(), self.resets.expiry(), self.heartbeat.due()]
            .into_iter()
            .flatten()
            .min()
    }
}
