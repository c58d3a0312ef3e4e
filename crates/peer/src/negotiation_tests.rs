//! Offers and answers of one negotiation after the other.

use antiphon_ice::Credentials;

use super::*;
use crate::ErrorName;
use crate::section::EMBEDDING;

fn negotiation(ufrag: &str) -> Negotiation {
    let digest = vec![format!("{:02X}", ufrag.as_bytes()[0]); 32].join(":");
    let parameters = Parameters {
        credentials: Credentials { ufrag: ufrag.into(), pwd: "p".repeat(24) },
        fingerprint: format!("sha-256 {digest}").parse().unwrap(),
        sctp_port: 5000,
        max_message_size: 262_144,
        ice_lite: false,
        ice_renomination: false,
        embedding: EMBEDDING.to_vec(),
        sctp_init: Some(vec![
            1,
            0,
            0,
            20,
            0,
            0,
            0,
            ufrag.as_bytes()[0],
            0,
            0,
            5,
            220,
            0,
            1,
            0,
            1,
            0,
            0,
            0,
            1,
        ]),
    };
    Negotiation::new(parameters, 42, sdp::Limits::default())
}

fn offerer() -> Negotiation {
    let mut offerer = negotiation("aaaa");
    offerer.want_data();
    offerer
}

/// Exchanges an offer and an answer.
fn exchange(offerer: &mut Negotiation, answerer: &mut Negotiation) -> (String, String) {
    let offer = offerer.create_offer().unwrap();
    offerer.set_local(None).unwrap();
    answerer.set_remote(&offer).unwrap();
    let answer = answerer.create_answer().unwrap();
    answerer.set_local(Some(answer.clone())).unwrap();
    offerer.set_remote(&answer).unwrap();
    assert_eq!((offerer.state(), answerer.state()), (SignalingState::Stable, SignalingState::Stable));
    (offer.sdp, answer.sdp)
}

#[test]
fn an_offer_has_one_data_section() {
    let text = offerer().create_offer().unwrap().sdp;
    let mut lines = text.split("\r\n");
    assert_eq!(lines.next(), Some("v=0"));
    assert_eq!(lines.next(), Some("o=- 21 1 IN IP4 127.0.0.1"));
    let rest: Vec<&str> = lines.filter(|line| !line.starts_with("a=fingerprint:sha-256 ")).collect();
    assert_eq!(
        rest,
        [
            "s=-",
            "t=0 0",
            "a=group:BUNDLE 0",
            "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
            "c=IN IP4 0.0.0.0",
            "a=ice-ufrag:aaaa",
            "a=ice-pwd:pppppppppppppppppppppppp",
            "a=ice-options:trickle ice2 sped googspedv1",
            "a=setup:actpass",
            "a=mid:0",
            "a=sctp-port:5000",
            "a=max-message-size:262144",
            "a=sctp-init:AQAAFAAAAGEAAAXcAAEAAQAAAAE=",
            "",
        ]
    );
}

#[test]
fn an_init_answers_an_init() {
    let offer = offerer().create_offer().unwrap().sdp;
    let line = "a=sctp-init:AQAAFAAAAGEAAAXcAAEAAQAAAAE=\r\n";
    let unpadded = line.replace("AE=", "AE");
    for (told, answered) in [
        (line, true),
        (&unpadded, true),
        ("", false),
        ("a=sctp-init:AQAA\r\n", false),
        ("a=sctp-init:AAAA\r\n", false),
    ] {
        let mut b = negotiation("bbbb");
        b.set_remote(&SessionDescription::offer(offer.replace(line, told))).unwrap();
        let answer = b.create_answer().unwrap().sdp;
        assert_eq!(answer.contains("a=sctp-init:AQAAFAAAAGIAAAXcAAEAAQAAAAE=\r\n"), answered, "{told}");
    }
}

