//! Corner cases as sequence charts, and hostile peers. A lost packet is one that was taken and not given.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test may fail by panic")]

mod common;

use std::path::PathBuf;

use antiphon_sctp::packet::{Chunk, Header, Packet, PacketWriter, kind, write_chunk};
use antiphon_sctp::{AssociationState, CloseReason, Config, DropReason, Event, Reliability, StreamId};
use antiphon_testkit::corpus;
use antiphon_util::Rng;
use common::{Link, Pair, ms, origin, parse, pattern, without_interleaving};

fn kinds(packet: &[u8]) -> Vec<u8> {
    parse(packet)
        .chunks()
        .map(|chunk| match chunk.unwrap() {
            Chunk::Data(_) => kind::DATA,
            Chunk::Init(_) => kind::INIT,
            Chunk::InitAck(_) => kind::INIT_ACK,
            Chunk::Sack(_) => kind::SACK,
            Chunk::Abort { .. } => kind::ABORT,
            Chunk::Error(_) => kind::ERROR,
            Chunk::CookieEcho(_) => kind::COOKIE_ECHO,
            Chunk::CookieAck => kind::COOKIE_ACK,
            Chunk::Heartbeat(_) => kind::HEARTBEAT,
            Chunk::HeartbeatAck(_) => kind::HEARTBEAT_ACK,
            Chunk::ForwardTsn(_) => kind::FORWARD_TSN,
            Chunk::ReConfig(_) => kind::RE_CONFIG,
            Chunk::Shutdown(_) => kind::SHUTDOWN,
            Chunk::ShutdownAck => kind::SHUTDOWN_ACK,
            Chunk::ShutdownComplete { .. } => kind::SHUTDOWN_COMPLETE,
            Chunk::IData(_) => kind::I_DATA,
            Chunk::IForwardTsn(_) => kind::I_FORWARD_TSN,
            Chunk::Pad(_) => kind::PAD,
            Chunk::Unknown(raw) => raw.kind,
        })
        .collect()
}

fn connected() -> Pair {
    Pair::connected(1, Link::CLEAN, without_interleaving)
}

/// A packet from `from` to the other end with raw chunks in it.
fn forge(pair: &mut Pair, from: usize, kind: u8, flags: u8, value: &[u8]) -> Vec<u8> {
    // A heartbeat tells the tag that the other end expects.
    let tag = tag_towards(pair, 1 - from);
    forge_with(tag, kind, flags, value)
}

fn forge_with(tag: u32, kind: u8, flags: u8, value: &[u8]) -> Vec<u8> {
    let header = Header { source_port: 5000, destination_port: 5000, verification_tag: tag };
    let mut packet = Vec::new();
    let mut writer = PacketWriter::new(&mut packet, header, 65_532);
    write_chunk(writer.chunks(), kind, flags, value);
    writer.finish();
    packet
}

/// The tag that packets to `to` carry.
fn tag_towards(pair: &mut Pair, to: usize) -> u32 {
    pair.send(1 - to, 900, "?");
    let packets = pair.take(1 - to);
    let tag = parse(&packets[0]).header.verification_tag;
    pair.give(to, &packets);
    let _ = pair.read_all(to, 900);
    let answer = pair.take(to);
    pair.give(1 - to, &answer);
    pair.wait(ms(30));
    let answer = pair.take(to);
    pair.give(1 - to, &answer);
    tag
}

fn data(tsn: u32, _flags: u8, stream: u16, ssn: u16, payload: &[u8]) -> Vec<u8> {
    let mut value = tsn.to_be_bytes().to_vec();
    value.extend(stream.to_be_bytes());
    value.extend(ssn.to_be_bytes());
    value.extend(53u32.to_be_bytes());
    value.extend(payload);
    value
}

/// The TSN that `from` will use next.
fn next_tsn(pair: &mut Pair, from: usize) -> u32 {
    pair.send(from, 901, "?");
    let packets = pair.take(from);
    let mut tsn = 0;
    for packet in &packets {
        for chunk in parse(packet).chunks() {
            if let Chunk::Data(data) = chunk.unwrap() {
                tsn = data.tsn;
            }
        }
    }
    pair.give(1 - from, &packets);
    let _ = pair.read_all(1 - from, 901);
    pair.run_for(ms(100));
    tsn.wrapping_add(1)
}

