//! Descriptions made from values and edited: what is not refused is read again, strictly, to the same value, with as many
//! lines as were made.
#![no_main]

use antiphon_sdp::{
    Attribute, Bandwidth, Candidate, CandidateExtension, Codec, Connection, Content, Decimal, Direction,
    Extmap, Feedback, Fingerprint, Fmtp, Group, IceOptions, Identity, ImageAttr, ImageSet, ImageSets,
    ImageSizes, Line, Media, MediaLine, Msid, MsidSemantic, Origin, Parameters, Parser, RemoteCandidate,
    RemoteCandidates, Restriction, Rid, RidDirection, Rtcp, RtcpFb, RtcpXr, Rtpmap, SctpMap, Section,
    Session, Setup, Simulcast, SimulcastStream, Ssrc, SsrcGroup, Timing, Value, XrFormat,
};
use libfuzzer_sys::arbitrary::{Arbitrary, Result, Unstructured};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut input = Unstructured::new(bytes);
    let _ = run(&mut input);
});

fn run(input: &mut Unstructured<'_>) -> Result<()> {
    let mut origin = Origin::new(u64::arbitrary(input)?, u64::arbitrary(input)?);
    origin.username = text(input)?;
    let mut builder = Session::builder(origin);
    for _ in 0..input.int_in_range(0..=4)? {
        builder = builder.line(value(input)?);
    }
    for _ in 0..input.int_in_range(0..=3)? {
        if let Some(media) = media(input)? {
            builder = builder.media(media);
        }
    }
    let Ok(mut session) = builder.build() else { return Ok(()) };
    assert_eq!(Parser::strict().parse(&session.to_string()).as_ref(), Ok(&session));
    while !input.is_empty() {
        edit(input, &mut session)?;
    }
    let text = session.to_string();
    let lines = session.section.lines.len()
        + session.media.iter().map(|media| 1 + media.section.lines.len()).sum::<usize>();
    assert_eq!(text.split_terminator("\r\n").count(), lines);
    // Edits may repeat lines that stand once, which only the lenient parser takes.
    if let Ok(read) = text.parse::<Session>() {
        assert_eq!(read, session);
    }
    session.media.iter().flat_map(Media::codecs).for_each(|codec: Codec<'_>| {
        let _ = codec.typed_parameters();
    });
    Ok(())
}

fn media(input: &mut Unstructured<'_>) -> Result<Option<Media>> {
    let formats = list(input)?;
    let formats: Vec<&str> = formats.iter().map(String::as_str).collect();
    let mut line = MediaLine::new(&word(input)?, u16::arbitrary(input)?, &word(input)?, &formats);
    line.port_count = Arbitrary::arbitrary(input)?;
    let mut builder = Media::builder(line).line(Connection::new(<[u8; 4]>::arbitrary(input)?.into()));
    for _ in 0..input.int_in_range(0..=6)? {
        builder = builder.line(value(input)?);
    }
    Ok(builder.build().ok())
}

fn edit(input: &mut Unstructured<'_>, session: &mut Session) -> Result<()> {
    let section: &mut Section = match input.choose_index(session.media.len() + 1)? {
        0 => &mut session.section,
        index => &mut session.media[index - 1].section,
    };
    match input.int_in_range(0..=3)? {
        0 => {
            let _ = section.push(value(input)?);
        }
        1 => {
            let _ = section.set(attribute(input)?);
        }
        2 => {
            section.remove(&word(input)?);
        }
        _ => {
            if let Ok(line) = Line::new(value(input)?) {
                assert_eq!(Line::new(line.value().clone()), Ok(line.clone()));
                section.lines.push(line);
            }
        }
    }
    Ok(())
}

fn value(input: &mut Unstructured<'_>) -> Result<Value> {
    Ok(match input.int_in_range(0..=9)? {
        0 => Value::Name(text(input)?),
        1 => Value::Information(text(input)?),
        2 => Connection {
            time_to_live: Arbitrary::arbitrary(input)?,
            count: Arbitrary::arbitrary(input)?,
            address: word(input)?.as_str().into(),
            address_type: word(input)?.as_str().into(),
            ..Connection::new([1, 2, 3, 4].into())
        }
        .into(),
        3 => Bandwidth { kind: word(input)?.as_str().into(), value: u64::arbitrary(input)? }.into(),
        4 => Timing { start: u64::arbitrary(input)?, stop: u64::arbitrary(input)? }.into(),
        5 => Value::Other { kind: char::arbitrary(input)?, text: text(input)? },
        _ => attribute(input)?.into(),
    })
}

