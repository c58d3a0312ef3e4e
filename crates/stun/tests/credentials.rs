//! Credentials, the keys made of them, and both integrities.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use antiphon_crypto::{HashAlgorithm, HmacKey, Provider, md5};
use antiphon_stun::{
    Attribute, AttributeType, Credential, ErrorCode, Integrity, IntegrityKeys, Message, MessageBuilder,
    MessageType, OpaqueStringError, PasswordAlgorithm, TransactionId, userhash, verify_response,
    verify_short_term,
};
use antiphon_util::{ParseError, Writer};

/// RFC 8489, appendix B.1
const USERHASH_REQUEST: &str = "0001009c2112a44278ad3433c6ad72c029da412e001e00204a3cf38fef6992bda952c6780417da0f24819415569e60b2\
    05c46e41407f1704001500296f624d61744a6f733241414143662f2f3439396b39353464364f4c33346f4c3946535476\
    79363473410000000014000b6578616d706c652e6f726700001c0020e4686c8f0edeb59013e07090010a93efccbccc54\
    4c0a45d9f830aa6d6f735a01";
/// RFC 5769 §2.4
const LONG_TERM_REQUEST: &str = "000100602112a44278ad3433c6ad72c029da412e00060012e3839ee38388e383aae38383e382afe382b9\
    00000015001c662f2f3439396b39353464364f4c33346f4c394653547679363473410014000b6578616d706c652e6f726700\
    00080014f67024656dd64a3e02b8e0712e85c9a28ca89666";

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().map(|digit| char::from(digit).to_digit(16).unwrap() as u8).collect();
    digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, digit| (byte << 4) | digit)).collect()
}

fn provider() -> Provider {
    Provider::default()
}

fn sha256(secret: &[u8]) -> HmacKey {
    provider().hmac_key(HashAlgorithm::Sha256, secret)
}

