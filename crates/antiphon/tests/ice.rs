//! Restarts of ICE, and what each of its settings does.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use antiphon::{
    AddressPolicy, AddressRewrite, Candidate, CandidatePairStatistics, CheckBudget, ConnectionState, Consent,
    DataChannelInit, Endpoint, Event, IceCandidate, IceConfiguration, IceGatheringState, IceTransportPolicy,
    OfferOptions, PeerConnection, SessionDescription,
};
use common::{Pair, at, builder, exchange, loopback, negotiate, pair, pair_of, peer, soon};
use tokio::net::UdpSocket;
use tokio::task::AbortHandle;

fn plain() -> IceConfiguration {
    IceConfiguration::default()
}

async fn with(ice: IceConfiguration) -> PeerConnection {
    builder().ice(ice).build().await.unwrap()
}

/// The offer of a connection, with all candidates.
async fn offer(connection: &PeerConnection) -> SessionDescription {
    connection.create_data_channel("test", DataChannelInit::default()).unwrap();
    connection.set_local_description(None).await.unwrap();
    soon(connection.gathering_complete()).await.unwrap();
    connection.local_description().unwrap()
}

fn ufrag(connection: &PeerConnection) -> String {
    let sdp = connection.local_description().unwrap().sdp;
    sdp.lines().find_map(|line| line.strip_prefix("a=ice-ufrag:")).unwrap().to_owned()
}

