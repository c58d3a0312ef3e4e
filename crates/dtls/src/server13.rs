//! The server of DTLS 1.3 (RFC 8446 §2, RFC 9147 §5); the drawing stands in `client13`.

use antiphon_crypto::{Group, PeerCertificate, SignatureScheme};

use crate::connection::State;
use crate::cookie::{Cookies, FirstHello};
use crate::core::{Core, scheme_codes};
use crate::flight::Repetition;
use crate::handshake13::{self, Progress, install_opener, install_sealer};
use crate::message::{
    CertificateRequest13, ClientHello, Extensions, KeyShare, Kind, Message, RETRY_RANDOM, Sender,
    ServerHello, UseSrtp, without_changeable,
};
use crate::registry::{DTLS_1_2, DTLS_1_3, group_code};
use crate::schedule::ApplicationSecrets;
use crate::secrets::Side;
use crate::server::Server;
use crate::transcript::Transcript;
use crate::{CipherSuite, HandshakeError, Version};

/// What the server awaits next.
#[derive(Debug)]
#[allow(clippy::enum_variant_names, reason = "states are named for what is awaited")]
pub(crate) enum Server13 {
    AwaitCertificate(Box<AwaitCertificate>),
    AwaitCertificateVerify(Box<AwaitCertificateVerify>),
    AwaitFinished(Box<AwaitFinished>),
}

impl Server13 {
    /// Handles the next message in order.
    pub(crate) fn handle(self, core: &mut Core, message: &Message) -> Result<State, HandshakeError> {
        let next = match (self, message.kind) {
            (Server13::AwaitCertificate(state), Kind::CERTIFICATE) => state.certificate(core, message)?,
            (Server13::AwaitCertificateVerify(state), Kind::CERTIFICATE_VERIFY) => {
                state.verify(core, message)?
            }
            (Server13::AwaitFinished(state), Kind::FINISHED) => return state.finished(core, message),
            _ => return Err(HandshakeError::UnexpectedMessage),
        };
        Ok(State::Server(Server::Dtls13(next)))
    }
}

/// What the server takes of a client's offer.
#[derive(Debug, Clone, Copy)]
struct Choice {
    suite: CipherSuite,
    group: Group,
    scheme: SignatureScheme,
}

impl Choice {
    fn of(core: &Core, hello: &ClientHello) -> Result<Self, HandshakeError> {
        let extensions = &hello.extensions;
        // RFC 8446 §4.1.2, RFC 9147 §5.3: these fields have one value left.
        if hello.version != DTLS_1_2 || hello.compression_methods != [0] || !hello.cookie.is_empty() {
            return Err(HandshakeError::IllegalParameter);
        }
        let (groups, shares) = match (&extensions.groups, &extensions.key_shares) {
            (Some(groups), Some(shares)) => (groups, shares),
            _ => return Err(HandshakeError::MissingExtension),
        };
        check_shares(groups, shares)?;
        let schemes = extensions.signature_schemes.as_ref().ok_or(HandshakeError::MissingExtension)?;
        let suite = core.suites(Version::Dtls13).find(|suite| hello.cipher_suites.contains(&suite.code()));
        // A group whose share has come saves a round trip.
        let is_shared = |group: &Group| shares.iter().any(|share| share.group == group_code(*group));
        let is_known = |group: &Group| groups.contains(&group_code(*group));
        let common = || core.groups(Version::Dtls13).filter(is_known);
        let group = common().find(is_shared).or_else(|| common().next());
        match (suite, group, handshake13::signature_scheme(core, schemes)) {
            (Some(suite), Some(group), Some(scheme)) => Ok(Self { suite, group, scheme }),
            _ => Err(HandshakeError::NoCommonParameters),
        }
    }
}

/// RFC 8446 §4.2.8: one share a group, of the groups named and in their order.
fn check_shares(groups: &[u16], shares: &[KeyShare]) -> Result<(), HandshakeError> {
    let mut rest = groups.iter();
    if shares.iter().all(|share| rest.any(|group| *group == share.group)) {
        Ok(())
    } else {
        Err(HandshakeError::IllegalParameter)
    }
}

/// Answers the first hello of a client whose address is known: with our flight, or with a HelloRetryRequest where no
/// share fits.
pub(crate) fn first_hello(
    core: &mut Core,
    hello: &ClientHello,
    message: &Message,
) -> Result<Server, HandshakeError> {
    let choice = Choice::of(core, hello)?;
    if share_of(hello, choice.group).is_some() {
        let mut transcript = Transcript::new(Version::Dtls13);
        transcript.add(message);
        return answer(core, hello, choice, transcript).map(Server::Dtls13);
    }
    let mut transcript = Transcript::after_retry(core.provider(), choice.suite.hash(), message);
    transcript.add(&send_retry_request(core, &retry_request(choice.suite, Some(choice.group), None)));
    core.version = Some(Version::Dtls13);
    let invariant = without_changeable(&message.body)?;
    Ok(Server::AwaitSecondHello(Box::new(AwaitSecondHello { choice, invariant, transcript })))
}

