//! What goes between clients and peers.

use std::time::Duration;

use antiphon_testkit::{Link, Loss, for_each_seed};
use antiphon_turn::client::{DropReason, Event, Families};
use antiphon_turn::server::{self, PermissionHook, Rate};

use crate::world::{PEER, PEER_V6, SERVER, World, at, client_config, link, server_config};

const SECOND: Duration = Duration::from_secs(1);

fn echoes(world: &mut World) -> Vec<Vec<u8>> {
    world.client().received.iter().map(|(_, data)| data.clone()).collect()
}

#[test]
fn datagrams_wait_for_their_permission_and_go_by_channel_soon() {
    let mut world = World::simple();
    let relayed = world.allocate().relayed[0];
    let peer = at(PEER, 7);
    for n in 0..20_u8 {
        world.send(peer, &[n; 100]);
        world.run(Duration::from_millis(200));
    }
    assert_eq!(echoes(&mut world), (0..20).map(|n| vec![n; 100]).collect::<Vec<_>>());
    assert!(world.client().received.iter().all(|(from, _)| *from == peer));
    assert!(world.peer().received.iter().all(|(from, _)| *from == relayed));
    let metrics = world.server().server.metrics();
    assert_eq!((metrics.datagrams_to_peers, metrics.bytes_to_clients), (20, 2_000));
    let channel_data = world.net.chart().to_string();
    assert!(
        channel_data.contains("104"),
        "ChannelData is 4 bytes longer than what it carries\n{channel_data}"
    );
}

#[test]
fn a_conversation_lasts_beyond_every_lifetime() {
    for channel_after in [0, 4, u32::MAX] {
        let mut client = client_config();
        client.channel_after = channel_after;
        let mut world = World::new(1, link(), server_config(), client);
        world.allocate();
        for n in 0..200_u8 {
            world.send(at(PEER, 7), &[n]);
            world.run(20 * SECOND);
        }
        assert_eq!(echoes(&mut world).len(), 200, "channels after {channel_after}");
    }
}

#[test]
fn nothing_passes_without_permission_and_a_permission_ends() {
    let mut world = World::simple();
    let relayed = world.allocate().relayed[0];
    world.net.inject(at(PEER, 7), relayed, b"knock");
    world.run(SECOND);
    assert_eq!(echoes(&mut world), Vec::<Vec<u8>>::new());
    world.send(at(PEER, 7), b"hello");
    world.run(SECOND);
    // The permission is for the address, whatever the port.
    world.net.inject(at(PEER, 8), relayed, b"welcome");
    world.run(SECOND);
    assert_eq!(echoes(&mut world), [b"hello".to_vec(), b"welcome".to_vec()]);
    world.run(601 * SECOND);
    world.net.inject(at(PEER, 7), relayed, b"too late");
    world.run(SECOND);
    assert_eq!(echoes(&mut world).len(), 2);
}

#[test]
fn both_families_are_relayed() {
    let mut client = client_config();
    client.families = Families::Both;
    let mut world = World::new(1, link(), server_config(), client);
    world.allocate();
    for n in 0..10 {
        world.send(at(PEER, 7), &[4, n]);
        world.send(at(PEER_V6, 7), &[6, n]);
        world.run(SECOND);
    }
    assert_eq!(echoes(&mut world).len(), 20);
}

#[test]
fn a_peer_of_a_family_without_address_is_not_sent_to() {
    let mut world = World::simple();
    world.allocate();
    world.send(at(PEER_V6, 7), b"hello");
    assert_eq!(world.client().client.drops().of(DropReason::NoAllocation), 1);
}

