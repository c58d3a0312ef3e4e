//! Messages that somebody makes up: no effect on the agent, bounded answers, bounded memory.

use antiphon_crypto::Provider;
use antiphon_ice::{AddCandidateError, Addressee, Candidate, Config, DropReason, IceState, Role, Standing};
use antiphon_stun::{Attribute, AttributeType, ErrorCode, RawAttribute};
use antiphon_util::{Path, Received};

use crate::net::{addr, ms};
use crate::script::{OURS, Script, THEIRS, path};

fn from(index: u32) -> Path {
    let [_, a, b, c] = index.to_be_bytes();
    Path::udp(addr(OURS), std::net::SocketAddr::from(([10, a, b, c], 4_000)))
}

/// What an outsider could see change.
fn shows(script: &Script) -> (IceState, Role, Option<Path>, usize, Option<std::time::Instant>) {
    let agent = &script.agent;
    let learned = agent.remote_candidates().count();
    (agent.state(), agent.role(), agent.selected_path(), learned, agent.poll_timeout())
}

#[test]
fn wrong_credentials_are_refused_and_change_nothing() {
    let mut script = Script::new(Role::Controlled);
    let (local, remote) = (script.agent.local_credentials().clone(), script.credentials.clone());
    let good = format!("{}:{}", local.ufrag, remote.ufrag);
    let before = shows(&script);
    let cases = [
        (Some(good.clone()), Some("a wrong password".to_owned()), 401),
        (Some(good.clone()), Some(remote.pwd.clone()), 401),
        (Some(good.clone()), None, 400),
        (None, Some(local.pwd.clone()), 400),
        (Some(format!("{}:other", local.ufrag)), Some(local.pwd.clone()), 401),
        (Some(format!("other:{}", remote.ufrag)), Some(local.pwd.clone()), 401),
        (Some(local.ufrag.clone()), Some(local.pwd), 401),
    ];
    for (username, password, expected) in cases {
        script.now += ms(1_000);
        let request = script.request(username.as_deref(), password.as_deref(), |builder| {
            builder.attribute(&Attribute::IceControlled(u64::MAX));
            builder.attribute(&Attribute::UseCandidate);
            builder.attribute(&Attribute::Priority(1));
        });
        script.receive(path(), request.clone());
        let sent = script.take();
        assert_eq!(sent.len(), 1);
        assert_eq!(sent[0].error(), Some(expected), "{username:?}");
        assert!(!sent[0].message().has_integrity() && sent[0].bytes.len() <= request.len());
        assert_eq!(shows(&script), before);
        let mut data = [22, 1, 2];
        let received = Received { path: path(), ecn: None, datagram: &mut data };
        assert!(script.agent.handle_receive(script.now, received).is_none());
    }
}

#[test]
fn a_path_stands_as_answered_only_once_the_peer_has_shown_that_it_receives_there() {
    let mut script = Script::new(Role::Controlled);
    assert_eq!(script.agent.standing(path()), None);
    let check = script.check(false);
    script.receive(path(), check);
    assert_eq!(script.agent.standing(path()), Some(Standing::Checked));
    let sent = script.take();
    for request in sent.iter().filter(|sent| sent.is_check()) {
        let answer = script.answer(&request.bytes);
        assert_eq!(Addressee::of(&answer), Addressee::Transaction(script.agent.transaction_tag()));
    }
    script.answer_all(&sent);
    assert_eq!(script.agent.standing(path()), Some(Standing::Answered));
    assert_eq!(script.agent.standing(from(1)), None);
}

#[test]
fn attributes_that_have_to_be_understood_are_named_in_a_refusal() {
    let mut script = Script::new(Role::Controlled);
    let (local, remote) = (script.agent.local_credentials().clone(), script.credentials.clone());
    let username = format!("{}:{}", local.ufrag, remote.ufrag);
    let before = shows(&script);
    let request = script.request(Some(&username), Some(&local.pwd), |builder| {
        builder.attribute(&Attribute::Priority(1));
        builder.attribute(&Attribute::Unknown(RawAttribute { kind: AttributeType(0x7abc), value: &[] }));
    });
    script.receive(path(), request);
    let sent = script.take();
    assert_eq!((sent.len(), sent[0].error()), (1, Some(420)));
    assert!(sent[0].message().verify_integrity(&crate::script::key(&local.pwd)));
    let Some(Attribute::UnknownAttributes(unknown)) =
        sent[0].message().attribute(AttributeType::UNKNOWN_ATTRIBUTES)
    else {
        panic!("no list of unknown attributes");
    };
    assert_eq!(unknown.iter().collect::<Vec<_>>(), [AttributeType(0x7abc)]);
    assert_eq!(shows(&script), before);
}

