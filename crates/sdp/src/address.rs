//! Addresses, and what says of which sort they are.

use std::fmt;
use std::net::IpAddr;

use crate::Text;
use crate::error::Malformed;
use crate::keyword::keywords;
use crate::words::{Source, Words};

/// An address, or a name that stands for one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// IPv4 or IPv6.
    Ip(IpAddr),
    /// A name; those that end in `.local` are resolved by multicast DNS.
    Name(Text),
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
        match self {
            Self::Ip(_) => false,
            Self::Name(name) => name.to_ascii_lowercase().ends_with(".local"),
        }
    }

    pub(crate) fn parse(words: &mut Words<'_>, expected: &'static str) -> Result<Self, Malformed> {
        words.word(expected).map(|word| Self::read(words.source(), word))
    }

    pub(crate) fn read(source: Source<'_>, word: &str) -> Self {
        word.parse().map_or_else(|_| Self::Name(source.text(word)), Self::Ip)
    }
}

impl From<&str> for Address {
    fn from(word: &str) -> Self {
        word.parse().map_or_else(|_| Self::Name(word.into()), Self::Ip)
    }
}

impl From<IpAddr> for Address {
    fn from(ip: IpAddr) -> Self {
        Self::Ip(ip)
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

keywords! {
    /// The network that an address belongs to (RFC 8866 §8.2.6).
    NetworkType, "a network type" {
        /// The internet.
        Internet = "IN",
    }
}

keywords! {
    /// The sort of an address (RFC 8866 §8.2.7).
    AddressType, "an address type" {
        /// IPv4.
        Ip4 = "IP4",
        /// IPv6.
        Ip6 = "IP6",
    }
}

impl From<IpAddr> for AddressType {
    fn from(ip: IpAddr) -> Self {
        if ip.is_ipv4() { Self::Ip4 } else { Self::Ip6 }
    }
}