#[test]
fn the_answerer_becomes_the_dtls_client() {
    let (mut a, mut b) = (offerer(), negotiation("bbbb"));
    let (_, answer) = exchange(&mut a, &mut b);
    assert!(answer.contains("a=setup:active\r\n") && answer.contains("a=group:BUNDLE 0\r\n"));
    assert_eq!((a.role(), b.role()), (Some(DtlsRole::Server), Some(DtlsRole::Client)));
    assert_eq!(a.agreed_remote().unwrap().1.credentials.ufrag, "bbbb");
    assert_eq!(b.agreed_remote().unwrap().1.max_message_size, 262_144);
    assert!(!a.is_needed());
}

#[test]
fn roles_stay_when_the_other_side_offers_next() {
    let (mut a, mut b) = (offerer(), negotiation("bbbb"));
    exchange(&mut a, &mut b);
    let (offer, answer) = exchange(&mut b, &mut a);
    assert!(offer.contains("a=setup:actpass\r\n") && answer.contains("a=setup:passive\r\n"));
    assert_eq!((a.role(), b.role()), (Some(DtlsRole::Server), Some(DtlsRole::Client)));
    assert!(offer.contains("o=- 21 2 "), "the version grows");
}

#[test]
fn setup_of_an_offer_is_answered_by_its_counterpart() {
    let offer = offerer().create_offer().unwrap().sdp;
    for (offered, answered) in [("actpass", "active"), ("passive", "active"), ("active", "passive")] {
        let mut b = negotiation("bbbb");
        let text = offer.replace("a=setup:actpass", &format!("a=setup:{offered}"));
        b.set_remote(&SessionDescription::offer(text)).unwrap();
        assert!(b.create_answer().unwrap().sdp.contains(&format!("a=setup:{answered}\r\n")));
    }
}

#[test]
fn media_sections_are_rejected_and_the_data_section_accepted() {
    let offer = include_str!("../../sdp/tests/data/chromium-156-offer-audio-video-data.sdp");
    let mut b = negotiation("bbbb");
    b.set_remote(&SessionDescription::offer(offer)).unwrap();
    let answer: Session = b.create_answer().unwrap().sdp.parse().unwrap();
    let lines: Vec<String> = answer.media.iter().map(|media| media.line().to_string()).collect();
    assert_eq!(
        lines,
        [
            "audio 0 UDP/TLS/RTP/SAVPF 0",
            "video 0 UDP/TLS/RTP/SAVPF 0",
            "application 9 UDP/DTLS/SCTP webrtc-datachannel"
        ]
    );
    assert_eq!(answer.groups().next().unwrap().mids, ["2"]);
    assert_eq!(answer.media.iter().map(|m| m.section.mid().unwrap()).collect::<Vec<_>>(), ["0", "1", "2"]);
    // The next offer of ours keeps the sections in their places.
    b.set_local(None).unwrap();
    let offer: Session = b.create_offer().unwrap().sdp.parse().unwrap();
    assert_eq!(offer.media.iter().map(|m| m.line().port).collect::<Vec<_>>(), [0, 0, 9]);
}

#[test]
fn the_form_before_rfc_8841_is_answered_in_kind() {
    let offer = offerer().create_offer().unwrap().sdp;
    let offer = offer
        .replace("UDP/DTLS/SCTP webrtc-datachannel", "DTLS/SCTP 5001")
        .replace("a=sctp-port:5000\r\n", "a=sctpmap:5001 webrtc-datachannel 1024\r\n")
        .replace("a=max-message-size:262144\r\n", "");
    let mut b = negotiation("bbbb");
    b.set_remote(&SessionDescription::offer(offer)).unwrap();
    let answer = b.create_answer().unwrap().sdp;
    assert!(answer.contains("m=application 9 DTLS/SCTP 5000\r\n"));
    assert!(answer.contains("a=sctpmap:5000 webrtc-datachannel 65535\r\n"));
    b.set_local(None).unwrap();
    let data = b.agreed_remote().unwrap().1;
    assert_eq!((data.sctp_port, data.max_message_size), (5001, 65_536));
}

