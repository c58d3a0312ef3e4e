//! What others may send at any time: garbage, cuts, replays, forgeries.

use std::time::Duration;

use antiphon_dtls::{CloseReason, DropReason, Event, HandshakeError, Version};
use antiphon_testkit::{Link, for_each_seed};

use crate::{assert_usable, both_connected, configs, configs_of, connected, ends};

const DELAY: Duration = Duration::from_millis(20);

fn alert(epoch: u8, number: u8, level: u8, description: u8) -> Vec<u8> {
    vec![21, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 9, number, 0, 2, level, description]
}

/// A handshake message in one fragment of an unprotected record.
fn message(kind: u8, sequence: u8, body: &[u8]) -> Vec<u8> {
    let len = body.len() as u8;
    let mut record = vec![22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 77, 0, 0, len + 12];
    record.extend([kind, 0, 0, len, 0, sequence, 0, 0, 0, 0, 0, len]);
    record.extend(body);
    record
}

#[test]
fn garbage_at_every_moment_changes_nothing() {
    for_each_seed(20, |seed| {
        let mut pair = ends(seed, Link::with_delay(DELAY), configs_of(Version::ALL[seed as usize % 2]));
        while pair.elapsed() < 8 * DELAY {
            for _ in 0..5 {
                let rng = pair.rng();
                let mut garbage = vec![0; rng.below(200) as usize + 1];
                rng.fill(&mut garbage);
                if rng.below(2) == 0 {
                    // Looks like a record of one of the two epochs, with a payload that is none.
                    let len = garbage.len() as u8;
                    let epoch = rng.below(2) as u8;
                    let content_type = if epoch == 1 { 20 + rng.below(4) as u8 } else { 20 };
                    let mut record = vec![content_type, 0xfe, 0xfd, 0, epoch, 9, 9, 9, 9, 9, 9, 0, len];
                    record.extend_from_slice(&garbage);
                    garbage = record;
                }
                pair.inject_leftward(&garbage);
                pair.inject_rightward(&garbage);
            }
            pair.run_for(DELAY / 4);
        }
        assert!(pair.run_until(Duration::from_secs(5), both_connected), "{}", pair.chart());
        assert!(pair.left().connection.drops().total() > 50);
        assert!(seed % 2 == 0 || pair.right().connection.drops().of(DropReason::Forged) > 0);
        assert_usable(&mut pair);
    });
}

#[test]
fn cut_and_changed_datagrams_do_no_harm_once_connected() {
    let mut pair = connected(3, Version::Dtls12);
    pair.left_mut().send(b"whole");
    let mut record = Vec::new();
    let now = pair.now();
    antiphon_testkit::DatagramEndpoint::poll_transmit(pair.left_mut(), now, &mut record).unwrap();
    for len in 0..record.len() {
        pair.inject_rightward(&record[..len]);
    }
    for bit in 0..record.len() * 8 {
        let mut changed = record.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        // The version is not covered by the tag in this form, and a changed major version is no record at all.
        if bit / 8 != 2 {
            pair.inject_rightward(&changed);
        }
    }
    pair.run_for(Duration::from_secs(1));
    assert!(pair.right().received.is_empty());
    pair.inject_rightward(&record);
    pair.inject_rightward(&record);
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.right().received, [b"whole".to_vec()]);
    // The second copy, and the flipped bit that gave the record the number of the Finished.
    assert_eq!(pair.right().connection.drops().of(DropReason::Replayed), 2);
    assert_usable(&mut pair);
}

#[test]
fn every_datagram_of_a_connection_may_come_again_at_any_time() {
    Version::ALL.into_iter().for_each(repeat_every_datagram);
}

