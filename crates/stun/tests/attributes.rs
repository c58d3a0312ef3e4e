//! Every attribute: written and read again, its bytes on the wire, and values that it can't have.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::net::SocketAddr;
use std::time::Duration;

use antiphon_stun::{
    AddressFamily, Attribute, AttributeType, AttributeTypes, ChangeRequest, DtlsAcks, ErrorCode, Icmp,
    Message, MessageBuilder, MessageType, Method, PasswordAlgorithm, PasswordAlgorithms, RawAttribute,
    TransactionId, TransportProtocol,
};
use antiphon_testkit::for_each_seed;
use antiphon_util::{Reader, Rng, Writer};

const ID: TransactionId = TransactionId([3; 12]);

fn built(attributes: &[Attribute<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = Writer::new(&mut out);
    let mut builder = MessageBuilder::new(&mut writer, MessageType::BINDING_INDICATION, ID);
    attributes.iter().for_each(|attribute| builder.attribute(attribute));
    builder.finish().unwrap();
    out
}

/// What stands on the wire behind the header of the attribute, padding included.
fn value(attribute: Attribute<'_>) -> Vec<u8> {
    built(&[attribute]).split_off(24)
}

/// One of each attribute but the integrities and the fingerprint, with values drawn at random.
fn one_of_each<'a>(rng: &mut Rng, text: &'a str, bytes: &'a [u8], hash: &'a [u8; 32]) -> Vec<Attribute<'a>> {
    let long = SocketAddr::from((rng.array::<16>(), rng.u16()));
    let short = SocketAddr::from((rng.array::<4>(), rng.u16()));
    let error = ErrorCode::new(300 + rng.below(400) as u16, text);
    let pairs = bytes.get(..bytes.len() & !1).unwrap();
    let quads = bytes.get(..bytes.len() & !3).unwrap();
    let raw = |kind, value| RawAttribute { kind, value };
    let list = |kind, value| raw(kind, value).decode(ID).unwrap();
    vec![
        Attribute::MappedAddress(short),
        Attribute::Username(text),
        Attribute::ErrorCode(error),
        list(AttributeType::UNKNOWN_ATTRIBUTES, pairs),
        Attribute::Realm(text),
        Attribute::Nonce(text),
        Attribute::PasswordAlgorithm(PasswordAlgorithm { number: rng.u16(), parameters: bytes }),
        Attribute::PasswordAlgorithms(PasswordAlgorithms::ALL),
        Attribute::Userhash(hash),
        Attribute::XorMappedAddress(long),
        Attribute::Software(text),
        Attribute::AlternateServer(long),
        Attribute::AlternateDomain("turn.example.org"),
        Attribute::Priority(rng.u32()),
        Attribute::UseCandidate,
        Attribute::IceControlled(rng.u64()),
        Attribute::IceControlling(rng.u64()),
        Attribute::Nomination(rng.u32()),
        Attribute::GoogNetworkInfo { network: rng.u16(), cost: rng.u16() },
        Attribute::GoogLastIceCheckReceived(bytes),
        Attribute::DtlsInStun(bytes),
        list(AttributeType::DTLS_IN_STUN_ACK, quads),
        Attribute::ChannelNumber(rng.u16()),
        Attribute::Lifetime(Duration::from_secs(rng.u32().into())),
        Attribute::XorPeerAddress(short),
        Attribute::Data(bytes),
        Attribute::XorRelayedAddress(long),
        Attribute::RequestedAddressFamily(AddressFamily(rng.u16() as u8)),
        Attribute::EvenPort { reserve_next: rng.below(2) == 0 },
        Attribute::RequestedTransport(TransportProtocol(rng.u16() as u8)),
        Attribute::DontFragment,
        Attribute::ReservationToken(hash.first_chunk().unwrap()),
        Attribute::AdditionalAddressFamily(AddressFamily::IPV6),
        Attribute::AddressErrorCode { family: AddressFamily(rng.u16() as u8), error },
        Attribute::Icmp(Icmp { kind: rng.below(128) as u8, code: rng.below(512) as u16, data: rng.u32() }),
        Attribute::ConnectionId(rng.u32()),
        Attribute::AccessToken(bytes),
        Attribute::ThirdPartyAuthorization(text),
        Attribute::MobilityTicket(bytes),
        Attribute::ChangeRequest(ChangeRequest { address: rng.below(2) == 0, port: rng.below(2) == 0 }),
        Attribute::Padding(bytes),
        Attribute::ResponsePort(rng.u16()),
        Attribute::CacheTimeout(Duration::from_secs(rng.u32().into())),
        Attribute::ResponseOrigin(short),
        Attribute::OtherAddress(long),
        Attribute::Unknown(raw(AttributeType(0xfff0), bytes)),
    ]
}

