//! What a server answers to binding requests, and where it sends clients to.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::net::SocketAddr;
use std::time::Duration;

use antiphon_crypto::Provider;
use antiphon_stun::{
    Alternate, Attribute, AttributeType, BindingServer, ChangeRequest, ErrorCode, Integrity, IntegrityKeys,
    Message, MessageBuilder, MessageType, Method, RawAttribute, Redirections, TransactionId,
};
use antiphon_testkit::origin;
use antiphon_util::{Path, Writer};

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn path() -> Path {
    Path::udp(address("192.0.2.1:3478"), address("203.0.113.7:40000"))
}

fn built(kind: MessageType, body: impl FnOnce(&mut MessageBuilder<'_>)) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = Writer::new(&mut out);
    let mut builder = MessageBuilder::new(&mut writer, kind, TransactionId([3; 12]));
    body(&mut builder);
    builder.finish().unwrap();
    out
}

fn request(attributes: &[Attribute<'_>]) -> Vec<u8> {
    built(MessageType::BINDING_REQUEST, |builder| attributes.iter().for_each(|one| builder.attribute(one)))
}

fn discovery() -> BindingServer {
    let addresses = [address("192.0.2.1:1").ip(), address("192.0.2.9:1").ip()];
    BindingServer {
        alternate: Some(Alternate { addresses, ports: [3478, 3479] }),
        ..BindingServer::default()
    }
}

/// The way of the answer, and its bytes.
fn answer(server: &BindingServer, datagram: &[u8]) -> (Path, Vec<u8>) {
    let mut buf = vec![9];
    let reply = server.respond(path(), datagram, &mut buf).unwrap();
    assert_eq!(reply.len, buf.len() - 1);
    (reply.path, buf.split_off(1))
}

fn attributes<'a>(message: &Message<'a>) -> Vec<Attribute<'a>> {
    message.attributes().map(|one| one.decode(message.id()).unwrap()).collect()
}

#[test]
fn a_request_is_answered_with_its_source_and_nothing_more() {
    let (way, bytes) = answer(&BindingServer::default(), &request(&[]));
    let message = Message::try_from(&bytes[..]).unwrap();
    assert_eq!((way, message.kind()), (path(), MessageType::BINDING_SUCCESS));
    assert_eq!(attributes(&message), [Attribute::XorMappedAddress(path().remote)]);
    assert_eq!(bytes.len(), 32);
}

#[test]
fn the_fingerprint_is_returned_and_a_wrong_one_is_not_answered() {
    let mut datagram = built(MessageType::BINDING_REQUEST, |builder| builder.fingerprint());
    let (_, bytes) = answer(&BindingServer::default(), &datagram);
    assert!(Message::try_from(&bytes[..]).unwrap().verify_fingerprint());
    *datagram.last_mut().unwrap() ^= 1;
    assert!(BindingServer::default().respond(path(), &datagram, &mut Vec::new()).is_none());
}

#[test]
fn what_is_no_binding_request_is_not_answered() {
    let other = MessageType::new(Method::ALLOCATE, antiphon_stun::Class::Request);
    let kinds =
        [MessageType::BINDING_INDICATION, MessageType::BINDING_SUCCESS, MessageType::BINDING_ERROR, other];
    for datagram in kinds.map(|kind| built(kind, |_| {})).iter().map(Vec::as_slice).chain([&[][..], &[0; 20]])
    {
        let mut buf = Vec::new();
        assert!(BindingServer::default().respond(path(), datagram, &mut buf).is_none());
        assert!(buf.is_empty());
    }
}

#[test]
fn a_refusal_names_unknown_attributes_up_to_the_limit() {
    let limit = BindingServer::default().limits.unknown_attributes;
    for (count, named) in [(1, 1), (limit, limit), (limit + 1, limit), (10 * limit, limit)] {
        let datagram = built(MessageType::BINDING_REQUEST, |builder| {
            for kind in (0x7000..).map(AttributeType).take(count).flat_map(|kind| [kind; 2]) {
                builder.attribute(&Attribute::Unknown(RawAttribute { kind, value: &[] }));
            }
        });
        let (_, bytes) = answer(&BindingServer::default(), &datagram);
        let message = Message::try_from(&bytes[..]).unwrap();
        let [Attribute::ErrorCode(error), Attribute::UnknownAttributes(kinds)] = attributes(&message)[..]
        else {
            panic!("{message:?}");
        };
        assert_eq!((message.kind(), error), (MessageType::BINDING_ERROR, ErrorCode::UNKNOWN_ATTRIBUTE));
        assert!(kinds.iter().eq((0x7000..).map(AttributeType).take(named)));
    }
}

#[test]
fn a_signed_request_gets_a_signed_answer() {
    let keys = IntegrityKeys::new(Provider::default(), b"secret");
    let datagram = request(&[]);
    let message = Message::try_from(&datagram[..]).unwrap();
    for integrity in [Integrity::Sha1, Integrity::Sha256] {
        let mut buf = Vec::new();
        BindingServer::default().respond_to(path(), &message, Some((&keys, integrity)), &mut buf).unwrap();
        assert!(keys.verify(&Message::try_from(&buf[..]).unwrap(), integrity));
    }
}

