//! Nodes on the simulated network.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail loudly")]

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use antiphon_testkit::{Fate, Link, Loss, Nat, Node, NodeId, Simulation, for_each_seed, nat64_address};
use antiphon_util::{Path, Received, Transmit};

/// Sends what it is told, every second something of its own if asked to, and remembers what it got.
#[derive(Default)]
struct Host {
    outbox: VecDeque<(Path, Vec<u8>, Option<usize>)>,
    beat: Option<(Instant, Path)>,
    got: Vec<(SocketAddr, Vec<u8>)>,
    echoes: bool,
}

impl Host {
    fn say(&mut self, from: &str, to: SocketAddr, text: &str) {
        self.outbox.push_back((Path::udp(addr(from), to), text.into(), None));
    }
}

impl Node for Host {
    fn handle_receive(&mut self, _: Instant, received: Received<'_>) {
        self.got.push((received.path.remote, received.datagram.to_vec()));
        if self.echoes {
            self.outbox.push_back((received.path, received.datagram.to_vec(), None));
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        if let Some((due, path)) = self.beat.filter(|(due, _)| *due <= now) {
            self.outbox.push_back((path, b"beat".to_vec(), None));
            self.beat = Some((due + Duration::from_secs(1), path));
        }
    }

    fn poll_transmit(&mut self, _: Instant, buf: &mut Vec<u8>) -> Option<Transmit> {
        let (path, bytes, segment_size) = self.outbox.pop_front()?;
        buf.extend(&bytes);
        Some(Transmit { path, ecn: None, len: bytes.len(), segment_size })
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        self.beat.map(|(due, _)| due)
    }
}

const A: &str = "10.0.0.1:5000";
const B: &str = "10.0.0.2:6000";
const SERVER: &str = "203.0.113.9:3478";

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn two(seed: u64, link: Link) -> (Simulation<Host>, NodeId, NodeId) {
    let mut simulation = Simulation::new(seed, link);
    let a = simulation.add_node(Host::default(), &[addr(A).ip()]);
    let b = simulation.add_node(Host::default(), &[addr(B).ip()]);
    (simulation, a, b)
}

#[test]
fn delivers_after_the_delay_and_jumps_there() {
    let (mut simulation, a, b) = two(0, Link::with_delay(Duration::from_millis(40)));
    simulation[a].say(A, addr(B), "hello");
    simulation[b].echoes = true;
    assert!(simulation.run_until(Duration::from_secs(9), |s| !s[a].got.is_empty()));
    assert_eq!(simulation.elapsed(), Duration::from_millis(80));
    assert_eq!(simulation[b].got, [(addr(A), b"hello".to_vec())]);
    assert_eq!(simulation[a].got, [(addr(B), b"hello".to_vec())]);
}

#[test]
fn a_day_passes_beat_by_beat() {
    let (mut simulation, a, b) = two(0, Link::default());
    simulation[a].beat = Some((simulation.now(), Path::udp(addr(A), addr(B))));
    simulation.run_for(Duration::from_secs(86_400));
    assert_eq!(simulation[b].got.len(), 86_401);
    assert_eq!(simulation.elapsed(), Duration::from_secs(86_400));
}

#[test]
fn a_seed_repeats_its_run_and_another_differs() {
    let run = |seed| {
        let (mut simulation, a, b) = two(seed, Link { duplicate: 0.1, reorder: 0.1, ..Link::mobile() });
        for number in 0..200 {
            simulation[a].say(A, addr(B), &number.to_string());
        }
        simulation.run_for(Duration::from_secs(10));
        simulation[b].got.clone()
    };
    for_each_seed(3, |seed| {
        assert_eq!(run(seed), run(seed));
        assert_ne!(run(seed), run(seed + 1));
    });
}

#[test]
fn a_run_of_segments_is_as_many_datagrams() {
    let (mut simulation, a, b) = two(0, Link::default());
    simulation[a].outbox.push_back((Path::udp(addr(A), addr(B)), vec![7; 2_500], Some(1_000)));
    simulation.run_for(Duration::from_secs(1));
    let sizes: Vec<_> = simulation[b].got.iter().map(|(_, bytes)| bytes.len()).collect();
    assert_eq!(sizes, [1_000, 1_000, 500]);
}

#[test]
fn what_does_not_arrive_is_in_the_chart() {
    let (mut simulation, a, b) = two(0, Link { mtu: Some(1_280), ..Link::default() });
    simulation.label(|bytes| format!("{} of them", bytes.len()));
    simulation[a].say(A, addr(B), &"x".repeat(1_253));
    simulation[a].say(A, addr("10.9.9.9:1"), "nobody");
    simulation[a].say(A, addr(B), "fourth");
    simulation.intercept(|packet| packet.number != 2);
    simulation.run_for(Duration::from_secs(1));
    simulation.stop_intercepting();
    simulation.set_link(a, b, Link { loss: Loss::everything(), ..Link::default() });
    simulation[a].say(A, addr(B), "lost");
    simulation.run_for(Duration::from_secs(1));
    let fates: Vec<_> = simulation.chart().passages().map(|passage| passage.fate).collect();
    assert_eq!(fates, [Fate::TooLarge, Fate::Unroutable, Fate::Intercepted, Fate::Lost]);
    assert!(simulation[b].got.is_empty());
    assert!(simulation.chart().to_string().contains("exceeds the MTU  1253 of them"));
}

#[test]
fn an_interceptor_may_change_a_datagram() {
    let (mut simulation, a, b) = two(0, Link::default());
    simulation.intercept(|packet| {
        packet.datagram.reverse();
        true
    });
    simulation[a].say(A, addr(B), "abc");
    simulation.run_for(Duration::from_secs(1));
    assert_eq!(simulation[b].got[0].1, b"cba");
}

#[test]
fn an_attacker_sends_from_any_address() {
    let (mut simulation, _, b) = two(0, Link::default());
    simulation.inject(addr("192.0.2.66:66"), addr(B), b"boo");
    simulation.run_for(Duration::from_secs(1));
    assert_eq!(simulation[b].got, [(addr("192.0.2.66:66"), b"boo".to_vec())]);
}

#[test]
fn an_unplugged_node_hears_and_says_nothing_until_plugged_in() {
    let (mut simulation, a, b) = two(0, Link::with_delay(Duration::from_millis(10)));
    simulation[a].say(A, addr(B), "on its way");
    simulation.run_for(Duration::from_millis(5));
    simulation.unplug(b);
    simulation[b].say(B, addr(A), "unheard");
    simulation.run_for(Duration::from_secs(1));
    assert!(simulation[a].got.is_empty() && simulation[b].got.is_empty());
    simulation.plug(b);
    simulation[a].say(A, addr(B), "again");
    simulation.run_for(Duration::from_secs(1));
    assert_eq!(simulation[b].got.len(), 1);
}

/// Both hosts behind a translator of their own, and a server that everyone reaches.
fn behind_nats(nat: fn(std::net::IpAddr) -> Nat) -> (Simulation<Host>, [NodeId; 3], [SocketAddr; 2]) {
    let (mut simulation, a, b) = two(0, Link::with_delay(Duration::from_millis(10)));
    let server = simulation.add_node(Host::default(), &[addr(SERVER).ip()]);
    simulation.add_nat(nat(addr("198.51.100.1:0").ip()), &[addr(A).ip()]);
    simulation.add_nat(nat(addr("198.51.100.2:0").ip()), &[addr(B).ip()]);
    simulation[a].say(A, addr(SERVER), "who am I");
    simulation[b].say(B, addr(SERVER), "who am I");
    simulation.run_for(Duration::from_secs(1));
    let public = [0, 1].map(|index| simulation[server].got[index].0);
    (simulation, [a, b, server], public)
}

#[test]
fn a_translator_shows_its_own_address_and_lets_answers_in() {
    let (mut simulation, [a, _, server], public) = behind_nats(Nat::port_restricted);
    assert_eq!(public.map(|public| public.ip().to_string()), ["198.51.100.1", "198.51.100.2"]);
    simulation[server].say(SERVER, public[0], "you are");
    simulation.run_for(Duration::from_secs(1));
    assert_eq!(simulation[a].got, [(addr(SERVER), b"you are".to_vec())]);
}

#[test]
fn port_restricted_translators_are_punched_through_from_both_sides() {
    let (mut simulation, [a, b, _], public) = behind_nats(Nat::port_restricted);
    simulation[a].say(A, public[1], "too early");
    simulation.run_for(Duration::from_secs(1));
    assert_eq!(simulation.chart().count(Fate::Filtered), 1);
    simulation[b].say(B, public[0], "punched");
    simulation[a].say(A, public[1], "punched");
    simulation.run_for(Duration::from_secs(1));
    assert_eq!(simulation[a].got, [(public[1], b"punched".to_vec())]);
    assert_eq!(simulation[b].got, [(public[0], b"punched".to_vec())]);
}

#[test]
fn symmetric_translators_keep_each_other_out() {
    let (mut simulation, [a, b, _], public) = behind_nats(Nat::symmetric);
    for _ in 0..3 {
        simulation[a].say(A, public[1], "knock");
        simulation[b].say(B, public[0], "knock");
        simulation.run_for(Duration::from_secs(1));
    }
    assert!(simulation[a].got.is_empty() && simulation[b].got.is_empty());
    assert_eq!(simulation.chart().count(Fate::Filtered), 6);
}

#[test]
fn private_addresses_are_not_reached_from_outside() {
    let (mut simulation, [_, _, server], _) = behind_nats(Nat::full_cone);
    simulation[server].say(SERVER, addr(A), "inside?");
    simulation.run_for(Duration::from_secs(1));
    assert_eq!(simulation.chart().count(Fate::Unroutable), 1);
}

#[test]
fn translators_stand_behind_one_another_and_between_families() {
    let (mut simulation, a, b) = two(0, Link::with_delay(Duration::from_millis(10)));
    let [outer, middle, six] = ["198.51.100.1:0", "100.64.0.1:0", "[2001:db8::6]:1"].map(addr);
    simulation.add_nat(Nat::port_restricted(middle.ip()), &[addr(A).ip()]);
    simulation.add_nat(Nat::port_restricted(outer.ip()), &[middle.ip()]);
    simulation[a].say(A, addr(B), "out through two");
    simulation.run_for(Duration::from_secs(1));
    let (seen, _) = simulation[b].got[0];
    assert_eq!(seen.ip(), outer.ip());
    simulation[b].say(B, seen, "in through two");
    simulation.run_for(Duration::from_secs(1));
    assert_eq!(simulation[a].got, [(addr(B), b"in through two".to_vec())]);

    let v4: std::net::Ipv4Addr = "198.51.100.64".parse().unwrap();
    simulation.add_address(a, six.ip());
    simulation.add_nat64(Nat::port_restricted(v4.into()), &[six.ip()]);
    let std::net::IpAddr::V4(target) = addr(B).ip() else { panic!("IPv4") };
    let synthesized = SocketAddr::new(nat64_address(target), addr(B).port());
    simulation[a].say("[2001:db8::6]:1", synthesized, "out of IPv6");
    simulation.run_for(Duration::from_secs(1));
    let (seen, _) = simulation[b].got[1];
    assert_eq!(seen.ip(), v4);
    simulation[b].say(B, seen, "into IPv6");
    simulation.run_for(Duration::from_secs(1));
    assert_eq!(simulation[a].got[1], (synthesized, b"into IPv6".to_vec()));
}

#[test]
fn a_firewall_drops_udp_both_ways() {
    let (mut simulation, a, b) = two(0, Link::with_delay(Duration::from_millis(10)));
    simulation.block_udp(&[addr(A).ip()]);
    simulation[a].say(A, addr(B), "out");
    simulation[b].say(B, addr(A), "in");
    simulation.run_for(Duration::from_secs(1));
    assert!(simulation[a].got.is_empty() && simulation[b].got.is_empty());
    assert_eq!(simulation.chart().count(Fate::Filtered), 2);
}

#[test]
fn a_translator_without_hairpinning_keeps_its_own_hosts_out() {
    for hairpin in [false, true] {
        let (mut simulation, a, b) = two(0, Link::with_delay(Duration::from_millis(10)));
        let server = simulation.add_node(Host::default(), &[addr(SERVER).ip()]);
        let nat = Nat { hairpin, ..Nat::full_cone(addr("198.51.100.1:0").ip()) };
        simulation.add_nat(nat, &[addr(A).ip(), addr(B).ip()]);
        simulation[a].say(A, addr(SERVER), "who am I");
        simulation.run_for(Duration::from_secs(1));
        let (public, _) = simulation[server].got[0];
        simulation[b].say(B, public, "by the public address");
        simulation[b].say(B, addr(A), "directly");
        simulation.run_for(Duration::from_secs(1));
        assert_eq!(simulation[a].got.len(), if hairpin { 2 } else { 1 });
    }
}

#[test]
#[should_panic(expected = "a timer stays due")]
fn a_timer_that_never_expires_is_found() {
    struct Stuck(Instant);
    impl Node for Stuck {
        fn handle_receive(&mut self, _: Instant, _: Received<'_>) {}
        fn handle_timeout(&mut self, _: Instant) {}
        fn poll_transmit(&mut self, _: Instant, _: &mut Vec<u8>) -> Option<Transmit> {
            None
        }
        fn poll_timeout(&mut self) -> Option<Instant> {
            Some(self.0)
        }
    }
    let mut simulation = Simulation::new(0, Link::default());
    let due = simulation.now();
    simulation.add_node(Stuck(due), &[addr(A).ip()]);
    simulation.run_for(Duration::from_secs(1));
}
