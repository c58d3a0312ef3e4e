//! Against `dcsctp`, the SCTP of Chromium and Firefox: in memory, in simulated time, over seeded bad links.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::panic, reason = "a test may fail by panic")]

mod common;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::{Duration, Instant};

use antiphon_sctp::{
    Association, Config, Congestion, CongestionControl, Event, Reliability, SendOptions, StreamId, Timing,
};
use antiphon_util::Rng;
use common::{Link, message, ms, origin, pattern};
use dcsctp::api::{self, DcSctpSocket, SocketEvent, SocketTime};

/// Arrival, order of departure, whether it goes to ours, and bytes of a packet under way.
type Flying = (Instant, u64, bool, Vec<u8>);

/// Ours, theirs, and what is between.
struct Meeting {
    start: Instant,
    now: Instant,
    ours: Association,
    theirs: Box<dyn DcSctpSocket>,
    link: Link,
    rng: Rng,
    flying: BinaryHeap<Reverse<Flying>>,
    serial: u64,
    our_events: Vec<Event>,
    their_events: Vec<SocketEvent>,
    to_ours: BTreeMap<u16, Vec<Vec<u8>>>,
    to_theirs: BTreeMap<u16, Vec<Vec<u8>>>,
}

impl Meeting {
    fn new(seed: u64, link: Link) -> Self {
        let mut rng = Rng::from_test_seed(seed);
        let now = origin();
        Self {
            start: now,
            now,
            ours: Association::new(our_config(seed), rng.fork()),
            theirs: dcsctp::new_socket("peer", &their_options(seed)),
            link,
            rng,
            flying: BinaryHeap::new(),
            serial: 0,
            our_events: Vec::new(),
            their_events: Vec::new(),
            to_ours: BTreeMap::new(),
            to_theirs: BTreeMap::new(),
        }
    }

    fn launch(&mut self, to_ours: bool, packet: Vec<u8>) {
        if self.rng.below(1000) < self.link.loss {
            return;
        }
        let copies = if self.rng.below(1000) < self.link.duplication { 2 } else { 1 };
        for _ in 0..copies {
            let jitter = Duration::from_micros(self.rng.below(self.link.jitter.as_micros() as u64 + 1));
            self.serial += 1;
            let at = self.now + self.link.delay + jitter;
            self.flying.push(Reverse((at, self.serial, to_ours, packet.clone())));
        }
    }

    fn flush(&mut self) {
        let mut packet = Vec::new();
        while self.ours.poll_transmit(self.now, &mut packet).is_some() {
            self.launch(false, std::mem::take(&mut packet));
        }
        while let Some(event) = self.ours.poll_event() {
            self.our_events.push(event);
        }
        for stream in 0..16 {
            while let Some(message) = self.ours.read(self.now, StreamId(stream)) {
                self.to_ours.entry(stream).or_default().push(message.payload.to_vec());
            }
        }
        while let Some(event) = self.theirs.poll_event() {
            match event {
                SocketEvent::SendPacket(packet) => self.launch(true, packet),
                event => self.their_events.push(event),
            }
        }
        while let Some(message) = self.theirs.get_next_message() {
            self.to_theirs.entry(message.stream_id.0).or_default().push(message.payload);
        }
    }

