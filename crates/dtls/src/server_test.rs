//! The server's part of the cookie exchange of 1.3.

use std::sync::Arc;

use antiphon_crypto::{Certificate, Provider};
use antiphon_testkit::origin;
use antiphon_util::{Reader, Rng};

use super::*;
use crate::message::Fragment;
use crate::reassembly::Reassembly;
use crate::record::split;
use crate::{Config, Connection, Limits, PeerAuthentication};

fn config() -> Config {
    let provider = Provider::default();
    let certificate = Arc::new(Certificate::generate(provider).unwrap());
    let mut config = Config::new(provider, certificate, Vec::new());
    config.peer_authentication = PeerAuthentication::DangerousAnyCertificate;
    config.versions = vec![Version::Dtls13];
    config
}

/// A server with nothing but the key of its cookies, which all have in common.
fn server(config: &Config) -> (Core, Server) {
    let mut core = Core::new(config.clone(), false, Rng::from_test_seed(5));
    let server = Server::start(&mut core);
    (core, server)
}

/// The hello that the client sends, the `number`th of its messages.
fn hello(client: &mut Connection, number: u16) -> Message {
    let mut datagrams = Vec::new();
    let mut reassembly = Reassembly::new(Limits::default());
    while client.poll_transmit(origin(), &mut datagrams).is_some() {}
    let mut rest = &mut datagrams[..];
    while let Some((_, record, behind)) = split(rest, 0) {
        let mut reader = Reader::new(&record[13..]);
        while !reader.is_empty() {
            let fragment = Fragment::parse(&mut reader).unwrap();
            reassembly.insert(&Fragment { sequence: fragment.sequence - number, ..fragment });
        }
        rest = behind;
    }
    Message { sequence: number, ..reassembly.take_next().unwrap() }
}

/// Hands the client what the server has to send.
fn answer(core: &mut Core, client: &mut Connection) {
    let mut datagram = Vec::new();
    while !core.flight.is_sent() {
        core.flight.write_datagram(origin(), &mut core.writing, 1_200, &mut datagram);
        client.handle_datagram(origin(), &mut std::mem::take(&mut datagram), |_| {});
    }
}

fn started_client() -> Connection {
    let mut client = Connection::client(config(), Rng::from_test_seed(6));
    client.start(origin(), None);
    client
}

#[test]
fn nothing_is_remembered_of_a_hello_before_its_cookie_comes_back() {
    let config = config();
    for groups in [config.groups.clone(), vec![antiphon_crypto::Group::P384]] {
        let config = Config { groups, ..config.clone() };
        let mut client = started_client();
        let (mut core, asking) = server(&config);
        let first = hello(&mut client, 0);
        let State::Server(state) = asking.handle(&mut core, &first).unwrap() else { panic!() };
        assert!(matches!(state, Server::AwaitClientHello(_)) && core.version.is_none());
        answer(&mut core, &mut client);
        // Another server, which has heard nothing of this client.
        let (mut core, serving) = server(&config);
        core.next_sequence = 1;
        let second = hello(&mut client, 1);
        let State::Server(state) = serving.handle(&mut core, &second).unwrap() else { panic!() };
        assert!(matches!(state, Server::Dtls13(_)));
        answer(&mut core, &mut client);
        assert!(client.is_connected(), "both hash the same messages");
    }
}

#[test]
fn a_cookie_that_is_not_ours_or_belongs_to_another_hello_is_refused() {
    let config = config();
    let mut client = started_client();
    let (mut core, asking) = server(&config);
    asking.handle(&mut core, &hello(&mut client, 0)).unwrap();
    answer(&mut core, &mut client);
    let second = hello(&mut client, 1);
    let cookie = second.read(ClientHello::parse).unwrap().extensions.cookie.unwrap();
    let at = second.body.windows(cookie.len()).position(|window| window == cookie).unwrap();
    // Every bit of the cookie, and of the client's random value, which must not change.
    for byte in (at..at + cookie.len()).chain(2..34) {
        for bit in 0..8 {
            let mut changed = second.clone();
            changed.body[byte] ^= 1 << bit;
            let (mut core, serving) = server(&config);
            let refused = serving.handle(&mut core, &changed).map(|_| ());
            assert_eq!(refused, Err(HandshakeError::IllegalParameter), "{byte} {bit}");
            assert!(core.openers.is_empty());
        }
    }
    let mut other = Core::new(config, false, Rng::from_test_seed(7));
    let serving = Server::start(&mut other);
    let refused = serving.handle(&mut other, &second).map(|_| ());
    assert_eq!(refused, Err(HandshakeError::IllegalParameter), "another key");
}