#[test]
fn simultaneous_init_gives_one_association() {
    let mut pair = Pair::new(1, Link::CLEAN, Config::default);
    let now = pair.now;
    pair.ends.iter_mut().for_each(|end| end.connect(now));
    // A ---- INIT ----> <---- INIT ---- B
    let (a, b) = (pair.take(0), pair.take(1));
    assert_eq!((kinds(&a[0]), kinds(&b[0])), (vec![kind::INIT], vec![kind::INIT]));
    pair.give(1, &a);
    pair.give(0, &b);
    // A -- INIT ACK --> <-- INIT ACK -- B
    let (a, b) = (pair.take(0), pair.take(1));
    pair.give(1, &a);
    pair.give(0, &b);
    // A - COOKIE ECHO -> <- COOKIE ECHO - B: both are established by the other's cookie
    let (a, b) = (pair.take(0), pair.take(1));
    assert_eq!((kinds(&a[0]), kinds(&b[0])), (vec![kind::COOKIE_ECHO], vec![kind::COOKIE_ECHO]));
    pair.give(1, &a);
    pair.give(0, &b);
    for end in 0..2 {
        assert_eq!(pair.ends[end].state(), AssociationState::Established);
        assert_eq!(pair.take_events(end).len(), 1, "connected once");
    }
    pair.send(0, 1, "hello");
    pair.run_for(ms(50));
    assert_eq!(pair.read_all(1, 1), [b"hello"]);
}

#[test]
fn every_lost_packet_of_the_set_up_is_repaired() {
    for lost in 0..6 {
        for both in [false, true] {
            let mut pair = Pair::new(lost, Link::CLEAN, Config::default);
            pair.ends[0].connect(pair.now);
            if both {
                pair.ends[1].connect(pair.now);
            }
            let mut count = 0;
            for _ in 0..20 {
                for from in 0..2 {
                    for packet in pair.take(from) {
                        if count != lost {
                            pair.give(1 - from, &[packet]);
                        }
                        count += 1;
                    }
                }
            }
            pair.wait(ms(1_000));
            pair.run_for(ms(3_000));
            for end in 0..2 {
                assert_eq!(pair.ends[end].state(), AssociationState::Established, "lost {lost}, {both}");
            }
        }
    }
}

#[test]
fn set_up_ends_when_nobody_answers() {
    let mut pair = Pair::new(1, Link { loss: 1000, ..Link::CLEAN }, Config::default);
    pair.ends[0].connect(pair.now);
    pair.run_for(ms(200_000));
    assert_eq!(pair.take_events(0), [Event::Closed(CloseReason::ConnectTimedOut)]);
    assert_eq!(pair.ends[0].poll_timeout(), None);
}

#[test]
fn a_stale_cookie_is_reported_and_a_new_one_asked_for() {
    let mut pair = Pair::new(1, Link::CLEAN, Config::default);
    pair.ends[0].connect(pair.now);
    let init = pair.take(0);
    pair.give(1, &init);
    let init_ack = pair.take(1);
    pair.give(0, &init_ack);
    let cookie_echo = pair.take(0);
    pair.now += ms(61_000);
    pair.give(1, &cookie_echo);
    let error = pair.take(1);
    assert_eq!(kinds(&error[0]), [kind::ERROR]);
    assert_eq!(pair.ends[1].state(), AssociationState::Closed);
    pair.give(0, &error);
    pair.run_for(ms(100));
    assert_eq!(pair.ends.each_ref().map(|end| end.state()), [AssociationState::Established; 2]);
}

#[test]
fn a_forged_cookie_has_no_effect() {
    let mut pair = Pair::new(1, Link::CLEAN, Config::default);
    pair.ends[0].connect(pair.now);
    let init = pair.take(0);
    pair.give(1, &init);
    let init_ack = pair.take(1);
    pair.give(0, &init_ack);
    let echo = pair.take(0);
    let packet = parse(&echo[0]);
    let Some(Ok(Chunk::CookieEcho(cookie))) = packet.chunks().next() else { panic!("no cookie") };
    let mut cookie = cookie.to_vec();
    cookie[9] ^= 1;
    let forged = forge_with(packet.header.verification_tag, kind::COOKIE_ECHO, 0, &cookie);
    pair.give(1, &[forged]);
    assert_eq!(pair.ends[1].state(), AssociationState::Closed);
    assert_eq!(pair.ends[1].drops().of(DropReason::ForgedCookie), 1);
}