    fn run_until(&mut self, time: Duration, mut done: impl FnMut(&Self) -> bool) -> bool {
        let end = self.now + time;
        loop {
            self.flush();
            if done(self) {
                return true;
            }
            let theirs = self.theirs.poll_timeout();
            let theirs =
                (theirs != SocketTime::infinite_future()).then(|| self.start + (theirs - SocketTime::zero()));
            let arrival = self.flying.peek().map(|Reverse((at, ..))| *at);
            let next = [arrival, theirs, self.ours.poll_timeout()].into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next <= end) else { return false };
            self.now = self.now.max(next);
            self.theirs.advance_time(SocketTime::zero() + (self.now - self.start));
            while let Some(Reverse((_, _, to_ours, packet))) = self
                .flying
                .peek()
                .is_some_and(|Reverse((at, ..))| *at <= self.now)
                .then(|| self.flying.pop())
                .flatten()
            {
                if to_ours {
                    self.ours.handle_datagram(self.now, &packet);
                } else {
                    self.theirs.handle_input(&packet);
                }
            }
            self.ours.handle_timeout(self.now);
        }
    }

    fn connected(seed: u64, link: Link) -> Self {
        let mut meeting = Self::new(seed, Link { loss: link.loss.min(100), ..link });
        // By turns: ours first, theirs first, both at once.
        if seed % 3 != 1 {
            meeting.ours.connect(meeting.now);
        }
        if !seed.is_multiple_of(3) {
            meeting.theirs.connect();
        }
        let up = meeting.run_until(ms(60_000), |meeting| {
            meeting.our_events.iter().any(|event| matches!(event, Event::Connected { .. }))
                && meeting.their_events.iter().any(|event| matches!(event, SocketEvent::OnConnected()))
        });
        assert!(up, "seed {seed}: not connected: {:?} {:?}", meeting.our_events, meeting.their_events);
        meeting.link = link;
        meeting
    }

    fn send_ours(&mut self, stream: u16, payload: &[u8], options: SendOptions) {
        self.ours.send(self.now, message(stream, payload), options).unwrap();
    }

    fn send_theirs(&mut self, stream: u16, payload: &[u8], options: &api::SendOptions) {
        let message = api::Message::new(api::StreamId(stream), api::PpId(53), payload.to_vec());
        self.theirs.send(message, options).unwrap();
    }
}

/// Ours with each controller in turn.
fn our_config(seed: u64) -> Config {
    let control = match seed % 3 {
        0 => CongestionControl::Bbr,
        1 => CongestionControl::Cubic,
        _ => CongestionControl::NewReno,
    };
    let congestion = Congestion { control, ..Congestion::default() };
    let timing = Timing { max_retransmissions: u32::MAX, ..Timing::default() };
    Config { congestion, interleaving: !seed.is_multiple_of(5), timing, ..Config::default() }
}

/// Theirs with and without interleaving and checksums.
fn their_options(seed: u64) -> api::Options {
    api::Options {
        enable_message_interleaving: seed.is_multiple_of(2),
        // 1 is SCTP over DTLS.
        zero_checksum_alternate_error_detection_method: api::ZeroChecksumAlternateErrorDetectionMethod(
            u32::from(seed % 4 < 2),
        ),
        // Without it time-outs double without end, while answered heartbeats keep the association up.
        max_timer_backoff_duration: Some(ms(3_000)),
        // Half of the round trips fail on the worst link.
        max_retransmissions: None,
        ..api::Options::default()
    }
}

#[test]
fn both_agree_on_interleaving_and_checksums() {
    for seed in 0..20 {
        let mut meeting = Meeting::connected(seed, Link::CLEAN);
        meeting.send_ours(1, &[1; 3_000], SendOptions::default());
        meeting.send_theirs(1, &[1; 3_000], &api::SendOptions::default());
        meeting.run_until(ms(1_000), |_| false);
        let theirs = meeting.theirs.get_metrics().unwrap();
        let interleaving = seed.is_multiple_of(2) && !seed.is_multiple_of(5);
        assert_eq!(theirs.uses_message_interleaving, interleaving, "seed {seed}");
        assert_eq!(meeting.ours.statistics().interleaving, interleaving, "seed {seed}");
        assert_eq!(theirs.uses_zero_checksum, seed % 4 < 2, "seed {seed}");
        assert!(meeting.to_ours.contains_key(&1) && meeting.to_theirs.contains_key(&1), "seed {seed}");
    }
}

fn links() -> [Link; 4] {
    let link = |loss, duplication, jitter| Link { delay: ms(10), jitter: ms(jitter), loss, duplication };
    [link(0, 0, 0), link(20, 0, 2), link(100, 50, 20), link(250, 100, 5)]
}

/// `ANTIPHON_SEEDS` sets how many seeds each case runs.
fn seeds() -> u64 {
    std::env::var("ANTIPHON_SEEDS").ok().and_then(|count| count.parse().ok()).unwrap_or(24)
}

