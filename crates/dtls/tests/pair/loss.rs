//! Lossy, slow and shuffling networks.

use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use antiphon_crypto::{Certificate, Group, HashAlgorithm, Provider};
use antiphon_dtls::{CloseReason, Config, CookieExchange, Event, KeyUpdate, Version};
use antiphon_testkit::{Link, Loss, for_each_seed};
use antiphon_util::Rng;

use crate::{assert_usable, both_connected, configs, configs_of, ends};

const DELAY: Duration = Duration::from_millis(25);

#[test]
fn connects_through_loss_reordering_and_duplication() {
    for (share, limit) in [(0.0, 1), (0.05, 10), (0.3, 20)] {
        for_each_seed(20, |seed| {
            let link = Link {
                delay: DELAY,
                jitter: DELAY / 2,
                loss: Loss::random(share),
                reorder: 0.2,
                duplicate: 0.2,
                ..Link::default()
            };
            let (mut client, mut server) = configs_of(Version::ALL[seed as usize / 2 % 2]);
            if seed % 2 == 1 {
                server.cookie = CookieExchange::Demanded;
            }
            // Many small datagrams, so that messages come in pieces.
            let step = seed as usize % 20;
            (client.max_datagram_size, server.max_datagram_size) = (256 + 40 * step, 1_200 - 40 * step);
            let mut pair = ends(seed, link, (client, server));
            assert!(pair.run_until(Duration::from_secs(limit), both_connected), "{share} {}", pair.chart());
            assert_usable(&mut pair);
        });
    }
}

#[test]
fn half_of_all_datagrams_lost_connects_or_ends_by_the_deadline() {
    let mut connected = 0;
    for_each_seed(20, |seed| {
        let link = Link { delay: DELAY, loss: Loss::random(0.5), reorder: 0.2, ..Link::default() };
        let mut pair = ends(seed, link, configs_of(Version::ALL[seed as usize % 2]));
        let is_over = |end: &crate::End| end.connection.is_connected() || end.connection.is_closed();
        assert!(
            pair.run_until(Duration::from_secs(31), |pair| is_over(pair.left()) && is_over(pair.right()))
        );
        if both_connected(&pair) {
            connected += 1;
            assert_usable(&mut pair);
        }
    });
    assert!(connected > 0);
}

#[test]
fn a_lost_last_flight_is_sent_again_when_the_peer_repeats_its_own() {
    let mut pair = ends(0, Link::with_delay(DELAY), configs_of(Version::Dtls12));
    // Of what the server sends the first is its answer to the hello; its last flight is lost three times.
    let mut sent = 0;
    pair.intercept(move |rightward, _| {
        sent += u32::from(!rightward);
        rightward || sent == 1 || sent > 4
    });
    assert!(pair.run_until(Duration::from_secs(9), both_connected), "{}", pair.chart());
    assert_usable(&mut pair);
}

#[test]
fn data_that_overtakes_the_last_flight_waits_for_it() {
    let mut pair = ends(0, Link::with_delay(DELAY), configs_of(Version::Dtls12));
    assert!(pair.run_until(Duration::from_secs(1), |pair| pair.right().connection.is_connected()));
    // From now on the way back is faster than it was for the last flight.
    pair.set_leftward_link(Link::default());
    pair.right_mut().send(b"early");
    pair.run_for(Duration::from_millis(1));
    assert!(pair.left().received.is_empty());
    assert!(pair.run_until(Duration::from_secs(1), both_connected));
    assert_eq!(pair.left().received, [b"early".to_vec()]);
}

#[test]
fn retransmission_starts_at_one_and_a_half_round_trips_and_backs_off() {
    let sent_at = |delay: Duration| {
        let mut pair = ends(
            0,
            Link { loss: Loss::everything(), ..Link::with_delay(delay) },
            configs_of(Version::Dtls12),
        );
        let mut times = Vec::new();
        let mut sent = 0;
        while pair.elapsed() < Duration::from_secs(40) {
            pair.run_for(Duration::from_millis(1));
            if pair.sent() > sent {
                sent = pair.sent();
                times.push(pair.elapsed().as_millis());
            }
        }
        assert_eq!(pair.left().events, [Event::Closed(CloseReason::Timeout { unauthenticated_alert: None })]);
        assert_eq!(
            pair.right().events,
            [Event::Closed(CloseReason::Timeout { unauthenticated_alert: None })]
        );
        times
    };
    let times = sent_at(Duration::from_millis(100));
    assert_eq!(times[1..6], [300, 900, 1_900, 2_900, 3_900], "{times:?}");
    assert_eq!(sent_at(Duration::from_millis(1))[1..5], [50, 150, 350, 750], "never below the minimum");
    assert_eq!(sent_at(Duration::from_secs(1))[1..4], [3_000, 6_000, 9_000], "never below 1.5 round trips");
}