#[test]
fn a_peer_that_restarts_is_noticed_and_served() {
    let mut pair = connected();
    pair.send(0, 1, "before");
    pair.run_for(ms(50));
    pair.ends[0] = antiphon_sctp::Association::new(Config::default(), Rng::from_test_seed(99));
    pair.ends[0].connect(pair.now);
    pair.run_for(ms(500));
    assert!(pair.take_events(1).contains(&Event::Restarted));
    pair.send(0, 1, "after");
    pair.send(1, 1, "back");
    pair.run_for(ms(100));
    assert_eq!(pair.read_all(1, 1), [&b"before"[..], b"after"]);
    assert_eq!(pair.read_all(0, 1), [b"back"]);
}

#[test]
fn three_reports_of_a_gap_repair_it_without_the_timer() {
    let mut pair = connected();
    for number in 0..8u8 {
        pair.send(0, 1, vec![number; 1_100]);
    }
    let mut packets = pair.take(0);
    packets.remove(1);
    for packet in packets {
        pair.give(1, &[packet]);
        let sacks = pair.take(1);
        pair.give(0, &sacks);
    }
    let repaired = pair.take(0);
    assert_eq!(repaired.len(), 1, "the second packet again");
    pair.give(1, &repaired);
    assert_eq!(pair.read_all(1, 1).len(), 8);
    let statistics = pair.ends[0].statistics();
    assert_eq!((statistics.fast_recoveries, statistics.timeouts), (1, 0));
}

#[test]
fn a_lost_forward_tsn_is_sent_again() {
    let mut pair = connected();
    pair.send_with(0, 1, "lost", true, Reliability::MaxRetransmits(0));
    assert_eq!(pair.take(0).len(), 1);
    pair.wait(ms(400));
    let forward = pair.take(0);
    assert_eq!(kinds(&forward[0]), [kind::FORWARD_TSN]);
    pair.send(0, 1, "next");
    pair.run_for(ms(2_000));
    assert_eq!(pair.read_all(1, 1), [b"next"]);
}

#[test]
fn an_idle_peer_that_vanishes_is_noticed_by_heartbeat() {
    let mut pair = connected();
    pair.set_link(Link { loss: 1000, ..Link::CLEAN });
    pair.run_for(ms(300_000));
    assert_eq!(pair.take_events(0), [Event::Closed(CloseReason::PeerUnreachable)]);
}

#[test]
fn abort_reaches_the_peer_with_its_reason() {
    let mut pair = connected();
    pair.ends[0].abort(pair.now, "Close called");
    pair.run_for(ms(50));
    assert_eq!(pair.take_events(0), [Event::Closed(CloseReason::Aborted)]);
    let reason = CloseReason::PeerAborted { cause: Some(12), reason: "Close called".into() };
    assert_eq!(pair.take_events(1), [Event::Closed(reason)]);
    assert!(pair.ends[0].poll_timeout().is_none() && pair.ends[1].poll_timeout().is_none());
}

#[test]
fn a_wrong_tag_has_no_effect() {
    let mut pair = connected();
    let tag = tag_towards(&mut pair, 1);
    for kind in [kind::ABORT, kind::DATA, kind::SACK, kind::SHUTDOWN, kind::COOKIE_ACK] {
        pair.give(1, &[forge_with(tag ^ 1, kind, 0, &[0; 16])]);
    }
    assert_eq!(pair.ends[1].drops().of(DropReason::VerificationTag), 5);
    assert_eq!(pair.ends[1].state(), AssociationState::Established);
}