fn attribute(input: &mut Unstructured<'_>) -> Result<Attribute> {
    Ok(match input.int_in_range(0..=32)? {
        0 => candidate(input)?.into(),
        1 => Attribute::IceUfrag(text(input)?),
        2 => Attribute::IcePwd(text(input)?),
        3 => Attribute::IceOptions(IceOptions(texts(input)?)),
        4 => Attribute::Fingerprint(Fingerprint {
            algorithm: text(input)?,
            value: Arbitrary::arbitrary(input)?,
        }),
        5 => Attribute::Setup(*input.choose(&[Setup::ActPass, Setup::Active, Setup::Passive])?),
        6 => Attribute::TlsId(text(input)?),
        7 => Attribute::Group(Group { semantics: word(input)?.as_str().into(), mids: texts(input)? }),
        8 => Attribute::Mid(text(input)?),
        9 => Attribute::Msid(Msid { id: text(input)?, appdata: option(input, text)? }),
        10 => Attribute::MsidSemantic(MsidSemantic { semantic: text(input)?, ids: texts(input)? }),
        11 => Attribute::Rtpmap(Rtpmap {
            payload_type: u8::arbitrary(input)?,
            encoding: text(input)?,
            clock_rate: u32::arbitrary(input)?,
            parameters: option(input, text)?,
        }),
        12 => Attribute::Fmtp(Fmtp { format: text(input)?, parameters: Parameters::new(text(input)?) }),
        13 => Attribute::Rtcp(Box::new(Rtcp { port: u16::arbitrary(input)?, address: None })),
        14 => Attribute::RtcpFb(RtcpFb {
            payload_type: Arbitrary::arbitrary(input)?,
            feedback: match input.int_in_range(0..=2)? {
                0 => Feedback::Other(text(input)?),
                1 => Feedback::TrrInt(u32::arbitrary(input)?),
                _ => word(input)?.as_str().into(),
            },
        }),
        15 => Attribute::RtcpXr(RtcpXr(vec![
            XrFormat::Other(text(input)?),
            XrFormat::StatSummary(vec![word(input)?.as_str().into()]),
            XrFormat::ReceiverRtt {
                senders_only: bool::arbitrary(input)?,
                max_size: Arbitrary::arbitrary(input)?,
            },
        ])),
        16 => Attribute::Extmap(Extmap {
            id: u16::arbitrary(input)?,
            direction: option(input, direction)?,
            uri: text(input)?,
            attributes: option(input, text)?,
        }),
        17 => Attribute::Ssrc(Ssrc {
            ssrc: u32::arbitrary(input)?,
            attribute: text(input)?,
            value: option(input, text)?,
        }),
        18 => Attribute::SsrcGroup(SsrcGroup {
            semantics: word(input)?.as_str().into(),
            ssrcs: Arbitrary::arbitrary(input)?,
        }),
        19 => Attribute::Rid(Box::new(Rid {
            id: text(input)?,
            direction: *input.choose(&[RidDirection::Send, RidDirection::Recv])?,
            formats: texts(input)?,
            restrictions: restrictions(input)?,
        })),
        20 => Attribute::Simulcast(Box::new(Simulcast { send: streams(input)?, recv: streams(input)? })),
        21 => Attribute::SctpMap(SctpMap {
            port: u16::arbitrary(input)?,
            protocol: text(input)?,
            streams: Arbitrary::arbitrary(input)?,
        }),
        22 => Attribute::SctpInit(text(input)?),
        23 => Attribute::Identity(Identity { assertion: text(input)?, extensions: texts(input)? }),
        24 => Attribute::RemoteCandidates(RemoteCandidates(vec![RemoteCandidate {
            component: u16::arbitrary(input)?,
            address: word(input)?.as_str().into(),
            port: u16::arbitrary(input)?,
        }])),
        25 => Attribute::ImageAttr(Box::new(ImageAttr {
            payload_type: Arbitrary::arbitrary(input)?,
            send: option(input, image_sets)?,
            recv: option(input, image_sets)?,
        })),
        26 => Attribute::Ptime(decimal(input)?),
        27 => Attribute::FrameRate(decimal(input)?),
        28 => Attribute::Content(Content(vec![word(input)?.as_str().into(), word(input)?.as_str().into()])),
        29 => direction(input)?.into(),
        30 => Attribute::IcePacing(u64::arbitrary(input)?),
        31 => match Attribute::new(&word(input)?, option(input, word)?.as_deref()) {
            Ok(attribute) => attribute,
            Err(_) => Attribute::RtcpMux,
        },
        _ => Attribute::Other { name: text(input)?, value: option(input, text)? },
    })
}

