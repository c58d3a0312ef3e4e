//! The client of DTLS 1.2 behind the ServerHello (RFC 5246 §7.3, RFC 6347 §4.2.4).
//!
//! ```text
//!                               <--  ServerHello, Certificate, ServerKeyExchange, CertificateRequest, ServerHelloDone
//!  Certificate, ClientKeyExchange,
//!  CertificateVerify, [ChangeCipherSpec], Finished
//!                               -->
//!                               <--  [ChangeCipherSpec], Finished
//! ```

use std::sync::Arc;

use antiphon_crypto::{
    Certificate as OwnCertificate, Group, PeerCertificate, SignatureScheme, constant_time_eq,
};

use crate::client::Client;
use crate::connection::State;
use crate::core::{Core, Secrets, Session};
use crate::flight::Repetition;
use crate::keys12::{Keys, Negotiated};
use crate::message::{
    Certificate, CertificateRequest, CertificateVerify, ClientHello, ClientKeyExchange, ExtensionType,
    Extensions, Kind, Message, ServerHello, ServerKeyExchange,
};
use crate::registry::{Authentication, scheme_code};
use crate::secrets::{Randoms, Side};
use crate::transcript::Transcript;
use crate::{HandshakeError, SrtpProfile, Version};

/// What the client awaits next.
#[derive(Debug)]
#[allow(clippy::enum_variant_names, reason = "states are named for what is awaited")]
pub(crate) enum Client12 {
    AwaitCertificate(AwaitCertificate),
    AwaitServerKeyExchange(AwaitServerKeyExchange),
    AwaitServerHelloDone(AwaitServerHelloDone),
    AwaitFinished(AwaitFinished),
}

impl Client12 {
    /// Handles the next message in order.
    pub(crate) fn handle(self, core: &mut Core, message: &Message) -> Result<State, HandshakeError> {
        let next = match (self, message.kind) {
            (Client12::AwaitCertificate(state), Kind::CERTIFICATE) => state.certificate(core, message)?,
            (Client12::AwaitServerKeyExchange(state), Kind::SERVER_KEY_EXCHANGE) => {
                state.key_exchange(core, message)?
            }
            (Client12::AwaitServerHelloDone(state), Kind::CERTIFICATE_REQUEST) => {
                state.certificate_request(core, message)?
            }
            (Client12::AwaitServerHelloDone(state), Kind::SERVER_HELLO_DONE) => state.done(core, message)?,
            (Client12::AwaitFinished(state), Kind::FINISHED) => return state.finished(core, message),
            _ => return Err(HandshakeError::UnexpectedMessage),
        };
        Ok(State::Client(Client::Dtls12(Box::new(next))))
    }
}

/// The server has chosen 1.2: `ours` is our hello, which went as `sent`, and `hello` its answer, which came as `message`.
pub(crate) fn server_hello(
    core: &mut Core,
    ours: &ClientHello,
    sent: &Message,
    hello: &ServerHello,
    message: &Message,
) -> Result<Client12, HandshakeError> {
    let suite = core.suites(Version::Dtls12).find(|suite| suite.code() == hello.cipher_suite);
    let suite = suite.ok_or(HandshakeError::IllegalParameter)?;
    let srtp_profile = check_extensions(core, &hello.extensions)?;
    if hello.compression_method != 0 {
        return Err(HandshakeError::IllegalParameter);
    }
    core.apply_record_size_limit(Version::Dtls12, &hello.extensions)?;
    core.apply_connection_ids(&hello.extensions);
    let mut transcript = Transcript::new(Version::Dtls12);
    transcript.add(sent);
    transcript.add(message);
    let randoms = Randoms { client: ours.random, server: hello.random };
    let negotiated = Negotiated { randoms, suite, srtp_profile };
    Ok(Client12::AwaitCertificate(AwaitCertificate { negotiated, transcript }))
}

/// Checks the extensions of a ServerHello against those offered and gives the SRTP profile chosen.
fn check_extensions(core: &Core, extensions: &Extensions) -> Result<Option<SrtpProfile>, HandshakeError> {
    const OFFERED: [ExtensionType; 7] = [
        ExtensionType::SERVER_NAME,
        ExtensionType::EC_POINT_FORMATS,
        ExtensionType::USE_SRTP,
        ExtensionType::EXTENDED_MASTER_SECRET,
        ExtensionType::RECORD_SIZE_LIMIT,
        ExtensionType::RENEGOTIATION_INFO,
        ExtensionType::CONNECTION_ID,
    ];
    let is_id_unasked = extensions.connection_id.is_some() && core.config.connection_id.is_none();
    if !extensions.are_among(&OFFERED) || is_id_unasked || core.is_name_unasked(extensions) {
        return Err(HandshakeError::UnsolicitedExtension);
    }
    if !extensions.extended_master_secret {
        return Err(HandshakeError::NoExtendedMasterSecret);
    }
    // RFC 5746 §3.4: in a first handshake it is empty.
    if extensions.renegotiation_info.as_ref().is_some_and(|info| !info.is_empty()) {
        return Err(HandshakeError::NoCommonParameters);
    }
    core.chosen_srtp(extensions)
}

#[derive(Debug)]
pub(crate) struct AwaitCertificate {
    negotiated: Negotiated,
    transcript: Transcript,
}

