//! The one media section of a description that we use: the one of the data channels (RFC 8841, RFC 8842).

use std::net::Ipv4Addr;

use antiphon_crypto::Fingerprint;
use antiphon_ice::Credentials;
use antiphon_sctp::DescribedInit;
use antiphon_sdp as sdp;
use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use sdp::{
    Attribute, Group, GroupSemantics, InvalidLineError, Media, MediaLine, Section, Session, Setup, Value,
};

use crate::InvalidSection;

/// What max-message-size means where it is absent (RFC 8841 §6.1).
const DEFAULT_MAX_MESSAGE_SIZE: u64 = 65_536;

/// What we put in a data section.
#[derive(Debug, Clone)]
pub(crate) struct Parameters {
    pub(crate) credentials: Credentials,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) sctp_port: u16,
    pub(crate) max_message_size: u64,
    pub(crate) ice_lite: bool,
    pub(crate) ice_renomination: bool,
    /// The ICE options by which we say that the handshake may ride in checks: in an answer some of those that were offered.
    pub(crate) embedding: Vec<&'static str>,
    /// Our INIT chunk, where it is told.
    pub(crate) sctp_init: Option<Vec<u8>>,
}

/// A data section as it stands in a description, with what it takes from the session and from its bundle.
#[derive(Debug, Clone)]
pub(crate) struct DataSection {
    /// Its place among the sections, from 0.
    pub(crate) index: usize,
    pub(crate) mid: Option<String>,
    /// Whether it is in the form before RFC 8841.
    pub(crate) legacy: bool,
    pub(crate) credentials: Credentials,
    pub(crate) fingerprints: Vec<Fingerprint>,
    pub(crate) setup: Setup,
    pub(crate) sctp_port: u16,
    /// In bytes, 0 for any.
    pub(crate) max_message_size: u64,
    pub(crate) ice_lite: bool,
    pub(crate) ice_renomination: bool,
    /// The ICE options by which it says that the handshake may ride in checks.
    pub(crate) embedding: Vec<&'static str>,
    /// The INIT chunk of who made it (draft-hancke-tsvwg-snap); one that is none is passed over.
    pub(crate) sctp_init: Option<DescribedInit>,
}

/// Of INIT chunks; written with padding and read with it or without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The ICE options by which a peer says that the handshake of DTLS may ride in checks: that of draft-hancke-webrtc-sped and
/// that of libwebrtc.
pub(crate) const EMBEDDING: [&str; 2] = ["sped", "googspedv1"];

/// The ICE option by which a peer says that it follows from one nominated pair to another.
const RENOMINATION: &str = "renomination";

impl DataSection {
    /// The first data section of `session` that is not rejected.
    pub(crate) fn of(session: &Session) -> Result<Option<Self>, (usize, InvalidSection)> {
        let found = session.media.iter().enumerate().find(|(_, media)| is_data(media) && is_accepted(media));
        match found {
            None => Ok(None),
            Some((index, media)) => {
                Self::read(session, index, media).map(Some).map_err(|reason| (index, reason))
            }
        }
    }

    fn read(session: &Session, index: usize, media: &Media) -> Result<Self, InvalidSection> {
        let sources = sources(session, media);
        let first = |wanted: fn(&Section) -> Option<&str>| sources.iter().find_map(|section| wanted(section));
        let credentials = first(Section::ice_ufrag)
            .zip(first(Section::ice_pwd))
            .map(|(ufrag, pwd)| Credentials { ufrag: ufrag.into(), pwd: pwd.into() })
            .ok_or(InvalidSection::NoIceCredentials)?;
        // Those of unknown or weak hash functions are passed over (RFC 8122 §5).
        let fingerprints: Vec<Fingerprint> = sources
            .iter()
            .map(|section| section.fingerprints().filter_map(|line| line.to_string().parse().ok()).collect())
            .find(|found: &Vec<_>| !found.is_empty())
            .ok_or(InvalidSection::NoFingerprint)?;
        let setup = sources
            .iter()
            .find_map(|section| section.setup())
            .filter(|setup| *setup != Setup::HoldConn)
            .ok_or(InvalidSection::Setup)?;
        let has_option = |wanted: &str| {
            sources.iter().any(|section| section.ice_options().iter().any(|option| *option == wanted))
        };
        Ok(Self {
            index,
            mid: media.section.mid().map(Into::into),
            legacy: media.line().protocol == "DTLS/SCTP",
            credentials,
            fingerprints,
            setup,
            sctp_port: media.section.sctp_port().unwrap_or(5000),
            max_message_size: media.section.max_message_size().unwrap_or(DEFAULT_MAX_MESSAGE_SIZE),
            ice_lite: session.section.has("ice-lite"),
            ice_renomination: has_option(RENOMINATION),
            embedding: EMBEDDING.into_iter().filter(|option| has_option(option)).collect(),
            sctp_init: media
                .section
                .sctp_init()
                .and_then(|text| BASE64.decode(text).ok())
                .and_then(|chunk| DescribedInit::parse(&chunk).ok()),
        })
    }
}

/// Where the transport attributes of `media` may stand: in it, at session level, in the first section of its bundle
/// (RFC 9143 §7.1.3: those of one transport need not be repeated).
fn sources<'a>(session: &'a Session, media: &'a Media) -> Vec<&'a Section> {
    let tagged = media.section.mid().and_then(|mid| {
        let bundle = session.groups().find(|group| is_bundle_with(group, mid))?;
        let tag = bundle.mids.first()?;
        session.media.iter().find(|media| media.section.mid() == Some(tag))
    });
    [Some(&media.section), Some(&session.section), tagged.map(|media| &media.section)]
        .into_iter()
        .flatten()
        .collect()
}

