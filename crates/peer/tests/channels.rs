//! Data channels: how they open, carry messages and close.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "tests")]

mod common;

use std::time::Duration;

use antiphon_peer::{
    ChannelId, Configuration, Congestion, CongestionControl, CreateDataChannelError, DataChannelInit,
    DropReason, ErrorName, Event, Limits, Message, Priority, ReadyState, SendError,
};
use antiphon_testkit::{Link, Loss, for_each_seed};
use bytes::Bytes;
use common::{Net, Peer, lossy, quick};

fn create(net: &mut Net, label: &str, init: DataChannelInit) -> ChannelId {
    let now = net.now();
    net.a().pc.create_data_channel(now, label, init).unwrap()
}

fn negotiated(id: u16) -> DataChannelInit {
    DataChannelInit { negotiated: true, id: Some(id), ..DataChannelInit::default() }
}

fn channel_events(peer: &Peer, id: ChannelId) -> Vec<Event> {
    let of_channel = |event: &Event| {
        [Event::DataChannel(id), Event::ChannelOpen(id), Event::ChannelClosing(id), Event::ChannelClosed(id)]
            .contains(event)
    };
    peer.events.iter().filter(|event| of_channel(event)).cloned().collect()
}

#[test]
fn parameters_arrive_with_the_channel() {
    let mut net = Net::new(1, quick());
    let init = DataChannelInit {
        ordered: false,
        max_retransmits: Some(3),
        protocol: "chat".into(),
        ..DataChannelInit::default()
    };
    let ours = create(&mut net, "Grüße", init);
    assert_eq!(net.a().pc.channel(ours).unwrap().id(), None);
    net.negotiate();
    net.until(|_, b| !b.opened().is_empty());
    let theirs = net.b().opened()[0];
    let channel = net.b().pc.channel(theirs).unwrap();
    assert_eq!((channel.label(), channel.protocol(), channel.id()), ("Grüße", "chat", Some(1)));
    assert_eq!(
        (channel.ordered(), channel.max_retransmits(), channel.max_packet_life_time()),
        (false, Some(3), None)
    );
    assert!(!channel.negotiated());
    assert_eq!(net.a().pc.channel(ours).unwrap().id(), Some(1));
}

#[test]
fn a_message_sent_at_once_comes_after_the_channel() {
    for_each_seed(20, |seed| {
        let mut net = Net::new(seed, lossy(0.2));
        let init = DataChannelInit { ordered: false, ..DataChannelInit::default() };
        let ours = create(&mut net, "quick", init);
        net.negotiate();
        net.until(|a, _| a.is_open(ours));
        net.send_a(ours, "first");
        net.until(|_, b| b.received.len() == 1);
        let theirs = net.b().opened()[0];
        assert_eq!(channel_events(net.b(), theirs), [Event::DataChannel(theirs), Event::ChannelOpen(theirs)]);
    });
}

#[test]
fn negotiated_channels_open_on_both_sides() {
    let mut net = Net::new(1, quick());
    let ours = create(&mut net, "left", negotiated(7));
    let now = net.now();
    let theirs = net.b().pc.create_data_channel(now, "right", negotiated(7)).unwrap();
    net.negotiate();
    net.until(|a, b| a.is_open(ours) && b.is_open(theirs));
    net.send_a(ours, "one");
    net.send_b(theirs, "two");
    net.until(|a, b| a.received.len() == 1 && b.received.len() == 1);
    assert!(net.a().opened().is_empty() && net.b().opened().is_empty());
}

#[test]
fn sixteen_channels_carry_their_own_messages() {
    let (mut net, first, _) = Net::connected(1, lossy(0.05));
    let mut ours: Vec<ChannelId> =
        (0..15).map(|n| create(&mut net, &format!("c{n}"), Default::default())).collect();
    ours.push(first);
    net.until(|_, b| b.opened().len() == 16);
    for (n, id) in ours.iter().enumerate() {
        net.send_a(*id, format!("m{n}"));
    }
    net.until(|_, b| b.received.len() == 16);
    let labels: Vec<(String, Message)> = {
        let b = net.b();
        let label = |id| b.pc.channel(id).unwrap().label().to_owned();
        b.received.iter().map(|(id, message)| (label(*id), message.clone())).collect()
    };
    for (n, label) in (0..15).map(|n| (n, format!("c{n}"))).chain([(15, "first".to_owned())]) {
        assert!(labels.contains(&(label, Message::text(format!("m{n}")))));
    }
}

