//! What browsers do that RFC 8445 alone would not lead one to expect.

use std::fs;
use std::path::Path as FilePath;

use antiphon_crypto::Provider;
use antiphon_ice::{CandidateKind, Config, Credentials, DropReason, IceState, Role};
use antiphon_stun::{Attribute, AttributeType, Message, MessageType};
use antiphon_util::Path;

use crate::net::{addr, ms};
use crate::script::{OURS, Script, path};

const BETTER: &str = "198.51.100.9:2000";

#[test]
fn a_nomination_on_the_first_check_counts_once_our_own_check_is_answered() {
    let mut script = Script::new(Role::Controlled);
    let check = script.check(true);
    script.receive(path(), check);
    assert_eq!(script.agent.selected_path(), None);
    let sent = script.take();
    let kinds: Vec<MessageType> = sent.iter().map(|sent| sent.message().kind()).collect();
    assert_eq!(kinds, [MessageType::BINDING_SUCCESS, MessageType::BINDING_REQUEST]);
    script.answer_all(&sent);
    assert_eq!(script.agent.selected_path(), Some(path()));
    assert!(script.agent.is_nominated());
}

#[test]
fn the_move_to_a_better_pair_is_followed() {
    let mut script = Script::new(Role::Controlled);
    let worse = script.check(true);
    script.receive(path(), worse);
    let sent = script.take();
    script.answer_all(&sent);
    assert_eq!(script.agent.selected_path(), Some(path()));

    script.now += ms(500);
    let better = Path::udp(addr(OURS), addr(BETTER));
    let check = script.request_with_priority(true, 2_122_260_223);
    script.receive(better, check);
    let sent = script.take();
    script.answer_all(&sent);
    assert_eq!(script.agent.selected_path(), Some(better));

    // A late check on the old pair, still with USE-CANDIDATE, does not lead back.
    let check = script.check(true);
    script.receive(path(), check);
    let sent = script.take();
    script.answer_all(&sent);
    assert_eq!(script.agent.selected_path(), Some(better));
}

#[test]
fn the_move_to_a_worse_pair_is_followed_when_the_better_is_nominated_no_more() {
    let mut script = Script::new(Role::Controlled);
    let better = Path::udp(addr(OURS), addr(BETTER));
    let check = script.request_with_priority(true, 2_122_260_223);
    script.receive(better, check);
    let sent = script.take();
    script.answer_all(&sent);
    for _ in 0..5 {
        let check = script.check(true);
        script.receive(path(), check);
        let sent = script.pass(ms(2_000));
        script.answer_all(&sent);
    }
    assert_eq!(script.agent.selected_path(), Some(path()));
}

/// A browser that hides its addresses names `.local` candidates only: none of them gets here.
#[test]
fn an_agent_without_remote_candidates_waits_for_the_peers_checks() {
    let mut script = Script::new(Role::Controlling);
    script.agent.end_of_local_addresses(script.now);
    script.agent.end_of_remote_candidates(script.now);
    let sent = script.pass(ms(39_000));
    assert!(sent.is_empty());
    assert_eq!(script.agent.state(), IceState::Checking);
    let check = script.check(false);
    script.receive(path(), check);
    let sent = script.take();
    script.answer_all(&sent);
    assert_eq!(script.agent.state(), IceState::Connected);
    let learned: Vec<CandidateKind> = script.agent.remote_candidates().map(|c| c.kind).collect();
    assert_eq!(learned, [CandidateKind::PeerReflexive]);
    let nomination = script.take();
    assert!(nomination.iter().all(|sent| sent.is_nomination()) && nomination.len() == 1);
    script.answer_all(&nomination);
    assert_eq!(script.agent.state(), IceState::Completed);
}

#[test]
fn an_agent_that_nobody_checks_fails_when_its_patience_is_over() {
    let mut script = Script::new(Role::Controlling);
    script.agent.end_of_local_addresses(script.now);
    script.agent.end_of_remote_candidates(script.now);
    script.pass(ms(39_600));
    assert_eq!(script.agent.state(), IceState::Failed);
}

