//! A peer that holds the keys and breaks the rules: its connection ends with the reason, and it is told.

use std::sync::Arc;
use std::time::Instant;

use antiphon_crypto::{Certificate, HashAlgorithm, Provider};
use antiphon_testkit::origin;
use antiphon_util::Rng;

use crate::flight::Repetition;
use crate::handshake13::HANDSHAKE_EPOCH;
use crate::message::{Fragment, Kind};
use crate::record::ContentType;
use crate::registry::DTLS_1_2;
use crate::{Alert, CloseReason, Config, Connection, Event, HandshakeError, KeyUpdate, Version};

/// A client and a server of `version`, started.
fn ends(version: Version) -> (Connection, Connection) {
    let provider = Provider::default();
    let [ours, theirs] = [(); 2].map(|()| Arc::new(Certificate::generate(provider).unwrap()));
    let config = |ours: &Arc<Certificate>, theirs: &Certificate| Config {
        versions: vec![version],
        ..Config::for_webrtc(provider, ours.clone(), vec![theirs.fingerprint(HashAlgorithm::Sha256)])
    };
    let mut client = Connection::client(config(&ours, &theirs), Rng::from_test_seed(1));
    let mut server = Connection::server(config(&theirs, &ours), Rng::from_test_seed(2));
    client.start(origin(), None);
    server.start(origin(), None);
    (client, server)
}

/// Hands over what `from` has to send; gives whether there was anything.
fn deliver(now: Instant, from: &mut Connection, to: &mut Connection) -> bool {
    let mut datagrams = Vec::new();
    let mut datagram = Vec::new();
    while from.poll_transmit(now, &mut datagram).is_some() {
        datagrams.push(std::mem::take(&mut datagram));
    }
    datagrams.iter_mut().for_each(|datagram| to.handle_datagram(now, datagram, |_| {}));
    !datagrams.is_empty()
}

fn connected(version: Version) -> (Connection, Connection) {
    let (mut client, mut server) = ends(version);
    while deliver(origin(), &mut client, &mut server) | deliver(origin(), &mut server, &mut client) {}
    for end in [&mut client, &mut server] {
        assert_eq!(end.poll_event(), Some(Event::Connected));
    }
    (client, server)
}

/// Sends one more message of the handshake.
fn send_message(end: &mut Connection, kind: Kind) {
    let message = end.core.message(kind, |w| w.bytes(&[0; 12]));
    end.core.flight.begin(Repetition::OnDemand);
    end.core.flight.push(message, end.core.write_epoch);
}

fn send_record(from: &mut Connection, to: &mut Connection, content_type: ContentType, content: &[u8]) {
    let mut record = Vec::new();
    let epoch = from.core.write_epoch;
    from.core.writing.write(content_type, epoch, DTLS_1_2, &mut record, |w| w.bytes(content));
    to.handle_datagram(origin(), &mut record, |_| panic!("no data"));
}

/// `end` has closed for this reason, and its peer is told by `alert`.
fn assert_ended(end: &mut Connection, peer: &mut Connection, reason: HandshakeError, alert: Alert) {
    assert_eq!(end.poll_event(), Some(Event::Closed(CloseReason::Handshake(reason))));
    assert_eq!(end.poll_event(), None);
    assert!(deliver(origin(), end, peer));
    assert_eq!(peer.poll_event(), Some(Event::Closed(CloseReason::FatalAlert(alert))));
}

#[test]
fn a_message_that_has_no_place_behind_the_handshake_ends_the_connection() {
    for (version, kind) in [Kind::FINISHED, Kind::CERTIFICATE, Kind(42)]
        .into_iter()
        .flat_map(|kind| Version::ALL.map(|version| (version, kind)))
    {
        let (mut client, mut server) = connected(version);
        send_message(&mut client, kind);
        deliver(origin(), &mut client, &mut server);
        let reason = HandshakeError::UnexpectedMessage;
        assert_ended(&mut server, &mut client, reason, Alert::UNEXPECTED_MESSAGE);

        let (mut client, mut server) = connected(version);
        send_message(&mut server, kind);
        deliver(origin(), &mut server, &mut client);
        assert_ended(&mut client, &mut server, reason, Alert::UNEXPECTED_MESSAGE);
    }
}

#[test]
fn a_second_finished_in_the_same_flight_ends_the_handshake_before_its_keys_change() {
    let (mut client, mut server) = ends(Version::Dtls13);
    deliver(origin(), &mut client, &mut server);
    let extra = server.core.message(Kind::FINISHED, |w| w.bytes(&[0; 32]));
    server.core.flight.push(extra, HANDSHAKE_EPOCH);
    deliver(origin(), &mut server, &mut client);
    let reason = HandshakeError::UnexpectedMessage;
    assert_ended(&mut client, &mut server, reason, Alert::UNEXPECTED_MESSAGE);

    let (mut client, mut server) = ends(Version::Dtls12);
    deliver(origin(), &mut client, &mut server);
    deliver(origin(), &mut server, &mut client);
    let extra = client.core.message(Kind::FINISHED, |w| w.bytes(&[0; 12]));
    let mut datagram = Vec::new();
    // It overtakes the true one.
    client.core.writing.write(ContentType::Handshake, 1, DTLS_1_2, &mut datagram, |w| {
        Fragment::of(&extra, 0..12).write(w);
    });
    server.handle_datagram(origin(), &mut datagram, |_| panic!("no data"));
    deliver(origin(), &mut client, &mut server);
    assert!(server.is_closed());
}

#[test]
fn alerts_that_are_cut_or_packed_and_empty_messages_end_the_connection() {
    for (version, content_type, content, reason, alert) in Version::ALL.into_iter().flat_map(|version| {
        let malformed = (HandshakeError::Malformed, Alert::DECODE_ERROR);
        let unexpected = (HandshakeError::UnexpectedMessage, Alert::UNEXPECTED_MESSAGE);
        [
            (ContentType::Alert, &[1][..], malformed),
            (ContentType::Alert, &[1, 0, 1, 0], malformed),
            (ContentType::Alert, &[], malformed),
            (ContentType::Handshake, &[], unexpected),
        ]
        .map(|(content_type, content, (reason, alert))| (version, content_type, content, reason, alert))
    }) {
        let (mut client, mut server) = connected(version);
        send_record(&mut client, &mut server, content_type, content);
        assert_ended(&mut server, &mut client, reason, alert);
    }
}

#[test]
fn message_numbers_end_with_the_last() {
    for (next, is_sent) in [(u32::from(u16::MAX), true), (u32::from(u16::MAX) + 1, false)] {
        let (mut client, _) = connected(Version::Dtls13);
        client.core.next_sequence = next;
        client.update_keys(KeyUpdate::Own);
        assert_eq!(client.poll_transmit(origin(), &mut Vec::new()).is_some(), is_sent);
        assert!(client.is_connected());
    }
}
