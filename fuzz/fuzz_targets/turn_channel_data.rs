//! A client whose channel is bound sends a stream of anything, cut anywhere: what the server relays is the data of the channel's
//! messages, whole, in order and nothing else.
#![no_main]

use std::net::SocketAddr;
use std::time::Instant;

use antiphon_crypto::Provider;
use antiphon_stun::{Credential, FrameDecoder, Framing};
use antiphon_turn::client::{Client, Config};
use antiphon_turn::server::{self, Event, Server};
use antiphon_util::{ClockAnchor, Path, Protocol, Received, Rng, Transmit};
use libfuzzer_sys::fuzz_target;

/// The first number that a client gives.
const CHANNEL: u16 = 0x4000;
const LIMIT: usize = 0x1_0014;

fn at(last: u8, port: u16) -> SocketAddr {
    ([198, 41, 0, last], port).into()
}

fuzz_target!(|input: (u8, &[u8])| {
    let (step, stream) = input;
    let (now, mut server, path) = with_channel();
    let mut decoder = FrameDecoder::new(Framing::SelfDelimiting, LIMIT);
    let mut relayed = Vec::new();
    'stream: for mut piece in stream.chunks(usize::from(step) + 1) {
        loop {
            match decoder.decode(&mut piece) {
                Ok(None) => break,
                Ok(Some(datagram)) => {
                    server.handle_receive(now, Received { path, ecn: None, datagram });
                    relayed
                        .extend(transmits(&mut server, now).filter(|(sent, _)| sent.path.remote == at(9, 9)));
                }
                Err(_) => break 'stream,
            }
        }
    }
    let relayed: Vec<Vec<u8>> = relayed.into_iter().map(|(_, bytes)| bytes).collect();
    let expected = data(stream);
    // STUN in between may be anything; of ChannelData not a byte is added or missing.
    assert_eq!(relayed, expected.get(..relayed.len()).unwrap_or_default());
});

/// A server at which a client has bound its first channel, and the client's way to it.
fn with_channel() -> (Instant, Server, Path) {
    let (now, provider) = (Instant::now(), Provider::default());
    let path = Path { protocol: Protocol::Tcp, local: at(1, 4_000), remote: at(2, 3_478) };
    let mut config =
        server::Config::new(provider, ClockAnchor::new(now, std::time::SystemTime::UNIX_EPOCH), "realm");
    config.users.passwords.insert("user".to_owned(), "password".to_owned());
    config.relays.push(at(2, 0).ip().into());
    let mut server = Server::new(now, config, Rng::from_test_seed(2));
    let mut config = Config::new(provider);
    config.channel_after = 0;
    let credential = Credential::new("user", "password").unwrap();
    let mut client = Client::new(now, config, credential, Rng::from_test_seed(1), path);
    let reverse = Path { local: path.remote, remote: path.local, ..path };
    for _ in 0..8 {
        client.send(now, at(9, 9), b"first", &mut Vec::new());
        let mut buf = Vec::new();
        while client.poll_transmit(now, &mut buf).is_some() {
            server.handle_receive(now, Received { path: reverse, ecn: None, datagram: &mut buf });
            buf.clear();
        }
        while let Some(event) = server.poll_event() {
            if let Event::OpenRelay { address, .. } = event {
                server.relay_opened(now, address, true);
            }
        }
        for (_, mut bytes) in transmits(&mut server, now) {
            client.handle_receive(now, Received { path, ecn: None, datagram: &mut bytes });
        }
    }
    let mut first = [CHANNEL.to_be_bytes(), 1_u16.to_be_bytes()].concat();
    first.push(7);
    server.handle_receive(now, Received { path: reverse, ecn: None, datagram: &mut first });
    assert_eq!(transmits(&mut server, now).count(), 1, "the channel is not bound");
    (now, server, reverse)
}

fn transmits(server: &mut Server, now: Instant) -> impl Iterator<Item = (Transmit, Vec<u8>)> {
    let mut all = Vec::new();
    let mut buf = Vec::new();
    while let Some(transmit) = server.poll_transmit(now, &mut buf) {
        all.push((transmit, std::mem::take(&mut buf)));
    }
    all.into_iter().flat_map(|(transmit, bytes)| {
        let size = transmit.segment_size.unwrap_or(bytes.len()).max(1);
        let datagrams: Vec<Vec<u8>> = match bytes.is_empty() {
            true => vec![Vec::new()],
            false => bytes.chunks(size).map(<[u8]>::to_vec).collect(),
        };
        datagrams.into_iter().map(move |bytes| (transmit, bytes))
    })
}

/// The data of the channel's messages at the front of `stream`, up to what is neither ChannelData nor STUN.
fn data(mut stream: &[u8]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    while let [a, b, c, d, ..] = *stream {
        let len = usize::from(u16::from_be_bytes([c, d]));
        let whole = match a >> 6 {
            0 => 20 + len,
            1 => 4 + len.next_multiple_of(4),
            _ => break,
        };
        let Some(message) = stream.get(..whole) else { break };
        if u16::from_be_bytes([a, b]) == CHANNEL {
            all.push(message[4..4 + len].to_vec());
        }
        stream = &stream[whole..];
    }
    all
}