impl AwaitCertificate {
    fn certificate(mut self, core: &Core, message: &Message) -> Result<Client12, HandshakeError> {
        let peer = core.identify(&message.read(Certificate::parse)?.chain)?;
        if !self.negotiated.suite.authentication().suits(peer.public_key().kind()) {
            return Err(HandshakeError::IllegalParameter);
        }
        self.transcript.add(message);
        let Self { negotiated, transcript } = self;
        Ok(Client12::AwaitServerKeyExchange(AwaitServerKeyExchange { negotiated, transcript, peer }))
    }
}

#[derive(Debug)]
pub(crate) struct AwaitServerKeyExchange {
    negotiated: Negotiated,
    transcript: Transcript,
    peer: PeerCertificate,
}

impl AwaitServerKeyExchange {
    fn key_exchange(mut self, core: &Core, message: &Message) -> Result<Client12, HandshakeError> {
        let exchange = message.read(ServerKeyExchange::parse)?;
        let group = core.group_of_code(Version::Dtls12, exchange.group);
        let group = group.ok_or(HandshakeError::IllegalParameter)?;
        let Randoms { client, server } = &self.negotiated.randoms;
        let parameters = ServerKeyExchange::parameters(exchange.group, &exchange.public_value);
        let signed = [&client[..], server, &parameters].concat();
        core.verify(&self.peer, exchange.scheme, &signed, &exchange.signature)?;
        self.transcript.add(message);
        Ok(Client12::AwaitServerHelloDone(AwaitServerHelloDone {
            negotiated: self.negotiated,
            transcript: self.transcript,
            peer: self.peer,
            group,
            public_value: exchange.public_value,
            requested: None,
        }))
    }
}

#[derive(Debug)]
pub(crate) struct AwaitServerHelloDone {
    negotiated: Negotiated,
    transcript: Transcript,
    peer: PeerCertificate,
    group: Group,
    /// The server's.
    public_value: Vec<u8>,
    requested: Option<CertificateRequest>,
}

impl AwaitServerHelloDone {
    fn certificate_request(mut self, _core: &Core, message: &Message) -> Result<Client12, HandshakeError> {
        if self.requested.is_some() {
            return Err(HandshakeError::UnexpectedMessage);
        }
        self.requested = Some(message.read(CertificateRequest::parse)?);
        self.transcript.add(message);
        Ok(Client12::AwaitServerHelloDone(self))
    }

    /// The server has said all: sends our last flight but the last.
    fn done(mut self, core: &mut Core, message: &Message) -> Result<Client12, HandshakeError> {
        message.read(|_| Ok(()))?;
        self.transcript.add(message);
        let mut transcript = self.transcript;
        let agreement = core.provider().key_agreement(self.group).ok_or(HandshakeError::Internal)?;
        let our_value = agreement.public_value().to_vec();
        let premaster = agreement.agree(&self.public_value).map_err(|_| HandshakeError::IllegalParameter)?;

        core.flight.begin(Repetition::Timed);
        let shown = self.requested.as_ref().and_then(|requested| suitable_certificate(core, requested));
        if self.requested.is_some() {
            // RFC 5246 §7.4.6: without a suitable one, an empty list.
            let chain = shown.as_ref().map_or(&[][..], |(certificate, _)| certificate.chain());
            core.send(&mut transcript, Kind::CERTIFICATE, |w| Certificate::write(chain, w));
        }
        core.send(&mut transcript, Kind::CLIENT_KEY_EXCHANGE, |w| ClientKeyExchange::write(&our_value, w));
        let keys =
            Keys::install(core, (self.group, &premaster), &transcript, &self.negotiated, Side::Client)?;
        if let Some((certificate, scheme)) = shown {
            let signature = certificate.sign(scheme, transcript.bytes()).ok_or(HandshakeError::Internal)?;
            let verify = CertificateVerify { scheme: scheme_code(scheme), signature };
            core.send(&mut transcript, Kind::CERTIFICATE_VERIFY, |w| verify.write(w));
        }
        keys.send_finished(core, &mut transcript, Side::Client);
        let Negotiated { srtp_profile, .. } = self.negotiated;
        Ok(Client12::AwaitFinished(AwaitFinished { keys, srtp_profile, transcript, peer: self.peer }))
    }
}

/// Our certificate and the scheme with which it answers a request, if it suits.
fn suitable_certificate(
    core: &Core,
    requested: &CertificateRequest,
) -> Option<(Arc<OwnCertificate>, SignatureScheme)> {
    let certificate = core.config.certificate.clone()?;
    let wanted = if Authentication::Rsa.suits(certificate.key_kind()) {
        CertificateRequest::RSA_SIGN
    } else {
        CertificateRequest::ECDSA_SIGN
    };
    let is_kind_wanted = requested.certificate_types.contains(&wanted);
    let scheme = core.signature_scheme(&requested.signature_schemes).filter(|_| is_kind_wanted)?;
    Some((certificate, scheme))
}

#[derive(Debug)]
pub(crate) struct AwaitFinished {
    keys: Keys,
    srtp_profile: Option<SrtpProfile>,
    transcript: Transcript,
    peer: PeerCertificate,
}

impl AwaitFinished {
    fn finished(self, core: &mut Core, message: &Message) -> Result<State, HandshakeError> {
        let Self { keys, srtp_profile, transcript, peer } = self;
        let Keys { master, suite, group } = keys;
        let expected = master.verify_data(Side::Server, &transcript.hash(core.provider(), suite.hash()));
        if !constant_time_eq(&expected, &message.body) {
            return Err(HandshakeError::BadFinished);
        }
        core.flight.clear();
        let secrets = Secrets::Dtls12(master);
        Ok(State::Connected(Box::new(Session { suite, group, secrets, srtp_profile, peer: Some(peer) })))
    }
}
