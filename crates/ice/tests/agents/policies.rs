//! Settings that say which addresses are used, and what is told of them.

use antiphon_crypto::Provider;
use antiphon_ice::{
    AddCandidateError, AddressPolicy, AddressRewrite, Agent, Candidate, CandidateKind, CandidatePairState,
    CheckBudget, Config, DropReason, Event, IceState, Role, TransportPolicy,
};
use antiphon_testkit::Nat;
use antiphon_util::{Path, Protocol, Rng};

use crate::net::{Net, addr, agent, ms};
use crate::script::{OURS, Script, THEIRS, path};

fn config(role: Role) -> Config {
    Config::new(Provider::default(), role)
}

fn with(config: Config) -> Agent {
    Agent::new(config, Rng::from_test_seed(5))
}

fn gathered(net: &Net, node: usize) -> Vec<(CandidateKind, String, Option<String>)> {
    let told = |event: &Event| match event {
        Event::CandidateGathered(c) => {
            Some((c.kind, c.address.to_string(), c.related.map(|related| related.to_string())))
        }
        _ => None,
    };
    net[node].events.iter().filter_map(|(_, event)| told(event)).collect()
}

#[test]
fn the_relay_policy_sends_nothing_from_the_host_and_names_none_of_its_addresses() {
    let mut relayed = config(Role::Controlling);
    relayed.transport_policy = TransportPolicy::Relay;
    let mut net = Net::new(with(relayed), agent(Role::Controlled, 2), 1);
    net.start_server("203.0.113.3".parse().unwrap());
    net.exchange_credentials();
    let now = net.now();
    net[0].agent.add_stun_server(now, addr("203.0.113.3:3478"));
    net.add_address(0, "192.0.2.1:1000");
    net.add_relayed_address(0, "203.0.113.9:49152", "192.0.2.1:1000");
    net.add_address(1, "198.51.100.1:2000");
    net.end_of_addresses();
    assert!(net.run_until_nominated(ms(2_000)));
    // What comes to the host address all the same is not answered.
    let check = Path::udp(addr("192.0.2.1:1000"), addr("198.51.100.1:2000"));
    net.inject(0, check, &mut [0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    net.run_until(ms(60_000));
    assert_eq!(net[0].sources, [addr("203.0.113.9:49152")]);
    let expected = (CandidateKind::Relayed, "203.0.113.9:49152".to_owned(), Some("0.0.0.0:9".to_owned()));
    assert_eq!(gathered(&net, 0), [expected]);
}

#[test]
fn denied_addresses_of_the_peer_are_neither_checked_nor_answered() {
    let mut public = config(Role::Controlled);
    public.remote_addresses = AddressPolicy::public_only();
    let mut script = Script::before_signalling(public);
    script.learn_credentials();
    for denied in ["127.0.0.1:80", "[::ffff:10.0.0.1]:80", "[64:ff9b::a00:1]:80", "[2002:a00:1::]:80"] {
        let added = script.agent.add_remote_candidate(script.now, Candidate::host(addr(denied)));
        assert_eq!(added, Err(AddCandidateError::NotPermitted), "{denied}");
    }
    let check = script.check(true);
    script.receive(Path::udp(addr(OURS), addr("10.0.0.1:53")), check);
    assert!(script.pass(ms(1_000)).is_empty());
    assert_eq!(script.agent.drops().of(DropReason::NotPermitted), 1);

    let check = script.check(true);
    script.receive(Path::udp(addr(OURS), addr("8.8.8.8:53")), check);
    assert_eq!(script.take().len(), 2, "an answer and a check");
}

#[test]
fn denied_local_addresses_are_left_out() {
    let mut filtered = config(Role::Controlling);
    filtered.local_addresses.deny = vec!["10.0.0.0/8".parse().unwrap(), "::/0".parse().unwrap()];
    let mut agent = with(filtered);
    let now = antiphon_testkit::origin();
    for address in ["10.1.2.3:1", "192.0.2.1:1", "[2001:db8::1]:1"] {
        agent.add_local_address(now, addr(address));
    }
    let addresses: Vec<_> = agent.local_candidates().iter().map(|c| c.address).collect();
    assert_eq!(addresses, [addr("192.0.2.1:1")]);
}

#[test]
fn an_external_address_takes_the_place_of_the_local_one_or_stands_beside_it() {
    for keep_local in [false, true] {
        let mut mapped = config(Role::Controlling);
        let external = "198.51.100.1".parse().unwrap();
        mapped.address_rewrites = vec![AddressRewrite { local: None, external, keep_local }];
        let mut net = Net::new(with(mapped), agent(Role::Controlled, 2), 1);
        net.exchange_credentials();
        let nat = Nat { port_preservation: true, ..Nat::full_cone(external) };
        net.simulation.add_nat(nat, &["10.0.0.2".parse().unwrap()]);
        net.add_address(0, "10.0.0.2:1000");
        net.add_address(1, "198.51.100.2:2000");
        net.end_of_addresses();
        assert!(net.run_until_nominated(ms(2_000)));
        let host = |address: &str| (CandidateKind::Host, address.to_owned(), None);
        let expected = match keep_local {
            false => vec![host("198.51.100.1:1000")],
            true => {
                let related = Some("10.0.0.2:1000".to_owned());
                let reflexive = (CandidateKind::ServerReflexive, "198.51.100.1:1000".to_owned(), related);
                vec![host("10.0.0.2:1000"), reflexive]
            }
        };
        assert_eq!(gathered(&net, 0), expected);
        let now = net.now();
        net[0].agent.restart(now, None);
        assert_eq!(net[0].agent.local_candidates().len(), expected.len(), "after a restart as well");
        net[0].agent.remove_local_address(now, Protocol::Udp, addr("10.0.0.2:1000"));
        assert!(net[0].agent.local_candidates().is_empty());
    }
}

#[test]
fn several_servers_are_asked_at_once_and_silent_ones_don_t_hold_up_the_others() {
    let mut net = Net::new(agent(Role::Controlling, 1), agent(Role::Controlled, 2), 1);
    net.start_server("203.0.113.3".parse().unwrap());
    net.simulation
        .add_nat(Nat::port_restricted("198.51.100.1".parse().unwrap()), &["10.0.0.2".parse().unwrap()]);
    net.add_address(0, "10.0.0.2:1000");
    let now = net.now();
    for server in ["203.0.113.77:3478", "203.0.113.78:3478", "203.0.113.3:3478"] {
        net[0].agent.add_stun_server(now, addr(server));
    }
    net[0].agent.end_of_local_addresses(now);
    net.run_until(ms(200));
    assert_eq!(gathered(&net, 0).len(), 2, "asked Ta apart, answered after 50 ms");
    let is_complete = |net: &Net| net[0].agent.gathering_state() == antiphon_ice::GatheringState::Complete;
    assert!(!is_complete(&net));
    net.run_until(ms(6_000));
    assert!(is_complete(&net));
}

#[test]
fn a_link_local_address_is_reached_through_the_interface_of_the_base() {
    let mut script = Script::new(Role::Controlling);
    let zone = |text: &str, zone| {
        let std::net::SocketAddr::V6(mut v6) = addr(text) else { panic!("IPv6") };
        v6.set_scope_id(zone);
        v6.into()
    };
    let local = zone("[fe80::1]:1000", 3);
    script.agent.add_local_address(script.now, local);
    script.add_candidate("[fe80::2]:2000");
    let sent = script.take();
    let expected = Path::udp(local, zone("[fe80::2]:2000", 3));
    assert_eq!(sent.iter().map(|sent| sent.path).collect::<Vec<_>>(), [expected]);
    script.answer_all(&sent);
    assert_eq!(script.agent.selected_path(), Some(expected));
    assert_eq!(script.agent.remote_candidates().count(), 1);
}

#[test]
fn an_address_that_never_answers_gets_a_bounded_number_of_checks_from_all_agents_together() {
    let budget = CheckBudget::new(100, 1_000);
    let mut sent = 0;
    for number in 0..10 {
        let mut shared = config(Role::Controlling);
        shared.budget = budget.clone();
        let mut script = Script::before_signalling(shared);
        script.learn_credentials();
        for port in 0..60 {
            script.add_candidate(&format!("198.51.100.1:{}", 2_000 + 100 * number + port));
        }
        sent += script.pass(ms(5_000)).len();
        if number == 9 {
            assert!(script.agent.drops().of(DropReason::CheckBudget) > 0);
            // Another address is not affected.
            script.add_candidate("198.51.100.77:1");
            let check = script
                .pass(ms(3_000))
                .into_iter()
                .find(|sent| sent.path.remote.ip() == addr("198.51.100.77:1").ip());
            assert!(check.is_some());
        }
    }
    assert_eq!(sent, 100);
}

#[test]
fn pairs_are_counted_by_what_went_over_them() {
    let mut script = Script::new(Role::Controlling);
    script.add_candidate(THEIRS);
    script.add_candidate("198.51.100.9:2000");
    let check = script.check(false);
    script.receive(path(), check);
    script.now += ms(40);
    let sent = script.take();
    let (ours, others): (Vec<_>, Vec<_>) = sent.into_iter().partition(|sent| sent.path == path());
    script.answer_all(&ours);
    let pairs: Vec<_> = script.agent.candidate_pairs().collect();
    assert_eq!(pairs.len(), 2);
    let first = pairs.iter().find(|pair| pair.path == path()).unwrap();
    assert_eq!((first.state, first.selected, first.nominated), (CandidatePairState::Succeeded, true, false));
    assert_eq!((first.requests_received, first.responses_sent), (1, 1));
    assert_eq!((first.requests_sent, first.responses_received, first.consent_requests_sent), (1, 1, 0));
    assert!(first.current_round_trip_time.is_some() && first.last_response_at == Some(script.now));
    let other = pairs.iter().find(|pair| pair.path != path()).unwrap();
    assert_eq!((other.requests_sent, other.responses_received), (others.len() as u64, 0));

    let nomination = script.take();
    script.answer_all(&nomination);
    let sent = script.pass(ms(7_000));
    script.answer_all(&sent);
    let first = script.agent.candidate_pairs().find(|pair| pair.selected).unwrap();
    assert!(first.nominated && first.consent_requests_sent >= 1);
    assert_eq!(script.agent.state(), IceState::Connected);
}
