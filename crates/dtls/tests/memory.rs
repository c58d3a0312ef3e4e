//! What an established connection holds, keys of the provider included, as the operating system counts it.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::sync::Arc;
use std::time::Duration;

use antiphon_crypto::{Certificate, HashAlgorithm, Provider};
use antiphon_dtls::{Config, Connection, Version};
use antiphon_util::Rng;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

const COUNT: usize = 1_000;

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
    // Keys of the handshake are kept for a while; then they go.
    let later = now + Duration::from_secs(600);
    client.handle_timeout(later);
    server.handle_timeout(later);
    while client.poll_event().or(server.poll_event()).is_some() {}
    assert!(client.is_connected() && server.is_connected());
    [client, server]
}

#[test]
fn an_established_connection_holds_few_kilobytes() {
    let certificate = Arc::new(Certificate::generate(Provider::default()).unwrap());
    let mut kept = Vec::new();
    for version in Version::ALL {
        // What the allocator keeps after the first ones does not count.
        kept.extend((0..COUNT).map(|seed| connected(version, &certificate, seed as u64)));
        kept.reserve(COUNT);
        let before = resident();
        let region = Region::new(ALLOCATOR);
        kept.extend((0..COUNT).map(|seed| connected(version, &certificate, seed as u64)));
        let each = (resident() - before) / (2 * COUNT);
        let stats = region.change();
        let held = (stats.bytes_allocated - stats.bytes_deallocated) / (2 * COUNT) + size_of::<Connection>();
        println!("{version:?}: {each} bytes a connection, {held} of them allocated by Rust code");
        assert!(held < 4_096, "{version:?}: {held}");
        assert!(each < 5_120, "{version:?}: {each}");
    }
}
