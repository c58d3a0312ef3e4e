//! Lossy, slow and shuffling networks.

use std::time::Duration;

use antiphon_dtls::{CloseReason, CookieExchange, Event, Version};
use antiphon_testkit::{Link, Loss, for_each_seed};

use crate::{assert_usable, both_connected, configs, configs_of, ends};

const DELAY: Duration = Duration::from_millis(25);

#[test]
fn connects_through_loss_reordering_and_duplication() {
    for (share, limit) in [(0.0, 1), (0.05, 10), (0.3, 20)] {
        for_each_seed(20, |seed| {
            let link = Link {
                delay: DELAY,
                jitter: DELAY / 2,
                loss: Loss::random(share),
                reorder: 0.2,
                duplicate: 0.2,
                ..Link::default()
            };
            let (mut client, mut server) = configs_of(Version::ALL[seed as usize / 2 % 2]);
            if seed % 2 == 1 {
                server.cookie = CookieExchange::Demanded;
            }
            // Many small datagrams, so that messages come in pieces.
            let step = seed as usize % 20;
            (client.max_datagram_size, server.max_datagram_size) = (256 + 40 * step, 1_200 - 40 * step);
            let mut pair = ends(seed, link, (client, server));
            assert!(pair.run_until(Duration::from_secs(limit), both_connected), "{share} {}", pair.chart());
            assert_usable(&mut pair);
        });
    }
}

#[test]
fn half_of_all_datagrams_lost_connects_or_ends_by_the_deadline() {
    let mut connected = 0;
    for_each_seed(20, |seed| {
        let link = Link { delay: DELAY, loss: Loss::random(0.5), reorder: 0.2, ..Link::default() };
        let mut pair = ends(seed, link, configs_of(Version::ALL[seed as usize % 2]));
        let is_over = |end: &crate::End| end.connection.is_connected() || end.connection.is_closed();
        assert!(
            pair.run_until(Duration::from_secs(31), |pair| is_over(pair.left()) && is_over(pair.right()))
        );
        if both_connected(&pair) {
            connected += 1;
            assert_usable(&mut pair);
        }
    });
    assert!(connected > 0);
}

#[test]
fn a_lost_last_flight_is_sent_again_when_the_peer_repeats_its_own() {
    let mut pair = ends(0, Link::with_delay(DELAY), configs_of(Version::Dtls12));
    // Of what the server sends the first is its answer to the hello; its last flight is lost three times.
    let mut sent = 0;
    pair.intercept(move |rightward, _| {
        sent += u32::from(!rightward);
        rightward || sent == 1 || sent > 4
    });
    assert!(pair.run_until(Duration::from_secs(9), both_connected), "{}", pair.chart());
    assert_usable(&mut pair);
}

#[test]
fn data_that_overtakes_the_last_flight_waits_for_it() {
    let mut pair = ends(0, Link::with_delay(DELAY), configs_of(Version::Dtls12));
    assert!(pair.run_until(Duration::from_secs(1), |pair| pair.right().connection.is_connected()));
    // From now on the way back is faster than it was for the last flight.
    pair.set_leftward_link(Link::default());
    pair.right_mut().send(b"early");
    pair.run_for(Duration::from_millis(1));
    assert!(pair.left().received.is_empty());
    assert!(pair.run_until(Duration::from_secs(1), both_connected));
    assert_eq!(pair.left().received, [b"early".to_vec()]);
}

#[test]
fn retransmission_starts_at_one_and_a_half_round_trips_and_backs_off() {
    let sent_at = |delay: Duration| {
        let mut pair = ends(
            0,
            Link { loss: Loss::everything(), ..Link::with_delay(delay) },
            configs_of(Version::Dtls12),
        );
        let mut times = Vec::new();
        let mut sent = 0;
        while pair.elapsed() < Duration::from_secs(40) {
            pair.run_for(Duration::from_millis(1));
            if pair.sent() > sent {
                sent = pair.sent();
                times.push(pair.elapsed().as_millis());
            }
        }
        assert_eq!(pair.left().events, [Event::Closed(CloseReason::Timeout { unauthenticated_alert: None })]);
        assert_eq!(
            pair.right().events,
            [Event::Closed(CloseReason::Timeout { unauthenticated_alert: None })]
        );
        times
    };
    let times = sent_at(Duration::from_millis(100));
    assert_eq!(times[1..6], [300, 900, 1_900, 2_900, 3_900], "{times:?}");
    assert_eq!(sent_at(Duration::from_millis(1))[1..5], [50, 150, 350, 750], "never below the minimum");
    assert_eq!(sent_at(Duration::from_secs(1))[1..4], [3_000, 6_000, 9_000], "never below 1.5 round trips");
}

#[test]
fn a_server_that_has_answered_repeats_its_flight_too() {
    let mut pair = ends(0, Link::with_delay(DELAY), configs());
    pair.run_for(DELAY + DELAY / 2);
    // The client is gone; the server's flight is repeated until the deadline.
    pair.set_rightward_link(Link::cut());
    let before = pair.sent();
    pair.run_for(Duration::from_secs(60));
    assert!(pair.sent() - before > 10);
    assert!(matches!(pair.right().events[..], [Event::Closed(CloseReason::Timeout { .. })]));
}

#[test]
fn only_what_was_lost_is_sent_again() {
    let (mut client, mut server) = configs_of(Version::Dtls13);
    (client.max_datagram_size, server.max_datagram_size) = (300, 300);
    let mut pair = ends(0, Link::with_delay(DELAY), (client, server));
    let (mut from_server, mut lost) = (0, 0);
    pair.intercept(move |rightward, _| {
        from_server += u32::from(!rightward);
        // One of the middle of the server's flight.
        let is_lost = !rightward && from_server == 6 && lost == 0;
        lost += u32::from(is_lost);
        !is_lost
    });
    assert!(pair.run_until(Duration::from_secs(9), both_connected), "{}", pair.chart());
    pair.run_for(Duration::from_secs(1));
    let mut undisturbed = {
        let (mut client, mut server) = configs_of(Version::Dtls13);
        (client.max_datagram_size, server.max_datagram_size) = (300, 300);
        ends(0, Link::with_delay(DELAY), (client, server))
    };
    assert!(undisturbed.run_until(Duration::from_secs(9), both_connected));
    undisturbed.run_for(Duration::from_secs(1));
    // The acknowledgement, and the datagram, before the timer.
    assert!(pair.elapsed() < 8 * DELAY + Duration::from_secs(1));
    assert_eq!(pair.sent(), undisturbed.sent() + 2, "{}", pair.chart());
    assert_usable(&mut pair);
}
