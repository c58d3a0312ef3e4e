//! The lines besides attributes, and what sections and sessions tell of their lines.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use antiphon_sdp::{Attribute, Direction, Line, Parser, Reason, Session, TimeZoneAdjustment, Value};

const ALL: &str = "v=0\r\no=jdoe 3724394400 3724394405 IN IP6 2001:db8::1\r\ns=Call to John Smith\r\ni=An Offer\r\n\
    u=http://www.jdoe.example.com/home.html\r\ne=Jane Doe <jane@jdoe.example.com>\r\ne=b@example.com\r\n\
    p=+1 617 555-6011\r\nc=IN IP4 233.252.0.1/127/3\r\nb=CT:1000\r\nb=X-YZ:128\r\nt=3034423619 3042462419\r\n\
    r=604800 3600 0 90000\r\nz=3730928400 -3600 3749680800 0\r\nt=0 0\r\nk=clear:x\r\na=recvonly\r\n\
    m=audio 49170/2 RTP/AVP 0\r\ni=media title\r\nc=IN IP6 ff00::db8:0:101/3\r\nb=AS:64\r\nb=TIAS:60000\r\n\
    b=RS:800\r\nb=RR:2400\r\nk=prompt\r\na=sendonly\r\nm=video 99 RTP/AVP 96\r\nc=EXT NEW host.example\r\n";

#[test]
fn every_type_of_line_writes_what_it_reads() {
    let session = Parser::strict().parse(ALL).unwrap();
    assert_eq!(session.to_string(), ALL);
    let sections = session.media.iter().map(|media| &media.section);
    for line in std::iter::once(&session.section).chain(sections).flat_map(|section| &section.lines) {
        let written = Line::new(line.value().clone()).unwrap();
        assert_eq!(written.as_str(), line.as_str());
        assert!(!matches!(line.value(), Value::Other { .. }));
    }
    let connection = session.section.connection().unwrap();
    assert_eq!((connection.time_to_live, connection.count), (Some(127), Some(3)));
    assert_eq!(session.media[0].section.connection().unwrap().count, Some(3));
    assert_eq!(session.media[0].line().port_count, Some(2));
    let amounts: Vec<u64> = session.media[0].section.bandwidths().map(|bandwidth| bandwidth.value).collect();
    assert_eq!(amounts, [64, 60_000, 800, 2_400]);
    let zones = session.section.values().find_map(|value| match value {
        Value::TimeZones(zones) => Some(zones.0.clone()),
        _ => None,
    });
    let first = TimeZoneAdjustment { time: 3_730_928_400, offset: -3_600 };
    assert_eq!(zones.unwrap()[0], first);
}

#[test]
fn malformed_lines_are_refused_with_their_place() {
    for (line, column, expected) in [
        ("o=- 1 x IN IP4 127.0.0.1", 7, "a session version of 64 bits"),
        ("o=- 1 18446744073709551616 IN IP4 127.0.0.1", 7, "a session version of 64 bits"),
        ("o=- 1 1 IN IP4", 15, "an address"),
        ("o=- 1 1 IN IP4 127.0.0.1 x", 25, "the end of the line"),
        ("c=IN IP4 233.252.0.1/256", 22, "a time to live from 0 to 255"),
        ("c=IN IP4 233.252.0.1/1/x", 24, "a number of addresses"),
        ("c=IN IP6 ff00::1/1/2", 20, "the end of the line"),
        ("b=AS", 5, "a colon and a bandwidth"),
        ("b=:1", 3, "a type of bandwidth"),
        ("t=0", 4, "a time to stop"),
        ("r=1x 1 0", 3, "an interval"),
        ("r=1 1", 6, "an offset"),
        ("r=1 1 0 x", 9, "an offset"),
        ("z=1", 4, "an offset with sign or without"),
        ("i=", 3, "information"),
        ("m=audio 65536 RTP/AVP 0", 9, "a port"),
        ("m=audio 1/x RTP/AVP 0", 9, "a port"),
    ] {
        let head = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\n";
        let error = format!("{head}{line}\r\n").parse::<Session>().unwrap_err();
        assert_eq!((error.line, error.column), (3, column), "{line}: {error}");
        assert_eq!(error.reason, Reason::Expected(expected), "{line}");
    }
}

#[test]
fn directions_are_reversed_and_inherited() {
    let session: Session = ALL.parse().unwrap();
    let of = |index: usize| Direction::of(&session.media[index].section, &session.section);
    assert_eq!((of(0), of(1)), (Direction::SendOnly, Direction::RecvOnly));
    assert_eq!(
        Direction::of(&antiphon_sdp::Section::default(), &antiphon_sdp::Section::default()),
        Direction::SendRecv
    );
    for direction in [Direction::SendRecv, Direction::SendOnly, Direction::RecvOnly, Direction::Inactive] {
        assert_eq!(direction.reversed().reversed(), direction);
        assert_eq!(
            (direction.sends(), direction.receives()),
            (direction.reversed().receives(), direction.reversed().sends())
        );
        assert_eq!(Attribute::from(direction).name(), direction.to_string());
    }
}

#[test]
fn clones_and_parts_outlive_the_session() {
    let session: Session = ALL.parse().unwrap();
    let line = session.section.lines[2].clone();
    drop(session);
    assert_eq!(line.to_string(), "s=Call to John Smith");
}
