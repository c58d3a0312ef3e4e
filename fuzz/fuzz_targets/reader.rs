//! A list of reads, each of which consumes what it gives or fails and consumes nothing.
#![no_main]

use antiphon_util::Reader;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (Vec<u8>, &[u8])| {
    let (actions, bytes) = input;
    let mut reader = Reader::new(bytes);
    for action in actions {
        let before = reader.remaining();
        let read = match action % 8 {
            0 => reader.u8().map(|_| 1),
            1 => reader.u16().map(|_| 2),
            2 => reader.u24().map(|_| 3),
            3 => reader.u32().map(|_| 4),
            4 => reader.u48().map(|_| 6),
            5 => reader.u64().map(|_| 8),
            6 => reader.bytes(usize::from(action)).map(|taken| taken.len()),
            _ => reader.array::<5>().map(|taken| taken.len()),
        };
        assert_eq!(before - reader.remaining(), read.unwrap_or(0));
    }
});
