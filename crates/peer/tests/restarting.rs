//! ICE restart by offer and answer.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "tests")]

mod common;

use std::time::Duration;

use antiphon_peer::{
    ChannelId, ConnectionState, Event, InvalidSection, Message, OfferOptions, SessionDescription,
    SetDescriptionError, SignalingState,
};
use antiphon_testkit::{Link, for_each_seed};
use antiphon_util::Protocol;
use common::{Net, address, lossy, quick};

fn ufrag(description: &SessionDescription) -> String {
    let line = description.sdp.lines().find_map(|line| line.strip_prefix("a=ice-ufrag:"));
    line.unwrap().to_owned()
}

fn ufrags(net: &mut Net) -> [String; 2] {
    let [a, b] = [net.a, net.b].map(|id| net.simulation[id].pc.local_description().unwrap());
    [ufrag(&a), ufrag(&b)]
}

/// Numbered messages, one every 20 ms for a second.
fn chatter(net: &mut Net, channel: ChannelId, from: usize) -> usize {
    for number in from..from + 50 {
        net.send_a(channel, number.to_string());
        net.simulation.run_for(Duration::from_millis(20));
    }
    from + 50
}

#[test]
fn a_restart_is_asked_for_offered_and_answered_while_messages_flow() {
    for_each_seed(10, |seed| {
        let (mut net, channel, _) =
            Net::connected(seed, lossy(if seed.is_multiple_of(2) { 0.0 } else { 0.1 }));
        net.simulation.run_for(Duration::from_secs(1));
        let before = ufrags(&mut net);
        net.a().events.clear();
        net.a().pc.restart_ice();
        let now = net.now();
        net.a().pc.set_local_description(now, None).unwrap();
        let sent = chatter(&mut net, channel, 0);
        let (now, offer) = (net.now(), net.a().pc.local_description().unwrap());
        net.b().pc.set_remote_description(now, offer).unwrap();
        net.b().pc.set_local_description(now, None).unwrap();
        let sent = chatter(&mut net, channel, sent);
        let (now, answer) = (net.now(), net.b().pc.local_description().unwrap());
        net.a().pc.set_remote_description(now, answer).unwrap();
        let sent = chatter(&mut net, channel, sent);
        net.until(|_, b| b.received.len() == sent);

        let numbers: Vec<Message> = (0..sent).map(|number| Message::text(number.to_string())).collect();
        assert_eq!(net.b().messages(), numbers);
        for (after, before) in ufrags(&mut net).iter().zip(&before) {
            assert_ne!(after, before);
        }
        assert_eq!(net.a().events.iter().filter(|event| **event == Event::NegotiationNeeded).count(), 1);
        assert!(net.is_connected());
        net.simulation.run_for(Duration::from_secs(100));
        assert!(net.is_connected());
    });
}

#[test]
fn a_connection_whose_path_is_cut_comes_back_by_a_restart_to_another_address() {
    let (mut net, channel, _) = Net::connected(1, quick());
    let (a, b) = (net.a, net.b);
    net.simulation.set_link(a, b, Link::cut());
    net.until(|a, _| a.pc.connection_state() == ConnectionState::Disconnected);
    let now = net.now();
    net.send_a(channel, "before");
    for (id, host) in [(a, 11), (b, 12)] {
        net.simulation.add_address(id, address(host).ip());
        net.simulation[id].pc.add_local_address(now, address(host));
    }
    net.a().pc.restart_ice();
    net.negotiate();
    net.until(|_, b| b.received.len() == 1);
    net.until(|a, b| [a, b].iter().all(|peer| peer.pc.connection_state() == ConnectionState::Connected));
    let path = net.a().pc.statistics().selected_path.unwrap();
    assert_ne!((path.local, path.remote), (address(1), address(2)));
}

#[test]
fn a_restart_after_ice_has_failed_brings_the_channels_back() {
    for_each_seed(10, |seed| {
        let (mut net, channel, theirs) = Net::connected(seed, quick());
        net.send_a(channel, "before");
        net.simulation.unplug(net.b);
        net.until(|a, b| [a, b].iter().all(|peer| peer.pc.connection_state() == ConnectionState::Failed));
        assert!(net.a().is_open(channel) && net.b().is_open(theirs));
        net.send_a(channel, "in between");
        net.simulation.run_for(Duration::from_secs(10_000));
        net.simulation.plug(net.b);
        net.a().pc.restart_ice();
        net.negotiate();
        net.until(|_, b| b.received.len() == 2);
        net.send_b(theirs, "answer");
        net.until(|a, _| a.received.len() == 1);
        assert!(net.is_connected());
        assert_eq!(net.b().messages(), ["before", "in between"].map(Message::text));
    });
}

