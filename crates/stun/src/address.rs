//! MAPPED-ADDRESS and XOR-MAPPED-ADDRESS (RFC 8489 §14.1, §14.2).
//!
//! ```text
//! |0 0 0 0 0 0 0 0|    family     |             port              |
//! |            address (32 bits or 128 bits)                      |
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use antiphon_util::{ParseError, Reader, Writer};

use crate::{MAGIC_COOKIE, TransactionId};

const IPV4: u8 = 1;
const IPV6: u8 = 2;

/// Reads an address as it stands.
pub(crate) fn parse(reader: &mut Reader<'_>) -> Result<SocketAddr, ParseError> {
    reader.u8()?;
    let family = reader.u8()?;
    let port = reader.u16()?;
    let ip = match family {
        IPV4 => IpAddr::V4(Ipv4Addr::from_bits(reader.u32()?)),
        IPV6 => IpAddr::V6(Ipv6Addr::from_octets(reader.array()?)),
        _ => return Err(ParseError::Value),
    };
    Ok(SocketAddr::new(ip, port))
}

/// Writes an address as it stands.
pub(crate) fn write(writer: &mut Writer<'_>, address: SocketAddr) {
    writer.u8(0);
    writer.u8(if address.is_ipv4() { IPV4 } else { IPV6 });
    writer.u16(address.port());
    match address.ip() {
        IpAddr::V4(ip) => writer.u32(ip.to_bits()),
        IpAddr::V6(ip) => writer.bytes(&ip.octets()),
    }
}

/// The address with magic cookie and transaction id mixed in, or out again: middleboxes rewrite addresses that they
/// recognize.
pub(crate) fn xor(address: SocketAddr, id: TransactionId) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) => IpAddr::V4(Ipv4Addr::from_bits(ip.to_bits() ^ MAGIC_COOKIE)),
        IpAddr::V6(ip) => {
            let mut mask = [0; 16];
            let bytes = MAGIC_COOKIE.to_be_bytes().into_iter().chain(id.0);
            mask.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
            IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() ^ u128::from_be_bytes(mask)))
        }
    };
    SocketAddr::new(ip, address.port() ^ (MAGIC_COOKIE >> 16) as u16)
}
