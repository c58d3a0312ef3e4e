//! The client up to the ServerHello, which decides the version.
//!
//! ```text
//!  ClientHello                  -->
//!                               <--  HelloVerifyRequest (1.2) or HelloRetryRequest (1.3), if the server wants
//!                                    proof of the address, or a share of another group
//!  ClientHello again            -->
//!                               <--  ServerHello, and what its version has behind it
//! ```

use antiphon_crypto::KeyAgreement;

use crate::client12::{self, Client12};
use crate::client13::Client13;
use crate::connection::State;
use crate::core::{Core, scheme_codes};
use crate::flight::Repetition;
use crate::message::{
    ClientHello, ExtensionType, Extensions, HelloVerifyRequest, KeyShare, Kind, Message, ServerHello,
};
use crate::registry::{DTLS_1_2, group_code};
use crate::transcript::Transcript;
use crate::{CipherSuite, HandshakeError, Version};

/// What the client awaits next.
#[derive(Debug)]
pub(crate) enum Client {
    AwaitServerHello(Box<AwaitServerHello>),
    Dtls12(Box<Client12>),
    Dtls13(Client13),
}

impl Client {
    /// Sends the first hello.
    pub(crate) fn start(core: &mut Core) -> Result<Self, HandshakeError> {
        let shares = first_shares(core)?;
        let hello = client_hello(core, &shares);
        let message = core.message(Kind::CLIENT_HELLO, |w| hello.write(w));
        core.flight.begin(Repetition::Timed);
        core.flight.push(message.clone(), 0);
        let state = AwaitServerHello { hello, message, shares, cookie_requests: 0, retry: None };
        Ok(Client::AwaitServerHello(Box::new(state)))
    }

    /// Handles the next message in order.
    pub(crate) fn handle(self, core: &mut Core, message: &Message) -> Result<State, HandshakeError> {
        let next = match (self, message.kind) {
            (Client::AwaitServerHello(state), Kind::HELLO_VERIFY_REQUEST) => {
                Client::AwaitServerHello(state.verify_request(core, message)?)
            }
            (Client::AwaitServerHello(state), Kind::SERVER_HELLO) => state.server_hello(core, message)?,
            (Client::Dtls12(state), _) => return state.handle(core, message),
            (Client::Dtls13(state), _) => return state.handle(core, message),
            _ => return Err(HandshakeError::UnexpectedMessage),
        };
        Ok(State::Client(next))
    }
}

/// Key shares for the group preferred, and where that is a hybrid, which not everybody has, for the first that is none.
fn first_shares(core: &Core) -> Result<Vec<KeyAgreement>, HandshakeError> {
    if !core.offers(Version::Dtls13) {
        return Ok(Vec::new());
    }
    let first = core.groups(Version::Dtls13).next();
    let second = core.groups(Version::Dtls13).find(|group| !group.is_hybrid() && Some(*group) != first);
    let second = second.filter(|_| first.is_some_and(|first| first.is_hybrid()));
    let share = |group| core.provider().key_agreement(group).ok_or(HandshakeError::Internal);
    first.into_iter().chain(second).map(share).collect()
}

fn entries(shares: &[KeyAgreement]) -> Vec<KeyShare> {
    let entry = |share: &KeyAgreement| KeyShare {
        group: group_code(share.group()),
        value: share.public_value().to_vec(),
    };
    shares.iter().map(entry).collect()
}

