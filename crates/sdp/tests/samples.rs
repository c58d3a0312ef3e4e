//! Descriptions of real peers, and those that broke others.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};

use antiphon_sdp::{Candidate, Session, Setup};
use antiphon_testkit::corpus;

fn samples() -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let mut samples: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "sdp"))
        .map(|path| (path.clone(), fs::read_to_string(path).unwrap()))
        .collect();
    samples.sort();
    samples
}

#[test]
fn samples_of_real_peers_are_written_as_they_were_read() {
    let samples = samples();
    assert!(samples.len() > 40);
    for (path, text) in samples {
        let session: Session = text.parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(session.to_string(), text, "{}", path.display());
    }
}

#[test]
fn typed_values_write_the_same_description_as_their_text() {
    for (path, text) in samples() {
        let session: Session = text.parse().unwrap();
        let mut rebuilt = session.clone();
        let sections =
            std::iter::once(&mut rebuilt.section).chain(rebuilt.media.iter_mut().map(|m| &mut m.section));
        for section in sections {
            for line in &mut section.lines {
                *line = antiphon_sdp::Line::new(line.value().clone()).unwrap();
            }
        }
        let reread: Session = rebuilt.to_string().parse().unwrap();
        assert_eq!(reread, session, "{}", path.display());
    }
}

#[test]
fn reads_what_sets_up_a_data_channel() {
    let find = |name: &str| samples().into_iter().find(|(path, _)| path.ends_with(name)).unwrap().1;
    let session: Session = find("firefox-153-answer-data-gathered.sdp").parse().unwrap();
    let media = &session.media[0];
    assert_eq!(media.line().protocol, "UDP/DTLS/SCTP");
    assert_eq!(media.line().formats, ["webrtc-datachannel"]);
    assert_eq!(media.section.ice_ufrag(), Some("72603800"));
    assert_eq!(media.section.ice_pwd(), Some("5e1fabeefe160f25c3e8eb2cb8450aa7"));
    assert_eq!(media.section.setup(), Some(Setup::Active));
    assert_eq!(media.section.sctp_port(), Some(5000));
    assert_eq!(media.section.max_message_size(), Some(1_073_741_823));
    assert_eq!(media.section.candidates().count(), 4);
    assert_eq!(session.section.fingerprints().next().unwrap().value.len(), 32);
    assert_eq!(session.groups().next().unwrap().mids, ["0"]);
}

#[test]
fn trickled_candidates_are_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let mut count = 0;
    for name in ["chromium-156-trickle-audio-video.jsonl", "firefox-153-trickle-data.jsonl"] {
        for line in fs::read_to_string(folder.join(name)).unwrap().lines() {
            let Some((_, rest)) = line.split_once("\"candidate\": \"") else { continue };
            let text = rest.split('"').next().unwrap();
            if text.is_empty() {
                continue;
            }
            let candidate: Candidate = text.parse().unwrap();
            assert_eq!(candidate.to_string().to_lowercase(), text.to_lowercase());
            count += 1;
        }
    }
    assert!(count > 8);
}

/// The published descriptions that are refused, and why. All others are read.
const REFUSED: [(&str, &[&str], &str); 16] = [
    (
        "resiprocate",
        &["bcast", "insuf", "lwsruri", "mismatch02", "multi01", "wsinv"],
        "rtpmap without the clock rate that RFC 8866 §6.6 requires: expected a slash and a clock rate",
    ),
    (
        "rfc",
        &[
            "rfc4475-01",
            "rfc4475-02",
            "rfc4475-03",
            "rfc4475-05",
            "rfc4475-06",
            "rfc4475-07",
            "rfc4475-08",
            "rfc4475-09",
            "rfc4475-10",
            "rfc4475-11",
            "rfc4475-12",
            "rfc4475-13",
            "rfc4475-14",
            "rfc4475-15",
            "rfc4475-16",
            "rfc4475-17",
            "rfc4475-18",
            "rfc4475-19",
        ],
        "the same, in SIP messages of before: expected a slash and a clock rate",
    ),
    (
        "rfc",
        &["rfc5888-07", "rfc6871-04"],
        "the same, an error of the RFC: expected a slash and a clock rate",
    ),
    ("sdp-transform", &["alac"], "the same: expected a slash and a clock rate"),
    (
        "rfc",
        &["rfc5939-20", "rfc5939-21", "rfc5939-22"],
        "a line that is broken for print: expected octets in hexadecimal with colons between",
    ),
    ("rfc", &["rfc8839-02", "rfc8839-04"], "a placeholder for the port: expected a port"),
    ("rfc", &["rfc6871-03", "rfc8859-10"], "a port beyond 65,535, an error of the RFC: expected a port"),
    ("rfc", &["rfc8859-07"], "a fragment of an m= line: expected a format"),
    ("rfc", &["rfc8859-09"], "a fragment of an m= line: expected a port"),
    (
        "rfc",
        &["rfc6871-11"],
        "a password that is too short, an error of the RFC: expected 22 to 256 characters",
    ),
    (
        "rfc",
        &["rfc8840-02"],
        "a blank in place of a colon, an error of the RFC: expected the name of an attribute",
    ),
    ("webrtc/sdp", &["unittest-2"], "a password that is too short: expected 22 to 256 characters"),
    ("webrtc/sdp", &["unittest-6"], "no description: expected v=0"),
    ("webrtc-sdp", &["08", "11"], "no v= line in front: expected v=0"),
    ("webrtc-sdp", &["30"], "malformed sctpmap: expected a protocol"),
    ("webrtc-sdp", &["31"], "malformed ssrc: expected an attribute of the source"),
];

#[test]
fn published_descriptions_are_refused_or_written_as_they_were_read() {
    let Some(files) = corpus("sdp") else { return };
    let (mut read, mut refused) = (0, 0);
    for (path, bytes) in files {
        let text = String::from_utf8_lossy(&bytes);
        let why = REFUSED.iter().find(|(folder, names, _)| {
            names.iter().any(|name| path.ends_with(format!("{folder}/{name}.sdp")))
        });
        match (text.parse::<Session>(), why) {
            (Err(error), Some((_, _, why))) => {
                refused += 1;
                let reason = error.reason.to_string();
                assert!(why.ends_with(&reason), "{}: {error}, and not: {why}", path.display());
            }
            (Ok(session), None) => {
                read += 1;
                let normal: String =
                    text.trim_end().lines().flat_map(|line| [line.trim_end_matches('\r'), "\r\n"]).collect();
                let written = session.to_string();
                assert_eq!(written.trim_end(), normal.trim_end(), "{}", path.display());
                assert_eq!(written.parse::<Session>().unwrap(), session);
            }
            (result, _) => panic!("{}: {:?}", path.display(), result.map(|_| "is read, against the table")),
        }
    }
    let listed: usize = REFUSED.iter().map(|(_, names, _)| names.len()).sum();
    assert_eq!(refused, listed);
    assert!(read > 230);
}
