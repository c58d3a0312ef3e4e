//! Two associations and a list of actions. The model: every reliable message arrives once, in order, whole, and every other
//! one at most once; stream resets are granted.
#![no_main]

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use antiphon_sctp::{
    Association, AssociationState, CloseReason, Config, Event, Message, PayloadProtocolId, Reliability,
    SendOptions, StreamId,
};
use antiphon_util::Rng;
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
enum Action {
    /// Sends a message of `len` bytes on one of four streams.
    Send {
        from: bool,
        stream: u8,
        len: u16,
        unordered: bool,
        reliability: Kind,
    },
    /// Resets one's direction of a stream.
    Reset {
        from: bool,
        stream: u8,
    },
    /// Hands on the packet at `at` of those under way to an end.
    Deliver {
        to: bool,
        at: u8,
    },
    /// Loses it.
    Lose {
        to: bool,
        at: u8,
    },
    /// Hands it on and keeps it.
    Duplicate {
        to: bool,
        at: u8,
    },
    Wait {
        milliseconds: u8,
    },
    Read {
        end: bool,
        stream: u8,
    },
}

#[derive(Debug, Arbitrary)]
enum Kind {
    Reliable,
    Retransmits(u8),
    Lifetime { milliseconds: u8 },
}

/// A message that may still arrive.
struct Expected {
    len: usize,
    ordered: bool,
    reliable: bool,
}

const STREAMS: u8 = 4;

struct World {
    now: Instant,
    ends: [Association; 2],
    /// Packets under way to each end.
    flying: [VecDeque<Vec<u8>>; 2],
    /// Per end and stream what may still arrive, by number.
    expected: [[BTreeMap<u16, Expected>; STREAMS as usize]; 2],
    /// Streams of which each end waits to hear that they are reset.
    resetting: [[bool; STREAMS as usize]; 2],
    number: u16,
}

impl World {
    fn flush(&mut self) {
        for from in 0..2 {
            let mut packet = Vec::new();
            while self.ends[from].poll_transmit(self.now, &mut packet).is_some() {
                self.flying[1 - from].push_back(std::mem::take(&mut packet));
            }
            while let Some(event) = self.ends[from].poll_event() {
                match event {
                    Event::OutgoingStreamsReset(streams) => {
                        streams.iter().for_each(|stream| {
                            let was = &mut self.resetting[from][usize::from(stream.0)];
                            assert!(std::mem::take(was), "a reset that nobody asked for");
                        });
                    }
                    Event::ResetFailed(_) | Event::Closed(CloseReason::ProtocolViolation(_)) => {
                        panic!("{event:?}")
                    }
                    _ => {}
                }
            }
        }
    }

    fn take(&mut self, to: bool, at: u8, keep: bool) -> Option<Vec<u8>> {
        let flying = &mut self.flying[usize::from(to)];
        let at = usize::from(at) % flying.len().max(1);
        if keep { flying.get(at).cloned() } else { flying.remove(at) }
    }

    fn send(&mut self, from: usize, stream: u8, len: usize, options: SendOptions) {
        let stream = stream % STREAMS;
        self.number += 1;
        let [high, low] = self.number.to_be_bytes();
        let mut payload = vec![low; len];
        payload[0] = high;
        let message =
            Message { stream: StreamId(stream.into()), ppid: PayloadProtocolId(53), payload: payload.into() };
        if self.ends[from].send(self.now, message, options).is_ok() {
            let reliable = options.reliability == Reliability::Reliable;
            let expected = Expected { len, ordered: options.ordered, reliable };
            self.expected[1 - from][usize::from(stream)].insert(self.number, expected);
        }
    }

