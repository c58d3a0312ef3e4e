//! From offer to message, over good and bad networks.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "tests")]

mod common;

use std::time::Duration;

use antiphon_peer::{
    CandidatePairState, ConnectionState, DataChannelInit, DtlsState, Event, IceConnectionState,
    IceGatheringState, Message, SessionDescription, SignalingState,
};
use antiphon_testkit::{Link, for_each_seed};
use bytes::Bytes;
use common::{Net, lossy, quick};

fn exchanges_messages(seed: u64, loss: f64) {
    let (mut net, ours, theirs) = Net::connected(seed, lossy(loss));
    let big = Bytes::from((0..100_000u32).map(|n| n as u8).collect::<Vec<u8>>());
    net.send_a(ours, "hello");
    net.send_a(ours, big.clone());
    net.send_a(ours, "");
    net.send_b(theirs, "welcome");
    net.send_b(theirs, Vec::new());
    net.until(|a, b| a.received.len() == 2 && b.received.len() == 3);
    assert_eq!(net.b().messages(), [Message::text("hello"), big.into(), Message::text("")]);
    assert_eq!(net.a().messages(), [Message::text("welcome"), Message::binary(vec![])]);
    assert!(net.is_connected());
}

#[test]
fn messages_arrive_without_loss() {
    for_each_seed(20, |seed| exchanges_messages(seed, 0.0));
}

#[test]
fn messages_arrive_with_5_percent_loss() {
    for_each_seed(20, |seed| exchanges_messages(seed, 0.05));
}

#[test]
fn messages_arrive_with_30_percent_loss() {
    for_each_seed(20, |seed| exchanges_messages(seed, 0.3));
}

#[test]
fn events_of_a_connection_come_in_their_order() {
    let (mut net, ours, _) = Net::connected(1, quick());
    net.until(|a, _| a.pc.connection_state() == ConnectionState::Connected);
    net.simulation.run_for(Duration::from_secs(1));
    let candidates =
        |event: &Event| matches!(event, Event::IceCandidate(_) | Event::IceConnectionStateChange(_));
    let events: Vec<Event> = net.a().events.iter().filter(|event| !candidates(event)).cloned().collect();
    assert_eq!(
        events,
        [
            Event::NegotiationNeeded,
            Event::IceGatheringStateChange(IceGatheringState::Gathering),
            Event::IceGatheringStateChange(IceGatheringState::Complete),
            Event::SignalingStateChange(SignalingState::HaveLocalOffer),
            Event::SignalingStateChange(SignalingState::Stable),
            Event::DtlsStateChange(DtlsState::Connecting),
            Event::ConnectionStateChange(ConnectionState::Connecting),
            Event::DtlsStateChange(DtlsState::Connected),
            Event::ConnectionStateChange(ConnectionState::Connected),
            Event::ChannelOpen(ours),
        ]
    );
    let opened = net.b().opened()[0];
    let channel: Vec<Event> = net
        .b()
        .events
        .iter()
        .filter(|event| matches!(event, Event::DataChannel(_) | Event::ChannelOpen(_)))
        .cloned()
        .collect();
    assert_eq!(channel, [Event::DataChannel(opened), Event::ChannelOpen(opened)]);
    let statistics = net.a().pc.statistics();
    assert!(statistics.selected_path.is_some() && statistics.round_trip_time.is_some());
}

#[test]
fn candidates_may_trickle() {
    let mut net = Net::new(1, quick());
    let now = net.now();
    net.a().pc.create_data_channel(now, "first", DataChannelInit::default()).unwrap();
    let offer = net.a().pc.create_offer().unwrap();
    net.a().pc.set_local_description(now, Some(offer.clone())).unwrap();
    assert!(!offer.sdp.contains("a=candidate"));
    net.b().pc.set_remote_description(now, offer).unwrap();
    let answer = net.b().pc.create_answer().unwrap();
    net.b().pc.set_local_description(now, Some(answer.clone())).unwrap();
    net.a().pc.set_remote_description(now, answer).unwrap();
    net.simulation.run_for(Duration::from_millis(200));
    assert!(!net.is_connected());
    for candidate in std::mem::take(&mut net.a().candidates) {
        net.b().pc.add_ice_candidate(now, candidate).unwrap();
    }
    for candidate in std::mem::take(&mut net.b().candidates) {
        net.a().pc.add_ice_candidate(now, candidate).unwrap();
    }
    net.until(|a, b| {
        let connected = ConnectionState::Connected;
        a.pc.connection_state() == connected && b.pc.connection_state() == connected
    });
    let remote = net.a().pc.remote_description().unwrap().sdp;
    assert!(remote.contains("a=candidate:") && remote.contains("a=end-of-candidates\r\n"));
}

