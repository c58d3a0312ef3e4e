//! Benchmarks of Antiphon: one file a layer beside this one, and `peers`, a workspace of its own that
//! compares whole peers of several libraries.

#![allow(clippy::unwrap_used, reason = "benches")]

/// A check of Chromium as captured, and the password that signs it.
pub fn captured_check() -> (&'static str, Vec<u8>) {
    let text = include_str!("../crates/stun/tests/data/stun-chromium-firefox.txt");
    let (password, hex) = text.lines().filter_map(|line| line.split_once(' ')).nth(2).unwrap();
    let digits = hex.trim().as_bytes().chunks_exact(2);
    let bytes = digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap());
    (password, bytes.collect())
}
