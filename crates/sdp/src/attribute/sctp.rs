//! The attributes of the SCTP association.

use std::fmt;

use super::dtls::parse_base64;
use crate::Text;
use crate::error::Malformed;
use crate::words::{Words, number};

/// The SCTP port with protocol and stream count, as described before RFC 8841.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SctpMap {
    /// The port, which is also the format of the media line.
    pub port: u16,
    /// The protocol above: `webrtc-datachannel`.
    pub protocol: Text,
    /// How many streams, where it is said.
    pub streams: Option<u32>,
}

impl SctpMap {
    pub(crate) fn parse(words: &mut Words<'_>) -> Result<Self, Malformed> {
        let port = words.number("a port")?;
        let protocol = words.text("a protocol")?;
        let streams =
            words.next().map(|word| number(word).ok_or_else(|| words.expected(word, "a number of streams")));
        Ok(Self { port, protocol, streams: streams.transpose()? })
    }
}

impl fmt::Display for SctpMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.port, self.protocol)?;
        self.streams.map_or(Ok(()), |streams| write!(f, " {streams}"))
    }
}

pub(crate) fn parse_init(words: &mut Words<'_>) -> Result<Text, Malformed> {
    parse_base64(words)
}