#[test]
fn candidates_before_the_answer_wait_for_it() {
    let mut net = Net::new(1, quick());
    let now = net.now();
    net.a().pc.create_data_channel(now, "first", DataChannelInit::default()).unwrap();
    net.a().pc.set_local_description(now, None).unwrap();
    let offer = net.a().pc.create_offer().unwrap();
    net.b().pc.set_remote_description(now, offer).unwrap();
    net.simulation.run_for(Duration::from_millis(10));
    for candidate in std::mem::take(&mut net.a().candidates) {
        net.b().pc.add_ice_candidate(now, candidate).unwrap();
    }
    assert_eq!(net.b().pc.ice_connection_state(), IceConnectionState::New);
    net.b().pc.set_local_description(now, None).unwrap();
    let answer = net.b().pc.local_description().unwrap();
    net.a().pc.set_remote_description(now, answer).unwrap();
    net.until(|a, _| a.pc.connection_state() == ConnectionState::Connected);
}

#[test]
fn the_local_description_names_the_candidates() {
    let mut net = Net::new(1, quick());
    let now = net.now();
    net.a().pc.create_data_channel(now, "first", DataChannelInit::default()).unwrap();
    net.a().pc.set_local_description(now, None).unwrap();
    let offer = net.a().pc.local_description().unwrap().sdp;
    assert!(offer.contains("m=application 4000 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 192.0.2.1\r\n"));
    assert!(offer.contains(" 1 udp 2130706431 192.0.2.1 4000 typ host\r\n"), "{offer}");
    assert!(offer.ends_with("a=end-of-candidates\r\n"));
    assert_eq!(net.a().pc.pending_local_description().unwrap().sdp, offer);
    assert!(net.a().pc.current_local_description().is_none());
}

#[test]
fn the_answerer_may_offer_next() {
    let (mut net, ours, _) = Net::connected(1, quick());
    let now = net.now();
    net.b().pc.set_local_description(now, None).unwrap();
    let offer = net.b().pc.local_description().unwrap();
    net.a().pc.set_remote_description(now, offer).unwrap();
    net.a().pc.set_local_description(now, None).unwrap();
    let answer = net.a().pc.local_description().unwrap();
    net.b().pc.set_remote_description(now, answer).unwrap();
    net.send_a(ours, "still here");
    net.until(|_, b| b.received.len() == 1);
}

#[test]
fn glare_ends_in_one_connection() {
    let mut net = Net::new(1, quick());
    let now = net.now();
    let ours = net.a().pc.create_data_channel(now, "a", DataChannelInit::default()).unwrap();
    let theirs = net.b().pc.create_data_channel(now, "b", DataChannelInit::default()).unwrap();
    net.a().pc.set_local_description(now, None).unwrap();
    net.b().pc.set_local_description(now, None).unwrap();
    let offer = net.a().pc.local_description().unwrap();
    // b is the polite one.
    net.b().pc.set_remote_description(now, offer).unwrap();
    net.b().pc.set_local_description(now, None).unwrap();
    let answer = net.b().pc.local_description().unwrap();
    net.a().pc.set_remote_description(now, answer).unwrap();
    net.until(|a, b| a.is_open(ours) && b.is_open(theirs) && a.opened().len() + b.opened().len() == 2);
    let ids = [net.a().pc.channel(ours).unwrap().id(), net.b().pc.channel(theirs).unwrap().id()];
    assert_eq!(ids, [Some(1), Some(0)]);
}

#[test]
fn a_rollback_leaves_the_connection_as_it_was() {
    let (mut net, ours, _) = Net::connected(1, quick());
    let now = net.now();
    net.a().pc.set_local_description(now, None).unwrap();
    net.a().pc.set_local_description(now, Some(SessionDescription::rollback())).unwrap();
    assert_eq!(net.a().pc.signaling_state(), SignalingState::Stable);
    net.send_a(ours, "hello");
    net.until(|_, b| b.received.len() == 1);
}

