//! The lab: agents behind every kind of translator, told of each other late, in any order, over networks that lose datagrams. A
//! pair that can connect has to.

use std::fmt;
use std::time::Duration;

use antiphon_crypto::Provider;
use antiphon_ice::{Agent, CandidateKind, Config, IceState, Role, TcpType};
use antiphon_testkit::{Nat, NatBehaviour, for_each_seed, nat64_address};
use antiphon_util::Rng;

use crate::net::{Net, addr, agent, ms};

const SERVER: &str = "203.0.113.3:3478";
const RELAY: &str = "203.0.113.9:49152";

/// What an agent is behind.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Kind {
    mapping: NatBehaviour,
    filtering: NatBehaviour,
    /// No translator at all, which is as good as the friendliest.
    is_open: bool,
}

use NatBehaviour::{AddressAndPortDependent, AddressDependent, EndpointIndependent};

const BEHAVIOURS: [NatBehaviour; 3] = [EndpointIndependent, AddressDependent, AddressAndPortDependent];

impl Kind {
    fn all() -> Vec<Self> {
        let open = Self { mapping: EndpointIndependent, filtering: EndpointIndependent, is_open: true };
        let nat = |mapping| BEHAVIOURS.map(|filtering| Self { mapping, filtering, is_open: false });
        std::iter::once(open).chain(BEHAVIOURS.into_iter().flat_map(nat)).collect()
    }

    /// Puts `node` behind it; odd seeds have translators that preserve ports.
    fn place(self, net: &mut Net, node: usize, seed: u64) {
        let (inside, outside) = [("10.1.0.2:1000", "198.51.100.1"), ("10.2.0.2:2000", "198.51.100.2")][node];
        if self.is_open {
            let port = addr(inside).port();
            return net.add_address(node, &format!("{outside}:{port}"));
        }
        let nat = Nat {
            mapping: self.mapping,
            filtering: self.filtering,
            port_preservation: seed % 2 == 1,
            hairpin: seed.is_multiple_of(3),
            ..Nat::full_cone(outside.parse().unwrap())
        };
        net.simulation.add_nat(nat, &[addr(inside).ip()]);
        net.add_address(node, inside);
    }