fn client_hello(core: &mut Core, shares: &[KeyAgreement]) -> ClientHello {
    let random = core.random;
    let config = &core.config;
    let versions: Vec<Version> = Version::ALL.into_iter().filter(|version| core.offers(*version)).collect();
    let suites = versions.iter().flat_map(|version| core.suites(*version));
    let is_1_3 = core.offers(Version::Dtls13);
    let is_1_2 = core.offers(Version::Dtls12);
    let best = if is_1_3 { Version::Dtls13 } else { Version::Dtls12 };
    ClientHello {
        version: DTLS_1_2,
        random,
        session_id: Vec::new(),
        cookie: Vec::new(),
        cipher_suites: suites.map(CipherSuite::code).collect(),
        compression_methods: vec![0],
        extensions: Extensions {
            supported_versions: is_1_3.then(|| versions.iter().map(|version| version.code()).collect()),
            groups: Some(core.groups(best).map(group_code).collect()),
            key_shares: is_1_3.then(|| entries(shares)),
            point_formats: is_1_2.then(|| vec![0]),
            signature_schemes: Some(scheme_codes()),
            server_name: config.server_name.clone(),
            use_srtp: core.srtp_offer(),
            extended_master_secret: is_1_2,
            record_size_limit: Some(core.record_size_limit(best)),
            connection_id: config.connection_id.clone(),
            renegotiation_info: is_1_2.then(Vec::new),
            ..Extensions::default()
        },
    }
}

/// What a HelloRetryRequest leaves behind.
#[derive(Debug)]
struct Retry {
    suite: CipherSuite,
    transcript: Transcript,
}

#[derive(Debug)]
pub(crate) struct AwaitServerHello {
    hello: ClientHello,
    /// The hello as it was sent last.
    message: Message,
    shares: Vec<KeyAgreement>,
    cookie_requests: usize,
    retry: Option<Retry>,
}

impl AwaitServerHello {
    /// RFC 6347 §4.2.1: the same hello again, with the cookie; neither this message nor the first hello counts in the
    /// transcript. The version in it says nothing about the one that will be chosen.
    fn verify_request(
        mut self: Box<Self>,
        core: &mut Core,
        message: &Message,
    ) -> Result<Box<Self>, HandshakeError> {
        if !core.offers(Version::Dtls12) {
            return Err(HandshakeError::NoCommonVersion);
        }
        if self.retry.is_some() {
            return Err(HandshakeError::UnexpectedMessage);
        }
        let request = message.read(HelloVerifyRequest::parse)?;
        self.cookie_requests += 1;
        if self.cookie_requests > core.config.limits.cookie_requests {
            return Err(HandshakeError::TooManyCookieRequests);
        }
        self.hello.cookie = request.cookie;
        self.send_again(core);
        Ok(self)
    }

    fn send_again(&mut self, core: &mut Core) {
        self.message = core.message(Kind::CLIENT_HELLO, |w| self.hello.write(w));
        core.flight.begin(Repetition::Timed);
        core.flight.push(self.message.clone(), 0);
    }

    fn server_hello(
        mut self: Box<Self>,
        core: &mut Core,
        message: &Message,
    ) -> Result<Client, HandshakeError> {
        let hello = message.read(ServerHello::parse)?;
        match self.chosen_version(core, &hello)? {
            Version::Dtls12 => {
                core.version = Some(Version::Dtls12);
                let state = client12::server_hello(core, &self.hello, &self.message, &hello, message)?;
                Ok(Client::Dtls12(Box::new(state)))
            }
            Version::Dtls13 => {
                let suite = core.suites(Version::Dtls13).find(|suite| suite.code() == hello.cipher_suite);
                let suite = suite.ok_or(HandshakeError::IllegalParameter)?;
                // RFC 9147 §5.3: a session id is neither sent nor answered.
                if hello.version != DTLS_1_2 || hello.compression_method != 0 || !hello.session_id.is_empty()
                {
                    return Err(HandshakeError::IllegalParameter);
                }
                if hello.is_retry() {
                    self.retry_request(core, suite, &hello, message)?;
                    return Ok(Client::AwaitServerHello(self));
                }
                self.begin_1_3(core, suite, &hello, message)
            }
        }
    }

