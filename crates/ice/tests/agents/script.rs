//! A peer that says exactly what a test wants, to one agent.

use std::net::SocketAddr;
use std::time::Instant;

use antiphon_crypto::{HashAlgorithm, HmacKey, Provider};
use antiphon_ice::{Agent, Candidate, Config, Credentials, Role};
use antiphon_stun::{
    Attribute, AttributeType, ErrorCode, Message, MessageBuilder, MessageType, TransactionId,
};
use antiphon_testkit::origin;
use antiphon_util::{Path, Received, Rng, Writer};

use crate::net::addr;

pub(crate) const OURS: &str = "192.0.2.1:1000";
pub(crate) const THEIRS: &str = "198.51.100.1:2000";

/// The agent and whoever talks to it.
pub(crate) struct Script {
    pub(crate) agent: Agent,
    pub(crate) credentials: Credentials,
    pub(crate) now: Instant,
    pub(crate) role: Role,
    pub(crate) tie_breaker: u64,
    rng: Rng,
}

/// A datagram that the agent sent.
pub(crate) struct Sent {
    pub(crate) path: Path,
    pub(crate) bytes: Vec<u8>,
}

pub(crate) fn key(password: &str) -> HmacKey {
    Provider::default().hmac_key(HashAlgorithm::Sha1, password.as_bytes())
}

pub(crate) fn path() -> Path {
    Path::udp(addr(OURS), addr(THEIRS))
}

impl Script {
    /// An agent with one address that knows the peer's credentials.
    pub(crate) fn new(role: Role) -> Self {
        let mut script = Self::before_signalling(Config::new(Provider::default(), role));
        script.learn_credentials();
        script
    }

    /// An agent with one address that knows nothing of the peer.
    pub(crate) fn before_signalling(config: Config) -> Self {
        let role = config.role.opposite();
        let mut rng = Rng::from_test_seed(11);
        let credentials = Credentials::random(&mut rng);
        let mut agent = Agent::new(config, rng.fork());
        let now = origin();
        agent.add_local_address(now, addr(OURS));
        Self { agent, credentials, now, role, tie_breaker: 7, rng }
    }

    pub(crate) fn learn_credentials(&mut self) {
        self.agent.set_remote_credentials(self.now, self.credentials.clone());
    }

    pub(crate) fn add_candidate(&mut self, address: &str) {
        self.agent.add_remote_candidate(self.now, Candidate::host(addr(address))).unwrap();
    }