const PRIORITIES: [Priority; 4] = [Priority::VeryLow, Priority::Low, Priority::Medium, Priority::High];

/// One channel of each priority, from both sides, over 10 Mbit/s.
fn prioritised(seed: u64) -> (Net, Vec<ChannelId>, Vec<ChannelId>) {
    let link = Link {
        rate: Some(10_000_000),
        queue: Some(128 << 10),
        ..Link::with_delay(Duration::from_millis(20))
    };
    let (mut net, ..) = Net::connected(seed, link);
    let ours: Vec<ChannelId> = PRIORITIES
        .iter()
        .map(|priority| create(&mut net, "", DataChannelInit { priority: *priority, ..Default::default() }))
        .collect();
    net.until(|_, b| b.opened().len() == 5);
    let theirs = net.b().opened().split_off(1);
    (net, ours, theirs)
}

/// Whether each channel got twice of the one before it, or nearly.
fn shares_double(received: &[(ChannelId, Message)], channels: &[ChannelId]) {
    let share = |id: &ChannelId| {
        received.iter().filter(|(of, _)| of == id).map(|(_, message)| message.len()).sum::<usize>() as f64
    };
    let shares: Vec<f64> = channels.iter().map(share).collect();
    for pair in shares.windows(2) {
        assert!((1.6..2.5).contains(&(pair[1] / pair[0])), "{shares:?}");
    }
}

#[test]
fn channels_share_the_path_by_their_priorities() {
    for_each_seed(3, |seed| {
        let (mut net, ours, _) = prioritised(seed);
        for _ in 0..250 {
            ours.iter().for_each(|id| net.send_a(*id, vec![1; 8_000]));
        }
        net.simulation.run_for(Duration::from_secs(2));
        let theirs = net.b().opened().split_off(1);
        shares_double(&net.b().received.clone(), &theirs);
    });
}

#[test]
fn the_peer_takes_over_the_priority() {
    let (mut net, ours, theirs) = prioritised(1);
    for (id, priority) in theirs.iter().zip(PRIORITIES) {
        assert_eq!(net.b().pc.channel(*id).unwrap().priority(), priority);
    }
    for _ in 0..250 {
        theirs.iter().for_each(|id| net.send_b(*id, vec![1; 8_000]));
    }
    net.simulation.run_for(Duration::from_secs(2));
    shares_double(&net.a().received.clone(), &ours);
}

#[test]
fn an_urgent_message_does_not_wait_for_bulk() {
    let (mut net, ours, theirs) = prioritised(1);
    for _ in 0..60 {
        net.send_a(ours[0], vec![1; 200_000]);
    }
    net.simulation.run_for(Duration::from_secs(3));
    let sent = net.now();
    net.send_a(ours[3], "now");
    net.until(|_, b| b.received.iter().any(|(id, _)| *id == theirs[3]));
    let taken = net.now() - sent;
    assert!(taken < Duration::from_millis(45), "{taken:?}");
}

/// How long 10 MB take over a path that loses one packet in fifty.
fn duration(control: CongestionControl) -> Duration {
    let congestion = Congestion { control, ..Congestion::default() };
    let configuration = || Configuration { congestion, ..Configuration::default() };
    let link = Link { rate: Some(50_000_000), queue: Some(256 << 10), ..lossy(0.02) };
    let mut net = Net::configured(1, link, configuration(), configuration());
    let (ours, _) = net.connect();
    let begun = net.now();
    for _ in 0..100 {
        net.send_a(ours, vec![0; 100_000]);
    }
    net.until(|_, b| b.received.len() == 100);
    net.now() - begun
}

#[test]
fn the_congestion_controller_is_the_one_that_was_chosen() {
    let [bbr, cubic, new_reno] =
        [CongestionControl::Bbr, CongestionControl::Cubic, CongestionControl::NewReno].map(duration);
    assert!(bbr * 3 < cubic * 2 && bbr * 3 < new_reno * 2, "{bbr:?} {cubic:?} {new_reno:?}");
    assert_ne!(cubic, new_reno);
}

