//! What every step of a handshake works with, in either role and version.

use std::collections::VecDeque;

use antiphon_crypto::{
    Group, HashAlgorithm, PeerCertificate, PeerCertificateError, Provider, SignatureScheme,
};
use antiphon_util::{Rng, Writer};

use crate::acks::Acks;
use crate::flight::{Flight, WriteState};
use crate::key_log::SecretLog;
use crate::message::{ExtensionType, Extensions, Kind, Message, UseSrtp};
use crate::post_handshake::PostHandshake;
use crate::record::{MAX_PLAINTEXT, Opener};
use crate::registry::{group_code, scheme_code, scheme_of_code};
use crate::schedule::ApplicationSecrets;
use crate::secrets::{ConnectionIds, MasterSecret};
use crate::transcript::Transcript;
use crate::{CipherSuite, Config, HandshakeError, PeerAuthentication, SrtpProfile, Version};

/// What every step of a handshake works with.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) config: Config,
    pub(crate) is_client: bool,
    /// What goes into our hello.
    pub(crate) random: [u8; 32],
    /// What a server's cookies are made with.
    pub(crate) cookie_secret: [u8; 32],
    pub(crate) flight: Flight,
    pub(crate) writing: WriteState,
    /// Keys of the epochs that are received, the newest last.
    pub(crate) openers: Vec<Opener>,
    /// Once the hellos have chosen it.
    pub(crate) version: Option<Version>,
    /// The epoch in which handshake messages and alerts leave.
    pub(crate) write_epoch: u64,
    /// The message_seq of our next handshake message; 65,536 once all are used up.
    pub(crate) next_sequence: u32,
    pub(crate) acks: Acks,
    /// The id that the peer wants in what it receives; empty where none was agreed.
    pub(crate) remote_connection_id: Vec<u8>,
    /// Ids that the peer has given for later.
    pub(crate) spare_connection_ids: Vec<Vec<u8>>,
    /// Bytes of the id in what we receive; 0 where none was agreed.
    pub(crate) local_connection_id_len: usize,
    /// Ids that we have given besides the first.
    pub(crate) local_connection_ids: Vec<Vec<u8>>,
    /// Messages after the handshake that wait for the end of another flight, one of a kind.
    pub(crate) posts: VecDeque<PostHandshake>,
}

impl Core {
    pub(crate) fn new(config: Config, is_client: bool, mut rng: Rng) -> Self {
        let flight = Flight::new(&config.timing, None);
        Self {
            config,
            is_client,
            random: rng.array(),
            cookie_secret: rng.array(),
            flight,
            writing: WriteState::default(),
            openers: Vec::new(),
            version: None,
            write_epoch: 0,
            next_sequence: 0,
            acks: Acks::default(),
            remote_connection_id: Vec::new(),
            spare_connection_ids: Vec::new(),
            local_connection_id_len: 0,
            local_connection_ids: Vec::new(),
            posts: VecDeque::new(),
        }
    }

    /// Frees what only a handshake needs.
    pub(crate) fn settle(&mut self) {
        self.config.forget_offer();
        self.openers.shrink_to_fit();
        self.writing.shrink();
        self.acks.shrink();
    }

    pub(crate) fn provider(&self) -> Provider {
        self.config.provider
    }

    /// Whether we speak `version`: it is configured, and so is a suite and a group that serves in it.
    pub(crate) fn offers(&self, version: Version) -> bool {
        self.config.versions.contains(&version)
            && self.suites(version).next().is_some()
            && self.groups(version).next().is_some()
    }

