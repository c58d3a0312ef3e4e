//! SCTP alone: two associations in memory, no network, no encryption.

#![allow(missing_docs, reason = "criterion's macros")]
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a bench")]

use std::time::{Duration, Instant};

use antiphon_sctp::packet::Packet;
use antiphon_sctp::{Association, Config, Event, Message, PayloadProtocolId, SendOptions, StreamId};
use antiphon_util::Rng;
use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// Packets that are handed on before the other side acts, as one run of a socket with GSO.
const BURST: usize = 32;

struct Pair {
    now: Instant,
    ends: [Association; 2],
    buffer: Vec<u8>,
    packets: u64,
}

impl Pair {
    fn connected(config: &Config) -> Self {
        let end = |seed| Association::new(config.clone(), Rng::from_test_seed(seed));
        let mut pair = Self { now: Instant::now(), ends: [end(1), end(2)], buffer: Vec::new(), packets: 0 };
        let [a, b] = &mut pair.ends;
        a.connect(pair.now);
        b.connect(pair.now);
        while pair.turn() {}
        for end in &mut pair.ends {
            assert!(
                std::iter::from_fn(|| end.poll_event()).any(|event| matches!(event, Event::Connected { .. }))
            );
        }
        pair
    }

    /// Each side sends a burst; whether anything moved.
    fn turn(&mut self) -> bool {
        self.now += Duration::from_micros(20);
        let now = self.now;
        for end in self.ends.iter_mut().filter(|end| end.poll_timeout().is_some_and(|at| at <= now)) {
            end.handle_timeout(now);
        }
        let before = self.packets;
        for turn in 0..2 {
            let [a, b] = &mut self.ends;
            let (from, to) = if turn == 0 { (a, b) } else { (b, a) };
            self.buffer.clear();
            let mut at = 0;
            let mut lens = [0; BURST];
            for len in &mut lens {
                *len = from.poll_transmit(self.now, &mut self.buffer).unwrap_or(0);
            }
            for len in lens.into_iter().take_while(|len| *len > 0) {
                to.handle_datagram(self.now, self.buffer.get(at..at + len).unwrap());
                at += len;
                self.packets += 1;
            }
        }
        self.packets != before
    }

    /// Moves `total` bytes in messages of the size of `payload`.
    fn transfer(&mut self, payload: &Bytes, total: usize) {
        let stream = StreamId(1);
        let (mut sent, mut received) = (0, 0);
        while received < total {
            while sent < total && self.ends[0].buffered_amount(stream) < 256 * 1024 {
                let message = Message { stream, ppid: PayloadProtocolId(53), payload: payload.clone() };
                self.ends[0].send(self.now, message, SendOptions::default()).unwrap();
                sent += payload.len();
            }
            self.turn();
            while let Some(message) = self.ends[1].read(self.now, stream) {
                received += message.payload.len();
            }
            for end in &mut self.ends {
                while end.poll_event().is_some() {}
            }
        }
    }
}

fn transfer(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sctp/transfer");
    for (name, size, total) in
        [("100B", 100, 1 << 20), ("16KiB", 16 << 10, 64 << 20), ("256KiB", 256 << 10, 64 << 20)]
    {
        let payload = Bytes::from(vec![7; size]);
        group.throughput(Throughput::Bytes(total as u64));
        group.sample_size(10);
        let mut pair = Pair::connected(&Config::default());
        group.bench_function(name, |bencher| bencher.iter(|| pair.transfer(&payload, total)));
    }
}

fn set_up(criterion: &mut Criterion) {
    criterion.bench_function("sctp/set-up", |bencher| bencher.iter(|| Pair::connected(&Config::default())));
}

fn parse(criterion: &mut Criterion) {
    let mut pair = Pair::connected(&Config { zero_checksum: false, ..Config::default() });
    let message =
        Message { stream: StreamId(1), ppid: PayloadProtocolId(53), payload: vec![7; 16_384].into() };
    pair.ends[0].send(pair.now, message, SendOptions::default()).unwrap();
    let mut packet = Vec::new();
    pair.ends[0].poll_transmit(pair.now, &mut packet).unwrap();
    criterion.bench_function("sctp/parse a full DATA packet", |bencher| {
        bencher.iter(|| Packet::parse(&packet).unwrap().chunks().count());
    });
}

criterion_group!(benches, transfer, set_up, parse);
criterion_main!(benches);
