//! Error causes of ABORT and ERROR (RFC 9260 §3.3.10).

use antiphon_util::{Reader, Writer};

/// Cause codes.
#[allow(missing_docs, reason = "the names are those of the registry")]
pub mod cause {
    pub const INVALID_STREAM: u16 = 1;
    pub const MISSING_PARAMETER: u16 = 2;
    pub const STALE_COOKIE: u16 = 3;
    pub const UNRESOLVABLE_ADDRESS: u16 = 5;
    pub const UNRECOGNIZED_CHUNK: u16 = 6;
    pub const INVALID_PARAMETER: u16 = 7;
    pub const UNRECOGNIZED_PARAMETERS: u16 = 8;
    pub const NO_USER_DATA: u16 = 9;
    pub const COOKIE_WHILE_SHUTTING_DOWN: u16 = 10;
    pub const USER_INITIATED_ABORT: u16 = 12;
    pub const PROTOCOL_VIOLATION: u16 = 13;
}

/// One error cause.
///
/// ```text
/// |      cause code      |    cause length     |
/// |  cause-specific information ...  (padding) |
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorCause<'a> {
    /// The cause code.
    pub code: u16,
    /// What the cause defines, without padding.
    pub information: &'a [u8],
}

impl ErrorCause<'_> {
    /// Appends the cause with its padding.
    pub fn write(&self, out: &mut Writer<'_>) {
        super::write_parameter(out, self.code, self.information);
    }
}

/// The causes of a chunk; reading ends at the first one that is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Causes<'a>(&'a [u8]);

impl<'a> Causes<'a> {
    /// Causes in the value of an ABORT or ERROR chunk.
    pub fn new(value: &'a [u8]) -> Self {
        Self(value)
    }

    /// The causes, in order.
    pub fn iter(&self) -> impl Iterator<Item = ErrorCause<'a>> + 'a {
        let mut reader = Reader::new(self.0);
        std::iter::from_fn(move || {
            let code = reader.u16().ok()?;
            let len = usize::from(reader.u16().ok()?).checked_sub(4)?;
            let information = reader.bytes(len).ok()?;
            reader.bytes((len.wrapping_neg() % 4).min(reader.remaining())).ok()?;
            Some(ErrorCause { code, information })
        })
    }

    /// The causes as bytes.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.0
    }
}