    /// Queues a handshake message in the current flight and adds it to the transcript.
    pub(crate) fn send(
        &mut self,
        transcript: &mut Transcript,
        kind: Kind,
        write: impl FnOnce(&mut Writer<'_>),
    ) {
        let message = self.message(kind, write);
        transcript.add(&message);
        self.flight.push(message, self.write_epoch);
    }

    /// Our next handshake message.
    pub(crate) fn message(&mut self, kind: Kind, write: impl FnOnce(&mut Writer<'_>)) -> Message {
        let message = Message::new(kind, self.next_sequence as u16, write);
        self.next_sequence += 1;
        message
    }

    /// Reads the certificate of the peer and compares its fingerprint with those announced, or has its chain verified: the one
    /// place, for both roles and versions, in which it is decided who the peer is.
    pub(crate) fn identify(&self, chain: &[Vec<u8>]) -> Result<PeerCertificate, HandshakeError> {
        let der = chain.first().ok_or(HandshakeError::NoCertificate)?;
        let certificate = PeerCertificate::parse(der).map_err(|error| match error {
            PeerCertificateError::Malformed => HandshakeError::BadCertificate,
            PeerCertificateError::UnsupportedKey => HandshakeError::UnsupportedCertificate,
        })?;
        let is_proved = match &self.config.peer_authentication {
            PeerAuthentication::Fingerprint => self.is_announced(&certificate),
            PeerAuthentication::Chain(verifier) if verifier.accepts(chain) => Ok(()),
            PeerAuthentication::Chain(_) | PeerAuthentication::AnonymousClient => {
                Err(HandshakeError::UntrustedCertificate)
            }
            PeerAuthentication::DangerousAnyCertificate | PeerAuthentication::DangerousNone => Ok(()),
        };
        is_proved.map(|()| certificate)
    }

    fn is_announced(&self, certificate: &PeerCertificate) -> Result<(), HandshakeError> {
        // RFC 8122 §5: only the fingerprints with the strongest hash function count.
        let announced = &self.config.remote_fingerprints;
        let strongest =
            announced.iter().map(|fingerprint| fingerprint.algorithm()).max_by_key(|hash| hash.output_len());
        let actual = certificate.fingerprint(self.provider(), strongest.unwrap_or(HashAlgorithm::Sha256));
        if announced.contains(&actual) { Ok(()) } else { Err(HandshakeError::FingerprintMismatch) }
    }

    /// Whether a client has to show a certificate.
    pub(crate) fn wants_certificate(&self) -> bool {
        !matches!(
            self.config.peer_authentication,
            PeerAuthentication::AnonymousClient | PeerAuthentication::DangerousNone
        )
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
        let ours = self.config.certificate.as_ref()?.signature_schemes();
        ours.iter().copied().find(|scheme| acceptable.contains(&scheme_code(*scheme)))
    }

    /// The groups that serve in `version`, in our order of preference.
    pub(crate) fn groups(&self, version: Version) -> impl Iterator<Item = Group> {
        let provider = self.provider();
        let serves = move |group: &Group| {
            provider.supports(*group) && (version == Version::Dtls13 || !group.is_hybrid())
        };
        self.config.groups.iter().copied().filter(serves)
    }

    /// The group of `version` with this code.
    pub(crate) fn group_of_code(&self, version: Version, code: u16) -> Option<Group> {
        self.groups(version).find(|group| group_code(*group) == code)
    }

    /// The suites of `version`, in our order of preference.
    pub(crate) fn suites(&self, version: Version) -> impl Iterator<Item = CipherSuite> {
        self.config.cipher_suites.iter().copied().filter(move |suite| suite.version() == version)
    }

    /// What we offer of SRTP, if anything.
    pub(crate) fn srtp_offer(&self) -> Option<UseSrtp> {
        let profiles: Vec<u16> = self.config.srtp_profiles.iter().map(|profile| profile.code()).collect();
        (!profiles.is_empty()).then(|| UseSrtp { profiles, mki: Vec::new() })
    }

    /// RFC 5764 §4.1.1: the server's preference decides; without a common profile there is no SRTP.
    pub(crate) fn choose_srtp(&self, extensions: &Extensions) -> Option<SrtpProfile> {
        let offer = extensions.use_srtp.as_ref()?;
        self.config.srtp_profiles.iter().copied().find(|profile| offer.profiles.contains(&profile.code()))
    }

    /// The SRTP profile that the server chose of those we offered, if any.
    pub(crate) fn chosen_srtp(&self, extensions: &Extensions) -> Result<Option<SrtpProfile>, HandshakeError> {
        let Some(srtp) = &extensions.use_srtp else { return Ok(None) };
        if self.config.srtp_profiles.is_empty() {
            return Err(HandshakeError::UnsolicitedExtension);
        }
        // RFC 5764 §4.1.1: exactly one profile, of those offered, and our (empty) MKI.
        match srtp.profiles.as_slice() {
            [code] if srtp.mki.is_empty() => {
                let profile = self.config.srtp_profiles.iter().find(|profile| profile.code() == *code);
                profile.map(|profile| Some(*profile)).ok_or(HandshakeError::IllegalParameter)
            }
            _ => Err(HandshakeError::IllegalParameter),
        }
    }

    /// RFC 6066 §3: a server acknowledges the name that it was told, if it was told one.
    pub(crate) fn is_name_unasked(&self, extensions: &Extensions) -> bool {
        self.config.server_name.is_none() && extensions.types.contains(&ExtensionType::SERVER_NAME)
    }

    /// The record_size_limit that we announce: in 1.3 it counts the content type too (RFC 8449 §4).
    pub(crate) fn record_size_limit(&self, version: Version) -> u16 {
        let limit = self.config.max_record_size.clamp(64, MAX_PLAINTEXT) as u16;
        if version == Version::Dtls13 { limit + 1 } else { limit }
    }

    /// Holds our records to what the peer announced, if it did.
    pub(crate) fn apply_record_size_limit(
        &mut self,
        version: Version,
        extensions: &Extensions,
    ) -> Result<(), HandshakeError> {
        let Some(limit) = extensions.record_size_limit else { return Ok(()) };
        if limit < 64 {
            return Err(HandshakeError::IllegalParameter);
        }
        let type_len = u16::from(version == Version::Dtls13);
        self.writing.limit_records((limit - type_len).into());
        Ok(())
    }

    /// Both ends know each other's connection id, if both have one.
    pub(crate) fn apply_connection_ids(&mut self, extensions: &Extensions) {
        if let (Some(ours), Some(theirs)) = (&self.config.connection_id, &extensions.connection_id) {
            self.local_connection_id_len = ours.len();
            self.remote_connection_id = theirs.clone();
        }
    }

    /// Forgets the peer's keys before the newest.
    pub(crate) fn retire_old_openers(&mut self) {
        let surplus = self.openers.len().saturating_sub(1);
        self.openers.drain(..surplus);
        self.openers.shrink_to_fit();
    }

    /// The ids that were agreed upon.
    pub(crate) fn connection_ids(&self) -> ConnectionIds<'_> {
        let local = self.config.connection_id.as_deref().filter(|_| self.local_connection_id_len > 0);
        ConnectionIds { local: local.unwrap_or_default(), remote: &self.remote_connection_id }
    }

    /// Whether `id` is one that we have given.
    pub(crate) fn is_our_connection_id(&self, id: &[u8]) -> bool {
        self.config.connection_id.as_deref() == Some(id)
            || self.local_connection_ids.iter().any(|known| known == id)
    }

    pub(crate) fn secret_log(&self, client_random: [u8; 32]) -> SecretLog<'_> {
        SecretLog { key_log: self.config.key_log.as_ref(), client_random }
    }
}

/// The codes of all signature schemes that we verify.
pub(crate) fn scheme_codes() -> Vec<u16> {
    SignatureScheme::ALL.map(scheme_code).to_vec()
}

/// What stays of the keys of a finished handshake.
#[derive(Debug)]
pub(crate) enum Secrets {
    Dtls12(MasterSecret),
    Dtls13(ApplicationSecrets),
}

/// What stays of a finished handshake.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) suite: CipherSuite,
    pub(crate) group: Group,
    pub(crate) secrets: Secrets,
    pub(crate) srtp_profile: Option<SrtpProfile>,
    /// `None` only where a server asked for none.
    pub(crate) peer: Option<PeerCertificate>,
}
