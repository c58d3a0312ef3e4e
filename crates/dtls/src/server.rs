//! The server's handshake (RFC 5246 §7.3, RFC 6347 §4.2.4); the drawing stands in `client`.

use antiphon_crypto::{Group, HmacKey, KeyAgreement, PeerCertificate, SignatureScheme, constant_time_eq};

use crate::connection::State;
use crate::core::{Core, Keys, Negotiated, Session, Transcript, scheme_codes};
use crate::flight::Repetition;
use crate::message::{
    Certificate, CertificateRequest, CertificateVerify, ClientHello, ClientKeyExchange, Extensions,
    HelloVerifyRequest, Kind, Message, ServerHello, ServerKeyExchange, UseSrtp,
};
use crate::registry::{DTLS_1_0, DTLS_1_2, group_code, scheme_code};
use crate::secrets::{Randoms, Side};
use crate::{CipherSuite, CookieExchange, HandshakeError, SrtpProfile};

/// What the server awaits next.
#[derive(Debug)]
#[allow(clippy::enum_variant_names, reason = "states are named for what is awaited")]
pub(crate) enum Server {
    AwaitClientHello(AwaitClientHello),
    AwaitCertificate(AwaitCertificate),
    AwaitClientKeyExchange(AwaitClientKeyExchange),
    AwaitCertificateVerify(AwaitCertificateVerify),
    AwaitFinished(AwaitFinished),
}

impl Server {
    pub(crate) fn start(core: &mut Core) -> Self {
        let key = core.rng.array::<32>();
        let cookie_key = core.provider().hmac_key(antiphon_crypto::HashAlgorithm::Sha256, &key);
        Server::AwaitClientHello(AwaitClientHello { cookie_key })
    }

    /// Handles the next message in order.
    pub(crate) fn handle(self, core: &mut Core, message: &Message) -> Result<State, HandshakeError> {
        let next = match (self, message.kind) {
            (Server::AwaitClientHello(state), Kind::CLIENT_HELLO) => state.client_hello(core, message)?,
            (Server::AwaitCertificate(state), Kind::CERTIFICATE) => state.certificate(core, message)?,
            (Server::AwaitClientKeyExchange(state), Kind::CLIENT_KEY_EXCHANGE) => {
                state.key_exchange(core, message)?
            }
            (Server::AwaitCertificateVerify(state), Kind::CERTIFICATE_VERIFY) => {
                state.verify(core, message)?
            }
            (Server::AwaitFinished(state), Kind::FINISHED) => return state.finished(core, message),
            _ => return Err(HandshakeError::UnexpectedMessage),
        };
        Ok(State::Server(next))
    }
}

#[derive(Debug)]
pub(crate) struct AwaitClientHello {
    cookie_key: HmacKey,
}

impl AwaitClientHello {
    fn client_hello(self, core: &mut Core, message: &Message) -> Result<Server, HandshakeError> {
        let hello = message.read(ClientHello::parse)?;
        check_version(&hello)?;
        if core.config.cookie == CookieExchange::Demanded {
            let expected = self.cookie(&hello);
            if !constant_time_eq(&expected, &hello.cookie) {
                // RFC 6347 §4.2.1: nothing is remembered of a client that has not proven its address.
                core.flight.begin(Repetition::OnDemand);
                let request = HelloVerifyRequest { version: DTLS_1_0, cookie: expected.to_vec() };
                core.send(&mut Transcript::default(), Kind::HELLO_VERIFY_REQUEST, |w| request.write(w));
                return Ok(Server::AwaitClientHello(self));
            }
        }
        let choice = Choice::of(core, &hello)?;
        let mut transcript = Transcript::default();
        transcript.add(message);
        answer(core, transcript, &hello, choice)
    }

    /// A keyed hash over what must not change between the two hellos.
    fn cookie(&self, hello: &ClientHello) -> antiphon_crypto::Digest {
        let suites: Vec<u8> = hello.cipher_suites.iter().flat_map(|suite| suite.to_be_bytes()).collect();
        self.cookie_key.sign(&[&hello.version.to_be_bytes(), &hello.random, &hello.session_id, &suites])
    }
}

