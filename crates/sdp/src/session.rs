//! A description and its media sections.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::line::writable;
use crate::words::{Source, Words};
use crate::{
    Attribute, Group, InvalidLineError, MediaLine, Origin, ParseError, Parser, Section, Text, Tolerance,
    Value,
};

/// A session description (RFC 8866 §5).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Session {
    /// The lines before the first media section.
    pub section: Section,
    /// The media sections.
    pub media: Vec<Media>,
}

impl Session {
    /// The origin.
    pub fn origin(&self) -> Option<&Origin> {
        self.section.values().find_map(|value| match value {
            Value::Origin(origin) => Some(&**origin),
            _ => None,
        })
    }

    /// The groups of media sections, in order.
    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        self.section.attributes().filter_map(|attribute| match attribute {
            Attribute::Group(group) => Some(group),
            _ => None,
        })
    }

    /// The first media section with this identification tag.
    pub fn media_by_mid(&self, mid: &str) -> Option<&Media> {
        self.media.iter().find(|media| media.section.mid() == Some(mid))
    }
}

/// Reads a description as real senders write it; [`Parser`] reads with other limits, or strictly.
impl FromStr for Session {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        Parser::default().parse(text)
    }
}

/// Writes every line with CRLF at its end.
impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.section.fmt(f)?;
        self.media.iter().try_for_each(|media| media.fmt(f))
    }
}

/// A media section: its `m=` line and what follows it.
#[derive(Debug, Clone)]
pub struct Media {
    text: Text,
    line: MediaLine,
    /// The lines after the `m=` line.
    pub section: Section,
}

impl Media {
    /// A section without further lines.
    ///
    /// # Errors
    ///
    /// As [`Line::new`](crate::Line::new).
    pub fn new(line: MediaLine) -> Result<Self, InvalidLineError> {
        let (text, line) = checked(line)?;
        Ok(Self { text, line, section: Section::default() })
    }

    /// The `m=` line.
    pub fn line(&self) -> &MediaLine {
        &self.line
    }

    /// Puts another `m=` line in the place of this one.
    ///
    /// # Errors
    ///
    /// As [`Line::new`](crate::Line::new); the line stays then.
    pub fn set_line(&mut self, line: MediaLine) -> Result<(), InvalidLineError> {
        (self.text, self.line) = checked(line)?;
        Ok(())
    }

    /// Sets the port of the `m=` line.
    pub fn set_port(&mut self, port: u16) {
        self.line.port = port;
        self.text = format!("m={}", self.line).into();
    }

    /// `text` is the whole `m=` line.
    pub(crate) fn parsed(text: Text, line: MediaLine) -> Self {
        Self { text, line, section: Section::default() }
    }
}

/// The text of `line`, and the line with its parts in that text.
fn checked(line: MediaLine) -> Result<(Text, MediaLine), InvalidLineError> {
    let buffer: Arc<String> = writable(&format_args!("m={line}"))?;
    let source = Source { buffer: &buffer, tolerance: &Tolerance::NONE };
    let mut words = Words::new(source, buffer.get(2..).unwrap_or_default());
    let read = MediaLine::parse(&mut words).and_then(|read| words.end().map(|()| read));
    match read {
        Err(malformed) => Err(InvalidLineError::Unreadable(malformed.locate(&buffer))),
        Ok(read) if read != line => Err(InvalidLineError::Ambiguous),
        Ok(read) => Ok((Text::of(&buffer, &buffer), read)),
    }
}

impl PartialEq for Media {
    fn eq(&self, other: &Self) -> bool {
        self.line == other.line && self.section == other.section
    }
}

impl Eq for Media {}

impl fmt::Display for Media {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        f.write_str("\r\n")?;
        self.section.fmt(f)
    }
}