fn candidate(input: &mut Unstructured<'_>) -> Result<Candidate> {
    Ok(Candidate {
        foundation: text(input)?,
        component: u16::arbitrary(input)?,
        transport: word(input)?.as_str().into(),
        priority: u32::arbitrary(input)?,
        address: word(input)?.as_str().into(),
        port: u16::arbitrary(input)?,
        kind: word(input)?.as_str().into(),
        related_address: option(input, word)?.map(|word| word.as_str().into()),
        related_port: Arbitrary::arbitrary(input)?,
        tcp_type: None,
        extensions: vec![CandidateExtension::new(&word(input)?, &word(input)?)],
    })
}

fn restrictions(input: &mut Unstructured<'_>) -> Result<Vec<Restriction>> {
    (0..input.int_in_range(0..=2)?)
        .map(|_| {
            Ok(match input.int_in_range(0..=3)? {
                0 => Restriction::MaxWidth(Arbitrary::arbitrary(input)?),
                1 => Restriction::MaxBpp(option(input, decimal)?),
                2 => Restriction::Depend(texts(input)?),
                _ => Restriction::Other { name: text(input)?, value: option(input, text)? },
            })
        })
        .collect()
}

fn streams(input: &mut Unstructured<'_>) -> Result<Vec<Vec<SimulcastStream>>> {
    (0..input.int_in_range(0..=2)?)
        .map(|_| {
            (0..input.int_in_range(0..=2)?)
                .map(|_| Ok(SimulcastStream { rid: text(input)?, paused: bool::arbitrary(input)? }))
                .collect()
        })
        .collect()
}

fn image_sets(input: &mut Unstructured<'_>) -> Result<ImageSets> {
    if bool::arbitrary(input)? {
        return Ok(ImageSets::Any);
    }
    let sets = (0..input.int_in_range(0..=2)?).map(|_| {
        Ok(ImageSet {
            x: ImageSizes::One(u32::arbitrary(input)?),
            y: ImageSizes::List(Arbitrary::arbitrary(input)?),
            sample_ratios: None,
            aspect_ratio: None,
            preference: option(input, decimal)?,
            others: vec![(text(input)?, text(input)?)],
        })
    });
    sets.collect::<Result<_>>().map(ImageSets::Sets)
}

fn direction(input: &mut Unstructured<'_>) -> Result<Direction> {
    input.choose(&[Direction::SendRecv, Direction::SendOnly, Direction::Inactive]).copied()
}

fn decimal(input: &mut Unstructured<'_>) -> Result<Decimal> {
    let number = f64::arbitrary(input)?;
    Ok(Decimal::new(number).unwrap_or(Decimal::from(1)))
}

fn option<T>(
    input: &mut Unstructured<'_>,
    some: impl FnOnce(&mut Unstructured<'_>) -> Result<T>,
) -> Result<Option<T>> {
    if bool::arbitrary(input)? { some(input).map(Some) } else { Ok(None) }
}

fn texts(input: &mut Unstructured<'_>) -> Result<Vec<antiphon_sdp::Text>> {
    Ok(list(input)?.into_iter().map(Into::into).collect())
}

fn list(input: &mut Unstructured<'_>) -> Result<Vec<String>> {
    (0..input.int_in_range(0..=3)?).map(|_| word(input)).collect()
}

fn text(input: &mut Unstructured<'_>) -> Result<antiphon_sdp::Text> {
    word(input).map(Into::into)
}

/// A word of the grammar, or any text.
fn word(input: &mut Unstructured<'_>) -> Result<String> {
    const WORDS: [&str; 24] = [
        "",
        "-",
        "0",
        "96",
        "audio",
        "IN",
        "IP4",
        "IP6",
        "udp",
        "host",
        "raddr",
        "BUNDLE",
        "nack",
        "nack pli",
        "VP8",
        "H264",
        "red",
        "cname",
        "a=1;b=2",
        "x y",
        "x,y",
        "x/y",
        "abcdefghijklmnopqrstuvwx",
        "pt=1",
    ];
    if bool::arbitrary(input)? {
        return Ok((*input.choose(&WORDS)?).to_owned());
    }
    String::arbitrary(input)
}