    /// Whether a way exists between two of these, without a relay: there have to be two addresses such that each end sends to
    /// the one from the other, and each end has to learn the one that it doesn't know from a datagram that the other's
    /// filter lets in.
    fn can_connect(self, other: Self) -> bool {
        let lets_in_neighbours = |kind: Self| kind.filtering != AddressAndPortDependent;
        let (a, b) = (self, other);
        match (a.mapping == EndpointIndependent, b.mapping == EndpointIndependent) {
            (true, true) => true,
            (true, false) => lets_in_neighbours(a),
            (false, true) => lets_in_neighbours(b),
            (false, false) => {
                let both = |mapping| a.mapping == mapping && b.mapping == mapping;
                let is_open_to = |kind: Self, other: Self| {
                    kind.filtering == EndpointIndependent && lets_in_neighbours(other)
                };
                !both(AddressAndPortDependent) && (is_open_to(a, b) || is_open_to(b, a))
            }
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = |behaviour| match behaviour {
            EndpointIndependent => "any",
            AddressDependent => "addr",
            AddressAndPortDependent => "port",
        };
        match self.is_open {
            true => f.pad("open"),
            false => f.pad(&format!("{}/{}", short(self.mapping), short(self.filtering))),
        }
    }
}

/// Two agents, of which the first has a relay where there is one at all. Candidates are told up to 2 s late and out of order;
/// every other seed loses a tenth of the datagrams.
fn scene(left: Kind, right: Kind, relay: bool, seed: u64) -> Net {
    let role = if seed % 4 < 2 { Role::Controlling } else { Role::Controlled };
    let mut net = Net::new(agent(role, seed), agent(role.opposite(), seed + 1_000), seed);
    net.set_loss(if seed.is_multiple_of(2) { 0.0 } else { 0.1 });
    net.start_server(addr(SERVER).ip());
    net.shuffle = ms(if seed == 0 { 0 } else { 500 });
    for node in 0..2 {
        let delay = if seed == 0 { 25 } else { net.rng.below(2_000) };
        net[node].signalling = Some(ms(delay));
    }
    net.exchange_credentials();
    if relay {
        net.add_relayed_address(0, RELAY, "198.51.100.1:7");
    }
    let now = net.now();
    for (node, kind) in [left, right].into_iter().enumerate() {
        kind.place(&mut net, node, seed);
        net[node].agent.add_stun_server(now, addr(SERVER));
    }
    net.end_of_addresses();
    net
}

/// By which candidates the first agent and the second connect.
fn used(net: &Net) -> [CandidateKind; 2] {
    let path = net[0].agent.selected_path().unwrap();
    let of_base = net[0].agent.local_candidates().iter().find(|c| c.address == path.local).unwrap();
    let of_peer = net[0].agent.remote_candidates().find(|c| c.address == path.remote).unwrap();
    [of_base.kind, of_peer.kind]
}

fn checks(net: &Net) -> u64 {
    net.hosts().map(|host| host.requests).sum()
}

fn table(relay: bool) {
    let kinds = Kind::all();
    println!("left        right       connects by        after    checks (seed 0)");
    for (index, left) in kinds.iter().enumerate() {
        for right in kinds.iter().skip(index) {
            for_each_seed(10, |seed| {
                let mut net = scene(*left, *right, relay, seed);
                let can_connect = relay || left.can_connect(*right);
                let limit = if can_connect { ms(30_000) } else { ms(50_000) };
                let connected = net.run_until_nominated(limit);
                assert_eq!(
                    connected,
                    can_connect,
                    "{left} and {right}, relay {relay}, after {:?}",
                    net.elapsed()
                );
                // Where every check comes from a port of its own, the ends learn from each other up to their limit.
                let pair = [left, right];
                let is_endless = !relay
                    && pair.iter().all(|kind| kind.mapping == AddressAndPortDependent)
                    && pair.iter().any(|kind| kind.filtering == EndpointIndependent);
                let most = if is_endless { 2 * 32 * 40 } else { 500 };
                assert!(checks(&net) < most, "{left} and {right}: {} checks", checks(&net));
                if !connected {
                    net.run_until(ms(120_000));
                    net.hosts().for_each(|host| assert_eq!(host.agent.state(), IceState::Failed));
                }
                if seed == 0 {
                    let by = if connected {
                        used(&net).map(|kind| kind.to_string()).join("-")
                    } else {
                        "nothing".into()
                    };
                    println!(
                        "{left:<11} {right:<11} {by:<15} {:>6} ms {:>5}",
                        net.elapsed().as_millis(),
                        checks(&net)
                    );
                    let bound = if relay { ms(2_000) } else { ms(3_000) };
                    assert!(!connected || net.elapsed() < bound, "{left} and {right}: {:?}", net.elapsed());
                }
            });
        }
    }
}

#[test]
fn every_pair_of_translators_that_can_connect_does() {
    table(false);
}

#[test]
fn with_a_relay_every_pair_of_translators_connects() {
    table(true);
}

/// Both ends at the same moment know everything, and have `ahead` pairs that lead nowhere and are better.
fn time_to_nomination(ahead: usize) -> Duration {
    let mut net = Net::new(agent(Role::Controlling, 1), agent(Role::Controlled, 2), 1);
    net.exchange_credentials();
    for number in 0..ahead {
        for node in 0..2 {
            net.add_address(node, &format!("[2001:db8:{number}::{}]:1000", node + 1));
        }
        net.cut(&format!("[2001:db8:{number}::1]:1"), &format!("[2001:db8:{number}::2]:1"));
    }
    // The last needed signalling message comes at a second.
    for node in 0..2 {
        net[node].signalling = Some(ms(1_000));
    }
    net.add_address(0, "192.0.2.1:1000");
    net.add_address(1, "198.51.100.1:2000");
    net.end_of_addresses();
    assert!(net.run_until_nominated(ms(10_000)));
    net.elapsed() - ms(1_000)
}

#[test]
fn a_path_of_50_ms_is_nominated_within_two_round_trips_and_the_pace_of_the_pairs_ahead() {
    for (ahead, pairs_ahead) in [(0, 0), (1, 1), (2, 4)] {
        let taken = time_to_nomination(ahead);
        let most = 2 * ms(50) + pairs_ahead * ms(50);
        assert!(taken <= most, "{taken:?} with {pairs_ahead} pairs ahead");
    }
}

#[test]
fn two_hosts_behind_one_translator_meet_directly_or_by_its_hairpin() {
    for (hairpin, isolated, connects) in [(false, false, true), (true, true, true), (false, true, false)] {
        let mut net = Net::new(agent(Role::Controlling, 1), agent(Role::Controlled, 2), 1);
        net.start_server(addr(SERVER).ip());
        net.exchange_credentials();
        let inside = ["10.1.0.2:1000", "10.1.0.3:2000"];
        let nat = Nat { hairpin, ..Nat::port_restricted("198.51.100.1".parse().unwrap()) };
        net.simulation.add_nat(nat, &inside.map(|inside| addr(inside).ip()));
        let now = net.now();
        for (node, inside) in inside.iter().enumerate() {
            net.add_address(node, inside);
            net[node].agent.add_stun_server(now, addr(SERVER));
        }
        // An access point that keeps its clients apart.
        if isolated {
            net.cut(inside[0], inside[1]);
        }
        net.end_of_addresses();
        assert_eq!(net.run_until_nominated(ms(20_000)), connects, "hairpin {hairpin}, isolated {isolated}");
    }
}

#[test]
fn one_translator_behind_another_is_crossed() {
    for_each_seed(10, |seed| {
        let mut net = Net::new(agent(Role::Controlling, seed), agent(Role::Controlled, seed + 9), seed);
        net.set_loss(if seed.is_multiple_of(2) { 0.0 } else { 0.1 });
        net.start_server(addr(SERVER).ip());
        net.exchange_credentials();
        let now = net.now();
        for (node, [inside, middle, outside]) in
            [["10.1.0.2", "100.64.0.1", "198.51.100.1"], ["10.2.0.2", "100.64.0.2", "198.51.100.2"]]
                .into_iter()
                .enumerate()
        {
            let [inside_ip, middle_ip, outside_ip] = [inside, middle, outside].map(|ip| ip.parse().unwrap());
            net.simulation.add_nat(Nat::port_restricted(middle_ip), &[inside_ip]);
            net.simulation.add_nat(Nat::port_restricted(outside_ip), &[middle_ip]);
            net.add_address(node, &format!("{inside}:1000"));
            net[node].agent.add_stun_server(now, addr(SERVER));
        }
        net.end_of_addresses();
        assert!(net.run_until_nominated(ms(20_000)));
    });
}

#[test]
fn a_host_with_ipv6_alone_reaches_one_with_ipv4_alone_through_nat64() {
    for filtering in BEHAVIOURS {
        for_each_seed(10, |seed| {
            let mut config = Config::new(Provider::default(), Role::Controlling);
            config.nat64_prefix = Some("64:ff9b::".parse().unwrap());
            let six = Agent::new(config, Rng::from_test_seed(seed));
            let mut net = Net::new(six, agent(Role::Controlled, seed + 9), seed);
            net.set_loss(if seed.is_multiple_of(2) { 0.0 } else { 0.1 });
            net.start_server(addr(SERVER).ip());
            net.exchange_credentials();
            let nat = Nat { filtering, ..Nat::full_cone("198.51.100.64".parse().unwrap()) };
            net.simulation.add_nat64(nat, &["2001:db8::6".parse().unwrap()]);
            net.add_address(0, "[2001:db8::6]:1000");
            let std::net::IpAddr::V4(server) = addr(SERVER).ip() else { panic!("IPv4") };
            let now = net.now();
            net[0].agent.add_stun_server(now, (nat64_address(server), 3478).into());
            net.simulation
                .add_nat(Nat::port_restricted("198.51.100.2".parse().unwrap()), &[addr("10.2.0.2:1").ip()]);
            net.add_address(1, "10.2.0.2:2000");
            net[1].agent.add_stun_server(now, addr(SERVER));
            net.end_of_addresses();
            assert!(net.run_until_nominated(ms(20_000)), "{filtering:?}");
            assert!(net[0].agent.selected_path().unwrap().remote.is_ipv6());
        });
    }
}

#[test]
fn behind_a_firewall_that_drops_udp_tcp_or_a_relay_is_found() {
    for with_tcp in [false, true] {
        for_each_seed(10, |seed| {
            let mut net = Net::new(agent(Role::Controlling, seed), agent(Role::Controlled, seed + 9), seed);
            net.exchange_credentials();
            net.simulation.block_udp(&[addr("10.1.0.2:1").ip()]);
            net.simulation
                .add_nat(Nat::port_restricted("198.51.100.1".parse().unwrap()), &[addr("10.1.0.2:1").ip()]);
            net.add_address(0, "10.1.0.2:1000");
            net.add_address(1, "198.51.100.2:2000");
            if with_tcp {
                net.add_tcp_address(0, "10.1.0.2:9", TcpType::Active);
                net.add_tcp_address(1, "198.51.100.2:443", TcpType::Passive);
            } else {
                // Over TLS, as it were: the firewall does not see into it.
                net.add_relayed_address(0, RELAY, "198.51.100.1:7");
            }
            net.end_of_addresses();
            assert!(net.run_until_nominated(ms(5_000)));
        });
    }
}

#[test]
fn bindings_live_as_long_as_the_connection() {
    let mut net = scene(Kind::all()[9], Kind::all()[1], false, 0);
    if !Kind::all()[9].can_connect(Kind::all()[1]) {
        net = scene(Kind::all()[3], Kind::all()[3], false, 0);
    }
    assert!(net.run_until_nominated(ms(5_000)));
    // Bindings of the simulated translators time out after two minutes without a datagram from inside.
    net.run_until(Duration::from_secs(3_600));
    net.hosts().for_each(|host| assert_eq!(host.agent.state(), IceState::Completed));
    let mut disconnected =
        net.hosts().flat_map(|host| host.states()).filter(|s| *s == IceState::Disconnected);
    assert_eq!(disconnected.next(), None);
}
