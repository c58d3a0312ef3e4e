//! Attributes, raw and typed (RFC 8489 §14, RFC 8445 §16.1).

use std::net::SocketAddr;

use antiphon_util::{ParseError, Reader, Writer};

use crate::{TransactionId, address};

/// The number of an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AttributeType(pub u16);

impl AttributeType {
    /// RFC 8489 §14.1
    pub const MAPPED_ADDRESS: Self = Self(0x0001);
    /// RFC 8489 §14.3
    pub const USERNAME: Self = Self(0x0006);
    /// RFC 8489 §14.5
    pub const MESSAGE_INTEGRITY: Self = Self(0x0008);
    /// RFC 8489 §14.8
    pub const ERROR_CODE: Self = Self(0x0009);
    /// RFC 8489 §14.13
    pub const UNKNOWN_ATTRIBUTES: Self = Self(0x000a);
    /// RFC 8489 §14.9
    pub const REALM: Self = Self(0x0014);
    /// RFC 8489 §14.10
    pub const NONCE: Self = Self(0x0015);
    /// RFC 8489 §14.6
    pub const MESSAGE_INTEGRITY_SHA256: Self = Self(0x001c);
    /// RFC 8489 §14.2
    pub const XOR_MAPPED_ADDRESS: Self = Self(0x0020);
    /// RFC 8445 §16.1
    pub const PRIORITY: Self = Self(0x0024);
    /// RFC 8445 §16.1
    pub const USE_CANDIDATE: Self = Self(0x0025);
    /// RFC 8489 §14.14
    pub const SOFTWARE: Self = Self(0x8022);
    /// RFC 8489 §14.15
    pub const ALTERNATE_SERVER: Self = Self(0x8023);
    /// RFC 8489 §14.7
    pub const FINGERPRINT: Self = Self(0x8028);
    /// RFC 8445 §16.1
    pub const ICE_CONTROLLED: Self = Self(0x8029);
    /// RFC 8445 §16.1
    pub const ICE_CONTROLLING: Self = Self(0x802a);
    /// The network that libwebrtc sends from; registered, described by no RFC.
    pub const GOOG_NETWORK_INFO: Self = Self(0xc057);

    /// Whether a receiver that does not know it has to refuse the message (RFC 8489 §14).
    pub fn is_comprehension_required(self) -> bool {
        self.0 < 0x8000
    }

    /// Whether [`RawAttribute::decode`] gives it a type of its own.
    pub fn is_known(self) -> bool {
        matches!(
            self,
            Self::MAPPED_ADDRESS
                | Self::USERNAME
                | Self::MESSAGE_INTEGRITY
                | Self::ERROR_CODE
                | Self::UNKNOWN_ATTRIBUTES
                | Self::REALM
                | Self::NONCE
                | Self::XOR_MAPPED_ADDRESS
                | Self::PRIORITY
                | Self::USE_CANDIDATE
                | Self::SOFTWARE
                | Self::ALTERNATE_SERVER
                | Self::FINGERPRINT
                | Self::ICE_CONTROLLED
                | Self::ICE_CONTROLLING
                | Self::GOOG_NETWORK_INFO
        )
    }
}

/// An attribute whose length has been checked and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawAttribute<'a> {
    /// Its number.
    pub kind: AttributeType,
    /// Its value without the padding.
    pub value: &'a [u8],
}