#[test]
fn several_hundred_channels_open_and_close() {
    let (mut net, ..) = Net::connected(1, lossy(0.01));
    let ours: Vec<ChannelId> =
        (0..500).map(|n| create(&mut net, &n.to_string(), Default::default())).collect();
    net.until(|_, b| b.opened().len() == 501);
    let now = net.now();
    for id in &ours {
        net.a().pc.close_channel(now, *id);
    }
    net.until(|a, b| a.pc.channel_ids().count() == 1 && b.pc.channel_ids().count() == 1);
    let statistics = net.b().pc.statistics();
    assert_eq!((statistics.channels_opened, statistics.channels_closed), (501, 500));
}

#[test]
fn the_opener_closes() {
    let (mut net, ours, theirs) = Net::connected(1, quick());
    net.send_a(ours, "last words");
    let now = net.now();
    net.a().pc.close_channel(now, ours);
    assert_eq!(net.a().pc.ready_state(ours), ReadyState::Closing);
    assert_eq!(net.a().pc.send(now, ours, "x".into()).unwrap_err(), SendError::NotOpen);
    net.until(|a, b| a.has(&Event::ChannelClosed(ours)) && b.has(&Event::ChannelClosed(theirs)));
    assert_eq!(net.b().messages(), [Message::text("last words")]);
    assert_eq!(channel_events(net.a(), ours), [Event::ChannelOpen(ours), Event::ChannelClosed(ours)]);
    assert_eq!(
        channel_events(net.b(), theirs),
        [
            Event::DataChannel(theirs),
            Event::ChannelOpen(theirs),
            Event::ChannelClosing(theirs),
            Event::ChannelClosed(theirs)
        ]
    );
    assert!(net.is_connected());
}

#[test]
fn the_other_side_closes() {
    for_each_seed(10, |seed| {
        let (mut net, ours, theirs) = Net::connected(seed, lossy(0.2));
        let now = net.now();
        net.b().pc.close_channel(now, theirs);
        net.until(|a, b| a.has(&Event::ChannelClosed(ours)) && b.has(&Event::ChannelClosed(theirs)));
        assert!(net.a().has(&Event::ChannelClosing(ours)));
    });
}

#[test]
fn both_sides_close_at_once() {
    for_each_seed(10, |seed| {
        let (mut net, ours, theirs) = Net::connected(seed, lossy(0.1));
        let now = net.now();
        net.a().pc.close_channel(now, ours);
        net.b().pc.close_channel(now, theirs);
        net.a().pc.close_channel(now, ours);
        net.until(|a, b| a.has(&Event::ChannelClosed(ours)) && b.has(&Event::ChannelClosed(theirs)));
        let again = create(&mut net, "again", Default::default());
        net.until(|a, b| a.is_open(again) && b.opened().len() == 2);
    });
}

#[test]
fn an_id_is_used_again_after_both_directions_are_reset() {
    for_each_seed(10, |seed| {
        let (mut net, mut ours, _) = Net::connected(seed, lossy(0.1));
        for round in 0..5 {
            assert_eq!(net.a().pc.channel(ours).unwrap().id(), Some(1), "round {round}");
            net.send_a(ours, format!("{round}"));
            let now = net.now();
            net.a().pc.close_channel(now, ours);
            let closed = ours;
            net.until(|a, _| a.has(&Event::ChannelClosed(closed)));
            ours = create(&mut net, "next", Default::default());
        }
        net.until(|_, b| b.received.len() == 5 && b.opened().len() == 6);
        let expected: Vec<Message> = (0..5).map(|n| Message::text(n.to_string())).collect();
        assert_eq!(net.b().messages(), expected);
    });
}

#[test]
fn a_close_waits_until_what_came_before_is_read() {
    let (mut net, ours, theirs) = Net::connected(1, quick());
    net.b().reads = false;
    for n in 0..3 {
        net.send_a(ours, n.to_string());
    }
    let now = net.now();
    net.a().pc.close_channel(now, ours);
    net.simulation.run_for(Duration::from_secs(5));
    assert!(net.b().has(&Event::ChannelClosing(theirs)) && !net.b().has(&Event::ChannelClosed(theirs)));
    let now = net.now();
    net.b().read(now, theirs);
    assert_eq!(net.b().received.len(), 3);
    net.until(|a, b| a.has(&Event::ChannelClosed(ours)) && b.has(&Event::ChannelClosed(theirs)));
}

