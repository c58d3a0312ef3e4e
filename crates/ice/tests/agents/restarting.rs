//! ICE restart.

use antiphon_crypto::Provider;
use antiphon_ice::{Config, DropReason, Event, GatheringState, IceState, Role};
use antiphon_testkit::for_each_seed;
use antiphon_util::Path;

use crate::net::{Net, addr, ms};
use crate::script::{Script, path};

fn connected(seed: u64) -> Net {
    let mut net = Net::pair(seed);
    assert!(net.run_until_nominated(ms(1_000)));
    net.run_until(ms(1_000));
    net
}

/// Both restart, as an offer and its answer have them do it, with signalling that takes `delay` each way.
fn restart(net: &mut Net, delay: u64) {
    let now = net.now();
    net[0].agent.restart(now, None);
    net.run_until(net.elapsed() + ms(delay));
    let now = net.now();
    net[1].agent.restart(now, None);
    net.describe(0);
    net.run_until(net.elapsed() + ms(delay));
    net.describe(1);
}

#[test]
fn traffic_goes_on_while_a_restart_takes_seconds() {
    for_each_seed(10, |seed| {
        let mut net = connected(seed);
        let before: Vec<String> =
            net.hosts().map(|host| host.agent.local_credentials().ufrag.clone()).collect();
        net.hosts().for_each(|host| assert_eq!(host.agent.state(), IceState::Completed));
        let now = net.now();
        net[0].agent.restart(now, None);
        let mut said = net.chatter(0, ms(3_000));
        let now = net.now();
        net[1].agent.restart(now, None);
        net.describe(0);
        said += net.chatter(0, ms(40_000));
        net.describe(1);
        said += net.chatter(0, ms(2_000));
        net.run_until(net.elapsed() + ms(1_000));
        assert_eq!(net[1].heard.len(), said, "nothing is lost on a path that loses nothing");
        for (host, before) in net.hosts().zip(before) {
            use IceState::{Checking, Completed, Connected};
            assert_eq!(host.states(), [Checking, Connected, Completed, Connected, Completed]);
            assert!(host.agent.is_nominated());
            assert_ne!(host.agent.local_credentials().ufrag, before);
            assert_eq!(host.agent.drops().total(), 0);
        }
    });
}

#[test]
fn a_restart_finds_another_way_where_the_first_is_cut() {
    let mut net = connected(1);
    net.cut("192.0.2.1:1000", "198.51.100.1:2000");
    net.run_until(ms(20_000));
    assert_eq!(net[0].agent.state(), IceState::Disconnected);
    for (node, address) in [(0, "[2001:db8::1]:1000"), (1, "[2001:db8::2]:2000")] {
        net[node].signalling = None;
        net.add_address(node, address);
    }
    (0..2).for_each(|node| net[node].signalling = Some(ms(10)));
    restart(&mut net, 100);
    assert_eq!(net[0].agent.state(), IceState::Checking);
    assert!(net.run_until_nominated(net.elapsed() + ms(1_000)));
    let there = Path::udp(addr("[2001:db8::1]:1000"), addr("[2001:db8::2]:2000"));
    assert_eq!(net[0].agent.selected_path(), Some(there));
}

#[test]
fn an_agent_that_has_failed_comes_to_life_again() {
    let mut net = connected(2);
    net.cut("192.0.2.1:1000", "198.51.100.1:2000");
    net.run_until(ms(60_000));
    net.hosts().for_each(|host| assert_eq!(host.agent.state(), IceState::Failed));
    net.mend();
    restart(&mut net, 100);
    assert!(net.run_until_nominated(net.elapsed() + ms(1_000)));
    net.run_until(net.elapsed() + ms(100_000));
    net.hosts().for_each(|host| assert_eq!(host.agent.state(), IceState::Completed));
}

#[test]
fn consent_to_the_old_pair_expires_during_a_restart_that_nobody_answers() {
    let mut net = connected(3);
    let now = net.now();
    net[0].agent.restart(now, None);
    net.run_until(ms(100_000));
    assert!(net[0].agent.selected_path().is_some(), "the peer still answers for the old session");
    net.cut("192.0.2.1:1000", "198.51.100.1:2000");
    net.run_until(ms(140_000));
    assert_eq!(net[0].agent.selected_path(), None);
    let sent = net[0].transmitted;
    net.run_until(ms(1_000_000));
    assert_eq!(net[0].transmitted, sent);
    assert_eq!((net[0].agent.state(), net[0].agent.poll_timeout()), (IceState::Disconnected, None));
}

