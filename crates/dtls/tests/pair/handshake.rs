//! What the handshake agrees upon, and how long it takes.

use std::time::Duration;

use antiphon_crypto::{Certificate, Group, HashAlgorithm, KeyKind, Provider};
use antiphon_dtls::{
    Alert, CipherSuite, CloseReason, Config, Connection, CookieExchange, DropReason, Event, HandshakeError,
    KeyUpdate, SrtpProfile, Version,
};
use antiphon_testkit::{Link, origin};
use antiphon_util::Rng;

use crate::{CERTIFICATES, assert_usable, both_connected, configs, configs_of, connected, ends};

const DELAY: Duration = Duration::from_millis(50);

/// After this the keys of earlier epochs are gone.
const OLD_KEYS_LIFETIME: Duration = Duration::from_secs(4 * 60);

#[test]
fn the_client_of_1_3_is_done_after_one_round_trip_and_the_server_after_one_and_a_half() {
    let (mut client, mut server) = configs_of(Version::Dtls13);
    (client.groups, server.groups) = (vec![Group::X25519], vec![Group::X25519]);
    let mut pair = ends(0, Link::with_delay(DELAY), (client, server));
    assert!(pair.run_until(Duration::from_secs(9), |pair| pair.left().connection.is_connected()));
    assert_eq!(pair.elapsed(), 2 * DELAY, "{}", pair.chart());
    assert!(pair.run_until(Duration::from_secs(9), |pair| pair.right().connection.is_connected()));
    assert_eq!(pair.elapsed(), 3 * DELAY, "{}", pair.chart());
    pair.run_for(DELAY * 2);
    assert_eq!(pair.sent(), 4, "one datagram a flight, and the acknowledgement\n{}", pair.chart());
    assert_eq!(pair.left().connection.version(), Some(Version::Dtls13));
    assert_usable(&mut pair);
    pair.run_for(OLD_KEYS_LIFETIME);
    assert_eq!(pair.left().connection.poll_timeout(), None);
    assert_eq!(pair.right().connection.poll_timeout(), None);
    assert_eq!((pair.left().connection.drops().total(), pair.right().connection.drops().total()), (0, 0));
}

#[test]
fn a_hybrid_hello_takes_two_datagrams_and_no_time_more() {
    let mut pair = ends(0, Link::with_delay(DELAY), configs());
    assert!(pair.run_until(Duration::from_secs(9), both_connected));
    assert_eq!(pair.elapsed(), 3 * DELAY, "{}", pair.chart());
    pair.run_for(DELAY);
    assert_eq!(
        pair.sent(),
        2 + 2 + 1 + 1,
        "two a flight, but for certificate and acknowledgement\n{}",
        pair.chart()
    );
    assert_eq!(pair.left().connection.group(), Some(Group::X25519MlKem768));
    assert_eq!(pair.right().connection.group(), Some(Group::X25519MlKem768));
    assert_usable(&mut pair);
}

#[test]
fn a_hybrid_hello_is_answered_whatever_the_order_of_its_datagrams() {
    for (size, is_reversed) in [(1_200, true), (1_200, false), (256, true), (256, false)] {
        let (mut client, server) = configs();
        client.max_datagram_size = size;
        let mut client = Connection::client(client, Rng::from_test_seed(1));
        let mut server = Connection::server(server, Rng::from_test_seed(2));
        let now = origin();
        client.start(now, None);
        server.start(now, None);
        let mut datagrams: Vec<Vec<u8>> = std::iter::from_fn(|| {
            let mut datagram = Vec::new();
            client.poll_transmit(now, &mut datagram).map(|_| datagram)
        })
        .collect();
        assert_eq!(datagrams.len(), if size == 256 { 7 } else { 2 });
        if is_reversed {
            datagrams.reverse();
        }
        for mut datagram in datagrams {
            assert_eq!(server.poll_transmit(now, &mut Vec::new()), None);
            server.handle_datagram(now, &mut datagram, |_| panic!("no data"));
        }
        let mut answer = Vec::new();
        server.poll_transmit(now, &mut answer).unwrap();
        assert_eq!((answer[0], answer[13]), (22, 2), "a ServerHello");
    }
}

