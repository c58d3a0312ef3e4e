//! ERROR-CODE and ADDRESS-ERROR-CODE (RFC 8489 §14.8, RFC 8656 §18.12).

use antiphon_util::{ParseError, Reader, Writer};

use crate::values::{TEXT_LIMIT, text};

/// The value of ERROR-CODE (RFC 8489 §14.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorCode<'a> {
    /// 300 to 699.
    pub code: u16,
    /// For people; at most 127 characters are to be sent.
    pub reason: &'a str,
}

/// STUN (RFC 8489 §14.8) and ICE.
impl ErrorCode<'static> {
    /// Another server is to be asked: ALTERNATE-SERVER says which.
    pub const TRY_ALTERNATE: Self = Self::new(300, "Try Alternate");
    /// The request was malformed.
    pub const BAD_REQUEST: Self = Self::new(400, "Bad Request");
    /// The credentials are missing or wrong.
    pub const UNAUTHENTICATED: Self = Self::new(401, "Unauthenticated");
    /// An attribute that has to be understood was not.
    pub const UNKNOWN_ATTRIBUTE: Self = Self::new(420, "Unknown Attribute");
    /// The nonce is no longer valid; the answer has a new one.
    pub const STALE_NONCE: Self = Self::new(438, "Stale Nonce");
    /// Both agents believe to have the same role (RFC 8445 §7.3.1.1).
    pub const ROLE_CONFLICT: Self = Self::new(487, "Role Conflict");
    /// The server failed for a time.
    pub const SERVER_ERROR: Self = Self::new(500, "Server Error");
}

/// TURN (RFC 8656 §19, RFC 6062 §6.3, RFC 8016 §3.4).
impl ErrorCode<'static> {
    /// The request is authentic and not permitted.
    pub const FORBIDDEN: Self = Self::new(403, "Forbidden");
    /// The allocation cannot move to another address.
    pub const MOBILITY_FORBIDDEN: Self = Self::new(405, "Mobility Forbidden");
    /// There is an allocation already, or none.
    pub const ALLOCATION_MISMATCH: Self = Self::new(437, "Allocation Mismatch");
    /// The server has no addresses of the family.
    pub const ADDRESS_FAMILY_NOT_SUPPORTED: Self = Self::new(440, "Address Family not Supported");
    /// The allocation was made with other credentials.
    pub const WRONG_CREDENTIALS: Self = Self::new(441, "Wrong Credentials");
    /// The server does not relay over the protocol.
    pub const UNSUPPORTED_TRANSPORT_PROTOCOL: Self = Self::new(442, "Unsupported Transport Protocol");
    /// The peer's address is of another family than the relayed one.
    pub const PEER_ADDRESS_FAMILY_MISMATCH: Self = Self::new(443, "Peer Address Family Mismatch");
    /// There is a connection to the peer already.
    pub const CONNECTION_ALREADY_EXISTS: Self = Self::new(446, "Connection Already Exists");
    /// The connection to the peer could not be made.
    pub const CONNECTION_TIMEOUT_OR_FAILURE: Self = Self::new(447, "Connection Timeout or Failure");
    /// The user has as many allocations as permitted.
    pub const ALLOCATION_QUOTA_REACHED: Self = Self::new(486, "Allocation Quota Reached");
    /// The server has no room.
    pub const INSUFFICIENT_CAPACITY: Self = Self::new(508, "Insufficient Capacity");
}

impl<'a> ErrorCode<'a> {
    /// `code` with its text; one outside of 300 to 699 cannot be read back.
    pub const fn new(code: u16, reason: &'a str) -> Self {
        Self { code, reason }
    }

    pub(crate) fn parse(reader: &mut Reader<'a>) -> Result<Self, ParseError> {
        reader.u16()?;
        Self::parse_tail(reader)
    }

    /// Class, number and reason, behind the two bytes that differ between the attributes.
    pub(crate) fn parse_tail(reader: &mut Reader<'a>) -> Result<Self, ParseError> {
        let bits = reader.u16()?;
        let (class, number) = ((bits >> 8) & 7, bits & 0xff);
        if !(3..=6).contains(&class) || number > 99 {
            return Err(ParseError::Value);
        }
        Ok(Self { code: class * 100 + number, reason: text(reader, TEXT_LIMIT)? })
    }

    pub(crate) fn write(&self, writer: &mut Writer<'_>) {
        writer.u16(0);
        self.write_tail(writer);
    }

    pub(crate) fn write_tail(&self, writer: &mut Writer<'_>) {
        writer.u16((((self.code / 100) & 7) << 8) | (self.code % 100));
        writer.bytes(self.reason.as_bytes());
    }
}
