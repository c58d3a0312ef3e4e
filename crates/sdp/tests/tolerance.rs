//! What real senders deviate in, each on its own.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use antiphon_sdp::{Parser, Reason, Session, Tolerance};

const STRICT: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\na=ice-ufrag:abcd\r\n\
                      m=audio 9 RTP/AVP 0\r\na=rid:1 send\r\n";

/// A name, what switches it, and a text that deviates so, with the place and reason of the strict refusal.
type Case = (&'static str, fn(&mut Tolerance, bool), String, usize, usize, Reason);

fn cases() -> Vec<Case> {
    const LINE_END: Reason = Reason::Expected("a carriage return and a line feed");
    const END: Reason = Reason::Expected("the end of the line");
    const LETTER: Reason = Reason::Expected("a letter and an equals sign");
    const ORDER: Reason = Reason::Expected("lines in the order v o s i u e p c b t r z k m i c b k a");
    let edit = |from: &str, to: &str| {
        assert!(STRICT.contains(from));
        STRICT.replacen(from, to, 1)
    };
    vec![
        ("bare_line_feeds", |t, on| t.bare_line_feeds = on, STRICT.replace("\r\n", "\n"), 1, 4, LINE_END),
        ("bare_line_feeds", |t, on| t.bare_line_feeds = on, edit("s=-\r\n", "s=-\n"), 3, 4, LINE_END),
        (
            "missing_last_line_end",
            |t, on| t.missing_last_line_end = on,
            STRICT.trim_end().into(),
            8,
            13,
            LINE_END,
        ),
        ("blank_lines_at_end", |t, on| t.blank_lines_at_end = on, format!("{STRICT}\r\n\r\n"), 9, 1, LETTER),
        ("blanks", |t, on| t.blanks = on, edit("t=0 0\r", "t=0 0 \r"), 5, 6, END),
        ("blanks", |t, on| t.blanks = on, edit("0.1\r", "0.1\t \r"), 2, 25, END),
        ("blanks", |t, on| t.blanks = on, edit("t=0 0", "t=0  0"), 5, 4, Reason::Expected("a time to stop")),
        (
            "blanks",
            |t, on| t.blanks = on,
            edit("rag:abcd", "rag: abcd"),
            6,
            13,
            Reason::Expected("4 to 256 characters"),
        ),
        (
            "blanks",
            |t, on| t.blanks = on,
            edit("\na=rid", "\na=rtcp-mux \r\na=rid"),
            8,
            3,
            Reason::Expected("the name of an attribute"),
        ),
        (
            "missing_name",
            |t, on| t.missing_name = on,
            edit("s=-\r\n", ""),
            7,
            1,
            Reason::Expected("an s= line before this"),
        ),
        (
            "empty_name",
            |t, on| t.empty_name = on,
            edit("s=-", "s="),
            3,
            3,
            Reason::Expected("the name of the session"),
        ),
        (
            "missing_timing",
            |t, on| t.missing_timing = on,
            edit("t=0 0\r\n", ""),
            7,
            1,
            Reason::Expected("a t= line before this"),
        ),
        (
            "missing_connection",
            |t, on| t.missing_connection = on,
            edit("c=IN IP4 0.0.0.0\r\n", ""),
            7,
            1,
            Reason::Expected("a c= line before this"),
        ),
        ("any_order", |t, on| t.any_order = on, edit("t=0 0\r\n", "t=0 0\r\ni=x\r\n"), 6, 1, ORDER),
        (
            "any_order",
            |t, on| t.any_order = on,
            edit("s=-\r\n", "s=-\r\ns=-\r\n"),
            4,
            1,
            Reason::Repeated("s="),
        ),
        (
            "any_order",
            |t, on| t.any_order = on,
            edit("a=rid", "i=x\r\ni=x\r\na=rid"),
            9,
            1,
            Reason::Repeated("i="),
        ),
        (
            "any_order",
            |t, on| t.any_order = on,
            edit("a=rid", "t=0 0\r\na=rid"),
            8,
            1,
            Reason::Expected("a line of a media section"),
        ),
        (
            "any_order",
            |t, on| t.any_order = on,
            edit("t=0 0\r\n", "r=1 1 0\r\nt=0 0\r\n"),
            5,
            1,
            Reason::Expected("t= before it"),
        ),
        (
            "unknown_types",
            |t, on| t.unknown_types = on,
            edit("a=ice", "y=1\r\na=ice"),
            6,
            1,
            Reason::Expected("a line of a known type"),
        ),
        (
            "ice_characters",
            |t, on| t.ice_characters = on,
            edit("abcd", "ab-d"),
            6,
            13,
            Reason::Expected("letters, digits, + and / only"),
        ),
        (
            "malformed_stream_restrictions",
            |t, on| t.malformed_stream_restrictions = on,
            edit("1 send", "1 both"),
            8,
            9,
            Reason::Expected("send or recv"),
        ),
    ]
}

#[test]
fn each_tolerance_is_switched_on_its_own() {
    assert_eq!(Parser::strict().parse(STRICT).unwrap().to_string(), STRICT);
    for (name, switch, text, line, column, reason) in cases() {
        let normal: String = text.lines().flat_map(|line| [line, "\r\n"]).collect();
        let parse = |tolerance| Parser { tolerance, ..Parser::default() }.parse(&text);

        let mut only = Tolerance::NONE;
        switch(&mut only, true);
        let read = parse(only).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(read.to_string().trim_end(), normal.trim_end(), "{name}");
        assert_eq!(text.parse::<Session>().as_ref(), Ok(&read), "{name}");

        let mut all_others = Tolerance::ALL;
        switch(&mut all_others, false);
        for tolerance in [Tolerance::NONE, all_others] {
            let error = parse(tolerance).expect_err(name);
            assert_eq!((error.line, error.column, error.reason), (line, column, reason), "{name}: {error}");
        }
    }
}

/// What no parser takes: descriptions that two readers could take for different ones.
#[test]
fn some_deviations_are_never_tolerated() {
    for text in [
        STRICT.replacen("v=0", "v=1", 1),
        STRICT.replacen("v=0\r\n", "", 1),
        STRICT.replacen("v=0\r\n", "v=0\r\nv=0\r\n", 1),
        STRICT.replacen("o=- 1 1 IN IP4 127.0.0.1\r\n", "", 1),
        format!("{STRICT}o=- 1 1 IN IP4 127.0.0.1\r\n"),
        STRICT.replacen("s=-", "s=\0", 1),
        STRICT.replacen("s=-", "s=a\rb=AS:1", 1),
        STRICT.replacen("\r\nt=", "\r\n\r\nt=", 1),
        STRICT.replacen("s=-", "-", 1),
        STRICT.replacen("s=-", "ss=-", 1),
        STRICT.replacen("s=-", " s=-", 1),
    ] {
        assert!(text.parse::<Session>().is_err(), "{text:?}");
        assert!(Parser::strict().parse(&text).is_err(), "{text:?}");
    }
}

/// Values that run to the end of the line may hold blanks, but neither start nor end with one where blanks aren't tolerated.
#[test]
fn a_strict_parser_refuses_values_framed_by_blanks() {
    for line in [
        "fmtp:96 minptime=10; useinbandfec=1",
        "rtcp-fb:96 nack pli",
        "rtcp-fb:96 unknown kind",
        "ssrc:1 cname:a b",
        "extmap:1 urn:x more of it",
    ] {
        let parse = |line: &str, parser: Parser| parser.parse(&format!("{STRICT}a={line}\r\n"));
        assert!(parse(line, Parser::strict()).is_ok(), "{line}");
        let start = line.find(' ').unwrap();
        let (front, back) = line.split_at(start);
        for framed in
            [format!("{front} {back}"), format!("{front} \t{back}"), format!("{line} "), format!("{line}\t")]
        {
            let error = parse(&framed, Parser::strict()).expect_err(&framed);
            assert_eq!(error.line, 9, "{framed:?}");
            assert!(parse(&framed, Parser::default()).is_ok(), "{framed:?}");
        }
    }
}