fn repeat_every_datagram(version: Version) {
    let seen = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let mut pair = ends(5, Link::with_delay(DELAY), configs_of(version));
    let recorder = seen.clone();
    pair.intercept(move |rightward, packet| {
        recorder.borrow_mut().push((rightward, packet.datagram.to_vec()));
        true
    });
    assert!(pair.run_until(Duration::from_secs(5), both_connected));
    pair.left_mut().send(b"once");
    pair.run_for(Duration::from_secs(1));
    pair.stop_intercepting();
    for (rightward, datagram) in seen.borrow().iter() {
        // To the end that it was meant for, and back to the one that sent it.
        pair.inject_rightward(datagram);
        pair.inject_leftward(datagram);
        let _ = rightward;
    }
    pair.run_for(Duration::from_secs(60));
    assert_eq!(pair.right().received, [b"once".to_vec()]);
    assert!(pair.left().received.is_empty());
    assert_usable(&mut pair);
}

#[test]
fn alerts_without_protection_end_nothing() {
    for (step, version) in (0..10).flat_map(|step| Version::ALL.map(|version| (step, version))) {
        let mut pair = ends(6, Link::with_delay(DELAY), configs_of(version));
        pair.run_for(DELAY / 2 * step);
        for description in [0, 10, 40, 80] {
            pair.inject_leftward(&alert(0, 1, 2, description));
            pair.inject_rightward(&alert(0, 1, 2, description));
            pair.inject_leftward(&alert(1, 1, 2, description));
            pair.inject_rightward(&alert(1, 1, 2, description));
        }
        assert!(pair.run_until(Duration::from_secs(5), both_connected), "{}", pair.chart());
        pair.run_for(4 * DELAY);
        assert_eq!(pair.right().connection.drops().of(DropReason::UnauthenticatedAlert), 4);
        assert_usable(&mut pair);
    }
}

#[test]
fn old_and_later_messages_injected_at_every_step_are_passed_over() {
    for (step, version) in (0..10).flat_map(|step| Version::ALL.map(|version| (step, version))) {
        let mut pair = ends(7, Link::with_delay(DELAY), configs_of(version));
        pair.run_for(DELAY / 2 * step + DELAY / 4);
        let handled = if step >= 2 { 1 } else { 0 };
        for kind in 0..25 {
            if handled > 0 {
                // Sequence 0 has been handled by now: a second hello, a ServerHello from elsewhere.
                pair.inject_rightward(&message(kind, 0, &[0; 60]));
            }
            // Beyond all that is awaited; a Finished without protection.
            pair.inject_rightward(&message(kind, 200, &[0; 60]));
            pair.inject_leftward(&message(kind, 200, &[0; 60]));
            pair.inject_leftward(&message(20, 5, &[0; 12]));
        }
        assert!(pair.run_until(Duration::from_secs(5), both_connected), "step {step} {}", pair.chart());
        assert_usable(&mut pair);
    }
}

#[test]
fn a_message_out_of_order_ends_the_handshake() {
    for kind in [2, 3, 11, 12, 13, 14, 15, 16] {
        let mut pair = ends(8, Link::cut(), configs());
        pair.inject_rightward(&message(kind, 0, &[0; 60]));
        pair.set_link(Link::default());
        pair.inject_rightward(&message(kind, 0, &[0; 60]));
        pair.run_for(Duration::from_millis(10));
        let reason = CloseReason::Handshake(HandshakeError::UnexpectedMessage);
        assert_eq!(pair.right().events, [Event::Closed(reason)], "{kind}");
    }
}

#[test]
fn malformed_messages_end_the_handshake() {
    let mut pair = ends(9, Link::default(), configs());
    pair.inject_rightward(&message(1, 0, &[0; 20]));
    pair.run_for(Duration::from_millis(10));
    assert_eq!(pair.right().events, [Event::Closed(CloseReason::Handshake(HandshakeError::Malformed))]);
}

#[test]
fn early_records_are_held_up_to_their_limits() {
    let limit = configs().0.limits;
    for (len, expected) in [(10, limit.early_records), (2_000, 8), (3_000, limit.early_bytes / 3_000)] {
        let mut pair = ends(10, Link::cut(), configs());
        pair.set_rightward_link(Link::default());
        pair.intercept(|_, packet| packet.datagram.first() == Some(&23));
        let mut record = vec![23, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 0];
        record.extend((len as u16).to_be_bytes());
        record.resize(13 + len, 7);
        for _ in 0..10 * limit.early_records {
            pair.inject_rightward(&record);
        }
        pair.run_for(Duration::from_millis(10));
        let dropped = pair.right().connection.drops().of(DropReason::TooEarly) as usize;
        assert_eq!(dropped, 10 * limit.early_records - expected, "{len}");
    }
}

