//! Associations that are set up by their descriptions (SNAP) in place of INIT.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "tests")]

mod common;

use antiphon_sctp::packet::Chunk;
use antiphon_sctp::{AssociationState, Config, DescribedInit, Event};
use antiphon_testkit::for_each_seed;
use common::{Link, Pair, ms, parse, pattern};

/// Tells `to` of the other end.
fn describe(pair: &mut Pair, to: usize) {
    let init = DescribedInit::parse(&pair.ends[1 - to].described_init()).unwrap();
    pair.ends[to].set_described_init(init);
}

fn described(seed: u64, link: Link) -> Pair {
    let mut pair = Pair::new(seed, link, Config::default);
    describe(&mut pair, 0);
    describe(&mut pair, 1);
    pair
}

/// Sends the same messages both ways, which arrive once and in order.
fn exchange(pair: &mut Pair) {
    let messages: Vec<Vec<u8>> = (0..20).map(|n| pattern(n, 3_000)).collect();
    for message in &messages {
        pair.send(0, 1, message.clone());
        pair.send(1, 1, message.clone());
    }
    let mut received = [Vec::new(), Vec::new()];
    for _ in 0..1_000 {
        pair.run_for(ms(100));
        (0..2).for_each(|end| received[end].extend(pair.read_all(end, 1)));
        if received.iter().all(|received| received.len() >= messages.len()) {
            break;
        }
    }
    assert_eq!(received, [messages.clone(), messages]);
}

#[test]
fn described_ends_are_connected_without_a_packet() {
    let mut pair = described(1, Link::CLEAN);
    let now = pair.now;
    for end in 0..2 {
        assert_eq!(pair.ends[end].state(), AssociationState::Closed);
        pair.ends[end].connect(now);
        assert_eq!(pair.ends[end].state(), AssociationState::Established);
        assert_eq!(
            pair.take_events(end),
            [Event::Connected { outgoing_streams: 65_535, incoming_streams: 65_535 }]
        );
        assert_eq!(pair.take(end), Vec::<Vec<u8>>::new());
    }
    exchange(&mut pair);
    assert!(pair.ends[0].statistics().interleaving);
}

#[test]
fn the_first_packet_of_a_described_peer_establishes() {
    let mut pair = described(1, Link::CLEAN);
    let now = pair.now;
    pair.ends[0].connect(now);
    pair.send(0, 1, "early");
    let packets = pair.take(0);
    pair.give(1, &packets);
    assert_eq!(pair.read_all(1, 1), [b"early".to_vec()]);
    pair.ends[1].connect(now);
    exchange(&mut pair);
    assert_eq!(pair.ends[1].drops().total(), 0);
}

#[test]
fn our_own_init_sent_back_is_none_of_the_peers() {
    let mut pair = Pair::new(1, Link::CLEAN, Config::default);
    let own = DescribedInit::parse(&pair.ends[0].described_init()).unwrap();
    pair.ends[0].set_described_init(own);
    let now = pair.now;
    pair.ends[0].connect(now);
    pair.ends[1].connect(now);
    assert_eq!(pair.ends[0].state(), AssociationState::CookieWait);
    exchange(&mut pair);
}

#[test]
fn a_peer_that_missed_our_description_sets_up_what_is_set_up_here() {
    for_each_seed(50, |seed| {
        let link = Link { loss: 200, jitter: ms(20), ..Link::CLEAN };
        let mut pair = Pair::new(seed, link, Config::default);
        describe(&mut pair, 1);
        let now = pair.now;
        pair.ends[1].connect(now);
        pair.ends[0].connect(now);
        exchange(&mut pair);
        assert!(!pair.take_events(1).contains(&Event::Restarted));
    });
}

#[test]
fn the_described_init_is_the_one_that_is_sent() {
    let mut pair = Pair::new(1, Link::CLEAN, Config::default);
    let chunk = pair.ends[0].described_init();
    let now = pair.now;
    pair.ends[0].connect(now);
    let packets = pair.take(0);
    assert!(matches!(parse(&packets[0]).chunks().next(), Some(Ok(Chunk::Init(_)))));
    assert_eq!(packets[0][12..], chunk);
}

#[test]
fn what_is_no_init_is_refused() {
    let pair = Pair::new(1, Link::CLEAN, Config::default);
    let chunk = pair.ends[0].described_init();
    for length in 0..chunk.len() {
        assert!(DescribedInit::parse(&chunk[..length]).is_err(), "{length}");
    }
    let twice = [chunk.clone(), chunk.clone()].concat();
    assert!(DescribedInit::parse(&twice).is_err());
    // Another type, no tag, a window below 1,500, no streams in either direction.
    for (at, bytes) in [(0, &[2][..]), (4, &[0; 4]), (8, &[0, 0, 5, 0xdb]), (12, &[0; 2]), (14, &[0; 2])] {
        let mut wrong = chunk.clone();
        wrong[at..at + bytes.len()].copy_from_slice(bytes);
        assert!(DescribedInit::parse(&wrong).is_err(), "{at}");
    }
    // As Chromium describes itself, without the padding of the last parameter.
    let chromium = [
        1, 0, 0, 30, 0x7b, 0x5c, 0x41, 0xad, 0, 0x50, 0, 0, 255, 255, 255, 255, 0xa5, 0x3c, 0x37, 0x8e, 0xc0,
        0, 0, 4, 0x80, 8, 0, 6, 0x82, 0xc0,
    ];
    assert!(DescribedInit::parse(&chromium).is_ok());
}
