//! What the client and the server of DTLS 1.2 do alike with keys.

use antiphon_crypto::{Group, Secret};

use crate::core::Core;
use crate::message::Kind;
use crate::record::{Opener, Sealer};
use crate::secrets::{MasterSecret, Randoms, Side};
use crate::transcript::Transcript;
use crate::{CipherSuite, HandshakeError, SrtpProfile};

/// What the hellos agreed upon.
#[derive(Debug, Clone)]
pub(crate) struct Negotiated {
    pub(crate) randoms: Randoms,
    pub(crate) suite: CipherSuite,
    pub(crate) srtp_profile: Option<SrtpProfile>,
}

/// The master secret and the suite it works with.
#[derive(Debug)]
pub(crate) struct Keys {
    pub(crate) master: MasterSecret,
    pub(crate) suite: CipherSuite,
    pub(crate) group: Group,
}

impl Keys {
    /// Derives the master secret and installs the keys of epoch 1; `transcript` ends with the ClientKeyExchange.
    pub(crate) fn install(
        core: &mut Core,
        (group, premaster): (Group, &Secret),
        transcript: &Transcript,
        negotiated: &Negotiated,
        side: Side,
    ) -> Result<Self, HandshakeError> {
        let (provider, suite) = (core.provider(), negotiated.suite);
        let session_hash = transcript.hash(provider, suite.hash());
        let log = core.secret_log(negotiated.randoms.client);
        let master =
            MasterSecret::new(provider, suite.hash(), premaster, &session_hash, negotiated.randoms, &log);
        let (sealer, opener) =
            master.keys(suite, side, core.connection_ids()).ok_or(HandshakeError::Internal)?;
        core.writing.install(Sealer::Legacy(sealer));
        core.openers.push(Opener::Legacy(opener));
        Ok(Self { master, suite, group })
    }

    /// Queues ChangeCipherSpec and Finished.
    pub(crate) fn send_finished(&self, core: &mut Core, transcript: &mut Transcript, side: Side) {
        core.flight.push_change_cipher_spec();
        core.write_epoch = 1;
        let hash = transcript.hash(core.provider(), self.suite.hash());
        let verify_data = self.master.verify_data(side, &hash);
        core.send(transcript, Kind::FINISHED, |w| w.bytes(&verify_data));
    }
}
