//! A message that is read is written to one with the same attributes, which is written to the same bytes again.
#![no_main]

use antiphon_stun::{Attribute, Message, MessageBuilder, RawAttribute};
use antiphon_util::Writer;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|datagram: &[u8]| {
    let Ok(message) = Message::try_from(datagram) else { return };
    message.verify_fingerprint();
    let written = write(&message);
    let again = Message::try_from(&written[..]).unwrap();
    assert_eq!((again.kind(), again.id()), (message.kind(), message.id()));
    // Decoded, since reserved bits are written as zeros.
    assert_eq!(values(&again), values(&message));
    assert_eq!(write(&again), written);
});

fn values<'a>(message: &Message<'a>) -> Vec<Result<Attribute<'a>, RawAttribute<'a>>> {
    message.attributes().map(|attribute| attribute.decode(message.id()).map_err(|_| attribute)).collect()
}

fn write(message: &Message<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes);
    let mut builder = MessageBuilder::new(&mut writer, message.kind(), message.id());
    for attribute in message.attributes() {
        builder.attribute(&attribute.decode(message.id()).unwrap_or(Attribute::Unknown(attribute)));
    }
    builder.finish().unwrap();
    bytes
}
