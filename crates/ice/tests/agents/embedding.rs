//! Datagrams that ride in checks (SPED): in which they go, out of which they are taken, and how many.

use antiphon_crypto::Provider;
use antiphon_ice::{Config, DropReason, Limits, Role};
use antiphon_stun::{Attribute, AttributeType, DtlsAcks, Message, MessageBuilder, MessageType};
use antiphon_util::{Path, Writer};

use crate::net::{addr, ms};
use crate::script::{OURS, Script, Sent, THEIRS, key, path};

/// A datagram that looks like DTLS.
fn datagram(number: u8, len: usize) -> Vec<u8> {
    let mut bytes = vec![number; len];
    bytes[0] = 22;
    bytes
}

/// An agent that offers to embed, in whose checks datagrams ride once the peer agrees.
fn offering(role: Role) -> Script {
    let mut config = Config::new(Provider::default(), role);
    config.embeds = true;
    Script::before_signalling(config)
}

fn agreed(role: Role) -> Script {
    let mut script = offering(role);
    script.agent.agree_embedding();
    script.learn_credentials();
    script
}

/// What a message carries: the datagram, and the names.
fn load(sent: &Sent) -> (Option<Vec<u8>>, Option<Vec<u32>>) {
    let message = sent.message();
    let names = match message.attribute(AttributeType::DTLS_IN_STUN_ACK) {
        Some(Attribute::DtlsInStunAck(names)) => Some(names.iter().collect()),
        _ => None,
    };
    (message.find(AttributeType::DTLS_IN_STUN).map(|raw| raw.value.to_vec()), names)
}

/// `message` with `attributes` in front of its integrity, which is made anew with `password`.
fn with(message: &[u8], password: &str, attributes: &[Attribute<'_>]) -> Vec<u8> {
    let message = Message::try_from(message).unwrap();
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes);
    let mut builder = MessageBuilder::new(&mut writer, message.kind(), message.id());
    let covered = [AttributeType::MESSAGE_INTEGRITY, AttributeType::FINGERPRINT];
    for raw in message.attributes().filter(|raw| !covered.contains(&raw.kind)) {
        builder.attribute(&raw.decode(message.id()).unwrap());
    }
    attributes.iter().for_each(|attribute| builder.attribute(attribute));
    builder.message_integrity(&key(password));
    builder.fingerprint();
    builder.finish().unwrap();
    bytes
}

