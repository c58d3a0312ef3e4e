//! Many connections on one port, and what strangers do to them.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::indexing_slicing, reason = "test code")]

mod common;

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use antiphon::{ConnectionState, DataChannelInit, Endpoint, EndpointStatistics, SessionDescription};
use common::{at, builder, endpoint, exchange, negotiate, pair_of, peer, request, soon};

/// Waits until `reached` holds.
async fn until(endpoint: &Endpoint, reached: impl Fn(EndpointStatistics) -> bool) {
    soon(async {
        while !reached(endpoint.statistics()) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

/// The value of an attribute in a description.
fn attribute(description: &SessionDescription, name: &str) -> String {
    let lines = description.sdp.lines();
    lines
        .filter_map(|line| line.strip_prefix("a=")?.strip_prefix(name)?.strip_prefix(':'))
        .next()
        .unwrap()
        .into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_connections_share_one_port_whoever_offers() {
    for shards in [1, 3] {
        let endpoint = endpoint(shards).await;
        let mut pairs = Vec::new();
        for round in 0..20 {
            let (left, right) = (peer().await, at(&endpoint).await);
            pairs.push(if round % 2 == 0 { pair_of(left, right).await } else { pair_of(right, left).await });
        }
        let [local] = endpoint.local_addresses()[..] else { panic!("more than one address") };
        for (round, pair) in pairs.iter().enumerate() {
            exchange(pair, &format!("message {round}")).await;
            let shared = if round % 2 == 0 { &pair.answerer } else { &pair.offerer };
            assert_eq!(shared.statistics().selected_path.unwrap().local, local);
        }
        assert_eq!(endpoint.statistics().connections, 20);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_left_of_a_connection_that_is_gone() {
    let endpoint = endpoint(1).await;
    let pair = pair_of(peer().await, at(&endpoint).await).await;
    let other = pair_of(peer().await, at(&endpoint).await).await;
    exchange(&pair, "here").await;
    let client = pair.offerer.statistics().selected_path.unwrap().local;
    let ufrag = attribute(&pair.answerer.local_description().unwrap(), "ice-ufrag");
    pair.answerer.close();
    soon(pair.answerer.closed()).await;
    until(&endpoint, |statistics| statistics.connections == 1).await;
    soon(pair.offerer.ended()).await;
    pair.offerer.close();
    soon(pair.offerer.closed()).await;
    // Neither its user fragment nor its peer's address lead anywhere now.
    let unknown = endpoint.statistics().datagrams_unknown;
    let socket = UdpSocket::bind(client).unwrap();
    socket.send_to(&request(&format!("{ufrag}:x"), None, 1), endpoint.local_addresses()[0]).unwrap();
    socket.send_to(&[22, 254, 253, 0], endpoint.local_addresses()[0]).unwrap();
    until(&endpoint, |statistics| statistics.datagrams_unknown >= unknown + 2).await;
    exchange(&other, "still here").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_lives_as_long_as_its_connections() {
    let endpoint = endpoint(1).await;
    let local = endpoint.local_addresses()[0];
    let right = at(&endpoint).await;
    drop(endpoint);
    let pair = pair_of(peer().await, right).await;
    exchange(&pair, "without a handle").await;
    drop(pair);
    soon(async {
        while UdpSocket::bind(local).is_err() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_may_have_sockets_of_its_own_beside_the_endpoint() {
    let endpoint = endpoint(1).await;
    let both = builder().endpoint(&endpoint).build().await.unwrap();
    let pair = pair_of(both, peer().await).await;
    let sdp = pair.offerer.local_description().unwrap().sdp;
    assert_eq!(sdp.matches("a=candidate:").count(), 2);
    exchange(&pair, "either way").await;
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_forges_the_address_of_another_does_not_get_its_datagrams() {
    let endpoint = endpoint(1).await;
    let target = endpoint.local_addresses()[0];
    // The victim's port can be bound a second time, which is how the test forges its address.
    let victim_port = self::endpoint(2).await;
    let victim = pair_of(at(&victim_port).await, at(&endpoint).await).await;
    exchange(&victim, "before").await;
    // The forger is a peer in its own right: it knows its credentials.
    let (forger, its_server) = (peer().await, at(&endpoint).await);
    forger.create_data_channel("test", DataChannelInit::default()).unwrap();
    negotiate(&forger, &its_server).await;
    soon(its_server.connected()).await.unwrap();
    let (ours, theirs) = (forger.local_description().unwrap(), its_server.local_description().unwrap());
    let username = format!("{}:{}", attribute(&theirs, "ice-ufrag"), attribute(&ours, "ice-ufrag"));
    let password = attribute(&theirs, "ice-pwd");
    let forged = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).unwrap();
    forged.set_reuse_port(true).unwrap();
    forged.bind(&victim_port.local_addresses()[0].into()).unwrap();
    // Connected elsewhere, it takes none of what the endpoint sends to the victim.
    forged.connect(&loopback_discard().into()).unwrap();
    let received = its_server.statistics().datagrams_received;
    for number in 0..100 {
        forged.send_to(&request(&username, Some(&password), number), &target.into()).unwrap();
        exchange(&victim, "meanwhile").await;
    }
    assert!(its_server.statistics().datagrams_received > received, "the forged checks arrived");
    drop(forged);
    exchange(&victim, "after").await;
    assert_eq!(victim.offerer.connection_state(), ConnectionState::Connected);
}

/// The port of the discard protocol, where nobody listens.
fn loopback_discard() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 9))
}
