//! An agent is handed what a list of actions says, by a peer that knows its credentials and by one that does not: it never
//! panics, what it sends stays in proportion to what it got, and it comes to rest.
#![no_main]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use antiphon_crypto::{HashAlgorithm, HmacKey, Provider};
use antiphon_ice::{Agent, Candidate, Config, Credentials, IceState, Role, TcpType};
use antiphon_stun::{Attribute, Message, MessageBuilder, MessageType, TransactionId};
use antiphon_util::{Path, Received, Rng, Writer};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
enum Action {
    Candidate { address: u8, priority: u32, foundation: u8, tcp_type: u8 },
    Credentials,
    EndOfCandidates,
    Check { from: u8, priority: u32, use_candidate: bool, controlling: bool, tie_breaker: u64 },
    Answer { which: u8, from: u8, error: Option<u16> },
    Raw { from: u8, bytes: Vec<u8> },
    AddAddress { number: u8, kind: u8 },
    RemoveAddress { from: u8 },
    ConnectionClosed { from: u8 },
    Restart,
    CancelRestart,
    Pass { milliseconds: u16 },
}

struct Scene {
    agent: Agent,
    now: Instant,
    remote: Credentials,
    remote_key: HmacKey,
    requests: Vec<(Path, TransactionId)>,
    rng: Rng,
}

fuzz_target!(|input: (bool, Vec<Action>)| {
    let (controlling, actions) = input;
    let mut scene = Scene::new(if controlling { Role::Controlling } else { Role::Controlled });
    for action in actions.iter().take(200) {
        scene.act(action);
        scene.drain();
    }
    scene.rest();
});

fn address(number: u8) -> SocketAddr {
    ([198, 51, 100, number % 64], 2_000).into()
}

fn path(number: u8) -> Path {
    let local = if number.is_multiple_of(3) { [192, 0, 2, 2] } else { [192, 0, 2, 1] };
    match number / 64 {
        // The passive end of a connection, and the active one.
        2 => Path::tcp((local, 1_000).into(), address(number)),
        3 => Path::tcp((local, 9).into(), address(number)),
        _ => Path::udp((local, 1_000).into(), address(number)),
    }
}

const TCP_TYPES: [TcpType; 3] = [TcpType::Active, TcpType::Passive, TcpType::SimultaneousOpen];

impl Scene {
    fn new(role: Role) -> Self {
        let provider = Provider::default();
        let mut rng = Rng::from_test_seed(1);
        let mut agent = Agent::new(Config::new(provider, role), rng.fork());
        let now = Instant::now();
        agent.add_local_address(now, path(0).local);
        agent.add_local_address(now, path(1).local);
        agent.end_of_local_addresses(now);
        let remote = Credentials::random(&mut rng);
        let key = |pwd: &str| provider.hmac_key(HashAlgorithm::Sha1, pwd.as_bytes());
        let remote_key = key(&remote.pwd);
        Self { agent, now, remote, remote_key, requests: Vec::new(), rng }
    }