#[test]
fn two_clients_of_one_server_talk_and_nothing_else_of_it_is_reached() {
    let mut world = World::simple();
    let first = world.allocate().relayed[0];
    let other = world.add_client("8.0.0.2", client_config());
    world.run(SECOND);
    let second = world.at(other).client.relayed()[0];
    for n in 0..10 {
        world.send(second, &[1, n]);
        let now = world.net.now();
        world.at(other).send(now, first, &[2, n]);
        world.run(SECOND);
    }
    assert!(world.client().received.len() >= 9 && world.at(other).received.len() >= 9);
    let before = world.net.sent();
    world.send(at(SERVER, 3_478), b"to the server itself");
    world.run(SECOND);
    // From the client to the server, and no further.
    assert_eq!(world.net.sent(), before + 1);
}

#[test]
fn the_hook_has_the_last_word() {
    let mut config = server_config();
    config.permission =
        Some(PermissionHook::new(|request| request.user == "alice" && request.peer.port() != 9));
    let mut world = World::new(1, link(), config, client_config());
    world.allocate();
    world.send(at(PEER, 7), b"fine");
    world.run(SECOND);
    assert_eq!(echoes(&mut world).len(), 1);

    let mut config = server_config();
    config.permission = Some(PermissionHook::new(|_| false));
    let mut world = World::new(1, link(), config, client_config());
    world.allocate();
    world.send(at(PEER, 7), b"refused");
    match world.event() {
        Event::PeerRefused { peer, refusal } => {
            assert_eq!((peer.ip(), refusal.code), (at(PEER, 0).ip(), 403));
        }
        other => panic!("{other:?}"),
    }
    world.send(at(PEER, 7), b"refused");
    assert_eq!(world.client().client.drops().of(DropReason::PeerRefused), 1);
}

#[test]
fn one_refused_peer_does_not_stop_the_others() {
    let mut world = World::simple();
    world.allocate();
    let now = world.net.now();
    for peer in [at("10.0.0.1", 7), at(PEER, 7), at("127.0.0.1", 7)] {
        world.client().send(now, peer, b"hello");
    }
    world.run(10 * SECOND);
    assert_eq!(echoes(&mut world).len(), 1);
    let refused =
        world.client().events.iter().filter(|event| matches!(event, Event::PeerRefused { .. })).count();
    assert_eq!(refused, 2);
}

#[test]
fn everything_arrives_that_the_network_does_not_lose() {
    for_each_seed(10, |seed| {
        let mut world = World::new(seed, link(), server_config(), client_config());
        world.allocate();
        world.net.set_default_link(Link {
            loss: Loss::random(0.2),
            jitter: Duration::from_millis(30),
            ..link()
        });
        for n in 0..500_u16 {
            world.send(at(PEER, 7), &n.to_be_bytes());
            world.run(SECOND);
        }
        // Four links, each of which loses a fifth: 41 % come back.
        let back = echoes(&mut world).len();
        assert!((150..260).contains(&back), "{back} of 500\n{}", world.net.chart());
        assert!(!world.client().events.iter().any(|event| matches!(event, Event::Failed(_))));
    });
}

#[test]
fn bandwidth_is_bounded_for_an_allocation_a_user_and_all() {
    let limit = Some(Rate { per_second: 10_000, burst: 10_000 });
    for which in 0..3 {
        let mut config = server_config();
        match which {
            0 => config.allocation_bandwidth = limit,
            1 => config.user_bandwidth = limit,
            _ => config.total_bandwidth = limit,
        }
        let mut world = World::new(1, link(), config, client_config());
        world.allocate();
        world.send(at(PEER, 7), &[0; 10]);
        world.run(SECOND);
        let before = world.server().server.metrics();
        for _ in 0..100 {
            for _ in 0..10 {
                world.send(at(PEER, 7), &[0; 100]);
            }
            world.run(Duration::from_millis(100));
        }
        let after = world.server().server.metrics();
        let bytes =
            after.bytes_to_peers + after.bytes_to_clients - before.bytes_to_peers - before.bytes_to_clients;
        // Ten seconds at 10,000 and one burst.
        assert!((95_000..=110_000).contains(&bytes), "limit {which}: {bytes} bytes");
        assert!(after.drops.of(server::DropReason::Bandwidth) > 0);
    }
}
