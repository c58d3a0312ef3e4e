//! Every attribute with a type: what it reads it writes, and what it does not read it refuses with the place.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use antiphon_sdp::{
    Address, Attribute, Feedback, ImageSets, ImageSizes, Line, MuxCategory, ParseError, Parser, Restriction,
    Session, XrFormat,
};

/// One of each form that an attribute with a type may have, as it is written.
const TYPED: [&str; 108] = [
    "candidate:1 1 udp 2122260223 10.77.0.1 34475 typ host generation 0",
    "candidate:1 2 tcp 1 2001:db8::1 9 typ srflx raddr 10.0.0.1 rport 9 tcptype so x y network-cost 50",
    "candidate:f 1 udp 1 name.local 9 typ future",
    "end-of-candidates",
    "ice-lite",
    "ice-mismatch",
    "ice-options:trickle ice2",
    "ice-pacing:50",
    "ice-pwd:5feXHP0xr42nOeRuYuEhh/so",
    "ice-ufrag:S0un",
    "remote-candidates:1 192.0.2.3 45664 2 192.0.2.3 45665",
    "fingerprint:sha-256 71:A5:8B",
    "setup:actpass",
    "setup:active",
    "setup:passive",
    "setup:holdconn",
    "tls-id:abc3de65cddef001be82",
    "identity:eyJpZHAiOnt9fQ== provider=x flag",
    "identity:eyJpZHAiOnt9",
    "group:BUNDLE 0 1",
    "group:LS a",
    "group:FID",
    "group:X-NEW 0",
    "mid:0",
    "bundle-only",
    "msid:61317484-2ed4-49d7-9eb7-1414322a7aae f30bdb4a-5db8-49b5-bcdc-e0c9a23172e0",
    "msid:-",
    "msid-semantic: WMS a b",
    "msid-semantic: WMS *",
    "rtpmap:96 VP8/90000",
    "rtpmap:111 opus/48000/2",
    "fmtp:96 profile-level-id=42e01f;packetization-mode=1",
    "fmtp:webrtc-datachannel x",
    "rtcp:9 IN IP4 0.0.0.0",
    "rtcp:53020",
    "rtcp-fb:96 nack",
    "rtcp-fb:96 nack pli",
    "rtcp-fb:96 nack sli",
    "rtcp-fb:96 nack rpsi",
    "rtcp-fb:96 nack rai",
    "rtcp-fb:96 nack tllei",
    "rtcp-fb:96 nack pslei",
    "rtcp-fb:96 nack ecn",
    "rtcp-fb:96 ack rpsi",
    "rtcp-fb:* ack ccfb",
    "rtcp-fb:96 ccm fir",
    "rtcp-fb:96 ccm tmmbr",
    "rtcp-fb:96 ccm tmmbr smaxpr=120",
    "rtcp-fb:96 ccm tstn",
    "rtcp-fb:96 ccm pause",
    "rtcp-fb:* trr-int 100",
    "rtcp-fb:96 goog-remb",
    "rtcp-fb:96 transport-cc",
    "rtcp-fb:96 nack something new",
    "rtcp-xr:rcvr-rtt=all",
    "rtcp-xr:rcvr-rtt=sender:40 pkt-loss-rle=100 pkt-dup-rle pkt-rcpt-times=1",
    "rtcp-xr:stat-summary=loss,dup,jitt,TTL,new voip-metrics x=y",
    "rtcp-xr:stat-summary",
    "rtcp-xr:",
    "rtcp-mux",
    "rtcp-mux-only",
    "rtcp-rsize",
    "extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid",
    "extmap:4096/recvonly http://example.com/082005/ext.htm#xmeta short attributes",
    "extmap:2/sendrecv uri",
    "extmap:2/sendonly uri",
    "extmap:2/inactive uri",
    "extmap-allow-mixed",
    "ssrc:1610142337 cname:v6HIXgmRT+F1ko4i",
    "ssrc:4294967295 msid:a b",
    "ssrc:1 flag",
    "ssrc-group:FID 3311669478 1103597109",
    "ssrc-group:FEC 1 2",
    "ssrc-group:FEC-FR 1 2",
    "ssrc-group:SIM 1 2 3",
    "ssrc-group:DUP 1 2",
    "ssrc-group:NEW",
    "rid:h send",
    "rid:1 recv pt=96,97",
    "rid:a_b-C send pt=96;max-width=1280;max-height=720;max-fps=30;max-fs=3600;max-br=1000;max-pps=9;depend=0,1",
    "rid:1 send max-bpp=0.25;max-width;x=y;z",
    "simulcast:send 1,~4;2;3 recv c",
    "simulcast:recv 1;~2",
    "sctp-port:5000",
    "sctpmap:5000 webrtc-datachannel 1024",
    "sctpmap:5000 webrtc-datachannel",
    "sctp-init:AQAAHntcQa0AUAAA/////6U8N47AAAAEgAgABoLA",
    "max-message-size:1073741823",
    "max-message-size:0",
    "imageattr:97 send [x=800,y=640,sar=1.1,q=0.6] [x=480,y=320] recv [x=330,y=250]",
    "imageattr:* send *",
    "imageattr:99 recv [x=[320:16:640],y=[240:480],par=[1.2-1.3]] send [x=[1,2],y=[3,4,5]]",
    "imageattr:99 send [x=1,y=2,sar=[1.1-1.3],new=[a,b]]",
    "imageattr:99 send [x=1,y=2,sar=[1,1.3]]",
    "ptime:20",
    "ptime:2.5",
    "maxptime:120",
    "framerate:29.97",
    "content:slides,main,sl,speaker,alt,new",
    "sendrecv",
    "sendonly",
    "recvonly",
    "inactive",
    "group:FEC-FR 1 2",
    "ice-options:trickle",
    "candidate:1 1 dccp 1 10.0.0.1 9 typ prflx",
    "candidate:1 1 udp 1 10.0.0.1 9 typ relay raddr 0.0.0.0 rport 0",
    "candidate:1 1 tcp 1 10.0.0.1 9 typ host tcptype passive",
];

