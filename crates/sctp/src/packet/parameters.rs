//! Parameters of INIT, INIT ACK and RE-CONFIG, and what to do with unknown ones (RFC 9260 §3.2.1).

use antiphon_util::{ParseError, Reader, Writer};

/// Parameter types (RFC 9260 §3.3.2, RFC 3758 §3.1, RFC 5061 §4.2.7, RFC 6525 §4,
/// RFC 9653 §4).
#[allow(missing_docs, reason = "the names are those of the registry")]
pub mod parameter {
    pub const HEARTBEAT_INFO: u16 = 1;
    pub const STATE_COOKIE: u16 = 7;
    pub const UNRECOGNIZED: u16 = 8;
    pub const HOST_NAME: u16 = 11;
    pub const OUTGOING_RESET: u16 = 13;
    pub const INCOMING_RESET: u16 = 14;
    pub const SSN_TSN_RESET: u16 = 15;
    pub const RECONFIG_RESPONSE: u16 = 16;
    pub const ADD_OUTGOING: u16 = 17;
    pub const ADD_INCOMING: u16 = 18;
    pub const ZERO_CHECKSUM: u16 = 0x8001;
    pub const SUPPORTED_EXTENSIONS: u16 = 0x8008;
    pub const FORWARD_TSN_SUPPORTED: u16 = 0xc000;
}

/// What the top two bits of an unknown chunk or parameter type ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unknown {
    /// Whether to go on with what follows it.
    pub skip: bool,
    /// Whether to tell the peer.
    pub report: bool,
}

/// Reads the top two bits of a type, handed in as the top bits of a byte.
pub fn unknown(top: u8) -> Unknown {
    Unknown { skip: top & 0x80 != 0, report: top & 0x40 != 0 }
}

/// A parameter as framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawParameter<'a> {
    /// The parameter type.
    pub kind: u16,
    /// The value, without padding.
    pub value: &'a [u8],
}

/// A sequence of parameters whose framing has been checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameters<'a>(&'a [u8]);

impl<'a> Parameters<'a> {
    /// No parameters.
    pub const NONE: Parameters<'static> = Parameters(&[]);

    /// Takes all that is left of `reader`.
    ///
    /// # Errors
    /// Where the framing is broken.
    pub fn parse(reader: &mut Reader<'a>) -> Result<Self, ParseError> {
        let all = reader.rest();
        let mut inner = Reader::new(all);
        while !inner.is_empty() {
            parse_one(&mut inner)?;
        }
        Ok(Self(all))
    }

    /// The parameters, in order.
    pub fn iter(&self) -> impl Iterator<Item = RawParameter<'a>> + 'a {
        let mut reader = Reader::new(self.0);
        std::iter::from_fn(move || if reader.is_empty() { None } else { parse_one(&mut reader).ok() })
    }

    /// The parameters as bytes.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.0
    }

    /// Parameters that were written by [`write_parameter`].
    pub(crate) fn written(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }
}

fn parse_one<'a>(reader: &mut Reader<'a>) -> Result<RawParameter<'a>, ParseError> {
    let kind = reader.u16()?;
    let len = usize::from(reader.u16()?).checked_sub(4).ok_or(ParseError::Length)?;
    let value = reader.bytes(len)?;
    reader.bytes((len.wrapping_neg() % 4).min(reader.remaining()))?;
    Ok(RawParameter { kind, value })
}

/// Appends a parameter with its padding; `value` has at most 65,531 bytes.
pub fn write_parameter(out: &mut Writer<'_>, kind: u16, value: &[u8]) {
    out.u16(kind);
    out.u16((value.len() + 4) as u16);
    out.bytes(value);
    out.zeros(value.len().wrapping_neg() % 4);
}
