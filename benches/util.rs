//! What reading and writing cost: the floor of every parser.
#![allow(missing_docs, reason = "criterion's macro makes an undocumented function")]
#![allow(clippy::unwrap_used, reason = "a benchmark may fail loudly")]

use antiphon_util::{Reader, ReplayWindow, Writer};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;

/// Reads and writes a header of 32-bit words the size of a packet.
fn words(criterion: &mut Criterion) {
    let packet = vec![0x5a; 1_200];
    let mut group = criterion.benchmark_group("words of 1,200 bytes");
    group.throughput(Throughput::Bytes(packet.len() as u64));
    group.bench_function("read", |bencher| {
        bencher.iter(|| {
            let mut reader = Reader::new(black_box(&packet));
            let mut sum = 0u32;
            while let Ok(word) = reader.u32() {
                sum = sum.wrapping_add(word);
            }
            sum
        });
    });
    let mut buffer = Vec::with_capacity(1_200);
    group.bench_function("write", |bencher| {
        bencher.iter(|| {
            buffer.clear();
            let mut writer = Writer::new(&mut buffer);
            for word in 0..300 {
                writer.u32(black_box(word));
            }
            buffer.len()
        });
    });
    group.finish();
}

/// Checks and accepts packet numbers in order.
fn replay(criterion: &mut Criterion) {
    let mut window = ReplayWindow::new();
    let mut number = 0;
    criterion.bench_function("replay window, in order", |bencher| {
        bencher.iter(|| {
            number += 1;
            window.record(black_box(number))
        });
    });
}

criterion_group!(benches, words, replay);
criterion_main!(benches);
