//! Making, keeping and ending allocations.

use std::time::Duration;

use antiphon_crypto::Provider;
use antiphon_testkit::{Link, Loss, for_each_seed};
use antiphon_turn::client::{EvenPort, Event, Failure, Families};
use antiphon_turn::time_limited_password;

use crate::world::{CLIENT, EPOCH, PEER, SERVER, World, at, client_config, link, server_config, user};

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn an_allocation_is_made_after_one_refusal_and_kept_for_hours() {
    let mut world = World::simple();
    let allocated = world.allocate();
    assert_eq!(world.net.elapsed(), 4 * Duration::from_millis(20));
    assert_eq!(allocated.mapped, at(CLIENT, 4_000));
    assert_eq!(allocated.relayed.len(), 1);
    assert_eq!(allocated.relayed[0].ip(), at(SERVER, 0).ip());
    assert!(allocated.relayed[0].port() >= 49_152);
    assert_eq!(allocated.lifetime, Duration::from_secs(600));
    // Long enough for the nonce to grow stale several times.
    world.run(5 * 60 * MINUTE);
    assert_eq!(world.client().events, []);
    assert_eq!(world.server().server.metrics().allocations, 1);
    assert!(world.server().server.metrics().refusals.of(438) >= 4);
}

#[test]
fn an_allocation_is_made_in_spite_of_loss() {
    for_each_seed(20, |seed| {
        let link = Link { loss: Loss::random(0.3), ..link() };
        let mut world = World::new(seed, link, server_config(), client_config());
        let mut allocated = false;
        for _ in 0..100 {
            world.run(Duration::from_secs(1));
            allocated |= world.client().events.iter().any(|event| matches!(event, Event::Allocated(_)));
        }
        let failed = world.client().events.iter().any(|event| matches!(event, Event::Failed(_)));
        assert!(allocated && !failed, "{}", world.net.chart());
        let metrics = world.server().server.metrics();
        assert_eq!((metrics.allocations, metrics.allocations_made), (1, 1));
    });
}

#[test]
fn close_deletes_and_frees_the_port() {
    let mut world = World::simple();
    world.allocate();
    assert_eq!(world.server().bound.len(), 1);
    let now = world.net.now();
    world.client().client.close(now);
    assert_eq!(world.event(), Event::Closed);
    assert!(world.client().client.has_ended());
    assert_eq!(world.server().bound, []);
    let metrics = world.server().server.metrics();
    assert_eq!((metrics.allocations, metrics.users), (0, 0));
}

#[test]
fn an_allocation_whose_client_is_gone_expires() {
    let mut world = World::simple();
    world.allocate();
    let client = world.client;
    world.net.unplug(client);
    world.run(Duration::from_secs(599));
    assert_eq!(world.server().bound.len(), 1);
    world.run(Duration::from_secs(2));
    assert_eq!(world.server().bound, []);
}

#[test]
fn a_server_that_is_not_there_is_given_up() {
    let mut world = World::simple();
    let server = world.server;
    world.net.unplug(server);
    assert_eq!(world.event(), Event::Failed(Failure::TimedOut));
    assert!(world.net.elapsed() < Duration::from_secs(15));
    assert_eq!(world.client().client.poll_timeout(), None);
}

#[test]
fn wrong_credentials_are_refused_once_and_for_all() {
    for (name, password) in [("alice", "wrong"), ("nobody", "wonderland"), ("1:late", "x")] {
        let config = user(name, password);
        let mut world = World::new(1, link(), server_config(), config);
        assert_eq!(world.refusal().0, 401, "{name}");
        assert_eq!(world.net.sent(), 4);
    }
}

#[test]
fn credentials_for_a_time_are_good_until_then_and_longer_for_what_was_made() {
    let username = format!("{}:carol", EPOCH + 900);
    let password = time_limited_password(Provider::default(), "shared", &username);
    let config = || user(&username, &password);
    let mut world = World::new(1, link(), server_config(), config());
    world.allocate();
    world.run(60 * MINUTE);
    assert_eq!(world.client().events, []);
    let late = world.add_client("8.0.0.9", config());
    world.run(MINUTE);
    let events = format!("{:?}", world.at(late).events);
    assert!(events.contains("code: 401"), "{events}");
}

