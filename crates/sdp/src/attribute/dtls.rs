//! The attributes of the DTLS connection and of the identity behind it.

use std::fmt;

use super::ice::write_list;
use crate::Text;
use crate::error::Malformed;
use crate::words::Words;

/// The hash of a certificate (RFC 8122 §5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// The hash function: `sha-256` …
    pub algorithm: Text,
    /// The hash.
    pub value: Vec<u8>,
}

impl Fingerprint {
    pub(crate) fn parse(words: &mut Words<'_>) -> Result<Self, Malformed> {
        let algorithm = words.text("a hash function")?;
        let value = words.convert("octets in hexadecimal with colons between", octets)?;
        Ok(Self { algorithm, value })
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

/// `71:A5:8B`: RFC 8122 §5 has upper case, and some senders lower.
fn octets(word: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let mut octets = Vec::with_capacity((word.len() + 1) / 3);
    for group in word.as_bytes().chunks(3) {
        let (high, low) = match *group {
            [high, low, b':'] | [high, low] => (high, low),
            _ => return None,
        };
        octets.push(digit(high)? << 4 | digit(low)?);
    }
    // A colon stands between two octets, thus not last.
    (!word.ends_with(':')).then_some(octets)
}

/// Who opens the DTLS connection (RFC 8842 §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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

impl Setup {
    pub(crate) fn parse(words: &mut Words<'_>) -> Result<Self, Malformed> {
        words.convert("actpass, active, passive or holdconn", |word| {
            Some(match word {
                "actpass" => Self::ActPass,
                "active" => Self::Active,
                "passive" => Self::Passive,
                "holdconn" => Self::HoldConn,
                _ => return None,
            })
        })
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

/// 20 to 255 letters, digits, `+`, `/`, `-` and `_` (RFC 8842 §4).
pub(crate) fn parse_tls_id(words: &mut Words<'_>) -> Result<Text, Malformed> {
    let is_id_char = |byte: u8| byte.is_ascii_alphanumeric() || b"+/-_".contains(&byte);
    let is_id = |word: &str| (20..=255).contains(&word.len()) && word.bytes().all(is_id_char);
    let source = words.source();
    words.convert("20 to 255 letters, digits, +, /, - and _", |word| is_id(word).then(|| source.text(word)))
}

/// Who the maker of the description is, as an identity provider has it (RFC 8827 §5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// What the provider says, in base64.
    pub assertion: Text,
    /// What follows it: names, some with `=` and a value.
    pub extensions: Vec<Text>,
}

impl Identity {
    pub(crate) fn parse(words: &mut Words<'_>) -> Result<Self, Malformed> {
        let assertion = parse_base64(words)?;
        let source = words.source();
        Ok(Self { assertion, extensions: words.map(|word| source.text(word)).collect() })
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.assertion)?;
        f.write_str(if self.extensions.is_empty() { "" } else { " " })?;
        write_list(f, &self.extensions, " ")
    }
}

/// A word of the letters of base64, kept as it stands.
pub(crate) fn parse_base64(words: &mut Words<'_>) -> Result<Text, Malformed> {
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    let source = words.source();
    words.convert("base64", |word| {
        let digits = word.trim_end_matches('=');
        let is_base64 = digits.bytes().all(is_digit) && word.len() - digits.len() <= 2;
        is_base64.then(|| source.text(word))
    })
}