#[test]
fn spoofed_responses_change_nothing() {
    let mut script = Script::new(Role::Controlling);
    script.add_candidate(THEIRS);
    let sent = script.take();
    assert!(sent.len() == 1 && sent[0].is_check());
    let request = &sent[0].bytes;
    let before = shows(&script);
    let local_pwd = script.agent.local_credentials().pwd.clone();
    let forged = [
        script.answer_with(request, addr(OURS), "guessed"),
        script.answer_with(request, addr(OURS), &local_pwd),
        script.refusal(request, ErrorCode::ROLE_CONFLICT, None),
        script.refusal(request, ErrorCode::ROLE_CONFLICT, Some("guessed")),
        script.refusal(request, ErrorCode::UNAUTHENTICATED, None),
        script.refusal(request, ErrorCode { code: 500, reason: "" }, None),
    ];
    for answer in forged {
        script.receive(path(), answer);
        assert_eq!(shows(&script), before);
    }
    assert_eq!(script.agent.drops().of(DropReason::BadResponseIntegrity), 6);
    // To a request that was never made:
    let other = script.check(false);
    let answer = script.answer(&other);
    script.receive(path(), answer);
    assert_eq!(script.agent.drops().of(DropReason::UnknownTransaction), 1);
    assert_eq!(shows(&script), before);
    script.answer_all(&sent);
    assert_eq!(script.agent.state(), IceState::Connected);
}

#[test]
fn a_response_from_elsewhere_fails_the_check() {
    let mut script = Script::new(Role::Controlling);
    script.add_candidate(THEIRS);
    let sent = script.take();
    let answer = script.answer(&sent[0].bytes);
    script.receive(from(1), answer);
    assert_eq!(script.agent.drops().of(DropReason::AsymmetricResponse), 1);
    script.answer_all(&sent);
    assert_eq!(script.agent.state(), IceState::Checking);
    assert!(script.pass(ms(60_000)).is_empty());
}

#[test]
fn a_conflict_answered_by_the_peer_changes_role_and_checks_again() {
    let mut script = Script::new(Role::Controlling);
    script.add_candidate(THEIRS);
    let sent = script.take();
    let answer = script.refusal(&sent[0].bytes, ErrorCode::ROLE_CONFLICT, Some(&script.credentials.pwd));
    script.receive(path(), answer);
    assert_eq!(script.agent.role(), Role::Controlled);
    let again = script.take();
    assert_eq!(again.len(), 1);
    assert!(again[0].message().find(AttributeType::ICE_CONTROLLED).is_some());
    assert_ne!(again[0].message().id(), sent[0].message().id());
}

#[test]
fn a_check_without_priority_is_refused() {
    let mut script = Script::new(Role::Controlled);
    let (local, remote) = (script.agent.local_credentials().clone(), script.credentials.clone());
    let username = format!("{}:{}", local.ufrag, remote.ufrag);
    let request = script.request(Some(&username), Some(&local.pwd), |_| {});
    script.receive(path(), request);
    assert_eq!(script.take()[0].error(), Some(400));
}

#[test]
fn a_flood_of_user_names_gets_few_answers_and_leaves_nothing() {
    let mut script = Script::new(Role::Controlled);
    let before = shows(&script);
    let (mut answers, seconds) = (0, 10);
    for second in 0..seconds {
        for index in 0..10_000 {
            let username = format!("user{second}x{index}:peer");
            let request = script.request(Some(&username), Some("password"), |_| {});
            script.receive(from(second * 10_000 + index), request);
            answers += script.take().len();
        }
        script.now += ms(1_000);
    }
    assert_eq!(answers, 10 * 10, "ten a second");
    assert_eq!(shows(&script), before);
    let drops = script.agent.drops();
    assert_eq!(drops.of(DropReason::Unauthenticated), 100_000);
    assert_eq!(drops.of(DropReason::ErrorLimit), 100_000 - 100);
}

#[test]
fn a_flood_of_addresses_by_the_peer_itself_learns_a_bounded_number() {
    for (count, known, pairs) in [(32, 32, 32), (320, 32, 32), (100_000, 32, 32)] {
        let mut script = Script::new(Role::Controlled);
        let mut checks = 0;
        for index in 0..count {
            let request = script.check(false);
            script.receive(from(index), request);
            let sent = script.take();
            assert!(sent[0].is_success());
            checks += sent.len() - 1;
        }
        assert_eq!(script.agent.remote_candidates().count(), known);
        assert_eq!(checks, pairs, "one check each, none to those beyond the limit");
        let dropped = u64::from(count).saturating_sub(32);
        assert_eq!(script.agent.drops().of(DropReason::PeerReflexiveLimit), dropped);
        let valid = (0..count).filter(|index| {
            let mut data = [22, 1, 2];
            let received = Received { path: from(*index), ecn: None, datagram: &mut data };
            script.agent.handle_receive(script.now, received).is_some()
        });
        assert_eq!(valid.count(), known);
    }
}