#[test]
fn a_sack_of_what_was_never_sent_has_no_effect() {
    let mut pair = connected();
    let tsn = next_tsn(&mut pair, 0);
    let sack = |cumulative: u32, gap: Option<(u16, u16)>| {
        let mut value = cumulative.to_be_bytes().to_vec();
        value.extend(100_000u32.to_be_bytes());
        value.extend(u16::from(gap.is_some()).to_be_bytes());
        value.extend(0u16.to_be_bytes());
        gap.into_iter()
            .for_each(|(start, end)| value.extend([start.to_be_bytes(), end.to_be_bytes()].concat()));
        value
    };
    let before = pair.ends[0].statistics();
    for value in [
        sack(tsn, None),
        sack(tsn.wrapping_add(1 << 30), None),
        sack(tsn.wrapping_sub(1), Some((1, u16::MAX))),
        sack(tsn.wrapping_sub(1), Some((2, 1))),
        sack(tsn.wrapping_sub(1), Some((0, 0))),
    ] {
        let packet = forge(&mut pair, 1, kind::SACK, 0, &value);
        let dropped = pair.ends[0].drops().of(DropReason::InvalidSack);
        pair.give(0, &[packet]);
        let _ = dropped;
    }
    assert!(
        pair.ends[0].drops().of(DropReason::InvalidSack) + pair.ends[0].drops().of(DropReason::OldSack) >= 4
    );
    assert!(pair.ends[0].statistics().congestion_window >= before.congestion_window);
    // Counts beyond the chunk's length.
    let mut value = sack(tsn.wrapping_sub(1), None);
    value[8..12].copy_from_slice(&[0xff; 4]);
    let packet = forge(&mut pair, 1, kind::SACK, 0, &value);
    pair.give(0, &[packet]);
    assert_eq!(pair.ends[0].drops().of(DropReason::Malformed), 1);
    pair.send(0, 1, "goes on");
    pair.run_for(ms(500));
    assert_eq!(pair.read_all(1, 1), [b"goes on"]);
}

#[test]
fn fragments_that_never_end_end_the_association() {
    let mut pair = connected();
    let mut tsn = next_tsn(&mut pair, 0);
    let tag = tag_towards(&mut pair, 1);
    tsn = tsn.wrapping_add(1);
    for number in 0..400 {
        let flags = if number == 0 { 2 } else { 0 };
        pair.give(1, &[forge_with(tag, kind::DATA, flags, &data(tsn, flags, 1, 0, &[7; 1_000]))]);
        tsn = tsn.wrapping_add(1);
        assert!(pair.ends[1].statistics().receive_buffered <= 256 * 1024 + 2_000);
    }
    let reason = CloseReason::ProtocolViolation("message larger than announced");
    assert_eq!(pair.take_events(1).last(), Some(&Event::Closed(reason)));
}

#[test]
fn unread_small_messages_are_bounded_at_ten_times_the_window() {
    let config =
        || Config { receive_window: 64 << 10, max_incoming_message: 16 << 10, ..without_interleaving() };
    let mut pair = Pair::connected(1, Link::CLEAN, config);
    let mut tsn = next_tsn(&mut pair, 0);
    let tag = tag_towards(&mut pair, 1);
    tsn = tsn.wrapping_add(1);
    for number in 0..20_000u32 {
        pair.give(1, &[forge_with(tag, kind::DATA, 3, &data(tsn, 3, 1, number as u16, &[7]))]);
        tsn = tsn.wrapping_add(1);
    }
    assert!(pair.ends[1].statistics().receive_buffered <= 2 * (64 << 10));
    assert!(pair.ends[1].drops().of(DropReason::ReceiveBufferFull) > 15_000);
}

#[test]
fn gaps_are_bounded_at_the_limit_and_ten_times_over() {
    let mut pair = connected();
    let tsn = next_tsn(&mut pair, 0).wrapping_add(1);
    let tag = tag_towards(&mut pair, 1);
    let limits = Config::default().limits;
    for number in 1..=10 * limits.max_gap_blocks as u32 {
        let value = data(tsn.wrapping_add(2 * number), 3, 1, number as u16, &[7]);
        pair.give(1, &[forge_with(tag, kind::DATA, 3, &value)]);
    }
    let dropped = pair.ends[1].drops().of(DropReason::DataTooFarAhead);
    assert_eq!(dropped, 9 * limits.max_gap_blocks as u64);
    let far = data(tsn.wrapping_add(limits.max_tsn_ahead as u32 + 10), 3, 1, 0, &[7]);
    pair.give(1, &[forge_with(tag, kind::DATA, 3, &far)]);
    assert_eq!(pair.ends[1].drops().of(DropReason::DataTooFarAhead), dropped + 1);
    let mut packet = Vec::new();
    assert!(
        pair.ends[1].poll_transmit(pair.now, &mut packet).is_some_and(|len| len <= 1_163),
        "the SACK fits"
    );
}

