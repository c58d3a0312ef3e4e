//! A flood at a shared port. It stands alone in its process, whose memory it watches.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::indexing_slicing, reason = "test code")]

mod common;

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use antiphon::ConnectionState;
use common::{at, endpoint, exchange, pair_of, peer, request};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_distinct_user_fragments_leaves_nothing_and_disturbs_nobody() {
    const FLOOD: u64 = 100_000;
    const SOURCES: u8 = 100;
    let endpoint = endpoint(1).await;
    let pair = pair_of(peer().await, at(&endpoint).await).await;
    let target = endpoint.local_addresses()[0];
    let before = resident_memory();
    let sockets: Vec<UdpSocket> = (1..=SOURCES)
        .map(|source| UdpSocket::bind(SocketAddr::from((Ipv4Addr::new(127, 0, 1, source), 0))).unwrap())
        .collect();
    let mut sent = 0;
    // The kernel drops what does not fit its buffer, so that more is sent than has to arrive.
    while endpoint.statistics().datagrams_unknown < FLOOD {
        for socket in &sockets {
            sent += 1;
            let _ =
                socket.send_to(&request(&format!("{sent:08x}:{sent:08x}"), Some("password"), sent), target);
        }
        if sent % 1_000 == 0 {
            exchange(&pair, "in the flood").await;
        }
        assert!(sent < 20 * FLOOD, "only {:?} arrived", endpoint.statistics());
    }
    exchange(&pair, "after the flood").await;
    assert_eq!(pair.answerer.connection_state(), ConnectionState::Connected);
    assert_eq!(endpoint.statistics().connections, 1);
    if let (Some(before), Some(after)) = (before, resident_memory()) {
        assert!(after < before + (16 << 20), "grew from {before} to {after} bytes");
    }
}

/// Bytes of memory that this process has in use, where the system tells.
fn resident_memory() -> Option<usize> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    Some(statm.split(' ').nth(1)?.parse::<usize>().ok()? * 4096)
}