#[test]
fn early_checks_are_kept_up_to_their_limit() {
    for (count, kept) in [(16, 16), (160, 16)] {
        let mut script = Script::before_signalling(Config::new(Provider::default(), Role::Controlled));
        for index in 0..count {
            let request = script.check(false);
            script.receive(from(index), request.clone());
            script.receive(from(index), request);
            assert_eq!(script.take().len(), 2, "both are answered");
        }
        let dropped = 2 * u64::from(count - kept);
        assert_eq!(script.agent.drops().of(DropReason::EarlyCheckLimit), dropped);
        script.learn_credentials();
        assert_eq!(script.agent.remote_candidates().count(), kept as usize);
        assert_eq!(script.take().len(), kept as usize);
    }
}

#[test]
fn remote_candidates_are_accepted_up_to_their_limit() {
    let mut script = Script::new(Role::Controlling);
    for index in 0..640 {
        let mut candidate = Candidate::host(from(index).remote);
        candidate.foundation = index.to_string();
        let added = script.agent.add_remote_candidate(script.now, candidate);
        assert_eq!(added, if index < 64 { Ok(()) } else { Err(AddCandidateError::TooMany) });
    }
    assert_eq!(script.agent.remote_candidates().count(), 64);
    // 64 pairs, one every 50 ms, each sent 40 times.
    assert_eq!(script.pass(ms(200_000)).len(), 64 * 40);
}

#[test]
fn pairs_are_made_up_to_their_limit_and_the_best_are_kept() {
    for candidates in [50, 500] {
        let mut config = Config::new(Provider::default(), Role::Controlling);
        config.limits.remote_candidates = 1_000;
        config.limits.pairs = 50;
        let mut script = Script::before_signalling(config);
        script.agent.add_local_address(script.now, addr("192.0.2.1:1001"));
        for index in 0..candidates {
            let mut candidate = Candidate::host(from(index).remote);
            candidate.priority = 1_000 + index;
            candidate.foundation = index.to_string();
            script.agent.add_remote_candidate(script.now, candidate).unwrap();
        }
        script.learn_credentials();
        let sent = script.pass(ms(120_000));
        let mut checked: Vec<Path> = sent.iter().map(|sent| sent.path).collect();
        checked.sort();
        checked.dedup();
        assert_eq!(checked.len(), 50);
        let best = from(candidates - 1).remote;
        assert!(checked.iter().any(|path| path.remote == best));
    }
}

#[test]
fn answers_wait_up_to_their_limit() {
    for (count, sent) in [(64, 64), (640, 64)] {
        let mut script = Script::before_signalling(Config::new(Provider::default(), Role::Controlled));
        for _ in 0..count {
            let request = script.check(false);
            script.receive(path(), request);
        }
        assert_eq!(script.take().len(), sent);
        let dropped = count - sent as u64;
        assert_eq!(script.agent.drops().of(DropReason::ResponseLimit), dropped);
    }
}

#[test]
fn credentials_are_accepted_up_to_their_limit() {
    for (len, accepted) in [(0, false), (256, true), (257, false), (2_560, false)] {
        let mut script = Script::before_signalling(Config::new(Provider::default(), Role::Controlling));
        script.credentials.ufrag = "u".repeat(len);
        script.learn_credentials();
        assert_eq!(script.agent.remote_credentials().is_some(), accepted, "{len}");
        script.add_candidate(THEIRS);
        assert_eq!(script.take().len(), usize::from(accepted));
    }
}

#[test]
fn local_addresses_and_servers_are_taken_up_to_their_limits() {
    for count in [32, 320] {
        let config = Config::new(Provider::default(), Role::Controlling);
        let mut agent = antiphon_ice::Agent::new(config, antiphon_util::Rng::from_test_seed(1));
        for index in 0..count {
            agent.add_local_address(antiphon_testkit::origin(), from(index).remote);
        }
        assert_eq!(agent.local_candidates().len(), 32);
    }
    for count in [8, 80] {
        let mut script = Script::before_signalling(Config::new(Provider::default(), Role::Controlling));
        for index in 0..count {
            script.agent.add_stun_server(script.now, from(index).remote);
        }
        let sent = script.pass(ms(60_000));
        let asked: std::collections::BTreeSet<_> = sent.iter().map(|sent| sent.path.remote).collect();
        assert_eq!(asked.len(), 8);
    }
}

