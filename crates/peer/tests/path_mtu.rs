//! Packets as large as the path carries them (RFC 8899).

#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "tests")]

mod common;

use std::time::Duration;

use antiphon_peer::{ChannelId, Limits};
use antiphon_testkit::{Link, Loss, for_each_seed};
use common::Net;

/// SCTP packets in datagrams of that size.
const fn packet(datagram: usize) -> usize {
    (datagram - 37) & !3
}

fn link(mtu: impl Into<Option<usize>>) -> Link {
    Link {
        mtu: mtu.into(),
        rate: Some(100_000_000),
        queue: Some(512 << 10),
        ..Link::with_delay(Duration::from_millis(10))
    }
}

/// Sends so many messages of 100 kB from `a`, and waits until they are there.
fn transfer(net: &mut Net, ours: ChannelId, messages: usize) {
    let before = net.b().received.len();
    for n in 0..messages {
        net.send_a(ours, vec![n as u8; 100_000]);
    }
    net.until(|_, b| b.received.len() == before + messages);
    let received = net.b().messages().split_off(before);
    assert!(received.iter().enumerate().all(|(n, message)| *message == vec![n as u8; 100_000].into()));
}

/// The size found, some time after the last data.
fn size(net: &mut Net) -> usize {
    net.simulation.run_for(Duration::from_secs(5));
    net.a().pc.statistics().sctp.packet_size
}

#[test]
fn packets_grow_to_what_the_path_carries() {
    for (mtu, datagram) in [(1_228, 1_200), (1_280, 1_232), (1_420, 1_392), (1_500, 1_472), (9_000, 8_952)] {
        let (mut net, ours, _) = Net::connected(1, link(mtu));
        transfer(&mut net, ours, 40);
        assert_eq!(size(&mut net), packet(datagram), "{mtu}");
        // Probes that are lost cost no data.
        let sctp = net.a().pc.statistics().sctp;
        assert_eq!((sctp.chunks_retransmitted, sctp.timeouts), (0, 0), "{mtu}");
    }
    let (mut net, ours, _) = Net::connected(1, link(None));
    transfer(&mut net, ours, 40);
    assert_eq!(size(&mut net), packet(16_250));
    let limited = Limits { probed_datagram_size: 1_400, ..Limits::default() };
    let mut net = Net::with_limits(1, link(None), limited);
    let (ours, _) = net.connect();
    transfer(&mut net, ours, 40);
    assert_eq!(size(&mut net), packet(1_392));
}

#[test]
fn an_idle_connection_probes_nothing() {
    let (mut net, ours, _) = Net::connected(1, link(None));
    net.send_a(ours, "small");
    net.simulation.run_for(Duration::from_secs(5));
    assert_eq!(size(&mut net), packet(1_200));
}

#[test]
fn a_path_that_carries_less_than_before_is_noticed() {
    for_each_seed(10, |seed| {
        let (mut net, ours, _) = Net::connected(seed, link(9_000));
        transfer(&mut net, ours, 20);
        assert_eq!(size(&mut net), packet(8_952));
        for n in 0..40 {
            net.send_a(ours, vec![n; 100_000]);
        }
        net.simulation.run_for(Duration::from_millis(50));
        net.simulation.set_default_link(link(1_440));
        let shrunk = net.now();
        net.until(|_, b| b.received.len() == 60);
        assert!(net.now() - shrunk < Duration::from_secs(2), "{:?}", net.now() - shrunk);
        assert_eq!(size(&mut net), packet(1_392));
    });
}

#[test]
fn losses_alone_make_packets_no_smaller() {
    for loss in [Loss::random(0.01), Loss::random(0.05), Loss::bursty(0.03, 4.0)] {
        for_each_seed(5, |seed| {
            let (mut net, ours, _) = Net::connected(seed, link(1_500));
            transfer(&mut net, ours, 10);
            assert_eq!(size(&mut net), packet(1_472));
            net.simulation.set_default_link(Link { loss, ..link(1_500) });
            transfer(&mut net, ours, 60);
            assert_eq!(size(&mut net), packet(1_472), "{loss:?}");
        });
    }
}
