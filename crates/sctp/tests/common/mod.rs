//! Two associations in simulated time, over a seeded link.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]
#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test may fail by panic")]

pub mod path;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use antiphon_sctp::packet::{Checksum, Packet};
use antiphon_sctp::{
    Association, Config, Event, Message, PayloadProtocolId, Reliability, SendOptions, StreamId,
};
use antiphon_util::Rng;

/// An origin of simulated time.
#[allow(clippy::disallowed_methods, reason = "any instant serves as the origin")]
pub fn origin() -> Instant {
    Instant::now()
}

pub const fn ms(value: u64) -> Duration {
    Duration::from_millis(value)
}

/// A configuration with which DATA is sent as RFC 9260 has it.
pub fn without_interleaving() -> Config {
    Config { interleaving: false, ..Config::default() }
}

/// How packets fare on the way; probabilities in per mille.
#[derive(Debug, Clone, Copy)]
pub struct Link {
    pub delay: Duration,
    /// Added at random: reorders.
    pub jitter: Duration,
    pub loss: u64,
    pub duplication: u64,
}

impl Link {
    pub const CLEAN: Link = Link { delay: ms(5), jitter: Duration::ZERO, loss: 0, duplication: 0 };
}

/// Arrival, order of departure, receiver and bytes of a packet under way.
type Flying = (Instant, u64, usize, Vec<u8>);

/// Two ends and what is between them.
pub struct Pair {
    pub now: Instant,
    pub ends: [Association; 2],
    pub events: [Vec<Event>; 2],
    link: Link,
    rng: Rng,
    flying: BinaryHeap<Reverse<Flying>>,
    serial: u64,
}

impl Pair {
    pub fn new(seed: u64, link: Link, config: impl Fn() -> Config) -> Self {
        let mut rng = Rng::from_test_seed(seed);
        let ends = [Association::new(config(), rng.fork()), Association::new(config(), rng.fork())];
        let events = [Vec::new(), Vec::new()];
        Self { now: origin(), ends, events, link, rng, flying: BinaryHeap::new(), serial: 0 }
    }

    /// Both ends connected, by simultaneous INIT.
    pub fn connected(seed: u64, link: Link, config: impl Fn() -> Config) -> Self {
        let mut pair = Self::new(seed, Link { loss: 0, ..link }, config);
        pair.ends[0].connect(pair.now);
        pair.ends[1].connect(pair.now);
        let up = |pair: &Pair| pair.events.iter().all(|events| !events.is_empty());
        assert!(pair.run_until(ms(5_000), up), "seed {seed}: not connected");
        pair.link = link;
        pair.events = [Vec::new(), Vec::new()];
        pair
    }

    pub fn set_link(&mut self, link: Link) {
        self.link = link;
    }

    /// Sends what both ends have to send, and collects events.
    pub fn flush(&mut self) {
        for from in 0..2 {
            let mut packet = Vec::new();
            while self.ends[from].poll_transmit(self.now, &mut packet).is_some() {
                self.launch(1 - from, std::mem::take(&mut packet));
            }
            while let Some(event) = self.ends[from].poll_event() {
                self.events[from].push(event);
            }
        }
    }

    fn launch(&mut self, to: usize, packet: Vec<u8>) {
        if self.rng.below(1000) < self.link.loss {
            return;
        }
        let copies = if self.rng.below(1000) < self.link.duplication { 2 } else { 1 };
        for _ in 0..copies {
            let jitter = self.rng.below(self.link.jitter.as_micros() as u64 + 1);
            let at = self.now + self.link.delay + Duration::from_micros(jitter);
            self.serial += 1;
            self.flying.push(Reverse((at, self.serial, to, packet.clone())));
        }
    }

    /// Goes on to the next arrival or timer; whether there was any before `end`.
    pub fn step(&mut self, end: Instant) -> bool {
        self.flush();
        let arrival = self.flying.peek().map(|Reverse((at, ..))| *at);
        let timers = self.ends.iter().filter_map(Association::poll_timeout);
        let Some(next) = arrival.into_iter().chain(timers).min().filter(|next| *next <= end) else {
            self.now = end;
            return false;
        };
        self.now = self.now.max(next);
        while let Some(Reverse((at, _, to, packet))) = self.flying.pop() {
            if at > self.now {
                self.flying.push(Reverse((at, 0, to, packet)));
                break;
            }
            self.ends[to].handle_datagram(self.now, &packet);
        }
        let now = self.now;
        for end in &mut self.ends {
            if end.poll_timeout().is_some_and(|at| at <= now) {
                end.handle_timeout(now);
            }
        }
        true
    }

    /// Runs until `done`, at most for `time`; whether it is done.
    pub fn run_until(&mut self, time: Duration, mut done: impl FnMut(&Pair) -> bool) -> bool {
        let end = self.now + time;
        loop {
            self.flush();
            if done(self) {
                return true;
            }
            if !self.step(end) {
                self.flush();
                return done(self);
            }
        }
    }

    pub fn run_for(&mut self, time: Duration) {
        self.run_until(time, |_| false);
    }

    /// All messages that `end` can read on `stream`.
    pub fn read_all(&mut self, end: usize, stream: u16) -> Vec<Vec<u8>> {
        let now = self.now;
        std::iter::from_fn(|| self.ends[end].read(now, StreamId(stream)))
            .map(|message| message.payload.to_vec())
            .collect()
    }

    pub fn send(&mut self, from: usize, stream: u16, payload: impl Into<Vec<u8>>) {
        self.send_with(from, stream, payload, true, Reliability::Reliable);
    }

    pub fn send_with(
        &mut self,
        from: usize,
        stream: u16,
        payload: impl Into<Vec<u8>>,
        ordered: bool,
        reliability: Reliability,
    ) {
        let message = message(stream, payload);
        self.ends[from].send(self.now, message, SendOptions { ordered, reliability }).unwrap();
    }

    /// Takes all packets that `from` wants to send, without delivering them.
    pub fn take(&mut self, from: usize) -> Vec<Vec<u8>> {
        let mut packets = Vec::new();
        let mut packet = Vec::new();
        while self.ends[from].poll_transmit(self.now, &mut packet).is_some() {
            packets.push(std::mem::take(&mut packet));
        }
        packets
    }

    /// Delivers packets to `to` at once.
    pub fn give(&mut self, to: usize, packets: &[Vec<u8>]) {
        for packet in packets {
            self.ends[to].handle_datagram(self.now, packet);
        }
    }

    /// Lets time pass; no packet moves.
    pub fn wait(&mut self, time: Duration) {
        self.now += time;
        for end in &mut self.ends {
            end.handle_timeout(self.now);
        }
    }

    /// Events of `end` since the last call.
    pub fn take_events(&mut self, end: usize) -> Vec<Event> {
        while let Some(event) = self.ends[end].poll_event() {
            self.events[end].push(event);
        }
        std::mem::take(&mut self.events[end])
    }
}

/// The packet in `bytes`, which may lack its checksum.
pub fn parse(bytes: &[u8]) -> Packet<'_> {
    Packet::parse_with(bytes, Checksum::MayBeZero).unwrap()
}

pub fn message(stream: u16, payload: impl Into<Vec<u8>>) -> Message {
    Message { stream: StreamId(stream), ppid: PayloadProtocolId(53), payload: payload.into().into() }
}

/// Bytes that tell their place, so that a shift or a swap shows.
pub fn pattern(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        })
        .collect()
}
