//! Reading allocates nothing.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::alloc::System;

use antiphon_stun::{AttributeType, FrameDecoder, Framing, Message};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The only test here: the allocator counts all threads.
#[test]
fn reading_allocates_nothing() {
    let text = include_str!("data/stun-chromium-firefox.txt");
    let hex = text.lines().filter_map(|line| line.split_once(' ')).map(|(_, hex)| hex.trim());
    let datagrams: Vec<Vec<u8>> = hex
        .map(|hex| {
            let digits: Vec<u8> = hex.chars().map(|digit| digit.to_digit(16).unwrap() as u8).collect();
            digits
                .chunks_exact(2)
                .map(|pair| pair.iter().fold(0, |byte, digit| (byte << 4) | digit))
                .collect()
        })
        .collect();
    assert!(!datagrams.is_empty());
    let mut decoder = FrameDecoder::new(Framing::SelfDelimiting, 2_000);
    let mut frames = 0;
    let mut read = || {
        for datagram in &datagrams {
            let message = Message::try_from(&datagram[..]).unwrap();
            assert!(message.verify_fingerprint());
            assert_eq!(message.unknown_required(AttributeType::is_of_binding).count(), 0);
            assert!(message.attributes().all(|attribute| attribute.decode(message.id()).is_ok()));
            let mut stream = &datagram[..];
            while decoder.decode(&mut stream).unwrap().is_some() {
                frames += 1;
            }
        }
    };
    // The buffer of the decoder grows once.
    read();
    let region = Region::new(ALLOCATOR);
    read();
    let change = region.change();
    assert_eq!((change.allocations, change.reallocations), (0, 0));
    assert_eq!(frames, 2 * datagrams.len());
}