fn built(kind: MessageType, body: impl FnOnce(&mut MessageBuilder<'_>)) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = Writer::new(&mut out);
    let mut builder = MessageBuilder::new(&mut writer, kind, TransactionId([3; 12]));
    body(&mut builder);
    builder.finish().unwrap();
    out
}

/// The length in the header of the printed message counts the header too, and its HMAC was made so: no receiver takes it as it
/// stands. What it shows beside that is tested: the user hash, and the key that signs it.
#[test]
fn the_userhash_and_sha_256_of_rfc_8489_are_made() {
    let mut datagram = bytes(USERHASH_REQUEST);
    assert_eq!(Message::try_from(&datagram[..]), Err(ParseError::Truncated));
    let key = provider().digest(HashAlgorithm::Sha256, &["マトリックス:example.org:TheMatrIX".as_bytes()]);
    let (before, attribute) = datagram.split_at(datagram.len() - 36);
    assert!(sha256(&key).verify(&[before], attribute.get(4..).unwrap()));
    let len = u16::try_from(datagram.len() - 20).unwrap();
    *datagram.get_mut(2..).and_then(<[u8]>::first_chunk_mut).unwrap() = len.to_be_bytes();

    let message = Message::try_from(&datagram[..]).unwrap();
    let matrix = Credential::new("マトリックス", "TheMatrIX").unwrap();
    let hash = matrix.userhash(provider(), "example.org");
    assert_eq!(message.attribute(AttributeType::USERHASH), Some(Attribute::Userhash(&hash)));
    assert_eq!(userhash(provider(), "マトリックス", "example.org"), hash);
    assert_eq!(Integrity::of(&message), Some(Integrity::Sha256));
    let keys = matrix.long_term_keys(provider(), "example.org", PasswordAlgorithm::SHA256).unwrap();
    let again = built(message.kind(), |builder| {
        let protected =
            message.attributes().filter(|one| one.kind != AttributeType::MESSAGE_INTEGRITY_SHA256);
        protected.for_each(|one| builder.attribute(&one.decode(message.id()).unwrap()));
        keys.sign(builder, Integrity::Sha256);
    });
    let again = Message::try_from(&again[..]).unwrap();
    assert!(again.verify_integrity_sha256(&sha256(&key)) && keys.verify(&again, Integrity::Sha256));
}

#[test]
fn the_long_term_key_of_rfc_5769_is_made() {
    let datagram = bytes(LONG_TERM_REQUEST);
    let message = Message::try_from(&datagram[..]).unwrap();
    let matrix = Credential::new("マトリックス", "TheMatrIX").unwrap();
    for realm in ["example.org", "\"example.org\"", "example.org\0\0"] {
        let keys = matrix.long_term_keys(provider(), realm, PasswordAlgorithm::MD5).unwrap();
        assert!(keys.verify(&message, Integrity::Sha1), "{realm:?}");
    }
}

#[test]
fn long_term_keys_are_hashes_of_user_realm_and_password() {
    let credential = Credential::new("user", "pass\0").unwrap();
    let md5_key = IntegrityKeys::new(provider(), &bytes("8493fbc53ba582fb4c044c456bdc40eb"));
    assert_eq!(md5(&[b"user:", b"realm:pass"]).to_vec(), bytes("8493fbc53ba582fb4c044c456bdc40eb"));
    let digest = provider().digest(HashAlgorithm::Sha256, &[b"user:realm:pass"]);
    let sha256_key = IntegrityKeys::new(provider(), &digest);
    for (algorithm, expected) in [(PasswordAlgorithm::MD5, md5_key), (PasswordAlgorithm::SHA256, sha256_key)]
    {
        let keys = credential.long_term_keys(provider(), "realm", algorithm).unwrap();
        for integrity in [Integrity::Sha1, Integrity::Sha256] {
            let datagram = built(MessageType::BINDING_REQUEST, |builder| keys.sign(builder, integrity));
            assert!(expected.verify(&Message::try_from(&datagram[..]).unwrap(), integrity));
        }
    }
    let unknown = PasswordAlgorithm { number: 3, parameters: &[] };
    assert!(credential.long_term_keys(provider(), "realm", unknown).is_none());
}

#[test]
fn credentials_are_taken_in_one_form_and_up_to_their_limit() {
    assert_eq!(Credential::new("e\u{301}", "x").unwrap().username(), "\u{e9}");
    assert_eq!(Credential::new("", "x").unwrap_err(), OpaqueStringError::Empty);
    assert_eq!(Credential::new("x", "").unwrap_err(), OpaqueStringError::Empty);
    assert_eq!(Credential::new("x", "a\nb").unwrap_err(), OpaqueStringError::Character('\n'));
    assert!(Credential::new(&"x".repeat(508), "x").is_ok());
    assert_eq!(Credential::new(&"x".repeat(509), "x").unwrap_err(), OpaqueStringError::TooLong);
    let printed = format!("{:?}", Credential::new("user", "hunter2").unwrap());
    assert!(printed.contains("user") && !printed.contains("hunter2"));
}

#[test]
fn every_flipped_bit_is_noticed_by_sha_256() {
    let key = sha256(b"secret");
    let datagram = built(MessageType::BINDING_REQUEST, |builder| {
        builder.attribute(&Attribute::Priority(7));
        builder.message_integrity_sha256(&key);
        builder.fingerprint();
    });
    let message = Message::try_from(&datagram[..]).unwrap();
    assert!(message.verify_integrity_sha256(&key) && message.verify_fingerprint());
    for bit in 0..datagram.len() * 8 {
        let mut changed = datagram.clone();
        *changed.get_mut(bit / 8).unwrap() ^= 1 << (bit % 8);
        let accepted = Message::try_from(&changed[..])
            .is_ok_and(|message| message.verify_integrity_sha256(&key) && message.verify_fingerprint());
        assert!(!accepted, "bit {bit}");
    }
}

#[test]
fn a_truncated_sha_256_is_taken_only_where_it_is_permitted() {
    let key = sha256(b"secret");
    for (asked, len) in [(0, 16), (16, 16), (17, 20), (28, 28), (32, 32), (99, 32)] {
        let datagram = built(MessageType::BINDING_REQUEST, |builder| {
            builder.attribute(&Attribute::Priority(7));
            builder.message_integrity_sha256_truncated(&key, asked);
            builder.fingerprint();
        });
        let message = Message::try_from(&datagram[..]).unwrap();
        let tag = message.find(AttributeType::MESSAGE_INTEGRITY_SHA256).unwrap();
        assert_eq!(tag.value.len(), len);
        assert!(message.verify_fingerprint());
        assert_eq!(message.verify_integrity_sha256(&key), len == 32);
        assert!(message.verify_integrity_sha256_truncated(&key, 0));
        assert_eq!(message.verify_integrity_sha256_truncated(&key, 20), len >= 20);
        assert!(!message.verify_integrity_sha256_truncated(&sha256(b"another"), 16));
    }
    let short = built(MessageType::BINDING_REQUEST, |builder| {
        let kind = AttributeType::MESSAGE_INTEGRITY_SHA256;
        builder.attribute(&Attribute::Unknown(antiphon_stun::RawAttribute { kind, value: &[0; 12] }));
    });
    assert_eq!(Message::try_from(&short[..]), Err(ParseError::Length));
}

#[test]
fn behind_the_longer_integrity_only_the_fingerprint_counts() {
    let keys = IntegrityKeys::new(provider(), b"secret");
    let order = |first: Integrity, second: Integrity| {
        built(MessageType::BINDING_REQUEST, |builder| {
            keys.sign(builder, first);
            keys.sign(builder, second);
            builder.attribute(&Attribute::UseCandidate);
            builder.fingerprint();
        })
    };
    let datagram = order(Integrity::Sha1, Integrity::Sha256);
    let message = Message::try_from(&datagram[..]).unwrap();
    assert!(keys.verify(&message, Integrity::Sha1) && keys.verify(&message, Integrity::Sha256));
    assert_eq!(message.attributes().count(), 3);
    assert_eq!(message.attribute(AttributeType::USE_CANDIDATE), None);
    let datagram = order(Integrity::Sha256, Integrity::Sha1);
    let message = Message::try_from(&datagram[..]).unwrap();
    assert!(!message.has_integrity() && keys.verify(&message, Integrity::Sha256));
    assert_eq!(message.attributes().count(), 2);
    let datagram = order(Integrity::Sha1, Integrity::Sha1);
    let message = Message::try_from(&datagram[..]).unwrap();
    assert!(keys.verify(&message, Integrity::Sha1));
    assert_eq!(message.attributes().count(), 2);
}

#[test]
fn short_term_requests_are_judged_in_the_order_of_the_rfc() {
    let keys = Credential::new("evtj:h6vY", "VOkJxbRl1RmTxUk/WvJxBt").unwrap().short_term_keys(provider());
    let other = IntegrityKeys::new(provider(), b"another password");
    let request = |username: Option<&str>, signer: Option<(&IntegrityKeys, Integrity)>| {
        built(MessageType::BINDING_REQUEST, |builder| {
            username.iter().for_each(|name| builder.attribute(&Attribute::Username(name)));
            if let Some((keys, integrity)) = signer {
                keys.sign(builder, integrity);
            }
        })
    };
    let judge = |datagram: Vec<u8>| {
        let message = Message::try_from(&datagram[..]).unwrap();
        verify_short_term(&message, |name| (name == "evtj:h6vY").then_some(&keys))
            .map(|(_, integrity)| integrity)
    };
    let good = Some("evtj:h6vY");
    assert_eq!(judge(request(good, Some((&keys, Integrity::Sha1)))), Ok(Integrity::Sha1));
    assert_eq!(judge(request(good, Some((&keys, Integrity::Sha256)))), Ok(Integrity::Sha256));
    assert_eq!(judge(request(good, None)), Err(ErrorCode::BAD_REQUEST));
    assert_eq!(judge(request(None, Some((&keys, Integrity::Sha1)))), Err(ErrorCode::BAD_REQUEST));
    assert_eq!(judge(request(Some("x"), Some((&keys, Integrity::Sha1)))), Err(ErrorCode::UNAUTHENTICATED));
    assert_eq!(judge(request(good, Some((&other, Integrity::Sha1)))), Err(ErrorCode::UNAUTHENTICATED));
}

#[test]
fn a_response_has_an_integrity_that_the_request_had() {
    let keys = IntegrityKeys::new(provider(), b"secret");
    let both = [Integrity::Sha1, Integrity::Sha256];
    for (integrity, sent, fine) in [
        (Integrity::Sha1, &both[..], true),
        (Integrity::Sha256, &both[..], true),
        (Integrity::Sha1, &both[..1], true),
        (Integrity::Sha1, &both[1..], false),
        (Integrity::Sha256, &both[..1], false),
    ] {
        let datagram = built(MessageType::BINDING_SUCCESS, |builder| keys.sign(builder, integrity));
        let message = Message::try_from(&datagram[..]).unwrap();
        assert_eq!(verify_response(&message, &keys, sent), fine, "{integrity:?} {sent:?}");
        assert!(!verify_response(&message, &IntegrityKeys::new(provider(), b"x"), sent));
    }
    let request = built(MessageType::BINDING_REQUEST, |builder| keys.sign(builder, Integrity::Sha1));
    assert!(!verify_response(&Message::try_from(&request[..]).unwrap(), &keys, &both));
    let unsigned = built(MessageType::BINDING_SUCCESS, |_| {});
    assert!(!verify_response(&Message::try_from(&unsigned[..]).unwrap(), &keys, &both));
}