fn checking(script: &mut Script, attributes: &[Attribute<'_>]) -> Vec<u8> {
    let password = script.agent.local_credentials().pwd.clone();
    with(&script.check(false), &password, attributes)
}

fn names(datagrams: &[Vec<u8>]) -> Vec<[u8; 4]> {
    datagrams.iter().map(|datagram| DtlsAcks::checksum(datagram).to_be_bytes()).collect()
}

#[test]
fn a_flight_rides_in_turn_in_checks_and_answers_until_it_is_named() {
    let mut script = agreed(Role::Controlling);
    let flight = vec![datagram(1, 900), datagram(2, 500)];
    script.agent.embed(flight.clone());
    script.add_candidate(THEIRS);
    let check = script.take();
    assert_eq!(load(&check[0]), (Some(flight[0].clone()), Some(vec![])));
    assert!(check[0].bytes.len() <= 1_200);
    let theirs = checking(&mut script, &[]);
    script.receive(path(), theirs);
    let answer = script.take();
    assert!(answer[0].is_success());
    assert_eq!(load(&answer[0]), (Some(flight[1].clone()), Some(vec![])));
    let first = names(&flight[..1]);
    let naming = checking(&mut script, &[Attribute::DtlsInStunAck(DtlsAcks::new(&first))]);
    script.receive(path(), naming);
    for sent in script.pass(ms(2_000)) {
        assert_eq!(load(&sent), (Some(flight[1].clone()), Some(vec![])), "the other has arrived");
    }
    assert_eq!(script.agent.end_embedding(), flight[1..]);
    assert!(script.pass(ms(1_000)).iter().all(|sent| load(sent) == (None, Some(vec![]))));
    script.agent.close_embedding();
    assert!(script.pass(ms(1_000)).iter().all(|sent| load(sent) == (None, None)));
}

#[test]
fn what_has_arrived_is_given_once_and_named() {
    let mut script = agreed(Role::Controlled);
    let theirs: Vec<Vec<u8>> = (1..=6).map(|number| datagram(number, 40)).collect();
    for datagram in &theirs {
        for _ in 0..2 {
            let check = checking(&mut script, &[Attribute::DtlsInStun(datagram)]);
            script.receive(path(), check);
        }
        assert_eq!(script.agent.poll_embedded().as_ref(), Some(datagram));
        assert_eq!(script.agent.poll_embedded(), None);
    }
    let last: Vec<u32> = theirs[2..].iter().map(|datagram| DtlsAcks::checksum(datagram)).collect();
    assert!(script.take().iter().all(|sent| load(sent) == (None, Some(last.clone()))));
    // What came over the path itself is named as well.
    script.agent.note_received(&theirs[0]);
    let check = checking(&mut script, &[]);
    script.receive(path(), check);
    let (_, named) = load(&script.take()[0]);
    assert_eq!(named.unwrap().last(), Some(&DtlsAcks::checksum(&theirs[0])));
    // The answer to a check of ours brings something too.
    let other = datagram(9, 60);
    let mut script = agreed(Role::Controlling);
    script.add_candidate(THEIRS);
    let check = script.take();
    let answer = script.answer(&check[0].bytes);
    let answer = with(&answer, &script.credentials.pwd.clone(), &[Attribute::DtlsInStun(&other)]);
    script.receive(path(), answer);
    assert_eq!(script.agent.poll_embedded(), Some(other));
}

#[test]
fn an_offer_is_followed_by_nothing_until_the_peer_agrees_or_begins() {
    let mut script = offering(Role::Controlling);
    script.agent.embed(vec![datagram(1, 100)]);
    let check = script.check(false);
    script.receive(path(), check);
    assert_eq!(load(&script.take()[0]), (None, None));
    assert!(!script.agent.is_embedding());
    // A check may overtake the answer that agrees.
    let check = checking(&mut script, &[Attribute::DtlsInStunAck(DtlsAcks::new(&[]))]);
    script.receive(path(), check);
    assert!(script.agent.is_embedding());
    assert_eq!(load(&script.take()[0]), (Some(datagram(1, 100)), Some(vec![])));

    let mut script = Script::new(Role::Controlling);
    script.agent.agree_embedding();
    let check = checking(&mut script, &[Attribute::DtlsInStun(&datagram(2, 50))]);
    script.receive(path(), check);
    assert_eq!(script.agent.poll_embedded(), None, "it was not offered");
    assert!(script.take().iter().all(|sent| load(sent) == (None, None)));
}

#[test]
fn nothing_is_taken_out_of_what_is_not_proved_to_be_the_peers() {
    let mut script = agreed(Role::Controlling);
    let theirs = datagram(3, 60);
    let embedded = Attribute::DtlsInStun(&theirs);
    script.add_candidate(THEIRS);
    let sent = script.take();
    let check = script.check(false);
    let forged = with(&check, "guessed", &[embedded]);
    script.receive(path(), forged);
    let answer = with(&script.answer(&sent[0].bytes), "guessed", &[embedded]);
    script.receive(path(), answer);
    // Behind the integrity stands what anybody could have appended.
    let mut behind = script.check(false);
    behind.truncate(behind.len() - 8);
    let len = 4 + theirs.len();
    behind.extend_from_slice(&[0xc0, 0x70, 0, theirs.len() as u8]);
    behind.extend_from_slice(&theirs);
    let body = behind.len() - 20;
    behind[2..4].copy_from_slice(&(body as u16).to_be_bytes());
    assert!(len.is_multiple_of(4));
    script.receive(path(), behind);
    // Something else answered our check than was asked.
    let elsewhere = Path::udp(addr(OURS), addr("198.51.100.7:9"));
    let astray = with(&script.answer(&sent[0].bytes), &script.credentials.pwd.clone(), &[embedded]);
    script.receive(elsewhere, astray);
    // The session before a restart is not the present one.
    let former = checking(&mut script, &[embedded]);
    script.agent.restart(script.now, None);
    script.receive(path(), former);
    assert_eq!(script.agent.poll_embedded(), None);
    let carrying = |sent: &Sent| load(sent).1.is_some_and(|names| !names.is_empty());
    assert!(!script.pass(ms(500)).iter().any(carrying));
}

#[test]
fn what_is_no_dtls_is_passed_over() {
    let mut script = agreed(Role::Controlled);
    for bytes in [&[][..], &[0; 40], &[64; 40], &[128; 40], &[255; 1_100]] {
        let check = checking(&mut script, &[Attribute::DtlsInStun(bytes)]);
        script.receive(path(), check);
    }
    assert_eq!(script.agent.poll_embedded(), None);
    assert_eq!(script.agent.drops().of(DropReason::Malformed), 4);
}

#[test]
fn datagrams_that_nobody_takes_are_held_up_to_the_limit_and_ten_times_over() {
    let limit = Limits::default().embedded_datagrams;
    let mut script = agreed(Role::Controlled);
    for number in 0..10 * limit {
        let mut bytes = datagram(1, 60);
        bytes[1..9].copy_from_slice(&number.to_be_bytes());
        let check = checking(&mut script, &[Attribute::DtlsInStun(&bytes)]);
        script.receive(path(), check);
        script.take();
    }
    assert_eq!(std::iter::from_fn(|| script.agent.poll_embedded()).count(), limit);
    assert_eq!(script.agent.drops().of(DropReason::EmbeddedLimit), 9 * limit as u64);
}

#[test]
fn an_address_that_does_not_answer_gets_no_more_than_the_limit_of_bytes() {
    let limit = Limits::default().unanswered_bytes;
    let bytes_to = |sent: &[Sent], address: &str| -> usize {
        let there = sent.iter().filter(|sent| sent.path.remote.ip() == addr(address).ip());
        there.filter_map(|sent| load(sent).0).map(|datagram| datagram.len()).sum()
    };
    let mut script = agreed(Role::Controlling);
    script.agent.embed(vec![datagram(1, 900), datagram(2, 900)]);
    // Whose checks these are is proved; where they come from is not.
    let mut sent = Vec::new();
    for number in 0..600 {
        let from = Path::udp(addr(OURS), addr(&format!("198.51.100.1:{}", 2_000 + number % 30)));
        let check = script.check(false);
        script.receive(from, check);
        sent.extend(script.take());
    }
    sent.extend(script.pass(ms(20_000)));
    let other = Path::udp(addr(OURS), addr("198.51.100.2:2000"));
    let check = script.check(false);
    script.receive(other, check);
    sent.extend(script.pass(ms(20_000)));
    assert!(sent.len() > 800, "checks and answers go on without a datagram");
    for address in [THEIRS, "198.51.100.2:2000"] {
        let bytes = bytes_to(&sent, address);
        assert!(bytes > limit - 900 && bytes <= limit, "{address}: {bytes}");
    }
    // Who answers gets more.
    let check = sent.iter().rfind(|sent| sent.is_check() && sent.path == other).unwrap();
    let answer = script.answer(&check.bytes);
    script.receive(other, answer);
    let check = script.check(false);
    script.receive(other, check);
    assert!(bytes_to(&script.take(), "198.51.100.2:2000") > 0);
}

/// Which messages of the capture carry what, as Chromium wrote them; its keys are not known.
#[test]
fn a_capture_of_chromium_reads_as_it_is_meant() {
    let capture = include_str!("../../../stun/tests/data/stun-sped-chromium.txt");
    let messages: Vec<Vec<u8>> = capture.lines().map(bytes_of).collect();
    let read: Vec<(MessageType, Option<usize>, Option<Vec<u32>>)> = messages
        .iter()
        .map(|bytes| {
            let sent = Sent { path: path(), bytes: bytes.clone() };
            let (datagram, names) = load(&sent);
            (sent.message().kind(), datagram.map(|datagram| datagram.len()), names)
        })
        .collect();
    let first = Message::try_from(&messages[0][..]).unwrap().find(AttributeType::DTLS_IN_STUN).unwrap().value;
    let name = DtlsAcks::checksum(first);
    assert_eq!(
        read,
        [
            (MessageType::BINDING_REQUEST, Some(900), Some(vec![])),
            (MessageType::BINDING_SUCCESS, None, Some(vec![name])),
            (MessageType::BINDING_REQUEST, None, Some(vec![name])),
            (MessageType::BINDING_SUCCESS, Some(563), Some(vec![])),
        ]
    );
    // The same attributes under a check of our own peer are taken and answered alike.
    let mut script = agreed(Role::Controlled);
    let check =
        checking(&mut script, &[Attribute::DtlsInStunAck(DtlsAcks::new(&[])), Attribute::DtlsInStun(first)]);
    script.receive(path(), check);
    assert_eq!(script.agent.poll_embedded().as_deref(), Some(first));
    assert_eq!(load(&script.take()[0]), (None, Some(vec![name])));
}

fn bytes_of(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.trim().chars().map(|digit| digit.to_digit(16).unwrap() as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}
