//! Frames on a stream, however it is cut.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use antiphon_stun::{FrameDecoder, FrameError, Framing, MessageBuilder, MessageType, TooLong, TransactionId};
use antiphon_testkit::for_each_seed;
use antiphon_util::{Rng, Writer};

fn message(software: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = Writer::new(&mut out);
    let mut builder = MessageBuilder::new(&mut writer, MessageType::BINDING_REQUEST, TransactionId([3; 12]));
    builder.attribute(&antiphon_stun::Attribute::Software(software));
    builder.finish().unwrap();
    out
}

fn channel_data(len: usize) -> Vec<u8> {
    let mut out = vec![0x40, 0x01];
    out.extend_from_slice(&u16::try_from(len).unwrap().to_be_bytes());
    out.extend((0..len).map(|at| at as u8));
    out
}

/// All frames of `stream`, which is handed in pieces that end where `cut` says.
fn frames(
    decoder: &mut FrameDecoder,
    stream: &[u8],
    mut cut: impl FnMut(usize) -> usize,
) -> Result<Vec<Vec<u8>>, FrameError> {
    let mut frames = Vec::new();
    let mut rest = stream;
    while !rest.is_empty() {
        let (mut piece, later) = rest.split_at(cut(rest.len()));
        rest = later;
        while let Some(frame) = decoder.decode(&mut piece)? {
            frames.push(frame.to_vec());
        }
        assert!(piece.is_empty());
    }
    Ok(frames)
}

#[test]
fn frames_are_found_however_the_stream_is_cut() {
    for_each_seed(300, |seed| {
        let mut rng = Rng::from_test_seed(seed);
        for framing in [Framing::LengthPrefixed, Framing::SelfDelimiting] {
            let mut written = Vec::new();
            let mut stream = Vec::new();
            for _ in 0..rng.below(12) {
                let len = rng.below(700) as usize;
                let frame = if rng.below(2) == 0 { message(&"x".repeat(len)) } else { channel_data(len) };
                framing.encode(&frame, &mut stream).unwrap();
                written.push(frame);
            }
            let most = 1 + rng.below(900);
            let mut decoder = FrameDecoder::new(framing, 1_500);
            let read = frames(&mut decoder, &stream, |left| left.min(1 + rng.below(most) as usize)).unwrap();
            assert_eq!(read, written);
        }
    });
}

#[test]
fn frames_are_framed_as_the_rfcs_say() {
    let mut out = vec![9];
    Framing::LengthPrefixed.encode(b"abc", &mut out).unwrap();
    assert_eq!(out, [9, 0, 3, b'a', b'b', b'c']);
    let mut out = vec![9];
    Framing::SelfDelimiting.encode(&channel_data(2), &mut out).unwrap();
    assert_eq!(out, [9, 0x40, 1, 0, 2, 0, 1, 0, 0]);
    let len = Framing::SelfDelimiting.encode_with(&mut out, |out| {
        out.extend_from_slice(&message(""));
        7
    });
    assert_eq!((len, out.len()), (Ok(7), 9 + 24));
}

#[test]
fn a_frame_too_long_for_its_prefix_is_not_written() {
    let mut out = vec![9];
    assert_eq!(Framing::LengthPrefixed.encode(&[1; 65_536], &mut out), Err(TooLong));
    assert_eq!(out, [9]);
    Framing::LengthPrefixed.encode(&[1; 65_535], &mut out).unwrap();
    assert_eq!(out.len(), 1 + 2 + 65_535);
}

#[test]
fn empty_frames_are_passed_over() {
    let mut decoder = FrameDecoder::new(Framing::LengthPrefixed, 10);
    let stream = [0, 0, 0, 0, 0, 1, 7, 0, 0];
    assert_eq!(frames(&mut decoder, &stream, |left| left), Ok(vec![vec![7]]));
}

#[test]
fn a_stream_out_of_step_stays_refused() {
    let mut bad_cookie = message("");
    *bad_cookie.get_mut(5).unwrap() ^= 1;
    for stream in [&[0x80, 0, 0, 0][..], &[0xff; 40], &[0, 1, 0, 3], &bad_cookie] {
        let whole = frames(&mut FrameDecoder::new(Framing::SelfDelimiting, 1_500), stream, |left| left);
        assert_eq!(whole, Err(FrameError::Malformed), "{stream:?}");
        let mut decoder = FrameDecoder::new(Framing::SelfDelimiting, 1_500);
        assert_eq!(frames(&mut decoder, stream, |_| 1), Err(FrameError::Malformed), "{stream:?}");
        let mut valid = &message("")[..];
        assert_eq!(decoder.decode(&mut valid), Err(FrameError::Malformed));
    }
}

#[test]
fn a_frame_is_refused_by_its_length_alone() {
    for framing in [Framing::LengthPrefixed, Framing::SelfDelimiting] {
        for (len, fits) in [(96, true), (97, false), (960, false)] {
            let mut stream = Vec::new();
            framing.encode(&channel_data(len), &mut stream).unwrap();
            let mut decoder = FrameDecoder::new(framing, 100);
            let read = frames(&mut decoder, &stream, |_| 1);
            assert_eq!(read.is_ok(), fits, "{framing:?} {len}");
            assert_eq!(read, if fits { Ok(vec![channel_data(len)]) } else { Err(FrameError::TooLong) });
        }
    }
}