#[test]
fn a_forward_tsn_far_ahead_frees_what_is_held() {
    let mut pair = connected();
    let tsn = next_tsn(&mut pair, 0).wrapping_add(1);
    let tag = tag_towards(&mut pair, 1);
    for number in 1..100 {
        let value = data(tsn.wrapping_add(number), 0, 1, 0, &[7; 1_000]);
        pair.give(1, &[forge_with(tag, kind::DATA, 0, &value)]);
    }
    assert!(pair.ends[1].statistics().receive_buffered >= 99_000);
    let value = tsn.wrapping_add(1 << 30).to_be_bytes();
    pair.give(1, &[forge_with(tag, kind::FORWARD_TSN, 0, &value)]);
    assert_eq!(pair.ends[1].statistics().receive_buffered, 0);
}

#[test]
fn a_flood_of_questions_is_answered_up_to_a_limit() {
    let mut pair = connected();
    let tag = tag_towards(&mut pair, 1);
    let limit = Config::default().limits.max_replies;
    for _ in 0..10 * limit {
        pair.give(1, &[forge_with(tag, kind::HEARTBEAT, 0, &[0, 1, 0, 8, 1, 2, 3, 4])]);
    }
    assert_eq!(pair.ends[1].drops().of(DropReason::TooManyReplies), 9 * limit as u64);
}

#[test]
fn data_without_bytes_is_a_violation() {
    let mut pair = connected();
    let tag = tag_towards(&mut pair, 1);
    pair.give(1, &[forge_with(tag, kind::DATA, 3, &data(5, 3, 1, 0, &[]))]);
    let reason = CloseReason::ProtocolViolation("DATA without user data");
    assert_eq!(pair.take_events(1).last(), Some(&Event::Closed(reason)));
    assert!(pair.take(1).iter().any(|packet| kinds(packet) == [kind::ABORT]));
}

#[test]
fn unknown_chunks_are_skipped_and_reported_by_their_top_bits() {
    for (kind, reported) in [(0x3f, false), (0x7f, true), (0xbf, false), (0xff, true)] {
        let mut pair = connected();
        let packet = forge(&mut pair, 0, kind, 0, &[1, 2, 3]);
        pair.give(1, &[packet]);
        assert_eq!(pair.ends[1].drops().of(DropReason::UnknownChunk), 1);
        let answers = pair.take(1);
        let errors = answers.iter().filter(|packet| kinds(packet).contains(&kind::ERROR)).count();
        assert_eq!(errors, usize::from(reported), "{kind:#x}");
    }
}

/// Packets of real peers: read, cut at every length, and handed to associations in every state.
#[test]
fn captures_of_real_peers_parse_and_never_harm() {
    let mut packets = 0;
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    for entry in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        for line in text.lines().filter_map(|line| line.split_whitespace().nth(1)) {
            let bytes: Vec<u8> = (0..line.len() / 2)
                .map(|at| u8::from_str_radix(&line[2 * at..2 * at + 2], 16).unwrap())
                .collect();
            let packet = parse(&bytes);
            assert!(packet.chunks().all(|chunk| chunk.is_ok()), "{line}");
            assert!(round_trip(&packet) == bytes, "{line}");
            harm(&bytes);
            packets += 1;
        }
    }
    assert!(packets > 100, "{packets}");
}

fn round_trip(packet: &Packet<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = PacketWriter::new(&mut bytes, packet.header, 65_532);
    packet.chunks().for_each(|chunk| chunk.unwrap().write(writer.chunks()));
    writer.finish();
    bytes
}