#[test]
fn every_reliable_message_arrives_once_in_order_and_whole_both_ways() {
    for (seed, link) in (0..seeds()).flat_map(|seed| links().map(|link| (seed, link))) {
        let mut meeting = Meeting::connected(seed, link);
        let mut sent: [BTreeMap<u16, Vec<Vec<u8>>>; 2] = Default::default();
        let mut rng = Rng::from_test_seed(seed ^ 0xdc);
        for number in 0..30u64 {
            let stream = rng.below(4) as u16;
            let payload = pattern(number + seed * 1_000, 1 + rng.below(12_000) as usize);
            let ordered = stream != 3;
            if rng.below(2) == 0 {
                meeting.send_ours(stream, &payload, SendOptions { ordered, ..SendOptions::default() });
                sent[0].entry(stream).or_default().push(payload);
            } else {
                let options = api::SendOptions { unordered: !ordered, ..api::SendOptions::default() };
                meeting.send_theirs(stream, &payload, &options);
                sent[1].entry(stream).or_default().push(payload);
            }
        }
        let count = |map: &BTreeMap<u16, Vec<Vec<u8>>>| map.values().map(Vec::len).sum::<usize>();
        let want = [count(&sent[0]), count(&sent[1])];
        let all = meeting
            .run_until(ms(900_000), |meeting| [count(&meeting.to_theirs), count(&meeting.to_ours)] == want);
        let got = [count(&meeting.to_theirs), count(&meeting.to_ours)];
        assert!(all, "seed {seed}, {link:?}: {got:?} of {want:?}: {:?}", meeting.our_events);
        meeting.run_until(ms(2_000), |_| false);
        for (got, mut sent) in [&mut meeting.to_theirs, &mut meeting.to_ours].into_iter().zip(sent) {
            for messages in [got.get_mut(&3), sent.get_mut(&3)].into_iter().flatten() {
                messages.sort();
            }
            assert!(*got == sent, "seed {seed}, {link:?}");
        }
    }
}

#[test]
fn messages_of_partial_reliability_arrive_whole_or_not_and_never_block() {
    for (seed, link) in (0..seeds()).flat_map(|seed| links().map(|link| (seed, link))) {
        let mut meeting = Meeting::connected(seed, link);
        let payload = |number: u16| {
            let mut payload = number.to_be_bytes().to_vec();
            payload.extend(pattern(number.into(), usize::from(number % 7) * 700));
            payload
        };
        for number in 0..60u16 {
            let (ordered, stream) = (number % 2 == 0, 1 + number % 2);
            let by_time = number % 3 == 0;
            let reliability =
                if by_time { Reliability::MaxLifetime(ms(50)) } else { Reliability::MaxRetransmits(0) };
            meeting.send_ours(stream, &payload(number), SendOptions { ordered, reliability });
            let options = api::SendOptions {
                unordered: !ordered,
                lifetime: by_time.then_some(ms(50)),
                max_retransmissions: (!by_time).then_some(0),
                lifecycle_id: None,
            };
            meeting.send_theirs(stream, &payload(number), &options);
            meeting.run_until(ms(5), |_| false);
        }
        meeting.send_ours(9, b"end", SendOptions::default());
        meeting.send_theirs(9, b"end", &api::SendOptions::default());
        let ended = meeting.run_until(ms(300_000), |meeting| {
            meeting.to_ours.contains_key(&9) && meeting.to_theirs.contains_key(&9)
        });
        assert!(ended, "seed {seed}, {link:?}: stalled: {:?}", meeting.our_events);
        // Ordered messages after abandoned ones come through, too.
        meeting.send_ours(1, &payload(600), SendOptions::default());
        meeting.send_theirs(1, &payload(600), &api::SendOptions::default());
        let through = meeting.run_until(ms(300_000), |meeting| {
            [&meeting.to_ours, &meeting.to_theirs]
                .iter()
                .all(|got| got.get(&1).and_then(|got| got.last()) == Some(&payload(600)))
        });
        let counts = [&meeting.to_ours, &meeting.to_theirs].map(|got| got.get(&1).map_or(0, Vec::len));
        assert!(
            through,
            "seed {seed}, {link:?}: an abandoned message blocks: {counts:?} {:?} {:?} {:?}",
            meeting.ours.drops(),
            meeting.our_events,
            meeting.ours.statistics()
        );
        for got in [&meeting.to_ours, &meeting.to_theirs] {
            for (stream, messages) in got.iter().filter(|(stream, _)| **stream != 9) {
                let numbers: Vec<u16> =
                    messages.iter().map(|got| u16::from_be_bytes([got[0], got[1]])).collect();
                assert!(messages.iter().zip(&numbers).all(|(got, number)| *got == payload(*number)));
                assert!(*stream != 1 || numbers.is_sorted(), "seed {seed}, {link:?}: {numbers:?}");
            }
        }
    }
}

