//! Published vectors, captured messages and published rubbish.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::fs;

use antiphon_crypto::{HashAlgorithm, HmacKey, Provider};
use antiphon_stun::{
    Attribute, AttributeType, BindingServer, Client, ClientConfig, ErrorCode, FrameDecoder, Framing, Message,
    MessageBuilder, MessageType, Method, RawAttribute, Timing, TransactionId,
};
use antiphon_testkit::{corpus, origin};
use antiphon_util::{ParseError, Path, Reader, Rng, Writer};

/// RFC 5769 §2.1
const REQUEST: &str = "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74\
    002400046e0001ff80290008932ff9b151263b36000600096576746a3a68367659202020000800149aeaa70cbfd8cb56781ef2b5\
    b2d3f249c1b571a280280004e57a3bcf";
/// RFC 5769 §2.2
const IPV4_RESPONSE: &str = "0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220\
    002000080001a147e112a643000800142b91f599fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96";
/// RFC 5769 §2.3
const IPV6_RESPONSE: &str = "010100482112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220\
    002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d900080014a382954e4be67bf11784c97c8292c275bfe3ed41\
    80280004c8fb0b4c";
/// RFC 5769 §2.4
const LONG_TERM_REQUEST: &str = "000100602112a44278ad3433c6ad72c029da412e00060012e3839ee38388e383aae38383e382afe382b9\
    00000015001c662f2f3439396b39353464364f4c33346f4c394653547679363473410014000b6578616d706c652e6f726700\
    00080014f67024656dd64a3e02b8e0712e85c9a28ca89666";
/// MD5 of user name, realm and password of RFC 5769 §2.4.
const LONG_TERM_KEY: &str = "e8ca7ad59d5eb0518e312911d2dab2a9";
const PASSWORD: &[u8] = b"VOkJxbRl1RmTxUk/WvJxBt";

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().map(|digit| char::from(digit).to_digit(16).unwrap() as u8).collect();
    digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, digit| (byte << 4) | digit)).collect()
}

fn key(password: &[u8]) -> HmacKey {
    Provider::default().hmac_key(HashAlgorithm::Sha1, password)
}

fn decoded<'a>(message: &Message<'a>) -> Vec<Attribute<'a>> {
    message.attributes().map(|attribute| attribute.decode(message.id()).unwrap()).collect()
}

/// Writes what was read, attribute by attribute.
fn rewritten(message: &Message<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = Writer::new(&mut out);
    let mut builder = MessageBuilder::new(&mut writer, message.kind(), message.id());
    for attribute in message.attributes() {
        let attribute = attribute.decode(message.id()).unwrap_or(Attribute::Unknown(attribute));
        builder.attribute(&attribute);
    }
    builder.finish().unwrap();
    out
}

fn captured(file: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(file);
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().filter_map(|line| line.split_once(' '));
    lines.map(|(password, message)| (password.as_bytes().to_vec(), bytes(message.trim()))).collect()
}

#[test]
fn the_request_of_rfc_5769_is_read() {
    let datagram = bytes(REQUEST);
    let message = Message::try_from(&datagram[..]).unwrap();
    assert_eq!(message.kind(), MessageType::BINDING_REQUEST);
    assert!(message.verify_integrity(&key(PASSWORD)) && message.verify_fingerprint());
    assert!(!message.verify_integrity(&key(b"another password")));
    let attributes = decoded(&message);
    assert_eq!(attributes.first(), Some(&Attribute::Software("STUN test client")));
    assert_eq!(attributes.get(1), Some(&Attribute::Priority(0x6e00_01ff)));
    assert_eq!(attributes.get(2), Some(&Attribute::IceControlled(0x932f_f9b1_5126_3b36)));
    assert_eq!(attributes.get(3), Some(&Attribute::Username("evtj:h6vY")));
    assert_eq!(attributes.len(), 6);
}

#[test]
fn the_responses_of_rfc_5769_are_read() {
    for (hex, mapped) in
        [(IPV4_RESPONSE, "192.0.2.1:32853"), (IPV6_RESPONSE, "[2001:db8:1234:5678:11:2233:4455:6677]:32853")]
    {
        let datagram = bytes(hex);
        let message = Message::try_from(&datagram[..]).unwrap();
        assert_eq!(message.kind(), MessageType::BINDING_SUCCESS);
        assert!(message.verify_integrity(&key(PASSWORD)) && message.verify_fingerprint());
        assert_eq!(message.attribute(AttributeType::SOFTWARE), Some(Attribute::Software("test vector")));
        let address = Attribute::XorMappedAddress(mapped.parse().unwrap());
        assert_eq!(message.attribute(AttributeType::XOR_MAPPED_ADDRESS), Some(address));
    }
}

