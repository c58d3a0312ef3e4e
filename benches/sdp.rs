//! Reading and writing the offers of a browser, beside other crates: `sdp` and `sdp-types` leave attributes as text,
//! `webrtc-sdp` reads them to types as we do.

#![allow(missing_docs, clippy::unwrap_used, reason = "a bench")]

use std::hint::black_box;

use antiphon_sdp::{CodecParameters, Media, Parser, Session};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const DATA: &str = include_str!("../crates/sdp/tests/data/chromium-156-offer-data-gathered.sdp");
const AUDIO_VIDEO: &str = include_str!("../crates/sdp/tests/data/chromium-156-offer-audio-video.sdp");

fn ours(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sdp");
    for (name, text) in [("data", DATA), ("audio-video", AUDIO_VIDEO)] {
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(format!("parse {name}"), |b| {
            b.iter(|| black_box(text).parse::<Session>().unwrap())
        });
        let session: Session = text.parse().unwrap();
        group.bench_function(format!("write {name}"), |b| b.iter(|| black_box(&session).to_string()));
    }
    group.bench_function("parse audio-video strictly", |b| {
        let parser = Parser::strict();
        b.iter(|| parser.parse(black_box(AUDIO_VIDEO)).unwrap())
    });
    group.bench_function("parse audio-video with the parameters of each codec", |b| {
        b.iter(|| {
            let session: Session = black_box(AUDIO_VIDEO).parse().unwrap();
            let parameters: Vec<_> = session.media.iter().flat_map(parameters).collect();
            black_box((session, parameters))
        })
    });
    group.finish();
}

fn parameters(media: &Media) -> Vec<CodecParameters> {
    media.codecs().iter().map(|codec| codec.typed_parameters().unwrap()).collect()
}

fn others(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sdp of others");
    group.throughput(Throughput::Bytes(AUDIO_VIDEO.len() as u64));

    let parse = |text: &str| sdp::SessionDescription::unmarshal(&mut std::io::Cursor::new(text)).unwrap();
    group.bench_function("sdp: parse audio-video", |b| b.iter(|| parse(black_box(AUDIO_VIDEO))));
    let session = parse(AUDIO_VIDEO);
    group.bench_function("sdp: write audio-video", |b| b.iter(|| black_box(&session).marshal()));

    let parse = |text: &str| sdp_types::Session::parse(text.as_bytes()).unwrap();
    group.bench_function("sdp-types: parse audio-video", |b| b.iter(|| parse(black_box(AUDIO_VIDEO))));
    let session = parse(AUDIO_VIDEO);
    group.bench_function("sdp-types: write audio-video", |b| {
        b.iter(|| {
            let mut text = Vec::new();
            black_box(&session).write(&mut text).unwrap();
            text
        })
    });

    let parse = |text: &str| webrtc_sdp::parse_sdp(text, false).unwrap();
    group.bench_function("webrtc-sdp: parse audio-video", |b| b.iter(|| parse(black_box(AUDIO_VIDEO))));
    let session = parse(AUDIO_VIDEO);
    group.bench_function("webrtc-sdp: write audio-video", |b| b.iter(|| black_box(&session).to_string()));
    group.finish();
}

criterion_group!(benches, ours, others);
criterion_main!(benches);
