//! Attributes as typed values.

use std::fmt;

use crate::Candidate;
use crate::error::Malformed;
use crate::words::Words;

/// An attribute (RFC 8866 §5.13).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Attribute {
    /// `candidate` (RFC 8839 §5.1).
    Candidate(Box<Candidate>),
    /// `end-of-candidates` (RFC 8840 §8.1).
    EndOfCandidates,
    /// `ice-lite` (RFC 8839 §5.3).
    IceLite,
    /// `ice-options` (RFC 8839 §5.6).
    IceOptions(Vec<String>),
    /// `ice-pwd` (RFC 8839 §5.4): 22 to 256 characters.
    IcePwd(String),
    /// `ice-ufrag` (RFC 8839 §5.4): 4 to 256 characters.
    IceUfrag(String),
    /// `fingerprint` (RFC 8122 §5).
    Fingerprint(Fingerprint),
    /// `setup` (RFC 4145 §4, RFC 8842 §5).
    Setup(Setup),
    /// `group` (RFC 5888 §5).
    Group(Group),
    /// `mid` (RFC 5888 §4).
    Mid(String),
    /// `sctp-port` (RFC 8841 §5).
    SctpPort(u16),
    /// `sctpmap`, the form before RFC 8841.
    SctpMap(SctpMap),
    /// `max-message-size` in bytes, 0 for any size (RFC 8841 §6).
    MaxMessageSize(u64),
    /// Any other, kept as it stands.
    Other {
        /// The name, before the colon.
        name: String,
        /// The value, after the colon, if there is one.
        value: Option<String>,
    },
}

impl Attribute {
    /// Any attribute without a type here; `value` is what stands after the colon.
    pub fn other(name: &str, value: Option<&str>) -> Self {
        Self::Other { name: name.into(), value: value.map(Into::into) }
    }

    /// What stands after `a=`.
    pub(crate) fn parse(line: &str) -> Result<Self, Malformed> {
        let (name, value) = match line.split_once(':') {
            Some((name, value)) => (name, Some(value)),
            None => (line.trim_end(), None),
        };
        if name.is_empty() || name.contains(' ') {
            return Err(Malformed { at: 0, expected: "the name of an attribute" });
        }
        Self::parse_value(name, value)
            .map_err(|malformed| Malformed { at: malformed.at + name.len() + 1, ..malformed })
    }

    fn parse_value(name: &str, value: Option<&str>) -> Result<Self, Malformed> {
        let mut words = Words::new(value.unwrap_or_default());
        let attribute = match (name, value) {
            ("candidate", Some(value)) => return Candidate::parse(value).map(Box::new).map(Self::Candidate),
            ("ice-options", Some(_)) => return Ok(Self::IceOptions(words.map(Into::into).collect())),
            ("group", Some(_)) => {
                let semantics = words.word("the semantics of a group")?.into();
                return Ok(Self::Group(Group { semantics, mids: words.map(Into::into).collect() }));
            }
            ("end-of-candidates", None) => Self::EndOfCandidates,
            ("ice-lite", None) => Self::IceLite,
            ("ice-pwd", _) => Self::IcePwd(Self::ice_text(&mut words, 22, "22 to 256 characters")?),
            ("ice-ufrag", _) => Self::IceUfrag(Self::ice_text(&mut words, 4, "4 to 256 characters")?),
            ("fingerprint", _) => Self::Fingerprint(Fingerprint::parse(&mut words)?),
            ("setup", _) => Self::Setup(words.parsed("actpass, active, passive or holdconn")?),
            ("mid", _) => Self::Mid(words.word("an identification tag")?.into()),
            ("sctp-port", _) => Self::SctpPort(words.parsed("a port")?),
            ("sctpmap", _) => Self::SctpMap(SctpMap::parse(&mut words)?),
            ("max-message-size", _) => Self::MaxMessageSize(words.parsed("a size in bytes")?),
            _ => return Ok(Self::other(name, value)),
        };
        words.end()?;
        Ok(attribute)
    }

    fn ice_text(words: &mut Words<'_>, least: usize, expected: &'static str) -> Result<String, Malformed> {
        let word = words.word(expected)?;
        if (least..=256).contains(&word.len()) { Ok(word.into()) } else { Err(Malformed { at: 0, expected }) }
    }

    /// The name, before the colon.
    pub fn name(&self) -> &str {
        match self {
            Self::Candidate(_) => "candidate",
            Self::EndOfCandidates => "end-of-candidates",
            Self::IceLite => "ice-lite",
            Self::IceOptions(_) => "ice-options",
            Self::IcePwd(_) => "ice-pwd",
            Self::IceUfrag(_) => "ice-ufrag",
            Self::Fingerprint(_) => "fingerprint",
            Self::Setup(_) => "setup",
            Self::Group(_) => "group",
            Self::Mid(_) => "mid",
            Self::SctpPort(_) => "sctp-port",
            Self::SctpMap(_) => "sctpmap",
            Self::MaxMessageSize(_) => "max-message-size",
            Self::Other { name, .. } => name,
        }
    }
}

