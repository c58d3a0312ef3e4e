//! Candidates over TCP (RFC 6544), as one agent sees them.

use antiphon_ice::{AddCandidateError, Addressee, Candidate, Event, IceState, Role, TcpType};
use antiphon_util::{Path, Protocol, Received};

use crate::net::{Net, addr, agent, ms};
use crate::script::{OURS, Script, THEIRS};

const ACTIVE: &str = "192.0.2.1:9";
const LISTENER: &str = "192.0.2.1:443";

fn script(tcp_type: TcpType) -> Script {
    let mut script = Script::new(Role::Controlling);
    script.agent.add_local_tcp_address(script.now, addr(LISTENER), tcp_type);
    script
}

fn add(script: &mut Script, address: &str, tcp_type: TcpType) {
    let candidate = Candidate::tcp(addr(address), tcp_type);
    script.agent.add_remote_candidate(script.now, candidate).unwrap();
}

fn checked(script: &mut Script) -> Vec<Path> {
    let sent = script.pass(ms(1_000));
    let mut paths: Vec<Path> = sent.iter().filter(|sent| sent.is_check()).map(|sent| sent.path).collect();
    paths.sort();
    paths.dedup();
    paths
}

#[test]
fn each_type_is_paired_with_its_opposite_by_the_end_that_opens() {
    use TcpType::{Active, Passive, SimultaneousOpen};
    for (local, remote, expected) in [
        (Active, Active, None),
        (Active, Passive, Some(Path::tcp(addr(ACTIVE), addr(THEIRS)))),
        (Active, SimultaneousOpen, None),
        (Passive, Active, None),
        (Passive, Passive, None),
        (Passive, SimultaneousOpen, None),
        (SimultaneousOpen, Active, None),
        (SimultaneousOpen, Passive, None),
        (SimultaneousOpen, SimultaneousOpen, Some(Path::tcp(addr(LISTENER), addr(THEIRS)))),
    ] {
        let mut script = script(local);
        add(&mut script, THEIRS, remote);
        assert_eq!(checked(&mut script), expected.into_iter().collect::<Vec<_>>(), "{local:?} {remote:?}");
    }
}

#[test]
fn an_active_candidate_has_port_9_and_any_tcp_one_comes_after_udp() {
    let mut script = script(TcpType::Active);
    script.agent.add_local_tcp_address(script.now, addr(LISTENER), TcpType::Passive);
    let gathered: Vec<Candidate> = std::iter::from_fn(|| script.agent.poll_event())
        .filter_map(|event| match event {
            Event::CandidateGathered(candidate) => Some(candidate),
            _ => None,
        })
        .collect();
    let shown: Vec<_> = gathered.iter().map(|c| (c.address, c.protocol, c.tcp_type)).collect();
    assert_eq!(
        shown,
        [
            (addr(OURS), Protocol::Udp, None),
            (addr(ACTIVE), Protocol::Tcp, Some(TcpType::Active)),
            (addr(LISTENER), Protocol::Tcp, Some(TcpType::Passive)),
        ]
    );
    assert!(gathered.is_sorted_by(|a, b| a.priority > b.priority));
    assert!(gathered[0].foundation != gathered[1].foundation);
}

#[test]
fn a_check_over_tcp_is_sent_once_and_its_answer_connects() {
    let mut script = script(TcpType::Active);
    add(&mut script, THEIRS, TcpType::Passive);
    let sent = script.pass(ms(10_000));
    assert_eq!(sent.len(), 1, "a connection may take long to open, and repeats what is lost");
    script.answer_all(&sent);
    let path = Path::tcp(addr(ACTIVE), addr(THEIRS));
    assert_eq!((script.agent.state(), script.agent.selected_path()), (IceState::Connected, Some(path)));
    let mut data = [22, 1, 2];
    let received = Received { path, ecn: None, datagram: &mut data };
    assert!(script.agent.handle_receive(script.now, received).is_some());
}

#[test]
fn an_accepted_connection_is_learned_by_its_check_and_answered_on_itself() {
    let mut script = script(TcpType::Passive);
    add(&mut script, "198.51.100.1:9", TcpType::Active);
    assert!(script.take().is_empty());
    let path = Path::tcp(addr(LISTENER), addr("198.51.100.1:50000"));
    let check = script.check(false);
    assert_eq!(Addressee::of(&check), Addressee::Ufrag(&script.agent.local_credentials().ufrag));
    script.receive(path, check);
    let sent = script.take();
    assert!(sent.len() == 2 && sent.iter().all(|sent| sent.path == path));
    script.answer_all(&sent);
    assert_eq!(script.agent.selected_path(), Some(path));
    let learned = script.agent.remote_candidates().last().unwrap();
    assert_eq!((learned.protocol, learned.tcp_type), (Protocol::Tcp, Some(TcpType::Active)));
}