#[test]
fn new_credentials_make_a_new_allocation_beside_the_old() {
    // As at an ICE restart: those of the old allocation have run out meanwhile.
    let named = |until: u64| {
        let username = format!("{}:carol", EPOCH + until);
        let password = time_limited_password(Provider::default(), "shared", &username);
        user(&username, &password)
    };
    let mut world = World::new(1, link(), server_config(), named(60));
    let old = world.allocate().relayed[0];
    world.run(Duration::from_secs(3_600));
    let restarted = world.add_client("8.0.0.2", named(7_200));
    let late = world.add_client("8.0.0.3", named(120));
    world.run(Duration::from_secs(5));
    let Some(Event::Allocated(allocated)) = world.at(restarted).events.pop() else { panic!() };
    assert_ne!(allocated.relayed[0], old);
    assert!(
        matches!(world.at(late).events.pop(), Some(Event::Failed(Failure::Refused(refusal))) if refusal.code == 401)
    );
    // Both serve, for as long as both are wanted.
    for n in 0..20_u8 {
        let now = world.net.now();
        world.client().send(now, at(PEER, 7), &[n]);
        world.at(restarted).send(now, at(PEER, 8), &[n]);
        world.run(Duration::from_secs(300));
    }
    assert_eq!(world.client().received.len(), 20);
    assert_eq!(world.at(restarted).received.len(), 20);
    let now = world.net.now();
    world.client().client.close(now);
    world.run(Duration::from_secs(5));
    assert_eq!(world.server().server.metrics().allocations, 1);
    let now = world.net.now();
    world.at(restarted).send(now, at(PEER, 8), b"on");
    world.run(Duration::from_secs(1));
    assert_eq!(world.at(restarted).received.len(), 21);
}

#[test]
fn sha_256_is_used_where_it_is_offered() {
    for offered in [true, false] {
        let mut config = server_config();
        config.offer_sha256 = offered;
        let mut world = World::new(1, link(), config, client_config());
        let seen = std::rc::Rc::new(std::cell::Cell::new(0));
        let counter = std::rc::Rc::clone(&seen);
        world.net.intercept(move |packet| {
            // MESSAGE-INTEGRITY-SHA256 with its 32 bytes.
            let sha256 = packet.datagram.windows(4).any(|bytes| bytes == [0, 0x1c, 0, 32]);
            counter.set(counter.get() + u32::from(sha256));
            true
        });
        world.allocate();
        assert_eq!(seen.get() > 0, offered);
    }
}

#[test]
fn taking_out_the_offer_of_sha_256_is_noticed() {
    let mut world = World::simple();
    world.net.intercept(|packet| {
        // PASSWORD-ALGORITHMS becomes an attribute that nobody knows.
        if let Some(at) = packet.datagram.windows(4).position(|bytes| bytes == [0x80, 2, 0, 8]) {
            packet.datagram[at] = 0xff;
        }
        true
    });
    assert_eq!(world.event(), Event::Failed(Failure::BidDown));
}

#[test]
fn quotas_hold_for_a_user_and_for_all() {
    let mut config = server_config();
    config.limits.allocations_per_user = 2;
    config.limits.allocations = 3;
    let mut world = World::new(1, link(), config, client_config());
    world.allocate();
    let mut refused = Vec::new();
    for (n, name) in ["alice", "alice", "bob", "bob"].into_iter().enumerate() {
        let password = if name == "alice" { "wonderland" } else { "builder" };
        let id = world.add_client(&format!("8.0.1.{n}"), user(name, password));
        world.run(MINUTE);
        refused.push(match &world.at(id).events[0] {
            Event::Failed(Failure::Refused(refusal)) => refusal.code,
            _ => 0,
        });
    }
    assert_eq!(refused, [0, 486, 0, 508]);
}

#[test]
fn a_full_server_names_another() {
    let mut config = server_config();
    config.limits.allocations = 0;
    config.alternate = Some(at("9.0.0.1", 3_478));
    for domain in [None, Some("turn.example.org".to_owned())] {
        config.alternate_domain.clone_from(&domain);
        let mut world = World::new(1, link(), config.clone(), client_config());
        let expected = Failure::Alternate { address: at("9.0.0.1", 3_478), domain };
        assert_eq!(world.event(), Event::Failed(expected));
    }
}

#[test]
fn both_families_are_allocated_or_the_one_that_there_is() {
    let mut client = client_config();
    client.families = Families::Both;
    let mut world = World::new(1, link(), server_config(), client.clone());
    let allocated = world.allocate();
    assert_eq!(allocated.relayed.iter().map(|at| at.is_ipv4()).collect::<Vec<_>>(), [true, false]);
    assert_eq!(allocated.missing, None);

    let mut config = server_config();
    config.relays.pop();
    let mut world = World::new(1, link(), config, client);
    let allocated = world.allocate();
    assert_eq!(allocated.relayed.len(), 1);
    assert_eq!(allocated.missing.map(|missing| missing.code), Some(440));
}