#[test]
fn every_offer_of_real_peers_is_answered() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../sdp/tests/data");
    let mut answered = 0;
    for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if !path.to_string_lossy().contains("-offer-") {
            continue;
        }
        let offer: Session = std::fs::read_to_string(&path).unwrap().parse().unwrap();
        let mut b = negotiation("bbbb");
        b.set_remote(&SessionDescription::offer(offer.to_string())).unwrap();
        b.set_local(None).unwrap();
        let answer = &b.current_local().unwrap().session;
        assert_eq!(answer.media.len(), offer.media.len());
        for (offered, answered) in offer.media.iter().zip(&answer.media) {
            assert_eq!(offered.line().kind, answered.line().kind);
            assert_eq!(offered.section.mid(), answered.section.mid());
            let is_accepted = answered.line().port != 0;
            let expected = offered.line().kind == "application";
            assert_eq!(is_accepted, expected, "{}", path.display());
        }
        assert_eq!(b.agreed_remote().is_some(), offer.media.iter().any(|m| m.line().kind == "application"));
        answered += 1;
    }
    assert!(answered > 25);
}

#[test]
fn glare_is_settled_by_a_rollback_of_the_polite_side() {
    let (mut a, mut b) = (offerer(), negotiation("bbbb"));
    b.want_data();
    let offer = a.create_offer().unwrap();
    a.set_local(None).unwrap();
    b.set_local(None).unwrap();
    b.set_remote(&offer).unwrap();
    assert_eq!(b.state(), SignalingState::HaveRemoteOffer);
    assert!(b.pending_local().is_none());
    let answer = b.create_answer().unwrap();
    b.set_local(None).unwrap();
    a.set_remote(&answer).unwrap();
    assert!(!a.is_needed() && !b.is_needed());
}

#[test]
fn a_rollback_takes_the_offer_back() {
    let mut a = offerer();
    let rollback = || SessionDescription::rollback();
    let error = a.set_local(Some(rollback())).unwrap_err();
    assert_eq!(error.name(), ErrorName::InvalidStateError);
    a.set_local(None).unwrap();
    a.set_local(Some(rollback())).unwrap();
    assert_eq!(a.state(), SignalingState::Stable);
    assert!(a.local().is_none() && a.is_needed());
    let offer = offerer().create_offer().unwrap();
    a.set_remote(&offer).unwrap();
    a.set_remote(&rollback()).unwrap();
    assert!(a.remote().is_none());
}

#[test]
fn a_provisional_answer_is_used_and_then_replaced() {
    let (mut a, mut b) = (offerer(), negotiation("bbbb"));
    let offer = a.create_offer().unwrap();
    a.set_local(None).unwrap();
    b.set_remote(&offer).unwrap();
    let answer = b.create_answer().unwrap().sdp;
    b.set_local(Some(SessionDescription::pranswer(answer.clone()))).unwrap();
    a.set_remote(&SessionDescription::pranswer(answer.clone())).unwrap();
    assert!(a.agreed_remote().is_some() && b.agreed_remote().is_some());
    assert_eq!(a.state(), SignalingState::HaveRemotePranswer);
    b.set_local(None).unwrap();
    a.set_remote(&SessionDescription::answer(answer)).unwrap();
    assert_eq!((a.state(), b.state()), (SignalingState::Stable, SignalingState::Stable));
}

#[test]
fn what_was_not_created_is_not_set() {
    let mut a = offerer();
    let offer = a.create_offer().unwrap();
    let changed = SessionDescription::offer(offer.sdp.replace("actpass", "active"));
    assert_eq!(a.set_local(Some(changed)).unwrap_err().name(), ErrorName::InvalidModificationError);
    assert_eq!(a.state(), SignalingState::Stable);
    a.set_local(Some(offer)).unwrap();
    let answer = a.set_local(Some(SessionDescription::answer(""))).unwrap_err();
    assert_eq!(answer.name(), ErrorName::InvalidStateError);
}

