//! Hostile peers: bounded memory, bounded answers, no end but one with a reason.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test may fail by panic")]

mod common;

use antiphon_sctp::packet::{Chunk, Header, PacketWriter, Reconfiguration, ResetResult, kind, write_chunk};
use antiphon_sctp::{Association, AssociationState, Config, DropReason, Event, StreamId};
use antiphon_util::Rng;
use common::{Link, Pair, ms, origin, parse, without_interleaving};

fn packet(tag: u32, chunks: &[(u8, u8, Vec<u8>)]) -> Vec<u8> {
    let header = Header { source_port: 5000, destination_port: 5000, verification_tag: tag };
    let mut packet = Vec::new();
    let mut writer = PacketWriter::new(&mut packet, header, 65_532);
    for (kind, flags, value) in chunks {
        write_chunk(writer.chunks(), *kind, *flags, value);
    }
    writer.finish();
    packet
}

/// The tag that packets to the second end carry, and the next TSN of the first.
fn spy(pair: &mut Pair) -> (u32, u32) {
    pair.send(0, 900, "?");
    let packets = pair.take(0);
    let packet = parse(&packets[0]);
    let tag = packet.header.verification_tag;
    let tsn = packet
        .chunks()
        .find_map(|chunk| match chunk {
            Ok(Chunk::Data(data)) => Some(data.tsn),
            Ok(Chunk::IData(data)) => Some(data.tsn),
            _ => None,
        })
        .unwrap();
    pair.give(1, &packets);
    pair.read_all(1, 900);
    pair.run_for(ms(100));
    (tag, tsn.wrapping_add(1))
}

fn init(tag: u32, window: u32) -> Vec<u8> {
    let mut value = tag.to_be_bytes().to_vec();
    value.extend(window.to_be_bytes());
    value.extend([0, 100, 0, 100]);
    value.extend(7u32.to_be_bytes());
    value
}

fn i_data(tsn: u32, stream: u16, mid: u32, fsn: u32, len: usize) -> Vec<u8> {
    let mut value = tsn.to_be_bytes().to_vec();
    value.extend(stream.to_be_bytes());
    value.extend([0, 0]);
    value.extend(mid.to_be_bytes());
    value.extend(fsn.to_be_bytes());
    value.extend(vec![7; len]);
    value
}

#[test]
fn a_flood_of_inits_leaves_nothing_behind_but_a_few_answers() {
    for established in [false, true] {
        let mut pair = Pair::new(1, Link::CLEAN, Config::default);
        if established {
            pair = Pair::connected(1, Link::CLEAN, Config::default);
        }
        let limit = Config::default().limits.max_replies;
        for tag in 1..=10 * limit as u32 {
            pair.give(1, &[packet(0, &[(kind::INIT, 0, init(tag, 100_000))])]);
        }
        let dropped = pair.ends[1].drops().of(DropReason::TooManyReplies);
        assert_eq!(dropped, 9 * limit as u64);
        assert_eq!(pair.take(1).len(), limit);
        let state = if established { AssociationState::Established } else { AssociationState::Closed };
        assert_eq!(pair.ends[1].state(), state);
    }
}

#[test]
fn a_cookie_of_another_end_or_time_opens_nothing() {
    let mut pair = Pair::new(1, Link::CLEAN, Config::default);
    pair.ends[0].connect(pair.now);
    let inits = pair.take(0);
    let mut other = Association::new(Config::default(), Rng::from_test_seed(99));
    other.handle_datagram(pair.now, &inits[0]);
    let mut answer = Vec::new();
    other.poll_transmit(pair.now, &mut answer).unwrap();
    // The cookie that the other end made comes to the second end.
    pair.give(0, &[answer]);
    let echo = pair.take(0);
    pair.give(1, &echo);
    assert_eq!(pair.ends[1].drops().of(DropReason::ForgedCookie), 1);
    assert_eq!(pair.ends[1].state(), AssociationState::Closed);
    assert!(pair.take(1).is_empty());
}

#[test]
fn chunks_of_impossible_length_are_dropped_and_end_the_packet() {
    let mut pair = Pair::connected(1, Link::CLEAN, Config::default);
    let (tag, _) = spy(&mut pair);
    for len in [0u16, 1, 3, 2_000, u16::MAX] {
        let header = Header { source_port: 5000, destination_port: 5000, verification_tag: tag };
        let mut bytes = Vec::new();
        let mut writer = PacketWriter::new(&mut bytes, header, 1_200);
        writer.chunks().bytes(&[kind::I_DATA, 3]);
        writer.chunks().u16(len);
        writer.chunks().zeros(16);
        writer.finish();
        let before = pair.ends[1].drops().of(DropReason::Malformed);
        pair.give(1, &[bytes]);
        assert_eq!(pair.ends[1].drops().of(DropReason::Malformed), before + 1, "{len}");
    }
    assert_eq!(pair.ends[1].state(), AssociationState::Established);
}