/// Writes what stands after `a=`.
impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name();
        match self {
            // A candidate writes its own name, since that is how it is trickled.
            Self::Candidate(candidate) => candidate.fmt(f),
            Self::EndOfCandidates | Self::IceLite | Self::Other { value: None, .. } => f.write_str(name),
            Self::IceOptions(options) => write!(f, "{name}:{}", options.join(" ")),
            Self::IcePwd(text) | Self::IceUfrag(text) | Self::Mid(text) => write!(f, "{name}:{text}"),
            Self::Fingerprint(fingerprint) => write!(f, "{name}:{fingerprint}"),
            Self::Setup(setup) => write!(f, "{name}:{setup}"),
            Self::Group(group) => write!(f, "{name}:{group}"),
            Self::SctpPort(port) => write!(f, "{name}:{port}"),
            Self::SctpMap(map) => write!(f, "{name}:{map}"),
            Self::MaxMessageSize(size) => write!(f, "{name}:{size}"),
            Self::Other { value: Some(value), .. } => write!(f, "{name}:{value}"),
        }
    }
}

/// The hash of a certificate (RFC 8122 §5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// The hash function: `sha-256` …
    pub algorithm: String,
    /// The hash.
    pub value: Vec<u8>,
}

impl Fingerprint {
    fn parse(words: &mut Words<'_>) -> Result<Self, Malformed> {
        let algorithm: String = words.word("a hash function")?.into();
        let octets: Octets = words.parsed("octets in hexadecimal with colons between")?;
        Ok(Self { algorithm, value: octets.0 })
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.algorithm)?;
        let mut separator = ' ';
        for octet in &self.value {
            write!(f, "{separator}{octet:02X}")?;
            separator = ':';
        }
        Ok(())
    }
}

struct Octets(Vec<u8>);

impl std::str::FromStr for Octets {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        let octet = |text: &str| match text.len() {
            2 if text.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                u8::from_str_radix(text, 16).map_err(drop)
            }
            _ => Err(()),
        };
        word.split(':').map(octet).collect::<Result<_, _>>().map(Self)
    }
}

/// Who opens the DTLS connection (RFC 8842 §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setup {
    /// Either end may; only in offers.
    ActPass,
    /// The describing end does.
    Active,
    /// The other end does.
    Passive,
    /// Nobody does for now (RFC 4145); unused in WebRTC.
    HoldConn,
}

impl std::str::FromStr for Setup {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        match word {
            "actpass" => Ok(Self::ActPass),
            "active" => Ok(Self::Active),
            "passive" => Ok(Self::Passive),
            "holdconn" => Ok(Self::HoldConn),
            _ => Err(()),
        }
    }
}

impl fmt::Display for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ActPass => "actpass",
            Self::Active => "active",
            Self::Passive => "passive",
            Self::HoldConn => "holdconn",
        })
    }
}

/// Media sections that belong together (RFC 5888 §5), as those of one transport (`BUNDLE`, RFC 9143).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// What binds them: `BUNDLE`, `LS` …
    pub semantics: String,
    /// Their identification tags.
    pub mids: Vec<String>,
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.semantics)?;
        self.mids.iter().try_for_each(|mid| write!(f, " {mid}"))
    }
}

/// The SCTP port with protocol and stream count, as described before RFC 8841.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SctpMap {
    /// The port, which is also the format of the media line.
    pub port: u16,
    /// The protocol above: `webrtc-datachannel`.
    pub protocol: String,
    /// How many streams, where it is said.
    pub streams: Option<u32>,
}

impl SctpMap {
    fn parse(words: &mut Words<'_>) -> Result<Self, Malformed> {
        let port = words.parsed("a port")?;
        let protocol = words.word("a protocol")?.into();
        let streams = words.next().and_then(|word| word.parse().ok());
        Ok(Self { port, protocol, streams })
    }
}

impl fmt::Display for SctpMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.port, self.protocol)?;
        self.streams.map_or(Ok(()), |streams| write!(f, " {streams}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typed_attributes_write_what_they_read() {
        for text in [
            "candidate:1 1 udp 2122260223 10.77.0.1 34475 typ host generation 0",
            "end-of-candidates",
            "ice-lite",
            "ice-options:trickle ice2",
            "ice-pwd:5feXHP0xr42nOeRuYuEhh/so",
            "ice-ufrag:S0un",
            "fingerprint:sha-256 71:A5:8B",
            "setup:actpass",
            "group:BUNDLE 0 1",
            "mid:0",
            "sctp-port:5000",
            "sctpmap:5000 webrtc-datachannel 1024",
            "max-message-size:1073741823",
        ] {
            let attribute = Attribute::parse(text).unwrap();
            assert!(!matches!(attribute, Attribute::Other { .. }), "{text}");
            assert_eq!(attribute.to_string(), text);
        }
    }

    #[test]
    fn others_are_kept_as_they_stand() {
        for text in ["extmap-allow-mixed", "msid-semantic: WMS", "x:", "fmtp:96 a=b; c=d "] {
            let attribute = Attribute::parse(text).unwrap();
            assert!(matches!(attribute, Attribute::Other { .. }));
            assert_eq!(attribute.to_string(), text);
        }
    }

    #[test]
    fn malformed_values_are_refused_with_their_place() {
        for (text, at) in [
            ("", 0),
            (" :x", 0),
            ("setup:maybe", 6),
            ("sctp-port:65536", 10),
            ("sctp-port:+1", 10),
            ("max-message-size:", 17),
            ("fingerprint:sha-256 7:A5", 20),
            ("fingerprint:sha-256 +1:A5", 20),
            ("ice-ufrag:abc", 10),
            ("ice-pwd:tooshort", 8),
            ("mid:0 1", 5),
        ] {
            assert_eq!(Attribute::parse(text).unwrap_err().at, at, "{text}");
        }
    }
}
