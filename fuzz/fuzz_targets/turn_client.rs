//! A TURN client gets what a server never sent, beside what a real one does: it never panics, and what it sends and keeps is
//! bounded. The first byte says whether the bytes that follow are the server's answer as it is, changed in one place, or raw.
#![no_main]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use antiphon_crypto::Provider;
use antiphon_stun::Credential;
use antiphon_turn::client::{Client, Config};
use antiphon_turn::server::{self, Server};
use antiphon_util::{ClockAnchor, Path, Received, Rng};
use libfuzzer_sys::fuzz_target;

fn at(last: u8, port: u16) -> SocketAddr {
    ([198, 41, 0, last], port).into()
}

fuzz_target!(|input: &[u8]| {
    let provider = Provider::default();
    let mut now = Instant::now();
    let path = Path::udp(at(1, 4_000), at(2, 3_478));
    let credential = Credential::new("user", "password").unwrap();
    let mut client = Client::new(now, Config::new(provider), credential, Rng::from_test_seed(1), path);
    let clock = ClockAnchor::new(now, std::time::SystemTime::UNIX_EPOCH);
    let mut config = server::Config::new(provider, clock, "realm");
    config.users.passwords.insert("user".to_owned(), "password".to_owned());
    config.relays.push(at(2, 0).ip().into());
    let mut server = Server::new(now, config, Rng::from_test_seed(2));
    let mut sent = 0;
    for action in input.chunks(64).take(64) {
        let Some((kind, rest)) = action.split_first() else { break };
        let mut buf = Vec::new();
        client.send(now, at(9, 9), rest, &mut buf);
        client.handle_timeout(now);
        while client.poll_transmit(now, &mut buf).is_some() {
            sent += 1;
            let path = Path { local: path.remote, remote: path.local, ..path };
            server.handle_receive(now, Received { path, ecn: None, datagram: &mut buf });
            buf.clear();
        }
        while let Some(event) = server.poll_event() {
            if let server::Event::OpenRelay { address, .. } = event {
                server.relay_opened(now, address, true);
            }
        }
        while server.poll_transmit(now, &mut buf).is_some() {
            if let ([at, by, ..], 1) = (rest, kind % 3) {
                let at = usize::from(*at) % buf.len();
                buf[at] ^= by;
            }
            client.handle_receive(now, Received { path, ecn: None, datagram: &mut buf });
            buf.clear();
        }
        if kind % 3 == 2 {
            let mut raw = rest.to_vec();
            client.handle_receive(now, Received { path, ecn: None, datagram: &mut raw });
        }
        while client.poll_event().is_some() {}
        now += Duration::from_millis(u64::from(*kind) * 50);
    }
    assert!(sent < 2_000, "{sent} requests");
});
