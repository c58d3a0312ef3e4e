//! Bounds on what is held and said: at the bound and ten times over it.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test may fail by panic")]

mod common;

use std::cell::Cell;

use antiphon_sctp::packet::{Chunk, PacketWriter, kind, write_chunk};
use antiphon_sctp::{AssociationState, CloseReason, Config, DropReason, Event, SendError, SendOptions};
use common::{Link, Pair, message, ms, parse};

/// A configuration with changed limits.
fn limited(change: impl Fn(&mut Config)) -> Config {
    let mut config = Config::default();
    change(&mut config);
    config
}

#[test]
fn messages_are_accepted_up_to_the_buffers_limit() {
    let mut pair = Pair::new(1, Link::CLEAN, || limited(|config| config.limits.max_buffered = 1_000));
    for number in 0..100 {
        let sent = pair.ends[0].send(pair.now, message(1, [7; 100]), SendOptions::default());
        assert_eq!(sent, if number < 10 { Ok(()) } else { Err(SendError::Full) });
    }
    assert_eq!(pair.ends[0].total_buffered_amount(), 1_000);
}

#[test]
fn duplicates_are_reported_up_to_their_limit() {
    let limit = Config::default().limits.max_duplicates;
    let mut pair = Pair::connected(1, Link::CLEAN, Config::default);
    pair.send(0, 1, "once");
    let packets = pair.take(0);
    pair.give(1, &packets);
    pair.wait(ms(30));
    pair.take(1);
    for copies in [limit, 10 * limit] {
        (0..copies).for_each(|_| pair.give(1, &packets));
        let answers = pair.take(1);
        let Some(Ok(Chunk::Sack(sack))) = parse(&answers[0]).chunks().next() else {
            panic!("no SACK");
        };
        assert_eq!(sack.duplicates().count(), limit);
    }
    assert_eq!(pair.read_all(1, 1), [b"once"]);
}

#[test]
fn the_reason_of_an_abort_is_kept_up_to_its_limit() {
    for len in [100, 1_000] {
        // The first end says up to 1,000 bytes, the second keeps 100.
        let limit = Cell::new(1_000);
        let config = || limited(|config| config.limits.max_abort_reason = limit.replace(100));
        let mut pair = Pair::connected(1, Link::CLEAN, config);
        pair.ends[0].abort(pair.now, &"x".repeat(len));
        pair.run_for(ms(50));
        let reason = CloseReason::PeerAborted { cause: Some(12), reason: "x".repeat(100) };
        assert_eq!(pair.take_events(1), [Event::Closed(reason)]);
    }
}

#[test]
fn data_of_a_stream_beyond_those_negotiated_is_reported() {
    let mut pair = Pair::connected(1, Link::CLEAN, || {
        limited(|config| (config.incoming_streams, config.interleaving) = (10, false))
    });
    let beyond = pair.ends[0].send(pair.now, message(10, "x"), SendOptions::default());
    assert_eq!(beyond, Err(SendError::InvalidStream));
    pair.send(0, 9, "the last stream");
    let packets = pair.take(0);
    pair.give(1, &packets);
    let packet = parse(&packets[0]);
    let Some(Ok(Chunk::Data(data))) = packet.chunks().next() else { panic!("no DATA") };
    for (ahead, stream) in [(1, 10u16), (2, 100)] {
        let tsn = data.tsn.wrapping_add(ahead);
        let mut value = [tsn.to_be_bytes(), u32::from(stream).rotate_left(16).to_be_bytes()].concat();
        value.extend([0, 0, 0, 53, 7]);
        let mut forged = Vec::new();
        let mut writer = PacketWriter::new(&mut forged, packet.header, 1_200);
        write_chunk(writer.chunks(), kind::DATA, 3, &value);
        writer.finish();
        pair.give(1, &[forged]);
        let answers = pair.take(1);
        let answer = parse(&answers[0]);
        let causes: Vec<u16> = answer
            .chunks()
            .filter_map(|chunk| if let Ok(Chunk::Error(causes)) = chunk { Some(causes) } else { None })
            .flat_map(|causes| causes.iter().map(|cause| cause.code).collect::<Vec<_>>())
            .collect();
        assert_eq!(causes, [1], "invalid stream identifier");
        pair.give(0, &answers);
        assert_eq!(pair.ends[1].drops().of(DropReason::InvalidStream), u64::from(ahead));
    }
    assert_eq!(pair.ends[1].state(), AssociationState::Established);
    assert_eq!(pair.read_all(1, 9), [b"the last stream"]);
    assert!(pair.read_all(1, 10).is_empty() && pair.read_all(1, 100).is_empty());
}

/// Moves 4 MB in messages of 64 KB and gives the greatest amount that was in flight.
fn transfer(pair: &mut Pair) -> usize {
    let (mut sent, mut received, mut most) = (0, 0, 0);
    let end = pair.now + ms(60_000);
    while received < 64 {
        while sent < 64 && pair.ends[0].total_buffered_amount() < 256 * 1024 {
            pair.send(0, 1, vec![7; 64 * 1024]);
            sent += 1;
        }
        assert!(pair.step(end));
        received += pair.read_all(1, 1).len();
        most = most.max(pair.ends[0].statistics().in_flight);
    }
    most
}

#[test]
fn no_more_is_in_flight_than_the_limit_whatever_the_windows_allow() {
    for limit in [20_000, 200_000] {
        let mut pair =
            Pair::connected(1, Link::CLEAN, || limited(|config| config.limits.max_in_flight = limit));
        let most = transfer(&mut pair);
        // The limit counts user data, the figure headers as well.
        assert!(most > limit / 2 && most < limit + limit / 20, "{most} of {limit}");
    }
}

#[test]
fn the_receive_window_grows_up_to_its_limit_with_what_is_read() {
    for times in [1, 2, 10] {
        let max = times * 512 * 1024;
        let mut pair = Pair::connected(1, Link { delay: ms(20), ..Link::CLEAN }, || {
            limited(|config| {
                (config.receive_window, config.limits.max_receive_window) = (512 * 1024, max);
            })
        });
        transfer(&mut pair);
        transfer(&mut pair);
        let window = pair.ends[1].statistics().receive_window;
        assert!(window <= max && window >= max.min(1024 * 1024), "window: {window} of {max}");
        // Nobody reads: it stays.
        (0..200).for_each(|_| pair.send(0, 1, vec![7; 64 * 1024]));
        pair.run_for(ms(5_000));
        let statistics = pair.ends[1].statistics();
        assert_eq!(statistics.receive_window, window);
        assert!(statistics.receive_buffered <= window + window / 8, "{statistics:?}");
    }
}
