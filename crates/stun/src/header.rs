//! Message type and transaction id (RFC 8489 §5).
//!
//! ```text
//!  0                 1
//!  2  3  4 5 6 7 8 9 0 1 2 3 4 5
//! +--+--+-+-+-+-+-+-+-+-+-+-+-+-+
//! |M |M |M|M|M|C|M|M|M|C|M|M|M|M|     M: method, C: class
//! |11|10|9|8|7|1|6|5|4|0|3|2|1|0|
//! +--+--+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```

use std::fmt;

use antiphon_util::{ParseError, Rng};

/// What a message is within its method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Asks for an answer.
    Request,
    /// Is not answered.
    Indication,
    /// Answers a request that succeeded.
    SuccessResponse,
    /// Answers a request that failed.
    ErrorResponse,
}

/// What a message is about; 12 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Method(u16);

impl Method {
    /// The only method of STUN itself (RFC 8489 §18.2).
    pub const BINDING: Self = Self(0x001);
    /// Makes an allocation (RFC 8656 §17).
    pub const ALLOCATE: Self = Self(0x003);
    /// Keeps or ends an allocation (RFC 8656 §17).
    pub const REFRESH: Self = Self(0x004);
    /// To a peer; an indication (RFC 8656 §17).
    pub const SEND: Self = Self(0x006);
    /// From a peer; an indication (RFC 8656 §17).
    pub const DATA: Self = Self(0x007);
    /// Lets a peer in (RFC 8656 §17).
    pub const CREATE_PERMISSION: Self = Self(0x008);
    /// Gives a peer a short number (RFC 8656 §17).
    pub const CHANNEL_BIND: Self = Self(0x009);
    /// Has the relay connect to a peer (RFC 6062 §6.1).
    pub const CONNECT: Self = Self(0x00a);
    /// Makes this connection the one to a peer (RFC 6062 §6.1).
    pub const CONNECTION_BIND: Self = Self(0x00b);
    /// A peer connected; an indication (RFC 6062 §6.1).
    pub const CONNECTION_ATTEMPT: Self = Self(0x00c);
    /// libwebrtc's short consent check; not registered.
    pub const GOOG_PING: Self = Self(0x080);

    /// The method of the low 12 bits of `number`.
    pub const fn new(number: u16) -> Self {
        Self(number & 0x0fff)
    }

    /// Its registered number.
    pub const fn number(self) -> u16 {
        self.0
    }
}

/// Method and class, the first 16 bits of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MessageType {
    /// What it is about.
    pub method: Method,
    /// Whether it asks or answers.
    pub class: Class,
}

impl MessageType {
    /// A binding request.
    pub const BINDING_REQUEST: Self = Self::new(Method::BINDING, Class::Request);
    /// A binding indication, a keep-alive.
    pub const BINDING_INDICATION: Self = Self::new(Method::BINDING, Class::Indication);
    /// The answer to a binding request that succeeded.
    pub const BINDING_SUCCESS: Self = Self::new(Method::BINDING, Class::SuccessResponse);
    /// The answer to a binding request that failed.
    pub const BINDING_ERROR: Self = Self::new(Method::BINDING, Class::ErrorResponse);

    /// The type of `class` within `method`.
    pub const fn new(method: Method, class: Class) -> Self {
        Self { method, class }
    }

    /// Reads the type from its 16 bits.
    ///
    /// # Errors
    /// [`ParseError::Value`] where one of the two leading bits is set.
    pub(crate) fn from_bits(bits: u16) -> Result<Self, ParseError> {
        if bits & 0xc000 != 0 {
            return Err(ParseError::Value);
        }
        let class = match bits & 0x0110 {
            0x0000 => Class::Request,
            0x0010 => Class::Indication,
            0x0100 => Class::SuccessResponse,
            _ => Class::ErrorResponse,
        };
        let method = (bits & 0x000f) | ((bits & 0x00e0) >> 1) | ((bits & 0x3e00) >> 2);
        Ok(Self { method: Method(method), class })
    }

    /// Its 16 bits on the wire.
    pub(crate) fn bits(self) -> u16 {
        let Method(method) = self.method;
        let class = match self.class {
            Class::Request => 0x0000,
            Class::Indication => 0x0010,
            Class::SuccessResponse => 0x0100,
            Class::ErrorResponse => 0x0110,
        };
        (method & 0x000f) | ((method & 0x0070) << 1) | ((method & 0x0f80) << 2) | class
    }
}

/// The 96 bits by which a response finds its request; unpredictable, so that nobody off the path can answer.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TransactionId(pub [u8; 12]);

impl TransactionId {
    /// A fresh one.
    pub fn random(rng: &mut Rng) -> Self {
        Self(rng.array())
    }
}

impl fmt::Debug for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_of_14_bits_survives() {
        for bits in 0..0x4000 {
            assert_eq!(MessageType::from_bits(bits).map(MessageType::bits), Ok(bits));
        }
        assert_eq!(MessageType::from_bits(0x4001), Err(ParseError::Value));
        assert_eq!(MessageType::from_bits(0x8001), Err(ParseError::Value));
    }

    #[test]
    fn binding_types_have_their_registered_bits() {
        assert_eq!(MessageType::BINDING_REQUEST.bits(), 0x0001);
        assert_eq!(MessageType::BINDING_INDICATION.bits(), 0x0011);
        assert_eq!(MessageType::BINDING_SUCCESS.bits(), 0x0101);
        assert_eq!(MessageType::BINDING_ERROR.bits(), 0x0111);
    }
}