#[test]
fn the_long_term_request_of_rfc_5769_is_read() {
    let datagram = bytes(LONG_TERM_REQUEST);
    let message = Message::try_from(&datagram[..]).unwrap();
    assert!(message.verify_integrity(&key(&bytes(LONG_TERM_KEY))));
    assert!(!message.has_fingerprint() && !message.verify_fingerprint());
    let attributes = decoded(&message);
    assert_eq!(attributes.first(), Some(&Attribute::Username("マトリックス")));
    assert_eq!(attributes.get(1), Some(&Attribute::Nonce("f//499k954d6OL34oL9FSTvy64sA")));
    assert_eq!(attributes.get(2), Some(&Attribute::Realm("example.org")));
}

#[test]
fn captured_messages_are_authentic_and_written_back_alike() {
    let messages = captured("stun-chromium-firefox.txt");
    assert!(!messages.is_empty());
    for (password, datagram) in messages {
        let message = Message::try_from(&datagram[..]).unwrap();
        assert!(message.verify_integrity(&key(&password)) && message.verify_fingerprint());
        assert_eq!(message.unknown_required(AttributeType::is_of_binding).count(), 0);
        assert_eq!(rewritten(&message), datagram);
    }
}

/// DTLS inside of STUN: attributes that are not known here, one of them longer than the rest of the message.
#[test]
fn captured_messages_with_embedded_handshakes_keep_their_unknown_attributes() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/stun-sped-chromium.txt");
    let text = fs::read_to_string(path).unwrap();
    for datagram in text.lines().filter_map(|line| line.split_whitespace().last()).map(bytes) {
        let message = Message::try_from(&datagram[..]).unwrap();
        assert!(
            message.verify_fingerprint()
                && message.unknown_required(AttributeType::is_of_binding).count() == 0
        );
        assert!(message.find(AttributeType(0xc070)).or(message.find(AttributeType(0xc071))).is_some());
        assert_eq!(rewritten(&message), datagram);
    }
}

#[test]
fn a_built_message_equals_the_captured_one() {
    for (password, datagram) in captured("stun-chromium-firefox.txt") {
        let message = Message::try_from(&datagram[..]).unwrap();
        let mut out = vec![1, 2, 3];
        let mut writer = Writer::new(&mut out);
        let mut builder = MessageBuilder::new(&mut writer, message.kind(), message.id());
        let own = [AttributeType::MESSAGE_INTEGRITY, AttributeType::FINGERPRINT];
        decoded(&message).iter().filter(|a| !own.contains(&a.kind())).for_each(|a| builder.attribute(a));
        builder.message_integrity(&key(&password));
        builder.fingerprint();
        assert_eq!(builder.finish(), Ok(datagram.len()));
        assert_eq!(out.split_off(3), datagram);
    }
}

#[test]
fn every_shorter_datagram_is_refused() {
    for hex in [REQUEST, IPV4_RESPONSE, IPV6_RESPONSE, LONG_TERM_REQUEST] {
        let datagram = bytes(hex);
        for len in 0..datagram.len() {
            let short = datagram.get(..len).unwrap();
            assert_eq!(Message::try_from(short), Err(ParseError::Truncated), "{len} bytes");
        }
        let longer = [&datagram[..], &[0]].concat();
        assert_eq!(Message::try_from(&longer[..]), Err(ParseError::Trailing));
        let mut reader = Reader::new(&longer);
        assert!(Message::parse(&mut reader).is_ok());
        assert_eq!(reader.remaining(), 1);
    }
}

#[test]
fn every_flipped_bit_is_noticed() {
    let datagram = bytes(REQUEST);
    for bit in 0..datagram.len() * 8 {
        let mut changed = datagram.clone();
        *changed.get_mut(bit / 8).unwrap() ^= 1 << (bit % 8);
        let accepted = Message::try_from(&changed[..])
            .is_ok_and(|message| message.verify_integrity(&key(PASSWORD)) && message.verify_fingerprint());
        assert!(!accepted, "bit {bit}");
    }
}

#[test]
fn errors_and_unknown_attributes_are_written_and_read() {
    let mut out = Vec::new();
    let mut writer = Writer::new(&mut out);
    let mut builder = MessageBuilder::new(&mut writer, MessageType::BINDING_ERROR, TransactionId([3; 12]));
    builder.attribute(&Attribute::ErrorCode(ErrorCode::UNKNOWN_ATTRIBUTE));
    let kinds = [AttributeType(0x0003), AttributeType(0x7fff), AttributeType(0x0102)];
    builder.unknown_attributes(kinds);
    builder.finish().unwrap();
    let message = Message::try_from(&out[..]).unwrap();
    let [Attribute::ErrorCode(error), Attribute::UnknownAttributes(unknown)] = decoded(&message)[..] else {
        panic!("{message:?}");
    };
    assert_eq!(error, ErrorCode { code: 420, reason: "Unknown Attribute" });
    assert_eq!(unknown.iter().collect::<Vec<_>>(), kinds);
}

