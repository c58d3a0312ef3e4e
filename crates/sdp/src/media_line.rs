//! `m=`.

use std::fmt;

use crate::Text;
use crate::error::Malformed;
use crate::words::{Words, number};

/// The line that opens a media section (RFC 8866 §5.14).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaLine {
    /// `audio`, `video`, `application` …
    pub kind: Text,
    /// The port; 0 means that the section is rejected or only used in a bundle.
    pub port: u16,
    /// How many ports, where the line says so.
    pub port_count: Option<u16>,
    /// The protocol: `UDP/DTLS/SCTP`, `UDP/TLS/RTP/SAVPF` …
    pub protocol: Text,
    /// The formats: payload types of RTP, `webrtc-datachannel` for data channels.
    pub formats: Vec<Text>,
}

impl MediaLine {
    /// A line on one port; [`Media::new`](crate::Media::new) refuses one without formats.
    pub fn new(kind: &str, port: u16, protocol: &str, formats: &[&str]) -> Self {
        Self {
            kind: kind.into(),
            port,
            port_count: None,
            protocol: protocol.into(),
            formats: formats.iter().map(|format| Text::from(*format)).collect(),
        }
    }

    /// The formats that are payload types of RTP.
    pub fn payload_types(&self) -> impl Iterator<Item = u8> {
        self.formats.iter().filter_map(|format| number(format).filter(|format| *format < 128))
    }

    pub(crate) fn parse(words: &mut Words<'_>) -> Result<Self, Malformed> {
        let kind = words.text("a kind of media")?;
        let (port, port_count) = words.convert("a port", ports)?;
        let protocol = words.text("a protocol")?;
        let formats = words.texts("a format")?;
        Ok(Self { kind, port, port_count, protocol, formats })
    }
}

fn ports(word: &str) -> Option<(u16, Option<u16>)> {
    match word.split_once('/') {
        None => Some((number(word)?, None)),
        Some((port, count)) => Some((number(port)?, Some(number(count)?))),
    }
}

impl fmt::Display for MediaLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.port)?;
        self.port_count.map_or(Ok(()), |count| write!(f, "/{count}"))?;
        write!(f, " {}", self.protocol)?;
        self.formats.iter().try_for_each(|format| write!(f, " {format}"))
    }
}
