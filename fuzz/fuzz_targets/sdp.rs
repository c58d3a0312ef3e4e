//! A description that is read is written to the same value; a candidate likewise.
#![no_main]

use antiphon_sdp::{Candidate, Session};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(session) = text.parse::<Session>() {
        assert_eq!(session.to_string().parse::<Session>().unwrap(), session);
    }
    if let Ok(candidate) = text.parse::<Candidate>() {
        assert_eq!(candidate.to_string().parse::<Candidate>().unwrap(), candidate);
    }
});