/// What an attribute has to say that is malformed: the byte of the place from 1, and what is expected there.
const MALFORMED: [(&str, usize, &str); 68] = [
    ("", 1, "the name of an attribute"),
    (":x", 1, "the name of an attribute"),
    ("a b:x", 1, "the name of an attribute"),
    ("setup:maybe", 7, "actpass, active, passive or holdconn"),
    ("setup", 6, "actpass, active, passive or holdconn"),
    ("sctp-port:65536", 11, "a port"),
    ("sctp-port:+1", 11, "a port"),
    ("sctpmap:5000", 13, "a protocol"),
    ("sctpmap:5000 x y", 16, "a number of streams"),
    ("sctp-init:a b", 12, "the end of the line"),
    ("sctp-init:a=b", 11, "base64"),
    ("max-message-size:", 18, "a size in bytes"),
    ("max-message-size:18446744073709551616", 18, "a size in bytes"),
    ("fingerprint:sha-256", 20, "octets in hexadecimal with colons between"),
    ("fingerprint:sha-256 7:A5", 21, "octets in hexadecimal with colons between"),
    ("fingerprint:sha-256 +1:A5", 21, "octets in hexadecimal with colons between"),
    ("fingerprint:sha-256 A5:", 21, "octets in hexadecimal with colons between"),
    ("fingerprint:sha-256 A5-A5", 21, "octets in hexadecimal with colons between"),
    ("ice-ufrag:abc", 11, "4 to 256 characters"),
    ("ice-pwd:tooshort", 9, "22 to 256 characters"),
    ("ice-options:", 13, "an option of ICE"),
    ("ice-pacing:12345678901", 12, "milliseconds"),
    ("ice-lite:x", 10, "the end of the line"),
    ("rtcp-mux:", 10, "the end of the line"),
    ("remote-candidates:1 192.0.2.3", 30, "a port"),
    ("remote-candidates:257 192.0.2.3 1", 19, "a component from 1 to 256"),
    ("tls-id:tooshort", 8, "20 to 255 letters, digits, +, /, - and _"),
    ("identity:", 10, "base64"),
    ("identity:{}", 10, "base64"),
    ("mid:0 1", 6, "the end of the line"),
    ("mid:", 5, "an identification tag"),
    ("group:", 7, "the semantics of a group"),
    ("msid:a b c", 9, "the end of the line"),
    ("msid-semantic:  ", 17, "a semantic"),
    ("rtpmap:128 VP8/90000", 8, "a payload type from 0 to 127"),
    ("rtpmap:96", 10, "an encoding"),
    ("rtpmap:96 /90000", 11, "an encoding"),
    ("rtpmap:96 VP8", 14, "a slash and a clock rate"),
    ("rtpmap:96 VP8/x", 15, "a clock rate"),
    ("fmtp:96", 8, "the parameters of a format"),
    ("fmtp:", 6, "a format"),
    ("rtcp:x", 6, "a port"),
    ("rtcp:9 IN IP4", 14, "an address"),
    ("rtcp-fb:x nack", 9, "a payload type or *"),
    ("rtcp-fb:96", 11, "a kind of feedback"),
    ("extmap:0 uri", 8, "a number and a direction"),
    ("extmap:1/both uri", 8, "a number and a direction"),
    ("extmap:1", 9, "a URI"),
    ("ssrc:4294967296 cname:x", 6, "a synchronization source of 32 bits"),
    ("ssrc:1", 7, "an attribute of the source"),
    ("ssrc:1 :x", 8, "the name of an attribute"),
    ("ssrc:1 a b:x", 8, "the name of an attribute"),
    ("ssrc-group:FID x", 16, "a synchronization source of 32 bits"),
    ("rid:a. send", 5, "letters, digits, - and _"),
    ("rid:1 both", 7, "send or recv"),
    ("rid:1 send pt=", 15, "formats with commas between"),
    ("rid:1 send pt=1;max-width=x", 17, "a restriction"),
    ("rid:1 send max-width=1;;", 24, "a restriction"),
    ("simulcast:", 11, "send or recv"),
    ("simulcast:send 1;;2", 16, "names of streams"),
    ("simulcast:send 1 send 2", 18, "each direction once"),
    ("imageattr:97", 13, "send or recv"),
    ("imageattr:97 send [x=0,y=1]", 19, "[x=…,y=…] or *"),
    ("imageattr:97 send [x=1,y=1,q=1.1]", 19, "[x=…,y=…] or *"),
    ("imageattr:97 send [x=[1],y=1] recv *", 19, "[x=…,y=…] or *"),
    ("ptime:0", 7, "milliseconds"),
    ("framerate:-1", 11, "frames a second"),
    ("content:main,", 9, "kinds of content with commas between"),
];

