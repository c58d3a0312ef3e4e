//! What the handshake agrees upon, and how long it takes.

use std::time::Duration;

use antiphon_crypto::{Certificate, Group, HashAlgorithm, KeyKind, Provider};
use antiphon_dtls::{
    Alert, CipherSuite, CloseReason, Config, CookieExchange, Event, HandshakeError, SrtpProfile,
};
use antiphon_testkit::Link;

use crate::{CERTIFICATES, assert_usable, both_connected, configs, connected, ends};

const DELAY: Duration = Duration::from_millis(50);

#[test]
fn the_server_is_done_after_one_and_a_half_round_trips_and_the_client_after_two() {
    let mut pair = ends(0, Link::with_delay(DELAY), configs());
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
    let (client, mut server) = configs();
    server.cookie = CookieExchange::Demanded;
    let mut pair = ends(0, Link::with_delay(DELAY), (client, server));
    assert!(pair.run_until(Duration::from_secs(9), both_connected));
    assert_eq!(pair.elapsed(), 6 * DELAY, "{}", pair.chart());
    assert_usable(&mut pair);
}

#[test]
fn the_cookie_is_demanded_by_default_when_used_alone_and_not_inside_webrtc() {
    let (config, _) = configs();
    assert_eq!(config.cookie, CookieExchange::Skipped);
    let alone = Config::new(config.provider, config.certificate, config.remote_fingerprints);
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
            for group in Group::ALL.into_iter().filter(|group| !group.is_hybrid()) {
                let (mut client, mut server) = configs();
                client.remote_fingerprints = vec![certificate.fingerprint(HashAlgorithm::Sha384)];
                client.cipher_suites = vec![suite];
                server.certificate = certificate.clone();
                server.groups = vec![group];
                let mut pair = ends(0, Link::default(), (client, server));
                let is_rsa_suite = format!("{suite:?}").contains("Rsa");
                if is_rsa_suite == (kind == KeyKind::Rsa) {
                    assert!(
                        pair.run_until(Duration::from_secs(9), both_connected),
                        "{kind:?} {suite:?} {group:?}"
                    );
                    assert_eq!(pair.left().connection.cipher_suite(), Some(suite));
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
        for suite in CipherSuite::ALL.into_iter().filter(|suite| format!("{suite:?}").contains("Ecdsa")) {
            let (mut client, mut server) = configs();
            (client.provider, server.provider) = (client_provider, server_provider);
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
        let (mut client, mut server) = configs();
        client.srtp_profiles = client_profiles;
        server.srtp_profiles = server_profiles;
        let mut pair = ends(0, Link::default(), (client, server));
        assert!(pair.run_until(Duration::from_secs(9), both_connected));
        assert_eq!(pair.left().connection.srtp_profile(), chosen);
        assert_usable(&mut pair);
    }
}

#[test]
fn a_wrong_fingerprint_ends_the_handshake_in_either_role_before_any_data() {
    let [_, _, other] = &*CERTIFICATES;
    let wrong = vec![other.fingerprint(HashAlgorithm::Sha256)];
    let mismatch = Event::Closed(CloseReason::Handshake(HandshakeError::FingerprintMismatch));
    for announced in [wrong, vec![]] {
        let (mut client, server) = configs();
        client.remote_fingerprints = announced.clone();
        let mut pair = ends(0, Link::default(), (client, server));
        pair.run_for(Duration::from_secs(60));
        assert_eq!(pair.left().events, [mismatch]);
        assert!(!pair.right().events.contains(&Event::Connected));

        let (client, mut server) = configs();
        server.remote_fingerprints = announced;
        let mut pair = ends(0, Link::default(), (client, server));
        pair.run_for(Duration::from_secs(60));
        assert_eq!(pair.right().events, [mismatch]);
        assert!(!pair.left().events.contains(&Event::Connected));
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
    for left_closes in [true, false] {
        let mut pair = connected(1);
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
    let pair = connected(2);
    let export = |label: &[u8], context: Option<&[u8]>| {
        let mut out = [0; 32];
        pair.left().connection.export_keying_material(label, context, &mut out).unwrap();
        out
    };
    let all = [export(b"a", None), export(b"b", None), export(b"a", Some(b"")), export(b"a", Some(b"c"))];
    for (index, one) in all.iter().enumerate() {
        assert!(all[index + 1..].iter().all(|other| other != one));
    }
    assert_eq!(export(b"a", None), all[0]);
}
