//! The client's handshake (RFC 5246 §7.3, RFC 6347 §4.2.4).
//!
//! ```text
//!  ClientHello                  -->
//!                               <--  HelloVerifyRequest          (if the server wants proof of the address)
//!  ClientHello (with cookie)    -->
//!                               <--  ServerHello, Certificate, ServerKeyExchange, CertificateRequest, ServerHelloDone
//!  Certificate, ClientKeyExchange,
//!  CertificateVerify, [ChangeCipherSpec], Finished
//!                               -->
//!                               <--  [ChangeCipherSpec], Finished
//! ```

use antiphon_crypto::{Group, PeerCertificate, SignatureScheme, constant_time_eq};

use crate::connection::State;
use crate::core::{Core, Keys, Negotiated, Session, Transcript, scheme_codes};
use crate::flight::Repetition;
use crate::message::{
    Certificate, CertificateRequest, CertificateVerify, ClientHello, ClientKeyExchange, Extensions,
    HelloVerifyRequest, Kind, Message, ServerHello, ServerKeyExchange, UseSrtp,
};
use crate::registry::{Authentication, DTLS_1_2, group_code, scheme_code};
use crate::secrets::{Randoms, Side};
use crate::{CipherSuite, HandshakeError, SrtpProfile};

/// What the client awaits next.
#[derive(Debug)]
#[allow(clippy::enum_variant_names, reason = "states are named for what is awaited")]
pub(crate) enum Client {
    AwaitServerHello(AwaitServerHello),
    AwaitCertificate(AwaitCertificate),
    AwaitServerKeyExchange(AwaitServerKeyExchange),
    AwaitServerHelloDone(AwaitServerHelloDone),
    AwaitFinished(AwaitFinished),
}

impl Client {
    /// Sends the first hello.
    pub(crate) fn start(core: &mut Core) -> Self {
        let hello = client_hello(core);
        let mut transcript = Transcript::default();
        core.flight.begin(Repetition::Timed);
        core.send(&mut transcript, Kind::CLIENT_HELLO, |w| hello.write(w));
        Client::AwaitServerHello(AwaitServerHello { hello, cookie_requests: 0, transcript })
    }

    /// Handles the next message in order.
    pub(crate) fn handle(self, core: &mut Core, message: &Message) -> Result<State, HandshakeError> {
        let next = match (self, message.kind) {
            (Client::AwaitServerHello(state), Kind::HELLO_VERIFY_REQUEST) => {
                state.verify_request(core, message)?
            }
            (Client::AwaitServerHello(state), Kind::SERVER_HELLO) => state.server_hello(core, message)?,
            (Client::AwaitCertificate(state), Kind::CERTIFICATE) => state.certificate(core, message)?,
            (Client::AwaitServerKeyExchange(state), Kind::SERVER_KEY_EXCHANGE) => {
                state.key_exchange(core, message)?
            }
            (Client::AwaitServerHelloDone(state), Kind::CERTIFICATE_REQUEST) => {
                state.certificate_request(core, message)?
            }
            (Client::AwaitServerHelloDone(state), Kind::SERVER_HELLO_DONE) => state.done(core, message)?,
            (Client::AwaitFinished(state), Kind::FINISHED) => return state.finished(core, message),
            _ => return Err(HandshakeError::UnexpectedMessage),
        };
        Ok(State::Client(next))
    }
}

fn client_hello(core: &mut Core) -> ClientHello {
    let config = &core.config;
    let profiles: Vec<u16> = config.srtp_profiles.iter().map(|profile| profile.code()).collect();
    ClientHello {
        version: DTLS_1_2,
        random: core.rng.array(),
        session_id: Vec::new(),
        cookie: Vec::new(),
        cipher_suites: config.cipher_suites.iter().map(|suite| suite.code()).collect(),
        compression_methods: vec![0],
        extensions: Extensions {
            groups: Some(core.group_codes()),
            point_formats: Some(vec![0]),
            signature_schemes: Some(scheme_codes()),
            use_srtp: (!profiles.is_empty()).then(|| UseSrtp { profiles, mki: Vec::new() }),
            extended_master_secret: true,
            renegotiation_info: Some(Vec::new()),
            ..Extensions::default()
        },
    }
}