#[test]
fn set_up_takes_few_round_trips() {
    let mut net = Net::new(3, lossy(0.0));
    let start = net.now();
    net.connect();
    let round_trip = Duration::from_millis(40);
    // ICE 1, DTLS 2 (the client's hello leaves with the first answer), SCTP 2, and half a one for the channel.
    assert!(net.now() - start <= round_trip * 6, "{:?}", net.now() - start);
}

#[test]
fn full_packets_leave_in_runs() {
    let (mut net, ours, _) = Net::connected(1, quick());
    for _ in 0..100 {
        net.send_a(ours, vec![7; 16_384]);
    }
    net.until(|_, b| b.received.len() == 100);
    let longest = *net.a().runs.iter().max().unwrap();
    assert!(longest > 8, "{longest}");
    assert!(longest <= 64);
}

/// How long it takes until a channel of `a` and one of `b` are open, with a round trip of 100 ms, where `change` is made to the
/// descriptions.
fn set_up(change: impl Fn(String) -> String) -> (Duration, Duration) {
    let mut net = Net::new(1, Link::with_delay(Duration::from_millis(50)));
    let (of_a, start) = (net.create_first(), net.now());
    let of_b = net.b().pc.create_data_channel(start, "second", DataChannelInit::default()).unwrap();
    net.negotiate_with(change);
    let mut opened = [None; 2];
    for _ in 0..2_000 {
        net.simulation.run_for(Duration::from_millis(1));
        let open = [net.a().is_open(of_a), net.b().is_open(of_b)];
        for (opened, open) in opened.iter_mut().zip(open) {
            *opened = opened.or(open.then(|| net.now() - start));
        }
    }
    (opened[0].unwrap(), opened[1].unwrap())
}

#[test]
fn described_inits_save_two_round_trips() {
    let without = |sdp: String| {
        let lines = sdp.lines().filter(|line| !line.starts_with("a=sctp-init"));
        lines.map(|line| format!("{line}\r\n")).collect()
    };
    let (server, client) = set_up(without);
    let (described_server, described_client) = set_up(|sdp| sdp);
    // The client of DTLS is connected first and so waits longest.
    assert_eq!((client - described_client).as_millis(), 200);
    assert_eq!((server - described_server).as_millis(), 100);
}

#[test]
fn the_pair_in_use_counts_what_passes_over_it() {
    let (mut net, channel, _) = Net::connected(1, quick());
    for _ in 0..100 {
        net.send_a(channel, vec![1; 1_000]);
    }
    net.until(|_, b| b.received.len() == 100);
    net.simulation.run_for(Duration::from_secs(60));
    let (now, [a, b]) = (net.now(), [net.a, net.b].map(|id| net.simulation[id].pc.statistics()));
    let [ours, theirs] = [&a, &b].map(|statistics| {
        let mut selected = statistics.candidate_pairs.iter().filter(|pair| pair.selected);
        let pair = *selected.next().unwrap();
        assert!(selected.next().is_none() && pair.nominated && pair.state == CandidatePairState::Succeeded);
        assert_eq!(Some(pair.path), statistics.selected_path);
        assert_eq!(statistics.local_candidates.len(), 1);
        assert_eq!(statistics.local_candidates[0].address, pair.path.local);
        assert!(statistics.remote_candidates.iter().any(|remote| remote.address == pair.path.remote));
        assert_eq!(pair.requests_sent, pair.responses_received);
        assert!(pair.consent_requests_sent >= 10 && pair.requests_received == pair.responses_sent);
        assert_eq!(pair.current_round_trip_time, statistics.round_trip_time);
        pair
    });
    assert!(ours.bytes_sent > 100_000 && ours.packets_sent > 50, "{ours:?}");
    assert_eq!((ours.packets_sent, ours.bytes_sent), (theirs.packets_received, theirs.bytes_received));
    assert_eq!((theirs.packets_sent, theirs.bytes_sent), (ours.packets_received, ours.bytes_received));
    assert!(ours.last_packet_sent_at.unwrap() < now && ours.last_packet_received_at.unwrap() < now);
    assert_eq!(ours.packets_sent + ours.requests_sent + ours.responses_sent, a.datagrams_sent);
}