#[test]
fn without_the_end_of_candidates_an_agent_goes_on_waiting() {
    let mut script = Script::new(Role::Controlling);
    script.agent.end_of_local_addresses(script.now);
    script.pass(ms(600_000));
    assert_eq!(script.agent.state(), IceState::Checking);
    script.agent.end_of_remote_candidates(script.now);
    assert_eq!(script.agent.state(), IceState::Failed);
}

#[test]
fn checks_from_before_the_answer_are_answered_and_remembered() {
    let mut script = Script::before_signalling(Config::new(Provider::default(), Role::Controlled));
    let check = script.check(true);
    script.receive(path(), check);
    let sent = script.take();
    assert!(sent.len() == 1 && sent[0].is_success());
    assert_eq!((script.agent.state(), script.agent.selected_path()), (IceState::New, None));

    script.now += ms(3_000);
    script.learn_credentials();
    let sent = script.take();
    assert!(sent.len() == 1 && sent[0].is_check(), "triggered at once");
    script.answer_all(&sent);
    assert_eq!(script.agent.selected_path(), Some(path()));
    assert!(script.agent.is_nominated());
}

#[test]
fn checks_from_before_the_answer_by_somebody_else_are_forgotten() {
    let mut script = Script::before_signalling(Config::new(Provider::default(), Role::Controlled));
    let check = script.check(true);
    script.receive(path(), check);
    script.take();
    script.credentials.ufrag.push('x');
    script.learn_credentials();
    assert!(script.take().is_empty());
    assert_eq!(script.agent.remote_candidates().count(), 0);
}

#[test]
fn a_candidate_that_was_learned_first_takes_the_kind_it_is_signalled_with() {
    let mut script = Script::new(Role::Controlled);
    let check = script.check(false);
    script.receive(path(), check);
    script.add_candidate("198.51.100.1:2000");
    let kinds: Vec<CandidateKind> = script.agent.remote_candidates().map(|c| c.kind).collect();
    assert_eq!(kinds, [CandidateKind::Host]);
    assert_eq!(script.take().iter().filter(|sent| sent.is_check()).count(), 1, "one pair, one check");
}

#[test]
fn captured_checks_of_browsers_are_accepted() {
    let file = FilePath::new(env!("CARGO_MANIFEST_DIR")).join("../stun/tests/data/stun-chromium-firefox.txt");
    let text = fs::read_to_string(file).unwrap();
    let mut accepted = 0;
    for (pwd, hex) in text.lines().filter_map(|line| line.split_once(' ')) {
        let bytes = bytes(hex);
        let message = Message::try_from(&bytes[..]).unwrap();
        let Some(Attribute::Username(username)) = message.attribute(AttributeType::USERNAME) else {
            continue;
        };
        let (ours, theirs) = username.split_once(':').unwrap();
        let claims_control = message.find(AttributeType::ICE_CONTROLLING).is_some();
        let role = if claims_control { Role::Controlled } else { Role::Controlling };
        let mut config = Config::new(Provider::default(), role);
        config.credentials = Some(Credentials { ufrag: ours.to_owned(), pwd: pwd.to_owned() });
        let mut script = Script::before_signalling(config);
        script.credentials.ufrag = theirs.to_owned();
        script.learn_credentials();
        for repeated in 0..3 {
            script.receive(path(), bytes.clone());
            let sent = script.take();
            assert!(sent[0].is_success() && sent[0].message().id() == message.id());
            // The check of our own that theirs triggers is sent once.
            assert_eq!(sent.len(), if repeated == 0 { 2 } else { 1 });
        }
        assert_eq!(script.agent.drops().total(), 0);
        accepted += 1;

        // Cut short it has no effect.
        for len in 0..bytes.len() {
            script.receive(path(), bytes[..len].to_vec());
        }
        let refused = script.agent.drops().of(DropReason::Malformed);
        assert_eq!(refused as usize, bytes.len());
    }
    assert!(accepted >= 3);
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.trim().as_bytes().chunks_exact(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}
