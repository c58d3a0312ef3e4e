//! What the settings of ICE change in descriptions and on the way to a connection.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "tests")]

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use antiphon_peer::{
    DataChannelInit, DropReason, Event, IceConfiguration, IceGatheringState, IceTransportPolicy, MDNS_PORT,
    MdnsDestination,
};
use common::{Net, address};

fn plain() -> IceConfiguration {
    IceConfiguration::default()
}

/// Carries the messages of multicast DNS between both, until there are none.
fn carry_multicast(net: &mut Net) {
    let now = net.now();
    let ids = [net.a, net.b];
    loop {
        let mut any = false;
        for (from, to) in [(0, 1), (1, 0)] {
            let mut buf = Vec::new();
            while let Some((destination, len)) = net.simulation[ids[from]].pc.poll_multicast(&mut buf) {
                assert_eq!((destination, len), (MdnsDestination::Multicast, buf.len()));
                let source = SocketAddr::new(address(from as u8 + 1).ip(), MDNS_PORT);
                net.simulation[ids[to]].pc.handle_multicast(now, source, &buf);
                buf.clear();
                any = true;
            }
        }
        if !any {
            return;
        }
    }
}

#[test]
fn addresses_hidden_behind_names_are_found_and_never_written() {
    let hiding = || IceConfiguration { publish_mdns: true, ..plain() };
    let mut net = Net::with_ice(hiding(), hiding());
    let now = net.now();
    let channel = net.a().pc.create_data_channel(now, "first", DataChannelInit::default()).unwrap();
    net.negotiate();
    net.simulation.run_for(Duration::from_millis(500));
    assert!(!net.is_connected());
    carry_multicast(&mut net);
    net.until(|a, _| a.is_open(channel));
    for id in [net.a, net.b] {
        let peer = &net.simulation[id];
        let description = peer.pc.local_description().unwrap().sdp;
        assert!(description.contains(".local ") && !description.contains("192.0.2."), "{description}");
        let told = peer.candidates.iter().flatten().all(|candidate| candidate.candidate.contains(".local "));
        assert!(told && peer.candidates.len() == 2);
    }
}

#[test]
fn names_are_left_aside_where_they_are_not_wanted_or_too_many() {
    let unresolving = IceConfiguration { resolve_mdns: false, ..plain() };
    let mut net = Net::with_ice(unresolving, plain());
    let now = net.now();
    net.a().pc.create_data_channel(now, "first", DataChannelInit::default()).unwrap();
    net.negotiate();
    for (id, dropped) in [(net.a, 30), (net.b, 22)] {
        for number in 0..30 {
            let candidate = format!("candidate:1 1 udp 1 name-{number}.local 9 typ host");
            let candidate = antiphon_peer::IceCandidate {
                candidate,
                sdp_mid: Some("0".into()),
                ..antiphon_peer::IceCandidate::default()
            };
            net.simulation[id].pc.add_ice_candidate(now, Some(candidate)).unwrap();
        }
        assert_eq!(net.simulation[id].pc.drops().of(DropReason::MdnsCandidate), dropped);
    }
    net.simulation.run_for(Duration::from_secs(10));
    assert_eq!(net.b().pc.drops().of(DropReason::MdnsCandidate), 30, "nobody answered");
}

#[test]
fn a_pool_of_candidates_is_gathered_at_once_and_told_with_the_description() {
    for size in [0, 1, 10] {
        let mut net = Net::with_ice(IceConfiguration { candidate_pool_size: size, ..plain() }, plain());
        net.simulation.run_for(Duration::from_secs(1));
        assert!(net.a().events.is_empty());
        assert_eq!(net.a().pc.ice_gathering_state(), IceGatheringState::New);
        let now = net.now();
        let channel = net.a().pc.create_data_channel(now, "first", DataChannelInit::default()).unwrap();
        net.a().pc.set_local_description(now, None).unwrap();
        assert_eq!(net.a().pc.ice_gathering_state(), IceGatheringState::Complete);
        let offer = net.a().pc.local_description().unwrap();
        assert!(offer.sdp.contains("a=candidate:"));
        net.b().pc.set_remote_description(now, offer).unwrap();
        net.b().pc.set_local_description(now, None).unwrap();
        let answer = net.b().pc.local_description().unwrap();
        net.a().pc.set_remote_description(now, answer).unwrap();
        net.until(|a, _| a.is_open(channel));
        let told = net.a().events.iter().filter(|event| matches!(event, Event::IceCandidate(_))).count();
        assert_eq!(told, 2, "a candidate and the end");
    }
}

#[test]
fn the_relay_policy_tells_no_address_of_the_host() {
    let relayed = IceConfiguration { transport_policy: IceTransportPolicy::Relay, ..plain() };
    let mut net = Net::with_ice(relayed, plain());
    let now = net.now();
    net.a().pc.create_data_channel(now, "first", DataChannelInit::default()).unwrap();
    net.a().pc.set_local_description(now, None).unwrap();
    let offer = net.a().pc.local_description().unwrap().sdp;
    assert!(!offer.contains("a=candidate:") && !offer.contains("192.0.2.1"));
}

#[test]
fn a_lite_peer_says_so_and_is_connected_to_from_either_side() {
    for lite_offers in [false, true] {
        let lite = IceConfiguration { lite: true, ..plain() };
        let (a, b) = if lite_offers { (lite, plain()) } else { (plain(), lite) };
        let mut net = Net::with_ice(a, b);
        let (channel, _) = net.connect();
        let offer = net.a().pc.local_description().unwrap().sdp;
        assert_eq!(offer.contains("a=ice-lite\r\n"), lite_offers);
        net.simulation.run_for(Duration::from_secs(100));
        net.send_a(channel, "still here");
        net.until(|_, b| b.received.len() == 1);
        assert!(net.is_connected());
    }
}

#[test]
fn renomination_is_offered_where_it_is_wanted() {
    for renomination in [false, true] {
        let mut net = Net::with_ice(IceConfiguration { renomination, ..plain() }, plain());
        net.connect();
        let offer = net.a().pc.local_description().unwrap().sdp;
        assert_eq!(offer.contains("a=ice-options:trickle ice2 renomination "), renomination);
    }
}
