//! Packets that belong to no association (RFC 9260 §8.4).

use super::{Association, State};
use crate::DropReason;
use crate::packet::{Causes, Chunk, Header, Packet, cause};

/// How such a packet is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Nothing,
    /// SHUTDOWN COMPLETE under the same tag: the peer missed ours.
    ShutdownComplete,
    /// ABORT under that tag; `reflected` where it is the one of the packet.
    Abort {
        tag: u32,
        reflected: bool,
    },
}

impl Association {
    /// Whether there is an association for the packet, or it can begin one.
    pub(super) fn is_concerned(&self, packet: &Packet<'_>) -> bool {
        match self.state {
            // A peer that has our INIT from a description may be faster than its own description.
            State::Idle { .. } => {
                packet.header.verification_tag == self.local.tag
                    || matches!(packet.chunks().next(), Some(Ok(Chunk::Init(_) | Chunk::CookieEcho(_))))
            }
            State::Ended => false,
            State::CookieWait { .. } | State::CookieEchoed { .. } | State::Open { .. } => true,
        }
    }

    /// Answers a packet for which there is no association, so that the peer learns of it.
    pub(super) fn answer_out_of_the_blue(&mut self, packet: &Packet<'_>) {
        self.drop_for(DropReason::UnexpectedChunk);
        match decide(packet) {
            Answer::Nothing => {}
            Answer::ShutdownComplete => {
                self.complete_shutdown_out_of_the_blue(packet.header.verification_tag)
            }
            Answer::Abort { tag, reflected } => {
                self.reply_apart(tag, &Chunk::Abort { reflected, causes: Causes::new(&[]) });
            }
        }
    }

    /// Answers a SHUTDOWN ACK of an association that is over here; its own tag is reflected.
    pub(super) fn complete_shutdown_out_of_the_blue(&mut self, tag: u32) {
        self.reply_apart(tag, &Chunk::ShutdownComplete { reflected: true });
    }
}

fn decide(packet: &Packet<'_>) -> Answer {
    let Header { verification_tag: tag, .. } = packet.header;
    let chunks = || packet.chunks().map_while(Result::ok);
    if chunks().next().is_none() || chunks().any(|chunk| matches!(chunk, Chunk::Abort { .. })) {
        return Answer::Nothing;
    }
    if tag == 0 {
        // Only INIT has no tag (RFC 9260 §8.5.1 A).
        return match (chunks().next(), chunks().nth(1)) {
            (Some(Chunk::Init(init)), None) => Answer::Abort { tag: init.initiate_tag, reflected: false },
            _ => Answer::Nothing,
        };
    }
    if chunks().any(|chunk| matches!(chunk, Chunk::ShutdownAck)) {
        return Answer::ShutdownComplete;
    }
    let is_late = |chunk: Chunk<'_>| match chunk {
        Chunk::ShutdownComplete { .. } | Chunk::CookieAck => true,
        Chunk::Error(causes) => causes.iter().any(|error| error.code == cause::STALE_COOKIE),
        _ => false,
    };
    if chunks().any(is_late) { Answer::Nothing } else { Answer::Abort { tag, reflected: true } }
}
