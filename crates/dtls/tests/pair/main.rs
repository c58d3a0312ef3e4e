//! Two ends over a simulated network in simulated time.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail")]

mod attacks;
mod captures;
mod connection_ids;
mod corpora;
mod dimpl;
mod gate;
mod handshake;
mod loss;
mod packets;

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use antiphon_crypto::{Certificate, HashAlgorithm, Provider};
use antiphon_dtls::{Config, Connection, Event, Version};
use antiphon_testkit::{DatagramEndpoint, Link, Pair};
use antiphon_util::Rng;

/// Certificates of the left end, the right end and of somebody else, made once.
pub(crate) static CERTIFICATES: LazyLock<[Arc<Certificate>; 3]> =
    LazyLock::new(|| std::array::from_fn(|_| Arc::new(Certificate::generate(Provider::default()).unwrap())));

/// A connection with what it told and received.
pub(crate) struct End {
    pub(crate) connection: Connection,
    pub(crate) events: Vec<Event>,
    pub(crate) received: Vec<Vec<u8>>,
    outgoing: Vec<Vec<u8>>,
}

impl End {
    pub(crate) fn new(connection: Connection) -> Self {
        Self { connection, events: Vec::new(), received: Vec::new(), outgoing: Vec::new() }
    }

    /// Queues a record with `plaintext`.
    pub(crate) fn send(&mut self, plaintext: &[u8]) {
        let mut record = vec![0; self.connection.headroom()];
        record.extend_from_slice(plaintext);
        self.connection.seal_in_place(&mut record, 0).unwrap();
        self.outgoing.push(record);
    }
}

impl DatagramEndpoint for End {
    fn handle_datagram(&mut self, now: Instant, datagram: &mut [u8]) {
        self.connection.handle_datagram(now, datagram, |plaintext| self.received.push(plaintext.to_vec()));
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.connection.handle_timeout(now);
    }

    fn poll_transmit(&mut self, now: Instant, buf: &mut Vec<u8>) -> Option<usize> {
        if let Some(len) = self.connection.poll_transmit(now, buf) {
            return Some(len);
        }
        if self.outgoing.is_empty() {
            return None;
        }
        let record = self.outgoing.remove(0);
        buf.extend_from_slice(&record);
        Some(record.len())
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        self.connection.poll_timeout()
    }

    fn settle(&mut self, _: Instant) {
        self.events.extend(std::iter::from_fn(|| self.connection.poll_event()));
    }
}

pub(crate) type Ends = Pair<End, End>;

/// Configurations of two ends that know each other's certificate.
pub(crate) fn configs() -> (Config, Config) {
    let [left, right, _] = &*CERTIFICATES;
    let config = |ours: &Arc<Certificate>, theirs: &Certificate| {
        let announced = vec![theirs.fingerprint(HashAlgorithm::Sha256)];
        Config::for_webrtc(Provider::default(), ours.clone(), announced)
    };
    (config(left, right), config(right, left))
}

/// The same, of ends that speak `version` alone.
pub(crate) fn configs_of(version: Version) -> (Config, Config) {
    let (mut client, mut server) = configs();
    client.versions = vec![version];
    server.versions = vec![version];
    (client, server)
}

/// A client on the left and a server on the right, started.
pub(crate) fn ends(seed: u64, link: Link, (client, server): (Config, Config)) -> Ends {
    let mut rng = Rng::from_test_seed(seed);
    let round_trip_time = 2 * (link.delay + link.jitter / 2);
    let client = End::new(Connection::client(client, rng.fork()));
    let server = End::new(Connection::server(server, rng.fork()));
    let mut pair = Pair::new(seed, link, client, server);
    let now = pair.now();
    pair.left_mut().connection.start(now, Some(round_trip_time));
    pair.right_mut().connection.start(now, Some(round_trip_time));
    pair
}

pub(crate) fn both_connected(pair: &Ends) -> bool {
    pair.left().connection.is_connected() && pair.right().connection.is_connected()
}

/// Two ends that have finished their handshake.
pub(crate) fn connected(seed: u64, version: Version) -> Ends {
    let mut pair = ends(seed, Link::with_delay(Duration::from_millis(10)), configs_of(version));
    assert!(pair.run_until(Duration::from_secs(1), both_connected), "{}", pair.chart());
    pair.run_for(Duration::from_millis(100));
    pair
}

/// Both ends export the same, and data goes both ways.
pub(crate) fn assert_usable(pair: &mut Ends) {
    let export = |end: &End| {
        let mut out = [0; 60];
        end.connection.export_keying_material(b"EXTRACTOR-dtls_srtp", None, &mut out).unwrap();
        out
    };
    assert_eq!(export(pair.left()), export(pair.right()));
    assert_eq!(pair.left().connection.cipher_suite(), pair.right().connection.cipher_suite());
    assert_eq!(pair.left().connection.version(), pair.right().connection.version());
    assert_eq!(pair.left().connection.srtp_profile(), pair.right().connection.srtp_profile());
    pair.set_link(Link::default());
    pair.left_mut().send(b"from the client");
    pair.right_mut().send(b"from the server");
    pair.run_for(Duration::from_secs(60));
    assert_eq!(
        pair.left().received.last().map(Vec::as_slice),
        Some(&b"from the server"[..]),
        "{}",
        pair.chart()
    );
    assert_eq!(
        pair.right().received.last().map(Vec::as_slice),
        Some(&b"from the client"[..]),
        "{}",
        pair.chart()
    );
    assert_eq!(pair.left().events, [Event::Connected]);
    assert_eq!(pair.right().events, [Event::Connected]);
}
