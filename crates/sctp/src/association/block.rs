//! What exists once the peer is known: the transmission control block (RFC 9260 §14).

use std::time::{Duration, Instant};

use super::cookie::{LocalInit, PeerInit, TieTags};
use super::heartbeat::Heartbeat;
use super::reset::Resets;
use crate::Config;
use crate::rx::Receiver;
use crate::tx::{RetransmissionTimeout, Sender};

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
    ) -> Self {
        let mut rto = RetransmissionTimeout::new(&config.timing);
        if let Some(round_trip) = round_trip {
            rto.measured(round_trip);
        }
        let forward_tsn = peer.capabilities.forward_tsn;
        Self {
            receiver: Receiver::new(config, peer.incoming_streams, peer.initial_tsn),
            sender: Sender::new(config.packet_size(), local.initial_tsn, peer.window, forward_tsn),
            rto,
            resets: Resets::new(local.initial_tsn, peer.initial_tsn),
            heartbeat: Heartbeat::new(config.timing.heartbeat_interval),
            errors: 0,
            local,
            peer,
            tie_tags,
        }
    }

    /// When time alone causes something.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        [self.receiver.sack_due(), self.sender.expiry(), self.resets.expiry(), self.heartbeat.due()]
            .into_iter()
            .flatten()
            .min()
    }
}
