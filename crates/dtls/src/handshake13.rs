//! What the client and the server of DTLS 1.3 do alike (RFC 8446 §4.4).

use antiphon_crypto::{Group, PeerCertificate, SignatureScheme, constant_time_eq};

use crate::core::{Core, Secrets, Session};
use crate::message::{Certificate13, CertificateVerify, Kind, Message};
use crate::record::{Opener, Sealer};
use crate::registry::{scheme_code, scheme_of_code, signs_in_1_3};
use crate::schedule::{ApplicationSecrets, HandshakeSecrets};
use crate::secrets::Side;
use crate::transcript::Transcript;
use crate::{CipherSuite, HandshakeError, SrtpProfile, Version};

/// Epoch of the handshake after the hellos (RFC 9147 §6.1).
pub(crate) const HANDSHAKE_EPOCH: u64 = 2;

/// Epoch of the first data (RFC 9147 §6.1).
pub(crate) const DATA_EPOCH: u64 = 3;

/// What every step after the hellos works with.
#[derive(Debug)]
pub(crate) struct Progress {
    side: Side,
    pub(crate) suite: CipherSuite,
    group: Group,
    client_random: [u8; 32],
    secrets: HandshakeSecrets,
    pub(crate) transcript: Transcript,
    pub(crate) srtp_profile: Option<SrtpProfile>,
}

impl Progress {
    /// Derives the secrets of the handshake and installs its keys; `transcript` ends with the ServerHello, which has been
    /// queued if it is ours.
    pub(crate) fn begin(
        core: &mut Core,
        side: Side,
        suite: CipherSuite,
        client_random: [u8; 32],
        (group, shared): (Group, &antiphon_crypto::Secret),
        transcript: Transcript,
    ) -> Result<Self, HandshakeError> {
        let provider = core.provider();
        let hash = transcript.hash(provider, suite.hash());
        let log = core.secret_log(client_random);
        let secrets =
            HandshakeSecrets::new(provider, suite, shared, &hash, &log).ok_or(HandshakeError::Internal)?;
        let sealer = secrets.of(side).sealer(provider, HANDSHAKE_EPOCH, u64::MAX, &core.remote_connection_id);
        let opener = secrets.of(side.peer()).opener(provider, HANDSHAKE_EPOCH);
        core.writing.install(Sealer::Unified(sealer.ok_or(HandshakeError::Internal)?));
        core.openers.push(Opener::Unified(opener.ok_or(HandshakeError::Internal)?));
        core.write_epoch = HANDSHAKE_EPOCH;
        core.version = Some(Version::Dtls13);
        Ok(Self { side, suite, group, client_random, secrets, transcript, srtp_profile: None })
    }

    fn hash(&self, core: &Core) -> antiphon_crypto::Digest {
        self.transcript.hash(core.provider(), self.suite.hash())
    }

    /// Queues our certificate, or none, for the request with `context`.
    pub(crate) fn send_certificate(&mut self, core: &mut Core, context: &[u8], is_shown: bool) {
        let certificate = core.config.certificate.clone().filter(|_| is_shown);
        let chain = certificate.as_ref().map_or(&[][..], |certificate| certificate.chain());
        core.send(&mut self.transcript, Kind::CERTIFICATE, |w| Certificate13::write(context, chain, w));
    }

    pub(crate) fn send_certificate_verify(
        &mut self,
        core: &mut Core,
        scheme: SignatureScheme,
    ) -> Result<(), HandshakeError> {
        let content = signed_content(self.side, &self.hash(core));
        let certificate = core.config.certificate.as_ref();
        let signature = certificate.and_then(|certificate| certificate.sign(scheme, &content));
        let signature = signature.ok_or(HandshakeError::Internal)?;
        let verify = CertificateVerify { scheme: scheme_code(scheme), signature };
        core.send(&mut self.transcript, Kind::CERTIFICATE_VERIFY, |w| verify.write(w));
        Ok(())
    }

    pub(crate) fn send_finished(&mut self, core: &mut Core) -> Result<(), HandshakeError> {
        let secret = self.secrets.of(self.side);
        let verify_data =
            secret.verify_data(core.provider(), &self.hash(core)).ok_or(HandshakeError::Internal)?;
        core.send(&mut self.transcript, Kind::FINISHED, |w| w.bytes(&verify_data));
        Ok(())
    }

