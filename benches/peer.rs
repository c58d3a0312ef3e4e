//! Two peer connections in memory: set-up from offer to message, and what data costs through all layers.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a bench"
)]

use std::hint::black_box;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use antiphon_crypto::{Certificate, Provider};
use antiphon_peer::{ChannelId, Configuration, DataChannelInit, Event, Message, PeerConnection};
use antiphon_util::{Path, Received};
use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

struct End {
    pc: PeerConnection,
    address: SocketAddr,
    open: Vec<ChannelId>,
    readable: Vec<ChannelId>,
}

impl End {
    fn new(number: u8, certificate: &Arc<Certificate>) -> Self {
        let now = Instant::now();
        let configuration =
            Configuration { certificate: Some(Arc::clone(certificate)), ..Default::default() };
        let mut pc = PeerConnection::new(now, configuration, Provider::default().random_seed()).unwrap();
        let address = SocketAddr::from(([192, 0, 2, number], 4_000));
        pc.add_local_address(now, address);
        pc.end_of_local_addresses(now);
        Self { pc, address, open: vec![], readable: vec![] }
    }

    /// Carries what is to be sent to `other`; tells whether there was anything.
    fn flush(&mut self, other: &mut Self, buf: &mut Vec<u8>) -> bool {
        let now = Instant::now();
        let mut any = false;
        loop {
            buf.clear();
            let Some(transmit) = self.pc.poll_transmit(now, buf) else { break };
            any = true;
            let path = Path::udp(other.address, self.address);
            for datagram in buf.chunks_mut(transmit.segment_size.unwrap_or(transmit.len)) {
                other.pc.handle_receive(now, Received { path, ecn: None, datagram });
            }
        }
        while let Some(event) = other.pc.poll_event() {
            match event {
                Event::ChannelOpen(id) => other.open.push(id),
                Event::ChannelReadable(id) => other.readable.push(id),
                _ => {}
            }
        }
        any
    }
}

/// Two ends with a channel between them.
fn connect(certificate: &Arc<Certificate>) -> (End, End) {
    let (mut a, mut b) = (End::new(1, certificate), End::new(2, certificate));
    let now = Instant::now();
    a.pc.create_data_channel(now, "bench", DataChannelInit::default()).unwrap();
    a.pc.set_local_description(now, None).unwrap();
    b.pc.set_remote_description(now, a.pc.local_description().unwrap()).unwrap();
    b.pc.set_local_description(now, None).unwrap();
    a.pc.set_remote_description(now, b.pc.local_description().unwrap()).unwrap();
    let mut buf = Vec::new();
    while a.open.is_empty() || b.open.is_empty() {
        a.flush(&mut b, &mut buf);
        b.flush(&mut a, &mut buf);
    }
    (a, b)
}

fn transfer(a: &mut End, b: &mut End, message: &Message, count: usize, buf: &mut Vec<u8>) {
    let (mut sent, mut received) = (0, 0);
    while received < count {
        let now = Instant::now();
        while sent < count && a.pc.buffered_amount(a.open[0]) < 1 << 20 {
            a.pc.send(now, a.open[0], message.clone()).unwrap();
            sent += 1;
        }
        a.flush(b, buf);
        for id in std::mem::take(&mut b.readable) {
            while let Some(message) = b.pc.receive(now, id) {
                black_box(message);
                received += 1;
            }
        }
        b.flush(a, buf);
        a.pc.handle_timeout(now);
        b.pc.handle_timeout(now);
    }
}

fn peer(criterion: &mut Criterion) {
    let certificate = Arc::new(Certificate::generate(Provider::default()).unwrap());
    let mut group = criterion.benchmark_group("peer");
    group.bench_function("set-up of both ends", |b| b.iter(|| connect(&certificate)));
    let mut buf = Vec::with_capacity(1 << 16);
    for (size, count) in [(100, 10_000), (16_384, 1_000), (65_536, 250)] {
        let (mut a, mut b) = connect(&certificate);
        let message = Message::Binary(Bytes::from(vec![7; size]));
        group.throughput(Throughput::Bytes((size * count) as u64));
        group.bench_function(format!("both ends, {count} messages of {size} bytes"), |bencher| {
            bencher.iter(|| transfer(&mut a, &mut b, &message, count, &mut buf));
        });
    }
    group.finish();
}

criterion_group!(benches, peer);
criterion_main!(benches);