#[test]
fn an_address_that_comes_after_the_failure_serves_the_restart() {
    let (mut net, channel, _) = Net::connected(1, quick());
    let (a, b) = (net.a, net.b);
    net.simulation.set_link(a, b, Link::cut());
    net.until(|a, b| [a, b].iter().all(|peer| peer.pc.connection_state() == ConnectionState::Failed));
    let now = net.now();
    for (id, host) in [(a, 11), (b, 12)] {
        net.simulation.add_address(id, address(host).ip());
        net.simulation[id].pc.add_local_address(now, address(host));
        net.simulation[id].pc.remove_local_address(now, Protocol::Udp, address(host - 10));
    }
    net.a().pc.restart_ice();
    net.negotiate();
    net.send_a(channel, "here");
    net.until(|_, b| b.received.len() == 1);
    let path = net.a().pc.statistics().selected_path.unwrap();
    assert_eq!((path.local, path.remote), (address(11), address(12)));
}

#[test]
fn either_side_restarts_and_the_option_of_an_offer_does_the_same() {
    let (mut net, channel, _) = Net::connected(1, quick());
    for round in 0..4 {
        let before = ufrags(&mut net);
        let now = net.now();
        let (offerer, answerer) = if round % 2 == 0 { (net.a, net.b) } else { (net.b, net.a) };
        let offer =
            net.simulation[offerer].pc.create_offer_with(OfferOptions { ice_restart: round < 2 }).unwrap();
        net.simulation[offerer].pc.set_local_description(now, Some(offer)).unwrap();
        let offer = net.simulation[offerer].pc.local_description().unwrap();
        net.simulation[answerer].pc.set_remote_description(now, offer).unwrap();
        net.simulation[answerer].pc.set_local_description(now, None).unwrap();
        let answer = net.simulation[answerer].pc.local_description().unwrap();
        net.simulation[offerer].pc.set_remote_description(now, answer).unwrap();
        net.simulation.run_for(Duration::from_secs(2));
        assert_eq!(ufrags(&mut net) != before, round < 2);
    }
    net.send_a(channel, "still here");
    net.until(|_, b| b.received.len() == 1);
}

#[test]
fn a_restart_that_is_rolled_back_leaves_the_session_as_it_was() {
    let (mut net, channel, _) = Net::connected(1, quick());
    let before = ufrags(&mut net);
    net.a().pc.restart_ice();
    let now = net.now();
    net.a().pc.set_local_description(now, None).unwrap();
    let [offered, _] = ufrags(&mut net);
    assert_ne!(offered, before[0]);
    net.simulation.run_for(Duration::from_secs(10));
    let now = net.now();
    net.a().pc.set_local_description(now, Some(SessionDescription::rollback())).unwrap();
    assert_eq!(net.a().pc.signaling_state(), SignalingState::Stable);
    assert_eq!(ufrags(&mut net), before);
    net.simulation.run_for(Duration::from_secs(60));
    assert!(net.is_connected());
    net.send_a(channel, "still here");
    net.until(|_, b| b.received.len() == 1);
    // It is still wanted.
    net.negotiate();
    assert_ne!(ufrags(&mut net)[0], before[0]);
}

#[test]
fn an_answer_restarts_where_the_offer_did_and_only_there() {
    for restarts in [false, true] {
        let (mut net, _, _) = Net::connected(1, quick());
        let now = net.now();
        let offer = net.a().pc.create_offer_with(OfferOptions { ice_restart: restarts }).unwrap();
        net.a().pc.set_local_description(now, Some(offer.clone())).unwrap();
        net.b().pc.set_remote_description(now, offer).unwrap();
        let old = net.b().pc.current_local_description().unwrap();
        net.b().pc.set_local_description(now, None).unwrap();
        let answer = net.b().pc.local_description().unwrap();
        let wrong = match restarts {
            true => answer.sdp.replace(&ufrag(&answer), &ufrag(&old)),
            false => answer.sdp.replace(&ufrag(&answer), "other"),
        };
        // The password alone tells of a restart as well, so it has to be the old one too.
        let pwd = |sdp: &str| sdp.lines().find(|line| line.starts_with("a=ice-pwd:")).unwrap().to_owned();
        let wrong = wrong.replace(&pwd(&wrong), &pwd(&old.sdp));
        let refused = net.a().pc.set_remote_description(now, SessionDescription::answer(wrong)).unwrap_err();
        let expected = SetDescriptionError::Invalid { section: 0, reason: InvalidSection::IceRestart };
        assert_eq!(refused, expected);
        net.a().pc.set_remote_description(now, answer).unwrap();
        net.simulation.run_for(Duration::from_secs(60));
        assert!(net.is_connected());
    }
}

#[test]
fn before_anything_is_negotiated_a_restart_asks_for_nothing() {
    let mut net = Net::new(1, quick());
    net.a().pc.restart_ice();
    assert!(net.a().pc.poll_event().is_none());
}
