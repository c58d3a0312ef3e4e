//! Servers that remember nothing of a client before it has returned its cookie, and clients that have chains judged.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use antiphon_crypto::{Group, Provider};
use antiphon_dtls::{
    Alert, ChainVerifier, CloseReason, Config, Connection, Event, Gate, HandshakeError, Version,
};
use antiphon_testkit::{DatagramEndpoint, Link, Loss, Pair, for_each_seed, origin};
use antiphon_util::Rng;

use super::{CERTIFICATES, End, configs_of};

const CLIENT: &[u8] = b"192.0.2.1:4000";

fn server_config() -> Config {
    Config::for_server(Provider::default(), CERTIFICATES[1].clone())
}

fn client_config(accepts: bool) -> Config {
    Config::for_client(
        Provider::default(),
        Some("turn.example.org".to_owned()),
        ChainVerifier::new(move |_| accepts),
    )
}

/// A gate, and behind it the connection of the one client that there is.
struct Gated {
    gate: Gate,
    behind: Option<End>,
    replies: Vec<Vec<u8>>,
}

impl Gated {
    fn new(config: Config, rng: Rng) -> Self {
        Self { gate: Gate::new(origin(), config, rng), behind: None, replies: Vec::new() }
    }
}

impl DatagramEndpoint for Gated {
    fn handle_datagram(&mut self, now: Instant, datagram: &mut [u8]) {
        if let Some(behind) = &mut self.behind {
            return behind.handle_datagram(now, datagram);
        }
        let mut reply = Vec::new();
        self.behind = self.gate.handle_datagram(now, CLIENT, datagram, &mut reply).map(End::new);
        assert!(reply.len() <= datagram.len());
        self.replies.extend(Some(reply).filter(|reply| !reply.is_empty()));
    }

    fn handle_timeout(&mut self, now: Instant) {
        if let Some(behind) = &mut self.behind {
            behind.handle_timeout(now);
        }
    }

    fn poll_transmit(&mut self, now: Instant, buf: &mut Vec<u8>) -> Option<usize> {
        if let Some(reply) = self.replies.pop() {
            buf.extend_from_slice(&reply);
            return Some(reply.len());
        }
        self.behind.as_mut()?.poll_transmit(now, buf)
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        self.behind.as_mut()?.poll_timeout()
    }

    fn settle(&mut self, now: Instant) {
        if let Some(behind) = &mut self.behind {
            behind.settle(now);
        }
    }
}

fn through_gate(seed: u64, link: Link, client: Config, server: Config) -> Pair<End, Gated> {
    let mut rng = Rng::from_test_seed(seed);
    let client = End::new(Connection::client(client, rng.fork()));
    let mut pair = Pair::new(seed, link, client, Gated::new(server, rng.fork()));
    let now = pair.now();
    pair.left_mut().connection.start(now, None);
    pair
}

fn is_connected(pair: &Pair<End, Gated>) -> bool {
    let behind = pair.right().behind.as_ref();
    pair.left().connection.is_connected() && behind.is_some_and(|behind| behind.connection.is_connected())
}

#[test]
fn clients_pass_the_gate_of_either_version_and_are_heard() {
    // The second is not the group that the client prefers, and has to be asked for.
    for (version, group) in
        [(Version::Dtls12, Group::X25519), (Version::Dtls13, Group::X25519), (Version::Dtls13, Group::P384)]
    {
        let (mut client, mut server) = (client_config(true), server_config());
        client.versions = vec![version];
        server.groups = vec![group];
        let mut pair = through_gate(1, Link::with_delay(Duration::from_millis(10)), client, server);
        assert!(pair.run_until(Duration::from_millis(200), is_connected), "{version:?} {}", pair.chart());
        assert_eq!(pair.left().connection.version(), Some(version));
        assert_eq!(pair.left().connection.group(), Some(group));
        pair.left_mut().send(b"Allocate");
        pair.right_mut().behind.as_mut().unwrap().send(b"here");
        pair.run_for(Duration::from_secs(1));
        assert_eq!(pair.right().behind.as_ref().unwrap().received, [b"Allocate"]);
        assert_eq!(pair.left().received, [b"here"]);
    }
}

