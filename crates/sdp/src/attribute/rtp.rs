//! What RTP packets hold: `rtpmap`, `fmtp`, `extmap` and the direction.

use std::fmt;

use crate::error::Malformed;
use crate::words::{Words, number, split_once};
use crate::{Parameters, Section, Text};

/// The encoding behind a payload type (RFC 8866 §6.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rtpmap {
    /// The payload type, 0 to 127.
    pub payload_type: u8,
    /// The name of the encoding, in which case does not count: see [`is`](Self::is).
    pub encoding: Text,
    /// Ticks of the RTP timestamp a second.
    pub clock_rate: u32,
    /// What else there is to say: the number of channels of audio.
    pub parameters: Option<Text>,
}

impl Rtpmap {
    /// The encoding `encoding` with one channel, or without channels.
    pub fn new(payload_type: u8, encoding: &str, clock_rate: u32) -> Self {
        Self { payload_type, encoding: encoding.into(), clock_rate, parameters: None }
    }

    /// The same with `channels` channels of audio.
    pub fn with_channels(self, channels: u16) -> Self {
        Self { parameters: Some(channels.to_string().into()), ..self }
    }

    /// Whether its encoding is that of the name `encoding`.
    pub fn is(&self, encoding: &str) -> bool {
        self.encoding.eq_ignore_ascii_case(encoding)
    }

    /// The number of channels of audio: 1 where none is said.
    pub fn channels(&self) -> Option<u16> {
        self.parameters.as_ref().map_or(Some(1), |parameters| number(parameters))
    }

    pub(crate) fn parse(words: &mut Words<'_>) -> Result<Self, Malformed> {
        let payload_type = words.convert(PAYLOAD_TYPE, payload_type)?;
        let word = words.word("an encoding")?;
        let (encoding, behind) = split_once(word, b'/');
        if encoding.is_empty() {
            return Err(words.expected(word, "an encoding"));
        }
        let behind = behind.ok_or_else(|| words.expected_here("a slash and a clock rate"))?;
        let (clock_rate, parameters) = split_once(behind, b'/');
        let source = words.source();
        Ok(Self {
            payload_type,
            encoding: source.text(encoding),
            clock_rate: number(clock_rate).ok_or_else(|| words.expected(clock_rate, "a clock rate"))?,
            parameters: parameters.map(|part| source.text(part)),
        })
    }
}

impl fmt::Display for Rtpmap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.payload_type, self.encoding, self.clock_rate)?;
        self.parameters.as_ref().map_or(Ok(()), |parameters| write!(f, "/{parameters}"))
    }
}

pub(crate) const PAYLOAD_TYPE: &str = "a payload type from 0 to 127";

pub(crate) fn payload_type(word: &str) -> Option<u8> {
    number(word).filter(|payload_type| *payload_type < 128)
}

/// The parameters of a format (RFC 8866 §6.15).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fmtp {
    /// The format, as on the `m=` line: a payload type for RTP.
    pub format: Text,
    /// Its parameters.
    pub parameters: Parameters,
}

impl Fmtp {
    /// The parameters of a payload type.
    pub fn new(payload_type: u8, parameters: impl Into<Parameters>) -> Self {
        Self { format: payload_type.to_string().into(), parameters: parameters.into() }
    }

    /// The format, where it is a payload type of RTP.
    pub fn payload_type(&self) -> Option<u8> {
        payload_type(&self.format)
    }

    pub(crate) fn parse(words: &mut Words<'_>) -> Result<Self, Malformed> {
        let format = words.text("a format")?;
        let parameters = words.rest().ok_or_else(|| words.expected_here("the parameters of a format"))?;
        Ok(Self { format, parameters: Parameters::new(words.source().text(parameters)) })
    }
}

impl fmt::Display for Fmtp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.format, self.parameters)
    }
}

/// Which ways media flows, as the describing end sees it (RFC 8866 §6.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Both ways.
    SendRecv,
    /// From the describing end.
    SendOnly,
    /// To the describing end.
    RecvOnly,
    /// Neither way.
    Inactive,
}

impl Direction {
    /// The same as the other end sees it (RFC 3264 §6.1).
    pub fn reversed(self) -> Self {
        match self {
            Self::SendOnly => Self::RecvOnly,
            Self::RecvOnly => Self::SendOnly,
            same => same,
        }
    }

    /// Whether the describing end sends.
    pub fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    /// Whether the describing end receives.
    pub fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }

    /// That of `section`, or of `session` where it tells none, or both ways (RFC 8866 §6.7).
    pub fn of(section: &Section, session: &Section) -> Self {
        section.direction().or_else(|| session.direction()).unwrap_or(Self::SendRecv)
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    fn read(word: &str) -> Option<Self> {
        [Self::SendRecv, Self::SendOnly, Self::RecvOnly, Self::Inactive]
            .into_iter()
            .find(|direction| direction.as_str() == word)
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The number of a header extension (RFC 8285 §8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extmap {
    /// The number: 1 to 14 in the short form of the header, to 255 in the long one; 4,096 to 4,351 for one that the answerer
    /// is to number.
    pub id: u16,
    /// Which ways the extension is sent, where that is said.
    pub direction: Option<Direction>,
    /// What it is.
    pub uri: Text,
    /// What else there is to say of it.
    pub attributes: Option<Text>,
}

impl Extmap {
    /// An extension that is sent both ways.
    pub fn new(id: u16, uri: &str) -> Self {
        Self { id, direction: None, uri: uri.into(), attributes: None }
    }

    pub(crate) fn parse(words: &mut Words<'_>) -> Result<Self, Malformed> {
        let (id, direction) =
            words.convert("a number and a direction", |word| match split_once(word, b'/') {
                (id, None) => Some((extension_id(id)?, None)),
                (id, Some(direction)) => Some((extension_id(id)?, Some(Direction::read(direction)?))),
            })?;
        let uri = words.text("a URI")?;
        let source = words.source();
        Ok(Self { id, direction, uri, attributes: words.rest().map(|rest| source.text(rest)) })
    }
}

/// One to five digits, and not none (RFC 8285 §8).
fn extension_id(word: &str) -> Option<u16> {
    number(word).filter(|id| *id != 0)
}

impl fmt::Display for Extmap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.id)?;
        self.direction.map_or(Ok(()), |direction| write!(f, "/{direction}"))?;
        write!(f, " {}", self.uri)?;
        self.attributes.as_ref().map_or(Ok(()), |attributes| write!(f, " {attributes}"))
    }
}
