//! Multicast DNS: a resolver and a responder, and others on the same network.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use antiphon_ice::{MDNS_PORT, Mdns, MdnsDestination, MdnsEvent, MdnsLimits, ResolveError};
use antiphon_testkit::origin;
use antiphon_util::Rng;

use crate::net::ms;

fn mdns(seed: u64) -> Mdns {
    Mdns::new(MdnsLimits::default(), Rng::from_test_seed(seed))
}

fn from(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::from([192, 0, 2, 9]), port)
}

fn take(mdns: &mut Mdns) -> Vec<(MdnsDestination, Vec<u8>)> {
    let mut buf = Vec::new();
    std::iter::from_fn(|| {
        let (destination, len) = mdns.poll_transmit(&mut buf)?;
        assert_eq!(len, buf.len());
        Some((destination, std::mem::take(&mut buf)))
    })
    .collect()
}

fn question(name: &str) -> Vec<u8> {
    let mut asker = mdns(99);
    asker.resolve(origin(), name).unwrap();
    take(&mut asker).remove(0).1
}

/// Lets `time` pass; gives when something was sent.
fn pass(mdns: &mut Mdns, start: Instant, time: Duration) -> Vec<Duration> {
    let mut sent = Vec::new();
    while let Some(due) = mdns.poll_timeout().filter(|due| *due <= start + time) {
        mdns.handle_timeout(due);
        sent.extend(take(mdns).iter().map(|_| due - start));
    }
    sent
}

#[test]
fn a_published_name_is_resolved_by_the_other_end() {
    for ip in ["192.0.2.1", "2001:db8::1"] {
        let (mut asking, mut answering, now) = (mdns(1), mdns(2), origin());
        let ip: IpAddr = ip.parse().unwrap();
        let name = answering.publish(ip).unwrap().to_owned();
        assert_eq!((name.len(), &name[14..15]), (36 + ".local".len(), "4"));
        assert_eq!(answering.publish(ip), Some(name.as_str()));
        asking.resolve(now, &name).unwrap();
        for (destination, query) in take(&mut asking) {
            assert_eq!(destination, MdnsDestination::Multicast);
            answering.handle_datagram(now, from(MDNS_PORT), &query);
        }
        let answers = take(&mut answering);
        assert_eq!(answers.len(), 1);
        asking.handle_datagram(now, from(MDNS_PORT), &answers[0].1);
        assert_eq!(asking.poll_event(), Some(MdnsEvent::Resolved { name, ip }));
        assert_eq!((asking.poll_event(), asking.poll_timeout()), (None, None));
    }
}

#[test]
fn a_question_is_asked_three_times_and_then_given_up() {
    let (mut mdns, now) = (mdns(1), origin());
    mdns.resolve(now, "somebody.local").unwrap();
    mdns.resolve(now, "SOMEBODY.local").unwrap();
    assert_eq!(take(&mut mdns).len(), 1);
    assert_eq!(pass(&mut mdns, now, ms(60_000)), [ms(1_000), ms(3_000)]);
    assert_eq!(mdns.poll_event(), Some(MdnsEvent::Unresolved { name: "somebody.local".into() }));
    assert_eq!((mdns.poll_event(), mdns.poll_timeout()), (None, None));
}

#[test]
fn names_are_resolved_up_to_their_limit() {
    let (mut mdns, now) = (mdns(1), origin());
    let mut taken = 0;
    for number in 0..80 {
        match mdns.resolve(now, &format!("name-{number}.local")) {
            Ok(()) => taken += 1,
            Err(error) => assert_eq!(error, ResolveError::TooMany),
        }
    }
    assert_eq!(taken, MdnsLimits::default().resolved_names);
    for name in ["example.org", "a.b.local", ".local", "local", "", "ä.local", &"x".repeat(64)] {
        assert_eq!(mdns.resolve(now, name), Err(ResolveError::NotLocal), "{name}");
    }
}

