//! Reading and writing the offers of a browser.

#![allow(missing_docs, clippy::unwrap_used, reason = "a bench")]

use std::hint::black_box;

use antiphon_sdp::Session;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn sdp(criterion: &mut Criterion) {
    let offers = [
        ("data", include_str!("../crates/sdp/tests/data/chromium-156-offer-data-gathered.sdp")),
        ("audio-video", include_str!("../crates/sdp/tests/data/chromium-156-offer-audio-video.sdp")),
    ];
    let mut group = criterion.benchmark_group("sdp");
    for (name, text) in offers {
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(format!("parse {name}"), |b| {
            b.iter(|| black_box(text).parse::<Session>().unwrap())
        });
        let session: Session = text.parse().unwrap();
        group.bench_function(format!("write {name}"), |b| b.iter(|| black_box(&session).to_string()));
    }
    group.finish();
}

criterion_group!(benches, sdp);
criterion_main!(benches);
