//! The check of a browser read, verified and made by several crates in one run, and what its hashes alone cost.

#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench")]

use std::hint::black_box;

use antiphon_benches::captured_check;
use antiphon_crypto::{HashAlgorithm, HmacKey, Provider};
use antiphon_util::Writer;
use criterion::{Criterion, criterion_group, criterion_main};

const USERNAME: &str = "7f4b5cf0:NaDZ";
const TIE_BREAKER: u64 = 0x5b63_928b_d958_70be;
const PRIORITY: u32 = 0x6e7e_32ff;

fn parse(criterion: &mut Criterion) {
    let (_, datagram) = captured_check();
    let mut group = criterion.benchmark_group("parse a check");
    group.bench_function("antiphon", |b| {
        b.iter(|| antiphon_stun::Message::try_from(black_box(&datagram[..])).unwrap());
    });
    group.bench_function("stun", |b| {
        let mut message = stun::message::Message::new();
        b.iter(|| message.unmarshal_binary(black_box(&datagram)).unwrap());
    });
    group.bench_function("rtc-stun", |b| {
        let mut message = rtc_stun::message::Message::new();
        b.iter(|| message.unmarshal_binary(black_box(&datagram)).unwrap());
    });
    // It checks the fingerprint while it reads.
    group.bench_function("stun-types", |b| {
        b.iter(|| stun_types::message::Message::from_bytes(black_box(&datagram)).unwrap());
    });
    group.finish();
}

fn verify(criterion: &mut Criterion) {
    let (password, datagram) = captured_check();
    let key = sha1_key(password);
    let mut group = criterion.benchmark_group("parse and verify a check");
    // What MESSAGE-INTEGRITY and FINGERPRINT cover, hashed with nothing around it.
    let (covered, rest) = datagram.split_at(datagram.len() - 32);
    let fingerprinted = &datagram[..datagram.len() - 8];
    group.bench_function("HMAC and CRC alone", |b| {
        b.iter(|| {
            let crc = crc_fast::crc32_iso_hdlc(black_box(fingerprinted));
            (key.verify(&[black_box(covered)], &rest[4..24]), crc)
        });
    });
    group.bench_function("antiphon", |b| {
        b.iter(|| {
            let message = antiphon_stun::Message::try_from(black_box(&datagram[..])).unwrap();
            assert!(message.verify_integrity(&key) && message.verify_fingerprint());
        });
    });
    group.bench_function("stun", |b| {
        use stun::fingerprint::FINGERPRINT;
        let integrity = stun::integrity::MessageIntegrity::new_short_term_integrity(password.to_owned());
        let mut message = stun::message::Message::new();
        b.iter(|| {
            message.unmarshal_binary(black_box(&datagram)).unwrap();
            integrity.check(&mut message).unwrap();
            FINGERPRINT.check(&message).unwrap();
        });
    });
    group.bench_function("rtc-stun", |b| {
        use rtc_stun::fingerprint::FINGERPRINT;
        use rtc_stun::integrity::MessageIntegrity;
        let provider = rtc_crypto::default_provider().unwrap();
        let mut message = rtc_stun::message::Message::new();
        b.iter(|| {
            message.unmarshal_binary(black_box(&datagram)).unwrap();
            MessageIntegrity::check(&mut message, password.as_bytes(), provider.crypto()).unwrap();
            FINGERPRINT.check(&message).unwrap();
        });
    });
    group.bench_function("stun-types", |b| {
        let key = stun_types_key(password);
        b.iter(|| {
            let message = stun_types::message::Message::from_bytes(black_box(&datagram)).unwrap();
            message.validate_integrity_with_key(&key).unwrap();
        });
    });
    group.finish();
}