#[test]
fn without_another_address_changes_are_unknown() {
    let change = Attribute::ChangeRequest(ChangeRequest { address: true, port: true });
    for attribute in [change, Attribute::ResponsePort(7), Attribute::Padding(&[1; 8])] {
        let (_, bytes) = answer(&BindingServer::default(), &request(&[attribute]));
        let message = Message::try_from(&bytes[..]).unwrap();
        let Some(Attribute::UnknownAttributes(kinds)) = message.attribute(AttributeType::UNKNOWN_ATTRIBUTES)
        else {
            panic!("{message:?}");
        };
        assert!(kinds.iter().eq([attribute.kind()]));
    }
}

#[test]
fn discovery_answers_from_where_it_is_asked_to() {
    for (change, from) in [
        (ChangeRequest { address: false, port: false }, "192.0.2.1:3478"),
        (ChangeRequest { address: true, port: false }, "192.0.2.9:3478"),
        (ChangeRequest { address: false, port: true }, "192.0.2.1:3479"),
        (ChangeRequest { address: true, port: true }, "192.0.2.9:3479"),
    ] {
        let (way, bytes) = answer(&discovery(), &request(&[Attribute::ChangeRequest(change)]));
        assert_eq!(way, Path::udp(address(from), path().remote));
        let expected = [
            Attribute::XorMappedAddress(path().remote),
            Attribute::MappedAddress(path().remote),
            Attribute::ResponseOrigin(address(from)),
            Attribute::OtherAddress(address("192.0.2.9:3479")),
        ];
        assert_eq!(attributes(&Message::try_from(&bytes[..]).unwrap()), expected);
    }
}

#[test]
fn discovery_answers_to_another_port_and_with_padding_but_not_both() {
    let (way, bytes) = answer(&discovery(), &request(&[Attribute::ResponsePort(41_000)]));
    assert_eq!(way.remote, address("203.0.113.7:41000"));
    let message = Message::try_from(&bytes[..]).unwrap();
    let mapped = Some(Attribute::XorMappedAddress(path().remote));
    assert_eq!(message.attribute(AttributeType::XOR_MAPPED_ADDRESS), mapped);
    let padding = [7; 1_200];
    let (way, bytes) = answer(&discovery(), &request(&[Attribute::Padding(&padding)]));
    let message = Message::try_from(&bytes[..]).unwrap();
    assert_eq!(message.attribute(AttributeType::PADDING), Some(Attribute::Padding(&padding)));
    assert_eq!(way, path());
    let both = [Attribute::ResponsePort(41_000), Attribute::Padding(&padding)];
    let (way, bytes) = answer(&discovery(), &request(&both));
    let message = Message::try_from(&bytes[..]).unwrap();
    assert_eq!(attributes(&message), [Attribute::ErrorCode(ErrorCode::BAD_REQUEST)]);
    assert_eq!(way, path());
}

fn try_alternate(servers: &[&str], domain: Option<&str>) -> Vec<u8> {
    built(MessageType::BINDING_ERROR, |builder| {
        builder.attribute(&Attribute::ErrorCode(ErrorCode::TRY_ALTERNATE));
        servers.iter().for_each(|server| builder.attribute(&Attribute::AlternateServer(address(server))));
        domain.iter().for_each(|domain| builder.attribute(&Attribute::AlternateDomain(domain)));
    })
}

#[test]
fn redirections_are_followed_once_within_five_minutes() {
    let start = origin();
    let mut redirections = Redirections::new(8);
    let mut follow = |seconds, asked: &str, response: &[u8]| {
        let message = Message::try_from(response).unwrap();
        let found = redirections.follow(start + Duration::from_secs(seconds), address(asked), &message);
        found.map(|to| (to.server, to.domain))
    };
    let away = try_alternate(&["[2001:db8::2]:1", "192.0.2.2:1"], Some("b.example.org"));
    let expected = Some((address("192.0.2.2:1"), Some("b.example.org".to_owned())));
    assert_eq!(follow(0, "192.0.2.1:1", &away), expected);
    let back = try_alternate(&["192.0.2.1:1"], None);
    assert_eq!(follow(299, "192.0.2.2:1", &back), None);
    assert_eq!(follow(300, "192.0.2.2:1", &back), Some((address("192.0.2.1:1"), None)));
    assert_eq!(follow(300, "192.0.2.2:1", &try_alternate(&[], None)), None);
    let other = built(MessageType::BINDING_ERROR, |builder| {
        builder.attribute(&Attribute::ErrorCode(ErrorCode::SERVER_ERROR));
        builder.attribute(&Attribute::AlternateServer(address("192.0.2.5:1")));
    });
    assert_eq!(follow(300, "192.0.2.2:1", &other), None);
}

#[test]
fn a_chain_of_redirections_ends_at_the_limit() {
    let mut redirections = Redirections::new(8);
    let followed = (1..=80_u16)
        .filter(|port| {
            let next = format!("192.0.2.1:{}", port + 1);
            let response = try_alternate(&[&next], None);
            let asked = SocketAddr::from(([192, 0, 2, 1], *port));
            redirections.follow(origin(), asked, &Message::try_from(&response[..]).unwrap()).is_some()
        })
        .count();
    assert_eq!(followed, 8);
}
