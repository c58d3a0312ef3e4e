//! Ids by which a connection is told (RFC 9146, RFC 9147 §9).

use std::time::Duration;

use antiphon_dtls::{ConnectionIdUsage, DropReason, Event, Limits, Version};
use antiphon_testkit::{Link, Loss, for_each_seed};

use crate::{Ends, assert_usable, both_connected, configs_of, ends};

#[test]
fn connection_ids_are_agreed_upon_and_used() {
    for (version, without) in [(Version::Dtls13, 5), (Version::Dtls12, 21)] {
        connection_ids_of(version, without);
    }
}

/// `without` an id a record has so many bytes in front.
fn connection_ids_of(version: Version, without: usize) {
    for (client_id, server_id, more) in [
        (Some(vec![1, 2, 3]), Some(vec![9; 8]), (8, 3)),
        (Some(vec![]), Some(vec![9; 8]), (8, 0)),
        (Some(vec![1, 2, 3]), None, (0, 0)),
        (None, Some(vec![9; 8]), (0, 0)),
    ] {
        let (mut client, mut server) = configs_of(version);
        (client.connection_id, server.connection_id) = (client_id, server_id);
        let mut pair = ends(7, Link::default(), (client, server));
        assert!(pair.run_until(Duration::from_secs(1), both_connected), "{}", pair.chart());
        let found = (pair.left().connection.headroom(), pair.right().connection.headroom());
        assert_eq!(found, (without + more.0, without + more.1));
        assert_usable(&mut pair);
        // An id that is not ours, where ours has as many bytes.
        let mut record = match version {
            Version::Dtls13 => vec![0x3f],
            Version::Dtls12 => vec![25, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 7, 7, 7, 7, 7, 7, 7, 7, 7, 0, 58],
        };
        record.extend([7; 60]);
        pair.inject_rightward(&record);
        pair.run_for(Duration::from_millis(1));
        let drops = pair.right().connection.drops();
        let is_told = drops.of(DropReason::ConnectionId) + drops.of(DropReason::MalformedRecord);
        assert!(is_told >= 1, "{drops:?}");
    }
}

#[test]
fn connection_ids_survive_loss_in_both_versions() {
    for_each_seed(10, |seed| {
        for version in Version::ALL {
            let (mut client, mut server) = configs_of(version);
            (client.connection_id, server.connection_id) = (Some(vec![1, 2]), Some(vec![9; 20]));
            let link = Link {
                delay: Duration::from_millis(20),
                jitter: Duration::from_millis(20),
                loss: Loss::random(0.2),
                duplicate: 0.1,
                ..Link::default()
            };
            let mut pair = ends(seed, link, (client, server));
            assert!(pair.run_until(Duration::from_secs(30), both_connected), "{}", pair.chart());
            assert_usable(&mut pair);
        }
    });
}

/// Two ends of 1.3 with ids of four bytes.
fn named_ends(seed: u64, link: Link) -> Ends {
    let (mut client, mut server) = configs_of(Version::Dtls13);
    (client.connection_id, server.connection_id) = (Some(vec![1; 4]), Some(vec![2; 4]));
    let mut pair = ends(seed, link, (client, server));
    assert!(pair.run_until(Duration::from_secs(30), both_connected), "{}", pair.chart());
    pair.run_for(Duration::from_secs(5));
    pair
}

/// The id in what the client seals.
fn clients_id(pair: &mut Ends) -> Vec<u8> {
    let connection = &mut pair.left_mut().connection;
    let mut record = vec![0; connection.headroom() + 5];
    connection.seal_in_place(&mut record, 0).unwrap();
    record[1..5].to_vec()
}

fn exchange(pair: &mut Ends, text: &[u8]) {
    pair.left_mut().send(text);
    pair.right_mut().send(text);
    pair.run_for(Duration::from_secs(5));
    assert_eq!(pair.left().received.last().map(Vec::as_slice), Some(text), "{}", pair.chart());
    assert_eq!(pair.right().received.last().map(Vec::as_slice), Some(text), "{}", pair.chart());
}

