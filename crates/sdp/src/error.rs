//! What is wrong with a description, and where.

/// Text that is not a description, or one beyond the limits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {reason}")]
pub struct ParseError {
    /// The line, counted from 1; for a candidate alone it is 1.
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
    /// A line that stands before the first media section and must not be repeated, or the like.
    #[error("{0} is repeated")]
    Repeated(&'static str),
    /// More of something than the limits allow; the field says of what.
    #[error("too many or too long: {0}")]
    Limit(&'static str),
}

/// A value that can't be written as a line: it holds a line break or NUL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a value holds a line break or a NUL")]
pub struct InvalidLineError;

/// What is wrong within a line's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed {
    /// The byte within the value, counted from 0.
    pub(crate) at: usize,
    pub(crate) expected: &'static str,
}

impl Malformed {
    pub(crate) fn on_line(self, line: usize, before_value: usize) -> ParseError {
        ParseError { line, column: before_value + self.at + 1, reason: Reason::Expected(self.expected) }
    }
}
