//! The same frames come of a stream however it is cut; written again they are the stream up to what ends it.
#![no_main]

use antiphon_fuzz::allocating;
use antiphon_stun::{FrameDecoder, FrameError, Framing};
use libfuzzer_sys::fuzz_target;

const LIMIT: usize = 2_000;

fuzz_target!(|input: (bool, u8, &[u8])| {
    let (prefixed, step, stream) = input;
    let framing = if prefixed { Framing::LengthPrefixed } else { Framing::SelfDelimiting };
    let (whole, error) = frames(framing, stream, stream.len());
    assert_eq!(frames(framing, stream, usize::from(step) + 1), (whole.clone(), error));
    let mut written = Vec::new();
    for frame in &whole {
        assert!(!frame.is_empty() && frame.len() <= LIMIT);
        framing.encode(frame, &mut written).unwrap();
    }
    assert_eq!(frames(framing, &written, 7), (whole, None));
});

fn frames(framing: Framing, stream: &[u8], step: usize) -> (Vec<Vec<u8>>, Option<FrameError>) {
    let mut decoder = FrameDecoder::new(framing, LIMIT);
    let mut frames = Vec::new();
    for mut piece in stream.chunks(step.max(1)) {
        loop {
            let (decoder, piece) = (&mut decoder, &mut piece);
            match allocating(4 * LIMIT, || decoder.decode(piece)) {
                Ok(None) => break,
                Ok(Some(frame)) => frames.push(frame.to_vec()),
                Err(error) => return (frames, Some(error)),
            }
        }
        assert!(piece.is_empty());
    }
    (frames, None)
}
