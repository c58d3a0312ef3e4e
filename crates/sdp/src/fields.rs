//! Lines other than attributes that have parts: `o=`, `c=` and `m=`.

use std::fmt;

use crate::error::Malformed;
use crate::words::Words;

/// Who made the description (RFC 8866 §5.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The user's name, or `-`.
    pub username: String,
    /// Identifies the session.
    pub session_id: u64,
    /// Grows with every change of the description.
    pub session_version: u64,
    /// The network's type: `IN`.
    pub network_type: String,
    /// `IP4` or `IP6`.
    pub address_type: String,
    /// The address of the maker; WebRTC puts a constant here.
    pub address: String,
}

impl Origin {
    pub(crate) fn parse(value: &str) -> Result<Self, Malformed> {
        let mut words = Words::new(value);
        let origin = Self {
            username: words.word("a user name")?.into(),
            session_id: words.parsed("a session identifier of 64 bits")?,
            session_version: words.parsed("a session version of 64 bits")?,
            network_type: words.word("a network type")?.into(),
            address_type: words.word("an address type")?.into(),
            address: words.word("an address")?.into(),
        };
        words.end()?;
        Ok(origin)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { username, session_id, session_version, network_type, address_type, address } = self;
        write!(f, "{username} {session_id} {session_version} {network_type} {address_type} {address}")
    }
}

/// The address of a session or of media (RFC 8866 §5.7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// The network's type: `IN`.
    pub network_type: String,
    /// `IP4` or `IP6`.
    pub address_type: String,
    /// The address, with time to live and count where it is one of multicast.
    pub address: String,
}

impl Connection {
    pub(crate) fn parse(value: &str) -> Result<Self, Malformed> {
        let mut words = Words::new(value);
        let connection = Self {
            network_type: words.word("a network type")?.into(),
            address_type: words.word("an address type")?.into(),
            address: words.word("an address")?.into(),
        };
        words.end()?;
        Ok(connection)
    }
}

impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.network_type, self.address_type, self.address)
    }
}

/// The line that opens a media section (RFC 8866 §5.14).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaLine {
    /// `audio`, `video`, `application` …
    pub kind: String,
    /// The port; 0 means that the section is rejected or only used in a bundle.
    pub port: u16,
    /// How many ports, where the line says so.
    pub port_count: Option<u16>,
    /// The protocol: `UDP/DTLS/SCTP`, `UDP/TLS/RTP/SAVPF` …
    pub protocol: String,
    /// The formats: payload types of RTP, `webrtc-datachannel` for data channels.
    pub formats: Vec<String>,
}

impl MediaLine {
    pub(crate) fn parse(value: &str) -> Result<Self, Malformed> {
        let mut words = Words::new(value);
        let kind = words.word("a kind of media")?.into();
        let ports: Ports = words.parsed("a port")?;
        let protocol = words.word("a protocol")?.into();
        let formats = std::iter::once(words.word("a format")?).chain(words).map(Into::into).collect();
        Ok(Self { kind, port: ports.port, port_count: ports.count, protocol, formats })
    }
}

impl fmt::Display for MediaLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.port)?;
        if let Some(count) = self.port_count {
            write!(f, "/{count}")?;
        }
        write!(f, " {}", self.protocol)?;
        self.formats.iter().try_for_each(|format| write!(f, " {format}"))
    }
}

struct Ports {
    port: u16,
    count: Option<u16>,
}

impl std::str::FromStr for Ports {
    type Err = std::num::ParseIntError;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word.split_once('/') {
            None => Ok(Self { port: word.parse()?, count: None }),
            Some((port, count)) => Ok(Self { port: port.parse()?, count: Some(count.parse()?) }),
        }
    }
}