#[test]
fn versions_are_negotiated_both_ways() {
    use Version::{Dtls12, Dtls13};
    for (client_versions, server_versions, chosen) in [
        (vec![Dtls13, Dtls12], vec![Dtls13, Dtls12], Some(Dtls13)),
        (vec![Dtls13, Dtls12], vec![Dtls12], Some(Dtls12)),
        (vec![Dtls12], vec![Dtls13, Dtls12], Some(Dtls12)),
        (vec![Dtls13], vec![Dtls13, Dtls12], Some(Dtls13)),
        (vec![Dtls13, Dtls12], vec![Dtls13], Some(Dtls13)),
        (vec![Dtls12], vec![Dtls13], None),
        (vec![Dtls13], vec![Dtls12], None),
    ] {
        for cookie in [CookieExchange::Demanded, CookieExchange::Skipped] {
            let (mut client, mut server) = configs();
            (client.versions, server.versions) = (client_versions.clone(), server_versions.clone());
            server.cookie = cookie;
            let mut pair = ends(0, Link::with_delay(DELAY), (client, server));
            let is_connected = pair.run_until(Duration::from_secs(9), both_connected);
            assert_eq!(is_connected, chosen.is_some(), "{client_versions:?} {server_versions:?}");
            if chosen.is_some() {
                assert_eq!(pair.left().connection.version(), chosen);
                assert_usable(&mut pair);
            } else {
                let reason = CloseReason::Handshake(HandshakeError::NoCommonVersion);
                assert_eq!(pair.right().events, [Event::Closed(reason)]);
            }
        }
    }
}

#[test]
fn a_group_without_a_share_costs_one_round_trip_more() {
    for group in Group::ALL {
        let (mut client, mut server) = configs_of(Version::Dtls13);
        client.groups = Group::ALL.into_iter().filter(|other| *other != group).chain([group]).collect();
        server.groups = vec![group];
        let mut pair = ends(0, Link::with_delay(DELAY), (client, server));
        assert!(pair.run_until(Duration::from_secs(9), both_connected), "{group:?} {}", pair.chart());
        assert_eq!(pair.elapsed(), 5 * DELAY, "{group:?} {}", pair.chart());
        assert_eq!(pair.left().connection.group(), Some(group));
        assert_usable(&mut pair);
    }
}

#[test]
fn keys_are_updated_by_either_end_and_both() {
    for (by_left, by_right) in [(true, false), (false, true), (true, true)] {
        let mut pair = connected(1, Version::Dtls13);
        for round in 0..10u8 {
            if by_left {
                pair.left_mut().connection.update_keys(KeyUpdate::Both);
            }
            if by_right {
                pair.right_mut().connection.update_keys(KeyUpdate::Own);
            }
            pair.left_mut().send(&[round]);
            pair.right_mut().send(&[round]);
            pair.run_for(DELAY * 10);
        }
        assert_eq!(pair.left().received.len(), 10, "{}", pair.chart());
        assert_eq!(pair.right().received.len(), 10);
        assert_eq!((pair.left().connection.drops().total(), pair.right().connection.drops().total()), (0, 0));
        pair.run_for(OLD_KEYS_LIFETIME);
        assert_eq!(pair.left().connection.poll_timeout(), None);
        assert_eq!(pair.right().connection.poll_timeout(), None);
        assert_usable(&mut pair);
    }
}

#[test]
fn the_keys_of_the_handshake_are_kept_for_a_while() {
    let last = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let seen = last.clone();
    let mut pair = ends(4, Link::with_delay(DELAY), configs_of(Version::Dtls13));
    pair.intercept(move |rightward, packet| {
        if rightward {
            *seen.borrow_mut() = packet.datagram.to_vec();
        }
        true
    });
    assert!(pair.run_until(Duration::from_secs(9), both_connected));
    pair.stop_intercepting();
    for (pause, reason) in
        [(Duration::ZERO, DropReason::Replayed), (OLD_KEYS_LIFETIME, DropReason::UnknownEpoch)]
    {
        pair.run_for(pause);
        pair.inject_rightward(&last.borrow());
        pair.run_for(Duration::from_secs(1));
        assert!(pair.right().connection.drops().of(reason) > 0, "{reason:?} {}", pair.chart());
    }
    assert_usable(&mut pair);
}