#[test]
fn loss_does_not_keep_a_client_out() {
    for_each_seed(20, |seed| {
        let version = if seed % 2 == 0 { Version::Dtls12 } else { Version::Dtls13 };
        let mut client = client_config(true);
        client.versions = vec![version];
        let link = Link { loss: Loss::random(0.2), ..Link::with_delay(Duration::from_millis(10)) };
        let mut pair = through_gate(seed, link, client, server_config());
        assert!(pair.run_until(Duration::from_secs(25), is_connected), "{}", pair.chart());
    });
}

/// What a client sends next.
fn transmit(client: &mut Connection, now: Instant) -> Vec<u8> {
    let mut datagram = Vec::new();
    client.poll_transmit(now, &mut datagram).unwrap();
    datagram
}

#[test]
fn a_cookie_is_good_for_its_client_and_for_a_while() {
    for version in Version::ALL {
        let mut config = client_config(true);
        config.versions = vec![version];
        let (start, mut rng) = (origin(), Rng::from_test_seed(7));
        let mut gate = Gate::new(start, server_config(), rng.fork());
        let mut client = Connection::client(config, rng.fork());
        client.start(start, None);
        let mut reply = Vec::new();
        assert!(gate.handle_datagram(start, CLIENT, &mut transmit(&mut client, start), &mut reply).is_none());
        client.handle_datagram(start, &mut reply, |_| {});
        let hello = transmit(&mut client, start);
        let mut admits = |now, client: &[u8]| {
            gate.handle_datagram(now, client, &mut hello.clone(), &mut Vec::new()).is_some()
        };
        assert!(!admits(start, b"192.0.2.1:4001") && !admits(start, b"192.0.2.1:400"));
        assert!(admits(start, CLIENT) && admits(start + Duration::from_secs(60), CLIENT));
        assert!(!admits(start + Duration::from_secs(121), CLIENT));
        for at in 0..hello.len() {
            let mut changed = hello.clone();
            changed[at] ^= 0x10;
            if let Some(connection) = gate.handle_datagram(start, CLIENT, &mut changed, &mut Vec::new()) {
                assert!(!connection.is_connected());
            }
        }
        // Another gate, as after a restart, asks again.
        let mut other = Gate::new(start, server_config(), rng.fork());
        let mut reply = Vec::new();
        assert!(other.handle_datagram(start, CLIENT, &mut hello.clone(), &mut reply).is_none());
        assert!(!reply.is_empty());
    }
}

#[test]
fn a_flood_of_first_hellos_gets_short_answers_and_no_connection() {
    let (start, mut rng) = (origin(), Rng::from_test_seed(9));
    let mut gate = Gate::new(start, server_config(), rng.fork());
    for n in 0..3_000_u32 {
        let mut config = client_config(true);
        config.versions = vec![Version::ALL[n as usize % 2]];
        if n % 3 == 0 {
            config.server_name = None;
        }
        let mut client = Connection::client(config, rng.fork());
        client.start(start, None);
        let (mut hello, mut reply) = (transmit(&mut client, start), Vec::new());
        assert!(gate.handle_datagram(start, &n.to_be_bytes(), &mut hello, &mut reply).is_none());
        assert!(!reply.is_empty() && reply.len() <= hello.len(), "{} to {}", reply.len(), hello.len());
    }
}