#[test]
fn unknown_attributes_that_have_to_be_understood_are_named() {
    let mut out = Vec::new();
    let mut writer = Writer::new(&mut out);
    let mut builder = MessageBuilder::new(&mut writer, MessageType::BINDING_REQUEST, TransactionId([3; 12]));
    for kind in [0x0003, 0x8003, 0x7ff0] {
        builder.attribute(&Attribute::Unknown(RawAttribute { kind: AttributeType(kind), value: &[1, 2, 3] }));
    }
    builder.finish().unwrap();
    let message = Message::try_from(&out[..]).unwrap();
    let named: Vec<AttributeType> = message.unknown_required(AttributeType::is_of_binding).collect();
    assert_eq!(named, [AttributeType(0x0003), AttributeType(0x7ff0)]);
}

#[test]
fn what_stands_behind_the_integrity_is_not_given() {
    let mut out = Vec::new();
    let mut writer = Writer::new(&mut out);
    let mut builder = MessageBuilder::new(&mut writer, MessageType::BINDING_REQUEST, TransactionId([3; 12]));
    builder.attribute(&Attribute::Priority(1));
    builder.message_integrity(&key(PASSWORD));
    builder.attribute(&Attribute::UseCandidate);
    builder.fingerprint();
    builder.finish().unwrap();
    let message = Message::try_from(&out[..]).unwrap();
    assert!(message.verify_integrity(&key(PASSWORD)) && message.verify_fingerprint());
    assert_eq!(message.attribute(AttributeType::USE_CANDIDATE), None);
    let kinds: Vec<AttributeType> = message.attributes().map(|attribute| attribute.kind).collect();
    let expected = [AttributeType::PRIORITY, AttributeType::MESSAGE_INTEGRITY, AttributeType::FINGERPRINT];
    assert_eq!(kinds, expected);
}

#[test]
fn nothing_may_follow_the_fingerprint() {
    let mut out = Vec::new();
    let mut writer = Writer::new(&mut out);
    let mut builder = MessageBuilder::new(&mut writer, MessageType::BINDING_REQUEST, TransactionId([3; 12]));
    builder.fingerprint();
    builder.attribute(&Attribute::UseCandidate);
    builder.finish().unwrap();
    assert_eq!(Message::try_from(&out[..]), Err(ParseError::Trailing));
}

#[test]
fn a_message_too_long_for_its_length_field_is_not_built() {
    let text = "x".repeat(65_000);
    for (count, fits) in [(1, true), (2, false)] {
        let mut out = Vec::new();
        let mut writer = Writer::new(&mut out);
        let mut builder =
            MessageBuilder::new(&mut writer, MessageType::BINDING_REQUEST, TransactionId([3; 12]));
        (0..count).for_each(|_| builder.attribute(&Attribute::Software(&text)));
        assert_eq!(builder.finish().is_ok(), fits);
    }
}

#[test]
fn published_messages_are_refused_or_written_as_they_were_read() {
    let Some(files) = corpus("stun") else { return };
    let (mut read, mut refused) = (0, 0);
    for (path, datagram) in files {
        let Ok(message) = Message::try_from(&datagram[..]) else {
            refused += 1;
            continue;
        };
        read += 1;
        let again = rewritten(&message);
        let message_again = Message::try_from(&again[..]).unwrap();
        assert!(message.attributes().eq(message_again.attributes()), "{}", path.display());
    }
    println!("{read} read, {refused} refused");
    assert!(read > 0 && refused > 0);
}

#[test]
fn published_messages_do_no_harm_to_a_stream_a_server_or_a_client() {
    let Some(files) = corpus("stun") else { return };
    let path = Path::udp("192.0.2.1:3478".parse().unwrap(), "203.0.113.7:40000".parse().unwrap());
    let config = ClientConfig::new(Timing::reliable());
    let mut client = Client::new(Provider::default(), config, Rng::from_test_seed(1));
    client.request(origin(), Method::BINDING, |_| {}).unwrap();
    let mut answered = 0;
    for (name, datagram) in &files {
        for framing in [Framing::LengthPrefixed, Framing::SelfDelimiting] {
            let mut decoder = FrameDecoder::new(framing, 1_500);
            let mut rest = &datagram[..];
            while let Ok(Some(frame)) = decoder.decode(&mut rest) {
                assert!(!frame.is_empty() && frame.len() <= 1_500);
            }
        }
        let mut answer = Vec::new();
        if BindingServer::default().respond(path, datagram, &mut answer).is_some() {
            answered += 1;
            assert!(Message::try_from(&answer[..]).is_ok() && answer.len() <= 100, "{}", name.display());
        }
        assert!(!client.handle_datagram(origin(), datagram), "{}", name.display());
    }
    assert!(answered > 0);
    assert_eq!(client.drops().total(), files.len() as u64);
}
