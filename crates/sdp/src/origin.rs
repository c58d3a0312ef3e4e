//! `o=`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use crate::error::Malformed;
use crate::words::Words;
use crate::{Address, AddressType, NetworkType, Text};

/// Who made the description (RFC 8866 §5.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The user's name, or `-`.
    pub username: Text,
    /// Identifies the session.
    pub session_id: u64,
    /// Grows with every change of the description.
    pub session_version: u64,
    /// The network of the address.
    pub network_type: NetworkType,
    /// The sort of the address.
    pub address_type: AddressType,
    /// The address of the maker; WebRTC puts a constant here.
    pub address: Address,
}

impl Origin {
    /// The origin of an endpoint that tells neither name nor address, as RFC 8829 §5.2.1 has it: `- … IN IP4 127.0.0.1`.
    pub fn new(session_id: u64, session_version: u64) -> Self {
        Self {
            username: "-".into(),
            session_id,
            session_version,
            network_type: NetworkType::Internet,
            address_type: AddressType::Ip4,
            address: Address::Ip(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        }
    }

    pub(crate) fn parse(words: &mut Words<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            username: words.text("a user name")?,
            session_id: words.number("a session identifier of 64 bits")?,
            session_version: words.number("a session version of 64 bits")?,
            network_type: NetworkType::parse(words)?,
            address_type: AddressType::parse(words)?,
            address: Address::parse(words, "an address")?,
        })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { username, session_id, session_version, network_type, address_type, address } = self;
        write!(f, "{username} {session_id} {session_version} {network_type} {address_type} {address}")
    }
}
