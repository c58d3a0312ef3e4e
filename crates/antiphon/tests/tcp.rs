//! Connections over TCP, and what strangers do to a listener.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::indexing_slicing, reason = "test code")]

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use antiphon::{
    DataChannelInit, Endpoint, EndpointLimits, EndpointStatistics, Message, PeerConnection,
    SessionDescription, Tcp,
};
use common::{Pair, at, builder, exchange, loopback, pattern, request, soon};

const ACTIVE: Tcp = Tcp { active: true, passive: false };
const PASSIVE: Tcp = Tcp { active: false, passive: true };
const BOTH: Tcp = Tcp { active: true, passive: true };

/// `peer`'s description without its candidates over UDP.
async fn without_udp(peer: &PeerConnection) -> SessionDescription {
    peer.set_local_description(None).await.unwrap();
    peer.gathering_complete().await.unwrap();
    let mut description = peer.local_description().unwrap();
    let is_udp = |line: &str| line.starts_with("a=candidate:") && line.contains(" udp ");
    let lines: Vec<_> = description.sdp.lines().filter(|line| !is_udp(line)).collect();
    description.sdp = lines.join("\r\n") + "\r\n";
    description
}

async fn pair_over_tcp(offerer: PeerConnection, answerer: PeerConnection) -> Pair {
    let near = offerer.create_data_channel("test", DataChannelInit::default()).unwrap();
    answerer.set_remote_description(without_udp(&offerer).await).await.unwrap();
    offerer.set_remote_description(without_udp(&answerer).await).await.unwrap();
    let far = soon(answerer.accept_data_channel()).await.unwrap();
    soon(near.opened()).await.unwrap();
    soon(far.opened()).await.unwrap();
    Pair { offerer, answerer, near, far }
}

async fn listening(limits: EndpointLimits) -> Endpoint {
    Endpoint::builder().bind(loopback()).tcp(PASSIVE).limits(limits).build().await.unwrap()
}

async fn until(endpoint: &Endpoint, reached: impl Fn(EndpointStatistics) -> bool) {
    soon(async {
        while !reached(endpoint.statistics()) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

/// Whether the other end has closed `stream`.
fn is_closed(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let read = stream.read(&mut [0; 1]);
    stream.set_nonblocking(false).unwrap();
    match read {
        Ok(count) => count == 0,
        Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn either_side_may_open_the_connection() {
    for (offering, answering) in [(ACTIVE, PASSIVE), (PASSIVE, ACTIVE), (BOTH, BOTH)] {
        let (offerer, answerer) = (builder().tcp(offering), builder().tcp(answering));
        let pair = pair_over_tcp(offerer.build().await.unwrap(), answerer.build().await.unwrap()).await;
        exchange(&pair, "over TCP").await;
        let path = pair.offerer.statistics().selected_path.unwrap();
        assert_eq!(format!("{:?}", path.protocol), "Tcp");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bulk_arrives_whole_and_in_order() {
    const MESSAGES: u32 = 200;
    let (offerer, answerer) = (builder().tcp(ACTIVE), builder().tcp(PASSIVE));
    let pair = pair_over_tcp(offerer.build().await.unwrap(), answerer.build().await.unwrap()).await;
    let Pair { near, far, .. } = &pair;
    let send = async {
        for seed in 0..MESSAGES {
            near.send(pattern(60_000, seed)).await.unwrap();
        }
    };
    let receive = async {
        for seed in 0..MESSAGES {
            assert_eq!(far.recv().await.unwrap(), Message::from(pattern(60_000, seed)));
        }
    };
    soon(async { tokio::join!(send, receive) }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_connections_share_one_listener() {
    let endpoint = listening(EndpointLimits::default()).await;
    let mut pairs = Vec::new();
    for round in 0..10 {
        let (left, right) = (builder().tcp(ACTIVE).build().await.unwrap(), at(&endpoint).await);
        let pair =
            if round % 2 == 0 { pair_over_tcp(left, right).await } else { pair_over_tcp(right, left).await };
        pairs.push(pair);
    }
    for (round, pair) in pairs.iter().enumerate() {
        exchange(pair, &format!("message {round}")).await;
        let shared = if round % 2 == 0 { &pair.answerer } else { &pair.offerer };
        assert_eq!(shared.statistics().selected_path.unwrap().local, endpoint.local_addresses()[0]);
    }
    assert!(endpoint.statistics().tcp_accepted >= 10);
    assert_eq!(endpoint.statistics().tcp_unknown, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_say_nothing_are_bounded_and_closed_and_disturb_nobody() {
    let mut limits = EndpointLimits::default();
    limits.tcp_pending_per_address = 20;
    limits.tcp_patience = Duration::from_secs(2);
    let endpoint = listening(limits).await;
    let local = endpoint.local_addresses()[0];
    let silent: Vec<_> = (0..200).map(|_| TcpStream::connect(local).unwrap()).collect();
    until(&endpoint, |statistics| statistics.tcp_accepted == 20 && statistics.tcp_refused == 180).await;
    // From another address there is still room.
    let other =
        PeerConnection::builder().bind("127.0.0.2:0".parse().unwrap()).tcp(ACTIVE).build().await.unwrap();
    let pair = pair_over_tcp(other, at(&endpoint).await).await;
    exchange(&pair, "meanwhile").await;
    until(&endpoint, |statistics| statistics.tcp_unknown == 20).await;
    drop(silent);
    let again = pair_over_tcp(builder().tcp(ACTIVE).build().await.unwrap(), at(&endpoint).await).await;
    exchange(&again, "afterwards").await;
    exchange(&pair, "still").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_for_nobody_are_closed_at_once() {
    let endpoint = listening(EndpointLimits::default()).await;
    let framed = |message: &[u8]| [&(message.len() as u16).to_be_bytes(), message].concat();
    let first_messages = [
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        framed(b""),
        framed(&[22, 254, 253, 0]),
        framed(&vec![0; 60_000]),
        framed(&request("nobody:here", Some("password"), 1)),
    ];
    for (round, first) in first_messages.iter().enumerate() {
        let mut stream = TcpStream::connect(endpoint.local_addresses()[0]).unwrap();
        let _ = stream.write_all(first);
        until(&endpoint, |statistics| statistics.tcp_unknown == round as u64 + 1).await;
        soon(async {
            while !is_closed(&mut stream) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
        .await;
    }
}
