//! Many connections on one port, and what strangers do to them.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::indexing_slicing, reason = "test code")]

mod common;

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::num::NonZeroUsize;
use std::time::Duration;

use antiphon::{
    ConnectionState, DataChannelInit, Endpoint, EndpointStatistics, Message, PeerConnection,
    SessionDescription,
};
use antiphon_crypto::{HashAlgorithm, Provider};
use antiphon_stun::{Attribute, MessageBuilder, MessageType, TransactionId};
use antiphon_util::Writer;
use common::{Pair, builder, loopback, negotiate, pair_of, peer, soon};

async fn endpoint(shards: usize) -> Endpoint {
    let shards = NonZeroUsize::new(shards).unwrap();
    Endpoint::builder().bind(loopback()).shards(shards).build().await.unwrap()
}

async fn at(endpoint: &Endpoint) -> PeerConnection {
    PeerConnection::builder().endpoint(endpoint).build().await.unwrap()
}

/// A message each way.
async fn exchange(pair: &Pair, text: &str) {
    soon(pair.near.send(text)).await.unwrap();
    assert_eq!(soon(pair.far.recv()).await.unwrap(), Message::from(text));
    soon(pair.far.send(text)).await.unwrap();
    assert_eq!(soon(pair.near.recv()).await.unwrap(), Message::from(text));
}

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

/// A STUN binding request, signed where there is a password.
fn request(username: &str, password: Option<&str>, number: u64) -> Vec<u8> {
    let mut id = [0; 12];
    id[..8].copy_from_slice(&number.to_be_bytes());
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes);
    let mut builder = MessageBuilder::new(&mut writer, MessageType::BINDING_REQUEST, TransactionId(id));
    builder.attribute(&Attribute::Username(username));
    builder.attribute(&Attribute::Priority(1));
    builder.attribute(&Attribute::IceControlling(u64::MAX));
    if let Some(password) = password {
        builder.message_integrity(&Provider::default().hmac_key(HashAlgorithm::Sha1, password.as_bytes()));
    }
    builder.fingerprint();
    builder.finish().unwrap();
    bytes
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

/// Bytes of memory that this process has in use, where the system tells.
fn resident_memory() -> Option<usize> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    Some(statm.split(' ').nth(1)?.parse::<usize>().ok()? * 4096)
}