#[test]
fn a_description_that_is_refused_changes_nothing() {
    let mut a = offerer();
    let offer = a.create_offer().unwrap().sdp;
    a.set_local(None).unwrap();
    let mut b = negotiation("bbbb");
    b.set_remote(&SessionDescription::offer(offer.clone())).unwrap();
    let answer = b.create_answer().unwrap().sdp;
    let without = |name: &str| {
        answer.split_inclusive("\r\n").filter(|line| !line.starts_with(name)).collect::<String>()
    };
    let invalid = |reason| SetDescriptionError::Invalid { section: 0, reason };
    for (text, expected) in [
        (without("a=ice-ufrag"), invalid(InvalidSection::NoIceCredentials)),
        (without("a=ice-pwd"), invalid(InvalidSection::NoIceCredentials)),
        (without("a=fingerprint"), invalid(InvalidSection::NoFingerprint)),
        (answer.replace("sha-256", "sha-1"), invalid(InvalidSection::NoFingerprint)),
        (without("a=setup"), invalid(InvalidSection::Setup)),
        (answer.replace("a=setup:active", "a=setup:actpass"), invalid(InvalidSection::Setup)),
        (answer.replace("a=mid:0", "a=mid:1"), invalid(InvalidSection::NotTheOffered)),
        (answer.replace("m=application", "m=audio"), invalid(InvalidSection::NotTheOffered)),
        (
            format!("{answer}m=audio 0 x y\r\n"),
            SetDescriptionError::Invalid { section: 1, reason: InvalidSection::NotTheOffered },
        ),
    ] {
        assert_eq!(a.set_remote(&SessionDescription::answer(text)).unwrap_err(), expected);
        assert!(a.remote().is_none() && a.role().is_none());
        assert_eq!(a.state(), SignalingState::HaveLocalOffer);
    }
    let error = a.set_remote(&SessionDescription::answer(answer.replace("a=setup:active", "a=setup:x")));
    assert_eq!(
        error.unwrap_err().to_string(),
        "malformed description: line 12, column 9: expected actpass, active, passive or holdconn"
    );
    a.set_remote(&SessionDescription::answer(answer)).unwrap();
}

#[test]
fn changed_credentials_and_fingerprints_are_refused() {
    let (mut a, mut b) = (offerer(), negotiation("bbbb"));
    exchange(&mut a, &mut b);
    let offer = b.create_offer().unwrap().sdp;
    let error = a.set_remote(&SessionDescription::offer(offer.replace("62:62", "62:63"))).unwrap_err();
    let reason = InvalidSection::FingerprintsChanged;
    assert_eq!(error, SetDescriptionError::Invalid { section: 0, reason });
}

#[test]
fn a_closed_connection_refuses_everything() {
    let mut a = offerer();
    let offer = a.create_offer().unwrap();
    a.close();
    assert_eq!(a.create_offer().unwrap_err(), CreateDescriptionError::Closed);
    assert_eq!(a.create_answer().unwrap_err(), CreateDescriptionError::Closed);
    assert_eq!(a.set_local(None).unwrap_err(), SetDescriptionError::Closed);
    assert_eq!(a.set_remote(&offer).unwrap_err(), SetDescriptionError::Closed);
}

#[test]
fn an_answer_embeds_the_handshake_only_as_it_was_offered() {
    let offer = offerer().create_offer().unwrap();
    for (offered, answered) in [
        ("trickle ice2 sped googspedv1", "trickle ice2 sped googspedv1"),
        ("trickle googspedv1", "trickle ice2 googspedv1"),
        ("sped other", "trickle ice2 sped"),
        ("trickle ice2 spedx", "trickle ice2"),
    ] {
        let mut answerer = negotiation("bbbb");
        let sdp = offer.sdp.replace("trickle ice2 sped googspedv1", offered);
        answerer.set_remote(&SessionDescription { sdp, ..offer.clone() }).unwrap();
        let answer = answerer.create_answer().unwrap().sdp;
        assert!(answer.contains(&format!("a=ice-options:{answered}\r\n")), "{answer}");
    }
}
