//! Consent is kept, lost and found again.

use antiphon_ice::{Event, IceState, Role};
use antiphon_testkit::for_each_seed;
use antiphon_util::Path;

use crate::net::{Net, addr, agent, ms};

fn connected(seed: u64) -> Net {
    let mut net = Net::pair(seed);
    assert!(net.run_until_nominated(ms(1_000)));
    net.run_until(ms(1_000));
    net
}

fn cut(net: &mut Net) {
    net.cut("192.0.2.1:1000", "198.51.100.1:2000");
}

#[test]
fn an_idle_pair_is_checked_every_few_seconds_and_stays() {
    let mut net = connected(1);
    let before = net[0].transmitted;
    net.run_until(ms(600_000));
    let checks_and_answers = net[0].transmitted - before;
    // About 120 checks of its own and as many answers.
    assert!((200..=300).contains(&checks_and_answers), "{checks_and_answers}");
    assert_eq!(net[0].agent.state(), IceState::Completed);
    assert_eq!(net[0].agent.round_trip_time(), Some(ms(50)));
}

#[test]
fn a_cut_shows_as_disconnected_and_then_failed() {
    let mut net = connected(2);
    cut(&mut net);
    net.run_until(ms(60_000));
    for node in net.hosts() {
        use IceState::{Checking, Completed, Connected, Disconnected, Failed};
        assert_eq!(node.states(), [Checking, Connected, Completed, Disconnected, Failed]);
        let disconnected = node.since(Disconnected).unwrap();
        assert!((ms(6_000)..ms(13_000)).contains(&disconnected), "{disconnected:?}");
        let failed = node.since(Failed).unwrap();
        assert!((ms(25_000)..=ms(31_200)).contains(&failed), "{failed:?}");
        assert_eq!((node.agent.selected_path(), node.agent.poll_timeout()), (None, None));
    }
    let sent = net[0].transmitted;
    net.run_until(ms(600_000));
    assert_eq!(net[0].transmitted, sent, "nothing is sent without consent");
}

#[test]
fn a_path_that_comes_back_in_time_is_used_again() {
    let mut net = connected(3);
    cut(&mut net);
    net.run_until(ms(20_000));
    assert_eq!(net[0].agent.state(), IceState::Disconnected);
    net.mend();
    net.run_until(ms(21_000));
    for node in net.hosts() {
        assert_eq!(node.agent.state(), IceState::Completed);
    }
    net.run_until(ms(120_000));
    assert_eq!(net[1].agent.state(), IceState::Completed);
}

#[test]
fn heavy_loss_hardly_ever_looks_like_a_cut() {
    let (mut runs, mut disconnected) = (0, 0);
    for_each_seed(20, |seed| {
        runs += 1;
        let mut net = connected(seed);
        net.set_loss(0.3);
        net.run_until(ms(120_000));
        let told = |event: &Event| *event == Event::StateChanged(IceState::Disconnected);
        disconnected += net.hosts().flat_map(|node| &node.events).filter(|(_, event)| told(event)).count();
        assert!(net.hosts().all(|node| node.agent.state() != IceState::Failed));
    });
    assert!(disconnected <= 2 + runs / 10, "{disconnected} times in {runs} × 4 minutes");
}

#[test]
fn another_pair_that_works_takes_over_from_one_that_is_cut() {
    for role in [Role::Controlling, Role::Controlled] {
        let mut net = Net::new(agent(role, 1), agent(role.opposite(), 2), 1);
        net.exchange_credentials();
        let addresses =
            [["192.0.2.1:1000", "[2001:db8::1]:1000"], ["198.51.100.1:2000", "[2001:db8::2]:2000"]];
        for (node, own) in addresses.iter().enumerate() {
            own.iter().for_each(|own| net.add_address(node, own));
        }
        net.end_of_addresses();
        assert!(net.run_until_nominated(ms(1_000)));
        net.run_until(ms(100_000));
        let first = net[0].agent.selected_path().unwrap();
        net.cut(&first.local.to_string(), &first.remote.to_string());
        net.run_until(ms(112_000));
        for node in net.hosts() {
            assert_eq!(node.agent.state(), IceState::Completed, "{role:?}");
        }
        let [there, back] = [0, 1].map(|node| net[node].agent.selected_path().unwrap());
        assert_ne!(there, first);
        assert_eq!((there.local, there.remote), (back.remote, back.local));
        net.run_until(ms(300_000));
        assert_eq!(net[1].agent.state(), IceState::Completed, "{role:?}");
    }
}

#[test]
fn only_validated_paths_carry_other_datagrams() {
    let mut net = Net::pair(4);
    let there = Path::udp(addr("198.51.100.1:2000"), addr("192.0.2.1:1000"));
    let elsewhere = Path::udp(there.local, addr("192.0.2.1:1001"));
    assert!(!net.inject(1, there, &mut [22, 254, 253]));
    net.run_until_nominated(ms(1_000));
    assert!(net.inject(1, there, &mut [22, 254, 253]));
    assert!(!net.inject(1, elsewhere, &mut [22, 254, 253]));
    assert!(!net.inject(1, there, &mut []));
    net[1].agent.close();
    assert!(!net.inject(1, there, &mut [22, 254, 253]));
    assert_eq!(net[1].agent.state(), IceState::Closed);
}