    /// Lets time pass, with the agent called whenever it wants to be; gives what it sends meanwhile.
    pub(crate) fn pass(&mut self, time: std::time::Duration) -> Vec<Sent> {
        let end = self.now + time;
        let mut sent = self.take();
        while let Some(due) = self.agent.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.agent.handle_timeout(self.now);
            sent.extend(self.take());
        }
        self.now = end;
        sent
    }

    pub(crate) fn take(&mut self) -> Vec<Sent> {
        let mut sent = Vec::new();
        let mut bytes = Vec::new();
        while let Some(transmit) = self.agent.poll_transmit(self.now, &mut bytes) {
            sent.push(Sent { path: transmit.path, bytes: std::mem::take(&mut bytes) });
        }
        sent
    }

    pub(crate) fn receive(&mut self, path: Path, mut bytes: Vec<u8>) {
        let received = Received { path, ecn: None, datagram: &mut bytes };
        assert!(self.agent.handle_receive(self.now, received).is_none());
    }

    /// A check of the peer's.
    pub(crate) fn check(&mut self, use_candidate: bool) -> Vec<u8> {
        self.request_with_priority(use_candidate, 1_853_824_767)
    }

    /// A check of the peer's with a PRIORITY of its own.
    pub(crate) fn request_with_priority(&mut self, use_candidate: bool, priority: u32) -> Vec<u8> {
        let local = self.agent.local_credentials().clone();
        let username = format!("{}:{}", local.ufrag, self.credentials.ufrag);
        let (role, tie_breaker) = (self.role, self.tie_breaker);
        self.request(Some(&username), Some(&local.pwd), |builder| {
            builder.attribute(&match role {
                Role::Controlling => Attribute::IceControlling(tie_breaker),
                Role::Controlled => Attribute::IceControlled(tie_breaker),
            });
            if use_candidate {
                builder.attribute(&Attribute::UseCandidate);
            }
            builder.attribute(&Attribute::Priority(priority));
        })
    }

    /// A check of the peer's that nominates with a number.
    pub(crate) fn numbered_nomination(&mut self, number: u32, priority: u32) -> Vec<u8> {
        let local = self.agent.local_credentials().clone();
        let username = format!("{}:{}", local.ufrag, self.credentials.ufrag);
        let tie_breaker = self.tie_breaker;
        self.request(Some(&username), Some(&local.pwd), |builder| {
            builder.attribute(&Attribute::IceControlling(tie_breaker));
            builder.attribute(&Attribute::UseCandidate);
            builder.attribute(&Attribute::Nomination(number));
            builder.attribute(&Attribute::Priority(priority));
        })
    }

    /// A request with what `body` writes, signed with `password`.
    pub(crate) fn request(
        &mut self,
        username: Option<&str>,
        password: Option<&str>,
        body: impl FnOnce(&mut MessageBuilder<'_>),
    ) -> Vec<u8> {
        let id = TransactionId::random(&mut self.rng);
        build(MessageType::BINDING_REQUEST, id, password, |builder| {
            if let Some(username) = username {
                builder.attribute(&Attribute::Username(username));
            }
            body(builder);
        })
    }

    /// The peer's answer to a check of the agent's, signed with `password`.
    pub(crate) fn answer_with(&self, request: &[u8], mapped: SocketAddr, password: &str) -> Vec<u8> {
        let id = Message::try_from(request).unwrap().id();
        build(MessageType::BINDING_SUCCESS, id, Some(password), |builder| {
            builder.attribute(&Attribute::XorMappedAddress(mapped));
        })
    }

    /// The peer's answer to a check of the agent's.
    pub(crate) fn answer(&self, request: &[u8]) -> Vec<u8> {
        self.answer_with(request, addr(OURS), &self.credentials.pwd)
    }

    /// The peer's refusal of a check of the agent's.
    pub(crate) fn refusal(&self, request: &[u8], error: ErrorCode<'_>, password: Option<&str>) -> Vec<u8> {
        let id = Message::try_from(request).unwrap().id();
        build(MessageType::BINDING_ERROR, id, password, |builder| {
            builder.attribute(&Attribute::ErrorCode(error));
        })
    }

    /// Answers every check in `sent`, on the path that it came.
    pub(crate) fn answer_all(&mut self, sent: &[Sent]) {
        for request in sent.iter().filter(|sent| sent.is_check()) {
            let answer = self.answer(&request.bytes);
            self.receive(request.path, answer);
        }
    }
}

fn build(
    kind: MessageType,
    id: TransactionId,
    password: Option<&str>,
    body: impl FnOnce(&mut MessageBuilder<'_>),
) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes);
    let mut builder = MessageBuilder::new(&mut writer, kind, id);
    body(&mut builder);
    if let Some(password) = password {
        builder.message_integrity(&key(password));
    }
    builder.fingerprint();
    builder.finish().unwrap();
    bytes
}

impl Sent {
    pub(crate) fn message(&self) -> Message<'_> {
        Message::try_from(&self.bytes[..]).unwrap()
    }

    pub(crate) fn is_check(&self) -> bool {
        self.message().kind() == MessageType::BINDING_REQUEST
    }

    pub(crate) fn is_nomination(&self) -> bool {
        self.is_check() && self.message().find(AttributeType::USE_CANDIDATE).is_some()
    }

    pub(crate) fn is_success(&self) -> bool {
        self.message().kind() == MessageType::BINDING_SUCCESS
    }

    pub(crate) fn error(&self) -> Option<u16> {
        match self.message().attribute(AttributeType::ERROR_CODE) {
            Some(Attribute::ErrorCode(error)) => Some(error.code),
            _ => None,
        }
    }
}
