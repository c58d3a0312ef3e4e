//! Values of attributes that are more than one number or text.

use antiphon_util::{ParseError, Reader, Writer};

use crate::crc32;

/// Bytes of a text of fewer than 128 characters, as received (RFC 8489 §14.9).
pub(crate) const TEXT_LIMIT: usize = 763;

/// The whole rest as text of at most `limit` bytes.
pub(crate) fn text<'a>(reader: &mut Reader<'a>, limit: usize) -> Result<&'a str, ParseError> {
    let bytes = reader.rest();
    if bytes.len() > limit {
        return Err(ParseError::Limit);
    }
    std::str::from_utf8(bytes).map_err(|_| ParseError::Value)
}

/// A family of addresses (RFC 8489 §14.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AddressFamily(pub u8);

impl AddressFamily {
    /// IPv4
    pub const IPV4: Self = Self(1);
    /// IPv6
    pub const IPV6: Self = Self(2);
}

/// The number of a protocol above IP (RFC 8656 §18.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TransportProtocol(pub u8);

impl TransportProtocol {
    /// TCP (RFC 6062 §5.1)
    pub const TCP: Self = Self(6);
    /// UDP
    pub const UDP: Self = Self(17);
}

/// Where the answer to a binding request is to come from (RFC 5780 §7.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ChangeRequest {
    /// From the server's other address.
    pub address: bool,
    /// From the server's other port.
    pub port: bool,
}

impl ChangeRequest {
    const ADDRESS: u32 = 4;
    const PORT: u32 = 2;

    pub(crate) fn from_bits(bits: u32) -> Self {
        Self { address: bits & Self::ADDRESS != 0, port: bits & Self::PORT != 0 }
    }

    pub(crate) fn bits(self) -> u32 {
        u32::from(self.address) * Self::ADDRESS + u32::from(self.port) * Self::PORT
    }
}

/// What an ICMP message said about a datagram of an allocation (RFC 8656 §18.13).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Icmp {
    /// Its type, below 128.
    pub kind: u8,
    /// Its code, below 512.
    pub code: u16,
    /// The MTU of the next hop where that is the trouble, else 0.
    pub data: u32,
}

impl Icmp {
    pub(crate) fn parse(reader: &mut Reader<'_>) -> Result<Self, ParseError> {
        reader.u16()?;
        let bits = reader.u16()?;
        Ok(Self { kind: (bits >> 9) as u8, code: bits & 0x01ff, data: reader.u32()? })
    }

    pub(crate) fn write(self, writer: &mut Writer<'_>) {
        writer.u16(0);
        writer.u16((u16::from(self.kind) << 9) | (self.code & 0x01ff));
        writer.u32(self.data);
    }
}

/// A list of attribute numbers (RFC 8489 §14.13), as it stands on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttributeTypes<'a>(pub(crate) &'a [u8]);

impl<'a> AttributeTypes<'a> {
    /// The numbers in order.
    pub fn iter(&self) -> impl Iterator<Item = crate::AttributeType> + use<'a> {
        self.0.as_chunks().0.iter().map(|bytes| crate::AttributeType(u16::from_be_bytes(*bytes)))
    }

    pub(crate) fn parse(reader: &mut Reader<'a>) -> Result<Self, ParseError> {
        if reader.remaining().is_multiple_of(2) { Ok(Self(reader.rest())) } else { Err(ParseError::Length) }
    }
}

/// The checksums of DTLS datagrams that arrived inside of STUN, as they stand on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DtlsAcks<'a>(pub(crate) &'a [u8]);

impl<'a> DtlsAcks<'a> {
    /// Of the CRC-32 of each datagram, big-endian.
    pub fn new(checksums: &'a [[u8; 4]]) -> Self {
        Self(checksums.as_flattened())
    }

    /// The CRC-32 that stands for `datagram`.
    pub fn checksum(datagram: &[u8]) -> u32 {
        crc32(datagram)
    }

    /// The CRC-32 of each datagram.
    pub fn iter(&self) -> impl Iterator<Item = u32> + use<'a> {
        self.0.as_chunks().0.iter().map(|bytes| u32::from_be_bytes(*bytes))
    }

    pub(crate) fn parse(reader: &mut Reader<'a>) -> Result<Self, ParseError> {
        if reader.remaining().is_multiple_of(4) { Ok(Self(reader.rest())) } else { Err(ParseError::Length) }
    }
}

/// How a key is made of a long-term password (RFC 8489 §14.12, §18.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PasswordAlgorithm<'a> {
    /// Its registered number.
    pub number: u16,
    /// What the algorithm is told besides; nothing for those known.
    pub parameters: &'a [u8],
}

impl<'a> PasswordAlgorithm<'a> {
    /// MD5, the only one before RFC 8489.
    pub const MD5: PasswordAlgorithm<'static> = PasswordAlgorithm { number: 1, parameters: &[] };
    /// SHA-256
    pub const SHA256: PasswordAlgorithm<'static> = PasswordAlgorithm { number: 2, parameters: &[] };

    pub(crate) fn parse(reader: &mut Reader<'a>) -> Result<Self, ParseError> {
        let number = reader.u16()?;
        let len = usize::from(reader.u16()?);
        let parameters = reader.bytes(len)?;
        reader.bytes(len.wrapping_neg() & 3)?;
        Ok(Self { number, parameters })
    }

    pub(crate) fn write(self, writer: &mut Writer<'_>) {
        let mut writer = writer.nested();
        writer.u16(self.number);
        // More than 16 bits of it do not fit the attribute either, which the builder notices.
        writer.u16(self.parameters.len() as u16);
        writer.bytes(self.parameters);
        writer.pad(4);
    }
}

/// The algorithms that a server offers, the best first (RFC 8489 §14.11), as they stand on the wire: a client has to
/// repeat them byte for byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PasswordAlgorithms<'a>(pub(crate) &'a [u8]);

impl<'a> PasswordAlgorithms<'a> {
    /// SHA-256, then MD5.
    pub const ALL: PasswordAlgorithms<'static> = PasswordAlgorithms(&[0, 2, 0, 0, 0, 1, 0, 0]);
    /// SHA-256 alone.
    pub const SHA256: PasswordAlgorithms<'static> = PasswordAlgorithms(&[0, 2, 0, 0]);

    /// The algorithms in order.
    pub fn iter(&self) -> impl Iterator<Item = PasswordAlgorithm<'a>> + use<'a> {
        let mut reader = Reader::new(self.0);
        std::iter::from_fn(move || PasswordAlgorithm::parse(&mut reader).ok())
    }

    /// The list as it stands on the wire.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.0
    }

    /// Reads a list to its end.
    ///
    /// # Errors
    /// Where an algorithm ends early.
    pub fn parse(reader: &mut Reader<'a>) -> Result<Self, ParseError> {
        let list = Self(reader.peek());
        while !reader.is_empty() {
            PasswordAlgorithm::parse(reader)?;
        }
        Ok(list)
    }
}