#[test]
fn a_server_that_has_answered_repeats_its_flight_too() {
    let mut pair = ends(0, Link::with_delay(DELAY), configs());
    pair.run_for(DELAY + DELAY / 2);
    // The client is gone; the server's flight is repeated until the deadline.
    pair.set_rightward_link(Link::cut());
    let before = pair.sent();
    pair.run_for(Duration::from_secs(60));
    assert!(pair.sent() - before > 10);
    assert!(matches!(pair.right().events[..], [Event::Closed(CloseReason::Timeout { .. })]));
}

#[test]
fn only_what_was_lost_is_sent_again() {
    let (mut client, mut server) = configs_of(Version::Dtls13);
    (client.max_datagram_size, server.max_datagram_size) = (300, 300);
    let mut pair = ends(0, Link::with_delay(DELAY), (client, server));
    let (mut from_server, mut lost) = (0, 0);
    pair.intercept(move |rightward, _| {
        from_server += u32::from(!rightward);
        // One of the middle of the server's flight.
        let is_lost = !rightward && from_server == 6 && lost == 0;
        lost += u32::from(is_lost);
        !is_lost
    });
    assert!(pair.run_until(Duration::from_secs(9), both_connected), "{}", pair.chart());
    pair.run_for(Duration::from_secs(1));
    let mut undisturbed = {
        let (mut client, mut server) = configs_of(Version::Dtls13);
        (client.max_datagram_size, server.max_datagram_size) = (300, 300);
        ends(0, Link::with_delay(DELAY), (client, server))
    };
    assert!(undisturbed.run_until(Duration::from_secs(9), both_connected));
    undisturbed.run_for(Duration::from_secs(1));
    // The acknowledgement, and the datagram, before the timer.
    assert!(pair.elapsed() < 8 * DELAY + Duration::from_secs(1));
    assert_eq!(pair.sent(), undisturbed.sent() + 2, "{}", pair.chart());
    assert_usable(&mut pair);
}

/// One cell of the matrix: certificates of this kind, this version and group.
struct Cell {
    version: Version,
    certificate: &'static str,
    group: Group,
}

fn cells() -> Vec<Cell> {
    const CERTIFICATES: [&str; 3] = [
        include_str!("../../../crypto/tests/data/prime256v1-pkcs8.pem"),
        include_str!("../../../crypto/tests/data/secp384r1-pkcs8.pem"),
        include_str!("../../../crypto/tests/data/rsa-pkcs8.pem"),
    ];
    let mut cells = Vec::new();
    for version in Version::ALL {
        for certificate in CERTIFICATES {
            for group in [Group::X25519MlKem768, Group::P256MlKem768, Group::X25519, Group::P256, Group::P384]
            {
                if version == Version::Dtls13 || !group.is_hybrid() {
                    cells.push(Cell { version, certificate, group });
                }
            }
        }
    }
    cells
}

/// Every cell, each seed with another rate of loss (0 to 50 %) and another size of datagrams (300 to 1,500) in each
/// direction: it connects, or both ends know by the deadline that it does not.
#[test]
fn every_version_certificate_and_group_connects_or_ends_by_the_deadline() {
    let provider = Provider::default();
    let cells: Vec<(Cell, Arc<Certificate>)> = cells()
        .into_iter()
        .map(|cell| {
            let certificate = Certificate::from_pem(provider, cell.certificate).unwrap();
            (cell, Arc::new(certificate))
        })
        .collect();
    let (mut connected, mut ran) = (0, 0);
    for_each_seed(10, |seed| {
        for (index, (cell, certificate)) in cells.iter().enumerate() {
            let mut rng = Rng::from_test_seed(seed * 1_000 + index as u64);
            let share = (seed % 6) as f64 / 10.0;
            let link = Link {
                delay: DELAY,
                jitter: DELAY / 2,
                loss: Loss::random(share),
                reorder: 0.1,
                duplicate: 0.1,
                ..Link::default()
            };
            let announced = vec![certificate.fingerprint(HashAlgorithm::Sha256)];
            let mut config = Config::for_webrtc(provider, certificate.clone(), announced);
            config.versions = vec![cell.version];
            config.groups = vec![cell.group];
            let (mut client, mut server) = (config.clone(), config);
            client.max_datagram_size = 300 + rng.below(1_201) as usize;
            server.max_datagram_size = 300 + rng.below(1_201) as usize;
            if seed % 2 == 1 {
                server.cookie = CookieExchange::Demanded;
            }
            let mut pair = ends(seed, link, (client, server));
            let is_over = |end: &crate::End| end.connection.is_connected() || end.connection.is_closed();
            let is_done =
                pair.run_until(Duration::from_secs(31), |pair| is_over(pair.left()) && is_over(pair.right()));
            assert!(is_done, "{:?} {:?} {}", cell.version, cell.group, pair.chart());
            ran += 1;
            if both_connected(&pair) {
                connected += 1;
                assert_eq!(pair.right().connection.group(), Some(cell.group));
                assert_usable(&mut pair);
            } else {
                assert!(share > 0.25, "{share} {:?} {:?} {}", cell.version, cell.group, pair.chart());
            }
        }
    });
    println!("{connected} of {ran} connected");
    assert!(2 * connected > ran);
}

