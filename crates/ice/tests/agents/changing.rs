//! Interfaces that come and go, and pairs that turn out to be better.

use antiphon_crypto::Provider;
use antiphon_ice::{Agent, Config, Event, IceState, Role};
use antiphon_stun::AttributeType;
use antiphon_util::{Path, Rng};

use crate::net::{Net, addr, agent, ms};
use crate::script::{OURS, Script, path};

fn renominating(role: Role, seed: u64) -> Agent {
    let mut config = Config::new(Provider::default(), role);
    config.renomination = true;
    Agent::new(config, Rng::from_test_seed(seed))
}

/// Two agents on IPv4 that are about to get IPv6 as well.
fn on_one_interface(left: Agent, right: Agent) -> Net {
    let mut net = Net::new(left, right, 1);
    for node in 0..2 {
        net[node].agent.set_remote_renomination(true);
    }
    net.exchange_credentials();
    net.add_address(0, "192.0.2.1:1000");
    net.add_address(1, "198.51.100.1:2000");
    net.end_of_addresses();
    assert!(net.run_until_nominated(ms(1_000)));
    net.run_until(ms(10_000));
    net
}

#[test]
fn an_address_that_goes_away_leaves_the_traffic_to_another() {
    for gone in 0..2 {
        for role in [Role::Controlling, Role::Controlled] {
            let mut net = Net::new(agent(role, 1), agent(role.opposite(), 2), 1);
            net.exchange_credentials();
            net.add_address(0, "[2001:db8::1]:1000");
            net.add_address(0, "192.0.2.1:1000");
            net.add_address(1, "[2001:db8::2]:2000");
            net.add_address(1, "198.51.100.1:2000");
            net.end_of_addresses();
            assert!(net.run_until_nominated(ms(1_000)));
            net.run_until(ms(5_000));
            assert!(net[0].agent.selected_path().unwrap().local.is_ipv6());
            let removed = ["[2001:db8::1]:1000", "[2001:db8::2]:2000"][gone];
            let candidate = net[gone].agent.local_candidates()[0].clone();
            net.remove_address(gone, removed);
            net.run_until(net.elapsed() + ms(20_000));
            for host in net.hosts() {
                assert!(host.agent.selected_path().unwrap().local.is_ipv4(), "{role:?} {gone}");
                assert!(host.agent.is_nominated());
                assert_eq!(host.agent.state(), IceState::Completed);
            }
            let told = net[gone].events.iter().any(|(_, e)| *e == Event::CandidateRemoved(candidate.clone()));
            assert!(told && net[gone].agent.local_candidates().len() == 1);
        }
    }
}

#[test]
fn the_last_address_replaced_by_another_is_no_failure() {
    let mut net = Net::pair(1);
    assert!(net.run_until_nominated(ms(1_000)));
    net.remove_address(0, "192.0.2.1:1000");
    net.run_until(ms(5_000));
    assert_eq!((net[0].agent.state(), net[0].agent.selected_path()), (IceState::Disconnected, None));
    net.add_address(0, "192.0.2.99:1000");
    assert!(net.run_until_nominated(ms(6_000)), "a new address is checked at once");
    let back = Path::udp(addr("198.51.100.1:2000"), addr("192.0.2.99:1000"));
    net.run_until(ms(20_000));
    assert_eq!(net[1].agent.selected_path(), Some(back));
    net.hosts().for_each(|host| assert_eq!(host.agent.state(), IceState::Completed));
}

#[test]
fn a_lost_address_that_nothing_replaces_fails_when_consent_would_have() {
    let mut net = Net::pair(2);
    assert!(net.run_until_nominated(ms(1_000)));
    net.remove_address(0, "192.0.2.1:1000");
    net.run_until(ms(60_000));
    net.hosts().for_each(|host| assert_eq!(host.agent.state(), IceState::Failed));
}

#[test]
fn a_better_pair_is_nominated_in_place_of_the_one_in_use_where_both_agree() {
    for role in [Role::Controlling, Role::Controlled] {
        let mut net = on_one_interface(renominating(role, 1), renominating(role.opposite(), 2));
        // The direct way is open from the start only to what is worse.
        net.add_relayed_address(0, "203.0.113.9:49152", "192.0.2.1:1000");
        net.run_until(ms(20_000));
        assert_eq!(net[0].agent.selected_path().unwrap().local, addr("192.0.2.1:1000"), "no worse one");
        let mut net = {
            let mut net = Net::new(renominating(role, 1), renominating(role.opposite(), 2), 1);
            (0..2).for_each(|node| net[node].agent.set_remote_renomination(true));
            net.exchange_credentials();
            net.add_relayed_address(0, "203.0.113.9:49152", "192.0.2.1:1000");
            net.add_address(1, "198.51.100.1:2000");
            net.end_of_addresses();
            assert!(net.run_until_nominated(ms(1_000)));
            net.run_until(ms(10_000));
            net
        };
        net.add_address(0, "192.0.2.1:1000");
        net.run_until(ms(11_000));
        let there = Path::udp(addr("192.0.2.1:1000"), addr("198.51.100.1:2000"));
        assert_eq!(net[0].agent.selected_path(), Some(there), "{role:?}");
        assert_eq!(net[1].agent.selected_path(), Some(Path::udp(there.remote, there.local)));
        assert!(net.hosts().all(|host| host.agent.is_nominated()));
    }
}

#[test]
fn without_agreement_a_nomination_is_final_and_bears_no_number() {
    let mut net = Net::new(renominating(Role::Controlling, 1), agent(Role::Controlled, 2), 1);
    net.exchange_credentials();
    net.add_relayed_address(0, "203.0.113.9:49152", "192.0.2.1:1000");
    net.add_address(1, "198.51.100.1:2000");
    net.end_of_addresses();
    assert!(net.run_until_nominated(ms(1_000)));
    let first = net[0].agent.selected_path();
    net.add_address(0, "192.0.2.1:1000");
    net.run_until(ms(60_000));
    assert_eq!(net[0].agent.selected_path(), first);

    for agreed in [false, true] {
        let mut config = Config::new(Provider::default(), Role::Controlling);
        config.renomination = true;
        let mut script = Script::before_signalling(config);
        script.agent.set_remote_renomination(agreed);
        script.learn_credentials();
        script.add_candidate("198.51.100.1:2000");
        let sent = script.take();
        script.answer_all(&sent);
        let nomination = script.take();
        assert!(nomination[0].is_nomination());
        assert_eq!(nomination[0].message().find(AttributeType::NOMINATION).is_some(), agreed);
    }
}

#[test]
fn of_numbered_nominations_the_highest_counts_and_unasked_for_numbers_do_not() {
    let worse = Path::udp(addr(OURS), addr("198.51.100.9:2000"));
    for renomination in [false, true] {
        let mut config = Config::new(Provider::default(), Role::Controlled);
        config.renomination = renomination;
        let mut script = Script::before_signalling(config);
        script.learn_credentials();
        for (path, number, priority) in
            [(path(), 1, 2_000_000_000), (worse, 2, 1_000), (path(), 1, 2_000_000_000)]
        {
            let check = script.numbered_nomination(number, priority);
            script.receive(path, check);
            let sent = script.pass(ms(100));
            script.answer_all(&sent);
        }
        assert_eq!(script.agent.selected_path(), Some(if renomination { worse } else { path() }));
    }
}
