//! One suite that every backend has to pass, with known answers and with published test vectors.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail")]

mod primitives;
mod wycheproof;

use antiphon_crypto::Provider;

/// The backends; every test runs against each.
pub(crate) fn providers() -> [Provider; 2] {
    [Provider::aws_lc_rs(), Provider::ring()]
}

pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digit = |digit: u8| char::from(digit).to_digit(16).unwrap() as u8;
    text.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}
