//! A TURN server gets raw datagrams, frames of a stream, and requests that are authentic but for what the input says: it never
//! panics, sends nothing to special addresses, and answers nobody at length whom it does not know.
#![no_main]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use antiphon_crypto::Provider;
use antiphon_stun::{Attribute, FrameDecoder, Framing};
use antiphon_stun::{
    AttributeType, Authentication, Class, Credential, Message, MessageBuilder, MessageType, Method,
    RawAttribute, TransactionId,
};
use antiphon_turn::server::{Config, Event, Server};
use antiphon_util::{ClockAnchor, Path, Protocol, Received, Rng, Writer};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
enum Action {
    Raw { relayed: bool, bytes: Vec<u8> },
    Stream { bytes: Vec<u8> },
    Request { method: u8, attributes: Vec<(u16, Vec<u8>)>, over_tcp: bool },
    Opened { connected: bool },
    Pass { seconds: u16 },
}

fn at(last: u8, port: u16) -> SocketAddr {
    ([198, 41, 0, last], port).into()
}

fuzz_target!(|actions: Vec<Action>| {
    let provider = Provider::default();
    let mut now = Instant::now();
    let clock = ClockAnchor::new(now, std::time::SystemTime::UNIX_EPOCH);
    let mut config = Config::new(provider, clock, "realm");
    config.users.passwords.insert("user".to_owned(), "password".to_owned());
    config.relays.push(at(2, 0).ip().into());
    let policy = config.policy.clone();
    let mut server = Server::new(now, config, Rng::from_test_seed(1));
    let mut authentication = Authentication::new(provider, Credential::new("user", "password").unwrap());
    let client = Path::udp(at(2, 3_478), at(1, 4_000));
    let mut decoder = FrameDecoder::new(Framing::SelfDelimiting, 0x1_0014);
    let (mut connections, mut relays, mut number) = (Vec::new(), Vec::new(), 0_u64);
    for action in actions.iter().take(100) {
        match action {
            Action::Raw { relayed, bytes } => {
                let path = match relays.last() {
                    Some(relay) if *relayed => Path::udp(*relay, at(9, 9)),
                    _ => client,
                };
                server.handle_receive(now, Received { path, ecn: None, datagram: &mut bytes.clone() });
            }
            Action::Stream { bytes } => {
                let path = Path { protocol: Protocol::Tcp, ..client };
                let mut input = &bytes[..];
                while let Ok(Some(datagram)) = decoder.decode(&mut input) {
                    server.handle_receive(now, Received { path, ecn: None, datagram });
                }
            }
            Action::Request { method, attributes, over_tcp } => {
                number += 1;
                let protocol = if *over_tcp { Protocol::Tcp } else { Protocol::Udp };
                let mut id = [0; 12];
                id[..8].copy_from_slice(&number.to_be_bytes());
                let mut bytes = Vec::new();
                let mut writer = Writer::new(&mut bytes);
                let kind = MessageType::new(Method::new(u16::from(*method % 16)), Class::Request);
                let mut builder = MessageBuilder::new(&mut writer, kind, TransactionId(id));
                for (kind, value) in attributes.iter().take(16) {
                    let raw = RawAttribute { kind: AttributeType(*kind), value };
                    builder.attribute(&Attribute::Unknown(raw));
                }
                authentication.sign(&mut builder);
                if builder.finish().is_ok() {
                    let path = Path { protocol, ..client };
                    server.handle_receive(now, Received { path, ecn: None, datagram: &mut bytes });
                }
            }
            Action::Opened { connected } => {
                if let Some(connection) = connections.pop() {
                    server.connection_opened(now, connection, *connected);
                }
            }
            Action::Pass { seconds } => {
                now += Duration::from_secs(u64::from(*seconds));
                server.handle_timeout(now);
            }
        }
        while let Some(event) = server.poll_event() {
            match event {
                Event::OpenRelay { address, .. } => {
                    relays.push(address);
                    server.relay_opened(now, address, true);
                }
                Event::OpenConnection { connection, peer, .. } => {
                    assert!(policy.permits(peer.ip()), "connects to {peer}");
                    connections.push(connection);
                }
                _ => {}
            }
        }
        let mut buf = Vec::new();
        while let Some(transmit) = server.poll_transmit(now, &mut buf) {
            if relays.contains(&transmit.path.local) {
                assert!(policy.permits(transmit.path.remote.ip()), "sends to {}", transmit.path.remote);
            } else if let Ok(answer) = Message::try_from(&buf[..]) {
                let is_answer = answer.kind().class != Class::Indication;
                if is_answer && !answer.has_integrity() && !answer.has_integrity_sha256() {
                    assert!(buf.len() <= 160, "{} bytes to a stranger", buf.len());
                }
                authentication.judge(antiphon_stun::Signature::NONE, &answer);
            }
            buf.clear();
        }
    }
});