async fn until(reached: impl Fn() -> bool) {
    soon(async {
        while !reached() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

/// The pairs of a connection that has been told of a candidate at `remote`.
async fn pairs_with(connection: &PeerConnection, remote: &str) -> Vec<CandidatePairStatistics> {
    let other = peer().await;
    other.set_remote_description(offer(connection).await).await.unwrap();
    other.set_local_description(None).await.unwrap();
    soon(other.gathering_complete()).await.unwrap();
    let answer = without_candidates(&other.local_description().unwrap());
    connection.set_remote_description(answer).await.unwrap();
    let (ip, port) = remote.rsplit_once(' ').unwrap();
    let candidate = IceCandidate {
        candidate: format!("candidate:1 1 udp 1 {ip} {port} typ host"),
        sdp_mid: Some("0".into()),
        ..IceCandidate::default()
    };
    connection.add_ice_candidate(candidate).await.unwrap();
    connection.statistics().candidate_pairs
}

fn without_candidates(description: &SessionDescription) -> SessionDescription {
    let is_kept = |line: &&str| !line.starts_with("a=candidate") && !line.starts_with("a=end-of-candidates");
    let lines = description.sdp.lines().filter(is_kept);
    SessionDescription { sdp: lines.map(|line| format!("{line}\r\n")).collect(), ..description.clone() }
}

/// A port that passes datagrams on between two connections until it is cut.
struct Middle {
    local: SocketAddr,
    task: AbortHandle,
}

impl Middle {
    async fn before(target: SocketAddr) -> Self {
        let (front, back) =
            (UdpSocket::bind(loopback()).await.unwrap(), UdpSocket::bind(loopback()).await.unwrap());
        let local = front.local_addr().unwrap();
        let task = tokio::spawn(async move {
            let (mut one, mut other, mut client) = ([0; 2_000], [0; 2_000], None);
            loop {
                tokio::select! {
                    Ok((len, from)) = front.recv_from(&mut one) => {
                        client = Some(from);
                        let _ = back.send_to(&one[..len], target).await;
                    }
                    Ok((len, _)) = back.recv_from(&mut other) => {
                        if let Some(client) = client {
                            let _ = front.send_to(&other[..len], client).await;
                        }
                    }
                }
            }
        });
        Self { local, task: task.abort_handle() }
    }
}

#[tokio::test]
async fn a_restart_is_asked_for_and_the_channels_stay() {
    let pair = pair().await;
    let before = [ufrag(&pair.offerer), ufrag(&pair.answerer)];
    for round in 0..3 {
        if round == 2 {
            let offer = pair.offerer.create_offer_with(OfferOptions { ice_restart: true }).await.unwrap();
            pair.offerer.set_local_description(offer).await.unwrap();
        } else {
            pair.offerer.restart_ice();
            while !matches!(soon(pair.offerer.next_event()).await.unwrap(), Event::NegotiationNeeded) {}
        }
        negotiate(&pair.offerer, &pair.answerer).await;
        assert!(!before.contains(&ufrag(&pair.offerer)) && !before.contains(&ufrag(&pair.answerer)));
        exchange(&pair, "after a restart").await;
    }
}

#[tokio::test]
async fn a_connection_that_failed_comes_back_by_a_restart_with_its_channels() {
    let impatient = Consent {
        period: Duration::from_millis(50),
        disconnected_after: Duration::from_millis(50),
        expiry: Duration::from_millis(500),
    };
    let (offerer, answerer) = (
        builder().consent(impatient).build().await.unwrap(),
        builder().consent(impatient).build().await.unwrap(),
    );
    let near = offerer.create_data_channel("test", DataChannelInit::default()).unwrap();
    // Each learns of the other what lies behind the middle alone.
    answerer
        .set_remote_description(without_candidates(&{
            offerer.set_local_description(None).await.unwrap();
            offerer.local_description().unwrap()
        }))
        .await
        .unwrap();
    answerer.set_local_description(None).await.unwrap();
    soon(answerer.gathering_complete()).await.unwrap();
    let [Candidate { address, .. }] = answerer.statistics().local_candidates[..] else {
        panic!("one address")
    };
    let middle = Middle::before(address).await;
    let answer = answerer.local_description().unwrap();
    let sdp =
        answer.sdp.replace(&format!(" {} typ", address.port()), &format!(" {} typ", middle.local.port()));
    offerer.set_remote_description(SessionDescription { sdp, ..answer }).await.unwrap();
    let far = soon(answerer.accept_data_channel()).await.unwrap();
    let pair = Pair { offerer, answerer, near, far };
    exchange(&pair, "before").await;
    middle.task.abort();
    for connection in [&pair.offerer, &pair.answerer] {
        until(|| connection.connection_state() == ConnectionState::Failed).await;
        assert!(connection.connected().await.is_err());
    }
    assert!(pair.near.send("meanwhile").await.is_err() && pair.far.recv().await.is_err());
    pair.offerer.restart_ice();
    negotiate(&pair.offerer, &pair.answerer).await;
    soon(pair.offerer.connected()).await.unwrap();
    soon(pair.answerer.connected()).await.unwrap();
    exchange(&pair, "after").await;
    assert_eq!(pair.offerer.statistics().selected_path.unwrap().remote, address);
}

#[tokio::test]
async fn the_statistics_name_the_pair_in_use() {
    let pair = pair().await;
    exchange(&pair, "hello").await;
    let (ours, theirs) = (pair.offerer.statistics(), pair.answerer.statistics());
    let selected = ours.candidate_pairs.iter().find(|pair| pair.selected).unwrap();
    assert_eq!(selected.path.local, ours.local_candidates[0].address);
    assert_eq!(selected.path.remote, theirs.local_candidates[0].address);
    assert!(selected.packets_sent > 0 && selected.packets_received > 0 && selected.responses_received > 0);
}

#[tokio::test]
async fn lite_and_renomination_are_told_to_the_peer() {
    for lite in [false, true] {
        let pair = pair_of(with(IceConfiguration { lite, ..plain() }).await, peer().await).await;
        let sdp = pair.offerer.local_description().unwrap().sdp;
        assert_eq!(sdp.contains("a=ice-lite"), lite);
        exchange(&pair, "hello").await;
    }
    let offered = offer(&with(IceConfiguration { renomination: true, ..plain() }).await).await.sdp;
    assert!(offered.contains("renomination"), "{offered}");
}

#[tokio::test]
async fn policies_leave_out_addresses_of_ours_and_of_the_peers() {
    let deny = || AddressPolicy { deny: vec!["127.0.0.0/8".parse().unwrap()], ..AddressPolicy::default() };
    let offered = offer(&with(IceConfiguration { local_addresses: deny(), ..plain() }).await).await.sdp;
    assert!(!offered.contains("a=candidate"), "{offered}");
    for (remote_addresses, pairs) in [(deny(), 0), (AddressPolicy::default(), 1)] {
        let connection = with(IceConfiguration { remote_addresses, ..plain() }).await;
        assert_eq!(pairs_with(&connection, "127.0.0.1 9").await.len(), pairs);
    }
    let relayed = IceConfiguration { transport_policy: IceTransportPolicy::Relay, ..plain() };
    let offered = offer(&with(relayed).await).await.sdp;
    assert!(!offered.contains("a=candidate"), "{offered}");
}

#[tokio::test]
async fn an_address_is_told_as_others_see_it() {
    let external = "203.0.113.7".parse().unwrap();
    let local = Some(loopback().ip());
    let rewrite = |keep_local| IceConfiguration {
        address_rewrites: vec![AddressRewrite { local, external, keep_local }],
        ..plain()
    };
    for keep_local in [false, true] {
        let offered = offer(&with(rewrite(keep_local)).await).await.sdp;
        assert!(offered.contains(" 203.0.113.7 "), "{offered}");
        assert_eq!(offered.contains(" 127.0.0.1 "), keep_local, "{offered}");
    }
}

#[tokio::test]
async fn ipv4_is_reached_through_a_translator() {
    let ice = IceConfiguration { nat64_prefix: Some("64:ff9b::".parse().unwrap()), ..plain() };
    let connection =
        PeerConnection::builder().bind("[::1]:0".parse().unwrap()).ice(ice).build().await.unwrap();
    pairs_with(&connection, "192.0.2.1 9").await;
    let translated = "[64:ff9b::c000:201]:9".parse().unwrap();
    let tried = connection.statistics().remote_candidates;
    assert!(tried.iter().any(|candidate| candidate.address == translated), "{tried:?}");
}

#[tokio::test]
async fn names_take_the_place_of_addresses_up_to_the_limit() {
    let ice = IceConfiguration { publish_mdns: true, ..plain() };
    let offered = offer(&with(ice.clone()).await).await.sdp;
    assert!(offered.contains(".local ") && !offered.contains(" 127.0.0.1 "), "{offered}");
    let mut none = ice;
    none.mdns_limits.published_names = 0;
    let offered = offer(&with(none).await).await.sdp;
    assert!(!offered.contains("a=candidate"), "{offered}");
}

#[tokio::test]
async fn names_of_the_peer_are_left_aside_where_that_is_wanted() {
    let connection = with(IceConfiguration { resolve_mdns: false, ..plain() }).await;
    assert!(pairs_with(&connection, "name.local 9").await.is_empty());
    let dropped = connection.statistics().drops;
    assert!(dropped.iter().any(|(reason, count)| format!("{reason:?}") == "MdnsCandidate" && *count == 1));
}

#[tokio::test]
async fn a_pool_has_its_candidates_before_the_description() {
    let (pooled, other) = (with(IceConfiguration { candidate_pool_size: 1, ..plain() }).await, peer().await);
    for connection in [&pooled, &other] {
        connection.create_data_channel("test", DataChannelInit::default()).unwrap();
    }
    assert_eq!(
        (pooled.statistics().local_candidates.len(), other.statistics().local_candidates.len()),
        (1, 0)
    );
    pooled.set_local_description(None).await.unwrap();
    assert_eq!(pooled.ice_gathering_state(), IceGatheringState::Complete);
}

#[tokio::test]
async fn connections_of_an_endpoint_share_one_budget_of_checks() {
    const CHECKS: u32 = 6;
    let nobody = UdpSocket::bind(loopback()).await.unwrap();
    let remote = format!("127.0.0.1 {}", nobody.local_addr().unwrap().port());
    let endpoint = Endpoint::builder()
        .bind(loopback())
        .check_budget(CheckBudget::new(CHECKS, 10))
        .build()
        .await
        .unwrap();
    let connections = [at(&endpoint).await, at(&endpoint).await, at(&endpoint).await];
    for connection in &connections {
        pairs_with(connection, &remote).await;
    }
    // Beyond the budget a check counts as lost without being sent.
    let mut datagram = [0; 1_500];
    for _ in 0..CHECKS {
        soon(nobody.recv(&mut datagram)).await.unwrap();
    }
    let own = peer().await;
    pairs_with(&own, &remote).await;
    let sent = |connection: &PeerConnection| connection.statistics().datagrams_sent;
    until(|| sent(&own) >= 3).await;
    assert_eq!(connections.iter().map(sent).sum::<u64>(), u64::from(CHECKS));
}
