//! An ICE candidate as text (RFC 8839 §5.1).

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::error::{Malformed, ParseError};
use crate::words::Words;

/// A transport address at which an agent may be reached.
///
/// ```text
/// candidate:<foundation> <component> <transport> <priority> <address> <port> typ <kind>
///           [raddr <address> rport <port>] [tcptype <type>] *(<name> <value>)
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Equal for candidates of one kind, base and server; 1 to 32 characters.
    pub foundation: String,
    /// 1 for RTP and everything that is multiplexed with it, 2 for RTCP; 1 to 256.
    pub component: u16,
    /// What carries datagrams to it.
    pub transport: Transport,
    /// Its priority, 1 to 2³¹ − 1.
    pub priority: u32,
    /// Its address, or a name in place of it.
    pub address: Address,
    /// Its port.
    pub port: u16,
    /// How it was found.
    pub kind: CandidateKind,
    /// The related address, where one is told.
    pub related_address: Option<Address>,
    /// The related port, where one is told.
    pub related_port: Option<u16>,
    /// Who opens the connection, for TCP (RFC 6544 §4.5).
    pub tcp_type: Option<TcpType>,
    /// Everything else, in order: `generation`, `ufrag`, `network-id`, `network-cost` and what comes later.
    pub extensions: Vec<(String, String)>,
}

impl Candidate {
    /// The value of the extension `name`.
    pub fn extension(&self, name: &str) -> Option<&str> {
        self.extensions.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The user fragment that it belongs to, where it says so.
    pub fn ufrag(&self) -> Option<&str> {
        self.extension("ufrag")
    }

    /// What stands after `candidate:`.
    pub(crate) fn parse(value: &str) -> Result<Self, Malformed> {
        let mut words = Words::new(value);
        let foundation = words.word("a foundation")?;
        if foundation.len() > 32 {
            return Err(Malformed { at: 0, expected: "a foundation of at most 32 characters" });
        }
        let component: u16 = words.parsed("a component from 1 to 256")?;
        if !(1..=256).contains(&component) {
            return Err(Malformed { at: foundation.len() + 1, expected: "a component from 1 to 256" });
        }
        let mut candidate = Self {
            foundation: foundation.into(),
            component,
            transport: words.word("a transport")?.into(),
            priority: words.parsed("a priority of 32 bits")?,
            address: words.word("an address")?.into(),
            port: words.parsed("a port")?,
            kind: CandidateKind::Host,
            related_address: None,
            related_port: None,
            tcp_type: None,
            extensions: Vec::new(),
        };
        words.parsed::<Typ>("typ")?;
        candidate.kind = words.word("a kind of candidate")?.into();
        candidate.parse_extensions(&mut words)?;
        Ok(candidate)
    }

    fn parse_extensions(&mut self, words: &mut Words<'_>) -> Result<(), Malformed> {
        while let Some(name) = words.next() {
            match name {
                "raddr" => self.related_address = Some(words.word("a related address")?.into()),
                "rport" => self.related_port = Some(words.parsed("a related port")?),
                "tcptype" => self.tcp_type = Some(words.parsed("active, passive or so")?),
                _ => {
                    let value = words.word("the value of an extension")?;
                    self.extensions.push((name.into(), value.into()));
                }
            }
        }
        Ok(())
    }
}

/// Takes the bare value, `candidate:…` as it is trickled, and `a=candidate:…`.
impl FromStr for Candidate {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let line = text.strip_prefix("a=").unwrap_or(text);
        let value = line.strip_prefix("candidate:").unwrap_or(line);
        if let Some(at) = text.find(['\r', '\n', '\0']) {
            return Err(ParseError { line: 1, column: at + 1, reason: crate::Reason::ControlCharacter });
        }
        Self::parse(value).map_err(|malformed| malformed.on_line(1, text.len() - value.len()))
    }
}

/// Writes `candidate:…`, as it is trickled.
impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { foundation, component, transport, priority, address, port, kind, .. } = self;
        write!(f, "candidate:{foundation} {component} {transport} {priority} {address} {port} typ {kind}")?;
        if let Some(address) = &self.related_address {
            write!(f, " raddr {address}")?;
        }
        if let Some(port) = self.related_port {
            write!(f, " rport {port}")?;
        }
        if let Some(tcp_type) = self.tcp_type {
            write!(f, " tcptype {tcp_type}")?;
        }
        self.extensions.iter().try_for_each(|(name, value)| write!(f, " {name} {value}"))
    }
}

/// The word `typ`.
struct Typ;

impl FromStr for Typ {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        if word == "typ" { Ok(Self) } else { Err(()) }
    }
}

/// What carries datagrams to a candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    /// UDP.
    Udp,
    /// TCP with framing (RFC 6544).
    Tcp,
    /// Something else, by name.
    Other(String),
}

