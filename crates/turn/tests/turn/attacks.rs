//! Bad input and attackers.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use antiphon_stun::{
    Attribute, AttributeType, Class, ErrorCode, Message, MessageBuilder, MessageType, Method, TransactionId,
    TransportProtocol,
};
use antiphon_testkit::for_each_seed;
use antiphon_turn::client::{DropReason, Event};
use antiphon_turn::server::{self, Server};
use antiphon_util::{Path, Received, Rng, Writer};

use crate::world::{CLIENT, PEER, SERVER, World, at, client_config, link, server_config, user};

const SECOND: Duration = Duration::from_secs(1);

fn message(kind: MessageType, write: impl FnOnce(&mut MessageBuilder<'_>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes);
    let mut builder = MessageBuilder::new(&mut writer, kind, TransactionId([9; 12]));
    write(&mut builder);
    builder.finish().unwrap();
    bytes
}

fn allocate() -> Vec<u8> {
    message(MessageType::new(Method::ALLOCATE, Class::Request), |builder| {
        builder.attribute(&Attribute::RequestedTransport(TransportProtocol::UDP));
    })
}

#[test]
fn what_others_send_to_a_client_changes_nothing() {
    for_each_seed(10, |seed| {
        let mut world = World::new(seed, link(), server_config(), client_config());
        world.allocate();
        world.send(at(PEER, 7), b"one");
        world.run(SECOND);
        let client = at(CLIENT, 4_000);
        let mut rng = Rng::from_test_seed(seed);
        let error = message(MessageType::new(Method::REFRESH, Class::ErrorResponse), |builder| {
            builder.attribute(&Attribute::ErrorCode(ErrorCode::ALLOCATION_MISMATCH));
        });
        let data = message(MessageType::new(Method::DATA, Class::Indication), |builder| {
            builder.attribute(&Attribute::XorPeerAddress(at("9.9.9.8", 1)));
            builder.attribute(&Attribute::Data(b"from nobody"));
        });
        for _ in 0..200 {
            let noise: [u8; 40] = rng.array();
            for bytes in [&error[..], &data[..], &noise[..], b"\x40\x00\x00\x05hello", b"\x40\xff\xff\xff"] {
                // From elsewhere, and with the server's address forged.
                world.net.inject(at(PEER, 3_478), client, bytes);
                world.net.inject(at(SERVER, 3_478), client, bytes);
            }
        }
        world.run(SECOND);
        assert_eq!(world.client().received.len(), 1);
        world.send(at(PEER, 7), b"two");
        world.run(SECOND);
        assert_eq!(world.client().received.len(), 2);
        assert_eq!(world.client().events, []);
        assert!(world.client().client.drops().of(DropReason::NotFromServer) >= 1_000);
    });
}

#[test]
fn a_forged_refusal_is_overruled_by_the_servers_own_answer() {
    let mut world = World::simple();
    world.allocate();
    let client = at(CLIENT, 4_000);
    // Somebody on the path answers every request first, with the right transaction and without the key.
    let forged = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let sink = std::rc::Rc::clone(&forged);
    world.net.intercept(move |packet| {
        let Ok(message) = Message::try_from(&packet.datagram[..]) else { return true };
        if message.kind().class == Class::Request {
            let mut bytes = Vec::new();
            let mut writer = Writer::new(&mut bytes);
            let kind = MessageType::new(message.kind().method, Class::ErrorResponse);
            let mut builder = MessageBuilder::new(&mut writer, kind, message.id());
            builder.attribute(&Attribute::ErrorCode(ErrorCode::FORBIDDEN));
            builder.finish().unwrap();
            sink.borrow_mut().push(bytes);
        }
        true
    });
    world.send(at(PEER, 7), b"hello");
    for _ in 0..100 {
        world.run(Duration::from_millis(1));
        for bytes in forged.borrow_mut().drain(..) {
            world.net.inject(at(SERVER, 3_478), client, &bytes);
        }
    }
    world.run(10 * SECOND);
    assert_eq!(world.client().events, []);
    assert_eq!(world.client().received.len(), 1);
    assert!(world.client().client.drops().of(DropReason::BadIntegrity) > 0);
}

#[test]
fn replayed_messages_change_nothing() {
    for_each_seed(5, |seed| {
        let mut world = World::new(seed, link(), server_config(), client_config());
        let seen = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
        let sink = std::rc::Rc::clone(&seen);
        world.net.intercept(move |packet| {
            sink.borrow_mut().push((packet.from, packet.to, packet.datagram.clone()));
            true
        });
        world.allocate();
        world.send(at(PEER, 7), b"hello");
        world.run(SECOND);
        world.net.stop_intercepting();
        let seen = seen.take();
        for _ in 0..3 {
            for (from, to, bytes) in &seen {
                world.net.inject(*from, *to, bytes);
                // The same requests from somebody else's address: the nonce is not theirs.
                world.net.inject(at(PEER, 99), *to, bytes);
            }
        }
        world.run(SECOND);
        let metrics = world.server().server.metrics();
        assert_eq!((metrics.allocations, metrics.allocations_made), (1, 1));
        assert_eq!(world.client().events, []);
    });
}

#[test]
fn special_addresses_are_refused_on_every_method() {
    let special = [
        "0.0.0.0",
        "10.0.0.1",
        "127.0.0.1",
        "169.254.169.254",
        "192.168.1.1",
        "224.0.0.1",
        "255.255.255.255",
        SERVER,
    ];
    for ip in special {
        let IpAddr::V4(v4) = ip.parse().unwrap() else { continue };
        let [a, b, c, d] = v4.octets();
        let disguises = [
            ip.to_owned(),
            format!("::ffff:{ip}"),
            format!("::{ip}"),
            format!("64:ff9b::{ip}"),
            format!("2002:{a:02x}{b:02x}:{c:02x}{d:02x}::1"),
        ];
        for disguise in disguises {
            for method in [Method::CREATE_PERMISSION, Method::CHANNEL_BIND, Method::SEND] {
                attempt(&disguise, method, ip == SERVER && disguise == SERVER);
            }
        }
    }
}

/// Asks for `peer` by one method; nothing may leave the server for it.
fn attempt(peer: &str, method: Method, is_relay: bool) {
    let mut client = client_config();
    client.families = antiphon_turn::client::Families::Both;
    client.channel_after = if method == Method::CHANNEL_BIND { 0 } else { u32::MAX };
    let mut world = World::new(1, link(), server_config(), client);
    let relayed = world.allocate().relayed;
    let target = at(peer, 80);
    if method == Method::SEND {
        let bytes = message(MessageType::new(method, Class::Indication), |builder| {
            builder.attribute(&Attribute::XorPeerAddress(target));
            builder.attribute(&Attribute::Data(b"GET / HTTP/1.1"));
        });
        world.net.inject(at(CLIENT, 4_000), at(SERVER, 3_478), &bytes);
    } else {
        world.send(target, b"GET / HTTP/1.1");
    }
    let escaped = std::rc::Rc::new(std::cell::Cell::new(0));
    let counter = std::rc::Rc::clone(&escaped);
    world.net.intercept(move |packet| {
        counter.set(counter.get() + u32::from(relayed.contains(&packet.from)));
        true
    });
    world.run(2 * SECOND);
    assert_eq!(escaped.get(), 0, "{peer} by {method:?}");
    if method != Method::SEND && !is_relay {
        let refused = world.client().events.iter().any(|event| matches!(event, Event::PeerRefused { .. }));
        assert!(refused, "{peer} by {method:?}: {:?}", world.client().events);
    }
}

#[test]
fn a_permission_does_not_pass_to_the_next_allocation_at_its_port() {
    let mut config = server_config();
    config.ports = 50_000..=50_000;
    let mut client = client_config();
    client.channel_after = 0;
    let mut world = World::new(1, link(), config, client);
    let seen = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let sink = std::rc::Rc::clone(&seen);
    world.net.intercept(move |packet| {
        sink.borrow_mut().push((packet.from, packet.to, packet.datagram.clone()));
        true
    });
    let relayed = world.allocate().relayed[0];
    world.send(at(PEER, 7), b"hello");
    world.run(SECOND);
    world.net.stop_intercepting();
    assert_eq!(world.client().received.len(), 1);
    // What the peer sends now is on its way while the allocation ends and another is made.
    let now = world.net.now();
    world.client().client.close(now);
    world.net.inject(at(PEER, 7), relayed, b"late");
    world.run(SECOND);
    let bob = world.add_client("8.0.0.2", user("bob", "builder"));
    world.net.inject(at(PEER, 7), relayed, b"early");
    world.run(SECOND);
    let events = std::mem::take(&mut world.at(bob).events);
    assert!(
        matches!(&events[..], [Event::Allocated(allocated)] if allocated.relayed == [relayed]),
        "{events:?}"
    );
    // Alice's requests and data come again, from her address and from others.
    for (from, to, bytes) in seen.take().iter().filter(|(from, ..)| *from == at(CLIENT, 4_000)) {
        for from in [*from, at("8.0.0.2", 4_001), at(PEER, 7)] {
            world.net.inject(from, *to, bytes);
        }
    }
    world.run(SECOND);
    world.net.inject(at(PEER, 7), relayed, b"after all that");
    world.run(SECOND);
    assert_eq!(world.at(bob).received, []);
    assert_eq!(world.server().server.metrics().allocations, 1);
}

#[test]
fn data_and_the_end_of_its_permission_meet_without_harm() {
    for_each_seed(20, |seed| {
        let mut client = client_config();
        client.channel_after = if seed % 2 == 0 { 0 } else { u32::MAX };
        let mut world = World::new(seed, link(), server_config(), client);
        let relayed = world.allocate().relayed[0];
        world.send(at(PEER, 7), b"hello");
        // The peer speaks each 100 ms around the moment at which permission and channel may end; the client is silent.
        let mut rng = Rng::from_test_seed(seed);
        for _ in 0..700 {
            world.net.inject(at(PEER, 7), relayed, b"data");
            world.run(Duration::from_millis(500 + rng.below(1_000)));
        }
        let received = world.client().received.len();
        let metrics = world.server().server.metrics();
        assert_eq!(metrics.datagrams_to_clients as usize, received);
        // It ends for good, since nothing renews it, and the rest is refused.
        assert!(metrics.drops.of(server::DropReason::NoPermission) > 0, "{metrics}");
        world.send(at(PEER, 7), b"hello again");
        world.run(SECOND);
        assert_eq!(world.client().received.len(), received + 1);
    });
}

/// Bytes that the server answered with, to whom, and what it holds afterwards.
fn flood(server: &mut Server, count: u32, request: &[u8]) -> (usize, usize) {
    let now = antiphon_testkit::origin();
    let (mut bytes, mut largest) = (0, 0);
    let mut buf = Vec::new();
    for n in 0..count {
        let source = SocketAddr::new(
            IpAddr::from((0x0b00_0000 + n * 7_919).to_be_bytes()),
            1_000 + (n % 60_000) as u16,
        );
        let path = Path::udp(at(SERVER, 3_478), source);
        let mut datagram = request.to_vec();
        server.handle_receive(now, Received { path, ecn: None, datagram: &mut datagram });
        buf.clear();
        while let Some(transmit) = server.poll_transmit(now, &mut buf) {
            bytes += transmit.len;
            largest = largest.max(transmit.len);
        }
    }
    (bytes, largest)
}

#[test]
fn floods_of_spoofed_requests_leave_nothing_and_get_short_answers() {
    let requests = [allocate(), message(MessageType::BINDING_REQUEST, |_| {})];
    for request in requests {
        let mut server = Server::new(antiphon_testkit::origin(), server_config(), Rng::from_test_seed(1));
        let (_, largest) = flood(&mut server, 3_000, &request);
        // Header, an error without words, the realm, a nonce and the algorithms.
        assert!(largest <= 112, "{largest} bytes");
        assert_eq!(server.metrics().allocations, 0);
        assert_eq!((server.poll_timeout(), server.poll_event()), (None, None));
        // Ten times the limit and more, in one moment: no more comes out than went in, but for what all sources have together.
        let mut server = Server::new(antiphon_testkit::origin(), server_config(), Rng::from_test_seed(1));
        let (bytes, _) = flood(&mut server, 500_000, &request);
        let answered = bytes / largest;
        assert!(bytes <= answered * request.len() + (512 << 10), "{bytes} bytes in {answered} answers");
        assert!(server.metrics().drops.of(server::DropReason::UnauthenticatedLimit) >= 450_000);
    }
}

/// What one source gets that sends `request` from `count` ports within `duration`.
fn ask_often(count: u16, duration: Duration, request: &[u8]) -> (usize, usize) {
    let start = antiphon_testkit::origin();
    let mut server = Server::new(start, server_config(), Rng::from_test_seed(1));
    let (mut answers, mut buf) = (0, Vec::new());
    for n in 0..count {
        let now = start + duration * u32::from(n) / u32::from(count);
        let path = Path::udp(at(SERVER, 3_478), at(PEER, n));
        server.handle_receive(now, Received { path, ecn: None, datagram: &mut request.to_vec() });
        answers += usize::from(server.poll_transmit(now, &mut buf).is_some());
    }
    (answers, buf.len())
}

#[test]
fn one_source_gets_little_more_than_it_sends() {
    let request = allocate();
    let (answers, bytes) = ask_often(1_000, Duration::ZERO, &request);
    assert!((50..200).contains(&answers) && bytes <= answers * request.len() + 8_192, "{bytes} in {answers}");
    let (answers, bytes) = ask_often(60_000, 60 * SECOND, &request);
    assert!(bytes <= answers * request.len() + 8_192 + 60 * 1_024, "{bytes} in {answers}");
}

#[test]
fn a_request_as_long_as_its_answer_is_always_answered() {
    let padded = message(MessageType::new(Method::ALLOCATE, Class::Request), |builder| {
        builder.attribute(&Attribute::RequestedTransport(TransportProtocol::UDP));
        builder.attribute(&Attribute::Unknown(antiphon_stun::RawAttribute {
            kind: AttributeType(0xfffe),
            value: &[0; 80],
        }));
    });
    let (answers, bytes) = ask_often(10_000, Duration::ZERO, &padded);
    assert_eq!(answers, 10_000);
    assert!(bytes <= answers * padded.len());
}

#[test]
fn an_honest_client_is_served_during_a_flood() {
    let mut world = World::simple();
    world.allocate();
    for n in 0..20_u32 {
        for m in 0..500_u32 {
            let source = SocketAddr::new(IpAddr::from((0x0c00_0000 + n * 500 + m).to_be_bytes()), 1);
            world.net.inject(source, at(SERVER, 3_478), &allocate());
        }
        world.send(at(PEER, 7), &[1; 50]);
        world.run(Duration::from_millis(100));
    }
    world.run(SECOND);
    assert_eq!(world.client().received.len(), 20);
}

#[test]
fn garbage_to_every_port_of_a_server_changes_nothing() {
    for_each_seed(10, |seed| {
        let mut world = World::new(seed, link(), server_config(), client_config());
        let relayed = world.allocate().relayed[0];
        let mut rng = Rng::from_test_seed(seed);
        for _ in 0..500 {
            let mut noise = vec![0; rng.below(100) as usize];
            rng.fill(&mut noise);
            if let Some(first) = noise.first_mut() {
                // STUN, ChannelData and the rest alike.
                *first &= 0x7f;
            }
            for to in [at(SERVER, 3_478), relayed] {
                world.net.inject(at(CLIENT, 4_000), to, &noise);
                world.net.inject(at(PEER, 5), to, &noise);
            }
        }
        world.run(SECOND);
        assert_eq!(world.client().received.len(), 0);
        assert_eq!(world.server().server.metrics().allocations, 1);
        world.send(at(PEER, 7), b"still there");
        world.run(SECOND);
        assert_eq!(world.client().received.len(), 1);
    });
}

#[test]
fn permissions_and_channels_stop_at_their_limits() {
    let mut config = server_config();
    config.limits.permissions = 10;
    config.limits.channels = 5;
    let mut client = client_config();
    client.channel_after = 0;
    let mut world = World::new(1, link(), config, client);
    world.allocate();
    for n in 0..100_u8 {
        world.send(at(&format!("9.8.7.{n}"), 1), b"hello");
        world.run(Duration::from_millis(300));
    }
    let metrics = world.server().server.metrics();
    assert!(metrics.refusals.of(508) >= 90, "{metrics}");
    assert_eq!(metrics.datagrams_to_peers, 10);
}

#[test]
fn what_waits_for_permissions_is_bounded() {
    let mut world = World::simple();
    world.allocate();
    let now = world.net.now();
    for n in 0..2_000_u32 {
        let peer = SocketAddr::new(IpAddr::from((0x0908_0000 + n).to_be_bytes()), 1);
        world.client().send(now, peer, &[0; 1_000]);
    }
    let drops = world.client().client.drops().clone();
    assert_eq!(drops.of(DropReason::PeerLimit), 2_000 - 256);
    assert_eq!(drops.of(DropReason::WaitingLimit), 256 - 65);
}

#[test]
fn a_request_of_another_method_or_class_is_dropped() {
    let mut server = Server::new(antiphon_testkit::origin(), server_config(), Rng::from_test_seed(1));
    let kinds = [
        MessageType::new(Method::DATA, Class::Request),
        MessageType::new(Method::ALLOCATE, Class::Indication),
        MessageType::new(Method::ALLOCATE, Class::SuccessResponse),
        MessageType::new(Method::new(0x555), Class::Request),
    ];
    for kind in kinds {
        let (bytes, _) = flood(&mut server, 1, &message(kind, |_| {}));
        assert_eq!(bytes, 0, "{kind:?}");
    }
    assert_eq!(server.metrics().drops.of(server::DropReason::Malformed), 4);
    let unknown = message(MessageType::BINDING_REQUEST, |builder| {
        builder.attribute(&Attribute::Unknown(antiphon_stun::RawAttribute {
            kind: AttributeType(0x7fff),
            value: &[],
        }));
    });
    let (bytes, _) = flood(&mut server, 1, &unknown);
    assert!(bytes > 0 && server.metrics().refusals.of(420) == 1);
}