/// An attribute with its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Attribute<'a> {
    /// Where the request came from, open to rewriting middleboxes.
    MappedAddress(SocketAddr),
    /// Whose credential the integrity uses.
    Username(&'a str),
    /// HMAC-SHA1 over what stands before it; checked by [`Message::verify_integrity`](crate::Message::verify_integrity).
    MessageIntegrity(&'a [u8; 20]),
    /// Why the request failed.
    ErrorCode(ErrorCode<'a>),
    /// What the server did not understand.
    UnknownAttributes(AttributeTypes<'a>),
    /// The domain of a long-term credential.
    Realm(&'a str),
    /// The server's nonce of a long-term credential.
    Nonce(&'a str),
    /// Where the request came from.
    XorMappedAddress(SocketAddr),
    /// The priority of a peer-reflexive candidate that the check may reveal.
    Priority(u32),
    /// The controlling agent nominates the pair.
    UseCandidate,
    /// Name and version of the sender's software.
    Software(&'a str),
    /// A server to ask instead.
    AlternateServer(SocketAddr),
    /// CRC-32 of what stands before it; checked by [`Message::verify_fingerprint`](crate::Message::verify_fingerprint).
    Fingerprint(u32),
    /// The sender believes that it is controlled, with its tie-breaker.
    IceControlled(u64),
    /// The sender believes that it is controlling, with its tie-breaker.
    IceControlling(u64),
    /// The network that libwebrtc sends from.
    GoogNetworkInfo {
        /// Its number within the sender, 0 where unknown.
        network: u16,
        /// 0 (free) to 999 (unknown); lower is preferred.
        cost: u16,
    },
    /// An attribute that this crate does not know.
    Unknown(RawAttribute<'a>),
}

/// The value of ERROR-CODE (RFC 8489 §14.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorCode<'a> {
    /// 300 to 699.
    pub code: u16,
    /// For people; at most 127 characters are to be sent.
    pub reason: &'a str,
}

/// A list of attribute numbers (RFC 8489 §14.13), as it stands on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttributeTypes<'a>(pub(crate) &'a [u8]);

impl AttributeTypes<'_> {
    /// The numbers in order.
    pub fn iter(&self) -> impl Iterator<Item = AttributeType> + '_ {
        self.0.as_chunks::<2>().0.iter().map(|bytes| AttributeType(u16::from_be_bytes(*bytes)))
    }
}

impl<'a> RawAttribute<'a> {
    /// Reads the value; `id` is the message's, which addresses are mixed with.
    ///
    /// # Errors
    /// Where the value has a length or content that its definition excludes.
    pub fn decode(&self, id: TransactionId) -> Result<Attribute<'a>, ParseError> {
        let mut reader = Reader::new(self.value);
        let r = &mut reader;
        let attribute = match self.kind {
            AttributeType::MAPPED_ADDRESS => Attribute::MappedAddress(address::parse(r)?),
            AttributeType::USERNAME => Attribute::Username(text(r)?),
            AttributeType::MESSAGE_INTEGRITY => {
                Attribute::MessageIntegrity(r.rest().try_into().map_err(|_| ParseError::Length)?)
            }
            AttributeType::ERROR_CODE => Attribute::ErrorCode(ErrorCode::parse(r)?),
            AttributeType::UNKNOWN_ATTRIBUTES => Attribute::UnknownAttributes(types(r)?),
            AttributeType::REALM => Attribute::Realm(text(r)?),
            AttributeType::NONCE => Attribute::Nonce(text(r)?),
            AttributeType::XOR_MAPPED_ADDRESS => {
                Attribute::XorMappedAddress(address::xor(address::parse(r)?, id))
            }
            AttributeType::PRIORITY => Attribute::Priority(r.u32()?),
            AttributeType::USE_CANDIDATE => Attribute::UseCandidate,
            AttributeType::SOFTWARE => Attribute::Software(text(r)?),
            AttributeType::ALTERNATE_SERVER => Attribute::AlternateServer(address::parse(r)?),
            AttributeType::FINGERPRINT => Attribute::Fingerprint(r.u32()?),
            AttributeType::ICE_CONTROLLED => Attribute::IceControlled(r.u64()?),
            AttributeType::ICE_CONTROLLING => Attribute::IceControlling(r.u64()?),
            AttributeType::GOOG_NETWORK_INFO => {
                Attribute::GoogNetworkInfo { network: r.u16()?, cost: r.u16()? }
            }
            _ => {
                r.rest();
                Attribute::Unknown(*self)
            }
        };
        reader.finish()?;
        Ok(attribute)
    }
}

impl<'a> Attribute<'a> {
    /// Its number.
    pub fn kind(&self) -> AttributeType {
        match self {
            Attribute::MappedAddress(_) => AttributeType::MAPPED_ADDRESS,
            Attribute::Username(_) => AttributeType::USERNAME,
            Attribute::MessageIntegrity(_) => AttributeType::MESSAGE_INTEGRITY,
            Attribute::ErrorCode(_) => AttributeType::ERROR_CODE,
            Attribute::UnknownAttributes(_) => AttributeType::UNKNOWN_ATTRIBUTES,
            Attribute::Realm(_) => AttributeType::REALM,
            Attribute::Nonce(_) => AttributeType::NONCE,
            Attribute::XorMappedAddress(_) => AttributeType::XOR_MAPPED_ADDRESS,
            Attribute::Priority(_) => AttributeType::PRIORITY,
            Attribute::UseCandidate => AttributeType::USE_CANDIDATE,
            Attribute::Software(_) => AttributeType::SOFTWARE,
            Attribute::AlternateServer(_) => AttributeType::ALTERNATE_SERVER,
            Attribute::Fingerprint(_) => AttributeType::FINGERPRINT,
            Attribute::IceControlled(_) => AttributeType::ICE_CONTROLLED,
            Attribute::IceControlling(_) => AttributeType::ICE_CONTROLLING,
            Attribute::GoogNetworkInfo { .. } => AttributeType::GOOG_NETWORK_INFO,
            Attribute::Unknown(raw) => raw.kind,
        }
    }

    /// Writes the value alone, without number, length and padding.
    pub(crate) fn write_value(&self, writer: &mut Writer<'_>, id: TransactionId) {
        match *self {
            Attribute::MappedAddress(at) | Attribute::AlternateServer(at) => address::write(writer, at),
            Attribute::XorMappedAddress(at) => address::write(writer, address::xor(at, id)),
            Attribute::Username(text)
            | Attribute::Realm(text)
            | Attribute::Nonce(text)
            | Attribute::Software(text) => writer.bytes(text.as_bytes()),
            Attribute::MessageIntegrity(tag) => writer.bytes(tag),
            Attribute::ErrorCode(error) => error.write(writer),
            Attribute::UnknownAttributes(AttributeTypes(bytes)) => writer.bytes(bytes),
            Attribute::Priority(value) | Attribute::Fingerprint(value) => writer.u32(value),
            Attribute::UseCandidate => {}
            Attribute::IceControlled(value) | Attribute::IceControlling(value) => writer.u64(value),
            Attribute::GoogNetworkInfo { network, cost } => {
                writer.u16(network);
                writer.u16(cost);
            }
            Attribute::Unknown(raw) => writer.bytes(raw.value),
        }
    }
}

impl<'a> ErrorCode<'a> {
    /// The request was malformed.
    pub const BAD_REQUEST: ErrorCode<'static> = ErrorCode { code: 400, reason: "Bad Request" };
    /// The credentials are missing or wrong.
    pub const UNAUTHENTICATED: ErrorCode<'static> = ErrorCode { code: 401, reason: "Unauthenticated" };
    /// An attribute that has to be understood was not.
    pub const UNKNOWN_ATTRIBUTE: ErrorCode<'static> = ErrorCode { code: 420, reason: "Unknown Attribute" };
    /// Both agents believe to have the same role (RFC 8445 §7.3.1.1).
    pub const ROLE_CONFLICT: ErrorCode<'static> = ErrorCode { code: 487, reason: "Role Conflict" };

    fn parse(reader: &mut Reader<'a>) -> Result<Self, ParseError> {
        let word = reader.u32()?;
        let (class, number) = (((word >> 8) & 7) as u16, (word & 0xff) as u16);
        if !(3..=6).contains(&class) || number > 99 {
            return Err(ParseError::Value);
        }
        Ok(Self { code: class * 100 + number, reason: text(reader)? })
    }

    fn write(&self, writer: &mut Writer<'_>) {
        writer.u16(0);
        writer.u16((((self.code / 100) & 7) << 8) | (self.code % 100));
        writer.bytes(self.reason.as_bytes());
    }
}

fn text<'a>(reader: &mut Reader<'a>) -> Result<&'a str, ParseError> {
    std::str::from_utf8(reader.rest()).map_err(|_| ParseError::Value)
}

fn types<'a>(reader: &mut Reader<'a>) -> Result<AttributeTypes<'a>, ParseError> {
    if !reader.remaining().is_multiple_of(2) {
        return Err(ParseError::Length);
    }
    Ok(AttributeTypes(reader.rest()))
}
