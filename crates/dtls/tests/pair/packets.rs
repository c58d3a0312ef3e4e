//! The packet path.

use antiphon_testkit::origin;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

use crate::connected;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

/// Other tests run at the same time and allocate, so that a quiet round is looked for.
#[test]
fn sealing_and_opening_allocate_nothing() {
    let mut pair = connected(4);
    let now = origin();
    let mut buf: Vec<u8> = Vec::with_capacity(64 * 1_300);
    let mut delivered = 0;
    let fewest = (0..2_000)
        .map(|_| {
            let region = Region::new(ALLOCATOR);
            buf.clear();
            for _ in 0..8 {
                let start = buf.len();
                let headroom = pair.left().connection.headroom();
                buf.resize(start + headroom + 1_163, 5);
                pair.left_mut().connection.seal_in_place(&mut buf, start).unwrap();
            }
            // Eight records as one datagram: all are opened.
            pair.right_mut()
                .connection
                .handle_datagram(now, &mut buf, |plaintext| delivered += plaintext.len());
            region.change().allocations
        })
        .min();
    assert_eq!(delivered, 2_000 * 8 * 1_163);
    assert_eq!(fewest, Some(0));
}

#[test]
fn records_have_the_announced_overhead_and_are_found_behind_each_other() {
    let mut pair = connected(5);
    let connection = &mut pair.left_mut().connection;
    let (headroom, overhead) = (connection.headroom(), connection.record_overhead());
    assert_eq!((headroom, overhead), (21, 37));
    let mut buf = b"untouched".to_vec();
    for plaintext in [&b"one"[..], b"", b"three"] {
        let start = buf.len();
        buf.resize(start + headroom, 0xaa);
        buf.extend_from_slice(plaintext);
        connection.seal_in_place(&mut buf, start).unwrap();
        assert_eq!(buf.len(), start + overhead + plaintext.len());
    }
    assert!(buf.starts_with(b"untouched"));
    let mut received = Vec::new();
    pair.right_mut()
        .connection
        .handle_datagram(origin(), &mut buf[9..], |plaintext| received.push(plaintext.to_vec()));
    assert_eq!(received, [b"one".to_vec(), b"".to_vec(), b"three".to_vec()]);
}
