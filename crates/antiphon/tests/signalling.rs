//! Descriptions and candidates in the browser's JSON, trickled or complete.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

mod common;

use antiphon::{
    DataChannelInit, Event, IceCandidate, IceGatheringState, IceServer, Message, PeerConnection,
    SessionDescription, SignalingState,
};
use common::{builder, loopback, negotiate, peer, soon};

fn through_json<T: serde::Serialize + serde::de::DeserializeOwned>(value: &T) -> T {
    serde_json::from_str(&serde_json::to_string(value).unwrap()).unwrap()
}

/// Hands every candidate of `from` to `to` as JSON; how many there were.
async fn trickle(from: PeerConnection, to: PeerConnection) -> usize {
    let mut count = 0;
    while let Some(event) = from.next_event().await {
        if let Event::IceCandidate(candidate) = event {
            to.add_ice_candidate(candidate.as_ref().map(through_json::<IceCandidate>)).await.unwrap();
            match candidate {
                Some(_) => count += 1,
                None => break,
            }
        }
    }
    count
}

#[tokio::test]
async fn candidates_trickle_as_json() {
    let (offerer, answerer) = (peer().await, peer().await);
    let channel = offerer.create_data_channel("trickle", DataChannelInit::default()).unwrap();
    // The descriptions are taken before any candidate is in them.
    let offer = offerer.create_offer().await.unwrap();
    assert!(!offer.sdp.contains("a=candidate"));
    offerer.set_local_description(offer.clone()).await.unwrap();
    assert_eq!(offerer.signaling_state(), SignalingState::HaveLocalOffer);
    answerer.set_remote_description(through_json(&offer)).await.unwrap();
    assert_eq!(answerer.signaling_state(), SignalingState::HaveRemoteOffer);
    let answer = answerer.create_answer().await.unwrap();
    answerer.set_local_description(answer.clone()).await.unwrap();
    offerer.set_remote_description(through_json(&answer)).await.unwrap();
    assert_eq!(offerer.signaling_state(), SignalingState::Stable);
    let (near, far) = soon(async {
        tokio::join!(trickle(offerer.clone(), answerer.clone()), trickle(answerer.clone(), offerer.clone()))
    })
    .await;
    assert_eq!((near, far), (1, 1));
    soon(channel.send("trickled")).await.unwrap();
    let far = soon(answerer.accept_data_channel()).await.unwrap();
    assert_eq!(soon(far.recv()).await.unwrap(), Message::from("trickled"));
}

#[tokio::test]
async fn json_of_descriptions_is_that_of_browsers() {
    let offerer = peer().await;
    offerer.create_data_channel("json", DataChannelInit::default()).unwrap();
    let offer = offerer.create_offer().await.unwrap();
    let json: serde_json::Value = serde_json::to_value(&offer).unwrap();
    assert_eq!(json["type"], "offer");
    assert!(json["sdp"].as_str().unwrap().starts_with("v=0\r\n"));
    assert_eq!(through_json::<SessionDescription>(&offer), offer);
}

#[tokio::test]
async fn malformed_descriptions_and_candidates_change_nothing() {
    let (offerer, answerer) = (peer().await, peer().await);
    let channel = offerer.create_data_channel("later", DataChannelInit::default()).unwrap();
    let garbage = SessionDescription::offer("v=0\r\nwhat is this\r\n");
    assert!(answerer.set_remote_description(garbage).await.is_err());
    assert_eq!(answerer.signaling_state(), SignalingState::Stable);
    assert_eq!(answerer.remote_description(), None);
    let candidate = IceCandidate { candidate: "candidate:nonsense".to_owned(), ..IceCandidate::default() };
    assert!(answerer.add_ice_candidate(candidate).await.is_err());
    assert!(answerer.create_answer().await.is_err());
    negotiate(&offerer, &answerer).await;
    soon(channel.opened()).await.unwrap();
}

#[tokio::test]
async fn gathering_waits_for_servers_and_goes_on_without_them() {
    // Nobody answers there.
    let silent = std::net::UdpSocket::bind(loopback()).unwrap();
    let url = format!("stun:{}", silent.local_addr().unwrap());
    let peer = builder().ice_server(url.as_str()).build().await.unwrap();
    peer.create_data_channel("x", DataChannelInit::default()).unwrap();
    peer.set_local_description(None).await.unwrap();
    assert_eq!(peer.ice_gathering_state(), IceGatheringState::Gathering);
    soon(peer.gathering_complete()).await.unwrap();
    assert!(peer.local_description().unwrap().sdp.contains("a=candidate"));
}

#[tokio::test]
async fn unusable_servers_are_refused() {
    let name = |url: &'static str| async move {
        let server = IceServer { urls: vec![url.to_owned()], ..IceServer::default() };
        builder().ice_server(server).build().await.unwrap_err().name().to_string()
    };
    assert_eq!(name("turn:example.org").await, "InvalidAccessError", "it has no credentials");
    assert_eq!(name("turns:example.org?transport=udp").await, "InvalidAccessError", "nor has it");
    assert_eq!(name("stuns:example.org").await, "NotSupportedError");
    assert_eq!(name("example.org").await, "SyntaxError");
}
