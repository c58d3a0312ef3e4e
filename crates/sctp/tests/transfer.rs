//! Data between two ends over good and bad links.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::needless_range_loop,
    reason = "a test may fail by panic; both ends are counted through"
)]

mod common;

use std::collections::BTreeMap;

use antiphon_sctp::{Config, Event, Reliability, StreamId};
use antiphon_util::Rng;
use common::{Link, Pair, ms, pattern};

/// Streams `1..=streams`, on which `count` messages of random size go each way. Every message has to arrive once and
/// whole, ordered ones in order.
fn exchange(seed: u64, link: Link, count: usize, max_len: u64) {
    let mut pair = Pair::connected(seed, link, Config::default);
    let mut rng = Rng::from_test_seed(seed ^ 0x5eed);
    let mut expected: [BTreeMap<u16, Vec<Vec<u8>>>; 2] = Default::default();
    for number in 0..count {
        for from in 0..2 {
            let stream = 1 + rng.below(4) as u16;
            let payload = pattern(seed + (number * 2 + from) as u64, 1 + rng.below(max_len) as usize);
            // Stream 4 is unordered.
            pair.send_with(from, stream, payload.clone(), stream != 4, Reliability::Reliable);
            expected[1 - from].entry(stream).or_default().push(payload);
        }
    }
    let mut received: [BTreeMap<u16, Vec<Vec<u8>>>; 2] = Default::default();
    let end = pair.now + ms(600_000);
    let total = |all: &[BTreeMap<u16, Vec<Vec<u8>>>; 2]| {
        all.iter().flat_map(|streams| streams.values()).map(Vec::len).sum::<usize>()
    };
    while total(&received) < 2 * count && pair.step(end) {
        for end in 0..2 {
            for stream in 1..=4 {
                let messages = pair.read_all(end, stream);
                received[end].entry(stream).or_default().extend(messages);
            }
        }
    }
    pair.run_for(ms(1_000));
    for end in 0..2 {
        for stream in 1..=4 {
            received[end].entry(stream).or_default().extend(pair.read_all(end, stream));
            let (mut got, mut sent) = (
                received[end].remove(&stream).unwrap_or_default(),
                expected[end].remove(&stream).unwrap_or_default(),
            );
            if stream == 4 {
                got.sort();
                sent.sort();
            }
            assert!(got == sent, "seed {seed}, end {end}, stream {stream}: {} of {}", got.len(), sent.len());
        }
    }
}

#[test]
fn every_reliable_message_arrives_once_in_order_and_whole_on_a_clean_link() {
    exchange(1, Link::CLEAN, 60, 40_000);
}

#[test]
fn every_reliable_message_arrives_once_in_order_and_whole_on_bad_links() {
    for seed in 0..20 {
        for (loss, duplication, jitter) in [(0, 0, 30), (50, 20, 3), (300, 50, 10), (10, 300, 0)] {
            let link = Link { delay: ms(10), jitter: ms(jitter), loss, duplication };
            exchange(seed, link, 20, 20_000);
        }
    }
}

#[test]
fn small_messages_are_bundled() {
    let mut pair = Pair::connected(3, Link::CLEAN, Config::default);
    for number in 0..50u8 {
        pair.send(0, 1, [number; 100]);
    }
    assert_eq!(pair.take(0).len(), 6, "nine of them fit a packet");
}

#[test]
fn full_packets_are_of_one_size() {
    let mut pair = Pair::connected(4, Link::CLEAN, Config::default);
    for _ in 0..4 {
        pair.send(0, 1, pattern(1, 16_384));
    }
    let sizes: Vec<usize> = pair.take(0).iter().map(Vec::len).collect();
    assert_eq!(sizes, [1160; 11], "the initial window");
}

#[test]
fn messages_wait_inside_until_read_and_hold_the_window() {
    let config =
        || Config { receive_window: 64 * 1024, max_incoming_message: 16 * 1024, ..Config::default() };
    let mut pair = Pair::connected(5, Link::CLEAN, config);
    let payload = pattern(9, 10_000);
    for _ in 0..30 {
        pair.send(0, 1, payload.clone());
    }
    pair.run_for(ms(20_000));
    let held = pair.ends[1].statistics().receive_buffered;
    assert!((40_000..=64 * 1024).contains(&held), "{held}");
    assert!(pair.ends[0].buffered_amount(StreamId(1)) > 100_000);
    let mut received = 0;
    let end = pair.now + ms(60_000);
    while received < 30 {
        received += pair.read_all(1, 1).into_iter().filter(|got| *got == payload).count();
        assert!(pair.step(end), "stalled after {received}");
    }
}