#[test]
fn a_restart_is_taken_back_as_if_it_had_not_been() {
    let mut net = connected(4);
    let credentials = net[0].agent.local_credentials().clone();
    assert!(!net_cancel(&mut net));
    let now = net.now();
    net[0].agent.restart(now, None);
    let said = net.chatter(0, ms(5_000));
    assert!(net_cancel(&mut net));
    assert_eq!(*net[0].agent.local_credentials(), credentials);
    assert!(net[0].agent.is_nominated());
    let said = said + net.chatter(0, ms(60_000));
    net.run_until(net.elapsed() + ms(1_000));
    assert_eq!(net[1].heard.len(), said);
    net.hosts().for_each(|host| assert_eq!(host.agent.state(), IceState::Completed));
}

fn net_cancel(net: &mut Net) -> bool {
    let now = net.now();
    net[0].agent.cancel_restart(now)
}

#[test]
fn a_restart_before_anything_works_and_one_of_a_restart_connect_all_the_same() {
    let mut net = Net::pair(5);
    net[0].signalling = Some(ms(1));
    restart(&mut net, 10);
    net.run_until(net.elapsed() + ms(30));
    restart(&mut net, 10);
    assert!(net.run_until_nominated(ms(2_000)));
    restart(&mut net, 10);
    restart(&mut net, 10);
    assert!(net.run_until_nominated(net.elapsed() + ms(2_000)));
}

#[test]
fn candidates_are_told_again_and_servers_asked_again() {
    let mut net = Net::pair(6);
    net.start_server("203.0.113.3".parse().unwrap());
    let now = net.now();
    net[0].agent.add_stun_server(now, addr("203.0.113.3:3478"));
    net.run_until(ms(1_000));
    net[0].events.clear();
    let now = net.now();
    net[0].agent.restart(now, None);
    net.run_until(ms(2_000));
    let told: Vec<&Event> = net[0].events.iter().map(|(_, event)| event).collect();
    let host = net[0].agent.local_candidates()[0].clone();
    let expected = [
        Event::StateChanged(IceState::Connected),
        Event::GatheringStateChanged(GatheringState::Gathering),
        Event::CandidateGathered(host),
        Event::GatheringStateChanged(GatheringState::Complete),
    ];
    assert_eq!(told, expected.iter().collect::<Vec<_>>());
}

#[test]
fn late_checks_for_the_old_session_are_answered_with_its_password_and_change_nothing() {
    let mut script = Script::new(Role::Controlled);
    let check = script.check(true);
    script.receive(path(), check);
    let sent = script.take();
    script.answer_all(&sent);
    let (old, late) = (script.agent.local_credentials().clone(), script.check(true));
    script.agent.restart(script.now, None);
    assert_eq!(script.agent.local_ufrags().count(), 2);
    let elsewhere = Path::udp(path().local, addr("198.51.100.77:1"));
    script.receive(elsewhere, late);
    let sent = script.take();
    assert!(sent.len() == 1 && sent[0].is_success() && sent[0].path == elsewhere);
    assert!(sent[0].message().verify_integrity(&crate::script::key(&old.pwd)));
    assert_eq!(script.agent.remote_candidates().count(), 0);
    assert_eq!(script.agent.selected_path(), Some(path()));

    // Made with the old fragment and the new password, a check is refused.
    let username = format!("{}:{}", old.ufrag, script.credentials.ufrag);
    let password = script.agent.local_credentials().pwd.clone();
    let forged = script.request(Some(&username), Some(&password), |_| {});
    script.receive(path(), forged);
    assert_eq!(script.take()[0].error(), Some(401));
}

#[test]
fn the_old_session_is_forgotten_when_its_consent_would_have_ended() {
    let mut net = connected(7);
    restart(&mut net, 10);
    assert!(net.run_until_nominated(net.elapsed() + ms(1_000)));
    assert_eq!(net[0].agent.local_ufrags().count(), 2);
    net.run_until(net.elapsed() + ms(31_000));
    net.hosts().for_each(|host| assert_eq!(host.agent.local_ufrags().count(), 1));
}

#[test]
fn a_closed_agent_does_not_restart() {
    let mut script = Script::before_signalling(Config::new(Provider::default(), Role::Controlling));
    script.agent.close();
    script.agent.restart(script.now, None);
    assert_eq!(script.agent.state(), IceState::Closed);
    assert!(script.take().is_empty());
    assert_eq!(script.agent.drops().of(DropReason::Ended), 0);
}