#[test]
fn a_client_of_whose_last_flight_nothing_comes_ends_by_the_deadline() {
    for is_heard in [false, true] {
        let mut pair = ends(5, Link::with_delay(DELAY), configs_of(Version::Dtls13));
        assert!(pair.run_until(Duration::from_secs(9), |pair| pair.left().connection.is_connected()));
        pair.set_leftward_link(Link::cut());
        assert!(pair.run_until(Duration::from_secs(9), both_connected));
        if is_heard {
            pair.run_for(Duration::from_secs(1));
            pair.set_leftward_link(Link::with_delay(DELAY));
            pair.right_mut().send(b"data instead of an acknowledgement");
            let is_heard = pair.run_until(Duration::from_secs(1), |pair| !pair.left().received.is_empty());
            assert!(is_heard, "{}", pair.chart());
            pair.set_leftward_link(Link::cut());
        }
        pair.run_for(Duration::from_secs(60));
        let ended = Event::Closed(CloseReason::Timeout { unauthenticated_alert: None });
        let expected = if is_heard { vec![Event::Connected] } else { vec![Event::Connected, ended] };
        assert_eq!(pair.left().events, expected, "{}", pair.chart());
    }
}

#[test]
fn worn_keys_are_renewed_by_themselves() {
    let (mut client, server) = configs_of(Version::Dtls13);
    client.key_lifetime = 20;
    let mut pair = ends(2, Link::with_delay(DELAY), (client, server));
    assert!(pair.run_until(Duration::from_secs(9), both_connected));
    for round in 0..200u8 {
        pair.left_mut().send(&[round]);
        pair.run_for(DELAY);
    }
    pair.run_for(DELAY);
    assert_eq!(pair.right().received.len(), 200, "{}", pair.chart());
    assert_usable(&mut pair);
}

#[test]
fn a_key_that_cannot_be_renewed_ends_the_connection_before_it_is_worn_out() {
    let (mut client, server) = configs_of(Version::Dtls13);
    client.key_lifetime = 20;
    let mut pair = ends(3, Link::with_delay(DELAY), (client, server));
    assert!(pair.run_until(Duration::from_secs(9), both_connected));
    pair.run_for(DELAY * 4);
    pair.set_leftward_link(Link::cut());
    let connection = &mut pair.left_mut().connection;
    let mut sealed = 0;
    for _ in 0..200 {
        let mut record = vec![0; connection.headroom() + 5];
        sealed += usize::from(connection.seal_in_place(&mut record, 0).is_ok());
    }
    assert_eq!(sealed, 20);
    assert!(connection.is_closed());
    assert_eq!(connection.poll_event(), Some(Event::Closed(CloseReason::Exhausted)));
}

#[test]
fn the_server_of_1_2_is_done_after_one_and_a_half_round_trips_and_the_client_after_two() {
    let mut pair = ends(0, Link::with_delay(DELAY), configs_of(Version::Dtls12));
    assert!(pair.run_until(Duration::from_secs(9), |pair| pair.right().connection.is_connected()));
    assert_eq!(pair.elapsed(), 3 * DELAY, "{}", pair.chart());
    assert!(pair.run_until(Duration::from_secs(9), |pair| pair.left().connection.is_connected()));
    assert_eq!(pair.elapsed(), 4 * DELAY, "{}", pair.chart());
    assert_eq!(pair.sent(), 4, "one datagram a flight\n{}", pair.chart());
    assert_usable(&mut pair);
    assert_eq!(pair.left().connection.poll_timeout(), None);
    assert_eq!(pair.right().connection.poll_timeout(), None);
    assert_eq!((pair.left().connection.drops().total(), pair.right().connection.drops().total()), (0, 0));
}

#[test]
fn a_demanded_cookie_costs_one_round_trip_more() {
    for (version, flights) in [(Version::Dtls12, 6), (Version::Dtls13, 5)] {
        let (client, mut server) = configs_of(version);
        server.cookie = CookieExchange::Demanded;
        let mut pair = ends(0, Link::with_delay(DELAY), (client, server));
        assert!(pair.run_until(Duration::from_secs(9), both_connected));
        assert_eq!(pair.elapsed(), flights * DELAY, "{}", pair.chart());
        assert_usable(&mut pair);
    }
}

#[test]
fn the_cookie_is_demanded_by_default_when_used_alone_and_not_inside_webrtc() {
    let (config, _) = configs();
    assert_eq!(config.cookie, CookieExchange::Skipped);
    let alone = Config::new(config.provider, config.certificate.unwrap(), config.remote_fingerprints);
    assert_eq!(alone.cookie, CookieExchange::Demanded);
}