#[test]
fn a_peer_that_claims_no_window_or_a_huge_one_does_not_make_the_sender_hold_or_send_more() {
    for (window, most) in [(0u32, 2_000), (u32::MAX, 110_000)] {
        let config = || {
            let mut config = Config::default();
            (config.limits.max_in_flight, config.limits.max_buffered) = (100_000, 200_000);
            config
        };
        let mut pair = Pair::connected(1, Link::CLEAN, config);
        pair.send(1, 1, "tells the tag");
        let tag = parse(&pair.take(1)[0]).header.verification_tag;
        let send = |pair: &mut Pair| {
            let options = antiphon_sctp::SendOptions::default();
            pair.ends[0].send(pair.now, common::message(1, vec![7; 10_000]), options).is_ok()
        };
        let (mut sent, mut accepted, mut acknowledged) = (0, 0, None);
        for round in 0..400u32 {
            while send(&mut pair) {
                accepted += 1;
            }
            let packets = pair.take(0);
            sent += packets.iter().map(Vec::len).sum::<usize>();
            let first =
                packets.iter().flat_map(|packet| parse(packet).chunks()).find_map(|chunk| match chunk {
                    Ok(Chunk::IData(data)) => Some(data.tsn.wrapping_sub(1)),
                    _ => None,
                });
            acknowledged = acknowledged.or(first);
            if let Some(cumulative) = acknowledged {
                let value = [cumulative, window, 0].map(u32::to_be_bytes).concat();
                pair.give(0, &[packet(tag, &[(kind::SACK, 0, value)])]);
            }
            let statistics = pair.ends[0].statistics();
            assert!(round < 10 || statistics.in_flight <= most, "window {window}: {statistics:?}");
            pair.wait(ms(50));
        }
        assert!(accepted <= 40 && sent < 2_000_000, "window {window}: {accepted} accepted, {sent} sent");
        assert_eq!(pair.ends[0].state(), AssociationState::Established);
    }
}

#[test]
fn a_million_fragments_that_never_end_are_bounded() {
    let config = || Config { receive_window: 64 << 10, max_incoming_message: 16 << 10, ..Config::default() };
    let mut pair = Pair::connected(1, Link::CLEAN, config);
    let (tag, mut tsn) = spy(&mut pair);
    // Fragments of a message in each of a thousand streams, many to a packet; the first ones are missing.
    for batch in 0..20_000u32 {
        let chunks: Vec<_> = (0..50)
            .map(|at| {
                let number = batch * 50 + at;
                let value = i_data(tsn, (number % 1_000) as u16, 0, number / 1_000 + 1, 1);
                tsn = tsn.wrapping_add(1);
                (kind::I_DATA, 0, value)
            })
            .collect();
        pair.give(1, &[packet(tag, &chunks)]);
        assert!(pair.ends[1].statistics().receive_buffered <= 2 * (64 << 10));
        if batch.is_multiple_of(1_000) {
            pair.take(1);
        }
    }
    assert!(pair.ends[1].drops().of(DropReason::ReceiveBufferFull) > 0);
    assert_eq!(pair.ends[1].state(), AssociationState::Established);
}

#[test]
fn messages_that_are_begun_and_broken_off_are_let_go_of() {
    let mut pair = Pair::connected(1, Link::CLEAN, Config::default);
    let (tag, tsn) = spy(&mut pair);
    for mid in 0..100_000 {
        let value = i_data(tsn.wrapping_add(mid), 1, mid, 0, 1);
        pair.give(1, &[packet(tag, &[(kind::I_DATA, 2, value)])]);
        assert!(pair.ends[1].statistics().receive_buffered < 1_000);
    }
    assert_eq!(pair.ends[1].drops().of(DropReason::OrphanFragment), 99_999);
    // The last of them goes on.
    let value = i_data(tsn.wrapping_add(100_000), 1, 99_999, 1, 1);
    pair.give(1, &[packet(tag, &[(kind::I_DATA, 1, value)])]);
    assert_eq!(pair.read_all(1, 1), [[7, 7]]);
}

#[test]
fn a_skip_far_ahead_by_number_frees_what_is_held() {
    let mut pair = Pair::connected(1, Link::CLEAN, Config::default);
    let (tag, tsn) = spy(&mut pair);
    for mid in 0..100 {
        let value = i_data(tsn.wrapping_add(mid + 1), 1, mid, 1, 1_000);
        pair.give(1, &[packet(tag, &[(kind::I_DATA, 0, value)])]);
    }
    assert!(pair.ends[1].statistics().receive_buffered > 100_000);
    let mut value = tsn.wrapping_add(1 << 30).to_be_bytes().to_vec();
    value.extend([0, 1, 0, 0, 0x3f, 0xff, 0xff, 0xff]);
    pair.give(1, &[packet(tag, &[(kind::I_FORWARD_TSN, 0, value)])]);
    assert_eq!(pair.ends[1].statistics().receive_buffered, 0);
}

