//! A captured connection of DTLS 1.3 between two browsers, replayed with its key log.

use antiphon_crypto::{HashAlgorithm, PeerCertificate, Provider, Secret};
use antiphon_util::Reader;

use crate::capture_test::hex;
use crate::message::{Certificate13, CertificateVerify, ClientHello, Fragment, Kind, Message, ServerHello};
use crate::reassembly::Reassembly;
use crate::record::unified::Sealer;
use crate::record::{self, ContentType, Header, Opener};
use crate::registry::scheme_of_code;
use crate::schedule::TrafficSecret;
use crate::secrets::Side;
use crate::transcript::Transcript;
use crate::{CipherSuite, Limits, Version, acks, handshake13};

const CAPTURE: &str = include_str!("../tests/data/dtls13-firefox-firefox-with-keys.txt");

/// A secret of the key log.
fn secret(label: &str) -> TrafficSecret {
    let line = CAPTURE.lines().find(|line| line.starts_with(&format!("K {label} "))).unwrap();
    let secret = hex(line.rsplit(' ').next().unwrap());
    TrafficSecret::from_log(CipherSuite::Aes128Gcm, Secret::new(secret))
}

/// One direction of the capture: keys, and what was put together of its messages.
struct Direction {
    side: Side,
    handshake: TrafficSecret,
    openers: Vec<Opener>,
    sealers: Vec<Sealer>,
    reassembly: Reassembly,
    peer: Option<PeerCertificate>,
}

impl Direction {
    fn new(side: Side, name: &str) -> Self {
        let provider = Provider::default();
        let handshake = secret(&format!("{name}_HANDSHAKE_TRAFFIC_SECRET"));
        let data = secret(&format!("{name}_TRAFFIC_SECRET_0"));
        let opener = |secret: &TrafficSecret, epoch| Opener::Unified(secret.opener(provider, epoch).unwrap());
        let sealer = |secret: &TrafficSecret, epoch| secret.sealer(provider, epoch, u64::MAX, &[]).unwrap();
        Self {
            side,
            openers: vec![opener(&handshake, 2), opener(&data, 3)],
            sealers: vec![sealer(&handshake, 2), sealer(&data, 3)],
            handshake,
            reassembly: Reassembly::new(Limits::default()),
            peer: None,
        }
    }

    /// Opens a protected record, and seals its plaintext to the same bytes.
    fn open(&mut self, header: &Header, record: &[u8]) -> (ContentType, Vec<u8>) {
        let mut copy = record.to_vec();
        let opener = self.openers.iter_mut().find(|opener| opener.suits(header)).unwrap();
        let opened = opener.open(header, &mut copy).unwrap();
        let (number, content_type) = (opened.number, opened.content_type);
        let plaintext = opened.plaintext.to_vec();
        let sealer = self.sealers.iter_mut().find(|sealer| sealer.epoch() == number.epoch).unwrap();
        let sealed = loop {
            let mut sealed = vec![0; sealer.headroom()];
            sealed.extend_from_slice(&plaintext);
            if sealer.seal(content_type, &mut sealed, 0).unwrap() == number {
                break sealed;
            }
        };
        assert_eq!(sealed, record, "byte for byte");
        (content_type, plaintext)
    }

    /// Checks a message of this direction against the transcript before it.
    fn check(&mut self, message: &Message, transcript: &Transcript) {
        let provider = Provider::default();
        let hash = transcript.hash(provider, HashAlgorithm::Sha256);
        match message.kind {
            Kind::CERTIFICATE => {
                let certificate = message.read(Certificate13::parse).unwrap();
                self.peer = Some(PeerCertificate::parse(&certificate.chain[0]).unwrap());
            }
            Kind::CERTIFICATE_VERIFY => {
                let verify = message.read(CertificateVerify::parse).unwrap();
                let key = self.peer.as_ref().unwrap().public_key();
                let content = handshake13::signed_content(self.side, &hash);
                let scheme = scheme_of_code(verify.scheme).unwrap();
                assert!(provider.verify(key, scheme, &content, &verify.signature), "{:?}", self.side);
            }
            Kind::FINISHED => {
                let expected = self.handshake.verify_data(provider, &hash).unwrap();
                assert_eq!(message.body, *expected, "{:?}", self.side);
            }
            _ => {}
        }
    }
}

#[test]
fn signatures_finished_and_all_records_agree_with_the_logged_secrets() {
    let mut client = Direction::new(Side::Client, "CLIENT");
    let mut server = Direction::new(Side::Server, "SERVER");
    let mut transcript = Transcript::new(Version::Dtls13);
    let (mut kinds, mut data, mut acknowledged) = (Vec::new(), 0, 0);
    for line in CAPTURE.lines().filter(|line| !line.starts_with('K')) {
        let direction = if line.starts_with('C') { &mut client } else { &mut server };
        let mut datagram = hex(&line[2..]);
        let mut rest = datagram.as_mut_slice();
        while let Some((header, record, behind)) = record::split(rest, 0) {
            rest = behind;
            let (content_type, plaintext) = match &header {
                Header::Legacy(header) => {
                    (header.content_type, record[record::legacy::HEADER_LEN..].to_vec())
                }
                Header::Unified(_) => direction.open(&header, record),
            };
            match content_type {
                ContentType::Handshake => {
                    let mut reader = Reader::new(&plaintext);
                    while !reader.is_empty() {
                        direction.reassembly.insert(&Fragment::parse(&mut reader).unwrap());
                    }
                }
                ContentType::Ack => acknowledged += acks::parse(&plaintext).unwrap().len(),
                ContentType::ApplicationData => data += 1,
                other => panic!("{other:?}"),
            }
        }
        while let Some(message) = direction.reassembly.take_next() {
            direction.check(&message, &transcript);
            transcript.add(&message);
            kinds.push(message.kind.0);
            match message.kind {
                Kind::CLIENT_HELLO => {
                    let hello = message.read(ClientHello::parse).unwrap();
                    let shares = hello.extensions.key_shares.unwrap();
                    assert_eq!(shares.iter().map(|share| share.group).collect::<Vec<u16>>(), [0x11ec, 29]);
                }
                Kind::SERVER_HELLO => {
                    let hello = message.read(ServerHello::parse).unwrap();
                    assert_eq!(hello.cipher_suite, CipherSuite::Aes128Gcm.code());
                    assert_eq!(hello.extensions.key_shares.unwrap()[0].value.len(), 1_120);
                }
                _ => {}
            }
        }
    }
    assert_eq!(kinds, [1, 2, 8, 13, 11, 15, 20, 11, 15, 20]);
    assert!(data > 10 && acknowledged == 3, "{data} {acknowledged}");
}