#[test]
fn every_attribute_survives_the_round_trip() {
    for_each_seed(500, |seed| {
        let mut rng = Rng::from_test_seed(seed);
        let bytes: Vec<u8> = (0..rng.below(40)).map(|_| rng.u16() as u8).collect();
        let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
        let hash = rng.array::<32>();
        let written = one_of_each(&mut rng, &text, &bytes, &hash);
        let datagram = built(&written);
        let message = Message::try_from(&datagram[..]).unwrap();
        let read: Vec<Attribute<'_>> =
            message.attributes().map(|attribute| attribute.decode(ID).unwrap()).collect();
        assert_eq!(read, written);
    });
}

#[test]
fn every_known_attribute_is_tried_and_has_a_name_of_its_own() {
    let mut rng = Rng::from_test_seed(1);
    let tried = one_of_each(&mut rng, "", &[], &[0; 32]);
    let checked = [
        AttributeType::MESSAGE_INTEGRITY,
        AttributeType::MESSAGE_INTEGRITY_SHA256,
        AttributeType::FINGERPRINT,
    ];
    let mut names = Vec::new();
    for kind in (0..=u16::MAX).map(AttributeType).filter(|kind| kind.is_known()) {
        assert!(checked.contains(&kind) || tried.iter().any(|attribute| attribute.kind() == kind), "{kind}");
        names.extend(kind.name());
    }
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!((names.len(), count), (tried.len() - 1 + checked.len(), names.len()));
}

#[test]
fn fields_stand_where_the_rfcs_put_them() {
    assert_eq!(value(Attribute::ChannelNumber(0x4001)), [0x40, 0x01, 0, 0]);
    assert_eq!(value(Attribute::Lifetime(Duration::from_millis(600_900))), [0, 0, 0x02, 0x58]);
    assert_eq!(value(Attribute::Lifetime(Duration::MAX)), [0xff; 4]);
    assert_eq!(value(Attribute::RequestedAddressFamily(AddressFamily::IPV6)), [2, 0, 0, 0]);
    assert_eq!(value(Attribute::EvenPort { reserve_next: true }), [0x80, 0, 0, 0]);
    assert_eq!(value(Attribute::RequestedTransport(TransportProtocol::UDP)), [17, 0, 0, 0]);
    let error = ErrorCode::new(440, "no");
    let family = AddressFamily::IPV6;
    assert_eq!(value(Attribute::AddressErrorCode { family, error }), [2, 0, 4, 40, b'n', b'o', 0, 0]);
    let icmp = Icmp { kind: 3, code: 4, data: 1_280 };
    assert_eq!(value(Attribute::Icmp(icmp)), [0, 0, 6, 4, 0, 0, 5, 0]);
    assert_eq!(value(Attribute::ChangeRequest(ChangeRequest { address: true, port: false })), [0, 0, 0, 4]);
    assert_eq!(value(Attribute::ChangeRequest(ChangeRequest { address: false, port: true })), [0, 0, 0, 2]);
    assert_eq!(value(Attribute::ResponsePort(0x1234)), [0x12, 0x34, 0, 0]);
    assert_eq!(value(Attribute::PasswordAlgorithms(PasswordAlgorithms::ALL)), [0, 2, 0, 0, 0, 1, 0, 0]);
    let algorithm = PasswordAlgorithm { number: 9, parameters: &[1, 2, 3] };
    assert_eq!(value(Attribute::PasswordAlgorithm(algorithm)), [0, 9, 0, 3, 1, 2, 3, 0]);
}