/// Round trips and datagrams without loss: the figures of the table in docs/performance.md.
#[test]
fn handshakes_take_the_round_trips_and_datagrams_that_the_documents_say() {
    for (version, group, cookie, client_at, server_at, datagrams) in [
        (Version::Dtls13, Group::X25519, CookieExchange::Skipped, 2, 3, (2, 2)),
        (Version::Dtls13, Group::X25519MlKem768, CookieExchange::Skipped, 2, 3, (3, 3)),
        (Version::Dtls13, Group::X25519, CookieExchange::Demanded, 4, 5, (3, 3)),
        (Version::Dtls13, Group::X25519MlKem768, CookieExchange::Demanded, 4, 5, (5, 4)),
        (Version::Dtls12, Group::X25519, CookieExchange::Skipped, 4, 3, (2, 2)),
        (Version::Dtls12, Group::X25519, CookieExchange::Demanded, 6, 5, (3, 3)),
    ] {
        let (mut client, mut server) = configs_of(version);
        client.groups = vec![group];
        server.cookie = cookie;
        let mut pair = ends(0, Link::with_delay(DELAY), (client, server));
        let sent = std::rc::Rc::new(std::cell::Cell::new((0, 0)));
        let counted = sent.clone();
        pair.intercept(move |rightward, _| {
            let (right, left) = counted.get();
            counted.set(if rightward { (right + 1, left) } else { (right, left + 1) });
            true
        });
        let (mut client_done, mut server_done) = (None, None);
        while pair.elapsed() < 10 * DELAY {
            pair.run_for(Duration::from_millis(1));
            let now = pair.elapsed();
            client_done = client_done.or_else(|| pair.left().connection.is_connected().then_some(now));
            server_done = server_done.or_else(|| pair.right().connection.is_connected().then_some(now));
        }
        let expected = (Some(client_at * DELAY), Some(server_at * DELAY), datagrams);
        assert_eq!((client_done, server_done, sent.get()), expected, "{version:?} {group:?} {cookie:?}");
    }
}

/// The number of every record of 1.2 is to be seen, and is its nonce. Under 1.3 a repetition with the same nonce would be the
/// same record again.
#[test]
fn no_nonce_is_used_twice_on_any_path_through_loss() {
    for_each_seed(10, |seed| {
        for version in Version::ALL {
            let link = Link { delay: DELAY, loss: Loss::random(0.3), ..Link::default() };
            let mut pair = ends(seed, link, configs_of(version));
            let seen = Rc::new(RefCell::new(HashSet::new()));
            let told = Rc::clone(&seen);
            pair.intercept(move |rightward, packet| {
                for record in protected_records(packet.datagram) {
                    let nonce = if version == Version::Dtls12 { &record[3..11] } else { record };
                    assert!(told.borrow_mut().insert((rightward, nonce.to_vec())), "twice");
                }
                true
            });
            pair.run_until(Duration::from_secs(30), both_connected);
            for round in 0..4 {
                if both_connected(&pair) {
                    pair.left_mut().send(b"data");
                    pair.right_mut().send(b"data");
                    pair.left_mut().connection.update_keys(KeyUpdate::Both);
                }
                if round == 3 {
                    let now = pair.now();
                    pair.left_mut().connection.close(now);
                }
                pair.run_for(Duration::from_secs(20));
            }
            assert!(seen.borrow().len() > 4);
        }
    });
}

/// The records of a datagram that are sealed, headers included.
fn protected_records(datagram: &[u8]) -> Vec<&[u8]> {
    let mut records = Vec::new();
    let mut rest = datagram;
    while rest.len() > 13 {
        // The forms that we write: 1.3 with a number of two bytes and a length, 1.2 and plaintext.
        let is_unified = rest[0] & 0xe0 == 0x20;
        let at = if is_unified { 3 } else { 11 };
        let len = at + 2 + usize::from(u16::from_be_bytes([rest[at], rest[at + 1]]));
        let (record, behind) = rest.split_at(len);
        if is_unified || record[4] == 1 {
            records.push(record);
        }
        rest = behind;
    }
    records
}
