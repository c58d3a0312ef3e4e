//! What is wrong with a description, and where.

use crate::text;

/// Text that is not a description, or one beyond the limits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {reason}")]
pub struct ParseError {
    /// The line, counted from 1; for a value that is read alone it is 1.
    pub line: usize,
    /// The byte within the line, counted from 1.
    pub column: usize,
    /// What is wrong there.
    pub reason: Reason,
}

/// What is wrong at a place of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// Something else was expected; the field says what.
    #[error("expected {0}")]
    Expected(&'static str),
    /// A NUL, or a carriage return that does not end the line.
    #[error("control character in a line")]
    ControlCharacter,
    /// A line that may stand once; the field says which.
    #[error("{0} is repeated")]
    Repeated(&'static str),
    /// More of something than the limits allow; the field says of what.
    #[error("too many or too long: {0}")]
    Limit(&'static str),
}

/// A value that can't be written as a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidLineError {
    /// It holds a line break or a NUL, which would end the line early.
    #[error("a value holds a line break or a NUL")]
    ControlCharacter,
    /// Nobody could read it: the field names the place within the line.
    #[error("a value can't be read back: {0}")]
    Unreadable(#[source] ParseError),
    /// It would be read as another value, as one that holds a separator.
    #[error("a value would be read back as another")]
    Ambiguous,
}

/// What is wrong at a place of the buffer that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed {
    /// The byte within the buffer, counted from 0.
    pub(crate) at: usize,
    pub(crate) reason: Reason,
}

impl Malformed {
    /// The place in `buffer` by line and column.
    pub(crate) fn locate(self, buffer: &str) -> ParseError {
        let before = buffer.as_bytes().get(..self.at).unwrap_or_default();
        let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        ParseError {
            line: 1 + before.iter().filter(|byte| **byte == b'\n').count(),
            column: 1 + before.len() - line_start,
            reason: self.reason,
        }
    }

    /// At the start of `part`, which has to be a part of `buffer`.
    pub(crate) fn expected(buffer: &str, part: &str, expected: &'static str) -> Self {
        Self { at: text::offset(buffer, part), reason: Reason::Expected(expected) }
    }
}
