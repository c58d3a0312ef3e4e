//! Acknowledgements by a peer that has the keys and means no good.

use std::sync::Arc;

use antiphon_crypto::{Certificate, Provider};
use antiphon_testkit::origin;

use super::*;
use crate::record::RecordNumber;

/// A client and a server of 1.3 whose handshake is over.
fn connected() -> [Connection; 2] {
    let provider = Provider::default();
    let certificate = Arc::new(Certificate::generate(provider).unwrap());
    let mut config = Config::for_webrtc(provider, certificate, Vec::new());
    config.peer_authentication = PeerAuthentication::DangerousAnyCertificate;
    let mut client = Connection::client(config.clone(), Rng::from_test_seed(1));
    let mut server = Connection::server(config, Rng::from_test_seed(2));
    client.start(origin(), None);
    server.start(origin(), None);
    for _ in 0..4 {
        carry(&mut client, &mut server);
        carry(&mut server, &mut client);
    }
    assert!(client.is_connected() && server.is_connected() && !client.core.flight.is_awaiting());
    [client, server]
}

/// Carries what `from` has to send; gives the number of datagrams.
fn carry(from: &mut Connection, to: &mut Connection) -> usize {
    let mut datagrams = drain(from);
    datagrams.iter_mut().for_each(|datagram| to.handle_datagram(origin(), datagram, |_| panic!("no data")));
    datagrams.len()
}

fn drain(from: &mut Connection) -> Vec<Vec<u8>> {
    let mut datagrams = Vec::new();
    let mut datagram = Vec::new();
    while from.poll_transmit(origin(), &mut datagram).is_some() {
        datagrams.push(std::mem::take(&mut datagram));
    }
    datagrams
}

/// An acknowledgement, sealed as `from` seals.
fn acknowledgement(from: &mut Connection, numbers: &[RecordNumber]) -> Vec<u8> {
    let mut datagram = Vec::new();
    let epoch = from.core.write_epoch;
    from.core
        .writing
        .write(ContentType::Ack, epoch, DTLS_1_2, &mut datagram, |w| acks::write(numbers, w))
        .unwrap();
    datagram
}

#[test]
fn floods_of_protected_acknowledgements_get_no_answer_and_change_nothing() {
    let [mut client, mut server] = connected();
    let flood = |client: &mut Connection, server: &mut Connection| {
        let mut answered = 0;
        for round in 0..5_000 {
            let numbers: Vec<RecordNumber> = (0..round % 60)
                .map(|number| RecordNumber { epoch: number % 7, sequence: (1 << 40) + round + number })
                .collect();
            let mut datagram = acknowledgement(client, &numbers);
            server.handle_datagram(origin(), &mut datagram, |_| panic!("no data"));
            answered += drain(server).len();
        }
        answered
    };
    assert_eq!(flood(&mut client, &mut server), 0);
    // While a flight waits for its acknowledgement.
    server.update_keys(KeyUpdate::Own);
    let epoch = server.core.write_epoch;
    let mut update = drain(&mut server);
    assert_eq!(update.len(), 1);
    assert!(flood(&mut client, &mut server) <= 1, "it may be repeated once before its timer");
    assert_eq!(server.core.write_epoch, epoch, "nothing of this was acknowledged");
    // The right one still counts.
    client.handle_datagram(origin(), &mut update[0], |_| panic!("no data"));
    client.handle_timeout(client.poll_timeout().unwrap());
    carry(&mut client, &mut server);
    assert_eq!(server.core.write_epoch, epoch + 1);
    assert!(client.is_connected() && server.is_connected());
}