/// Answers the first hello of a client that has not proven its address: all that has to be known of it is in the
/// cookie, and nothing is remembered.
pub(crate) fn demand_cookie(
    core: &mut Core,
    cookies: &Cookies,
    hello: &ClientHello,
    message: &Message,
) -> Result<(), HandshakeError> {
    let choice = Choice::of(core, hello)?;
    let is_shared = share_of(hello, choice.group).is_some();
    let mut transcript = Transcript::new(Version::Dtls13);
    transcript.add(message);
    let hash = transcript.hash(core.provider(), choice.suite.hash());
    let first =
        FirstHello { suite: choice.suite, group: (!is_shared).then_some(choice.group), hash: hash.to_vec() };
    let cookie = cookies.seal(&first, &without_changeable(&message.body)?);
    send_retry_request(
        core,
        &retry_request(choice.suite, (!is_shared).then_some(choice.group), Some(cookie)),
    );
    Ok(())
}

/// Answers the hello that brings `cookie`.
pub(crate) fn hello_with_cookie(
    core: &mut Core,
    cookies: &Cookies,
    hello: &ClientHello,
    message: &Message,
    sealed: &[u8],
) -> Result<Server13, HandshakeError> {
    let first = cookies.open(core, sealed, &without_changeable(&message.body)?);
    let first = first.ok_or(HandshakeError::IllegalParameter)?;
    let choice = Choice::of(core, hello)?;
    if choice.suite != first.suite {
        return Err(HandshakeError::IllegalParameter);
    }
    let choice = Choice { group: first.group.unwrap_or(choice.group), ..choice };
    let mut transcript = Transcript::of_hashed_hello(&first.hash);
    let request = retry_request(first.suite, first.group, Some(sealed.to_vec()));
    transcript.add(&Message::new(Kind::SERVER_HELLO, 0, |w| request.write(w)));
    transcript.add(message);
    core.version = Some(Version::Dtls13);
    answer(core, hello, choice, transcript)
}

/// A HelloRetryRequest: for a share of `group`, for a cookie, or both.
fn retry_request(suite: CipherSuite, group: Option<Group>, cookie: Option<Vec<u8>>) -> ServerHello {
    ServerHello {
        version: DTLS_1_2,
        random: RETRY_RANDOM,
        session_id: Vec::new(),
        cipher_suite: suite.code(),
        compression_method: 0,
        extensions: Extensions {
            supported_versions: Some(vec![DTLS_1_3]),
            key_shares: group.map(|group| vec![KeyShare { group: group_code(group), value: Vec::new() }]),
            cookie,
            ..Extensions::default()
        },
    }
}

/// RFC 9147 §5.8.1: the client repeats its hello, and we answer each time.
fn send_retry_request(core: &mut Core, request: &ServerHello) -> Message {
    let message = core.message(Kind::SERVER_HELLO, |w| request.write(w));
    core.flight.begin(Repetition::OnDemand);
    core.flight.push(message.clone(), 0);
    message
}

fn share_of(hello: &ClientHello, group: Group) -> Option<&[u8]> {
    let mut shares = hello.extensions.key_shares.iter().flatten();
    shares.find(|share| share.group == group_code(group)).map(|share| share.value.as_slice())
}

#[derive(Debug)]
pub(crate) struct AwaitSecondHello {
    choice: Choice,
    /// What must not change of the hello.
    invariant: Vec<u8>,
    transcript: Transcript,
}

impl AwaitSecondHello {
    /// RFC 8446 §4.1.2: the same hello but for its share; no cookie was asked for.
    pub(crate) fn client_hello(self, core: &mut Core, message: &Message) -> Result<Server13, HandshakeError> {
        let Self { choice, invariant, mut transcript } = self;
        let hello = message.read(ClientHello::parse)?;
        if hello.extensions.cookie.is_some() || without_changeable(&message.body)? != invariant {
            return Err(HandshakeError::IllegalParameter);
        }
        // RFC 8446 §4.2.8: after a request for a group its share stands alone.
        let shares = hello.extensions.key_shares.as_deref().unwrap_or_default();
        if !shares.iter().any(|share| share.group == group_code(choice.group)) {
            return Err(HandshakeError::IllegalParameter);
        }
        check_shares(hello.extensions.groups.as_deref().unwrap_or_default(), shares)?;
        transcript.add(message);
        answer(core, &hello, choice, transcript)
    }
}

