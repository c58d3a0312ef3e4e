//! One line of a description.

use std::fmt;
use std::sync::Arc;

use crate::error::Malformed;
use crate::words::{Source, Words};
use crate::{
    Attribute, Bandwidth, Connection, InvalidLineError, Origin, Repeat, Text, TimeZones, Timing, Tolerance,
};

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Value {
    /// `v=0`, the one version there is (RFC 8866 §5.1).
    Version,
    /// `o=`.
    Origin(Box<Origin>),
    /// `s=`, the name of the session (RFC 8866 §5.3); `-` where it has none.
    Name(Text),
    /// `i=`, a few words for people about the session or the media (RFC 8866 §5.4).
    Information(Text),
    /// `u=`, where there is more to read (RFC 8866 §5.5).
    Uri(Text),
    /// `e=`, whom to write to (RFC 8866 §5.6).
    Email(Text),
    /// `p=`, whom to call (RFC 8866 §5.6).
    Phone(Text),
    /// `c=`.
    Connection(Box<Connection>),
    /// `b=`.
    Bandwidth(Bandwidth),
    /// `t=`.
    Timing(Timing),
    /// `r=`.
    Repeat(Box<Repeat>),
    /// `z=`.
    TimeZones(TimeZones),
    /// `k=`, which nobody may use any more (RFC 8866 §5.12).
    Key(Text),
    /// `a=`.
    Attribute(Attribute),
    /// A line of any other type, kept as it stands.
    Other {
        /// The letter before the equals sign.
        kind: char,
        /// The text after it.
        text: Text,
    },
}

impl Value {
    /// The letter of the line.
    pub fn kind(&self) -> char {
        match self {
            Self::Version => 'v',
            Self::Origin(_) => 'o',
            Self::Name(_) => 's',
            Self::Information(_) => 'i',
            Self::Uri(_) => 'u',
            Self::Email(_) => 'e',
            Self::Phone(_) => 'p',
            Self::Connection(_) => 'c',
            Self::Bandwidth(_) => 'b',
            Self::Timing(_) => 't',
            Self::Repeat(_) => 'r',
            Self::TimeZones(_) => 'z',
            Self::Key(_) => 'k',
            Self::Attribute(_) => 'a',
            Self::Other { kind, .. } => *kind,
        }
    }

    /// `text` is what stands after the equals sign of a line of the type `kind`.
    #[inline]
    pub(crate) fn parse(source: Source<'_>, kind: u8, text: &str) -> Result<Self, Malformed> {
        if kind == b'a' {
            return Attribute::parse(source, text).map(Self::Attribute);
        }
        let mut words = Words::new(source, text);
        let value = match kind {
            b'v' => words.convert("0", |word| (word == "0").then_some(Self::Version))?,
            b'o' => Self::Origin(Origin::parse(&mut words)?.into()),
            b's' => return Self::parse_name(source, text),
            b'i' => Self::Information(whole(&mut words, "information")?),
            b'u' => Self::Uri(whole(&mut words, "a URI")?),
            b'e' => Self::Email(whole(&mut words, "an email address")?),
            b'p' => Self::Phone(whole(&mut words, "a phone number")?),
            b'c' => Self::Connection(Connection::parse(&mut words)?.into()),
            b'b' => Self::Bandwidth(Bandwidth::parse(&mut words)?),
            b't' => Self::Timing(Timing::parse(&mut words)?),
            b'r' => Self::Repeat(Repeat::parse(&mut words)?.into()),
            b'z' => Self::TimeZones(TimeZones::parse(&mut words)?),
            b'k' => Self::Key(whole(&mut words, "a method of key exchange")?),
            _ => return Ok(Self::Other { kind: kind.into(), text: source.text(text) }),
        };
        words.end()?;
        Ok(value)
    }

    fn parse_name(source: Source<'_>, text: &str) -> Result<Self, Malformed> {
        if text.is_empty() && !source.tolerance.empty_name {
            return Err(Malformed::expected(source.buffer, text, "the name of the session"));
        }
        Ok(Self::Name(source.text(text)))
    }
}

