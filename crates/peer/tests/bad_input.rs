//! Wrong peers, garbage, strangers and silence.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "tests")]

mod common;

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use antiphon_peer::{
    AddIceCandidateError, ConnectionState, DropReason, DtlsState, ErrorName, Event, IceCandidate,
    IceConnectionState, Limits, Message, ReadyState, SessionDescription, SignalingState,
};
use antiphon_testkit::for_each_seed;
use antiphon_util::Rng;
use common::{Net, Peer, address, lossy, quick};

/// A datagram as it was sent: where from, where to, its bytes.
type Sent = (SocketAddr, SocketAddr, Vec<u8>);

fn candidate(text: &str) -> IceCandidate {
    IceCandidate { candidate: text.into(), sdp_mid: Some("0".into()), ..IceCandidate::default() }
}

/// `b` takes an offer of `a` that was changed on the way, and `a` its answer.
fn negotiate_changed(net: &mut Net, change: impl Fn(String) -> String) {
    let now = net.now();
    net.a().pc.create_data_channel(now, "first", Default::default()).unwrap();
    net.a().pc.set_local_description(now, None).unwrap();
    let offer = net.a().pc.local_description().unwrap();
    net.b().pc.set_remote_description(now, SessionDescription::offer(change(offer.sdp))).unwrap();
    net.b().pc.set_local_description(now, None).unwrap();
    let answer = net.b().pc.local_description().unwrap();
    net.a().pc.set_remote_description(now, answer).unwrap();
}

#[test]
fn a_wrong_fingerprint_fails_and_nothing_is_delivered() {
    let mut net = Net::new(1, quick());
    let wrong = vec!["AB"; 32].join(":");
    negotiate_changed(&mut net, |offer| {
        let at = offer.find("a=fingerprint:sha-256 ").unwrap() + 22;
        format!("{}{wrong}{}", &offer[..at], &offer[at + wrong.len()..])
    });
    net.until(|a, b| {
        let failed = ConnectionState::Failed;
        a.pc.connection_state() == failed && b.pc.connection_state() == failed
    });
    assert_eq!(net.b().pc.dtls_state(), DtlsState::Failed);
    assert!(net.a().received.is_empty() && net.b().received.is_empty() && net.b().opened().is_empty());
    assert!(net.a().events.iter().any(|event| matches!(event, Event::ChannelClosed(_))));
    assert!(!net.a().events.iter().any(|event| matches!(event, Event::ChannelOpen(_))));
}

#[test]
fn an_answer_with_a_wrong_fingerprint_fails_too() {
    let mut net = Net::new(1, quick());
    let now = net.now();
    let ours = net.a().pc.create_data_channel(now, "first", Default::default()).unwrap();
    net.a().pc.set_local_description(now, None).unwrap();
    let offer = net.a().pc.local_description().unwrap();
    net.b().pc.set_remote_description(now, offer.clone()).unwrap();
    net.b().pc.set_local_description(now, None).unwrap();
    let answer = net.b().pc.local_description().unwrap().sdp;
    let fingerprint =
        |sdp: &str| sdp.lines().find(|line| line.starts_with("a=fingerprint")).unwrap().to_owned();
    let answer = answer.replace(&fingerprint(&answer), &fingerprint(&offer.sdp));
    net.a().pc.set_remote_description(now, SessionDescription::answer(answer)).unwrap();
    net.until(|a, _| a.pc.connection_state() == ConnectionState::Failed);
    assert_eq!(net.a().pc.ready_state(ours), ReadyState::Closed);
    assert!(net.a().received.is_empty() && net.b().opened().is_empty());
}

#[test]
fn malformed_descriptions_name_line_and_reason_and_change_nothing() {
    let mut net = Net::new(1, quick());
    let now = net.now();
    let broken = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=application x UDP/DTLS/SCTP webrtc-datachannel\r\n";
    let error = net.b().pc.set_remote_description(now, SessionDescription::offer(broken)).unwrap_err();
    assert_eq!(error.to_string(), "malformed description: line 5, column 15: expected a port");
    assert_eq!(error.name(), ErrorName::OperationError);
    assert_eq!(net.b().pc.signaling_state(), SignalingState::Stable);
    assert!(net.b().pc.remote_description().is_none());
    net.connect();
}