    fn read(&mut self, end: usize, stream: u8) {
        while let Some(message) = self.ends[end].read(self.now, StreamId(stream.into())) {
            let payload = &message.payload;
            let number = u16::from_be_bytes([payload[0], payload[1]]);
            let expected = &mut self.expected[end][usize::from(stream)];
            let this = expected.remove(&number).expect("once, and in order");
            assert_eq!(payload.len(), this.len);
            assert!(payload.iter().skip(1).all(|byte| *byte == payload[1]));
            if this.ordered {
                // What is ordered before it was passed over, and must not come any more.
                expected.retain(|earlier, other| {
                    let passed = other.ordered && *earlier < number;
                    assert!(!passed || !other.reliable, "{earlier} is missing before {number}");
                    !passed
                });
            }
        }
    }

    fn act(&mut self, action: &Action) {
        match *action {
            Action::Send { from, stream, len, unordered, ref reliability } => {
                let reliability = match *reliability {
                    Kind::Reliable => Reliability::Reliable,
                    Kind::Retransmits(count) => Reliability::MaxRetransmits(u16::from(count % 4)),
                    Kind::Lifetime { milliseconds } => {
                        Reliability::MaxLifetime(Duration::from_millis(milliseconds.into()))
                    }
                };
                let options = SendOptions { ordered: !unordered, reliability };
                self.send(usize::from(from), stream, usize::from(len % 8_000) + 2, options);
            }
            Action::Reset { from, stream } => {
                let (from, stream) = (usize::from(from), stream % STREAMS);
                if !self.resetting[from][usize::from(stream)] {
                    let reset = self.ends[from].reset_streams(self.now, &[StreamId(stream.into())]);
                    self.resetting[from][usize::from(stream)] = reset.is_ok();
                }
            }
            Action::Deliver { to, at } => {
                if let Some(packet) = self.take(to, at, false) {
                    self.ends[usize::from(to)].handle_datagram(self.now, &packet);
                }
            }
            Action::Lose { to, at } => drop(self.take(to, at, false)),
            Action::Duplicate { to, at } => {
                if let Some(packet) = self.take(to, at, true) {
                    self.ends[usize::from(to)].handle_datagram(self.now, &packet);
                }
            }
            Action::Wait { milliseconds } => {
                self.now += Duration::from_millis(milliseconds.into());
                self.ends.iter_mut().for_each(|end| end.handle_timeout(self.now));
            }
            Action::Read { end, stream } => self.read(usize::from(end), stream % STREAMS),
        }
        self.flush();
    }

    /// Whether all that is owed has come.
    fn is_settled(&self) -> bool {
        let owed = self.expected.iter().flatten().flat_map(BTreeMap::values).any(|message| message.reliable);
        !owed && !self.resetting.iter().flatten().any(|resetting| *resetting)
    }

    fn is_over(&self) -> bool {
        self.ends.iter().any(|end| end.state() == AssociationState::Closed)
    }
}

fuzz_target!(|input: (bool, Vec<Action>)| {
    let (interleaving, actions) = input;
    let config = Config { interleaving, ..Config::default() };
    let ends = [1, 2].map(|seed| Association::new(config.clone(), Rng::from_test_seed(seed)));
    let mut world = World {
        now: Instant::now(),
        ends,
        flying: Default::default(),
        expected: Default::default(),
        resetting: Default::default(),
        number: 0,
    };
    let now = world.now;
    world.ends.iter_mut().for_each(|end| end.connect(now));
    world.flush();
    for action in actions.iter().take(300) {
        world.act(action);
    }
    // From here on nothing is lost: all that is owed comes.
    for _ in 0..20_000 {
        if world.is_over() || world.is_settled() {
            return;
        }
        for to in [false, true] {
            while !world.flying[usize::from(to)].is_empty() {
                world.act(&Action::Deliver { to, at: 0 });
            }
        }
        for (end, stream) in [0, 1].into_iter().flat_map(|end| (0..STREAMS).map(move |stream| (end, stream)))
        {
            world.read(end, stream);
        }
        world.act(&Action::Wait { milliseconds: 20 });
    }
    let owed = world
        .expected
        .map(|streams| streams.map(|messages| messages.values().filter(|message| message.reliable).count()));
    panic!("missing: {owed:?}, not reset: {:?}", world.resetting);
});