#[test]
fn every_suite_and_group_connects_with_every_kind_of_certificate() {
    let provider = Provider::default();
    for (kind, pem) in [
        (KeyKind::EcdsaP256, include_str!("../../../crypto/tests/data/prime256v1-pkcs8.pem")),
        (KeyKind::EcdsaP384, include_str!("../../../crypto/tests/data/secp384r1-pkcs8.pem")),
        (KeyKind::Rsa, include_str!("../../../crypto/tests/data/rsa-pkcs8.pem")),
    ] {
        let certificate = std::sync::Arc::new(Certificate::from_pem(provider, pem).unwrap());
        for suite in CipherSuite::ALL {
            let serves = |group: &Group| suite.version() == Version::Dtls13 || !group.is_hybrid();
            for group in Group::ALL.into_iter().filter(serves) {
                let (mut client, mut server) = configs();
                client.remote_fingerprints = vec![certificate.fingerprint(HashAlgorithm::Sha384)];
                client.versions = vec![suite.version()];
                client.cipher_suites = vec![suite];
                server.certificate = Some(certificate.clone());
                server.groups = vec![group];
                let mut pair = ends(0, Link::default(), (client, server));
                let is_rsa_suite = format!("{suite:?}").contains("Rsa");
                if suite.version() == Version::Dtls13 || is_rsa_suite == (kind == KeyKind::Rsa) {
                    assert!(
                        pair.run_until(Duration::from_secs(9), both_connected),
                        "{kind:?} {suite:?} {group:?}"
                    );
                    assert_eq!(pair.left().connection.cipher_suite(), Some(suite));
                    assert_eq!(pair.right().connection.group(), Some(group));
                    assert_usable(&mut pair);
                } else {
                    pair.run_for(Duration::from_secs(60));
                    let reason = CloseReason::Handshake(HandshakeError::NoCommonParameters);
                    assert_eq!(pair.right().events, [Event::Closed(reason)]);
                    // The alert came without protection: it explains the end, and does not bring it.
                    let unauthenticated_alert = Some(Alert::HANDSHAKE_FAILURE);
                    assert_eq!(
                        pair.left().events,
                        [Event::Closed(CloseReason::Timeout { unauthenticated_alert })]
                    );
                    assert!(pair.elapsed() >= Duration::from_secs(30));
                }
            }
        }
    }
}

#[test]
fn the_backends_connect_with_each_other_in_either_role() {
    for (client_provider, server_provider) in
        [(Provider::aws_lc_rs(), Provider::ring()), (Provider::ring(), Provider::aws_lc_rs())]
    {
        for suite in CipherSuite::ALL.into_iter().filter(|suite| !format!("{suite:?}").contains("Rsa")) {
            let (mut client, mut server) = configs();
            (client.provider, server.provider) = (client_provider, server_provider);
            client.versions = vec![suite.version()];
            client.cipher_suites = vec![suite];
            let mut pair = ends(0, Link::default(), (client, server));
            assert!(pair.run_until(Duration::from_secs(9), both_connected), "{suite:?}");
            assert_usable(&mut pair);
        }
    }
}

#[test]
fn the_servers_preference_chooses_the_srtp_profile() {
    use SrtpProfile::{AeadAes128Gcm, AeadAes256Gcm, Aes128CmHmacSha1_32, Aes128CmHmacSha1_80};
    for (client_profiles, server_profiles, chosen) in [
        (
            vec![Aes128CmHmacSha1_80, AeadAes128Gcm],
            vec![AeadAes128Gcm, Aes128CmHmacSha1_80],
            Some(AeadAes128Gcm),
        ),
        (vec![AeadAes256Gcm], vec![Aes128CmHmacSha1_32, AeadAes256Gcm], Some(AeadAes256Gcm)),
        (vec![AeadAes256Gcm], vec![AeadAes128Gcm], None),
        (vec![AeadAes256Gcm], vec![], None),
        (vec![], vec![AeadAes128Gcm], None),
    ] {
        for version in Version::ALL {
            let (mut client, mut server) = configs_of(version);
            client.srtp_profiles = client_profiles.clone();
            server.srtp_profiles = server_profiles.clone();
            let mut pair = ends(0, Link::default(), (client, server));
            assert!(pair.run_until(Duration::from_secs(9), both_connected));
            assert_eq!(pair.left().connection.srtp_profile(), chosen);
            assert_usable(&mut pair);
        }
    }
}

