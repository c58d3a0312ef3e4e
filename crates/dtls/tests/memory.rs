//! What an established connection holds, keys of the provider included, as the operating system counts it.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::sync::Arc;
use std::time::Duration;

use antiphon_crypto::{Certificate, HashAlgorithm, Provider};
use antiphon_dtls::{Config, Connection, Version};
use antiphon_util::Rng;

const COUNT: usize = 400;

/// Bytes that the process has in memory.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    4_096 * pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap()
}

fn connected(version: Version, certificate: &Arc<Certificate>, seed: u64) -> [Connection; 2] {
    let announced = vec![certificate.fingerprint(HashAlgorithm::Sha256)];
    let mut config = Config::for_webrtc(Provider::default(), certificate.clone(), announced);
    config.versions = vec![version];
    let mut client = Connection::client(config.clone(), Rng::from_test_seed(2 * seed));
    let mut server = Connection::server(config, Rng::from_test_seed(2 * seed + 1));
    let now = antiphon_testkit::origin();
    client.start(now, Some(Duration::from_secs(1)));
    server.start(now, Some(Duration::from_secs(1)));
    let mut datagram = Vec::new();
    for _ in 0..4 {
        while client.poll_transmit(now, &mut datagram).is_some() {
            server.handle_datagram(now, &mut std::mem::take(&mut datagram), |_| {});
        }
        while server.poll_transmit(now, &mut datagram).is_some() {
            client.handle_datagram(now, &mut std::mem::take(&mut datagram), |_| {});
        }
    }
    // Data frees the last flight of 1.2.
    let mut record = vec![0; client.headroom() + 10];
    client.seal_in_place(&mut record, 0).unwrap();
    server.handle_datagram(now, &mut record, |_| {});
    assert!(client.is_connected() && server.is_connected());
    [client, server]
}

#[test]
fn an_established_connection_holds_few_kilobytes() {
    let certificate = Arc::new(Certificate::generate(Provider::default()).unwrap());
    for version in Version::ALL {
        // What the allocator keeps after the first does not count.
        let first: Vec<_> = (0..COUNT).map(|seed| connected(version, &certificate, seed as u64)).collect();
        let before = resident();
        let second: Vec<_> = (0..COUNT).map(|seed| connected(version, &certificate, seed as u64)).collect();
        let each = (resident() - before) / (2 * COUNT);
        println!("{version:?}: {each} bytes a connection");
        assert!(each < 8_192, "{version:?}: {each}");
        drop((first, second));
    }
}