/// A hello that offers 1.3 first says so in an extension; without the extension its version field is the highest it
/// speaks (RFC 8446 §4.2.1).
fn check_version(hello: &ClientHello) -> Result<(), HandshakeError> {
    let offers_1_2 = match &hello.extensions.supported_versions {
        Some(versions) => versions.contains(&DTLS_1_2),
        // Versions of DTLS count downwards.
        None => hello.version >> 8 == 0xfe && hello.version <= DTLS_1_2,
    };
    if offers_1_2 { Ok(()) } else { Err(HandshakeError::NoCommonVersion) }
}

/// What the server takes of a client's offer.
struct Choice {
    suite: CipherSuite,
    group: Group,
    scheme: SignatureScheme,
    srtp_profile: Option<SrtpProfile>,
}

impl Choice {
    fn of(core: &Core, hello: &ClientHello) -> Result<Self, HandshakeError> {
        let (config, extensions) = (&core.config, &hello.extensions);
        if !hello.compression_methods.contains(&0) {
            return Err(HandshakeError::IllegalParameter);
        }
        if !extensions.extended_master_secret {
            return Err(HandshakeError::NoExtendedMasterSecret);
        }
        // RFC 5746 §3.6: in a first handshake it is empty.
        if extensions.renegotiation_info.as_ref().is_some_and(|info| !info.is_empty()) {
            return Err(HandshakeError::NoCommonParameters);
        }
        let kind = config.certificate.key_kind();
        let suite =
            config.cipher_suites.iter().copied().find(|suite| {
                suite.authentication().suits(kind) && hello.cipher_suites.contains(&suite.code())
            });
        // RFC 8422 §4: a client without the extension leaves the choice to us; P-256 is what everybody has.
        let group = match &extensions.groups {
            Some(groups) => config
                .groups
                .iter()
                .copied()
                .find(|group| !group.is_hybrid() && groups.contains(&group_code(*group))),
            None => Some(Group::P256),
        };
        let schemes = extensions.signature_schemes.as_deref().unwrap_or_default();
        // RFC 5764 §4.1.1: the server's preference decides; without a common profile there is no SRTP.
        let srtp_profile = extensions.use_srtp.as_ref().and_then(|offer| {
            config.srtp_profiles.iter().copied().find(|profile| offer.profiles.contains(&profile.code()))
        });
        match (suite, group, core.signature_scheme(schemes)) {
            (Some(suite), Some(group), Some(scheme)) => Ok(Self { suite, group, scheme, srtp_profile }),
            _ => Err(HandshakeError::NoCommonParameters),
        }
    }
}

/// Sends the flight from ServerHello to ServerHelloDone.
fn answer(
    core: &mut Core,
    mut transcript: Transcript,
    hello: &ClientHello,
    choice: Choice,
) -> Result<Server, HandshakeError> {
    const RENEGOTIATION_SCSV: u16 = 0x00ff;
    let Choice { suite, group, scheme, srtp_profile } = choice;
    let randoms = Randoms { client: hello.random, server: core.rng.array() };
    let knows_renegotiation_info =
        hello.extensions.renegotiation_info.is_some() || hello.cipher_suites.contains(&RENEGOTIATION_SCSV);
    let server_hello = ServerHello {
        version: DTLS_1_2,
        random: randoms.server,
        session_id: Vec::new(),
        cipher_suite: suite.code(),
        compression_method: 0,
        extensions: Extensions {
            point_formats: hello.extensions.point_formats.is_some().then(|| vec![0]),
            use_srtp: srtp_profile.map(|profile| UseSrtp { profiles: vec![profile.code()], mki: Vec::new() }),
            extended_master_secret: true,
            renegotiation_info: knows_renegotiation_info.then(Vec::new),
            ..Extensions::default()
        },
    };
    let agreement = core.provider().key_agreement(group).ok_or(HandshakeError::Internal)?;
    let certificate = core.config.certificate.clone();
    let parameters = ServerKeyExchange::parameters(group_code(group), agreement.public_value());
    let signed = [&randoms.client[..], &randoms.server, &parameters].concat();
    let key_exchange = ServerKeyExchange {
        group: group_code(group),
        public_value: agreement.public_value().to_vec(),
        scheme: scheme_code(scheme),
        signature: certificate.sign(scheme, &signed).ok_or(HandshakeError::Internal)?,
    };
    let request = CertificateRequest {
        certificate_types: vec![CertificateRequest::ECDSA_SIGN, CertificateRequest::RSA_SIGN],
        signature_schemes: scheme_codes(),
    };
    core.flight.begin(Repetition::Timed);
    core.send(&mut transcript, Kind::SERVER_HELLO, |w| server_hello.write(w));
    core.send(&mut transcript, Kind::CERTIFICATE, |w| Certificate::write(certificate.chain(), w));
    core.send(&mut transcript, Kind::SERVER_KEY_EXCHANGE, |w| key_exchange.write(w));
    core.send(&mut transcript, Kind::CERTIFICATE_REQUEST, |w| request.write(w));
    core.send(&mut transcript, Kind::SERVER_HELLO_DONE, |_| {});
    let negotiated = Negotiated { randoms, suite, srtp_profile };
    Ok(Server::AwaitCertificate(AwaitCertificate { negotiated, agreement, transcript }))
}

