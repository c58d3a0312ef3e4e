//! The server of DTLS 1.2 (RFC 5246 §7.3, RFC 6347 §4.2.4); the drawing stands in `client12`.

use std::sync::Arc;

use antiphon_crypto::{
    Certificate as OwnCertificate, Group, KeyAgreement, PeerCertificate, SignatureScheme, constant_time_eq,
};

use crate::connection::State;
use crate::core::{Core, Secrets, Session, scheme_codes};
use crate::flight::Repetition;
use crate::keys12::{Keys, Negotiated};
use crate::message::{
    Certificate, CertificateRequest, CertificateVerify, ClientHello, ClientKeyExchange, DOWNGRADE_FROM_1_3,
    Extensions, Kind, Message, ServerHello, ServerKeyExchange, UseSrtp,
};
use crate::registry::{DTLS_1_2, group_code, scheme_code};
use crate::secrets::{Randoms, Side};
use crate::server::Server;
use crate::transcript::Transcript;
use crate::{CipherSuite, HandshakeError, SrtpProfile, Version};

/// What the server awaits next.
#[derive(Debug)]
#[allow(clippy::enum_variant_names, reason = "states are named for what is awaited")]
pub(crate) enum Server12 {
    AwaitCertificate(AwaitCertificate),
    AwaitClientKeyExchange(AwaitClientKeyExchange),
    AwaitCertificateVerify(AwaitCertificateVerify),
    AwaitFinished(AwaitFinished),
}

impl Server12 {
    /// Handles the next message in order.
    pub(crate) fn handle(self, core: &mut Core, message: &Message) -> Result<State, HandshakeError> {
        let next = match (self, message.kind) {
            (Server12::AwaitCertificate(state), Kind::CERTIFICATE) => state.certificate(core, message)?,
            (Server12::AwaitClientKeyExchange(state), Kind::CLIENT_KEY_EXCHANGE) => {
                state.key_exchange(core, message)?
            }
            (Server12::AwaitCertificateVerify(state), Kind::CERTIFICATE_VERIFY) => {
                state.verify(core, message)?
            }
            (Server12::AwaitFinished(state), Kind::FINISHED) => return state.finished(core, message),
            _ => return Err(HandshakeError::UnexpectedMessage),
        };
        Ok(State::Server(Server::Dtls12(Box::new(next))))
    }
}

/// What the server takes of a client's offer.
struct Choice {
    certificate: Arc<OwnCertificate>,
    suite: CipherSuite,
    group: Group,
    scheme: SignatureScheme,
    srtp_profile: Option<SrtpProfile>,
}

impl Choice {
    fn of(core: &Core, hello: &ClientHello) -> Result<Self, HandshakeError> {
        let extensions = &hello.extensions;
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
        let certificate = core.config.certificate.clone().ok_or(HandshakeError::NoCommonParameters)?;
        let kind = certificate.key_kind();
        let suite = core
            .suites(Version::Dtls12)
            .find(|suite| suite.authentication().suits(kind) && hello.cipher_suites.contains(&suite.code()));
        // RFC 8422 §4: a client without the extension leaves the choice to us; P-256 is what everybody has.
        let group = match &extensions.groups {
            Some(groups) => core.groups(Version::Dtls12).find(|group| groups.contains(&group_code(*group))),
            None => Some(Group::P256),
        };
        let schemes = extensions.signature_schemes.as_deref().unwrap_or_default();
        let srtp_profile = core.choose_srtp(extensions);
        match (suite, group, core.signature_scheme(schemes)) {
            (Some(suite), Some(group), Some(scheme)) => {
                Ok(Self { certificate, suite, group, scheme, srtp_profile })
            }
            _ => Err(HandshakeError::NoCommonParameters),
        }
    }
}

/// Answers a client for which 1.2 was chosen; `transcript` holds its hello.
pub(crate) fn client_hello(
    core: &mut Core,
    hello: &ClientHello,
    transcript: Transcript,
) -> Result<Server12, HandshakeError> {
    let choice = Choice::of(core, hello)?;
    core.apply_record_size_limit(Version::Dtls12, &hello.extensions)?;
    core.apply_connection_ids(&hello.extensions);
    answer(core, transcript, hello, choice)
}

/// Our random value; where we could have spoken 1.3 it says so (RFC 8446 §4.1.3).
fn server_random(core: &mut Core) -> [u8; 32] {
    let mut random = core.random;
    if core.offers(Version::Dtls13) {
        random.iter_mut().rev().zip(DOWNGRADE_FROM_1_3.iter().rev()).for_each(|(to, from)| *to = *from);
    }
    random
}