#[test]
fn a_channel_closed_before_the_connection_is_gone_at_once() {
    let mut net = Net::new(1, quick());
    let ours = create(&mut net, "early", Default::default());
    let now = net.now();
    net.a().pc.close_channel(now, ours);
    net.a().pc.close_channel(now, ours);
    assert_eq!(net.a().pc.ready_state(ours), ReadyState::Closed);
    net.connect();
    assert_eq!(channel_events(net.a(), ours), [Event::ChannelClosed(ours)]);
}

#[test]
fn what_arrives_on_a_closed_channel_is_discarded() {
    let (mut net, ours, theirs) = Net::connected(1, quick());
    net.a().reads = false;
    net.send_b(theirs, "before");
    net.until(|a, _| a.has(&Event::ChannelReadable(ours)));
    let now = net.now();
    net.a().pc.close_channel(now, ours);
    assert_eq!(net.a().pc.receive(now, ours), None);
    net.until(|a, b| a.has(&Event::ChannelClosed(ours)) && b.has(&Event::ChannelClosed(theirs)));
    assert_eq!(net.a().pc.drops().of(DropReason::ChannelClosed), 1);
}

#[test]
fn wrong_parameters_are_refused() {
    let mut net = Net::new(1, quick());
    let long = "x".repeat(65_536);
    let init = DataChannelInit::default;
    let two = DataChannelInit {
        max_packet_life_time: Some(Duration::from_secs(1)),
        max_retransmits: Some(1),
        ..init()
    };
    let now = net.now();
    for (label, init, error, name) in [
        (long.as_str(), init(), CreateDataChannelError::LabelTooLong, ErrorName::TypeError),
        (
            "",
            DataChannelInit { protocol: long.clone(), ..init() },
            CreateDataChannelError::ProtocolTooLong,
            ErrorName::TypeError,
        ),
        ("", two, CreateDataChannelError::TwoReliabilities, ErrorName::TypeError),
        (
            "",
            DataChannelInit { id: None, ..negotiated(0) },
            CreateDataChannelError::NoId,
            ErrorName::TypeError,
        ),
        ("", negotiated(65_535), CreateDataChannelError::InvalidId, ErrorName::OperationError),
    ] {
        let refused = net.a().pc.create_data_channel(now, label, init).unwrap_err();
        assert_eq!((refused, refused.name()), (error, name));
    }
    create(&mut net, "", negotiated(4));
    let refused = net.a().pc.create_data_channel(now, "", negotiated(4)).unwrap_err();
    assert_eq!(refused, CreateDataChannelError::IdInUse);
    let longest = create(&mut net, &"x".repeat(65_535), init());
    net.negotiate();
    net.until(|a, b| a.is_open(longest) && b.opened().len() == 1);
}

#[test]
fn ids_run_out() {
    let limits = Limits { channels: 65_535, ..Limits::default() };
    let mut net = Net::with_limits(1, quick(), limits);
    net.connect();
    // Odd ones for the DTLS server, up to 65,533 (RFC 8832 §5, §6); one is in use.
    for n in 0..32_766 {
        create(&mut net, "", DataChannelInit { negotiated: true, id: Some(2 * n + 3), ..Default::default() });
    }
    let now = net.now();
    let refused = net.a().pc.create_data_channel(now, "", DataChannelInit::default()).unwrap_err();
    assert_eq!((refused, refused.name()), (CreateDataChannelError::NoIdLeft, ErrorName::OperationError));
    let even = create(&mut net, "", negotiated(2));
    assert!(net.a().is_open(even));
}

#[test]
fn channels_are_limited_on_both_sides() {
    let mut net = Net::new(1, quick());
    let limits = Limits { channels: 10, ..Limits::default() };
    net.simulation[net.b] = Peer::new(3, common::address(2), limits);
    net.connect();
    for n in 0..100 {
        create(&mut net, &n.to_string(), Default::default());
    }
    net.until(|_, b| b.pc.drops().of(DropReason::ChannelRefused) == 91);
    assert_eq!(net.b().opened().len(), 10);
    // Those refused are closed on the side that opened them.
    net.until(|a, _| a.pc.channel_ids().count() == 10);
    let now = net.now();
    let refused = net.b().pc.create_data_channel(now, "", Default::default()).unwrap_err();
    assert_eq!(refused, CreateDataChannelError::TooMany);
}

