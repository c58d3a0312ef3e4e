//! The packet path.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use antiphon_dtls::{KeyLog, SealError, Version};
use antiphon_testkit::{Link, origin};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

use crate::{both_connected, configs_of, connected, ends};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

/// Other tests run at the same time and allocate, so that a quiet round is looked for.
#[test]
fn sealing_and_opening_allocate_nothing() {
    Version::ALL.into_iter().for_each(seal_and_open);
}

fn seal_and_open(version: Version) {
    let mut pair = connected(4, version);
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
    for (version, expected) in [(Version::Dtls12, (21, 37)), (Version::Dtls13, (5, 22))] {
        seal_behind_each_other(version, expected);
    }
}

fn seal_behind_each_other(version: Version, expected: (usize, usize)) {
    let mut pair = connected(5, version);
    let connection = &mut pair.left_mut().connection;
    let (headroom, overhead) = (connection.headroom(), connection.record_overhead());
    assert_eq!((headroom, overhead), expected);
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

#[test]
fn no_record_is_larger_than_the_peer_takes() {
    for version in Version::ALL {
        let (mut client, server) = configs_of(version);
        client.max_record_size = 200;
        let mut pair = ends(6, Link::default(), (client, server));
        let largest = std::rc::Rc::new(std::cell::Cell::new(0));
        let seen = largest.clone();
        pair.intercept(move |rightward, packet| {
            let mut rest = &packet.datagram[..];
            while !rightward && rest.len() > 13 {
                // 1.3's header of five bytes, or the thirteen of a protected record of 1.2.
                let (len_at, is_protected) =
                    if rest[0] < 0x40 && rest[0] >= 0x20 { (3, true) } else { (11, rest[4] > 0) };
                let len = usize::from(u16::from_be_bytes([rest[len_at], rest[len_at + 1]]));
                if is_protected {
                    seen.set(seen.get().max(len));
                }
                rest = &rest[len_at + 2 + len..];
            }
            true
        });
        assert!(pair.run_until(Duration::from_secs(1), both_connected));
        let connection = &mut pair.right_mut().connection;
        let (headroom, overhead) = (connection.headroom(), connection.record_overhead());
        assert_eq!(connection.seal_in_place(&mut vec![0; headroom + 201], 0), Err(SealError::Length));
        assert_eq!(connection.seal_in_place(&mut vec![0; headroom + 2_001], 0), Err(SealError::Length));
        assert_eq!(connection.seal_in_place(&mut vec![0; headroom + 200], 0), Ok(()));
        assert!(largest.get() > 10 && largest.get() <= 200 + overhead, "{}", largest.get());
        assert!(version == Version::Dtls12 || largest.get() > 200);
    }
}

#[test]
fn the_key_log_has_every_secret_and_none_unless_asked_for() {
    for (version, labels) in [
        (Version::Dtls12, &["CLIENT_RANDOM"][..]),
        (
            Version::Dtls13,
            &[
                "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
                "SERVER_HANDSHAKE_TRAFFIC_SECRET",
                "CLIENT_TRAFFIC_SECRET_0",
                "SERVER_TRAFFIC_SECRET_0",
                "EXPORTER_SECRET",
            ],
        ),
    ] {
        let (mut client, mut server) = configs_of(version);
        assert!(client.key_log.is_none());
        let logs = [&mut client, &mut server].map(|config| {
            let log = Arc::new(Mutex::new(Vec::<String>::new()));
            let lines = log.clone();
            config.key_log = Some(KeyLog::new(move |line| lines.lock().unwrap().push(line.to_owned())));
            log
        });
        let mut pair = ends(8, Link::default(), (client, server));
        assert!(pair.run_until(Duration::from_secs(1), both_connected));
        let [ours, theirs] = logs.map(|log| log.lock().unwrap().clone());
        assert_eq!(ours, theirs);
        let words: Vec<Vec<&str>> = ours.iter().map(|line| line.split(' ').collect()).collect();
        assert_eq!(words.iter().map(|words| words[0]).collect::<Vec<&str>>(), labels);
        let secret_len = if version == Version::Dtls12 { 96 } else { 64 };
        assert!(
            words.iter().all(|words| (words.len(), words[1].len(), words[2].len()) == (3, 64, secret_len))
        );
    }
}