#[test]
fn candidates_that_cannot_be_taken_are_refused_with_their_reason() {
    let mut net = Net::new(1, quick());
    let now = net.now();
    let host = "candidate:1 1 udp 1 10.0.0.1 9 typ host";
    let refused = net.b().pc.add_ice_candidate(now, Some(candidate(host))).unwrap_err();
    assert_eq!(
        (&refused, refused.name()),
        (&AddIceCandidateError::NoRemoteDescription, ErrorName::InvalidStateError)
    );
    negotiate_changed(&mut net, |offer| offer);
    let before = net.b().pc.remote_description();
    let refused = net.b().pc.add_ice_candidate(now, Some(candidate("candidate:1 1 udp x"))).unwrap_err();
    assert_eq!(refused.to_string(), "malformed candidate: line 1, column 19: expected a priority of 32 bits");
    assert_eq!(refused.name(), ErrorName::OperationError);
    let mut add = |mid: Option<&str>, index: Option<u16>, ufrag: Option<&str>| {
        let candidate = IceCandidate {
            candidate: host.into(),
            sdp_mid: mid.map(Into::into),
            sdp_m_line_index: index,
            username_fragment: ufrag.map(Into::into),
        };
        net.b().pc.add_ice_candidate(now, Some(candidate))
    };
    assert_eq!(add(None, None, None), Err(AddIceCandidateError::NoSection));
    assert_eq!(add(Some("7"), Some(0), None), Err(AddIceCandidateError::UnknownSection));
    assert_eq!(add(None, Some(7), None), Err(AddIceCandidateError::UnknownSection));
    assert_eq!(add(Some("0"), None, Some("nobody")), Err(AddIceCandidateError::UnknownUfrag));
    assert_eq!(net.b().pc.remote_description(), before);
    let mut add = |text: &str| net.b().pc.add_ice_candidate(now, Some(candidate(text)));
    assert_eq!(add(host), Ok(()));
    assert_eq!(add("candidate:1 1 udp 1 0f6ad1f1-73b6-4d6e.local 9 typ host"), Ok(()));
    assert_eq!(add("candidate:1 1 tcp 1 10.0.0.1 9 typ host"), Ok(()));
    net.simulation.run_for(Duration::from_secs(10));
    let drops = net.b().pc.drops();
    assert_eq!((drops.of(DropReason::MdnsCandidate), drops.of(DropReason::UnknownCandidate)), (1, 1));
}

#[test]
fn remote_candidates_are_limited() {
    let mut limits = Limits::default();
    limits.sdp.candidates = 10;
    let mut net = Net::with_limits(1, quick(), limits);
    negotiate_changed(&mut net, |offer| offer);
    let now = net.now();
    let mut taken = 0;
    for port in 1..=100 {
        let text = format!("candidate:1 1 udp 1 10.0.0.1 {port} typ host");
        match net.b().pc.add_ice_candidate(now, Some(candidate(&text))) {
            Ok(()) => taken += 1,
            Err(error) => assert_eq!(error, AddIceCandidateError::TooMany),
        }
    }
    // One stands in the description.
    assert_eq!(taken, 9);
}

#[test]
fn garbage_truncated_and_replayed_datagrams_do_not_disturb() {
    for_each_seed(5, |seed| {
        let mut net = Net::new(seed, lossy(0.0));
        let seen: Rc<RefCell<Vec<Sent>>> = Rc::default();
        let store = Rc::clone(&seen);
        net.simulation.intercept(move |packet| {
            let mut store = store.borrow_mut();
            if store.len() < 5_000 && !packet.datagram.is_empty() {
                store.push((packet.from, packet.to, packet.datagram.clone()));
            }
            true
        });
        let mut rng = Rng::from_test_seed(seed);
        let mut disturb = |net: &mut Net| {
            let datagrams = seen.borrow().clone();
            for (from, to) in [(address(2), address(1)), (address(1), address(2))] {
                for length in [0, 1, 20, 100, 1_400] {
                    let mut garbage = vec![0; length];
                    rng.fill(&mut garbage);
                    net.simulation.inject(from, to, &garbage);
                }
            }
            for _ in 0..40 {
                let at = rng.below(datagrams.len() as u64) as usize;
                let Some((from, to, datagram)) = datagrams.get(at) else { break };
                net.simulation.inject(*from, *to, datagram);
                let length = rng.below(datagram.len() as u64) as usize;
                net.simulation.inject(*from, *to, &datagram[..length]);
                // A handshake has no protection against who can change it on its way.
                if datagram[0] < 20 || net.is_connected() {
                    let mut flipped = datagram.clone();
                    flipped[length] ^= 1 << rng.below(8);
                    net.simulation.inject(*from, *to, &flipped);
                }
            }
        };
        disturb(&mut net);
        let now = net.now();
        let ours = net.a().pc.create_data_channel(now, "first", Default::default()).unwrap();
        net.negotiate();
        for _ in 0..30 {
            net.simulation.run_for(Duration::from_millis(10));
            disturb(&mut net);
        }
        net.until(|a, b| a.is_open(ours) && b.opened().len() == 1);
        for n in 0..50 {
            net.send_a(ours, n.to_string());
            net.simulation.run_for(Duration::from_millis(5));
            disturb(&mut net);
        }
        net.until(|_, b| b.received.len() == 50);
        net.simulation.run_for(Duration::from_secs(10));
        let expected: Vec<Message> = (0..50).map(|n| Message::text(n.to_string())).collect();
        assert_eq!(net.b().messages(), expected);
        assert!(net.is_connected());
        assert_eq!(net.b().opened().len(), 1);
    });
}