/// All of the text with its blanks, of which there has to be some.
fn whole(words: &mut Words<'_>, expected: &'static str) -> Result<Text, Malformed> {
    match words.all() {
        "" => Err(words.expected_here(expected)),
        text => Ok(words.source().text(text)),
    }
}

/// Writes the line without its end.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=", self.kind())?;
        match self {
            Self::Version => f.write_str("0"),
            Self::Origin(origin) => origin.fmt(f),
            Self::Name(text)
            | Self::Information(text)
            | Self::Uri(text)
            | Self::Email(text)
            | Self::Phone(text)
            | Self::Key(text)
            | Self::Other { text, .. } => text.fmt(f),
            Self::Connection(connection) => connection.fmt(f),
            Self::Bandwidth(bandwidth) => bandwidth.fmt(f),
            Self::Timing(timing) => timing.fmt(f),
            Self::Repeat(repeat) => repeat.fmt(f),
            Self::TimeZones(zones) => zones.fmt(f),
            Self::Attribute(attribute) => attribute.fmt(f),
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
        Self::Origin(origin.into())
    }
}

impl From<Connection> for Value {
    fn from(connection: Connection) -> Self {
        Self::Connection(connection.into())
    }
}

impl From<Bandwidth> for Value {
    fn from(bandwidth: Bandwidth) -> Self {
        Self::Bandwidth(bandwidth)
    }
}

impl From<Timing> for Value {
    fn from(timing: Timing) -> Self {
        Self::Timing(timing)
    }
}

/// A line: its text, and the value that it was read as or made from.
///
/// A line that was read keeps its text byte for byte, however its value would be written. To edit a line is to put another
/// in its place.
#[derive(Clone)]
pub struct Line {
    text: Text,
    value: Value,
}

impl Line {
    /// A line that says `value`.
    ///
    /// Its text is read back by the strict grammar, so that there is no line that another parser would take for something
    /// else.
    ///
    /// # Errors
    ///
    /// The text of `value` holds a line break or NUL, can't be read, or says something else.
    pub fn new(value: impl Into<Value>) -> Result<Self, InvalidLineError> {
        let value = value.into();
        let buffer = writable(&value)?;
        let source = Source { buffer: &buffer, tolerance: &Tolerance::NONE };
        let line = Self::parse(source, &buffer)
            .map_err(|malformed| InvalidLineError::Unreadable(malformed.locate(&buffer)))?;
        if line.value == value { Ok(line) } else { Err(InvalidLineError::Ambiguous) }
    }

    /// `line` is the whole line without its end.
    #[inline]
    pub(crate) fn parse(source: Source<'_>, line: &str) -> Result<Self, Malformed> {
        let malformed = || Malformed::expected(source.buffer, line, "a letter and an equals sign");
        let [kind, b'=', ..] = *line.as_bytes() else { return Err(malformed()) };
        if !kind.is_ascii_alphabetic() {
            return Err(malformed());
        }
        if !is_known(kind) && (kind == b'm' || !source.tolerance.unknown_types) {
            return Err(Malformed::expected(source.buffer, line, "a line of a known type"));
        }
        let value = Value::parse(source, kind, line.get(2..).unwrap_or_default())?;
        Ok(Self { text: source.text(line), value })
    }

    /// What it says.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The attribute that it is, if it is one.
    pub fn attribute(&self) -> Option<&Attribute> {
        match &self.value {
            Value::Attribute(attribute) => Some(attribute),
            _ => None,
        }
    }

    /// The whole line without its end.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// Whether RFC 8866 §5 has lines of this type in sections; most are attributes.
fn is_known(kind: u8) -> bool {
    kind == b'a' || b"vosiuepcbtrzk".contains(&kind)
}

/// The text of `value`, unless it would end a line.
pub(crate) fn writable(value: &impl fmt::Display) -> Result<Arc<String>, InvalidLineError> {
    let text = value.to_string();
    if text.contains(['\r', '\n', '\0']) {
        return Err(InvalidLineError::ControlCharacter);
    }
    Ok(Arc::new(text))
}

/// Writes the line without its end.
impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

/// Lines are equal that say the same, however it is written.
impl PartialEq for Line {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl Eq for Line {}
