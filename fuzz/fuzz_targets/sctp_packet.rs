//! Any bytes as an SCTP packet: nothing panics, what parses is written and parses to the same, and associations in
//! several states take it.
#![no_main]

use std::time::Instant;

use antiphon_sctp::packet::{Header, Packet, PacketWriter};
use antiphon_sctp::{Association, Config};
use antiphon_util::Rng;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let now = Instant::now();
    // A right checksum is not found by chance.
    let header = |tag| Header { source_port: 5000, destination_port: 5000, verification_tag: tag };
    let build = |tag| {
        let mut packet = Vec::new();
        let mut writer = PacketWriter::new(&mut packet, header(tag), 65_532);
        writer.chunks().bytes(bytes);
        writer.finish();
        packet
    };
    let _ = Packet::parse(bytes);
    let packet = build(0);
    let parsed = Packet::parse(&packet).expect("it was built");
    let mut again = Vec::new();
    let mut writer = PacketWriter::new(&mut again, header(0), 65_532);
    let chunks: Vec<_> = parsed.chunks().map_while(Result::ok).collect();
    chunks.iter().for_each(|chunk| chunk.write(writer.chunks()));
    writer.finish();
    let count = Packet::parse(&again).expect("it was written").chunks().map_while(Result::ok).count();
    assert_eq!(count, chunks.len());

    let mut ends = [1, 2].map(|seed| Association::new(Config::default(), Rng::from_test_seed(seed)));
    ends[1].handle_datagram(now, &packet);
    ends[0].connect(now);
    let mut tags = [0; 2];
    let mut out = Vec::new();
    for _ in 0..4 {
        for from in 0..2 {
            out.clear();
            while ends[from].poll_transmit(now, &mut out).is_some() {
                if let Ok(packet) = Packet::parse(&out) {
                    tags[1 - from] = packet.header.verification_tag;
                }
                ends[1 - from].handle_datagram(now, &out);
                out.clear();
            }
        }
    }
    for (end, tag) in ends.iter_mut().zip(tags) {
        end.handle_datagram(now, &build(tag));
        let mut sent = 0;
        while end.poll_transmit(now, &mut out).is_some() {
            sent += 1;
            assert!(sent < 1_000, "no end of answers");
        }
    }
});
