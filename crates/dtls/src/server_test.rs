//! The server of 1.3, step by step: the cookie exchange, and clients that show certificates of other people, or absurd ones.

use std::sync::Arc;

use antiphon_crypto::{Certificate, HashAlgorithm, Provider, SignatureScheme};
use antiphon_testkit::origin;
use antiphon_util::{Reader, Rng};

use super::*;
use crate::message::{Certificate13, CertificateVerify, Fragment};
use crate::reassembly::{Insertion, Reassembly};
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

/// A server that has answered the hello of a client with `certificate`, and awaits that certificate.
fn awaiting(certificate: &Certificate) -> (Core, Server) {
    let announced = vec![certificate.fingerprint(HashAlgorithm::Sha256)];
    let mut config = Config { cookie: CookieExchange::Skipped, remote_fingerprints: announced, ..config() };
    config.peer_authentication = PeerAuthentication::Fingerprint;
    let (mut core, server) = server(&config);
    let State::Server(server) = server.handle(&mut core, &hello(&mut started_client(), 0)).unwrap() else {
        panic!()
    };
    (core, server)
}

fn certificate_message(chain: &[Vec<u8>]) -> Message {
    Message::new(Kind::CERTIFICATE, 1, |w| Certificate13::write(&[], chain, w))
}

fn verify_message(scheme: u16, signature: Vec<u8>) -> Message {
    Message::new(Kind::CERTIFICATE_VERIFY, 2, |w| CertificateVerify { scheme, signature }.write(w))
}

/// What comes of `messages`, which follow the hello in that order.
fn outcome(certificate: &Certificate, messages: &[Message]) -> Result<(), HandshakeError> {
    let (mut core, mut server) = awaiting(certificate);
    for message in messages {
        let State::Server(next) = server.handle(&mut core, message)? else { panic!("connected") };
        server = next;
    }
    panic!("still awaits something");
}

#[test]
fn a_client_of_1_3_that_does_not_prove_its_certificate_is_refused() {
    const ECDSA_P256: u16 = 0x0403;
    let certificate = Certificate::generate(Provider::default()).unwrap();
    let shown = certificate_message(certificate.chain());
    let finished = Message::new(Kind::FINISHED, 2, |w| w.bytes(&[0; 32]));
    let scheme = SignatureScheme::Ecdsa(HashAlgorithm::Sha256);
    let elsewhere = certificate.sign(scheme, b"another transcript").unwrap();
    for (messages, error) in [
        (vec![finished.clone()], HandshakeError::UnexpectedMessage),
        (vec![shown.clone(), finished], HandshakeError::UnexpectedMessage),
        (vec![certificate_message(&[])], HandshakeError::CertificateRequired),
        (vec![verify_message(ECDSA_P256, elsewhere.clone())], HandshakeError::UnexpectedMessage),
        (vec![shown.clone(), verify_message(ECDSA_P256, elsewhere)], HandshakeError::BadSignature),
        (vec![shown.clone(), verify_message(ECDSA_P256, vec![])], HandshakeError::BadSignature),
        // A scheme of another kind of key, and one that 1.3 does not sign with.
        (vec![shown.clone(), verify_message(0x0804, vec![0; 256])], HandshakeError::IllegalParameter),
        (vec![shown.clone(), verify_message(0x0401, vec![0; 256])], HandshakeError::IllegalParameter),
    ] {
        assert_eq!(outcome(&certificate, &messages), Err(error), "{messages:?}");
    }
    let stranger = Certificate::generate(Provider::default()).unwrap();
    let shown = certificate_message(stranger.chain());
    assert_eq!(outcome(&certificate, &[shown]), Err(HandshakeError::FingerprintMismatch));
}

fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let [a, b, c, d] = (content.len() as u32).to_be_bytes();
    [&[tag, 0x84, a, b, c, d][..], &content].concat()
}

/// A certificate with an RSA key of so many bits, behind `padding` bytes of name.
fn rsa_certificate(bits: usize, padding: usize) -> Vec<u8> {
    let mut modulus = vec![0xa5; bits / 8];
    modulus.insert(0, 0);
    let key = der(0x30, &[&der(2, &[&modulus]), &[2, 3, 1, 0, 1]]);
    let rsa_encryption = [0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 1, 1, 5, 0];
    let signed_with = [0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 1, 11, 5, 0];
    let common_name = der(0x30, &[&[6, 3, 0x55, 4, 3], &der(12, &[&vec![b'x'; padding]])]);
    let name = der(0x30, &[&der(0x31, &[&common_name])]);
    let time = der(0x17, &[b"260101000000Z"]);
    let info = der(0x30, &[&rsa_encryption, &der(3, &[&[0], &key])]);
    let validity = der(0x30, &[&time, &time]);
    let version = [0xa0, 3, 2, 1, 2];
    let body = der(0x30, &[&version, &[2, 1, 1], &signed_with, &name, &validity, &name, &info]);
    der(0x30, &[&body, &signed_with, &der(3, &[&[0; 257]])])
}

#[test]
fn certificates_and_keys_of_absurd_size_are_refused() {
    const RSA_PSS_SHA256: u16 = 0x0804;
    let ours = Certificate::generate(Provider::default()).unwrap();
    for (bits, padding) in [(16_384, 1), (2_048, 20_000), (65_536, 1)] {
        let absurd = rsa_certificate(bits, padding);
        let digest = Provider::default().digest(HashAlgorithm::Sha256, &[&absurd]);
        let (mut core, server) = awaiting(&ours);
        let digits: Vec<String> = digest.iter().map(|byte| format!("{byte:02X}")).collect();
        core.config.remote_fingerprints = vec![format!("sha-256 {}", digits.join(":")).parse().unwrap()];
        let shown = certificate_message(&[absurd]);
        let State::Server(server) = server.handle(&mut core, &shown).unwrap() else { panic!() };
        let verify = verify_message(RSA_PSS_SHA256, vec![1; bits / 8]);
        let refused = server.handle(&mut core, &verify).map(|_| ());
        assert_eq!(refused, Err(HandshakeError::BadSignature), "{bits} {padding}");
    }
    for junk in [vec![0; 30_000], vec![0x30; 30_000], rsa_certificate(2_048, 1)[..500].to_vec()] {
        let refused = outcome(&ours, &[certificate_message(&[junk])]);
        assert_eq!(refused, Err(HandshakeError::BadCertificate));
    }
    // A message beyond the limit never gets as far as that.
    let limit = Limits::default().message_size;
    for (length, expected) in
        [(limit, Insertion::Held), (limit + 1, Insertion::Refused), (10 * limit, Insertion::Refused)]
    {
        let piece = Fragment { kind: Kind::CERTIFICATE, length, sequence: 0, offset: 0, bytes: &[0; 10] };
        let inserted = Reassembly::new(Limits::default()).insert(&piece);
        assert_eq!(inserted, expected, "{length}");
    }
}