#[test]
fn attributes_with_impossible_values_are_refused_one_by_one() {
    let long = [b'a'; 764];
    let refused: &[(AttributeType, &[u8])] = &[
        (AttributeType::XOR_MAPPED_ADDRESS, &[0, 3, 0, 0, 0, 0, 0, 0]),
        (AttributeType::XOR_MAPPED_ADDRESS, &[0, 1, 0, 0, 0, 0, 0]),
        (AttributeType::XOR_MAPPED_ADDRESS, &[0, 1, 0, 0, 0, 0, 0, 0, 0]),
        (AttributeType::XOR_PEER_ADDRESS, &[0, 2, 0, 0, 0, 0, 0, 0]),
        (AttributeType::XOR_RELAYED_ADDRESS, &[]),
        (AttributeType::MAPPED_ADDRESS, &[0, 2, 0, 0, 0, 0, 0, 0]),
        (AttributeType::OTHER_ADDRESS, &[0, 0, 0, 0, 0, 0, 0, 0]),
        (AttributeType::PRIORITY, &[0; 3]),
        (AttributeType::PRIORITY, &[0; 5]),
        (AttributeType::ICE_CONTROLLED, &[0; 7]),
        (AttributeType::ICE_CONTROLLING, &[0; 9]),
        (AttributeType::USE_CANDIDATE, &[0]),
        (AttributeType::DONT_FRAGMENT, &[0]),
        (AttributeType::NOMINATION, &[0; 5]),
        (AttributeType::DTLS_IN_STUN_ACK, &[0; 6]),
        (AttributeType::USERNAME, &[0xff]),
        (AttributeType::USERNAME, long.get(..509).unwrap()),
        (AttributeType::REALM, &long),
        (AttributeType::NONCE, &long),
        (AttributeType::SOFTWARE, &long),
        (AttributeType::ALTERNATE_DOMAIN, long.get(..256).unwrap()),
        (AttributeType::ERROR_CODE, &[0, 0, 2, 0]),
        (AttributeType::ERROR_CODE, &[0, 0, 4, 100]),
        (AttributeType::ERROR_CODE, &[0, 0, 4]),
        (AttributeType::ADDRESS_ERROR_CODE, &[1, 0, 7, 0]),
        (AttributeType::UNKNOWN_ATTRIBUTES, &[0]),
        (AttributeType::PASSWORD_ALGORITHM, &[0, 1, 0, 1]),
        (AttributeType::PASSWORD_ALGORITHM, &[0, 1, 0, 1, 0, 0, 0]),
        (AttributeType::PASSWORD_ALGORITHM, &[0, 1, 0, 0, 0]),
        (AttributeType::PASSWORD_ALGORITHMS, &[0, 1, 0, 0, 0]),
        (AttributeType::USERHASH, &[0; 31]),
        (AttributeType::GOOG_NETWORK_INFO, &[0; 2]),
        (AttributeType::FINGERPRINT, &[0; 3]),
        (AttributeType::MESSAGE_INTEGRITY, &[0; 19]),
        (AttributeType::MESSAGE_INTEGRITY_SHA256, &[0; 12]),
        (AttributeType::MESSAGE_INTEGRITY_SHA256, &[0; 18]),
        (AttributeType::MESSAGE_INTEGRITY_SHA256, &[0; 36]),
        (AttributeType::CHANNEL_NUMBER, &[0x40, 0]),
        (AttributeType::LIFETIME, &[0; 8]),
        (AttributeType::REQUESTED_ADDRESS_FAMILY, &[1]),
        (AttributeType::EVEN_PORT, &[]),
        (AttributeType::EVEN_PORT, &[0; 4]),
        (AttributeType::REQUESTED_TRANSPORT, &[17, 0]),
        (AttributeType::RESERVATION_TOKEN, &[0; 7]),
        (AttributeType::ICMP, &[0; 4]),
        (AttributeType::CONNECTION_ID, &[0; 2]),
        (AttributeType::CHANGE_REQUEST, &[0; 2]),
        (AttributeType::RESPONSE_PORT, &[0; 2]),
    ];
    for (kind, value) in refused {
        assert!(RawAttribute { kind: *kind, value }.decode(ID).is_err(), "{kind} {value:?}");
    }
}