#[test]
fn addresses_are_published_up_to_their_limit() {
    let mut mdns = mdns(1);
    let published = (0..320u32).filter(|ip| mdns.publish(IpAddr::V4((*ip).into())).is_some()).count();
    assert_eq!(published, MdnsLimits::default().published_names);
}

#[test]
fn answers_from_elsewhere_and_for_other_names_change_nothing() {
    let (mut asking, mut answering, now) = (mdns(1), mdns(2), origin());
    let name = answering.publish("192.0.2.1".parse().unwrap()).unwrap().to_owned();
    answering.handle_datagram(now, from(MDNS_PORT), &question(&name));
    let answer = take(&mut answering).remove(0).1;
    asking.resolve(now, "other.local").unwrap();
    asking.handle_datagram(now, from(MDNS_PORT), &answer);
    asking.resolve(now, &name).unwrap();
    asking.handle_datagram(now, from(40_000), &answer);
    for len in 0..answer.len() {
        asking.handle_datagram(now, from(MDNS_PORT), &answer[..len]);
    }
    assert_eq!(asking.poll_event(), None);
    asking.handle_datagram(now, from(MDNS_PORT), &answer);
    assert!(matches!(asking.poll_event(), Some(MdnsEvent::Resolved { .. })));
}

#[test]
fn an_answer_is_multicast_once_a_second_and_given_to_those_who_ask_otherwise_by_unicast() {
    let (mut mdns, now) = (mdns(1), origin());
    let name = mdns.publish("192.0.2.1".parse().unwrap()).unwrap().to_owned();
    let query = question(&name);
    for _ in 0..5 {
        mdns.handle_datagram(now, from(MDNS_PORT), &query);
    }
    let sent = take(&mut mdns);
    assert!(sent.len() == 1 && sent[0].0 == MdnsDestination::Multicast);
    mdns.handle_datagram(now + ms(1_000), from(MDNS_PORT), &query);
    assert_eq!(take(&mut mdns).len(), 1);
    mdns.handle_datagram(now + ms(1_100), from(40_000), &query);
    let sent = take(&mut mdns);
    assert_eq!(sent[0].0, MdnsDestination::Unicast(from(40_000)));
    mdns.handle_datagram(now + ms(5_000), from(MDNS_PORT), &question("other.local"));
    assert!(take(&mut mdns).is_empty());
}

#[test]
fn a_flood_of_questions_gets_a_bounded_number_of_answers() {
    let (mut mdns, now) = (mdns(1), origin());
    let name = mdns.publish("192.0.2.1".parse().unwrap()).unwrap().to_owned();
    let query = question(&name);
    let mut sent = 0;
    for number in 0..10_000u32 {
        let now = now + ms(u64::from(number / 10));
        mdns.handle_datagram(now, from(20_000 + (number % 20_000) as u16), &query);
        sent += take(&mut mdns).len();
    }
    assert!(sent <= 20, "{sent} in a second");
    // Nobody takes them: the queue is bounded.
    for number in 0..1_000u64 {
        mdns.handle_datagram(now + ms(5_000 + number * 100), from(40_000), &query);
    }
    assert_eq!(take(&mut mdns).len(), MdnsLimits::default().queued_messages);
}

#[test]
fn a_withdrawn_name_is_taken_back_and_answered_for_no_more() {
    let (mut mdns, now) = (mdns(1), origin());
    let ip = "192.0.2.1".parse().unwrap();
    let name = mdns.publish(ip).unwrap().to_owned();
    mdns.withdraw(now, ip);
    let goodbye = take(&mut mdns).remove(0).1;
    let mut asking = self::mdns(2);
    asking.resolve(now, &name).unwrap();
    asking.handle_datagram(now, from(MDNS_PORT), &goodbye);
    assert_eq!(asking.poll_event(), None);
    mdns.handle_datagram(now, from(MDNS_PORT), &question(&name));
    assert!(take(&mut mdns).is_empty());
    assert_ne!(mdns.publish(ip), Some(name.as_str()));
}
