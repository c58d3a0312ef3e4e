//! The crate `dimpl`, another DTLS in Rust, at the other end: both roles, both versions, over a lossy network.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use antiphon_crypto::{Certificate, HashAlgorithm, Provider};
use antiphon_dtls::{Config, Connection, CookieExchange, Event, SrtpProfile, Version};
use antiphon_testkit::{DatagramEndpoint, Link, Loss, Pair, for_each_seed};
use antiphon_util::Rng;
use dimpl::{Dtls, DtlsCertificate, Output};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;

use crate::{CERTIFICATES, End};

const THEIRS: &str = include_str!("../../../crypto/tests/data/prime256v1-pkcs8.pem");

/// A `dimpl` connection with what it told and received.
struct Partner {
    dtls: Dtls,
    is_connected: bool,
    is_failed: bool,
    keys: Option<Vec<u8>>,
    received: Vec<Vec<u8>>,
    outgoing: VecDeque<Vec<u8>>,
    timeout: Option<Instant>,
}

impl Partner {
    fn new(version: Version, is_client: bool, cookie: bool, now: Instant) -> Self {
        let config = dimpl::Config::builder()
            .mtu(1_150)
            .use_server_cookie(cookie)
            .with_crypto_provider(dimpl::crypto::rust_crypto::default_provider())
            .build()
            .unwrap();
        let ours = Certificate::from_pem(Provider::default(), THEIRS).unwrap();
        let certificate = DtlsCertificate {
            certificate: ours.der().to_vec(),
            private_key: PrivatePkcs8KeyDer::from_pem_slice(THEIRS.as_bytes())
                .unwrap()
                .secret_pkcs8_der()
                .to_vec(),
        };
        let mut dtls = match version {
            Version::Dtls12 => Dtls::new_12(Arc::new(config), certificate, now),
            Version::Dtls13 => Dtls::new_13(Arc::new(config), certificate, now),
        };
        dtls.set_active(is_client);
        let mut partner = Self {
            dtls,
            is_connected: false,
            is_failed: false,
            keys: None,
            received: Vec::new(),
            outgoing: VecDeque::new(),
            timeout: None,
        };
        partner.handle_timeout(now);
        partner
    }

    fn drain(&mut self) {
        let mut buf = vec![0; 4_096];
        loop {
            match self.dtls.poll_output(&mut buf) {
                Output::Packet(packet) => self.outgoing.push_back(packet.to_vec()),
                Output::Timeout(at) => {
                    self.timeout = Some(at);
                    return;
                }
                Output::Connected => self.is_connected = true,
                Output::KeyingMaterial(keys, _) => self.keys = Some(keys.to_vec()),
                Output::ApplicationData(data) => self.received.push(data.to_vec()),
                _ => {}
            }
        }
    }
}

impl DatagramEndpoint for Partner {
    fn handle_datagram(&mut self, now: Instant, datagram: &mut [u8]) {
        self.handle_timeout(now);
        self.is_failed |= self.dtls.handle_packet(datagram).is_err();
        self.drain();
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.is_failed |= self.dtls.handle_timeout(now).is_err();
        self.drain();
    }

    fn poll_transmit(&mut self, _: Instant, buf: &mut Vec<u8>) -> Option<usize> {
        let datagram = self.outgoing.pop_front()?;
        buf.extend_from_slice(&datagram);
        Some(datagram.len())
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        // It always names a time, far away where nothing is due.
        self.timeout.filter(|_| !self.is_failed)
    }
}

/// Ours on the left, `dimpl` on the right.
fn pair(
    seed: u64,
    version: Version,
    is_client: bool,
    cookie: CookieExchange,
    link: Link,
) -> Pair<End, Partner> {
    let [ours, ..] = &*CERTIFICATES;
    let theirs = Certificate::from_pem(Provider::default(), THEIRS).unwrap();
    let announced = vec![theirs.fingerprint(HashAlgorithm::Sha256)];
    let mut config = Config::for_webrtc(Provider::default(), ours.clone(), announced);
    config.versions = vec![version];
    config.cookie = cookie;
    config.srtp_profiles = vec![SrtpProfile::AeadAes128Gcm, SrtpProfile::Aes128CmHmacSha1_80];
    let rng = Rng::from_test_seed(seed);
    let connection =
        if is_client { Connection::client(config, rng) } else { Connection::server(config, rng) };
    let is_cookie = cookie == CookieExchange::Demanded;
    let partner = Partner::new(version, !is_client, is_cookie, antiphon_testkit::origin());
    let mut pair = Pair::new(seed, link, End::new(connection), partner);
    let now = pair.now();
    pair.left_mut().connection.start(now, Some(2 * link.delay));
    pair
}

fn check(pair: &mut Pair<End, Partner>, version: Version) {
    assert_eq!(pair.left().events, [Event::Connected]);
    assert_eq!(pair.left().connection.version(), Some(version));
    let keys = pair.right().keys.clone().unwrap();
    let mut ours = vec![0; keys.len()];
    pair.left().connection.export_keying_material(b"EXTRACTOR-dtls_srtp", None, &mut ours).unwrap();
    assert_eq!(ours, keys);
    pair.set_link(Link::default());
    pair.run_for(Duration::from_secs(5));
    pair.left_mut().send(b"from ours");
    pair.right_mut().dtls.send_application_data(b"from theirs").unwrap();
    pair.right_mut().drain();
    pair.run_for(Duration::from_secs(5));
    assert_eq!(pair.left().received, [b"from theirs".to_vec()], "{}", pair.chart());
    assert_eq!(pair.right().received, [b"from ours".to_vec()], "{}", pair.chart());
}

fn both_done(pair: &Pair<End, Partner>) -> bool {
    pair.left().connection.is_connected() && pair.right().is_connected && pair.right().keys.is_some()
}

#[test]
fn both_roles_and_versions_agree_with_another_implementation() {
    for version in Version::ALL {
        for is_client in [true, false] {
            for cookie in [CookieExchange::Demanded, CookieExchange::Skipped] {
                let link = Link::with_delay(Duration::from_millis(20));
                let mut pair = pair(0, version, is_client, cookie, link);
                let is_done = pair.run_until(Duration::from_secs(20), both_done);
                assert!(is_done, "{version:?} {is_client} {cookie:?} {}", pair.chart());
                check(&mut pair, version);
            }
        }
    }
}

#[test]
fn another_implementation_is_met_through_loss() {
    for_each_seed(10, |seed| {
        for version in Version::ALL {
            for is_client in [true, false] {
                let link = Link {
                    delay: Duration::from_millis(20),
                    loss: Loss::random(0.15),
                    reorder: 0.1,
                    duplicate: 0.1,
                    ..Link::default()
                };
                let mut pair = pair(seed, version, is_client, CookieExchange::Skipped, link);
                // The other one doubles its timer from one second on, without bound.
                let is_done = pair.run_until(Duration::from_secs(120), both_done);
                assert!(is_done, "{version:?} {is_client} {}", pair.chart());
                check(&mut pair, version);
            }
        }
    });
}
