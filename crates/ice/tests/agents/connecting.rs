//! Two agents find a path.

use crate::net::{Net, addr, agent, ms};
use crate::script::Script;
use antiphon_ice::{Event, GatheringState, IceState, Role};
use antiphon_testkit::for_each_seed;
use antiphon_util::Path;

#[test]
fn two_hosts_nominate_within_two_round_trips() {
    let mut net = Net::pair(1);
    assert!(net.run_until_connected(ms(51)));
    assert!(net.run_until_nominated(ms(101)), "nominated after {:?}", net.elapsed());
    net.run_until(ms(300));
    let there = Path::udp(addr("192.0.2.1:1000"), addr("198.51.100.1:2000"));
    assert_eq!(net[0].agent.selected_path(), Some(there));
    assert_eq!(net[1].agent.selected_path(), Some(Path::udp(there.remote, there.local)));
    for node in net.hosts() {
        assert_eq!(node.agent.round_trip_time(), Some(ms(50)));
        assert_eq!(node.states(), [IceState::Checking, IceState::Connected, IceState::Completed]);
        assert_eq!(node.agent.drops().total(), 0);
    }
}

#[test]
fn no_time_passes_where_the_network_takes_none() {
    let mut net = Net::pair(2);
    net.set_delay(ms(0));
    assert!(net.run_until_nominated(ms(0)));
}

#[test]
fn lossy_paths_connect() {
    for loss in [0.05, 0.3] {
        for_each_seed(20, |seed| {
            let mut net = Net::pair(seed);
            net.set_loss(loss);
            assert!(net.run_until_nominated(ms(20_000)), "loss {loss}");
        });
    }
}

#[test]
fn equal_roles_are_sorted_out() {
    for role in [Role::Controlling, Role::Controlled] {
        for_each_seed(20, |seed| {
            let mut net = Net::new(agent(role, seed), agent(role, seed + 100), seed);
            net.exchange_credentials();
            net.add_address(0, "192.0.2.1:1000");
            net.add_address(1, "[2001:db8::1]:2000");
            net.add_address(1, "198.51.100.1:2000");
            net.end_of_addresses();
            assert!(net.run_until_nominated(ms(400)), "{role:?}");
            assert_ne!(net[0].agent.role(), net[1].agent.role());
        });
    }
}

#[test]
fn pairs_of_one_foundation_are_tried_one_after_the_other_until_the_first_is_repeated() {
    let mut script = Script::new(Role::Controlling);
    for port in 1..=4 {
        script.add_candidate(&format!("198.51.100.1:{port}"));
    }
    assert_eq!(script.take().len(), 1);
    assert_eq!(script.pass(ms(249)).len(), 0);
    let sent = script.pass(ms(2_000));
    let mut checked: Vec<Path> = sent.iter().map(|sent| sent.path).collect();
    checked.sort();
    checked.dedup();
    assert_eq!(checked.len(), 4);
}

#[test]
fn a_pair_that_works_frees_those_like_it() {
    let mut script = Script::new(Role::Controlled);
    for port in 1..=4 {
        script.add_candidate(&format!("198.51.100.1:{port}"));
    }
    let sent = script.take();
    script.answer_all(&sent);
    let sent = script.pass(ms(150));
    assert_eq!(sent.len(), 3, "one every 50 ms");
}

#[test]
fn every_step_is_told_once_and_in_order() {
    let mut net = Net::pair(1);
    net.run_until(ms(1_000));
    let agent = &net[0].agent;
    let expected = [
        Event::StateChanged(IceState::Checking),
        Event::CandidateGathered(agent.local_candidates()[0].clone()),
        Event::GatheringStateChanged(GatheringState::Gathering),
        Event::GatheringStateChanged(GatheringState::Complete),
        Event::SelectedPathChanged(agent.selected_path().unwrap()),
        Event::StateChanged(IceState::Connected),
        Event::StateChanged(IceState::Completed),
    ];
    let told: Vec<Event> = net[0].events.iter().map(|(_, event)| event.clone()).collect();
    assert_eq!(told, expected);
}