/// Hands `bytes`, cut at every length and with the checksum made right, to ends in several states.
fn harm(bytes: &[u8]) {
    let now = origin();
    let mut idle = antiphon_sctp::Association::new(Config::default(), Rng::from_test_seed(1));
    let mut waiting = antiphon_sctp::Association::new(Config::default(), Rng::from_test_seed(2));
    waiting.connect(now);
    let mut open = connected();
    let tag = tag_towards(&mut open, 1);
    for len in (0..=bytes.len()).step_by(3) {
        let mut cut = bytes[..len].to_vec();
        if len >= 12 {
            cut[4..8].copy_from_slice(&tag.to_be_bytes());
            cut = with_checksum(&cut);
        }
        idle.handle_datagram(now, &cut);
        waiting.handle_datagram(now, &cut);
        open.give(1, &[cut]);
    }
    let mut out = Vec::new();
    for end in [&mut idle, &mut waiting, &mut open.ends[1]] {
        while end.poll_transmit(now, &mut out).is_some() {
            assert!(out.len() < 1 << 20);
        }
    }
}

fn with_checksum(bytes: &[u8]) -> Vec<u8> {
    let tag = u32::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
    let header = Header { source_port: 5000, destination_port: 5000, verification_tag: tag };
    let mut packet = Vec::new();
    let mut writer = PacketWriter::new(&mut packet, header, 65_532);
    writer.chunks().bytes(&bytes[12..]);
    writer.finish();
    packet
}

#[test]
fn published_fuzzing_inputs_do_no_harm() {
    for (_, bytes) in corpus("sctp").into_iter().flatten() {
        harm(&bytes[..bytes.len().min(4_000)]);
    }
}

#[test]
fn a_closed_window_is_probed_and_the_association_lives_on() {
    let config = || Config { receive_window: 32 << 10, max_incoming_message: 16 << 10, ..Config::default() };
    let mut pair = Pair::connected(1, Link::CLEAN, config);
    for number in 0..20u8 {
        pair.send(0, 1, pattern(number.into(), 8_000));
    }
    pair.run_for(ms(600_000));
    assert_eq!(pair.ends[0].state(), AssociationState::Established, "zero-window probes are no time-outs");
    let mut got = 0;
    let end = pair.now + ms(30_000);
    while got < 20 {
        got += pair.read_all(1, 1).len();
        assert!(pair.step(end), "stalled after {got}");
    }
    assert_eq!(pair.ends[0].buffered_amount(StreamId(1)), 0);
}

#[test]
fn a_lost_tail_is_probed_and_not_timed_out() {
    let mut pair = connected();
    pair.send(0, 1, "measures the round trip");
    pair.run_for(ms(500));
    pair.read_all(1, 1);
    for number in 0..2u8 {
        pair.send(0, 1, vec![number; 1_100]);
    }
    let mut packets = pair.take(0);
    assert_eq!(packets.len(), 2);
    packets.truncate(1);
    pair.give(1, &packets);
    pair.run_for(ms(400));
    assert_eq!(pair.read_all(1, 1).len(), 2);
    let statistics = pair.ends[0].statistics();
    assert_eq!((statistics.timeouts, statistics.fast_recoveries), (0, 1));
    assert!(statistics.tail_probes > 0);
}

#[test]
fn a_delay_that_looked_like_a_loss_is_forgiven() {
    let mut pair = connected();
    for number in 0..8u8 {
        pair.send(0, 1, vec![number; 1_100]);
    }
    let window = pair.ends[0].statistics().congestion_window;
    let mut packets = pair.take(0);
    let late = packets.remove(0);
    pair.now += ms(10);
    for packet in packets {
        pair.give(1, &[packet]);
        let sacks = pair.take(1);
        pair.give(0, &sacks);
    }
    assert_eq!(pair.ends[0].statistics().fast_recoveries, 1);
    // The first packet arrives after all; its repetition has not even left.
    pair.give(1, &[late]);
    let sacks = pair.take(1);
    pair.give(0, &sacks);
    let statistics = pair.ends[0].statistics();
    assert_eq!((statistics.spurious_recoveries, statistics.chunks_retransmitted), (1, 0));
    assert!(statistics.congestion_window >= window);
    assert_eq!(pair.read_all(1, 1).len(), 8);
}
