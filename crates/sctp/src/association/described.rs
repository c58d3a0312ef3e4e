//! Setting up the association by its session descriptions (SNAP, draft-hancke-tsvwg-snap): each end tells its INIT chunk
//! with its description, and where both did, the association is established as soon as the transport below is, two round
//! trips earlier.

use std::time::Duration;

use antiphon_util::{ParseError, Writer};

use super::cookie::PeerInit;
use super::establish::LEAST_WINDOW;
use super::{Association, Phase, State};
use crate::packet::{Chunk, Init, InitParameters, Parameters};

/// The INIT chunk that a peer's description holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DescribedInit(PeerInit);

impl DescribedInit {
    /// Reads a whole INIT chunk.
    ///
    /// # Errors
    /// It is not one chunk of that type, or one that no association can be set up with.
    pub fn parse(chunk: &[u8]) -> Result<Self, ParseError> {
        let init = Init::parse_chunk(chunk)?;
        let streams = init.outgoing_streams > 0 && init.incoming_streams > 0;
        if init.initiate_tag == 0 || init.a_rwnd < LEAST_WINDOW || !streams {
            return Err(ParseError::Value);
        }
        let capabilities = InitParameters::read(init.parameters).capabilities;
        Ok(Self(PeerInit::new(&init, capabilities)))
    }
}

impl Association {
    /// Our INIT chunk, to be told with the description.
    pub fn described_init(&self) -> Vec<u8> {
        let mut parameters = Vec::new();
        self.config.capabilities().write(&mut Writer::new(&mut parameters));
        let mut chunk = Vec::new();
        let init = self.own_init(self.local, Parameters::written(&parameters));
        Chunk::Init(init).write(&mut Writer::new(&mut chunk));
        chunk
    }

    /// Takes the peer's INIT from its description, where [`Self::described_init`] went the other way:
    /// [`Self::connect`], or the peer's first packet, establishes the association at once. Without effect after that, and
    /// where a peer that does not know what it is has sent back our own.
    pub fn set_described_init(&mut self, init: DescribedInit) {
        if let State::Idle { described } = &mut self.state
            && init.0.tag != self.local.tag
        {
            *described = Some(init.0.limited(&self.config));
        }
    }

    /// Sets the round trip as measured by other means, for an association whose own set-up measures none.
    pub fn set_round_trip_time(&mut self, measured: Duration) {
        self.round_trip = Some(measured);
    }

    /// Establishes the association with the peer as described.
    pub(super) fn establish_described(&mut self, peer: PeerInit) {
        let tie_tags = self.new_tie_tags();
        let mut block = self.new_block(self.local, peer, tie_tags, self.round_trip);
        block.described = true;
        self.set_state(State::Open { block, phase: Phase::Established });
        self.connected();
    }
}