fn build(criterion: &mut Criterion) {
    let (password, _) = captured_check();
    let mut group = criterion.benchmark_group("build and sign a check");
    group.bench_function("antiphon", |b| {
        use antiphon_stun::{Attribute, MessageBuilder, MessageType, TransactionId};
        let key = sha1_key(password);
        let mut buf = Vec::with_capacity(1_500);
        b.iter(|| {
            buf.clear();
            let mut writer = Writer::new(&mut buf);
            let id = TransactionId([7; 12]);
            let mut builder = MessageBuilder::new(&mut writer, MessageType::BINDING_REQUEST, id);
            builder.attribute(&Attribute::Username(black_box(USERNAME)));
            builder.attribute(&Attribute::IceControlling(TIE_BREAKER));
            builder.attribute(&Attribute::UseCandidate);
            builder.attribute(&Attribute::Priority(PRIORITY));
            builder.message_integrity(&key);
            builder.fingerprint();
            builder.finish().unwrap()
        });
    });
    group.bench_function("stun", |b| {
        use stun::attributes::{ATTR_ICE_CONTROLLING, ATTR_PRIORITY, ATTR_USE_CANDIDATE, ATTR_USERNAME};
        use stun::message::Setter;
        let integrity = stun::integrity::MessageIntegrity::new_short_term_integrity(password.to_owned());
        let mut message = stun::message::Message::new();
        b.iter(|| {
            message.reset();
            message.transaction_id = stun::agent::TransactionId([7; 12]);
            message.set_type(stun::message::BINDING_REQUEST);
            message.write_header();
            message.add(ATTR_USERNAME, black_box(USERNAME).as_bytes());
            message.add(ATTR_ICE_CONTROLLING, &TIE_BREAKER.to_be_bytes());
            message.add(ATTR_USE_CANDIDATE, &[]);
            message.add(ATTR_PRIORITY, &PRIORITY.to_be_bytes());
            integrity.add_to(&mut message).unwrap();
            stun::fingerprint::FINGERPRINT.add_to(&mut message).unwrap();
            message.raw.len()
        });
    });
    group.bench_function("rtc-stun", |b| {
        use rtc_stun::attributes::{ATTR_ICE_CONTROLLING, ATTR_PRIORITY, ATTR_USE_CANDIDATE, ATTR_USERNAME};
        use rtc_stun::message::Setter;
        let provider = rtc_crypto::default_provider().unwrap();
        let integrity = rtc_stun::integrity::MessageIntegrity::new_short_term_integrity_with_provider(
            password.to_owned(),
            provider.crypto(),
        );
        let mut message = rtc_stun::message::Message::new();
        b.iter(|| {
            message.reset();
            message.transaction_id = rtc_stun::message::TransactionId([7; 12]);
            message.set_type(rtc_stun::message::BINDING_REQUEST);
            message.write_header();
            message.add(ATTR_USERNAME, black_box(USERNAME).as_bytes());
            message.add(ATTR_ICE_CONTROLLING, &TIE_BREAKER.to_be_bytes());
            message.add(ATTR_USE_CANDIDATE, &[]);
            message.add(ATTR_PRIORITY, &PRIORITY.to_be_bytes());
            integrity.add_to(&mut message).unwrap();
            rtc_stun::fingerprint::FINGERPRINT.add_to(&mut message).unwrap();
            message.raw.len()
        });
    });
    group.bench_function("stun-types", |b| {
        use stun_types::attribute::{AttributeType, RawAttribute, Username};
        use stun_types::message::{
            BINDING, IntegrityAlgorithm, Message, MessageClass, MessageType, MessageWrite, MessageWriteExt,
            MessageWriteVec,
        };
        let key = stun_types_key(password);
        b.iter(|| {
            let kind = MessageType::from_class_method(MessageClass::Request, BINDING);
            let mut message = Message::builder(kind, 7.into(), MessageWriteVec::with_capacity(128));
            message.add_attribute(&Username::new(black_box(USERNAME)).unwrap()).unwrap();
            let tie_breaker = TIE_BREAKER.to_be_bytes();
            message.add_attribute(&RawAttribute::new(AttributeType::new(0x802a), &tie_breaker)).unwrap();
            message.add_attribute(&RawAttribute::new(AttributeType::new(0x0025), &[])).unwrap();
            let priority = PRIORITY.to_be_bytes();
            message.add_attribute(&RawAttribute::new(AttributeType::new(0x0024), &priority)).unwrap();
            message.add_message_integrity_with_key(&key, IntegrityAlgorithm::Sha1).unwrap();
            message.add_fingerprint().unwrap();
            message.finish()
        });
    });
    group.finish();
}

fn sha1_key(password: &str) -> HmacKey {
    Provider::default().hmac_key(HashAlgorithm::Sha1, password.as_bytes())
}

fn stun_types_key(password: &str) -> stun_types::message::IntegrityKey {
    use stun_types::message::{IntegrityAlgorithm, MessageIntegrityCredentials, ShortTermCredentials};
    let credentials = ShortTermCredentials::new(password.to_owned());
    MessageIntegrityCredentials::ShortTerm(credentials).make_key(IntegrityAlgorithm::Sha1)
}

criterion_group!(benches, parse, verify, build);
criterion_main!(benches);
