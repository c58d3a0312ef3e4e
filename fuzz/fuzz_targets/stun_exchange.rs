//! A client and a server with somebody on the path who delays, changes and invents: nothing panics, each request ends once, a
//! signed request ends with an authentic answer or none, and no answer is much larger than its request.
#![no_main]

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use antiphon_crypto::Provider;
use antiphon_fuzz::allocating;
use antiphon_stun::{
    Alternate, Attribute, AttributeType, Authenticator, BindingServer, Class, Client, ClientConfig,
    Credential, Message, MessageBuilder, MessageType, Method, RawAttribute, Redirections, Timing,
    TransactionId, UserId, refuse,
};
use antiphon_util::{Path, Rng, Writer};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

const REALM: &str = "example.org";

static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

#[derive(Debug, Arbitrary)]
struct Input {
    reliable: bool,
    old_server: bool,
    anonymous: bool,
    right_password: bool,
    actions: Vec<Action>,
}

#[derive(Debug, Arbitrary)]
enum Action {
    Request,
    /// The server gets one of the latest requests and the client its answer.
    Carry {
        which: u8,
    },
    /// The same with a byte of the request or the answer changed.
    Change {
        which: u8,
        request: bool,
        at: u16,
        xor: u8,
    },
    /// The client gets an answer of others.
    Forge {
        which: u8,
        error: bool,
        attributes: Vec<(u16, Vec<u8>)>,
        code: Option<u16>,
        realm: u8,
        nonce: String,
    },
    ToServer(Vec<u8>),
    ToClient(Vec<u8>),
    Pass {
        milliseconds: u16,
    },
}

struct Scene {
    now: Instant,
    client: Client,
    server: Authenticator,
    sent: Vec<Vec<u8>>,
    /// Whether the request of a transaction was signed.
    signed: HashMap<TransactionId, bool>,
    /// What the server answered, as far as an integrity protects it.
    answered: HashSet<Vec<u8>>,
    begun: usize,
    ended: usize,
}

fuzz_target!(|input: Input| {
    let mut scene = Scene::new(&input);
    for action in input.actions.iter().take(200) {
        scene.act(action);
        scene.drain();
    }
    scene.pass(Duration::from_secs(60));
    assert_eq!(scene.begun, scene.ended, "each request ends once");
    assert_eq!(scene.client.poll_timeout(), None);
});

fn path() -> Path {
    let [local, remote]: [SocketAddr; 2] = [([192, 0, 2, 1], 3478).into(), ([203, 0, 113, 7], 40_000).into()];
    Path::udp(local, remote)
}

fn alice() -> Credential {
    Credential::new("alice", "wonderland").unwrap()
}

impl Scene {
    fn new(input: &Input) -> Self {
        let provider = Provider::default();
        let timing = match input.reliable {
            true => Timing::reliable(),
            false => Timing::recommended(Duration::from_millis(500)),
        };
        let password = if input.right_password { "wonderland" } else { "looking-glass" };
        let credential = Some(Credential::new("alice", password).unwrap());
        let config = ClientConfig { credential, ..ClientConfig::new(timing) };
        let now = *EPOCH;
        let mut server = Authenticator::new(now, provider, REALM, &[7; 32], Duration::from_secs(20));
        if input.anonymous {
            server = server.with_anonymous_users();
        }
        if input.old_server {
            server = server.without_password_algorithms();
        }
        let client = Client::new(provider, config, Rng::from_test_seed(1));
        let (sent, signed, answered) = (Vec::new(), HashMap::new(), HashSet::new());
        Self { now, client, server, sent, signed, answered, begun: 0, ended: 0 }
    }

    fn act(&mut self, action: &Action) {
        match action {
            Action::Request => {
                self.begun += usize::from(self.client.request(self.now, Method::BINDING, |_| {}).is_ok());
            }
            Action::Carry { which } => {
                let Some(request) = self.request(*which) else { return };
                let answer = self.serve(&request);
                self.receive(&answer);
            }
            Action::Change { which, request: change_request, at, xor } => {
                let Some(mut request) = self.request(*which) else { return };
                let change = |bytes: &mut Vec<u8>| {
                    let len = bytes.len().max(1);
                    bytes.get_mut(usize::from(*at) % len).map(|byte| *byte ^= xor)
                };
                if *change_request {
                    change(&mut request);
                }
                let mut answer = self.serve(&request);
                if !change_request {
                    change(&mut answer);
                }
                self.receive(&answer);
            }
            Action::Forge { which, error, attributes, code, realm, nonce } => {
                let Some(request) = self.request(*which) else { return };
                let forged = forge(&request, *error, attributes, *code, *realm, nonce);
                self.receive(&forged);
            }
            Action::ToServer(bytes) => {
                self.serve(bytes);
                plain_servers(bytes);
            }
            Action::ToClient(bytes) => self.receive(bytes),
            Action::Pass { milliseconds } => self.pass(Duration::from_millis((*milliseconds).into())),
        }
    }

    /// One of the latest requests.
    fn request(&self, which: u8) -> Option<Vec<u8>> {
        self.sent.iter().rev().nth(usize::from(which % 8)).cloned()
    }