#[test]
fn what_is_no_whole_hello_gets_no_answer() {
    let (start, mut rng) = (origin(), Rng::from_test_seed(11));
    let mut gate = Gate::new(start, server_config(), rng.fork());
    let mut is_silent = |mut datagram: Vec<u8>| {
        let mut reply = Vec::new();
        gate.handle_datagram(start, CLIENT, &mut datagram, &mut reply).is_none() && reply.is_empty()
    };
    let mut client = Connection::client(client_config(true), rng.fork());
    client.start(start, None);
    let hello = transmit(&mut client, start);
    assert!((0..hello.len()).all(|len| is_silent(hello[..len].to_vec())));
    assert!((0..1_000).all(|_| {
        let mut garbage = vec![0; rng.below(100) as usize];
        rng.fill(&mut garbage);
        is_silent(garbage)
    }));
    // Epoch 1, an alert, and numbers that no hello has.
    for (at, value) in [(4, 1), (0, 21), (5, 1), (17, 1)] {
        let mut changed = hello.clone();
        changed[at] = value;
        assert!(is_silent(changed), "{at}");
    }
    // A share of a hybrid group makes a hello of two pieces.
    let (hybrid, _) = configs_of(Version::Dtls13);
    let mut client = Connection::client(hybrid, rng.fork());
    client.start(start, None);
    assert!(is_silent(transmit(&mut client, start)) && is_silent(transmit(&mut client, start)));
}

#[test]
fn a_chain_is_judged_by_its_verifier_alone() {
    let own = CERTIFICATES[1].der().to_vec();
    for version in Version::ALL {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&seen);
        let verifier = ChainVerifier::new(move |chain| {
            *told.lock().unwrap() = chain.to_vec();
            true
        });
        let mut client = Config::for_client(Provider::default(), None, verifier);
        client.versions = vec![version];
        let mut pair = through_gate(3, Link::default(), client, server_config());
        assert!(pair.run_until(Duration::from_secs(1), is_connected));
        assert_eq!(*seen.lock().unwrap(), std::slice::from_ref(&own));
        assert_eq!(pair.left().connection.peer_certificate().unwrap().der(), own);
        assert!(pair.right().behind.as_ref().unwrap().connection.peer_certificate().is_none());

        let mut client = client_config(false);
        client.versions = vec![version];
        let mut pair = through_gate(3, Link::default(), client, server_config());
        pair.run_for(Duration::from_secs(1));
        let reason = CloseReason::Handshake(HandshakeError::UntrustedCertificate);
        assert_eq!(pair.left().events, [Event::Closed(reason)]);
        assert!(!is_connected(&pair));
    }
}

#[test]
fn a_client_without_a_certificate_is_refused_where_one_is_asked_for() {
    for (version, error, alert) in [
        (Version::Dtls12, HandshakeError::NoCertificate, Alert::HANDSHAKE_FAILURE),
        (Version::Dtls13, HandshakeError::CertificateRequired, Alert::CERTIFICATE_REQUIRED),
    ] {
        let (mut client, server) = configs_of(version);
        client.certificate = None;
        let mut pair = super::ends(5, Link::default(), (client, server));
        pair.run_for(Duration::from_secs(1));
        assert_eq!(pair.right().events, [Event::Closed(CloseReason::Handshake(error))]);
        let told =
            |event: &Event| matches!(event, Event::Closed(CloseReason::FatalAlert(told)) if *told == alert);
        assert!(
            version == Version::Dtls12 || pair.left().events.iter().any(told),
            "{:?}",
            pair.left().events
        );
    }
}

#[test]
fn a_server_without_a_certificate_serves_nobody() {
    for version in Version::ALL {
        let (client, mut server) = configs_of(version);
        server.certificate = None;
        let mut pair = super::ends(5, Link::default(), (client, server));
        pair.run_for(Duration::from_secs(1));
        let reason = CloseReason::Handshake(HandshakeError::NoCommonParameters);
        assert_eq!(pair.right().events, [Event::Closed(reason)]);
    }
}

#[test]
fn the_server_is_told_its_name() {
    let (start, mut rng) = (origin(), Rng::from_test_seed(13));
    let mut client = Connection::client(client_config(true), rng.fork());
    client.start(start, None);
    let hello = transmit(&mut client, start);
    // RFC 6066 §3: server_name, a list with one host_name.
    let mut expected = vec![0, 0, 0, 21, 0, 19, 0, 0, 16];
    expected.extend_from_slice(b"turn.example.org");
    assert!(hello.windows(expected.len()).any(|window| window == expected));
}