#[test]
fn ids_given_at_once_are_used_at_once_and_old_ones_stay_good() {
    let mut pair = named_ends(1, Link::with_delay(Duration::from_millis(10)));
    pair.left_mut().send(b"under way with the first id");
    let given = vec![vec![7; 4], vec![8; 4]];
    assert!(pair.right_mut().connection.give_connection_ids(given, ConnectionIdUsage::Immediate));
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.right().received, [b"under way with the first id"]);
    assert_eq!(clients_id(&mut pair), [7; 4]);
    exchange(&mut pair, b"with the second");
    assert!(pair.left_mut().connection.change_connection_id());
    assert_eq!(clients_id(&mut pair), [8; 4]);
    exchange(&mut pair, b"with the third");
    assert!(!pair.left_mut().connection.change_connection_id(), "there is no other");
}

#[test]
fn ids_asked_for_are_spare_ones() {
    let mut pair = named_ends(2, Link::with_delay(Duration::from_millis(10)));
    assert!(pair.left_mut().connection.request_connection_ids(3));
    assert!(pair.left_mut().connection.request_connection_ids(2));
    pair.run_for(Duration::from_secs(1));
    let asked = [Event::Connected, Event::ConnectionIdsRequested(3), Event::ConnectionIdsRequested(2)];
    assert_eq!(pair.right().events, asked);
    let given = vec![vec![5; 4], vec![6; 4]];
    assert!(pair.right_mut().connection.give_connection_ids(given, ConnectionIdUsage::Spare));
    pair.run_for(Duration::from_secs(1));
    assert_eq!(clients_id(&mut pair), [2; 4]);
    for id in [[5; 4], [6; 4]] {
        assert!(pair.left_mut().connection.change_connection_id());
        assert_eq!(clients_id(&mut pair), id);
    }
    exchange(&mut pair, b"with a spare one");
}

#[test]
fn ids_and_keys_change_through_loss() {
    for_each_seed(10, |seed| {
        let link = Link { delay: Duration::from_millis(20), loss: Loss::random(0.3), ..Link::default() };
        let mut pair = named_ends(seed, link);
        for round in 3..8 {
            let given = vec![vec![round; 4]];
            pair.right_mut().connection.give_connection_ids(given, ConnectionIdUsage::Immediate);
            pair.right_mut().connection.update_keys(antiphon_dtls::KeyUpdate::Both);
            pair.left_mut().connection.request_connection_ids(1);
            pair.run_for(Duration::from_secs(20));
            assert_eq!(clients_id(&mut pair), [round; 4], "{}", pair.chart());
        }
        pair.set_link(Link::default());
        exchange(&mut pair, b"after all");
    });
}

#[test]
fn spare_ids_are_kept_up_to_their_limit_and_ten_times_over() {
    let limit = Limits::default().connection_ids;
    for count in [limit, 10 * limit] {
        let mut pair = named_ends(3, Link::default());
        let given = (0..count).map(|number| vec![number as u8; 4]).collect();
        assert!(pair.right_mut().connection.give_connection_ids(given, ConnectionIdUsage::Spare));
        pair.run_for(Duration::from_secs(1));
        let used = std::iter::from_fn(|| pair.left_mut().connection.change_connection_id().then_some(()));
        assert_eq!(used.count(), limit);
    }
}

#[test]
fn ids_are_given_and_asked_for_only_where_they_were_agreed() {
    let given = || vec![vec![1; 4]];
    let mut pair = named_ends(4, Link::default());
    let server = &mut pair.right_mut().connection;
    assert!(!server.give_connection_ids(vec![vec![1; 3]], ConnectionIdUsage::Spare), "of another length");
    assert!(!server.give_connection_ids(vec![], ConnectionIdUsage::Spare));
    for version in Version::ALL {
        let mut pair = crate::connected(5, version);
        let server = &mut pair.right_mut().connection;
        assert!(!server.give_connection_ids(given(), ConnectionIdUsage::Spare));
        assert!(!server.request_connection_ids(1) && !server.change_connection_id());
    }
}