#[test]
fn a_server_that_asks_for_cookies_for_ever_is_left() {
    let limit = configs().0.limits.cookie_requests as u8;
    let mut pair = ends(11, Link::cut(), configs());
    pair.set_leftward_link(Link::default());
    for request in 0..10 * limit {
        pair.inject_leftward(&message(3, request, &[0xfe, 0xff, 3, 1, 2, request]));
        pair.run_for(Duration::from_millis(1));
        assert_eq!(pair.left().connection.is_closed(), request >= limit);
    }
    let reason = CloseReason::Handshake(HandshakeError::TooManyCookieRequests);
    assert_eq!(pair.left().events, [Event::Closed(reason)]);
}

#[test]
fn nothing_is_handled_before_the_start_and_after_the_end() {
    let (client, _) = configs();
    let mut connection = antiphon_dtls::Connection::client(client, antiphon_util::Rng::from_test_seed(0));
    let now = antiphon_testkit::origin();
    connection.handle_datagram(now, &mut message(2, 0, &[0; 60]), |_| panic!("no data"));
    connection.handle_timeout(now);
    assert_eq!(connection.poll_transmit(now, &mut Vec::new()), None);
    assert_eq!(connection.poll_timeout(), None);
    connection.close(now);
    connection.start(now, None);
    connection.handle_datagram(now, &mut message(2, 0, &[0; 60]), |_| panic!("no data"));
    assert_eq!(connection.drops().of(DropReason::NotOpen), 2);
    assert_eq!(connection.poll_event(), Some(Event::Closed(CloseReason::Local)));
    assert_eq!(connection.poll_event(), None);
    assert_eq!(connection.poll_transmit(now, &mut Vec::new()), None);
}

#[test]
fn a_hello_without_extended_master_secret_is_refused() {
    let mut hello = vec![0xfe, 0xfd];
    hello.extend([7; 32]);
    // No session id, no cookie, one suite, no compression, no extensions.
    hello.extend([0, 0, 0, 2, 0xc0, 0x2b, 1, 0]);
    let mut pair = ends(12, Link::default(), configs());
    pair.inject_rightward(&message(1, 0, &hello));
    pair.run_for(Duration::from_millis(10));
    let reason = CloseReason::Handshake(HandshakeError::NoExtendedMasterSecret);
    assert_eq!(pair.right().events, [Event::Closed(reason)]);
}

/// Where the record of a CertificateVerify stands in `datagram`.
fn certificate_verify(datagram: &[u8]) -> Option<std::ops::Range<usize>> {
    let mut at = 0;
    while at + 13 < datagram.len() {
        let end = at + 13 + usize::from(u16::from_be_bytes([datagram[at + 11], datagram[at + 12]]));
        if datagram[at..at + 5] == [22, 0xfe, 0xfd, 0, 0] && datagram[at + 13] == 15 {
            return Some(at..end);
        }
        at = end;
    }
    None
}

#[test]
fn a_certificate_without_proof_of_its_key_is_refused() {
    let mut pair = ends(13, Link::with_delay(DELAY), configs_of(Version::Dtls12));
    pair.intercept(|rightward, packet| {
        if rightward && let Some(record) = certificate_verify(packet.datagram) {
            packet.datagram[record.end - 1] ^= 1;
        }
        true
    });
    pair.run_for(Duration::from_secs(60));
    let reason = CloseReason::Handshake(HandshakeError::BadSignature);
    assert_eq!(pair.right().events, [Event::Closed(reason)]);

    let mut pair = ends(14, Link::with_delay(DELAY), configs_of(Version::Dtls12));
    pair.intercept(|rightward, packet| {
        if rightward && let Some(record) = certificate_verify(packet.datagram) {
            packet.datagram.drain(record);
        }
        true
    });
    pair.run_for(Duration::from_secs(60));
    assert!(!pair.right().events.contains(&Event::Connected), "{}", pair.chart());
    assert!(!pair.left().events.contains(&Event::Connected));
}