/// Sends the flight from ServerHello to Finished.
fn answer(
    core: &mut Core,
    hello: &ClientHello,
    choice: Choice,
    mut transcript: Transcript,
) -> Result<Server13, HandshakeError> {
    let Choice { suite, group, scheme } = choice;
    let theirs = share_of(hello, group).ok_or(HandshakeError::IllegalParameter)?;
    let answer = core.provider().answer_key_agreement(group, theirs);
    let (value, shared) = answer.map_err(|_| HandshakeError::IllegalParameter)?;
    let is_id_offered = hello.extensions.connection_id.is_some();
    let server_hello = ServerHello {
        version: DTLS_1_2,
        random: core.random,
        session_id: Vec::new(),
        cipher_suite: suite.code(),
        compression_method: 0,
        extensions: Extensions {
            supported_versions: Some(vec![DTLS_1_3]),
            key_shares: Some(vec![KeyShare { group: group_code(group), value }]),
            connection_id: core.config.connection_id.clone().filter(|_| is_id_offered),
            ..Extensions::default()
        },
    };
    core.apply_connection_ids(&hello.extensions);
    core.apply_record_size_limit(Version::Dtls13, &hello.extensions)?;
    core.flight.begin(Repetition::Timed);
    core.send(&mut transcript, Kind::SERVER_HELLO, |w| server_hello.write(w));
    let mut progress =
        Progress::begin(core, Side::Server, suite, hello.random, (group, &shared), transcript)?;
    progress.srtp_profile = core.choose_srtp(&hello.extensions);
    send_authentication(core, hello, &mut progress, scheme)?;
    progress.send_finished(core)?;
    let secrets = progress.application_secrets(core)?;
    install_sealer(core, &secrets)?;
    Ok(if core.wants_certificate() {
        Server13::AwaitCertificate(Box::new(AwaitCertificate { progress, secrets }))
    } else {
        Server13::AwaitFinished(Box::new(AwaitFinished { progress, secrets, peer: None }))
    })
}

/// Queues EncryptedExtensions, CertificateRequest, Certificate and CertificateVerify.
fn send_authentication(
    core: &mut Core,
    hello: &ClientHello,
    progress: &mut Progress,
    scheme: SignatureScheme,
) -> Result<(), HandshakeError> {
    let limit = core.record_size_limit(Version::Dtls13);
    let extensions = Extensions {
        use_srtp: progress
            .srtp_profile
            .map(|profile| UseSrtp { profiles: vec![profile.code()], mki: Vec::new() }),
        record_size_limit: hello.extensions.record_size_limit.map(|_| limit),
        ..Extensions::default()
    };
    core.send(&mut progress.transcript, Kind::ENCRYPTED_EXTENSIONS, |w| extensions.write(Sender::Server, w));
    if core.wants_certificate() {
        let extensions = Extensions { signature_schemes: Some(scheme_codes()), ..Extensions::default() };
        let request = CertificateRequest13 { context: Vec::new(), extensions };
        core.send(&mut progress.transcript, Kind::CERTIFICATE_REQUEST, |w| request.write(w));
    }
    progress.send_certificate(core, &[], true);
    progress.send_certificate_verify(core, scheme)
}

#[derive(Debug)]
pub(crate) struct AwaitCertificate {
    progress: Progress,
    secrets: ApplicationSecrets,
}

impl AwaitCertificate {
    fn certificate(mut self, core: &Core, message: &Message) -> Result<Server13, HandshakeError> {
        let peer = self.progress.read_certificate(core, message)?;
        let peer = peer.ok_or(HandshakeError::CertificateRequired)?;
        let Self { progress, secrets } = self;
        Ok(Server13::AwaitCertificateVerify(Box::new(AwaitCertificateVerify { progress, secrets, peer })))
    }
}

#[derive(Debug)]
pub(crate) struct AwaitCertificateVerify {
    progress: Progress,
    secrets: ApplicationSecrets,
    peer: PeerCertificate,
}

impl AwaitCertificateVerify {
    fn verify(mut self, core: &Core, message: &Message) -> Result<Server13, HandshakeError> {
        self.progress.read_certificate_verify(core, &self.peer, message)?;
        let Self { progress, secrets, peer } = self;
        Ok(Server13::AwaitFinished(Box::new(AwaitFinished { progress, secrets, peer: Some(peer) })))
    }
}

#[derive(Debug)]
pub(crate) struct AwaitFinished {
    progress: Progress,
    secrets: ApplicationSecrets,
    peer: Option<PeerCertificate>,
}

impl AwaitFinished {
    fn finished(self, core: &mut Core, message: &Message) -> Result<State, HandshakeError> {
        let Self { mut progress, secrets, peer } = self;
        progress.read_finished(core, message)?;
        core.flight.clear();
        core.writing.retire_old();
        install_opener(core, &secrets)?;
        // RFC 9147 §7.1: no flight of ours answers the client's last.
        core.acks.demand();
        Ok(State::Connected(progress.into_session(secrets, peer)))
    }
}