    /// What the server says to `datagram`; empty where it says nothing.
    fn serve(&mut self, datagram: &[u8]) -> Vec<u8> {
        let mut buf = Vec::new();
        let Ok(request) = Message::try_from(datagram) else { return buf };
        if request.kind() != MessageType::BINDING_REQUEST {
            return buf;
        }
        let provider = Provider::default();
        let keys = |user: UserId<'_>, algorithm| {
            let is_alice = match user {
                UserId::Name(name) => name == "alice",
                UserId::Hash(hash) => *hash == alice().userhash(provider, REALM),
            };
            is_alice.then(|| alice().long_term_keys(provider, REALM, algorithm))?
        };
        match self.server.judge(self.now, path().remote, &request, keys) {
            Ok(known) => {
                let signer = Some((&known.keys, known.integrity));
                BindingServer::default().respond_to(path(), &request, signer, &mut buf);
            }
            Err(refusal) => {
                let more = |builder: &mut MessageBuilder<'_>| {
                    if refusal.is_challenge {
                        self.server.challenge(self.now, path().remote, builder);
                    }
                };
                refuse(&request, refusal.error, None, &mut buf, more).unwrap();
            }
        }
        assert!(buf.len() <= 200);
        if !buf.is_empty() {
            self.answered.insert(protected(&buf));
        }
        buf
    }

    fn receive(&mut self, datagram: &[u8]) {
        allocating(16 * datagram.len() + 8_192, || self.client.handle_datagram(self.now, datagram));
        if let Ok(message) = Message::try_from(datagram) {
            Redirections::new(8).follow(self.now, path().local, &message);
        }
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        let mut steps = 0;
        self.drain();
        while let Some(due) = self.client.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.client.handle_timeout(self.now);
            self.drain();
            steps += 1;
            assert!(steps < 2_000, "the client does not come to rest");
        }
        self.now = end;
    }

    fn drain(&mut self) {
        let mut buf = Vec::new();
        while let Some(len) = self.client.poll_transmit(self.now, &mut buf) {
            let datagram = buf.split_off(buf.len() - len);
            let request = Message::try_from(&datagram[..]).unwrap();
            let signed = request.has_integrity() || request.has_integrity_sha256();
            self.signed.insert(request.id(), signed);
            self.sent.push(datagram);
        }
        while let Some(event) = self.client.poll_event() {
            self.ended += 1;
            let Ok(answer) = event.outcome else { continue };
            let id = Message::try_from(&answer[..]).unwrap().id();
            assert!(
                !self.signed[&id] || self.answered.contains(&protected(&answer)),
                "not authentic: {answer:?}"
            );
        }
    }
}

/// Type, transaction id and attributes without what may stand behind an integrity: FINGERPRINT is nobody's secret.
fn protected(answer: &[u8]) -> Vec<u8> {
    let message = Message::try_from(answer).unwrap();
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes);
    let mut builder = MessageBuilder::new(&mut writer, message.kind(), message.id());
    let protected = message.attributes().filter(|one| one.kind != AttributeType::FINGERPRINT);
    protected.for_each(|one| builder.attribute(&Attribute::Unknown(one)));
    builder.finish().unwrap();
    bytes
}

/// Servers without credentials answer shortly, or, where they take part in discovery, with the padding of the request.
fn plain_servers(datagram: &[u8]) {
    let addresses = [path().local.ip(), [192, 0, 2, 9].into()];
    let discovering = BindingServer {
        alternate: Some(Alternate { addresses, ports: [3478, 3479] }),
        ..BindingServer::default()
    };
    for (server, most) in [(BindingServer::default(), 100), (discovering, 100 + datagram.len())] {
        let mut buf = Vec::new();
        let reply = allocating(4 * most + 1_024, || server.respond(path(), datagram, &mut buf));
        assert_eq!(reply.map_or(0, |reply| reply.len), buf.len());
        assert!(buf.len() <= most, "{} bytes for {}", buf.len(), datagram.len());
        assert!(buf.is_empty() || Message::try_from(&buf[..]).is_ok());
    }
}

fn forge(
    request: &[u8],
    error: bool,
    attributes: &[(u16, Vec<u8>)],
    code: Option<u16>,
    realm: u8,
    nonce: &str,
) -> Vec<u8> {
    let Ok(request) = Message::try_from(request) else { return Vec::new() };
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes);
    let class = if error { Class::ErrorResponse } else { Class::SuccessResponse };
    let mut builder =
        MessageBuilder::new(&mut writer, MessageType::new(Method::BINDING, class), request.id());
    if let Some(code) = code {
        let code = [300, 400, 401, 438, 500][usize::from(code % 5)];
        builder.attribute(&Attribute::ErrorCode(antiphon_stun::ErrorCode::new(code, "")));
        builder.attribute(&Attribute::Realm(["example.org", "a", "b", ""][usize::from(realm % 4)]));
        builder.attribute(&Attribute::Nonce(nonce));
    }
    for (kind, value) in attributes.iter().take(20) {
        builder.attribute(&Attribute::Unknown(RawAttribute { kind: AttributeType(*kind), value }));
    }
    if builder.finish().is_err() {
        bytes.clear();
    }
    bytes
}
