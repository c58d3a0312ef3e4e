//! What spoofed requests make a server hold, as the allocator counts it.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::alloc::System;
use std::net::{IpAddr, SocketAddr};
use std::time::SystemTime;

use antiphon_crypto::Provider;
use antiphon_stun::{
    Attribute, Class, MessageBuilder, MessageType, Method, TransactionId, TransportProtocol,
};
use antiphon_testkit::origin;
use antiphon_turn::server::{Config, Server};
use antiphon_util::{ClockAnchor, Path, Received, Rng, Writer};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The request number `n`, from an address and with a transaction of its own.
fn request(n: u32, method: Method) -> (SocketAddr, Vec<u8>) {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes);
    let kind = MessageType::new(method, Class::Request);
    let mut id = [0; 12];
    Rng::from_test_seed(n.into()).fill(&mut id);
    let mut builder = MessageBuilder::new(&mut writer, kind, TransactionId(id));
    builder.attribute(&Attribute::RequestedTransport(TransportProtocol::UDP));
    builder.finish().unwrap();
    (SocketAddr::new(IpAddr::from((0x0b00_0000 + n * 7_919).to_be_bytes()), 1_000), bytes)
}

/// The only test here: the allocator counts all threads.
#[test]
fn three_thousand_spoofed_requests_cost_under_a_megabyte() {
    let now = origin();
    let mut config =
        Config::new(Provider::default(), ClockAnchor::new(now, SystemTime::UNIX_EPOCH), "example.org");
    config.users.passwords.insert("alice".to_owned(), "wonderland".to_owned());
    config.relays.push(IpAddr::from([198, 41, 0, 4]).into());
    for method in [Method::ALLOCATE, Method::REFRESH, Method::BINDING] {
        let requests: Vec<_> = (0..3_000).map(|n| request(n, method)).collect();
        let region = Region::new(ALLOCATOR);
        let mut server = Server::new(now, config.clone(), Rng::from_test_seed(1));
        for (source, mut datagram) in requests {
            let path = Path::udp(SocketAddr::from(([198, 41, 0, 4], 3_478)), source);
            server.handle_receive(now, Received { path, ecn: None, datagram: &mut datagram });
        }
        // Nothing was fetched: the answers wait, and count.
        assert!(server.has_output());
        let change = region.change();
        let held = change.bytes_allocated as i64 - change.bytes_deallocated as i64;
        assert!(held < 1_000_000, "{method:?}: {held} bytes");
        while server.poll_transmit(now, &mut Vec::new()).is_some() {}
    }
}