#[test]
fn unusable_candidates_are_refused() {
    let mut script = Script::new(Role::Controlling);
    for address in ["0.0.0.0:1", "[::]:1", "192.0.2.1:0", "224.0.0.1:1", "[ff02::1]:1", "255.255.255.255:1"] {
        let added = script.agent.add_remote_candidate(script.now, Candidate::host(addr(address)));
        assert_eq!(added, Err(AddCandidateError::Address), "{address}");
    }
    let mut candidate = Candidate::host(addr(THEIRS));
    candidate.component = 2;
    let added = script.agent.add_remote_candidate(script.now, candidate.clone());
    assert_eq!(added, Err(AddCandidateError::Component));
    candidate.component = 1;
    candidate.protocol = antiphon_util::Protocol::Tcp;
    let added = script.agent.add_remote_candidate(script.now, candidate);
    assert_eq!(added, Err(AddCandidateError::Protocol));
    assert!(script.pass(ms(1_000)).is_empty());
}

/// A good pair of agents, and what it costs an attacker to disturb them.
fn unaffected(attack: impl Fn(&mut crate::net::Net, u32)) {
    use crate::net::Net;
    let mut net = Net::pair(1);
    assert!(net.run_until_nominated(ms(1_000)));
    let (before, drops) = (net[1].transmitted, net[1].agent.drops().total());
    for index in 0..100_000 {
        attack(&mut net, index);
        if index % 1_000 == 0 {
            net.run_until(net.elapsed() + ms(100));
        }
    }
    let said = net.chatter(0, ms(1_000));
    net.run_until(net.elapsed() + ms(100));
    assert_eq!(net[1].heard.len(), said);
    net.hosts().for_each(|host| assert_eq!(host.agent.state(), IceState::Completed));
    assert!(net[1].agent.drops().total() - drops >= 100_000);
    // Ten errors a second at most, and the checks and answers of the good pair.
    let sent = net[1].transmitted - before;
    assert!(sent < 300, "{sent} datagrams");
    assert!(net[1].agent.candidate_pairs().count() <= 2 && net[1].agent.remote_candidates().count() == 1);
}

#[test]
fn a_hundred_thousand_strangers_with_user_names_of_their_own_don_t_disturb_a_connection() {
    unaffected(|net, index| {
        let mut script = Script::new(Role::Controlling);
        let username = format!("{index}:{index}");
        let mut check = script.request(Some(&username), Some("guess"), |builder| {
            builder.attribute(&Attribute::IceControlling(u64::MAX));
            builder.attribute(&Attribute::Priority(1));
        });
        let path = Path::udp(addr("198.51.100.1:2000"), from(index).remote);
        assert!(!net.inject(1, path, &mut check));
    });
}

#[test]
fn a_hundred_thousand_forged_answers_and_payloads_don_t_disturb_a_connection() {
    unaffected(|net, index| {
        let script = Script::new(Role::Controlling);
        let mut request = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
        request.extend([7; 8]);
        request.extend(index.to_be_bytes());
        let mut forged = match index % 2 {
            0 => script.answer_with(&request, addr("198.51.100.1:2000"), "guess"),
            _ => vec![22, 254, 253, 0, 0, 0],
        };
        let path = Path::udp(addr("198.51.100.1:2000"), from(index).remote);
        assert!(!net.inject(1, path, &mut forged));
    });
}

#[test]
fn a_hundred_thousand_addresses_of_the_peers_own_are_learned_up_to_the_limit() {
    let mut script = Script::new(Role::Controlled);
    let mut sent = 0;
    for index in 0..100_000 {
        let check = script.check(true);
        script.receive(from(index), check);
        sent += script.take().len();
        script.now += ms(1);
    }
    let limits = Config::new(Provider::default(), Role::Controlled).limits;
    assert!(script.agent.remote_candidates().count() <= limits.peer_reflexive_candidates);
    assert!(script.agent.candidate_pairs().count() <= limits.pairs);
    // An answer to each, and few checks of our own besides.
    assert!((100_000..102_000).contains(&sent), "{sent}");
}

#[test]
fn of_a_million_candidates_in_signalling_the_first_few_are_taken() {
    let mut script = Script::new(Role::Controlling);
    let mut taken = 0;
    for index in 0..1_000_000 {
        let candidate = Candidate::host(from(index).remote);
        taken += usize::from(script.agent.add_remote_candidate(script.now, candidate).is_ok());
    }
    let limits = Config::new(Provider::default(), Role::Controlling).limits;
    assert_eq!(taken, limits.remote_candidates);
    assert_eq!(script.agent.candidate_pairs().count(), limits.remote_candidates);
}