#[test]
fn a_family_that_the_server_has_not_is_refused() {
    let mut client = client_config();
    client.families = Families::Ipv6;
    let mut config = server_config();
    config.relays.pop();
    assert_eq!(World::new(1, link(), config, client.clone()).refusal().0, 440);
    let allocated = World::new(1, link(), server_config(), client).allocate();
    assert!(allocated.relayed[0].is_ipv6());
}

#[test]
fn an_even_port_and_its_successor_are_given_to_one_user() {
    let mut client = client_config();
    client.even_port = Some(EvenPort::ReserveNext);
    let mut world = World::new(1, link(), server_config(), client);
    let first = world.allocate();
    assert_eq!(first.relayed[0].port() % 2, 0);
    let token = first.reservation.unwrap();

    let mut bob = user("bob", "builder");
    bob.reservation = Some(token);
    let thief = world.add_client("8.0.0.3", bob);
    world.run(Duration::from_secs(5));
    assert!(format!("{:?}", world.at(thief).events).contains("code: 508"));

    let mut second = client_config();
    second.reservation = Some(token);
    let second = world.add_client("8.0.0.2", second);
    world.run(Duration::from_secs(5));
    match &world.at(second).events[0] {
        Event::Allocated(allocated) => assert_eq!(allocated.relayed[0].port(), first.relayed[0].port() + 1),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_port_that_is_taken_is_passed_over_and_none_at_all_is_told() {
    let mut config = server_config();
    config.ports = 50_000..=50_003;
    let mut world = World::new(1, link(), config.clone(), client_config());
    world.server().taken = vec![50_000, 50_001, 50_003];
    assert_eq!(world.allocate().relayed[0].port(), 50_002);

    let mut world = World::new(1, link(), config, client_config());
    world.server().taken = vec![50_000, 50_001, 50_002, 50_003];
    assert_eq!(world.refusal().0, 508);
    assert_eq!(world.server().bound, []);
    assert_eq!(world.server().server.metrics().allocations, 0);
}

#[test]
fn an_allocation_moves_with_its_client() {
    let mut client = client_config();
    client.mobility = true;
    let mut world = World::new(1, link(), server_config(), client);
    let allocated = world.allocate();
    assert!(allocated.mobile);
    for (round, ip) in ["8.0.2.1", "8.0.2.2", "8.0.2.3"].into_iter().enumerate() {
        let id = world.client;
        world.net.add_address(id, ip.parse().unwrap());
        let now = world.net.now();
        world.client().client.migrate(now, at(ip, 4_000 + round as u16));
        assert_eq!(world.event(), Event::Moved);
        world.send(at(crate::world::PEER, 7), ip.as_bytes());
        world.run(Duration::from_secs(1));
        let echoes = &world.client().received;
        assert_eq!(echoes.last().map(|(_, data)| data.as_slice()), Some(ip.as_bytes()));
    }
    let metrics = world.server().server.metrics();
    assert_eq!((metrics.allocations, metrics.allocations_made), (1, 1));
}

#[test]
fn an_allocation_moves_in_spite_of_loss() {
    for_each_seed(20, |seed| {
        let mut client = client_config();
        client.mobility = true;
        let mut world = World::new(seed, link(), server_config(), client);
        world.allocate();
        world.net.set_default_link(Link { loss: Loss::random(0.2), ..link() });
        let id = world.client;
        world.net.add_address(id, "8.0.2.1".parse().unwrap());
        let now = world.net.now();
        world.client().client.migrate(now, at("8.0.2.1", 4_000));
        assert_eq!(world.event(), Event::Moved, "{}", world.net.chart());
    });
}

#[test]
fn credentials_of_another_user_do_not_reach_an_allocation() {
    let mut world = World::simple();
    world.allocate();
    // A second client at the same address, as behind one NAT binding after a restart.
    let path = world.client().client.path();
    let now = world.net.now();
    let rng = world.net.rng().fork();
    let bob = user("bob", "builder");
    world.client().client = bob.client(now, rng, path);
    assert_eq!(world.refusal().0, 437);
}

#[test]
fn ports_are_reserved_up_to_the_limit() {
    let mut config = server_config();
    config.limits.reservations = 2;
    let mut client = client_config();
    client.even_port = Some(EvenPort::ReserveNext);
    let mut world = World::new(1, link(), config, client.clone());
    world.allocate();
    let reserved: Vec<bool> = (0..20)
        .map(|n| {
            let id = world.add_client(&format!("8.0.3.{n}"), client.clone());
            world.run(Duration::from_secs(1));
            matches!(&world.at(id).events[..], [Event::Allocated(allocated)] if allocated.reservation.is_some())
        })
        .collect();
    assert_eq!(reserved.iter().filter(|reserved| **reserved).count(), 1);
}