#[derive(Debug)]
pub(crate) struct AwaitServerHello {
    hello: ClientHello,
    cookie_requests: usize,
    transcript: Transcript,
}

impl AwaitServerHello {
    /// RFC 6347 §4.2.1: the same hello again, with the cookie; neither this message nor the first hello counts in the
    /// transcript. The version in it says nothing about the one that will be chosen.
    fn verify_request(mut self, core: &mut Core, message: &Message) -> Result<Client, HandshakeError> {
        let request = message.read(HelloVerifyRequest::parse)?;
        self.cookie_requests += 1;
        if self.cookie_requests > core.config.limits.cookie_requests {
            return Err(HandshakeError::TooManyCookieRequests);
        }
        self.hello.cookie = request.cookie;
        self.transcript = Transcript::default();
        core.flight.begin(Repetition::Timed);
        core.send(&mut self.transcript, Kind::CLIENT_HELLO, |w| self.hello.write(w));
        Ok(Client::AwaitServerHello(self))
    }

    fn server_hello(mut self, core: &mut Core, message: &Message) -> Result<Client, HandshakeError> {
        let hello = message.read(ServerHello::parse)?;
        self.transcript.add(message);
        if hello.version != DTLS_1_2 {
            return Err(HandshakeError::NoCommonVersion);
        }
        let suite = core.config.cipher_suites.iter().find(|suite| suite.code() == hello.cipher_suite);
        let suite = *suite.ok_or(HandshakeError::IllegalParameter)?;
        let srtp_profile = check_extensions(core, &hello.extensions)?;
        if hello.compression_method != 0 {
            return Err(HandshakeError::IllegalParameter);
        }
        let randoms = Randoms { client: self.hello.random, server: hello.random };
        let negotiated = Negotiated { randoms, suite, srtp_profile };
        Ok(Client::AwaitCertificate(AwaitCertificate { negotiated, transcript: self.transcript }))
    }
}

/// Checks the extensions of a ServerHello against those offered and gives the SRTP profile chosen.
fn check_extensions(core: &Core, extensions: &Extensions) -> Result<Option<SrtpProfile>, HandshakeError> {
    if !extensions.unknown.is_empty() || extensions.supported_versions.is_some() {
        return Err(HandshakeError::UnsolicitedExtension);
    }
    if !extensions.extended_master_secret {
        return Err(HandshakeError::NoExtendedMasterSecret);
    }
    // RFC 5746 §3.4: in a first handshake it is empty.
    if extensions.renegotiation_info.as_ref().is_some_and(|info| !info.is_empty()) {
        return Err(HandshakeError::NoCommonParameters);
    }
    let Some(srtp) = &extensions.use_srtp else { return Ok(None) };
    if core.config.srtp_profiles.is_empty() {
        return Err(HandshakeError::UnsolicitedExtension);
    }
    // RFC 5764 §4.1.1: exactly one profile, of those offered, and our (empty) MKI.
    match srtp.profiles.as_slice() {
        [code] if srtp.mki.is_empty() => {
            let profile = core.config.srtp_profiles.iter().find(|profile| profile.code() == *code);
            profile.map(|profile| Some(*profile)).ok_or(HandshakeError::IllegalParameter)
        }
        _ => Err(HandshakeError::IllegalParameter),
    }
}

#[derive(Debug)]
pub(crate) struct AwaitCertificate {
    negotiated: Negotiated,
    transcript: Transcript,
}

impl AwaitCertificate {
    fn certificate(mut self, core: &Core, message: &Message) -> Result<Client, HandshakeError> {
        let peer = core.identify(&message.read(Certificate::parse)?.chain)?;
        if !self.negotiated.suite.authentication().suits(peer.public_key().kind()) {
            return Err(HandshakeError::IllegalParameter);
        }
        self.transcript.add(message);
        let Self { negotiated, transcript } = self;
        Ok(Client::AwaitServerKeyExchange(AwaitServerKeyExchange { negotiated, transcript, peer }))
    }
}

