//! Interleaving (RFC 8260), zero checksum (RFC 9653), and what else both ends have to agree on.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test may fail by panic")]

mod common;

use std::cell::Cell;

use antiphon_sctp::packet::{Chunk, PacketWriter, kind, write_chunk};
use antiphon_sctp::{AssociationState, CloseReason, Config, DropReason, Event, Reliability, StreamId};
use common::{Link, Pair, ms, parse, pattern, without_interleaving};

/// A configuration, the chunk that does not go with it, and what is said of it.
type Case = (fn() -> Config, u8, &'static str);

/// The first end is made with the first configuration.
fn connected_with(first: Config, second: Config) -> Pair {
    let configs = Cell::new([Some(second), Some(first)]);
    let next = || {
        let mut left = configs.take();
        let config = left.iter_mut().rev().find_map(Option::take).unwrap();
        configs.set(left);
        config
    };
    Pair::connected(1, Link::CLEAN, next)
}

fn has_checksum(packet: &[u8]) -> bool {
    packet[8..12] != [0; 4]
}

#[test]
fn packets_go_without_checksum_to_an_end_that_announced_it() {
    for [first, second] in [[true, true], [true, false], [false, true], [false, false]] {
        let config = |zero_checksum| Config { zero_checksum, ..Config::default() };
        let mut pair = connected_with(config(first), config(second));
        for from in 0..2 {
            pair.send(from, 1, "hello");
            let packets = pair.take(from);
            assert_eq!(has_checksum(&packets[0]), !(first && second), "{first} {second}");
            pair.give(1 - from, &packets);
            assert_eq!(pair.read_all(1 - from, 1), [b"hello"]);
        }
    }
}

#[test]
fn set_up_always_has_a_checksum_and_a_zero_one_is_refused_where_it_was_not_announced() {
    let mut pair = Pair::new(1, Link::CLEAN, Config::default);
    pair.ends[0].connect(pair.now);
    // INIT, INIT ACK and COOKIE ECHO.
    for turn in 0..3 {
        let packets = pair.take(turn % 2);
        assert!(packets.iter().all(|packet| has_checksum(packet)), "turn {turn}");
        pair.give(1 - turn % 2, &packets);
    }
    assert_eq!(pair.ends[1].state(), AssociationState::Established);
    let strict = || Config { zero_checksum: false, ..Config::default() };
    let mut pair = Pair::connected(1, Link::CLEAN, strict);
    pair.send(0, 1, "hello");
    let mut packet = pair.take(0).remove(0);
    packet[8..12].fill(0);
    pair.give(1, &[packet]);
    assert_eq!(pair.ends[1].drops().of(DropReason::Checksum), 1);
    assert!(pair.read_all(1, 1).is_empty());
}

#[test]
fn a_small_message_overtakes_a_large_one_where_both_ends_interleave() {
    for (interleaves, config) in [(true, Config::default as fn() -> Config), (false, without_interleaving)] {
        let mut pair = Pair::connected(1, Link::CLEAN, config);
        assert_eq!(pair.ends[0].statistics().interleaving, interleaves);
        pair.send(0, 1, pattern(1, 200_000));
        pair.run_for(ms(12));
        pair.send(0, 2, "small");
        let mut small_first = None;
        let end = pair.now + ms(10_000);
        while small_first.is_none() {
            assert!(pair.step(end));
            let small = !pair.read_all(1, 2).is_empty();
            let large = pair.read_all(1, 1);
            small_first = (small || !large.is_empty()).then_some(large.is_empty());
        }
        assert_eq!(small_first, Some(interleaves));
    }
}

#[test]
fn one_end_that_does_not_interleave_decides_for_both() {
    let mut pair = connected_with(Config::default(), without_interleaving());
    for from in 0..2 {
        assert!(!pair.ends[from].statistics().interleaving);
        pair.send(from, 1, pattern(3, 5_000));
    }
    pair.run_for(ms(500));
    for end in 0..2 {
        assert_eq!(pair.read_all(end, 1), [pattern(3, 5_000)]);
    }
}

#[test]
fn interleaved_messages_are_given_up_by_number_in_each_stream_and_order() {
    for seed in 0..30 {
        let mut pair = Pair::connected(seed, Link { loss: 200, ..Link::CLEAN }, Config::default);
        for number in 0..120u16 {
            let mut payload = number.to_be_bytes().to_vec();
            payload.extend(pattern(number.into(), usize::from(number % 9) * 900));
            let ordered = number % 3 != 0;
            pair.send_with(0, number % 4, payload, ordered, Reliability::MaxRetransmits(number % 2));
            pair.run_for(ms(2));
        }
        pair.set_link(Link::CLEAN);
        pair.send(0, 0, [0xff; 2]);
        pair.run_for(ms(20_000));
        let mut last = false;
        for stream in 0..4 {
            let got = pair.read_all(1, stream);
            for payload in &got {
                let number = u16::from_be_bytes([payload[0], payload[1]]);
                last |= number == 0xffff;
                let expected = pattern(number.into(), usize::from(number % 9) * 900);
                assert!(number == 0xffff || payload[2..] == expected, "seed {seed}");
            }
        }
        assert!(last, "seed {seed}: the last message is blocked");
        let statistics = pair.ends[0].statistics();
        assert!(statistics.messages_abandoned > 0 && statistics.in_flight == 0, "seed {seed}");
        assert_eq!(pair.ends[1].statistics().receive_buffered, 0, "seed {seed}: fragments are left");
    }
}

#[test]
fn data_of_the_form_that_was_not_agreed_on_ends_the_association() {
    let cases: [Case; 4] = [
        (Config::default, kind::DATA, "DATA where I-DATA was agreed on"),
        (Config::default, kind::FORWARD_TSN, "FORWARD TSN where I-FORWARD-TSN was agreed on"),
        (without_interleaving, kind::I_DATA, "I-DATA that was not agreed on"),
        (without_interleaving, kind::I_FORWARD_TSN, "I-FORWARD-TSN that was not agreed on"),
    ];
    for (config, kind, violation) in cases {
        let mut pair = Pair::connected(1, Link::CLEAN, config);
        pair.send(0, 1, "x");
        let packets = pair.take(0);
        let checked = parse(&packets[0]);
        let mut forged = Vec::new();
        let mut writer = PacketWriter::new(&mut forged, checked.header, 1_200);
        let value = [0u8; 20];
        let len = if kind == kind::FORWARD_TSN || kind == kind::I_FORWARD_TSN { 4 } else { 20 };
        write_chunk(writer.chunks(), kind, 3, &value[..len]);
        writer.finish();
        pair.give(1, &[forged]);
        let reason = CloseReason::ProtocolViolation(violation);
        assert_eq!(pair.take_events(1).last(), Some(&Event::Closed(reason)));
    }
}

#[test]
fn interleaved_streams_are_reset_and_count_from_the_start() {
    let mut pair = Pair::connected(4, Link { loss: 100, ..Link::CLEAN }, Config::default);
    for round in 0..5u8 {
        pair.send(0, 1, pattern(round.into(), 5_000));
        pair.ends[0].reset_streams(pair.now, &[StreamId(1)]).unwrap();
        pair.run_for(ms(3_000));
        assert_eq!(pair.read_all(1, 1), [pattern(round.into(), 5_000)]);
    }
    pair.send(0, 1, "at last");
    let packets = pair.take(0);
    let checked = parse(&packets[0]);
    let chunk = checked.chunks().find_map(|chunk| match chunk {
        Ok(Chunk::IData(data)) => Some(data.mid),
        _ => None,
    });
    assert_eq!(chunk, Some(0));
}