/// The strict parser, since of some malformed lines the lenient one makes text.
fn read(attribute: &str) -> Result<Session, ParseError> {
    let text = format!("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na={attribute}\r\n");
    Parser::strict().parse(&text)
}

#[test]
fn typed_attributes_write_what_they_read() {
    for text in TYPED {
        let attribute: Attribute = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        assert!(!matches!(attribute, Attribute::Other { .. }), "{text}");
        let name = text.split(':').next().unwrap();
        assert_eq!(attribute.name(), name);
        if !text.contains("imageattr:99 recv") {
            assert_eq!(attribute.to_string(), text);
        }
        assert_eq!(attribute.to_string().parse(), Ok(attribute.clone()));
        let session = read(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(session.section.attributes().next(), Some(&attribute), "{text}");
        assert_eq!(
            Line::new(attribute).unwrap().as_str()[2..],
            text.parse::<Attribute>().unwrap().to_string()
        );
    }
}

#[test]
fn malformed_values_are_refused_with_their_place() {
    for (text, column, expected) in MALFORMED {
        let error = read(text).unwrap_err();
        assert_eq!((error.line, error.column), (5, column + 2), "{text}: {error}");
        assert_eq!(error.reason.to_string(), format!("expected {expected}"), "{text}");
    }
}

#[test]
fn others_are_kept_as_they_stand() {
    for text in
        ["x", "x:", "crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x", "x-y:a=b; c=d ", "Mid:0", "label:1:2"]
    {
        let attribute: Attribute = text.parse().unwrap();
        assert!(matches!(attribute, Attribute::Other { .. }));
        assert_eq!(attribute.to_string(), text);
        assert_eq!(attribute.mux_category(), MuxCategory::Caution);
        assert_eq!(Line::new(attribute).unwrap().to_string(), format!("a={text}"));
    }
}

#[test]
fn attributes_are_made_by_name() {
    assert_eq!(Attribute::new("sctp-port", Some("5000")), Ok(Attribute::SctpPort(5000)));
    assert_eq!(Attribute::new("inactive", None), Ok(Attribute::Inactive));
    assert_eq!(Attribute::new("x", Some("y")).unwrap().to_string(), "x:y");
    assert!(Attribute::new("setup", Some("maybe")).is_err());
    assert!(Attribute::new("x", Some("y\r\na=z")).is_err());
}

#[test]
fn candidates_tell_their_extensions() {
    let text =
        "candidate:1 1 udp 1 10.0.0.1 9 typ host generation 0 ufrag X+/9 network-id 2 network-cost 50 x y";
    let Ok(Attribute::Candidate(candidate)) = text.parse() else { panic!() };
    assert_eq!((candidate.generation(), candidate.ufrag()), (Some(0), Some("X+/9")));
    assert_eq!((candidate.network_id(), candidate.network_cost()), (Some(2), Some(50)));
    assert_eq!((candidate.extension("x"), candidate.extension("z")), (Some("y"), None));
    assert_eq!(candidate.extensions.len(), 5);
}

#[test]
fn values_are_what_the_text_says() {
    let read = |text: &str| text.parse::<Attribute>().unwrap();
    let Attribute::RtcpFb(line) = read("rtcp-fb:* trr-int 100") else { panic!() };
    assert_eq!((line.payload_type, line.feedback), (None, Feedback::TrrInt(100)));
    let Attribute::RtcpXr(reports) = read("rtcp-xr:rcvr-rtt=sender:40 x") else { panic!() };
    let rtt = XrFormat::ReceiverRtt { senders_only: true, max_size: Some(40) };
    assert_eq!(reports.0, [rtt, XrFormat::Other("x".into())]);
    let Attribute::Rid(rid) = read("rid:1 send pt=96,97; max-br=5") else { panic!() };
    assert_eq!(rid.formats, ["96", "97"]);
    assert_eq!(rid.restrictions, [Restriction::MaxBr(Some(5))]);
    let Attribute::Simulcast(simulcast) = read("simulcast:send 1,~4;2 recv c") else { panic!() };
    let names: Vec<Vec<_>> =
        simulcast.send.iter().map(|of| of.iter().map(|s| (s.rid.as_str(), s.paused)).collect()).collect();
    assert_eq!(names, [vec![("1", false), ("4", true)], vec![("2", false)]]);
    let Attribute::ImageAttr(image) = read("imageattr:* send [x=[320:16:640],y=[240,480],q=0.5]") else {
        panic!()
    };
    let Some(ImageSets::Sets(sets)) = image.send else { panic!() };
    assert_eq!(sets[0].x, ImageSizes::Range { min: 320, step: Some(16), max: 640 });
    assert_eq!(sets[0].y, ImageSizes::List(vec![240, 480]));
    let Attribute::Rtcp(rtcp) = read("rtcp:9 IN IP6 ::1") else { panic!() };
    assert!(matches!(rtcp.address, Some((_, _, Address::Ip(ip))) if ip.is_ipv6()));
}

#[test]
fn every_name_has_its_category_in_a_bundle() {
    for (text, category) in [
        ("candidate:1 1 udp 1 10.0.0.1 9 typ host", MuxCategory::Transport),
        ("rtcp-mux", MuxCategory::Identical),
        ("mid:0", MuxCategory::Normal),
        ("fmtp:96 a=b", MuxCategory::IdenticalPerPt),
        ("sctp-port:5000", MuxCategory::Caution),
        ("extmap:1 x", MuxCategory::Special),
    ] {
        assert_eq!(text.parse::<Attribute>().unwrap().mux_category(), category, "{text}");
    }
}

/// One line of a kind that grows with its length must not cost more than its length.
#[test]
fn long_lists_are_read_in_proportion() {
    for (head, item) in [
        ("simulcast:send a", ";a"),
        ("simulcast:send a", ",a"),
        ("rid:1 send x", ";x"),
        ("rtcp-xr:a", " a"),
        ("group:X", " a"),
        ("imageattr:1 send [x=1,y=1]", " [x=1,y=1]"),
        ("imageattr:1 send [x=1,y=[1,1", ",1"),
        ("remote-candidates:1 a 1", " 1 a 1"),
    ] {
        let tail = if head.ends_with("1,1") { "]]" } else { "" };
        let text = format!("{head}{}{tail}", item.repeat(500));
        let attribute: Attribute = text.parse().unwrap_or_else(|error| panic!("{head}: {error}"));
        assert_eq!(attribute.to_string(), text);
    }
}