/// Sends the flight from ServerHello to ServerHelloDone.
fn answer(
    core: &mut Core,
    mut transcript: Transcript,
    hello: &ClientHello,
    choice: Choice,
) -> Result<Server12, HandshakeError> {
    const RENEGOTIATION_SCSV: u16 = 0x00ff;
    let Choice { certificate, suite, group, scheme, srtp_profile } = choice;
    let randoms = Randoms { client: hello.random, server: server_random(core) };
    let limit = core.record_size_limit(Version::Dtls12);
    let knows_renegotiation_info =
        hello.extensions.renegotiation_info.is_some() || hello.cipher_suites.contains(&RENEGOTIATION_SCSV);
    let is_id_offered = hello.extensions.connection_id.is_some();
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
            record_size_limit: hello.extensions.record_size_limit.map(|_| limit),
            renegotiation_info: knows_renegotiation_info.then(Vec::new),
            connection_id: core.config.connection_id.clone().filter(|_| is_id_offered),
            ..Extensions::default()
        },
    };
    let agreement = core.provider().key_agreement(group).ok_or(HandshakeError::Internal)?;
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
    if core.wants_certificate() {
        core.send(&mut transcript, Kind::CERTIFICATE_REQUEST, |w| request.write(w));
    }
    core.send(&mut transcript, Kind::SERVER_HELLO_DONE, |_| {});
    let negotiated = Negotiated { randoms, suite, srtp_profile };
    Ok(if core.wants_certificate() {
        Server12::AwaitCertificate(AwaitCertificate { negotiated, agreement, transcript })
    } else {
        let peer = None;
        Server12::AwaitClientKeyExchange(AwaitClientKeyExchange { negotiated, agreement, transcript, peer })
    })
}

#[derive(Debug)]
pub(crate) struct AwaitCertificate {
    negotiated: Negotiated,
    agreement: KeyAgreement,
    transcript: Transcript,
}

impl AwaitCertificate {
    fn certificate(mut self, core: &Core, message: &Message) -> Result<Server12, HandshakeError> {
        let peer = Some(core.identify(&message.read(Certificate::parse)?.chain)?);
        self.transcript.add(message);
        let Self { negotiated, agreement, transcript } = self;
        Ok(Server12::AwaitClientKeyExchange(AwaitClientKeyExchange {
            negotiated,
            agreement,
            transcript,
            peer,
        }))
    }
}

#[derive(Debug)]
pub(crate) struct AwaitClientKeyExchange {
    negotiated: Negotiated,
    agreement: KeyAgreement,
    transcript: Transcript,
    peer: Option<PeerCertificate>,
}

impl AwaitClientKeyExchange {
    fn key_exchange(self, core: &mut Core, message: &Message) -> Result<Server12, HandshakeError> {
        let Self { negotiated, agreement, mut transcript, peer } = self;
        let exchange = message.read(ClientKeyExchange::parse)?;
        let group = agreement.group();
        let premaster =
            agreement.agree(&exchange.public_value).map_err(|_| HandshakeError::IllegalParameter)?;
        transcript.add(message);
        let keys = Keys::install(core, (group, &premaster), &transcript, &negotiated, Side::Server)?;
        let Negotiated { srtp_profile, .. } = negotiated;
        Ok(match peer {
            Some(peer) => {
                let state = AwaitCertificateVerify { keys, srtp_profile, transcript, peer };
                Server12::AwaitCertificateVerify(state)
            }
            None => Server12::AwaitFinished(AwaitFinished { keys, srtp_profile, transcript, peer }),
        })
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
    fn verify(mut self, core: &Core, message: &Message) -> Result<Server12, HandshakeError> {
        let verify = message.read(CertificateVerify::parse)?;
        core.verify(&self.peer, verify.scheme, self.transcript.bytes(), &verify.signature)?;
        self.transcript.add(message);
        let Self { keys, srtp_profile, transcript, peer } = self;
        let peer = Some(peer);
        Ok(Server12::AwaitFinished(AwaitFinished { keys, srtp_profile, transcript, peer }))
    }
}

#[derive(Debug)]
pub(crate) struct AwaitFinished {
    keys: Keys,
    srtp_profile: Option<SrtpProfile>,
    transcript: Transcript,
    peer: Option<PeerCertificate>,
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
        keys.send_finished(core, &mut transcript, Side::Server);
        let Keys { master, suite, group } = keys;
        let secrets = Secrets::Dtls12(master);
        Ok(State::Connected(Box::new(Session { suite, group, secrets, srtp_profile, peer })))
    }
}
