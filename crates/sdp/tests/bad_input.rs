//! Limits, tolerance, and errors that name their place.

#![allow(clippy::unwrap_used, reason = "tests")]

use antiphon_sdp::{Attribute, Limits, ParseError, Parser, Reason, Session};
use proptest::prelude::*;

const HEAD: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n";

fn error(text: &str) -> ParseError {
    text.parse::<Session>().unwrap_err()
}

#[test]
fn tolerates_what_real_senders_do() {
    let plain: Session = HEAD.parse().unwrap();
    for text in [
        HEAD.replace("\r\n", "\n"),
        HEAD.trim_end().to_owned(),
        format!("{HEAD}\r\n\r\n"),
        HEAD.replace("127.0.0.1\r\n", "127.0.0.1 \r\n"),
    ] {
        assert_eq!(text.parse::<Session>().unwrap(), plain, "{text:?}");
    }
    for text in [
        HEAD.replace("s=-\r\n", ""),
        HEAD.replace("t=0 0\r\n", ""),
        format!("{HEAD}y=1\r\n"),
        HEAD.replace("s=-", "s="),
    ] {
        assert_eq!(text.parse::<Session>().unwrap().to_string(), text);
    }
}

#[test]
fn errors_name_line_column_and_reason() {
    for (text, line, column, reason) in [
        (String::new(), 1, 1, Reason::Expected("v=0")),
        ("v=1\r\n".into(), 1, 3, Reason::Expected("0")),
        ("v=0\r\ns=-\r\n".into(), 2, 1, Reason::Expected("an o= line before this")),
        (format!("{HEAD}x\r\n"), 5, 1, Reason::Expected("a letter and an equals sign")),
        (format!("{HEAD}\r\na=mid:0\r\n"), 5, 1, Reason::Expected("a letter and an equals sign")),
        (format!("{HEAD}a=setup:both\r\n"), 5, 9, Reason::Expected("actpass, active, passive or holdconn")),
        (format!("{HEAD}m=audio 99999 RTP/AVP 0\r\n"), 5, 9, Reason::Expected("a port")),
        (format!("{HEAD}m=audio 9 RTP/AVP\r\n"), 5, 18, Reason::Expected("a format")),
        (format!("{HEAD}a=mid:\r\n"), 5, 7, Reason::Expected("an identification tag")),
        (format!("{HEAD}a=a=mid:0\r\n"), 5, 3, Reason::Expected("the name of an attribute")),
        (format!("{HEAD}a=x\0y\r\n"), 5, 4, Reason::ControlCharacter),
        (format!("{HEAD}a=x\ry\r\n"), 5, 4, Reason::ControlCharacter),
        (format!("{HEAD}o=- 1 1 IN IP4 127.0.0.1\r\n"), 5, 1, Reason::Repeated("o=")),
        (format!("{HEAD}v=0\r\n"), 5, 1, Reason::Repeated("v=")),
    ] {
        assert_eq!(error(&text), ParseError { line, column, reason }, "{text:?}");
    }
    assert_eq!(
        error(&format!("{HEAD}a=setup:both\r\n")).to_string(),
        "line 5, column 9: expected actpass, active, passive or holdconn"
    );
}

/// A description of `count` times `line` under limits of ten is read at the bound and refused beyond it.
fn holds_limit(limits: Limits, line: &str, of: &'static str, before: usize) {
    let parser = Parser { limits, ..Parser::default() };
    let text = |count: usize| format!("{HEAD}{}", line.repeat(count));
    assert!(parser.parse(&text(10 - before)).is_ok(), "{of}");
    for count in [11 - before, 100] {
        let reason = parser.parse(&text(count)).unwrap_err().reason;
        assert_eq!(reason, Reason::Limit(of));
    }
}

#[test]
fn holds_the_limits() {
    let limits = Limits::default();
    holds_limit(Limits { lines: 10, ..limits }, "a=x\r\n", "lines", 4);
    holds_limit(Limits { attributes: 10, ..limits }, "a=x\r\n", "attributes of a section", 0);
    holds_limit(Limits { media_sections: 10, ..limits }, "m=audio 9 RTP/AVP 0\r\n", "media sections", 0);
    let candidate = "a=candidate:1 1 udp 1 10.0.0.1 9 typ host\r\n";
    holds_limit(Limits { candidates: 10, ..limits }, candidate, "candidates of a section", 0);
    for (length, fits) in [(8_192, true), (8_193, false), (81_920, false)] {
        let text = format!("{HEAD}a={}\r\n", "x".repeat(length - 2));
        assert_eq!(text.parse::<Session>().is_ok(), fits, "{length}");
    }
    for (size, fits) in [(262_144, true), (262_145, false), (2_621_440, false)] {
        let lines = "a=padding\r\n".repeat(2_000);
        let text = format!("{HEAD}m=x 9 y z\r\n{lines}");
        let text = format!("{text}m=x 9 y z\r\n");
        let filler = size - text.len();
        let text = text + &format!("a={}\r\n", "x".repeat(1_000)).repeat(filler / 1_004);
        let text = format!("{text}a={}", "y".repeat(size - text.len() - 2));
        assert_eq!(text.parse::<Session>().is_ok(), fits, "{size}");
    }
}

#[test]
fn counts_attributes_of_each_section_apart() {
    let limits = Limits { attributes: 3, ..Limits::default() };
    let text = format!("{HEAD}{}", "m=x 9 y z\r\na=1\r\na=2\r\na=3\r\n".repeat(5));
    assert!(Parser { limits, ..Parser::default() }.parse(&text).is_ok());
}

#[test]
fn refuses_to_write_line_breaks() {
    let mut session: Session = HEAD.parse().unwrap();
    for value in ["x\r\na=y", "x\n", "x\0"] {
        assert!(session.section.push(Attribute::Mid(value.into())).is_err());
    }
    assert_eq!(session.to_string(), HEAD);
}

#[test]
fn every_truncation_is_read_or_refused() {
    let text = include_str!("data/chromium-156-offer-data-gathered.sdp");
    for length in 0..text.len() {
        if let Ok(session) = text[..length].parse::<Session>() {
            assert_eq!(session.to_string().parse::<Session>().unwrap(), session);
        }
    }
}

proptest! {
    #[test]
    fn any_text_that_is_read_is_written_to_the_same_value(
        lines in prop::collection::vec("[a-z]=[ -~]{0,40}|a=(mid|setup|candidate|group|sctpmap|ice-ufrag|sctp-port):[ -~]{0,40}", 0..20)
    ) {
        let text = format!("{HEAD}{}\r\n", lines.join("\r\n"));
        if let Ok(session) = text.parse::<Session>() {
            prop_assert_eq!(session.to_string().parse::<Session>().unwrap(), session);
        }
    }
}
