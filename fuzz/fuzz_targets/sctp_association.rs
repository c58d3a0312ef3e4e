//! Two associations and a list of actions. The model: every reliable message arrives once, in order, whole.
#![no_main]

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use antiphon_sctp::{Association, Config, Message, PayloadProtocolId, SendOptions, StreamId};
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

struct World {
    now: Instant,
    ends: [Association; 2],
    /// Packets under way to each end.
    flying: [VecDeque<Vec<u8>>; 2],
    /// Per end and stream: lengths and first bytes of messages that have to come.
    expected: [[VecDeque<(usize, u8)>; 4]; 2],
    serial: u8,
}

impl World {
    fn flush(&mut self) {
        for from in 0..2 {
            let mut packet = Vec::new();
            while self.ends[from].poll_transmit(self.now, &mut packet).is_some() {
                self.flying[1 - from].push_back(std::mem::take(&mut packet));
            }
            while self.ends[from].poll_event().is_some() {}
        }
    }

    fn take(&mut self, to: bool, at: u8, keep: bool) -> Option<Vec<u8>> {
        let flying = &mut self.flying[usize::from(to)];
        let at = usize::from(at) % flying.len().max(1);
        if keep { flying.get(at).cloned() } else { flying.remove(at) }
    }

    fn read(&mut self, end: usize, stream: u16) {
        while let Some(message) = self.ends[end].read(self.now, StreamId(stream)) {
            let (len, byte) = self.expected[end][usize::from(stream)].pop_front().expect("one too many");
            assert_eq!(message.payload.len(), len);
            assert!(message.payload.iter().all(|got| *got == byte));
        }
    }

    fn act(&mut self, action: &Action) {
        match *action {
            Action::Send { from, stream, len } => {
                let (stream, len) = (u16::from(stream % 4), usize::from(len % 8_000) + 1);
                self.serial = self.serial.wrapping_add(1);
                let payload = vec![self.serial; len].into();
                let message = Message { stream: StreamId(stream), ppid: PayloadProtocolId(53), payload };
                let from = usize::from(from);
                if self.ends[from].send(self.now, message, SendOptions::default()).is_ok() {
                    self.expected[1 - from][usize::from(stream)].push_back((len, self.serial));
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
            Action::Read { end, stream } => self.read(usize::from(end), u16::from(stream % 4)),
        }
        self.flush();
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
        serial: 0,
    };
    let now = world.now;
    world.ends.iter_mut().for_each(|end| end.connect(now));
    world.flush();
    for action in actions.iter().take(300) {
        world.act(action);
    }
    // From here on nothing is lost: all that is owed comes.
    let closed =
        |world: &World| world.ends.iter().any(|end| end.state() == antiphon_sctp::AssociationState::Closed);
    for _ in 0..20_000 {
        if closed(&world) || world.expected.iter().flatten().all(VecDeque::is_empty) {
            return;
        }
        for to in [false, true] {
            while !world.flying[usize::from(to)].is_empty() {
                world.act(&Action::Deliver { to, at: 0 });
            }
        }
        for (end, stream) in [0, 1].into_iter().flat_map(|end| (0..4).map(move |stream| (end, stream))) {
            world.read(end, stream);
        }
        world.act(&Action::Wait { milliseconds: 20 });
    }
    panic!("messages are missing: {:?}", world.expected);
});