#[test]
fn texts_at_their_limit_are_read() {
    let long = [b'a'; 763];
    for (kind, len) in [
        (AttributeType::USERNAME, 508),
        (AttributeType::REALM, 763),
        (AttributeType::NONCE, 763),
        (AttributeType::ALTERNATE_DOMAIN, 255),
    ] {
        assert!(RawAttribute { kind, value: long.get(..len).unwrap() }.decode(ID).is_ok(), "{kind}");
    }
}

#[test]
fn reserved_bits_are_ignored() {
    let read = |kind, value| RawAttribute { kind, value }.decode(ID).unwrap();
    assert_eq!(read(AttributeType::CHANNEL_NUMBER, &[0x40, 1, 9, 9]), Attribute::ChannelNumber(0x4001));
    assert_eq!(read(AttributeType::EVEN_PORT, &[0x7f]), Attribute::EvenPort { reserve_next: false });
    let change = ChangeRequest { address: true, port: true };
    assert_eq!(read(AttributeType::CHANGE_REQUEST, &[0xff; 4]), Attribute::ChangeRequest(change));
    let icmp = Icmp { kind: 0x7f, code: 0x01ff, data: u32::MAX };
    assert_eq!(read(AttributeType::ICMP, &[0xff; 8]), Attribute::Icmp(icmp));
}

#[test]
fn lists_are_iterated_in_order() {
    let value = [0, 2, 0, 1, 7, 0, 0, 0, 0, 1, 0, 0];
    let list = PasswordAlgorithms::parse(&mut Reader::new(&value)).unwrap();
    let algorithms: Vec<PasswordAlgorithm<'_>> = list.iter().collect();
    assert_eq!(algorithms, [PasswordAlgorithm { number: 2, parameters: &[7] }, PasswordAlgorithm::MD5]);
    assert_eq!(list.as_bytes(), value);
    let both = [PasswordAlgorithm::SHA256, PasswordAlgorithm::MD5];
    assert!(PasswordAlgorithms::ALL.iter().eq(both));
    let read = |kind, value| RawAttribute { kind, value }.decode(ID).unwrap();
    let Attribute::UnknownAttributes(kinds) = read(AttributeType::UNKNOWN_ATTRIBUTES, &[0, 3, 0x7f, 0xff])
    else {
        panic!("a list of attributes");
    };
    let _: AttributeTypes<'_> = kinds;
    assert!(kinds.iter().eq([AttributeType::CHANGE_REQUEST, AttributeType(0x7fff)]));
    let Attribute::DtlsInStunAck(acks) = read(AttributeType::DTLS_IN_STUN_ACK, &[0, 0, 0, 1, 0xff, 0, 0, 0])
    else {
        panic!("a list of checksums");
    };
    let _: DtlsAcks<'_> = acks;
    assert!(acks.iter().eq([1, 0xff00_0000]));
}

#[test]
fn uses_of_stun_understand_their_own_attributes() {
    assert!(AttributeType::PRIORITY.is_of_binding() && AttributeType::USERHASH.is_of_binding());
    assert!(!AttributeType::CHANGE_REQUEST.is_of_binding() && !AttributeType::LIFETIME.is_of_binding());
    assert!(AttributeType::LIFETIME.is_of_turn() && AttributeType::NONCE.is_of_turn());
    assert!(!AttributeType::CHANGE_REQUEST.is_of_turn() && !AttributeType(0x7ff0).is_of_turn());
    assert_eq!(AttributeType::CHANGE_REQUEST.to_string(), "CHANGE-REQUEST");
    assert_eq!(format!("{:?}", AttributeType(0x7ff0)), "0x7ff0");
}

#[test]
fn methods_have_their_registered_bits() {
    let first_bytes = |method| {
        let mut out = Vec::new();
        let mut writer = Writer::new(&mut out);
        let kind = MessageType::new(method, antiphon_stun::Class::Request);
        MessageBuilder::new(&mut writer, kind, ID).finish().unwrap();
        out.first_chunk::<2>().copied().unwrap()
    };
    assert_eq!(first_bytes(Method::ALLOCATE), [0, 3]);
    assert_eq!(first_bytes(Method::CHANNEL_BIND), [0, 9]);
    assert_eq!(first_bytes(Method::CONNECTION_ATTEMPT), [0, 12]);
    assert_eq!(first_bytes(Method::GOOG_PING), [2, 0]);
}