#[derive(Debug)]
pub(crate) struct AwaitServerKeyExchange {
    negotiated: Negotiated,
    transcript: Transcript,
    peer: PeerCertificate,
}

impl AwaitServerKeyExchange {
    fn key_exchange(mut self, core: &Core, message: &Message) -> Result<Client, HandshakeError> {
        let exchange = message.read(ServerKeyExchange::parse)?;
        let mut groups = core.config.groups.iter().copied().filter(|group| !group.is_hybrid());
        let group = groups.find(|group| group_code(*group) == exchange.group);
        let group = group.ok_or(HandshakeError::IllegalParameter)?;
        let Randoms { client, server } = &self.negotiated.randoms;
        let parameters = ServerKeyExchange::parameters(exchange.group, &exchange.public_value);
        let signed = [&client[..], server, &parameters].concat();
        core.verify(&self.peer, exchange.scheme, &signed, &exchange.signature)?;
        self.transcript.add(message);
        Ok(Client::AwaitServerHelloDone(AwaitServerHelloDone {
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
    fn certificate_request(mut self, _core: &Core, message: &Message) -> Result<Client, HandshakeError> {
        if self.requested.is_some() {
            return Err(HandshakeError::UnexpectedMessage);
        }
        self.requested = Some(message.read(CertificateRequest::parse)?);
        self.transcript.add(message);
        Ok(Client::AwaitServerHelloDone(self))
    }

    /// The server has said all: sends our last flight but the last.
    fn done(mut self, core: &mut Core, message: &Message) -> Result<Client, HandshakeError> {
        message.read(|_| Ok(()))?;
        self.transcript.add(message);
        let mut transcript = self.transcript;
        let agreement = core.provider().key_agreement(self.group).ok_or(HandshakeError::Internal)?;
        let our_value = agreement.public_value().to_vec();
        let premaster = agreement.agree(&self.public_value).map_err(|_| HandshakeError::IllegalParameter)?;

        core.flight.begin(Repetition::Timed);
        let certificate = core.config.certificate.clone();
        let scheme = self.requested.as_ref().and_then(|requested| acceptable_scheme(core, requested));
        if self.requested.is_some() {
            // RFC 5246 §7.4.6: without a suitable one, an empty list.
            let chain = if scheme.is_some() { certificate.chain() } else { &[] };
            core.send(&mut transcript, Kind::CERTIFICATE, |w| Certificate::write(chain, w));
        }
        core.send(&mut transcript, Kind::CLIENT_KEY_EXCHANGE, |w| ClientKeyExchange::write(&our_value, w));
        let keys = core.install_keys(&premaster, &transcript, &self.negotiated, Side::Client)?;
        if let Some(scheme) = scheme {
            let signature = certificate.sign(scheme, transcript.bytes()).ok_or(HandshakeError::Internal)?;
            let verify = CertificateVerify { scheme: scheme_code(scheme), signature };
            core.send(&mut transcript, Kind::CERTIFICATE_VERIFY, |w| verify.write(w));
        }
        core.send_finished(&mut transcript, &keys, Side::Client);
        let Negotiated { srtp_profile, .. } = self.negotiated;
        Ok(Client::AwaitFinished(AwaitFinished { keys, srtp_profile, transcript, peer: self.peer }))
    }
}

/// The scheme with which our certificate answers a request, if it suits.
fn acceptable_scheme(core: &Core, requested: &CertificateRequest) -> Option<SignatureScheme> {
    let wanted = if Authentication::Rsa.suits(core.config.certificate.key_kind()) {
        CertificateRequest::RSA_SIGN
    } else {
        CertificateRequest::ECDSA_SIGN
    };
    let is_kind_wanted = requested.certificate_types.contains(&wanted);
    core.signature_scheme(&requested.signature_schemes).filter(|_| is_kind_wanted)
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
        let suite: CipherSuite = keys.suite;
        let expected = keys.master.verify_data(Side::Server, &transcript.hash(core.provider(), suite.hash()));
        if !constant_time_eq(&expected, &message.body) {
            return Err(HandshakeError::BadFinished);
        }
        core.flight.begin(Repetition::OnDemand);
        Ok(State::Connected(Box::new(Session { keys, srtp_profile, peer })))
    }
}