#[derive(Debug)]
pub(crate) struct AwaitCertificate {
    negotiated: Negotiated,
    agreement: KeyAgreement,
    transcript: Transcript,
}

impl AwaitCertificate {
    fn certificate(mut self, core: &Core, message: &Message) -> Result<Server, HandshakeError> {
        let peer = core.identify(&message.read(Certificate::parse)?.chain)?;
        self.transcript.add(message);
        let Self { negotiated, agreement, transcript } = self;
        Ok(Server::AwaitClientKeyExchange(AwaitClientKeyExchange { negotiated, agreement, transcript, peer }))
    }
}

#[derive(Debug)]
pub(crate) struct AwaitClientKeyExchange {
    negotiated: Negotiated,
    agreement: KeyAgreement,
    transcript: Transcript,
    peer: PeerCertificate,
}

impl AwaitClientKeyExchange {
    fn key_exchange(self, core: &mut Core, message: &Message) -> Result<Server, HandshakeError> {
        let Self { negotiated, agreement, mut transcript, peer } = self;
        let exchange = message.read(ClientKeyExchange::parse)?;
        let premaster =
            agreement.agree(&exchange.public_value).map_err(|_| HandshakeError::IllegalParameter)?;
        transcript.add(message);
        let keys = core.install_keys(&premaster, &transcript, &negotiated, Side::Server)?;
        let Negotiated { srtp_profile, .. } = negotiated;
        Ok(Server::AwaitCertificateVerify(AwaitCertificateVerify { keys, srtp_profile, transcript, peer }))
    }
}

#[derive(Debug)]
pub(crate) struct AwaitCertificateVerify {
    keys: Keys,
    srtp_profile: Option<SrtpProfile>,
    transcript: Transcript,
    peer: PeerCertificate,
}

impl AwaitCertificateVerify {
    fn verify(mut self, core: &Core, message: &Message) -> Result<Server, HandshakeError> {
        let verify = message.read(CertificateVerify::parse)?;
        core.verify(&self.peer, verify.scheme, self.transcript.bytes(), &verify.signature)?;
        self.transcript.add(message);
        let Self { keys, srtp_profile, transcript, peer } = self;
        Ok(Server::AwaitFinished(AwaitFinished { keys, srtp_profile, transcript, peer }))
    }
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
        let Self { keys, srtp_profile, mut transcript, peer } = self;
        let hash = transcript.hash(core.provider(), keys.suite.hash());
        let expected = keys.master.verify_data(Side::Client, &hash);
        if !constant_time_eq(&expected, &message.body) {
            return Err(HandshakeError::BadFinished);
        }
        transcript.add(message);
        core.flight.begin(Repetition::OnDemand);
        core.send_finished(&mut transcript, &keys, Side::Server);
        Ok(State::Connected(Box::new(Session { keys, srtp_profile, peer })))
    }
}
