//! Peers that vanish, and datagrams that nobody asked for.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::indexing_slicing, reason = "test code")]

mod common;

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use antiphon::{
    ConnectionError, ConnectionState, Consent, DataChannelInit, Event, Message, PeerConnection, ReadyState,
    RecvError, SendError, ShutdownError,
};
use common::{builder, loopback, negotiate, pair_of, pattern, peer, soon};

/// The addresses in the candidates of a description.
fn addresses(peer: &PeerConnection) -> Vec<SocketAddr> {
    let sdp = peer.local_description().unwrap().sdp;
    let candidates = sdp.lines().filter_map(|line| line.strip_prefix("a=candidate:"));
    candidates
        .map(|candidate| {
            let fields: Vec<&str> = candidate.split(' ').collect();
            SocketAddr::new(fields[4].parse().unwrap(), fields[5].parse().unwrap())
        })
        .collect()
}

/// Sends what looks like each protocol of the stack, and noise, to `address`.
fn pelt(address: SocketAddr, rounds: u32) {
    let socket = UdpSocket::bind(loopback()).unwrap();
    for round in 0..rounds {
        let mut datagram = pattern(1 + (round as usize * 37) % 1_400, round);
        // STUN, DTLS handshake, alert and data, SRTP, and the bytes between (RFC 7983 §7).
        datagram[0] = [0, 1, 22, 21, 23, 20, 128, 200, 64, 255][round as usize % 10];
        socket.send_to(&datagram, address).unwrap();
        socket.send_to(&[], address).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_on_every_port_changes_nothing_before_during_and_after_setup() {
    const ROUNDS: u32 = 500;
    let (offerer, answerer) = (peer().await, peer().await);
    let near = offerer.create_data_channel("test", DataChannelInit::default()).unwrap();
    offerer.set_local_description(None).await.unwrap();
    offerer.gathering_complete().await.unwrap();
    pelt(addresses(&offerer)[0], ROUNDS);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(offerer.connection_state(), ConnectionState::New);
    answerer.set_remote_description(offerer.local_description().unwrap()).await.unwrap();
    answerer.set_local_description(None).await.unwrap();
    answerer.gathering_complete().await.unwrap();
    let targets = [addresses(&offerer)[0], addresses(&answerer)[0]];
    let during = targets.map(|target| std::thread::spawn(move || pelt(target, ROUNDS)));
    offerer.set_remote_description(answerer.local_description().unwrap()).await.unwrap();
    let far = soon(answerer.accept_data_channel()).await.unwrap();
    for thread in during {
        thread.join().unwrap();
    }
    for round in 0..20 {
        targets.into_iter().for_each(|target| pelt(target, ROUNDS / 10));
        soon(near.send(format!("message {round}"))).await.unwrap();
        assert_eq!(soon(far.recv()).await.unwrap(), Message::from(format!("message {round}")));
    }
    assert_eq!(offerer.connection_state(), ConnectionState::Connected);
    assert_eq!(answerer.connection_state(), ConnectionState::Connected);
}

#[test]
fn a_peer_that_vanishes_is_disconnected_then_failed_and_every_future_wakes() {
    let runtime =
        || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (here, there) = (runtime(), runtime());
    here.block_on(async {
        let quick = builder().consent(Consent {
            period: Duration::from_millis(100),
            disconnected_after: Duration::from_millis(300),
            expiry: Duration::from_secs(1),
        });
        let offerer = quick.build().await.unwrap();
        let answerer = there.spawn(peer()).await.unwrap();
        let pair = pair_of(offerer, answerer).await;
        let (pc, near) = (pair.offerer.clone(), pair.near.clone());
        // The runtime takes the peer's task and sockets with it, and nothing is said.
        there.shutdown_background();
        let vanished = Instant::now();
        let full = tokio::spawn({
            let near = near.clone();
            async move {
                loop {
                    if let Err(error) = near.send(vec![0; 16 * 1024]).await {
                        return error;
                    }
                }
            }
        });
        let (received, accepted, (), shut) = soon(async {
            let wait = async {
                tokio::time::sleep(Duration::from_millis(10)).await;
                near.recv().await
            };
            tokio::join!(wait, pc.accept_data_channel(), near.closed(), async { full.await.unwrap() })
        })
        .await;
        assert!(vanished.elapsed() >= Duration::from_millis(900), "consent lasts its time");
        assert_eq!(received, Err(RecvError::Failed));
        assert_eq!(accepted.unwrap_err(), ConnectionError::Failed);
        assert_eq!(shut, SendError::Failed);
        let mut states = Vec::new();
        while states.last() != Some(&ConnectionState::Failed) {
            if let Event::ConnectionStateChange(state) = soon(pc.next_event()).await.unwrap() {
                states.push(state);
            }
        }
        use ConnectionState::{Connected, Connecting, Disconnected, Failed};
        assert_eq!(states, [Connecting, Connected, Disconnected, Failed]);
        assert_eq!(pc.connected().await, Err(ConnectionError::Failed));
        assert_eq!(soon(pc.shutdown()).await, Err(ShutdownError::Failed));
        assert_eq!(pc.connection_state(), ConnectionState::Closed);
    });
}

#[tokio::test]
async fn a_wrong_fingerprint_fails_and_delivers_nothing() {
    let (offerer, answerer, other) = (peer().await, peer().await, peer().await);
    let near = offerer.create_data_channel("test", DataChannelInit::default()).unwrap();
    let fingerprint =
        |sdp: &str| sdp.lines().find(|line| line.starts_with("a=fingerprint:")).unwrap().to_owned();
    other.create_data_channel("other", DataChannelInit::default()).unwrap();
    let wrong = fingerprint(&other.create_offer().await.unwrap().sdp);
    offerer.set_local_description(None).await.unwrap();
    offerer.gathering_complete().await.unwrap();
    let mut offer = offerer.local_description().unwrap();
    offer.sdp = offer.sdp.replace(&fingerprint(&offer.sdp), &wrong);
    answerer.set_remote_description(offer).await.unwrap();
    answerer.set_local_description(None).await.unwrap();
    answerer.gathering_complete().await.unwrap();
    offerer.set_remote_description(answerer.local_description().unwrap()).await.unwrap();
    let _ = near.try_send("secret");
    assert_eq!(soon(answerer.accept_data_channel()).await.unwrap_err(), ConnectionError::Failed);
    assert_eq!(answerer.connection_state(), ConnectionState::Failed);
    assert_ne!(near.ready_state(), ReadyState::Open);
}

#[tokio::test]
async fn a_connection_between_two_that_never_meet_is_still_closed_at_once() {
    let (offerer, answerer) = (peer().await, peer().await);
    let near = offerer.create_data_channel("test", DataChannelInit::default()).unwrap();
    negotiate(&offerer, &answerer).await;
    offerer.close();
    soon(offerer.closed()).await;
    assert_eq!(near.send("late").await, Err(SendError::Closed));
}
