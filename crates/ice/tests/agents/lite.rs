//! Lite agents, on either side.

use antiphon_crypto::Provider;
use antiphon_ice::{Agent, CandidateKind, Config, IceState, Role};
use antiphon_testkit::for_each_seed;
use antiphon_util::Rng;

use crate::net::{Net, addr, agent, ms};
use crate::script::{Script, path};

fn lite(seed: u64) -> Agent {
    let mut config = Config::new(Provider::default(), Role::Controlling);
    config.lite = true;
    Agent::new(config, Rng::from_test_seed(seed))
}

fn with_lite(seed: u64) -> Net {
    let mut net = Net::new(agent(Role::Controlling, seed), lite(seed + 7), seed);
    net.exchange_credentials();
    net.add_address(0, "192.0.2.1:1000");
    net.add_address(1, "198.51.100.1:2000");
    net.end_of_addresses();
    net
}

#[test]
fn a_full_agent_connects_to_a_lite_one_which_sends_no_check() {
    for_each_seed(20, |seed| {
        let mut net = with_lite(seed);
        net.set_loss(if seed.is_multiple_of(2) { 0.0 } else { 0.2 });
        assert!(net.run_until_nominated(ms(20_000)));
        net.run_until(ms(120_000));
        assert_eq!(net[1].requests, 0);
        assert_eq!((net[0].agent.role(), net[1].agent.role()), (Role::Controlling, Role::Controlled));
        net.hosts().for_each(|host| assert_eq!(host.agent.state(), IceState::Completed));
        let said = net.chatter(1, ms(1_000));
        assert!(said > 0 && !net[0].heard.is_empty());
    });
}

#[test]
fn a_lite_agent_takes_the_peers_checks_for_consent_and_stops_without_them() {
    let mut net = with_lite(1);
    assert!(net.run_until_nominated(ms(1_000)));
    net.cut("192.0.2.1:1000", "198.51.100.1:2000");
    net.run_until(ms(60_000));
    use IceState::{Checking, Completed, Disconnected, Failed};
    assert_eq!(net[1].states(), [Checking, Completed, Disconnected, Failed]);
    let failed = net[1].since(Failed).unwrap();
    assert!((ms(30_000)..ms(36_200)).contains(&failed), "{failed:?}");
    assert_eq!(net[1].agent.selected_path(), None);
}

#[test]
fn a_lite_agent_has_host_candidates_only_and_is_always_controlled() {
    let mut net = with_lite(2);
    let now = net.now();
    net[1].agent.add_stun_server(now, addr("203.0.113.3:3478"));
    net[1].agent.set_role(Role::Controlling);
    net.run_until(ms(1_000));
    assert_eq!(net[1].agent.role(), Role::Controlled);
    let kinds: Vec<CandidateKind> = net[1].agent.local_candidates().iter().map(|c| c.kind).collect();
    assert_eq!(kinds, [CandidateKind::Host]);
}

#[test]
fn a_lite_agent_refuses_the_controlled_role_to_others() {
    let mut config = Config::new(Provider::default(), Role::Controlled);
    config.lite = true;
    for tie_breaker in [0, u64::MAX] {
        let mut script = Script::before_signalling(config.clone());
        script.learn_credentials();
        (script.role, script.tie_breaker) = (Role::Controlled, tie_breaker);
        let check = script.check(false);
        script.receive(path(), check);
        assert_eq!(script.take()[0].error(), Some(487));
        assert_eq!(script.agent.role(), Role::Controlled);
    }
}

#[test]
fn two_lite_agents_stay_silent() {
    let mut net = Net::new(lite(1), lite(2), 1);
    net.exchange_credentials();
    net.add_address(0, "192.0.2.1:1000");
    net.add_address(1, "198.51.100.1:2000");
    net.end_of_addresses();
    assert!(!net.run_until_connected(ms(60_000)));
    assert_eq!((net[0].transmitted, net[1].transmitted), (0, 0));
}

#[test]
fn a_lite_agent_restarts() {
    let mut net = with_lite(3);
    assert!(net.run_until_nominated(ms(1_000)));
    let now = net.now();
    (0..2).for_each(|node| net[node].agent.restart(now, None));
    (0..2).for_each(|node| net.describe(node));
    let said = net.chatter(1, ms(2_000));
    net.run_until(net.elapsed() + ms(100));
    assert!(net[1].agent.is_nominated());
    assert_eq!(net[0].heard.len(), said);
}
