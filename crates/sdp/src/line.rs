//! One line of a description.

use std::fmt;

use crate::error::Malformed;
use crate::{Attribute, Connection, InvalidLineError, Origin};

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Value {
    /// `o=`.
    Origin(Origin),
    /// `c=`.
    Connection(Connection),
    /// `a=`.
    Attribute(Attribute),
    /// A line of any other type, kept as it stands.
    Other {
        /// The letter before the equals sign.
        kind: char,
        /// The text after it.
        text: String,
    },
}

impl Value {
    pub(crate) fn parse(kind: char, text: &str) -> Result<Self, Malformed> {
        match kind {
            'o' => Origin::parse(text).map(Self::Origin),
            'c' => Connection::parse(text).map(Self::Connection),
            'a' => Attribute::parse(text).map(Self::Attribute),
            _ => Ok(Self::Other { kind, text: text.into() }),
        }
    }
}

/// Writes the line without its end.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Origin(origin) => write!(f, "o={origin}"),
            Self::Connection(connection) => write!(f, "c={connection}"),
            Self::Attribute(attribute) => write!(f, "a={attribute}"),
            Self::Other { kind, text } => write!(f, "{kind}={text}"),
        }
    }
}

impl From<Attribute> for Value {
    fn from(attribute: Attribute) -> Self {
        Self::Attribute(attribute)
    }
}

impl From<Origin> for Value {
    fn from(origin: Origin) -> Self {
        Self::Origin(origin)
    }
}

impl From<Connection> for Value {
    fn from(connection: Connection) -> Self {
        Self::Connection(connection)
    }
}

/// A line: its value and, as long as that is the one parsed, its text.
#[derive(Debug, Clone)]
pub struct Line {
    value: Value,
    /// The text where it differs from what the value writes.
    text: Option<Box<str>>,
}

impl Line {
    /// A line that says `value`.
    ///
    /// # Errors
    ///
    /// The text of `value` holds a line break or NUL.
    pub fn new(value: impl Into<Value>) -> Result<Self, InvalidLineError> {
        let value = value.into();
        if value.to_string().contains(['\r', '\n', '\0']) {
            return Err(InvalidLineError);
        }
        Ok(Self { value, text: None })
    }

    /// `line` is the whole line without its end.
    pub(crate) fn parse(line: &str) -> Result<Self, Malformed> {
        let malformed = Malformed { at: 0, expected: "a letter and an equals sign" };
        let (kind, text) = line.split_once('=').ok_or(malformed)?;
        let mut letters = kind.chars();
        let (Some(kind), None) = (letters.next(), letters.next()) else { return Err(malformed) };
        if !kind.is_ascii_alphabetic() {
            return Err(malformed);
        }
        let value = Value::parse(kind, text).map_err(|inner| Malformed { at: inner.at + 2, ..inner })?;
        let text = match value {
            Value::Other { .. } | Value::Attribute(Attribute::Other { .. }) => None,
            _ => Some(line.into()),
        };
        Ok(Self { value, text })
    }

    /// What it says.
    pub fn value(&self) -> &Value {
        &self.value
    }
}

/// Writes the line without its end.
impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.text {
            Some(text) => f.write_str(text),
            None => self.value.fmt(f),
        }
    }
}

/// Lines are equal that say the same, however it is written.
impl PartialEq for Line {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl Eq for Line {}