#[test]
fn streams_are_reset_both_ways_and_used_again() {
    for (seed, link) in (0..seeds()).flat_map(|seed| links().map(|link| (seed, link))) {
        let mut meeting = Meeting::connected(seed, link);
        for round in 0..3u8 {
            meeting.our_events.clear();
            meeting.their_events.clear();
            meeting.send_ours(1, &[round; 3_000], SendOptions::default());
            meeting.send_theirs(1, &[round; 3_000], &api::SendOptions::default());
            meeting.ours.reset_streams(meeting.now, &[StreamId(1)]).unwrap();
            // dcsctp throws away what it has not begun to send on a stream that is reset.
            let begun = |meeting: &Meeting| meeting.theirs.buffered_amount(api::StreamId(1)) == 0;
            assert!(meeting.run_until(ms(300_000), begun), "seed {seed}, {link:?}: not sent");
            meeting.theirs.reset_streams(&[api::StreamId(1)]).unwrap();
            // Its requests are repeated at intervals that double without end.
            let done = meeting.run_until(ms(3_000_000), |meeting| {
                let ours = |wanted: Event| meeting.our_events.contains(&wanted);
                let theirs = |performed: bool| {
                    meeting.their_events.iter().any(|event| match event {
                        SocketEvent::OnStreamsResetPerformed(_) => performed,
                        SocketEvent::OnIncomingStreamReset(_) => !performed,
                        _ => false,
                    })
                };
                ours(Event::OutgoingStreamsReset(vec![StreamId(1)]))
                    && ours(Event::IncomingStreamsReset(vec![StreamId(1)]))
                    && theirs(true)
                    && theirs(false)
            });
            let events = (&meeting.our_events, &meeting.their_events);
            assert!(done, "seed {seed}, {link:?}, round {round}: {events:?}");
        }
        let expected: Vec<Vec<u8>> = (0..3).map(|round| vec![round; 3_000]).collect();
        for (end, got) in [("ours", &meeting.to_ours), ("theirs", &meeting.to_theirs)] {
            let rounds: Vec<_> = got.get(&1).into_iter().flatten().map(|got| (got[0], got.len())).collect();
            assert!(
                got.get(&1) == Some(&expected),
                "seed {seed}, {link:?}, to {end}: {rounds:?} {:?} {:?}",
                meeting.ours.drops(),
                meeting.our_events
            );
        }
    }
}

#[test]
fn shutdown_and_abort_are_understood_by_both() {
    for seed in 0..12 {
        let mut meeting = Meeting::connected(seed, links()[1]);
        match seed % 4 {
            0 => meeting.ours.shutdown(meeting.now),
            1 => meeting.theirs.shutdown(),
            2 => meeting.ours.abort(meeting.now, "bye"),
            _ => meeting.theirs.close(),
        }
        meeting.link = Link::CLEAN;
        meeting.run_until(ms(30_000), |_| false);
        let closed = matches!(meeting.our_events.last(), Some(Event::Closed(_)));
        assert!(closed, "seed {seed}: {:?}", meeting.our_events);
        assert_eq!(meeting.theirs.state(), api::SocketState::Closed, "seed {seed}");
    }
}