#[test]
fn a_reset_stream_starts_afresh_and_both_sides_hear_of_it() {
    let mut pair = Pair::connected(6, Link { loss: 100, ..Link::CLEAN }, Config::default);
    for round in 0..5u8 {
        pair.send(0, 1, pattern(round.into(), 5_000));
        pair.ends[0].reset_streams(pair.now, &[StreamId(1)]).unwrap();
        pair.send(0, 1, [round]);
        let mut got = Vec::new();
        let end = pair.now + ms(30_000);
        while got.len() < 2 {
            assert!(pair.step(end));
            got.extend(pair.read_all(1, 1));
        }
        assert_eq!(got, [pattern(round.into(), 5_000), vec![round]]);
        pair.run_for(ms(5_000));
        assert_eq!(
            pair.take_events(1),
            [
                Event::Readable(StreamId(1)),
                Event::IncomingStreamsReset(vec![StreamId(1)]),
                Event::Readable(StreamId(1))
            ]
        );
        let events = pair.take_events(0);
        assert!(events.contains(&Event::OutgoingStreamsReset(vec![StreamId(1)])), "{events:?}");
    }
}

#[test]
fn unreliable_messages_are_given_up_and_do_not_block_later_ones() {
    for seed in 0..20 {
        let mut pair = Pair::connected(seed, Link { loss: 300, ..Link::CLEAN }, Config::default);
        for number in 0..200u16 {
            let reliability = match number % 3 {
                0 => Reliability::MaxRetransmits(0),
                1 => Reliability::MaxLifetime(ms(40)),
                _ => Reliability::MaxRetransmits(1),
            };
            let mut payload = number.to_be_bytes().to_vec();
            payload.extend(pattern(number.into(), (usize::from(number) * 37) % 6_000));
            pair.send_with(0, 1 + number % 2, payload, number % 2 == 0, reliability);
        }
        assert!(pair.run_until(ms(120_000), |pair| pair.ends[0].total_buffered_amount() == 0), "seed {seed}");
        pair.send(0, 9, "last");
        let (mut last, end) = (Vec::new(), pair.now + ms(120_000));
        while last.is_empty() {
            assert!(pair.step(end), "seed {seed}: stalled");
            last = pair.read_all(1, 9);
        }
        // All that is owed is repaired.
        pair.set_link(Link::CLEAN);
        pair.run_for(ms(20_000));
        assert_eq!(pair.ends[0].statistics().in_flight, 0);
        let ordered = pair.read_all(1, 1);
        let unordered = pair.read_all(1, 2);
        let numbers: Vec<u16> =
            ordered.iter().map(|payload| u16::from_be_bytes([payload[0], payload[1]])).collect();
        assert!(numbers.is_sorted(), "seed {seed}: {numbers:?}");
        for payload in ordered.iter().chain(&unordered) {
            let number = u16::from_be_bytes([payload[0], payload[1]]);
            assert_eq!(payload[2..], pattern(number.into(), (usize::from(number) * 37) % 6_000));
        }
        assert!(pair.ends[0].statistics().messages_abandoned > 0, "seed {seed}");
    }
}

#[test]
fn shutdown_delivers_what_send_accepted() {
    for seed in 0..10 {
        let mut pair = Pair::connected(seed, Link { loss: 100, ..Link::CLEAN }, Config::default);
        for number in 0..50u8 {
            pair.send(0, 1, vec![number; 3_000]);
        }
        pair.ends[0].shutdown(pair.now);
        pair.run_for(ms(60_000));
        assert_eq!(pair.read_all(1, 1).len(), 50, "seed {seed}");
        for end in 0..2 {
            let events = pair.take_events(end);
            assert!(
                matches!(events.last(), Some(Event::Closed(antiphon_sctp::CloseReason::Shutdown))),
                "{events:?}"
            );
        }
    }
}
