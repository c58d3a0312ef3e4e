//! The attributes of ICE besides candidates (RFC 8839 §5).

use std::fmt;

use crate::error::Malformed;
use crate::words::{Words, number};
use crate::{Address, Text};

/// What the agent can do: `trickle`, `ice2`, `renomination` … (RFC 8839 §5.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IceOptions(pub Vec<Text>);

impl IceOptions {
    /// Whether `option` is among them.
    pub fn has(&self, option: &str) -> bool {
        self.0.iter().any(|known| known == option)
    }

    pub(crate) fn parse(words: &mut Words<'_>) -> Result<Self, Malformed> {
        words.texts("an option of ICE").map(Self)
    }
}

impl<'a> FromIterator<&'a str> for IceOptions {
    fn from_iter<T: IntoIterator<Item = &'a str>>(options: T) -> Self {
        Self(options.into_iter().map(Into::into).collect())
    }
}

impl fmt::Display for IceOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_list(f, &self.0, " ")
    }
}

/// Writes `items` with `separator` between each two.
pub(crate) fn write_list<T: fmt::Display>(
    f: &mut fmt::Formatter<'_>,
    items: &[T],
    separator: &str,
) -> fmt::Result {
    items.iter().enumerate().try_for_each(|(index, item)| {
        f.write_str(if index == 0 { "" } else { separator })?;
        item.fmt(f)
    })
}

/// The candidates of the other side that were chosen, one a component (RFC 8839 §5.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteCandidates(pub Vec<RemoteCandidate>);

/// A candidate of the other side that was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteCandidate {
    /// The component that it is of, 1 to 256.
    pub component: u16,
    /// Its address.
    pub address: Address,
    /// Its port.
    pub port: u16,
}

impl RemoteCandidates {
    pub(crate) fn parse(words: &mut Words<'_>) -> Result<Self, Malformed> {
        let mut candidates = Vec::new();
        let mut next = Some(words.word(COMPONENT)?);
        while let Some(word) = next {
            candidates.push(RemoteCandidate {
                component: component(word).ok_or_else(|| words.expected(word, COMPONENT))?,
                address: Address::parse(words, "an address")?,
                port: words.number("a port")?,
            });
            next = words.next();
        }
        Ok(Self(candidates))
    }
}

impl fmt::Display for RemoteCandidates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_list(f, &self.0, " ")
    }
}

impl fmt::Display for RemoteCandidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.component, self.address, self.port)
    }
}

pub(crate) const COMPONENT: &str = "a component from 1 to 256";

pub(crate) fn component(word: &str) -> Option<u16> {
    number(word).filter(|component| (1..=256).contains(component))
}

pub(crate) fn parse_ufrag(words: &mut Words<'_>) -> Result<Text, Malformed> {
    parse_ice_chars(words, 4, "4 to 256 characters")
}

pub(crate) fn parse_pwd(words: &mut Words<'_>) -> Result<Text, Malformed> {
    parse_ice_chars(words, 22, "22 to 256 characters")
}

fn parse_ice_chars(words: &mut Words<'_>, least: usize, expected: &'static str) -> Result<Text, Malformed> {
    let word = words.word(expected)?;
    if !(least..=256).contains(&word.len()) {
        return Err(words.expected(word, expected));
    }
    let is_ice_char = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    if !words.source().tolerance.ice_characters && !word.bytes().all(is_ice_char) {
        return Err(words.expected(word, "letters, digits, + and / only"));
    }
    Ok(words.source().text(word))
}

/// One to ten digits (RFC 8839 §5.5).
pub(crate) fn parse_pacing(words: &mut Words<'_>) -> Result<u64, Malformed> {
    words.convert("milliseconds", |word| number(word).filter(|_| word.len() <= 10))
}
