//! A description that is read is written as it was, and read again to the same value, strictly or not; what reading
//! allocates is bounded by the input. A candidate, an attribute and the parameters of codecs likewise.
#![no_main]

use std::alloc::System;
use std::fmt::Display;
use std::str::FromStr;

use antiphon_sdp::{Attribute, Candidate, CodecParameters, Parameters, Parser, Session};
use libfuzzer_sys::fuzz_target;
use stats_alloc::{Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: StatsAlloc<System> = StatsAlloc::system();

/// Bytes that are allocated in all for one byte of input, those of outgrown lists included, and for any input.
const ALLOCATED_PER_BYTE: usize = 64;
const ALLOCATED: usize = 4_096;

fuzz_target!(|text: &str| {
    let region = Region::new(&ALLOCATOR);
    let parsed = text.parse::<Session>();
    let allocated = region.change().bytes_allocated;
    assert!(allocated <= ALLOCATED_PER_BYTE * text.len() + ALLOCATED, "{allocated} for {}", text.len());
    if let Ok(session) = &parsed {
        check_session(text, session);
    }
    if let Ok(strict) = Parser::strict().parse(text) {
        assert_eq!(parsed.as_ref(), Ok(&strict));
        assert_eq!(strict.to_string(), text);
    }
    check_alone::<Candidate>(text);
    check_alone::<Attribute>(text);
});

fn check_session(text: &str, session: &Session) {
    let written = session.to_string();
    let lines = |text: &str| -> Vec<String> {
        let trimmed = text.trim_end_matches(['\r', '\n', ' ', '\t']);
        trimmed.split('\n').map(|line| line.trim_end_matches('\r').into()).collect()
    };
    assert_eq!(lines(&written), lines(text));
    assert_eq!(written.parse::<Session>().as_ref(), Ok(session));
    for codec in session.media.iter().flat_map(|media| media.codecs()) {
        if let Ok(parameters) = codec.typed_parameters() {
            let name = codec.rtpmap.map_or("", |rtpmap| &rtpmap.encoding);
            assert_eq!(CodecParameters::new(name, &write(&parameters)), Ok(parameters));
        }
    }
}

fn write(parameters: &CodecParameters) -> Parameters {
    match parameters.clone() {
        CodecParameters::Opus(typed) => typed.into(),
        CodecParameters::Vp8(typed) => typed.into(),
        CodecParameters::Vp9(typed) => typed.into(),
        CodecParameters::H264(typed) => (*typed).into(),
        CodecParameters::H265(typed) => (*typed).into(),
        CodecParameters::Av1(typed) => typed.into(),
        CodecParameters::Rtx(typed) => typed.into(),
        CodecParameters::Red(typed) => typed.into(),
        CodecParameters::UlpFec(typed) => typed.into(),
        CodecParameters::FlexFec(typed) => typed.into(),
        CodecParameters::Other(parameters) => parameters,
        other => panic!("{other:?}"),
    }
}

fn check_alone<T: FromStr + Display + PartialEq + std::fmt::Debug>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        let written = value.to_string();
        assert!(written.parse::<T>().ok() == Some(value), "{text:?} {written:?}");
    }
}
