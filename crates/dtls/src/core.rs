//! What every step of a handshake works with, in either role.

use antiphon_crypto::{Digest, Provider};
use antiphon_crypto::{HashAlgorithm, PeerCertificate, SignatureScheme};
use antiphon_util::{Rng, Writer};

use crate::flight::{Flight, WriteState};
use crate::message::{Kind, Message};
use crate::record::Opener;
use crate::registry::{group_code, scheme_code, scheme_of_code};
use crate::secrets::{MasterSecret, Randoms, Side};
use crate::{CipherSuite, Config, HandshakeError, SrtpProfile};

/// What every step of a handshake works with.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) config: Config,
    pub(crate) rng: Rng,
    pub(crate) flight: Flight,
    pub(crate) writing: WriteState,
    pub(crate) opener: Option<Opener>,
    /// The epoch in which alerts leave: 1 once our ChangeCipherSpec has been queued.
    pub(crate) write_epoch: u16,
    /// The message_seq of our next handshake message.
    pub(crate) next_sequence: u16,
}

impl Core {
    pub(crate) fn new(config: Config, rng: Rng) -> Self {
        let flight = Flight::new(&config.timing, None);
        Self {
            config,
            rng,
            flight,
            writing: WriteState::default(),
            opener: None,
            write_epoch: 0,
            next_sequence: 0,
        }
    }

    pub(crate) fn provider(&self) -> Provider {
        self.config.provider
    }

    /// Queues a handshake message in the current flight and adds it to the transcript.
    pub(crate) fn send(
        &mut self,
        transcript: &mut Transcript,
        kind: Kind,
        write: impl FnOnce(&mut Writer<'_>),
    ) {
        let message = Message::new(kind, self.next_sequence, write);
        self.next_sequence += 1;
        transcript.add(&message);
        self.flight.push(message, self.write_epoch);
    }

    /// Queues ChangeCipherSpec and Finished.
    pub(crate) fn send_finished(&mut self, transcript: &mut Transcript, keys: &Keys, side: Side) {
        self.flight.push_change_cipher_spec();
        self.write_epoch = 1;
        let verify_data = keys.master.verify_data(side, &transcript.hash(self.provider(), keys.suite.hash()));
        self.send(transcript, Kind::FINISHED, |w| w.bytes(&verify_data));
    }

    /// Derives the master secret and installs the keys of epoch 1; `transcript` ends with the ClientKeyExchange.
    pub(crate) fn install_keys(
        &mut self,
        premaster: &antiphon_crypto::Secret,
        transcript: &Transcript,
        negotiated: &Negotiated,
        side: Side,
    ) -> Result<Keys, HandshakeError> {
        let (provider, suite) = (self.provider(), negotiated.suite);
        let session_hash = transcript.hash(provider, suite.hash());
        let master = MasterSecret::new(provider, suite.hash(), premaster, &session_hash, negotiated.randoms);
        let (sealer, opener) = master.keys(provider, suite, side).ok_or(HandshakeError::Internal)?;
        self.writing.sealer = Some(sealer);
        self.opener = Some(opener);
        Ok(Keys { master, suite })
    }

    /// Reads the certificate of the peer and compares its fingerprint with those announced: the one place, for both roles,
    /// in which it is decided who the peer is.
    pub(crate) fn identify(&self, chain: &[Vec<u8>]) -> Result<PeerCertificate, HandshakeError> {
        use antiphon_crypto::PeerCertificateError;
        let der = chain.first().ok_or(HandshakeError::NoCertificate)?;
        let certificate = PeerCertificate::parse(der).map_err(|error| match error {
            PeerCertificateError::Malformed => HandshakeError::BadCertificate,
            PeerCertificateError::UnsupportedKey => HandshakeError::UnsupportedCertificate,
        })?;
        // RFC 8122 §5: only the fingerprints with the strongest hash function count.
        let announced = &self.config.remote_fingerprints;
        let strongest =
            announced.iter().map(|fingerprint| fingerprint.algorithm()).max_by_key(|hash| hash.output_len());
        let actual = certificate.fingerprint(self.provider(), strongest.unwrap_or(HashAlgorithm::Sha256));
        if announced.contains(&actual) { Ok(certificate) } else { Err(HandshakeError::FingerprintMismatch) }
    }

    /// Checks a signature of the peer.
    pub(crate) fn verify(
        &self,
        peer: &PeerCertificate,
        scheme: u16,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), HandshakeError> {
        let scheme = scheme_of_code(scheme).ok_or(HandshakeError::IllegalParameter)?;
        if self.provider().verify(peer.public_key(), scheme, message, signature) {
            Ok(())
        } else {
            Err(HandshakeError::BadSignature)
        }
    }

    /// The scheme with which our certificate signs for a peer that verifies `acceptable`.
    pub(crate) fn signature_scheme(&self, acceptable: &[u16]) -> Option<SignatureScheme> {
        let ours = self.config.certificate.signature_schemes();
        ours.iter().copied().find(|scheme| acceptable.contains(&scheme_code(*scheme)))
    }

    pub(crate) fn group_codes(&self) -> Vec<u16> {
        self.config.groups.iter().filter(|group| !group.is_hybrid()).map(|group| group_code(*group)).collect()
    }
}

/// The codes of all signature schemes that we verify.
pub(crate) fn scheme_codes() -> Vec<u16> {
    SignatureScheme::ALL.map(scheme_code).to_vec()
}

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
}

/// What stays of a finished handshake.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) keys: Keys,
    pub(crate) srtp_profile: Option<SrtpProfile>,
    pub(crate) peer: PeerCertificate,
}

/// The handshake messages so far, as if none had been fragmented (RFC 6347 §4.2.6).
///
/// The bytes are kept, not a running hash: CertificateVerify signs them all, with a hash that is known only then.
#[derive(Debug, Default)]
pub(crate) struct Transcript(Vec<u8>);

impl Transcript {
    pub(crate) fn add(&mut self, message: &Message) {
        crate::message::Fragment::of(message, 0, message.body.len()).write(&mut Writer::new(&mut self.0));
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn hash(&self, provider: Provider, hash: HashAlgorithm) -> Digest {
        provider.digest(hash, &[&self.0])
    }
}