impl From<&str> for Transport {
    fn from(word: &str) -> Self {
        if word.eq_ignore_ascii_case("udp") {
            Self::Udp
        } else if word.eq_ignore_ascii_case("tcp") {
            Self::Tcp
        } else {
            Self::Other(word.into())
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Other(word) => word,
        })
    }
}

/// An address, or a name that stands for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// IPv4 or IPv6.
    Ip(IpAddr),
    /// A name; those that end in `.local` are resolved by multicast DNS.
    Name(String),
}

impl Address {
    /// The address, unless it is a name.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Ip(ip) => Some(*ip),
            Self::Name(_) => None,
        }
    }

    /// Whether it is a name of multicast DNS.
    pub fn is_mdns(&self) -> bool {
        matches!(self, Self::Name(name) if name.to_ascii_lowercase().ends_with(".local"))
    }
}

impl From<&str> for Address {
    fn from(word: &str) -> Self {
        word.parse().map_or_else(|_| Self::Name(word.into()), Self::Ip)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(ip) => ip.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

/// How a candidate was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CandidateKind {
    /// An address of the agent's own.
    Host,
    /// The address that a STUN server saw.
    ServerReflexive,
    /// The address that the peer saw.
    PeerReflexive,
    /// An address of a relay.
    Relayed,
    /// Something else, by name.
    Other(String),
}

impl From<&str> for CandidateKind {
    fn from(word: &str) -> Self {
        match word {
            "host" => Self::Host,
            "srflx" => Self::ServerReflexive,
            "prflx" => Self::PeerReflexive,
            "relay" => Self::Relayed,
            other => Self::Other(other.into()),
        }
    }
}

impl fmt::Display for CandidateKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Host => "host",
            Self::ServerReflexive => "srflx",
            Self::PeerReflexive => "prflx",
            Self::Relayed => "relay",
            Self::Other(word) => word,
        })
    }
}

/// Who opens the connection to a TCP candidate (RFC 6544 §4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TcpType {
    /// Its owner does; the port means nothing.
    Active,
    /// The peer does.
    Passive,
    /// Both do at once.
    SimultaneousOpen,
}

impl FromStr for TcpType {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        match word {
            "active" => Ok(Self::Active),
            "passive" => Ok(Self::Passive),
            "so" => Ok(Self::SimultaneousOpen),
            _ => Err(()),
        }
    }
}

impl fmt::Display for TcpType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Active => "active",
            Self::Passive => "passive",
            Self::SimultaneousOpen => "so",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Reason;

    #[test]
    fn reads_every_field() {
        let text = "candidate:842163049 1 udp 1677729535 203.0.113.7 60768 typ srflx raddr 10.0.0.2 rport 3478 \
                    generation 0 ufrag X+/9 network-id 2 network-cost 50";
        let candidate: Candidate = text.parse().unwrap();
        assert_eq!(candidate.to_string(), text);
        assert_eq!(candidate.kind, CandidateKind::ServerReflexive);
        assert_eq!(candidate.related_address, Some("10.0.0.2".into()));
        assert_eq!(candidate.related_port, Some(3478));
        assert_eq!((candidate.ufrag(), candidate.extension("network-cost")), (Some("X+/9"), Some("50")));
        assert_eq!(format!("a={text}").parse(), Ok(candidate.clone()));
        assert_eq!(text.strip_prefix("candidate:").unwrap().parse(), Ok(candidate));
    }

    #[test]
    fn reads_tcp_types_and_names() {
        let candidate: Candidate =
            "candidate:2 1 TCP 2105458943 ab12.LOCAL 9 typ host tcptype active".parse().unwrap();
        assert_eq!((candidate.transport, candidate.tcp_type), (Transport::Tcp, Some(TcpType::Active)));
        assert!(candidate.address.is_mdns());
    }

    #[test]
    fn names_the_place_of_an_error() {
        for (text, column, expected) in [
            ("candidate:", 11, "a foundation"),
            ("candidate:1 0 udp 1 1.1.1.1 9 typ host", 13, "a component from 1 to 256"),
            ("candidate:1 1 udp x 1.1.1.1 9 typ host", 19, "a priority of 32 bits"),
            ("candidate:1 1 udp 1 1.1.1.1 99999 typ host", 29, "a port"),
            ("candidate:1 1 udp 1 1.1.1.1 9 type host", 31, "typ"),
            ("candidate:1 1 udp 1 1.1.1.1 9 typ", 34, "a kind of candidate"),
            ("candidate:1 1 udp 1 1.1.1.1 9 typ host generation", 50, "the value of an extension"),
        ] {
            let error = text.parse::<Candidate>().unwrap_err();
            assert_eq!((error.column, error.reason), (column, Reason::Expected(expected)), "{text}");
        }
    }

    #[test]
    fn refuses_line_breaks() {
        let error = "candidate:1 1 udp 1 1.1.1.1 9 typ host\r\na=ice-lite".parse::<Candidate>().unwrap_err();
        assert_eq!(error.reason, Reason::ControlCharacter);
    }
}
