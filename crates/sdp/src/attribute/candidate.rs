//! An ICE candidate as text (RFC 8839 §5.1).

use std::fmt;
use std::str::FromStr;

use super::ice::{COMPONENT, component};
use crate::error::{Malformed, ParseError};
use crate::keyword::keywords;
use crate::words::{Source, Words, number};
use crate::{Address, Text};

/// A transport address at which an agent may be reached.
///
/// ```text
/// candidate:<foundation> <component> <transport> <priority> <address> <port> typ <kind>
///           [raddr <address> rport <port>] [tcptype <type>] *(<name> <value>)
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Equal for candidates of one kind, base and server; 1 to 32 characters.
    pub foundation: Text,
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
    pub extensions: Vec<CandidateExtension>,
}

/// A name and a value that follow a candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CandidateExtension {
    /// The name.
    pub name: Text,
    /// The value, one word.
    pub value: Text,
}

impl CandidateExtension {
    /// The extension `name`.
    pub fn new(name: &str, value: &str) -> Self {
        Self { name: name.into(), value: value.into() }
    }
}

impl Candidate {
    /// The value of the extension `name`.
    pub fn extension(&self, name: &str) -> Option<&str> {
        self.extensions.iter().find(|known| known.name == name).map(|extension| extension.value.as_str())
    }

    /// The user fragment that it belongs to, where it says so (RFC 8838 §11).
    pub fn ufrag(&self) -> Option<&str> {
        self.extension("ufrag")
    }

    /// The number of the gathering that it came of, as browsers count.
    pub fn generation(&self) -> Option<u32> {
        self.extension("generation").and_then(number)
    }

    /// The number of the network interface, as Chromium counts.
    pub fn network_id(&self) -> Option<u16> {
        self.extension("network-id").and_then(number)
    }

    /// What using the network costs, 0 to 999, as Chromium reckons: 10 for Wi-Fi, 50 where it is unknown, 900 for cellular.
    pub fn network_cost(&self) -> Option<u16> {
        self.extension("network-cost").and_then(number)
    }

    pub(crate) fn parse_boxed(words: &mut Words<'_>) -> Result<Box<Self>, Malformed> {
        Self::parse(words).map(Box::new)
    }

    fn parse(words: &mut Words<'_>) -> Result<Self, Malformed> {
        let foundation = words.word("a foundation")?;
        if foundation.len() > 32 {
            return Err(words.expected(foundation, "a foundation of at most 32 characters"));
        }
        let mut candidate = Self {
            foundation: words.source().text(foundation),
            component: words.convert(COMPONENT, component)?,
            transport: Transport::parse(words)?,
            priority: words.number("a priority of 32 bits")?,
            address: Address::parse(words, "an address")?,
            port: words.number("a port")?,
            kind: {
                words.convert("typ", |word| (word == "typ").then_some(()))?;
                CandidateKind::parse(words)?
            },
            related_address: None,
            related_port: None,
            tcp_type: None,
            extensions: Vec::new(),
        };
        candidate.parse_extensions(words)?;
        Ok(candidate)
    }

    fn parse_extensions(&mut self, words: &mut Words<'_>) -> Result<(), Malformed> {
        while let Some(name) = words.next() {
            match name {
                "raddr" if self.related_address.is_none() => {
                    self.related_address = Some(Address::parse(words, "a related address")?);
                }
                "rport" if self.related_port.is_none() => {
                    self.related_port = Some(words.number("a related port")?);
                }
                "tcptype" if self.tcp_type.is_none() => {
                    self.tcp_type = Some(words.convert("active, passive or so", TcpType::read)?);
                }
                _ => {
                    let value = words.text("the value of an extension")?;
                    self.extensions.push(CandidateExtension { name: words.source().text(name), value });
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
        Source::read_alone(text, &["a=", "candidate:"], Self::parse)
    }
}

/// Writes `candidate:…`, as it is trickled.
impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { foundation, component, transport, priority, address, port, kind, .. } = self;
        write!(f, "candidate:{foundation} {component} {transport} {priority} {address} {port} typ {kind}")?;
        self.related_address.as_ref().map_or(Ok(()), |address| write!(f, " raddr {address}"))?;
        self.related_port.map_or(Ok(()), |port| write!(f, " rport {port}"))?;
        self.tcp_type.map_or(Ok(()), |tcp_type| write!(f, " tcptype {tcp_type}"))?;
        self.extensions.iter().try_for_each(|extension| write!(f, " {} {}", extension.name, extension.value))
    }
}

/// What carries datagrams to a candidate.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Transport {
    /// UDP.
    Udp,
    /// TCP with framing (RFC 6544).
    Tcp,
    /// Something else, by name.
    Other(Text),
}

impl Transport {
    fn parse(words: &mut Words<'_>) -> Result<Self, Malformed> {
        let word = words.word("a transport")?;
        Ok(Self::known(word).unwrap_or_else(|| Self::Other(words.source().text(word))))
    }

    /// In any case, since some write `UDP`.
    fn known(word: &str) -> Option<Self> {
        if word.eq_ignore_ascii_case("udp") {
            Some(Self::Udp)
        } else if word.eq_ignore_ascii_case("tcp") {
            Some(Self::Tcp)
        } else {
            None
        }
    }
}

impl From<&str> for Transport {
    fn from(word: &str) -> Self {
        Self::known(word).unwrap_or_else(|| Self::Other(word.into()))
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

keywords! {
    /// How a candidate was found.
    CandidateKind, "a kind of candidate" {
        /// An address of the agent's own.
        Host = "host",
        /// The address that a STUN server saw.
        ServerReflexive = "srflx",
        /// The address that the peer saw.
        PeerReflexive = "prflx",
        /// An address of a relay.
        Relayed = "relay",
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

impl TcpType {
    fn read(word: &str) -> Option<Self> {
        match word {
            "active" => Some(Self::Active),
            "passive" => Some(Self::Passive),
            "so" => Some(Self::SimultaneousOpen),
            _ => None,
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