#[test]
fn a_version_taken_out_of_the_hello_is_noticed() {
    let (mut client, server) = configs();
    client.groups = vec![antiphon_crypto::Group::X25519];
    let mut pair = ends(15, Link::with_delay(DELAY), (client, server));
    pair.intercept(|rightward, packet| {
        // supported_versions of 1.3 and 1.2, of which only 1.2 is left.
        let wanted = [0, 43, 0, 5, 4, 0xfe, 0xfc, 0xfe, 0xfd];
        let found = packet.datagram.windows(wanted.len()).position(|window| window == wanted);
        if let Some(at) = found.filter(|_| rightward) {
            packet.datagram[at + 6] = 0xfd;
        }
        true
    });
    pair.run_for(Duration::from_secs(60));
    let reason = CloseReason::Handshake(HandshakeError::Downgrade);
    assert_eq!(pair.left().events, [Event::Closed(reason)], "{}", pair.chart());
    assert!(!pair.right().events.contains(&Event::Connected));
}

#[test]
fn acknowledgements_without_protection_acknowledge_nothing() {
    // Record 0 of epoch 0, which is the hello, or the ServerHello.
    let mut ack = vec![26, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 99, 0, 18, 0, 16];
    ack.extend([0; 16]);
    for lost in [true, false] {
        let mut pair = ends(16, Link::with_delay(DELAY), configs());
        let mut first = true;
        let injected = ack.len();
        pair.intercept(move |rightward, packet| {
            let is_ours = packet.datagram.len() != injected;
            let is_lost = is_ours && rightward == lost && std::mem::take(&mut first);
            !is_lost
        });
        for _ in 0..100 {
            pair.inject_leftward(&ack);
            pair.inject_rightward(&ack);
            pair.run_for(Duration::from_millis(1));
        }
        assert!(pair.run_until(Duration::from_secs(5), both_connected), "{}", pair.chart());
        assert!(pair.right().connection.drops().of(DropReason::Acknowledgement) >= 50);
        assert!(pair.sent() < 200 + 30, "{}", pair.chart());
        assert_usable(&mut pair);
    }
}

#[test]
fn nothing_without_protection_counts_once_1_3_has_its_keys() {
    for step in 0..12 {
        let mut pair = ends(17, Link::with_delay(DELAY), configs_of(Version::Dtls13));
        pair.run_for(DELAY / 2 * step + DELAY / 4);
        for kind in [1, 2, 3, 8, 11, 13, 15, 20, 24] {
            for sequence in 0..8 {
                // Sequence 0 of either end belongs to its hello, and is left to the true one until that has come.
                if sequence > 0 || step > 4 {
                    pair.inject_leftward(&message(kind, sequence, &[0; 60]));
                    pair.inject_rightward(&message(kind, sequence, &[0; 60]));
                }
            }
        }
        let is_connected = pair.run_until(Duration::from_secs(5), both_connected);
        // Before the hellos are exchanged nothing tells a forged message from a true one.
        if step > 4 {
            assert!(is_connected, "step {step} {}", pair.chart());
            assert_usable(&mut pair);
        }
        assert!(pair.left().received.is_empty() || is_connected);
    }
}

#[test]
fn a_flood_of_records_of_another_epoch_or_without_number_space_is_dropped() {
    let mut pair = connected(18, Version::Dtls13);
    for first in 0x20..0x40u8 {
        for len in [1, 2, 5, 20, 40, 200] {
            let mut record = vec![first];
            record.resize(len, 0xaa);
            for _ in 0..5 {
                pair.inject_rightward(&record);
                pair.inject_leftward(&record);
            }
        }
    }
    pair.run_for(Duration::from_secs(1));
    assert!(pair.left().received.is_empty() && pair.right().received.is_empty());
    assert!(pair.right().connection.drops().total() >= 900);
    assert_usable(&mut pair);
}
