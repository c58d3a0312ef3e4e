//! The hellos of real peers, as captured.

use antiphon_dtls::{CloseReason, Connection, CookieExchange, DropReason, Event, HandshakeError, Version};
use antiphon_testkit::origin;
use antiphon_util::Rng;

use crate::configs;

/// Name, capture, and whether the client speaks 1.2.
const CAPTURES: [(&str, &str, bool); 9] = [
    (
        "aiortc server, Chromium client",
        include_str!("../data/dtls12-aiortc-server-chromium-client.txt"),
        true,
    ),
    (
        "Chromium server, GStreamer client",
        include_str!("../data/dtls12-chromium-server-gstreamer-client.txt"),
        true,
    ),
    ("Firefox at 1.2", include_str!("../data/dtls12-firefox-firefox-with-keys.txt"), true),
    ("Chromium", include_str!("../data/dtls13-chromium-chromium.txt"), true),
    ("Chromium without hybrid", include_str!("../data/dtls13-chromium-no-pqc.txt"), true),
    (
        "Chromium server, Firefox client",
        include_str!("../data/dtls13-chromium-server-firefox-client.txt"),
        true,
    ),
    ("Firefox", include_str!("../data/dtls13-firefox-firefox.txt"), true),
    ("Firefox with keys", include_str!("../data/dtls13-firefox-firefox-with-keys.txt"), true),
    ("wolfSSL at 1.3 alone", include_str!("../data/dtls13-wolfssl-hrr-cookie-pqc.txt"), false),
];

fn hex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap()).collect()
}

/// The datagrams of the client up to the first of the server.
fn hello(capture: &str) -> Vec<Vec<u8>> {
    let lines = capture.lines().filter(|line| !line.starts_with('K'));
    lines.map_while(|line| line.strip_prefix("C ")).map(hex).collect()
}

fn answer(datagrams: &[Vec<u8>], cookie: CookieExchange) -> (Connection, Vec<u8>) {
    let (_, mut config) = configs();
    config.cookie = cookie;
    config.versions = vec![Version::Dtls12];
    let mut server = Connection::server(config, Rng::from_test_seed(0));
    let now = origin();
    server.start(now, None);
    let mut sent = Vec::new();
    for datagram in datagrams {
        server.handle_datagram(now, &mut datagram.clone(), |_| panic!("no data"));
        while server.poll_transmit(now, &mut sent).is_some() {}
    }
    (server, sent)
}

#[test]
fn hellos_of_real_peers_are_answered_in_any_order_of_their_fragments() {
    for (name, capture, speaks_1_2) in CAPTURES {
        let mut datagrams = hello(capture);
        for _ in 0..2 {
            let (mut server, sent) = answer(&datagrams, CookieExchange::Skipped);
            if speaks_1_2 {
                assert_eq!(server.poll_event(), None, "{name}");
                // A ServerHello of 1.2 in a record of epoch 0.
                assert_eq!(
                    (&sent[..5], &sent[13..14], &sent[25..27]),
                    (&[22, 0xfe, 0xfd, 0, 0][..], &[2][..], &[0xfe, 0xfd][..]),
                    "{name}"
                );
                assert!(sent.len() > 500, "{name}");
            } else {
                let reason = CloseReason::Handshake(HandshakeError::NoCommonVersion);
                assert_eq!(server.poll_event(), Some(Event::Closed(reason)), "{name}");
            }
            datagrams.reverse();
        }
    }
}

#[test]
fn hellos_of_real_peers_are_asked_for_a_cookie_once() {
    for (name, capture, _) in CAPTURES.into_iter().filter(|(_, _, speaks_1_2)| *speaks_1_2) {
        let datagrams = hello(capture);
        let (server, sent) = answer(&datagrams, CookieExchange::Demanded);
        assert_eq!((sent[13], &sent[25..27]), (3, &[0xfe, 0xff][..]), "{name}");
        assert!(sent.len() <= datagrams.concat().len(), "no amplification: {name}");
        assert_eq!(server.drops().of(DropReason::RefusedFragment), 0, "{name}");
    }
}

#[test]
fn a_repeated_hello_gets_the_same_answer() {
    let (_, capture, _) = CAPTURES[0];
    let datagrams = hello(capture);
    // This capture already holds the hello twice, with new record numbers.
    assert_eq!(datagrams.len(), 4);
    let (server, sent) = answer(&datagrams, CookieExchange::Skipped);
    assert_eq!(server.drops().of(DropReason::RepeatedFragment), 2);
    let (_, once) = answer(&datagrams[..2], CookieExchange::Skipped);
    // Signatures differ by a few bytes; a second flight would not.
    assert!(sent.len().abs_diff(once.len()) < 10, "the timer of the server repeats, not the peer");
}
