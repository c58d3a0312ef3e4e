//! `c=`.

use std::fmt;
use std::net::IpAddr;

use crate::error::Malformed;
use crate::words::{Words, number};
use crate::{Address, AddressType, NetworkType};

/// The address of a session or of media (RFC 8866 §5.7).
///
/// ```text
/// c=<network> <address type> <address>[/<time to live>][/<count>]
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// The network of the address.
    pub network_type: NetworkType,
    /// The sort of the address.
    pub address_type: AddressType,
    /// The address.
    pub address: Address,
    /// How many routers a packet may pass, for multicast over IPv4 only.
    pub time_to_live: Option<u8>,
    /// How many addresses there are from this one on, for multicast.
    pub count: Option<u32>,
}

impl Connection {
    /// An address that is not multicast.
    pub fn new(address: IpAddr) -> Self {
        Self {
            network_type: NetworkType::Internet,
            address_type: address.into(),
            address: address.into(),
            time_to_live: None,
            count: None,
        }
    }

    pub(crate) fn parse(words: &mut Words<'_>) -> Result<Self, Malformed> {
        let network_type = NetworkType::parse(words)?;
        let address_type = AddressType::parse(words)?;
        let mut parts = words.word("an address")?.split('/');
        let address = Address::read(words.source(), parts.next().unwrap_or_default());
        let time_to_live = match address_type {
            AddressType::Ip4 => optional_number(words, parts.next(), "a time to live from 0 to 255")?,
            _ => None,
        };
        let count = optional_number(words, parts.next(), "a number of addresses")?;
        match parts.next() {
            Some(part) => Err(words.expected(part, "the end of the line")),
            None => Ok(Self { network_type, address_type, address, time_to_live, count }),
        }
    }
}

fn optional_number<T: TryFrom<u64>>(
    words: &Words<'_>,
    part: Option<&str>,
    expected: &'static str,
) -> Result<Option<T>, Malformed> {
    let read = |part| number(part).ok_or_else(|| words.expected(part, expected));
    part.map(read).transpose()
}

impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.network_type, self.address_type, self.address)?;
        self.time_to_live.map_or(Ok(()), |time_to_live| write!(f, "/{time_to_live}"))?;
        self.count.map_or(Ok(()), |count| write!(f, "/{count}"))
    }
}