/// Whether `group` is a bundle that holds the section `mid`.
pub(crate) fn is_bundle_with(group: &Group, mid: &str) -> bool {
    group.semantics == GroupSemantics::Bundle && group.mids.iter().any(|known| known == mid)
}

fn is_data(media: &Media) -> bool {
    let line = media.line();
    let is_channel = |section: &Section| {
        section.attributes().any(
            |attribute| matches!(attribute, Attribute::SctpMap(map) if map.protocol == "webrtc-datachannel"),
        )
    };
    line.kind == "application"
        && match line.protocol.as_str() {
            "UDP/DTLS/SCTP" | "TCP/DTLS/SCTP" => line.formats.iter().any(|f| f == "webrtc-datachannel"),
            "DTLS/SCTP" => is_channel(&media.section),
            _ => false,
        }
}

/// Port 0 rejects a section, unless it is one that exists only within its bundle.
fn is_accepted(media: &Media) -> bool {
    media.line().port != 0 || media.section.has("bundle-only")
}

/// What differs between data sections of ours.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub(crate) mid: Option<String>,
    pub(crate) setup: Setup,
    pub(crate) legacy: bool,
}

/// A data section of ours, without candidates (RFC 8829 §5.2.1, RFC 8841 §7).
pub(crate) fn data_media(parameters: &Parameters, shape: &Shape) -> Result<Media, InvalidLineError> {
    let port = parameters.sctp_port;
    let line = match shape.legacy {
        false => MediaLine::new("application", 9, "UDP/DTLS/SCTP", &["webrtc-datachannel"]),
        true => MediaLine::new("application", 9, "DTLS/SCTP", &[&port.to_string()]),
    };
    let options = ["trickle", "ice2"].into_iter().chain(parameters.ice_renomination.then_some(RENOMINATION));
    let options = options.chain(parameters.embedding.iter().copied());
    let sctp = match shape.legacy {
        false => Attribute::SctpPort(port),
        true => Attribute::SctpMap(sdp::SctpMap {
            port,
            protocol: "webrtc-datachannel".into(),
            streams: Some(65_535),
        }),
    };
    let init = parameters.sctp_init.as_ref().filter(|_| !shape.legacy);
    let init = init.map(|chunk| Attribute::SctpInit(BASE64.encode(chunk).into()));
    Media::builder(line)
        .line(unspecified())
        .line(Attribute::IceUfrag(parameters.credentials.ufrag.as_str().into()))
        .line(Attribute::IcePwd(parameters.credentials.pwd.as_str().into()))
        .line(Attribute::IceOptions(options.collect()))
        .line(Attribute::Fingerprint(sdp::Fingerprint {
            algorithm: parameters.fingerprint.algorithm_name().into(),
            value: parameters.fingerprint.as_bytes().into(),
        }))
        .line(Attribute::Setup(shape.setup))
        .lines(shape.mid.as_deref().map(mid))
        .line(sctp)
        .line(Attribute::MaxMessageSize(parameters.max_message_size))
        .lines(init)
        .build()
}

/// `media` rejected (RFC 3264 §6); the format means nothing then, but there has to be one.
pub(crate) fn rejected(media: &Media) -> Result<Media, InvalidLineError> {
    let line = media.line();
    let format = if line.protocol.contains("RTP/") { "0" } else { line.formats.first().map_or("-", |f| f) };
    Media::builder(MediaLine::new(&line.kind, 0, &line.protocol, &[format]))
        .line(unspecified())
        .line(Attribute::Inactive)
        .lines(media.section.mid().map(mid))
        .build()
}

fn mid(mid: &str) -> Attribute {
    Attribute::Mid(mid.into())
}

fn unspecified() -> sdp::Connection {
    sdp::Connection::new(Ipv4Addr::UNSPECIFIED.into())
}

/// `session` with our candidates in the section at `index`, and the default one in its `m=` and `c=` lines
/// (RFC 8829 §5.2.2).
pub(crate) fn with_candidates(
    mut session: Session,
    index: usize,
    candidates: &[sdp::Candidate],
    complete: bool,
) -> Session {
    let Some(media) = session.media.get_mut(index) else { return session };
    if let Some((ip, port)) = default_address(candidates) {
        media.set_port(port);
        let line = media.section.lines.iter_mut().find(|line| matches!(line.value(), Value::Connection(_)));
        if let (Some(line), Ok(connection)) = (line, sdp::Line::new(sdp::Connection::new(ip))) {
            *line = connection;
        }
    }
    let attributes = candidates.iter().cloned().map(Box::new).map(Attribute::Candidate);
    for attribute in attributes.chain(complete.then_some(Attribute::EndOfCandidates)) {
        // Candidates hold numbers and our own words, which no line break is in.
        let _ = media.section.push(attribute);
    }
    session
}

/// The address that a peer without ICE would use: the one most likely to be reached, of IPv4 first.
fn default_address(candidates: &[sdp::Candidate]) -> Option<(std::net::IpAddr, u16)> {
    let rank = |candidate: &sdp::Candidate| match candidate.kind {
        sdp::CandidateKind::Relayed => 2,
        sdp::CandidateKind::ServerReflexive => 1,
        _ => 0,
    };
    candidates
        .iter()
        .filter_map(|candidate| Some((candidate, candidate.address.ip()?)))
        .max_by_key(|(candidate, ip)| (rank(candidate), ip.is_ipv4(), candidate.priority))
        .map(|(candidate, ip)| (ip, candidate.port))
}