#[test]
fn a_connection_that_cannot_be_opened_fails_its_pair() {
    let mut script = script(TcpType::Active);
    add(&mut script, THEIRS, TcpType::Passive);
    assert_eq!(script.take().len(), 1);
    script.agent.handle_connection_closed(script.now, Path::tcp(addr(ACTIVE), addr(THEIRS)));
    assert!(script.pass(ms(60_000)).is_empty());
    assert_eq!(script.agent.state(), IceState::Checking);
}

#[test]
fn a_connection_that_had_worked_is_opened_again_and_without_it_nothing_is_sent_or_let_in() {
    let path = Path::tcp(addr(ACTIVE), addr(THEIRS));
    let mut script = script(TcpType::Active);
    add(&mut script, THEIRS, TcpType::Passive);
    let sent = script.take();
    script.answer_all(&sent);
    let sent = script.take();
    script.answer_all(&sent);
    assert!(script.agent.is_nominated());

    script.agent.handle_connection_closed(script.now, path);
    assert_eq!((script.agent.state(), script.agent.selected_path()), (IceState::Disconnected, None));
    let mut data = [22, 1, 2];
    let received = Received { path, ecn: None, datagram: &mut data };
    assert!(script.agent.handle_receive(script.now, received).is_none());

    let sent = script.take();
    assert_eq!(sent.len(), 1, "asks for another connection");
    script.answer_all(&sent);
    assert_eq!((script.agent.state(), script.agent.selected_path()), (IceState::Connected, Some(path)));
}

#[test]
fn a_closed_connection_that_the_peer_had_opened_is_waited_for() {
    let path = Path::tcp(addr(LISTENER), addr("198.51.100.1:50000"));
    let mut script = script(TcpType::Passive);
    let check = script.check(false);
    script.receive(path, check);
    let sent = script.take();
    script.answer_all(&sent);
    script.take();
    script.agent.handle_connection_closed(script.now, path);
    assert_eq!((script.agent.state(), script.agent.selected_path()), (IceState::Disconnected, None));
    assert!(script.take().is_empty());

    let again = Path::tcp(addr(LISTENER), addr("198.51.100.1:50001"));
    let check = script.check(false);
    script.receive(again, check);
    let sent = script.take();
    script.answer_all(&sent);
    assert_eq!(script.agent.selected_path(), Some(again));
}

#[test]
fn agents_whose_firewall_drops_udp_meet_over_tcp() {
    for blocked in 0..2 {
        for role in [Role::Controlling, Role::Controlled] {
            let mut net = Net::new(agent(role, 1), agent(role.opposite(), 2), 1);
            net.exchange_credentials();
            for (node, address) in [(0, "192.0.2.1"), (1, "198.51.100.1")] {
                net.add_address(node, &format!("{address}:1000"));
                net.add_tcp_address(node, &format!("{address}:9"), TcpType::Active);
                net.add_tcp_address(node, &format!("{address}:443"), TcpType::Passive);
            }
            let address = ["192.0.2.1", "198.51.100.1"][blocked];
            net.simulation.block_udp(&[address.parse().unwrap()]);
            net.end_of_addresses();
            assert!(net.run_until_nominated(ms(2_000)), "{role:?}");
            net.run_until(ms(120_000));
            for host in net.hosts() {
                assert_eq!(host.agent.selected_path().unwrap().protocol, Protocol::Tcp);
                assert_eq!(host.agent.state(), IceState::Completed);
            }
            let said = net.chatter(0, ms(1_000));
            net.run_until(net.elapsed() + ms(100));
            assert_eq!(net[1].heard.len(), said);
        }
    }
}

#[test]
fn a_candidate_whose_protocol_and_type_do_not_fit_is_refused() {
    let mut script = Script::new(Role::Controlling);
    let mut untyped = Candidate::tcp(addr(THEIRS), TcpType::Passive);
    untyped.tcp_type = None;
    let mut typed = Candidate::host(addr(THEIRS));
    typed.tcp_type = Some(TcpType::Passive);
    for candidate in [untyped, typed] {
        let added = script.agent.add_remote_candidate(script.now, candidate);
        assert_eq!(added, Err(AddCandidateError::Protocol));
    }
}