    /// RFC 8446 §4.1.3, §4.2.1.
    fn chosen_version(&self, core: &Core, hello: &ServerHello) -> Result<Version, HandshakeError> {
        let chosen = match hello.extensions.supported_versions.as_deref() {
            Some(codes) if codes == [Version::Dtls13.code()] => Version::Dtls13,
            Some(_) => return Err(HandshakeError::IllegalParameter),
            None if hello.version == DTLS_1_2 => Version::Dtls12,
            None => return Err(HandshakeError::NoCommonVersion),
        };
        let is_retried = self.retry.is_some() || hello.is_retry();
        match chosen {
            Version::Dtls13 if !core.offers(chosen) => Err(HandshakeError::UnsolicitedExtension),
            Version::Dtls12 if !core.offers(chosen) => Err(HandshakeError::NoCommonVersion),
            Version::Dtls12 if is_retried => Err(HandshakeError::IllegalParameter),
            Version::Dtls12 if core.offers(Version::Dtls13) && hello.is_downgrade() => {
                Err(HandshakeError::Downgrade)
            }
            // A cookie asked for with the message of 1.2 is 1.2's.
            Version::Dtls13 if self.cookie_requests > 0 => Err(HandshakeError::IllegalParameter),
            chosen => Ok(chosen),
        }
    }

    /// RFC 8446 §4.1.4: the hello again, with the cookie given or a share of the group named.
    fn retry_request(
        &mut self,
        core: &mut Core,
        suite: CipherSuite,
        request: &ServerHello,
        message: &Message,
    ) -> Result<(), HandshakeError> {
        const ALLOWED: [ExtensionType; 3] =
            [ExtensionType::SUPPORTED_VERSIONS, ExtensionType::COOKIE, ExtensionType::KEY_SHARE];
        let extensions = &request.extensions;
        if self.retry.is_some() {
            return Err(HandshakeError::UnexpectedMessage);
        }
        if !extensions.are_among(&ALLOWED) {
            return Err(HandshakeError::UnsolicitedExtension);
        }
        if extensions.cookie.is_none() && extensions.key_shares.is_none() {
            return Err(HandshakeError::IllegalParameter);
        }
        if let Some(wanted) = extensions.key_shares.iter().flatten().next() {
            let is_sent = self.shares.iter().any(|share| group_code(share.group()) == wanted.group);
            let group = core.group_of_code(Version::Dtls13, wanted.group).filter(|_| !is_sent);
            let group = group.ok_or(HandshakeError::IllegalParameter)?;
            self.shares = vec![core.provider().key_agreement(group).ok_or(HandshakeError::Internal)?];
            self.hello.extensions.key_shares = Some(entries(&self.shares));
        }
        self.hello.extensions.cookie = extensions.cookie.clone();
        let mut transcript = Transcript::after_retry(core.provider(), suite.hash(), &self.message);
        transcript.add(message);
        self.retry = Some(Retry { suite, transcript });
        core.version = Some(Version::Dtls13);
        core.writing.know_1_3();
        self.send_again(core);
        Ok(())
    }

    fn begin_1_3(
        self: Box<Self>,
        core: &mut Core,
        suite: CipherSuite,
        hello: &ServerHello,
        message: &Message,
    ) -> Result<Client, HandshakeError> {
        let Self { hello: ours, message: sent, shares, retry, .. } = *self;
        const ALLOWED: [ExtensionType; 3] =
            [ExtensionType::SUPPORTED_VERSIONS, ExtensionType::KEY_SHARE, ExtensionType::CONNECTION_ID];
        let extensions = &hello.extensions;
        let is_id_unasked = extensions.connection_id.is_some() && core.config.connection_id.is_none();
        if !extensions.are_among(&ALLOWED) || is_id_unasked {
            return Err(HandshakeError::UnsolicitedExtension);
        }
        if retry.as_ref().is_some_and(|retry| retry.suite != suite) {
            return Err(HandshakeError::IllegalParameter);
        }
        let chosen = extensions.key_shares.iter().flatten().next().ok_or(HandshakeError::MissingExtension)?;
        let share = shares.into_iter().find(|share| group_code(share.group()) == chosen.group);
        let share = share.ok_or(HandshakeError::IllegalParameter)?;
        let group = share.group();
        let shared = share.agree(&chosen.value).map_err(|_| HandshakeError::IllegalParameter)?;
        let mut transcript = retry.map_or_else(|| Transcript::new(Version::Dtls13), |retry| retry.transcript);
        transcript.add(&sent);
        transcript.add(message);
        core.apply_connection_ids(extensions);
        Client13::begin(core, suite, ours.random, (group, &shared), transcript).map(Client::Dtls13)
    }
}
