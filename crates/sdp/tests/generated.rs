//! Sessions made at random: what is made is read again to the same value, and written to the same text.

#![allow(clippy::unwrap_used, reason = "tests")]

use antiphon_sdp::{
    Attribute, Bandwidth, Candidate, CandidateExtension, Connection, Extmap, Feedback, Fingerprint, Fmtp,
    Group, IceOptions, Line, Media, MediaLine, Msid, Origin, Parser, Restriction, Rid, RidDirection, RtcpFb,
    Rtpmap, Session, Setup, Simulcast, SimulcastStream, Ssrc, SsrcGroup, Text, Timing, Value,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

fn token() -> impl Strategy<Value = Text> {
    "[!-~&&[^;,/:=~\\[\\]\"]]{1,12}".prop_map(Text::from)
}

fn name() -> impl Strategy<Value = Text> {
    "[a-zA-Z0-9_-]{1,12}".prop_map(Text::from)
}

/// Text with blanks within.
fn words() -> impl Strategy<Value = Text> {
    "[!-~äß∂]{1,8}( [!-~äß∂]{1,8}){0,3}".prop_map(Text::from)
}

fn candidate() -> impl Strategy<Value = Candidate> {
    let extensions = vec((token(), token()), 0..4);
    let related = option::of(any::<std::net::Ipv4Addr>());
    (token(), 1..=256_u16, any::<u32>(), any::<std::net::IpAddr>(), any::<u16>(), related, extensions)
        .prop_map(|(foundation, component, priority, ip, port, related, extensions)| Candidate {
            foundation,
            component,
            transport: if port % 2 == 0 { "udp".into() } else { "tcp".into() },
            priority,
            address: ip.into(),
            port,
            kind: if port % 3 == 0 { "relay".into() } else { "new".into() },
            related_address: related.map(|ip| std::net::IpAddr::from(ip).into()),
            related_port: related.map(|_| port),
            tcp_type: None,
            extensions: extensions.iter().map(|(name, value)| CandidateExtension::new(name, value)).collect(),
        })
}

fn rid() -> impl Strategy<Value = Rid> {
    (name(), vec(name(), 0..3), option::of(any::<u32>()), vec(name(), 1..3)).prop_map(
        |(id, formats, width, depend)| Rid {
            formats,
            restrictions: vec![Restriction::MaxWidth(width), Restriction::Depend(depend)],
            ..Rid::new(&id, RidDirection::Send)
        },
    )
}

fn simulcast() -> impl Strategy<Value = Simulcast> {
    let stream = (name(), any::<bool>()).prop_map(|(rid, paused)| SimulcastStream { rid, paused }).boxed();
    let streams = || vec(vec(stream.clone(), 1..3), 1..4);
    (streams(), option::of(streams()))
        .prop_map(|(send, recv)| Simulcast { send, recv: recv.unwrap_or_default() })
}

fn attribute() -> impl Strategy<Value = Attribute> {
    let pt = || 0..128_u8;
    let feedback = prop_oneof![
        Just(Feedback::Nack),
        Just(Feedback::NackPli),
        any::<u32>().prop_map(Feedback::TrrInt),
        option::of(any::<u32>()).prop_map(|max_packet_rate| Feedback::CcmTmmbr { max_packet_rate }),
    ];
    prop_oneof![
        candidate().prop_map(Attribute::from),
        "[a-zA-Z0-9+/]{4,256}".prop_map(|text| Attribute::IceUfrag(text.into())),
        "[a-zA-Z0-9+/]{22,256}".prop_map(|text| Attribute::IcePwd(text.into())),
        vec(token(), 1..4).prop_map(|options| Attribute::IceOptions(IceOptions(options))),
        (token(), vec(any::<u8>(), 1..64))
            .prop_map(|(algorithm, value)| Attribute::Fingerprint(Fingerprint { algorithm, value })),
        prop::sample::select(vec![Setup::ActPass, Setup::Active, Setup::Passive]).prop_map(Attribute::Setup),
        (token(), vec(token(), 0..4))
            .prop_map(|(of, mids)| Attribute::Group(Group { semantics: of.as_str().into(), mids })),
        token().prop_map(Attribute::Mid),
        (token(), option::of(token())).prop_map(|(id, appdata)| Attribute::Msid(Msid { id, appdata })),
        (pt(), token(), any::<u32>(), option::of(1..9_u16)).prop_map(|(pt, encoding, rate, channels)| {
            let map = Rtpmap::new(pt, &encoding, rate);
            Attribute::Rtpmap(channels.map_or(map.clone(), |channels| map.with_channels(channels)))
        }),
        (pt(), words()).prop_map(|(pt, parameters)| Attribute::Fmtp(Fmtp::new(pt, parameters.as_str()))),
        (option::of(pt()), feedback)
            .prop_map(|(payload_type, feedback)| Attribute::RtcpFb(RtcpFb { payload_type, feedback })),
        (1..256_u16, token(), option::of(words())).prop_map(|(id, uri, attributes)| {
            Attribute::Extmap(Extmap { attributes, ..Extmap::new(id, &uri) })
        }),
        (any::<u32>(), name(), words())
            .prop_map(|(ssrc, name, value)| Attribute::Ssrc(Ssrc::new(ssrc, &name, &value))),
        (token(), vec(any::<u32>(), 0..4))
            .prop_map(|(of, ssrcs)| Attribute::SsrcGroup(SsrcGroup { semantics: of.as_str().into(), ssrcs })),
        rid().prop_map(|rid| Attribute::Rid(rid.into())),
        simulcast().prop_map(|simulcast| Attribute::Simulcast(simulcast.into())),
        any::<u16>().prop_map(Attribute::SctpPort),
        any::<u64>().prop_map(Attribute::MaxMessageSize),
        prop::sample::select(vec![Attribute::RtcpMux, Attribute::Inactive, Attribute::EndOfCandidates]),
        ("x-[a-z]{1,8}", option::of(words()))
            .prop_map(|(name, value)| Attribute::Other { name: name.into(), value }),
    ]
}

fn media() -> impl Strategy<Value = Media> {
    let line = (name(), any::<u16>(), token(), vec(token(), 1..5));
    let bandwidth = (name(), any::<u64>());
    (line, any::<std::net::IpAddr>(), option::of(bandwidth), vec(attribute(), 0..20)).prop_map(
        |((kind, port, protocol, formats), ip, bandwidth, attributes)| {
            let line = MediaLine { kind, port, port_count: None, protocol, formats };
            Media::builder(line)
                .lines(attributes)
                .lines(bandwidth.map(|(kind, value)| Bandwidth { kind: kind.as_str().into(), value }))
                .line(Connection::new(ip))
                .build()
                .unwrap()
        },
    )
}

fn session() -> impl Strategy<Value = Session> {
    let head = (any::<u64>(), any::<u64>(), words(), option::of(words()), any::<(u64, u64)>());
    (head, vec(attribute(), 0..6), vec(media(), 0..4)).prop_map(
        |((id, version, name, information, (start, stop)), attributes, media)| {
            let builder = Session::builder(Origin::new(id, version))
                .lines(attributes)
                .line(Timing { start, stop })
                .lines(information.map(Value::Information))
                .line(Value::Name(name));
            media.into_iter().fold(builder, antiphon_sdp::SessionBuilder::media).build().unwrap()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_generated_session_is_read_to_the_same_value_and_text(session in session()) {
        let text = session.to_string();
        let strict = Parser::strict().parse(&text);
        prop_assert_eq!(strict.as_ref(), Ok(&session));
        prop_assert_eq!(text.parse::<Session>(), Ok(session));
        prop_assert_eq!(strict.unwrap().to_string(), text);
    }

    #[test]
    fn a_line_is_made_only_where_it_is_read_back(attribute in attribute(), text in ".{0,20}") {
        let line = Line::new(attribute.clone()).unwrap();
        prop_assert_eq!(line.attribute(), Some(&attribute));
        let text = Text::from(text);
        for attribute in [
            Attribute::Mid(text.clone()),
            Attribute::IceUfrag(text.clone()),
            Attribute::Other { name: text.clone(), value: None },
            Attribute::Msid(Msid { id: "x".into(), appdata: Some(text) }),
        ] {
            if let Ok(line) = Line::new(attribute.clone()) {
                let read: Attribute = line.as_str().parse().unwrap();
                prop_assert_eq!(read, attribute);
            }
        }
    }
}
