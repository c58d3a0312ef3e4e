//! A message is read without allocating, and is written to one with the same attributes, which is written to the same bytes
//! again.
#![no_main]

use std::sync::LazyLock;

use antiphon_crypto::Provider;
use antiphon_fuzz::allocating;
use antiphon_stun::{
    Attribute, AttributeType, Integrity, IntegrityKeys, Message, MessageBuilder, RawAttribute,
};
use antiphon_util::Writer;
use libfuzzer_sys::fuzz_target;

static KEYS: LazyLock<IntegrityKeys> = LazyLock::new(|| IntegrityKeys::new(Provider::default(), b"password"));

fuzz_target!(|datagram: &[u8]| {
    let Ok(message) = allocating(0, || Message::try_from(datagram)) else { return };
    allocating(0, || {
        message.verify_fingerprint();
        message.unknown_required(AttributeType::is_of_turn).count();
        values(&message).for_each(|value| walk(&value));
    });
    LazyLock::force(&KEYS);
    allocating(1_024, || {
        let forged = [Integrity::Sha1, Integrity::Sha256].map(|integrity| KEYS.verify(&message, integrity));
        assert_eq!(forged, [false; 2], "nobody here knows the key");
    });
    let written = allocating(2 * datagram.len() + 64, || write(&message));
    let again = Message::try_from(&written[..]).unwrap();
    assert_eq!((again.kind(), again.id()), (message.kind(), message.id()));
    // Decoded, since reserved bits are written as zeros.
    assert!(values(&again).eq(values(&message)));
    assert_eq!(write(&again), written);
    signed(&message);
});

fn values<'a>(message: &Message<'a>) -> impl Iterator<Item = Result<Attribute<'a>, RawAttribute<'a>>> {
    let id = message.id();
    message.attributes().map(move |attribute| attribute.decode(id).map_err(|_| attribute))
}

/// Reads lists to their ends.
fn walk(value: &Result<Attribute<'_>, RawAttribute<'_>>) {
    match value {
        Ok(Attribute::UnknownAttributes(list)) => assert!(list.iter().count() <= 32_768),
        Ok(Attribute::DtlsInStunAck(list)) => assert!(list.iter().count() <= 16_384),
        Ok(Attribute::PasswordAlgorithms(list)) => assert!(list.iter().count() <= 16_384),
        _ => {}
    }
}

fn write(message: &Message<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes);
    let mut builder = MessageBuilder::new(&mut writer, message.kind(), message.id());
    for value in values(message) {
        builder.attribute(&value.unwrap_or_else(Attribute::Unknown));
    }
    builder.finish().unwrap();
    bytes
}

/// The attributes in front of any integrity, signed with ours, are verified.
fn signed(message: &Message<'_>) {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes);
    let mut builder = MessageBuilder::new(&mut writer, message.kind(), message.id());
    let own = [
        AttributeType::MESSAGE_INTEGRITY,
        AttributeType::MESSAGE_INTEGRITY_SHA256,
        AttributeType::FINGERPRINT,
    ];
    for attribute in message.attributes().filter(|attribute| !own.contains(&attribute.kind)) {
        builder.attribute(&Attribute::Unknown(attribute));
    }
    KEYS.sign(&mut builder, Integrity::Sha1);
    KEYS.sign(&mut builder, Integrity::Sha256);
    builder.fingerprint();
    if builder.finish().is_err() {
        return;
    }
    let again = Message::try_from(&bytes[..]).unwrap();
    assert!(KEYS.verify(&again, Integrity::Sha1) && KEYS.verify(&again, Integrity::Sha256));
    assert!(again.verify_fingerprint());
}