#[test]
fn a_wrong_fingerprint_ends_the_handshake_in_either_role_before_any_data() {
    let [_, _, other] = &*CERTIFICATES;
    let wrong = vec![other.fingerprint(HashAlgorithm::Sha256)];
    let mismatch = Event::Closed(CloseReason::Handshake(HandshakeError::FingerprintMismatch));
    for (announced, version) in
        [wrong, vec![]].into_iter().flat_map(|one| Version::ALL.map(|v| (one.clone(), v)))
    {
        let (mut client, server) = configs_of(version);
        client.remote_fingerprints = announced.clone();
        let mut pair = ends(0, Link::default(), (client, server));
        pair.run_for(Duration::from_secs(60));
        assert_eq!(pair.left().events, [mismatch]);
        assert!(!pair.right().events.contains(&Event::Connected));

        let (client, mut server) = configs_of(version);
        server.remote_fingerprints = announced;
        let mut pair = ends(0, Link::default(), (client, server));
        pair.run_for(Duration::from_secs(60));
        assert_eq!(pair.right().events, [mismatch]);
        // In 1.3 the client is done before the server has seen its certificate, and is then told.
        let refused = Event::Closed(CloseReason::FatalAlert(Alert::BAD_CERTIFICATE));
        match version {
            Version::Dtls13 => assert_eq!(pair.left().events, [Event::Connected, refused]),
            Version::Dtls12 => assert!(!pair.left().events.contains(&Event::Connected)),
        }
        assert!(pair.left().received.is_empty() && pair.right().received.is_empty());
    }
}

#[test]
fn of_several_fingerprints_those_with_the_strongest_hash_count() {
    let [_, right, other] = &*CERTIFICATES;
    for (announced, is_accepted) in [
        (vec![other.fingerprint(HashAlgorithm::Sha256), right.fingerprint(HashAlgorithm::Sha256)], true),
        (vec![other.fingerprint(HashAlgorithm::Sha256), right.fingerprint(HashAlgorithm::Sha512)], true),
        (vec![right.fingerprint(HashAlgorithm::Sha256), other.fingerprint(HashAlgorithm::Sha512)], false),
    ] {
        let (mut client, server) = configs();
        client.remote_fingerprints = announced;
        let mut pair = ends(0, Link::default(), (client, server));
        assert_eq!(pair.run_until(Duration::from_secs(9), both_connected), is_accepted);
    }
}

#[test]
fn closing_tells_the_peer_and_both_end_once() {
    for (left_closes, version) in [true, false].into_iter().flat_map(|left| Version::ALL.map(|v| (left, v))) {
        let mut pair = connected(1, version);
        let now = pair.now();
        let end = if left_closes { pair.left_mut() } else { pair.right_mut() };
        end.connection.close(now);
        end.connection.close(now);
        pair.run_for(Duration::from_secs(60));
        let closed = |reason| [Event::Connected, Event::Closed(reason)];
        let (closer, other) =
            if left_closes { (pair.left(), pair.right()) } else { (pair.right(), pair.left()) };
        assert_eq!(closer.events, closed(CloseReason::Local));
        assert_eq!(other.events, closed(CloseReason::Remote));
        for end in [closer, other] {
            assert!(end.connection.is_closed());
            assert_eq!(end.connection.poll_timeout(), None);
            assert!(end.connection.export_keying_material(b"label", None, &mut [0; 8]).is_err());
        }
    }
}

#[test]
fn nothing_is_sealed_or_exported_before_the_end_of_the_handshake() {
    let mut pair = ends(0, Link::with_delay(DELAY), configs());
    while !both_connected(&pair) {
        for connected in [pair.left().connection.is_connected(), pair.right().connection.is_connected()] {
            let end = if connected { continue } else { pair.left_mut() };
            if !end.connection.is_connected() {
                assert!(end.connection.seal_in_place(&mut vec![0; 100], 0).is_err());
                assert!(end.connection.export_keying_material(b"label", None, &mut [0; 8]).is_err());
            }
        }
        pair.run_for(DELAY / 2);
    }
}

#[test]
fn exports_depend_on_label_and_context() {
    for version in Version::ALL {
        let pair = connected(2, version);
        let export = |label: &[u8], context: Option<&[u8]>| {
            let mut out = [0; 32];
            pair.left().connection.export_keying_material(label, context, &mut out).unwrap();
            out
        };
        let all =
            [export(b"a", None), export(b"b", None), export(b"a", Some(b"c")), export(b"b", Some(b"c"))];
        for (index, one) in all.iter().enumerate() {
            assert!(all[index + 1..].iter().all(|other| other != one));
        }
        assert_eq!(export(b"a", None), all[0]);
        // RFC 8446 §7.5: in 1.3 an empty context is none.
        assert_eq!(export(b"a", None) == export(b"a", Some(b"")), version == Version::Dtls13);
    }
}