#[test]
fn labels_of_the_peer_are_limited() {
    let mut net = Net::new(1, quick());
    let limits = Limits { label_length: 10, ..Limits::default() };
    net.simulation[net.b] = Peer::new(3, common::address(2), limits);
    net.connect();
    for (length, refused) in [(10, 0), (11, 1), (100, 2)] {
        create(&mut net, &"x".repeat(length), Default::default());
        net.simulation.run_for(Duration::from_millis(100));
        assert_eq!(net.b().pc.drops().of(DropReason::ChannelRefused), refused, "{length}");
    }
}

#[test]
fn messages_over_the_peers_size_are_refused() {
    let mut net = Net::new(1, quick());
    net.simulation[net.b] =
        Peer::new(3, common::address(2), Limits { message_size: 1_000, ..Limits::default() });
    let (ours, _) = net.connect();
    let now = net.now();
    for size in [1_001, 10_000] {
        let refused = net.a().pc.send(now, ours, vec![0; size].into()).unwrap_err();
        assert_eq!((refused, refused.name()), (SendError::TooLarge { limit: 1_000 }, ErrorName::TypeError));
    }
    assert_eq!(net.a().pc.max_message_size(), Some(1_000));
    net.send_a(ours, vec![1; 1_000]);
    net.until(|_, b| b.received.len() == 1);
}

#[test]
fn the_size_may_be_absent_or_any() {
    for (line, expected) in [("", 65_536), ("a=max-message-size:0\r\n", 1_073_741_823)] {
        let mut net = Net::new(1, quick());
        create(&mut net, "", Default::default());
        let now = net.now();
        net.a().pc.set_local_description(now, None).unwrap();
        let mut offer = net.a().pc.local_description().unwrap();
        offer.sdp = offer.sdp.replace("a=max-message-size:262144\r\n", line);
        net.b().pc.set_remote_description(now, offer).unwrap();
        net.b().pc.set_local_description(now, None).unwrap();
        assert_eq!(net.b().pc.max_message_size(), Some(expected));
    }
}

#[test]
fn a_full_buffer_refuses_and_tells_when_there_is_room() {
    let (mut net, ours, _) = Net::connected(1, quick());
    let now = net.now();
    let message = Message::binary(Bytes::from(vec![5; 262_144]));
    let mut sent = 0;
    while net.a().pc.send(now, ours, message.clone()).is_ok() {
        sent += 1;
    }
    assert_eq!(net.a().pc.send(now, ours, message.clone()).unwrap_err(), SendError::Full);
    assert!(net.a().pc.buffered_amount(ours) > 15 * 1024 * 1024);
    net.a().pc.set_buffered_amount_low_threshold(ours, 1_000_000);
    net.until(|a, _| a.has(&Event::Writable));
    net.send_a(ours, message);
    net.until(|a, b| a.has(&Event::ChannelBufferedAmountLow(ours)) && b.received.len() == sent + 1);
    assert_eq!(net.a().pc.buffered_amount(ours), 0);
}

#[test]
fn messages_that_are_not_received_hold_the_peer_back() {
    let (mut net, ours, theirs) = Net::connected(1, quick());
    net.b().reads = false;
    for _ in 0..60 {
        net.send_a(ours, vec![1; 250_000]);
    }
    net.simulation.run_for(Duration::from_secs(20));
    assert!(net.a().pc.buffered_amount(ours) > 5_000_000);
    net.b().reads = true;
    let now = net.now();
    net.b().read(now, theirs);
    net.until(|_, b| b.received.len() == 60);
}

#[test]
fn partial_reliability_gives_up_what_is_lost() {
    for_each_seed(5, |seed| {
        let mut net = Net::new(seed, Link { loss: Loss::everything(), ..quick() });
        net.simulation.set_default_link(quick());
        let init = DataChannelInit { ordered: false, max_retransmits: Some(0), ..Default::default() };
        let ours = create(&mut net, "", init);
        net.negotiate();
        net.until(|a, b| a.is_open(ours) && b.opened().len() == 1);
        net.simulation.run_for(Duration::from_millis(100));
        net.simulation.set_default_link(lossy(0.3));
        for n in 0..100u8 {
            net.send_a(ours, vec![n; 1_000]);
        }
        net.simulation.run_for(Duration::from_secs(60));
        net.simulation.set_default_link(quick());
        net.send_a(ours, "end");
        net.until(|_, b| b.messages().contains(&Message::text("end")));
        let received = net.b().received.len();
        assert!((30..100).contains(&received), "{received}");
        assert!(net.a().pc.statistics().sctp.messages_abandoned > 0);
    });
}