#[test]
fn what_strangers_send_is_ignored() {
    let (mut net, ours, theirs) = Net::connected(1, quick());
    let seen: Rc<RefCell<Vec<Vec<u8>>>> = Rc::default();
    let store = Rc::clone(&seen);
    net.simulation.intercept(move |packet| {
        store.borrow_mut().push(packet.datagram.clone());
        true
    });
    net.send_a(ours, "hello");
    net.until(|_, b| b.received.len() == 1);
    net.simulation.stop_intercepting();
    // What the two still have to tell each other, probes of the path among it, is not to be counted.
    net.simulation.run_for(Duration::from_secs(1));
    let (events, sctp) = (net.b().events.len(), net.b().pc.statistics().sctp.packets_received);
    let stranger = "198.51.100.1:7000".parse().unwrap();
    let hello = [&[22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 1, 0, 200, 1][..], &[0; 199]].concat();
    let alert = [21, 254, 253, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2, 2, 40];
    let records: Vec<Vec<u8>> = seen.borrow().iter().filter(|datagram| datagram[0] >= 20).cloned().collect();
    assert!(!records.is_empty());
    for datagram in records.iter().chain([&hello, &alert.to_vec()]) {
        net.simulation.inject(stranger, address(2), datagram);
    }
    net.simulation.run_for(Duration::from_millis(5));
    assert_eq!(net.b().events.len(), events);
    assert_eq!(net.b().pc.statistics().sctp.packets_received, sctp);
    net.send_b(theirs, "still here");
    net.until(|a, _| a.received.len() == 1);
}

#[test]
fn dtls_before_the_answer_is_kept_within_bounds() {
    let mut net = Net::new(1, quick());
    let now = net.now();
    let ours = net.a().pc.create_data_channel(now, "first", Default::default()).unwrap();
    net.a().pc.set_local_description(now, None).unwrap();
    let offer = net.a().pc.local_description().unwrap();
    net.b().pc.set_remote_description(now, offer).unwrap();
    net.b().pc.set_local_description(now, None).unwrap();
    let answer = net.b().pc.local_description().unwrap();
    // The answer is late: b has a path and says hello before a knows whom it talks to.
    net.simulation.run_for(Duration::from_millis(40));
    assert_eq!(net.b().pc.dtls_state(), DtlsState::Connecting);
    assert_eq!(net.a().pc.dtls_state(), DtlsState::New);
    for _ in 0..80 {
        net.simulation.inject(address(2), address(1), &[22; 100]);
    }
    net.simulation.run_for(Duration::from_millis(5));
    let refused = net.a().pc.drops().of(DropReason::TooEarly);
    assert!((72..80).contains(&refused), "{refused}");
    let (now, start) = (net.now(), net.now());
    net.a().pc.set_remote_description(now, answer).unwrap();
    net.until(|a, b| a.is_open(ours) && b.opened().len() == 1);
    // The hello that was kept is answered without waiting for the next.
    assert!(net.now() - start < Duration::from_millis(20), "{:?}", net.now() - start);
}

#[test]
fn a_peer_that_vanishes_is_noticed() {
    let (mut net, ours, _) = Net::connected(1, quick());
    net.simulation.unplug(net.b);
    net.until(|a, _| a.pc.connection_state() == ConnectionState::Failed);
    let states: Vec<IceConnectionState> = net
        .a()
        .events
        .iter()
        .filter_map(|event| match event {
            Event::IceConnectionStateChange(state) => Some(*state),
            _ => None,
        })
        .collect();
    assert!(states.ends_with(&[IceConnectionState::Disconnected, IceConnectionState::Failed]), "{states:?}");
    // A restart can bring it back.
    assert!(net.a().is_open(ours));
    // Without consent nothing is sent (RFC 7675 §5.1), and nothing is left to wait for.
    let sent = net.a().pc.statistics().datagrams_sent;
    net.simulation.plug(net.b);
    net.simulation.run_for(Duration::from_secs(4 * 60));
    assert_eq!(net.a().pc.statistics().datagrams_sent, sent);
    assert!(net.a().pc.poll_timeout().is_none());
}