    /// The peer's certificate, or `None` where a client shows none.
    pub(crate) fn read_certificate(
        &mut self,
        core: &Core,
        message: &Message,
    ) -> Result<Option<PeerCertificate>, HandshakeError> {
        let certificate = message.read(Certificate13::parse)?;
        if !certificate.context.is_empty() {
            return Err(HandshakeError::IllegalParameter);
        }
        if certificate.has_extensions {
            return Err(HandshakeError::UnsolicitedExtension);
        }
        if certificate.chain.is_empty() {
            self.transcript.add(message);
            return Ok(None);
        }
        let peer = core.identify(&certificate.chain)?;
        self.transcript.add(message);
        Ok(Some(peer))
    }

    pub(crate) fn read_certificate_verify(
        &mut self,
        core: &Core,
        peer: &PeerCertificate,
        message: &Message,
    ) -> Result<(), HandshakeError> {
        let verify = message.read(CertificateVerify::parse)?;
        let kind = peer.public_key().kind();
        if !scheme_of_code(verify.scheme).is_some_and(|scheme| signs_in_1_3(scheme, kind)) {
            return Err(HandshakeError::IllegalParameter);
        }
        let content = signed_content(self.side.peer(), &self.hash(core));
        core.verify(peer, verify.scheme, &content, &verify.signature)?;
        self.transcript.add(message);
        Ok(())
    }

    pub(crate) fn read_finished(&mut self, core: &Core, message: &Message) -> Result<(), HandshakeError> {
        let secret = self.secrets.of(self.side.peer());
        let expected =
            secret.verify_data(core.provider(), &self.hash(core)).ok_or(HandshakeError::Internal)?;
        if !constant_time_eq(&expected, &message.body) {
            return Err(HandshakeError::BadFinished);
        }
        self.transcript.add(message);
        Ok(())
    }

    /// The secrets of the data; the transcript ends with the server's Finished.
    pub(crate) fn application_secrets(&self, core: &Core) -> Result<ApplicationSecrets, HandshakeError> {
        let log = core.secret_log(self.client_random);
        self.secrets.application(self.side, &self.hash(core), &log).ok_or(HandshakeError::Internal)
    }

    pub(crate) fn into_session(
        self,
        secrets: ApplicationSecrets,
        peer: Option<PeerCertificate>,
    ) -> Box<Session> {
        let Self { suite, group, srtp_profile, .. } = self;
        Box::new(Session { suite, group, secrets: Secrets::Dtls13(secrets), srtp_profile, peer })
    }
}

/// Installs the key with which our data is sealed from now on.
pub(crate) fn install_sealer(core: &mut Core, secrets: &ApplicationSecrets) -> Result<(), HandshakeError> {
    let (provider, records) = (core.provider(), core.config.key_lifetime);
    let sealer = secrets.ours.sealer(provider, DATA_EPOCH, records, &core.remote_connection_id);
    core.writing.install(Sealer::Unified(sealer.ok_or(HandshakeError::Internal)?));
    core.write_epoch = DATA_EPOCH;
    Ok(())
}

/// Installs the key with which the peer's data is opened.
pub(crate) fn install_opener(core: &mut Core, secrets: &ApplicationSecrets) -> Result<(), HandshakeError> {
    let opener = secrets.theirs.opener(core.provider(), DATA_EPOCH);
    core.openers.push(Opener::Unified(opener.ok_or(HandshakeError::Internal)?));
    Ok(())
}

/// The scheme with which our certificate signs in 1.3 for a peer that verifies `acceptable`.
pub(crate) fn signature_scheme(core: &Core, acceptable: &[u16]) -> Option<SignatureScheme> {
    let certificate = core.config.certificate.as_ref()?;
    let serves = |scheme: &SignatureScheme| {
        signs_in_1_3(*scheme, certificate.key_kind()) && acceptable.contains(&scheme_code(*scheme))
    };
    certificate.signature_schemes().iter().copied().find(serves)
}

/// What a CertificateVerify signs (RFC 8446 §4.4.3).
pub(crate) fn signed_content(signer: Side, hash: &[u8]) -> Vec<u8> {
    let context: &[u8] = match signer {
        Side::Client => b"TLS 1.3, client CertificateVerify\0",
        Side::Server => b"TLS 1.3, server CertificateVerify\0",
    };
    [&[0x20; 64], context, hash].concat()
}