    fn act(&mut self, action: &Action) {
        match action {
            Action::Candidate { address: number, priority, foundation, tcp_type } => {
                let mut candidate = match TCP_TYPES.get(usize::from(*tcp_type)) {
                    Some(tcp_type) => Candidate::tcp(address(*number), *tcp_type),
                    None => Candidate::host(address(*number)),
                };
                candidate.priority = *priority;
                candidate.foundation = foundation.to_string();
                let _ = self.agent.add_remote_candidate(self.now, candidate);
            }
            Action::Credentials => self.agent.set_remote_credentials(self.now, self.remote.clone()),
            Action::EndOfCandidates => self.agent.end_of_remote_candidates(self.now),
            Action::Check { from, priority, use_candidate, controlling, tie_breaker } => {
                let username = format!("{}:{}", self.agent.local_credentials().ufrag, self.remote.ufrag);
                let id = TransactionId::random(&mut self.rng);
                let key = Provider::default()
                    .hmac_key(HashAlgorithm::Sha1, self.agent.local_credentials().pwd.as_bytes());
                let bytes = build(MessageType::BINDING_REQUEST, id, &key, |builder| {
                    builder.attribute(&Attribute::Username(&username));
                    builder.attribute(&match controlling {
                        true => Attribute::IceControlling(*tie_breaker),
                        false => Attribute::IceControlled(*tie_breaker),
                    });
                    if *use_candidate {
                        builder.attribute(&Attribute::UseCandidate);
                    }
                    builder.attribute(&Attribute::Priority(*priority));
                });
                self.receive(path(*from), bytes);
            }
            Action::Answer { which, from, error } => self.answer(*which, *from, *error),
            Action::Raw { from, bytes } => self.receive(path(*from), bytes.clone()),
            Action::AddAddress { number, kind } => {
                let local = path(*number).local;
                match TCP_TYPES.get(usize::from(*kind % 8)) {
                    Some(tcp_type) => self.agent.add_local_tcp_address(self.now, local, *tcp_type),
                    None if *kind % 8 == 7 => {
                        self.agent.add_relayed_address(self.now, address(*number), local)
                    }
                    None => self.agent.add_local_address(self.now, local),
                }
            }
            Action::RemoveAddress { from } => {
                let Path { protocol, local, .. } = path(*from);
                self.agent.remove_local_address(self.now, protocol, local);
            }
            Action::ConnectionClosed { from } => self.agent.handle_connection_closed(self.now, path(*from)),
            Action::Restart => self.agent.restart(self.now, None),
            Action::CancelRestart => {
                self.agent.cancel_restart(self.now);
            }
            Action::Pass { milliseconds } => self.pass(Duration::from_millis((*milliseconds).into())),
        }
    }

    /// Answers one of the latest requests, mostly on its own path.
    fn answer(&mut self, which: u8, from: u8, error: Option<u16>) {
        let Some((asked, id)) = self.requests.iter().rev().nth(usize::from(which % 16)).copied() else {
            return;
        };
        let kind = if error.is_some() { MessageType::BINDING_ERROR } else { MessageType::BINDING_SUCCESS };
        let bytes = build(kind, id, &self.remote_key, |builder| match error {
            Some(code) => {
                let code = if code % 2 == 0 { 487 } else { 300 + code % 400 };
                builder.attribute(&Attribute::ErrorCode(antiphon_stun::ErrorCode { code, reason: "" }));
            }
            None => builder.attribute(&Attribute::XorMappedAddress(asked.local)),
        });
        self.receive(if from.is_multiple_of(8) { path(from) } else { asked }, bytes);
    }

    fn receive(&mut self, path: Path, mut bytes: Vec<u8>) {
        let _ = self.agent.handle_receive(self.now, Received { path, ecn: None, datagram: &mut bytes });
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        let mut steps = 0;
        while let Some(due) = self.agent.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.agent.handle_timeout(self.now);
            self.drain();
            steps += 1;
            assert!(steps < 20_000, "the agent does not come to rest");
        }
        self.now = end;
    }

    fn drain(&mut self) {
        let mut buf = Vec::new();
        let mut datagrams = 0;
        while let Some(transmit) = self.agent.poll_transmit(self.now, &mut buf) {
            assert_eq!(transmit.len, buf.len());
            let message = Message::try_from(&buf[..]).unwrap();
            assert!(message.verify_fingerprint());
            if message.kind() == MessageType::BINDING_REQUEST {
                self.requests.push((transmit.path, message.id()));
            }
            buf.clear();
            datagrams += 1;
            assert!(datagrams < 400, "more at one instant than pairs and answers can need");
        }
        while self.agent.poll_event().is_some() {}
    }

    /// Left alone an agent fails or waits; it is never due again and again.
    fn rest(&mut self) {
        self.agent.set_remote_credentials(self.now, self.remote.clone());
        self.agent.end_of_remote_candidates(self.now);
        self.pass(Duration::from_secs(1_000));
        assert_eq!(self.agent.state(), IceState::Failed);
        assert_eq!(self.agent.poll_timeout(), None);
    }
}

fn build(
    kind: MessageType,
    id: TransactionId,
    key: &HmacKey,
    body: impl FnOnce(&mut MessageBuilder<'_>),
) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes);
    let mut builder = MessageBuilder::new(&mut writer, kind, id);
    body(&mut builder);
    builder.message_integrity(key);
    builder.fingerprint();
    builder.finish().unwrap();
    bytes
}
