//! Packets that fit no association or its set-up, and how they are answered.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test may fail by panic")]

mod common;

use antiphon_sctp::packet::{Chunk, Header, PacketWriter, cause, kind, write_chunk};
use antiphon_sctp::{Association, AssociationState, CloseReason, Config, Event};
use antiphon_util::Rng;
use common::{Link, Pair, ms, origin, parse};

/// Kind, flags and value of each chunk.
type Raw<'a> = (u8, u8, &'a [u8]);

/// Tag and chunks of an answer.
type Answer = (u32, Vec<u8>);

fn packet(tag: u32, chunks: &[Raw<'_>]) -> Vec<u8> {
    let header = Header { source_port: 5000, destination_port: 5000, verification_tag: tag };
    let mut packet = Vec::new();
    let mut writer = PacketWriter::new(&mut packet, header, 1_200);
    for (kind, flags, value) in chunks {
        write_chunk(writer.chunks(), *kind, *flags, value);
    }
    writer.finish();
    packet
}

/// INIT or INIT ACK of a peer with `tag` that gives one stream each way.
fn init(tag: u32, parameters: &[u8]) -> Vec<u8> {
    let mut value = tag.to_be_bytes().to_vec();
    value.extend(100_000u32.to_be_bytes());
    value.extend([0, 1, 0, 1, 0, 0, 0, 9]);
    value.extend(parameters);
    value
}

const COOKIE: [u8; 8] = [0, 7, 0, 8, 1, 2, 3, 4];
const HOST_NAME: [u8; 8] = [0, 11, 0, 8, b'a', b'.', b'b', 0];
/// To be skipped and reported.
const UNKNOWN: [u8; 8] = [0xc1, 0, 0, 8, 1, 2, 3, 4];

struct Lone {
    association: Association,
    events: Vec<Event>,
}

impl Lone {
    fn new() -> Self {
        Self { association: Association::new(Config::default(), Rng::from_test_seed(1)), events: Vec::new() }
    }

    /// One that has sent INIT, and its tag.
    fn connecting() -> (Self, u32) {
        let mut lone = Self::new();
        lone.association.connect(origin());
        let packets = lone.take();
        let Some(Ok(Chunk::Init(init))) = parse(&packets[0]).chunks().next() else { unreachable!() };
        (lone, init.initiate_tag)
    }

    fn take(&mut self) -> Vec<Vec<u8>> {
        let mut packets = Vec::new();
        let mut packet = Vec::new();
        while self.association.poll_transmit(origin(), &mut packet).is_some() {
            packets.push(std::mem::take(&mut packet));
        }
        self.events.extend(std::iter::from_fn(|| self.association.poll_event()));
        packets
    }

    /// What it answers to a packet.
    fn answers(&mut self, tag: u32, chunks: &[Raw<'_>]) -> Option<Answer> {
        self.association.handle_datagram(origin(), &packet(tag, chunks));
        let packets = self.take();
        assert!(packets.len() <= 1);
        let answer = packets.into_iter().next()?;
        Some((parse(&answer).header.verification_tag, answer[12..].to_vec()))
    }
}

#[test]
fn what_belongs_to_no_association_is_answered_as_the_rfc_says() {
    let abort = Some((77, vec![kind::ABORT, 1, 0, 4]));
    let complete = Some((77, vec![kind::SHUTDOWN_COMPLETE, 1, 0, 4]));
    let stale: Raw<'_> = (kind::ERROR, 0, &[0, 3, 0, 8, 0, 0, 0, 0]);
    let rows: [(&[Raw<'_>], Option<Answer>); 10] = [
        (&[(kind::DATA, 3, &[0; 13])], abort.clone()),
        (&[(kind::SACK, 0, &[0; 12])], abort.clone()),
        (&[(kind::HEARTBEAT, 0, &[0, 1, 0, 4])], abort.clone()),
        (&[(kind::SHUTDOWN, 0, &[0; 4])], abort),
        (&[(kind::SHUTDOWN_ACK, 0, &[])], complete),
        (&[(kind::SHUTDOWN_ACK, 0, &[]), (kind::ABORT, 0, &[])], None),
        (&[(kind::ABORT, 0, &[])], None),
        (&[(kind::SHUTDOWN_COMPLETE, 0, &[])], None),
        (&[(kind::COOKIE_ACK, 0, &[])], None),
        (&[stale], None),
    ];
    let mut ended = Lone::new();
    ended.association.abort(origin(), "over");
    ended.take();
    for mut lone in [Lone::new(), ended] {
        let state = lone.association.state();
        for (chunks, answer) in &rows {
            assert_eq!(lone.answers(77, chunks), *answer, "{chunks:?}");
        }
        assert_eq!(lone.answers(0, &[(kind::DATA, 3, &[0; 13])]), None, "only INIT has no tag");
        assert_eq!(lone.association.state(), state);
        assert_eq!(lone.association.poll_timeout(), None);
    }
}

#[test]
fn an_end_that_is_over_refuses_a_new_association() {
    let mut lone = Lone::new();
    lone.association.abort(origin(), "over");
    assert_eq!(lone.answers(0, &[(kind::INIT, 0, &init(5, &[]))]), Some((5, vec![kind::ABORT, 0, 0, 4])));
}

#[test]
fn a_shutdown_ack_from_before_is_completed_while_connecting() {
    let (mut lone, tag) = Lone::connecting();
    let complete = Some((88, vec![kind::SHUTDOWN_COMPLETE, 1, 0, 4]));
    assert_eq!(lone.answers(88, &[(kind::SHUTDOWN_ACK, 0, &[])]), complete);
    assert_eq!(lone.association.state(), AssociationState::CookieWait);
    lone.answers(tag, &[(kind::INIT_ACK, 0, &init(5, &COOKIE))]);
    assert_eq!(lone.association.state(), AssociationState::CookieEchoed);
    assert_eq!(lone.answers(88, &[(kind::SHUTDOWN_ACK, 0, &[])]), complete);
}

#[test]
fn what_has_to_stand_alone_is_dropped_in_company() {
    let (mut lone, tag) = Lone::connecting();
    let answer: Raw<'_> = (kind::INIT_ACK, 0, &init(5, &COOKIE));
    let company: Raw<'_> = (kind::DATA, 3, &[0; 13]);
    assert_eq!(lone.answers(tag, &[answer, company]), None);
    assert_eq!(lone.answers(tag, &[company, answer]), None);
    assert_eq!(lone.association.state(), AssociationState::CookieWait);
    let mut lone = Lone::new();
    assert_eq!(lone.answers(0, &[(kind::INIT, 0, &init(5, &[])), company]), None);
}

#[test]
fn an_init_ack_that_cannot_be_accepted_is_answered_with_abort() {
    let cause = |answer: Option<Answer>| {
        let (tag, chunk) = answer.unwrap();
        (tag, chunk[0], chunk[1], u16::from_be_bytes([chunk[4], chunk[5]]))
    };
    let closed =
        |lone: &Lone| matches!(lone.events.last(), Some(Event::Closed(CloseReason::ProtocolViolation(_))));
    for (parameters, code) in
        [(&[][..], cause::MISSING_PARAMETER), (&[COOKIE, HOST_NAME].concat(), cause::UNRESOLVABLE_ADDRESS)]
    {
        let (mut lone, tag) = Lone::connecting();
        let answer = lone.answers(tag, &[(kind::INIT_ACK, 0, &init(5, parameters))]);
        assert_eq!(cause(answer), (5, kind::ABORT, 0, code));
        assert!(closed(&lone));
    }
    let (mut lone, tag) = Lone::connecting();
    let answer = lone.answers(tag, &[(kind::INIT_ACK, 0, &init(0, &COOKIE))]);
    assert_eq!(cause(answer), (tag, kind::ABORT, 1, cause::INVALID_PARAMETER), "its own tag is not known");
    assert!(closed(&lone));
    // One with too small a window ends nothing.
    let (mut lone, tag) = Lone::connecting();
    let mut small = init(5, &COOKIE);
    small[4..8].copy_from_slice(&1_499u32.to_be_bytes());
    let answer = lone.answers(tag, &[(kind::INIT_ACK, 0, &small)]);
    assert_eq!(cause(answer), (5, kind::ABORT, 0, cause::INVALID_PARAMETER));
    assert_eq!(lone.association.state(), AssociationState::CookieWait);
}

#[test]
fn unknown_parameters_are_reported_with_the_cookie_and_streams_are_no_more_than_the_peer_takes() {
    let (mut lone, tag) = Lone::connecting();
    let (_, echo) = lone.answers(tag, &[(kind::INIT_ACK, 0, &init(5, &[COOKIE, UNKNOWN].concat()))]).unwrap();
    let (cookie, error) = echo.split_at(8);
    assert_eq!((cookie[0], &cookie[4..]), (kind::COOKIE_ECHO, &COOKIE[4..]));
    assert_eq!(error, [&[kind::ERROR, 0, 0, 16, 0, 8, 0, 12][..], &UNKNOWN].concat());

    let mut lone = Lone::new();
    let (_, answer) = lone.answers(0, &[(kind::INIT, 0, &init(5, &UNKNOWN))]).unwrap();
    assert_eq!((answer[0], &answer[12..14]), (kind::INIT_ACK, &[0, 1][..]));
    assert!(answer.windows(12).any(|at| at == [&[0, 8, 0, 12][..], &UNKNOWN].concat()));
}

#[test]
fn a_shutdown_that_does_not_end_is_given_up() {
    let mut pair = Pair::connected(1, Link::CLEAN, Config::default);
    pair.ends[0].shutdown(pair.now);
    pair.set_link(Link { loss: 1_000, ..Link::CLEAN });
    let bound = 5 * Config::default().timing.rto_max;
    assert!(pair.run_until(bound + ms(1), |pair| matches!(pair.events[0].last(), Some(Event::Closed(_)))));
    assert_eq!(pair.events[0].last(), Some(&Event::Closed(CloseReason::PeerUnreachable)));
}

#[test]
fn the_first_data_is_acknowledged_at_once() {
    let mut pair = Pair::connected(1, Link::CLEAN, Config::default);
    for (message, wants) in [("first", true), ("second", false)] {
        pair.send(0, 1, message);
        let packets = pair.take(0);
        pair.give(1, &packets);
        assert_eq!(pair.take(1).is_empty(), !wants, "{message}");
        pair.run_for(ms(300));
    }
}