#[test]
fn a_repeated_or_stale_reset_changes_nothing() {
    let mut pair = Pair::connected(1, Link::CLEAN, without_interleaving);
    let resets = |packets: &[Vec<u8>]| -> Vec<Vec<u8>> {
        let is_reset =
            |packet: &Vec<u8>| parse(packet).chunks().any(|chunk| matches!(chunk, Ok(Chunk::ReConfig(_))));
        packets.iter().filter(|packet| is_reset(packet)).cloned().collect()
    };
    let mut recorded = Vec::new();
    for round in 0..3u8 {
        pair.send(0, 1, [round]);
        pair.run_for(ms(100));
        pair.read_all(1, 1);
        pair.ends[0].reset_streams(pair.now, &[StreamId(1)]).unwrap();
        let packets = pair.take(0);
        recorded.extend(resets(&packets));
        pair.give(1, &packets);
        pair.run_for(ms(100));
    }
    pair.take_events(1);
    assert_eq!(recorded.len(), 3);
    for _ in 0..50 {
        pair.give(1, &recorded);
    }
    let events = pair.take_events(1);
    assert!(!events.iter().any(|event| matches!(event, Event::IncomingStreamsReset(_))), "{events:?}");
    pair.take(1);
    pair.send(0, 1, "still in order");
    pair.run_for(ms(100));
    assert_eq!(pair.read_all(1, 1), [b"still in order"]);
}

#[test]
fn an_end_that_is_told_nonsense_before_it_connects_keeps_nothing() {
    let mut rng = Rng::from_test_seed(5);
    let mut end = Association::new(Config::default(), Rng::from_test_seed(6));
    let now = origin();
    for _ in 0..20_000 {
        let mut value = vec![0; rng.below(64) as usize];
        rng.fill(&mut value);
        let bytes = packet(rng.u32() & 3, &[(rng.below(256) as u8, rng.below(256) as u8, value)]);
        end.handle_datagram(now, &bytes);
    }
    let mut out = Vec::new();
    let mut answers = 0;
    while end.poll_transmit(now, &mut out).is_some() {
        answers += 1;
    }
    assert!(answers <= Config::default().limits.max_replies);
    assert_eq!(end.state(), AssociationState::Closed);
    assert_eq!(end.poll_timeout(), None);
}

#[test]
fn fragments_that_overlap_others_change_nothing_or_end_the_association() {
    // The same TSN with other bytes: what came first counts.
    let mut pair = Pair::connected(1, Link::CLEAN, Config::default);
    let (tag, tsn) = spy(&mut pair);
    let fragment = |tsn: u32, fsn: u32, flags: u8, len: usize| {
        packet(tag, &[(kind::I_DATA, flags, i_data(tsn, 1, 0, fsn, len))])
    };
    pair.give(1, &[fragment(tsn, 0, 2, 3), fragment(tsn, 0, 2, 500), fragment(tsn.wrapping_add(1), 1, 1, 4)]);
    assert_eq!(pair.read_all(1, 1), [vec![7; 7]]);
    assert_eq!(pair.ends[1].drops().of(DropReason::DuplicateData), 1);
    // The same place in a message under another TSN.
    pair.give(1, &[fragment(tsn.wrapping_add(2), 0, 2, 3), fragment(tsn.wrapping_add(3), 0, 2, 3)]);
    assert_eq!(pair.ends[1].state(), AssociationState::Closed);
}

#[test]
fn a_second_reset_while_one_waits_for_data_is_put_off() {
    let mut pair = Pair::connected(1, Link::CLEAN, Config::default);
    let (tag, tsn) = spy(&mut pair);
    let first_request = tsn.wrapping_sub(1);
    let request = |number: u32, stream: u16| {
        let mut value = vec![0, 13, 0, 18];
        value.extend(number.to_be_bytes());
        value.extend([0; 4]);
        value.extend(tsn.to_be_bytes());
        value.extend(stream.to_be_bytes());
        packet(tag, &[(kind::RE_CONFIG, 0, value)])
    };
    // Both speak of DATA that has not come.
    pair.give(1, &[request(first_request, 1), request(first_request.wrapping_add(1), 2)]);
    let results: Vec<ResetResult> = pair
        .take(1)
        .iter()
        .flat_map(|packet| parse(packet).chunks().map(Result::unwrap).collect::<Vec<_>>())
        .filter_map(|chunk| match chunk {
            Chunk::ReConfig(reconfig) => reconfig.parameters().next()?.ok(),
            _ => None,
        })
        .filter_map(|parameter| match parameter {
            Reconfiguration::Response { result, .. } => Some(result),
            _ => None,
        })
        .collect();
    assert_eq!(results, [ResetResult::InProgress, ResetResult::RequestInProgress]);
    pair.take_events(1);
    pair.give(1, &[packet(tag, &[(kind::I_DATA, 3, i_data(tsn, 1, 0, 51, 3))])]);
    let reset = |events: &[Event]| {
        let is_reset = |event: &&Event| matches!(event, Event::IncomingStreamsReset(_));
        events.iter().filter(is_reset).cloned().collect::<Vec<_>>()
    };
    assert_eq!(reset(&pair.take_events(1)), [Event::IncomingStreamsReset(vec![StreamId(1)])]);
    // The second is asked for again, and performed.
    pair.give(1, &[request(first_request.wrapping_add(1), 2)]);
    assert_eq!(reset(&pair.take_events(1)), [Event::IncomingStreamsReset(vec![StreamId(2)])]);
}