#[test]
fn a_short_break_is_survived() {
    let (mut net, ours, _) = Net::connected(1, quick());
    net.simulation.unplug(net.b);
    net.until(|a, _| a.pc.connection_state() == ConnectionState::Disconnected);
    net.simulation.plug(net.b);
    net.send_a(ours, "back");
    net.until(|a, b| a.pc.connection_state() == ConnectionState::Connected && b.received.len() == 1);
}

#[test]
fn close_tells_the_peer_at_once_and_frees_everything() {
    let (mut net, ours, theirs) = Net::connected(1, quick());
    net.send_a(ours, "last words");
    net.b().reads = false;
    net.simulation.run_for(Duration::from_millis(5));
    let now = net.now();
    net.a().pc.close(now);
    net.a().pc.close(now);
    assert_eq!(net.a().pc.connection_state(), ConnectionState::Closed);
    assert_eq!(net.a().pc.signaling_state(), SignalingState::Closed);
    assert_eq!(net.a().pc.ready_state(ours), ReadyState::Closed);
    net.simulation.run_for(Duration::from_millis(5));
    // What arrived before can still be read.
    let now = net.now();
    net.b().read(now, theirs);
    assert!(net.b().has(&Event::ChannelClosed(theirs)));
    assert_eq!(net.b().pc.dtls_state(), DtlsState::Closed);
    assert_eq!(net.b().messages(), [Message::text("last words")]);
    assert!(net.a().has(&Event::ChannelClosed(ours)));
    let now = net.now();
    assert!(net.a().pc.poll_timeout().is_none());
    assert!(net.a().pc.create_data_channel(now, "", Default::default()).is_err());
    assert_eq!(net.a().pc.add_ice_candidate(now, None).unwrap_err(), AddIceCandidateError::Closed);
    let sent = net.a().pc.statistics().datagrams_sent;
    net.simulation.run_for(Duration::from_secs(60));
    assert_eq!(net.a().pc.statistics().datagrams_sent, sent);
}

#[test]
fn a_connection_that_never_began_closes() {
    let mut peer = Peer::new(1, address(1), Limits::default());
    let now = antiphon_testkit::origin();
    peer.pc.close(now);
    assert_eq!(peer.pc.connection_state(), ConnectionState::Closed);
    assert!(peer.pc.poll_transmit(now, &mut Vec::new()).is_none());
    assert!(peer.pc.poll_timeout().is_none());
}

#[test]
fn events_that_are_not_taken_are_bounded() {
    let mut limits = Limits { events: 50, ..Limits::default() };
    limits.sctp.max_events = 50;
    let mut net = Net::with_limits(1, quick(), limits);
    net.connect();
    let now = net.now();
    // Nobody takes the events of this end.
    let b = &mut net.simulation[net.b];
    let mut silent = std::mem::replace(b, Peer::new(9, address(2), Limits::default())).pc;
    let a = &mut net.simulation[net.a].pc;
    for _ in 0..500 {
        a.create_data_channel(now, "", Default::default()).unwrap();
    }
    let mut buf = Vec::new();
    for _ in 0..1_000 {
        buf.clear();
        while let Some(transmit) = a.poll_transmit(now, &mut buf) {
            let start = buf.len() - transmit.len;
            for datagram in buf[start..].chunks_mut(transmit.segment_size.unwrap_or(transmit.len)) {
                let path = antiphon_util::Path::udp(address(2), address(1));
                silent.handle_receive(now, antiphon_util::Received { path, ecn: None, datagram });
            }
        }
        buf.clear();
        while let Some(transmit) = silent.poll_transmit(now, &mut buf) {
            let start = buf.len() - transmit.len;
            for datagram in buf[start..].chunks_mut(transmit.segment_size.unwrap_or(transmit.len)) {
                let path = antiphon_util::Path::udp(address(1), address(2));
                a.handle_receive(now, antiphon_util::Received { path, ecn: None, datagram });
            }
        }
    }
    let mut opened = 0;
    let mut taken = 0;
    loop {
        let Some(event) = silent.poll_event() else {
            // The rest comes once there is room.
            if silent.poll_timeout().is_none_or(|due| due > now) {
                break;
            }
            silent.handle_timeout(now);
            assert!(taken <= 60, "{taken}");
            taken = 0;
            if opened == 500 {
                break;
            }
            continue;
        };
        taken += 1;
        opened += usize::from(matches!(event, Event::DataChannel(_)));
    }
    assert_eq!(opened, 500);
}
