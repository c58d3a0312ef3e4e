//! A captured connection between two browsers, replayed with its key log.

use antiphon_crypto::Provider;
use antiphon_util::Reader;

use crate::keys12::Keys;
use crate::message::{ClientHello, Fragment, Kind, Message, ServerHello};
use crate::reassembly::Reassembly;
use crate::record::{self, ContentType, Header};
use crate::secrets::{ConnectionIds, MasterSecret, Randoms, Side};
use crate::transcript::Transcript;
use crate::{CipherSuite, Limits, Version};

const CAPTURE: &str = include_str!("../tests/data/dtls12-firefox-firefox-with-keys.txt");

pub(crate) fn hex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap()).collect()
}

/// The handshake messages that one side sent in epoch 0.
fn messages(side: &str) -> Vec<Message> {
    let mut reassembly = Reassembly::new(Limits::default());
    let mut messages = Vec::new();
    for datagram in CAPTURE.lines().filter_map(|line| line.strip_prefix(side)) {
        let mut datagram = hex(datagram);
        let mut rest = datagram.as_mut_slice();
        while let Some((Header::Legacy(header), record, behind)) = record::split(rest, 0) {
            let mut reader = Reader::new(&record[record::legacy::HEADER_LEN..]);
            while header.epoch() == 0 && header.content_type == ContentType::Handshake && !reader.is_empty() {
                reassembly.insert(&Fragment::parse(&mut reader).unwrap());
            }
            rest = behind;
        }
        messages.extend(std::iter::from_fn(|| reassembly.take_next()));
    }
    messages
}

#[test]
fn the_finished_of_both_and_all_data_open_with_the_logged_secret() {
    let provider = Provider::default();
    let (client, server) = (messages("C "), messages("S "));
    let client_hello = client[0].read(ClientHello::parse).unwrap();
    let server_hello = server[0].read(ServerHello::parse).unwrap();
    let log: Vec<&str> = CAPTURE.lines().next().unwrap().split(' ').collect();
    assert_eq!(hex(log[2]), client_hello.random);
    assert_eq!(server_hello.cipher_suite, CipherSuite::EcdheEcdsaAes128Gcm.code());
    assert!(server_hello.extensions.extended_master_secret);

    let suite = CipherSuite::EcdheEcdsaAes128Gcm;
    let randoms = Randoms { client: client_hello.random, server: server_hello.random };
    let master = MasterSecret::from_log(provider, suite.hash(), &hex(log[3]), randoms);
    let (_, mut from_server) = master.keys(suite, Side::Client, ConnectionIds::default()).unwrap();
    let (_, mut from_client) = master.keys(suite, Side::Server, ConnectionIds::default()).unwrap();
    let keys = Keys { master, suite, group: antiphon_crypto::Group::X25519 };

    let mut transcript = Transcript::new(Version::Dtls12);
    client[..1].iter().chain(&server).chain(&client[1..]).for_each(|message| transcript.add(message));
    let (mut finished, mut data) = (Vec::new(), 0);
    for line in CAPTURE.lines().filter(|line| !line.starts_with('K')) {
        let (side, opener) = if line.starts_with('C') {
            (Side::Client, &mut from_client)
        } else {
            (Side::Server, &mut from_server)
        };
        let mut datagram = hex(&line[2..]);
        let mut rest = datagram.as_mut_slice();
        while let Some((Header::Legacy(header), record, behind)) = record::split(rest, 0) {
            rest = behind;
            if header.epoch() == 0 {
                continue;
            }
            let plaintext = opener.open(header, record).unwrap().plaintext;
            match header.content_type {
                ContentType::Handshake => {
                    let message = Fragment::parse(&mut Reader::new(plaintext)).unwrap();
                    assert_eq!(message.kind, Kind::FINISHED);
                    let expected = keys.master.verify_data(side, &transcript.hash(provider, suite.hash()));
                    assert_eq!(message.bytes, expected, "{side:?}");
                    let body = message.bytes.to_vec();
                    transcript.add(&Message { kind: message.kind, sequence: message.sequence, body });
                    finished.push(side);
                }
                ContentType::ApplicationData => data += 1,
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(finished, [Side::Client, Side::Server]);
    assert!(data > 5, "{data}");
}
