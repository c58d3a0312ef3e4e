//! A description and its sections.

use std::fmt;
use std::str::FromStr;

use crate::error::Malformed;
use crate::{
    Attribute, Candidate, Fingerprint, Group, InvalidLineError, Limits, Line, MediaLine, Origin, ParseError,
    Reason, Setup, Value,
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
    /// Reads a description of at most `limits`.
    ///
    /// # Errors
    ///
    /// The place and reason of the first line that can't be read, or that is beyond a limit.
    pub fn parse(text: &str, limits: &Limits) -> Result<Self, ParseError> {
        Parser { limits, lines: 0, session: Self::default() }.parse(text)
    }

    /// The origin.
    pub fn origin(&self) -> Option<&Origin> {
        self.section.lines.iter().find_map(|line| match line.value() {
            Value::Origin(origin) => Some(origin),
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
}

impl FromStr for Session {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        Self::parse(text, &Limits::default())
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
    line: MediaLine,
    /// The text of the `m=` line as it was read.
    text: Option<Box<str>>,
    /// The lines after the `m=` line.
    pub section: Section,
}

impl Media {
    /// A section without further lines.
    ///
    /// # Errors
    ///
    /// The text of `line` holds a line break or NUL.
    pub fn new(line: MediaLine) -> Result<Self, InvalidLineError> {
        if line.to_string().contains(['\r', '\n', '\0']) {
            return Err(InvalidLineError);
        }
        Ok(Self { line, text: None, section: Section::default() })
    }

    /// The `m=` line.
    pub fn line(&self) -> &MediaLine {
        &self.line
    }

    /// Sets the port of the `m=` line.
    pub fn set_port(&mut self, port: u16) {
        self.line.port = port;
        self.text = None;
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
        match &self.text {
            Some(text) => write!(f, "{text}\r\n")?,
            None => write!(f, "m={}\r\n", self.line)?,
        }
        self.section.fmt(f)
    }
}

/// Lines in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Section {
    /// The lines.
    pub lines: Vec<Line>,
}

impl Section {
    /// Appends a line.
    ///
    /// # Errors
    ///
    /// The text of `value` holds a line break or NUL.
    pub fn push(&mut self, value: impl Into<Value>) -> Result<(), InvalidLineError> {
        self.lines.push(Line::new(value)?);
        Ok(())
    }

    /// The attributes, in order.
    pub fn attributes(&self) -> impl Iterator<Item = &Attribute> {
        self.lines.iter().filter_map(|line| match line.value() {
            Value::Attribute(attribute) => Some(attribute),
            _ => None,
        })
    }

    /// Whether there is an attribute of this name.
    pub fn has(&self, name: &str) -> bool {
        self.attributes().any(|attribute| attribute.name() == name)
    }

    /// The candidates, in order.
    pub fn candidates(&self) -> impl Iterator<Item = &Candidate> {
        self.attributes().filter_map(|attribute| match attribute {
            Attribute::Candidate(candidate) => Some(&**candidate),
            _ => None,
        })
    }

    /// The fingerprints, in order.
    pub fn fingerprints(&self) -> impl Iterator<Item = &Fingerprint> {
        self.attributes().filter_map(|attribute| match attribute {
            Attribute::Fingerprint(fingerprint) => Some(fingerprint),
            _ => None,
        })
    }

    /// The identification tag.
    pub fn mid(&self) -> Option<&str> {
        self.find(|attribute| match attribute {
            Attribute::Mid(mid) => Some(mid.as_str()),
            _ => None,
        })
    }

    /// The ICE user fragment.
    pub fn ice_ufrag(&self) -> Option<&str> {
        self.find(|attribute| match attribute {
            Attribute::IceUfrag(ufrag) => Some(ufrag.as_str()),
            _ => None,
        })
    }

    /// The ICE password.
    pub fn ice_pwd(&self) -> Option<&str> {
        self.find(|attribute| match attribute {
            Attribute::IcePwd(pwd) => Some(pwd.as_str()),
            _ => None,
        })
    }

    /// The role in the DTLS connection.
    pub fn setup(&self) -> Option<Setup> {
        self.find(|attribute| match attribute {
            Attribute::Setup(setup) => Some(*setup),
            _ => None,
        })
    }

    /// The SCTP port, in the form of RFC 8841 or in the one before it.
    pub fn sctp_port(&self) -> Option<u16> {
        self.find(|attribute| match attribute {
            Attribute::SctpPort(port) => Some(*port),
            Attribute::SctpMap(map) => Some(map.port),
            _ => None,
        })
    }

    /// The size in bytes of the largest message that its maker takes; 0 for any.
    pub fn max_message_size(&self) -> Option<u64> {
        self.find(|attribute| match attribute {
            Attribute::MaxMessageSize(size) => Some(*size),
            _ => None,
        })
    }

    fn find<'a, T>(&'a self, wanted: impl Fn(&'a Attribute) -> Option<T>) -> Option<T> {
        self.attributes().find_map(wanted)
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| write!(f, "{line}\r\n"))
    }
}

struct Parser<'a> {
    limits: &'a Limits,
    /// Lines read so far, thus the number of the current one.
    lines: usize,
    session: Session,
}

impl Parser<'_> {
    fn parse(mut self, text: &str) -> Result<Session, ParseError> {
        if text.len() > self.limits.size {
            return Err(ParseError { line: 1, column: 1, reason: Reason::Limit("bytes") });
        }
        let mut counts = Counts::default();
        for line in text.trim_end_matches(['\r', '\n', ' ', '\t']).split('\n') {
            self.lines += 1;
            let line = line.strip_suffix('\r').unwrap_or(line);
            self.check(line)?;
            if let Some(value) = line.strip_prefix("m=") {
                counts = Counts::default();
                self.open_media(line, value)?;
            } else {
                let parsed = Line::parse(line).map_err(|malformed| malformed.on_line(self.lines, 0))?;
                self.check_place(&parsed)?;
                counts.count(&parsed, self.limits).map_err(|of| self.error(Reason::Limit(of)))?;
                let Session { section, media } = &mut self.session;
                media.last_mut().map_or(section, |media| &mut media.section).lines.push(parsed);
            }
        }
        if self.session.origin().is_none() {
            return Err(self.error(Reason::Expected("an o= line before this")));
        }
        Ok(self.session)
    }

    fn check(&self, line: &str) -> Result<(), ParseError> {
        if self.lines > self.limits.lines {
            return Err(self.error(Reason::Limit("lines")));
        }
        if line.len() > self.limits.line_length {
            return Err(self.error(Reason::Limit("bytes of a line")));
        }
        if let Some(at) = line.find(['\r', '\0']) {
            return Err(ParseError { line: self.lines, column: at + 1, reason: Reason::ControlCharacter });
        }
        if self.lines == 1 && line.trim_end() != "v=0" {
            return Err(self.error(Reason::Expected("v=0")));
        }
        Ok(())
    }

    fn check_place(&self, line: &Line) -> Result<(), ParseError> {
        match line.value() {
            Value::Origin(_) if !self.session.media.is_empty() => {
                Err(self.error(Reason::Expected("a line of a media section")))
            }
            Value::Origin(_) if self.session.origin().is_some() => Err(self.error(Reason::Repeated("o="))),
            Value::Other { kind: 'v', .. } if self.lines > 1 => Err(self.error(Reason::Repeated("v="))),
            _ => Ok(()),
        }
    }

    fn open_media(&mut self, text: &str, value: &str) -> Result<(), ParseError> {
        if self.session.media.len() >= self.limits.media_sections {
            return Err(self.error(Reason::Limit("media sections")));
        }
        let line =
            MediaLine::parse(value).map_err(|malformed: Malformed| malformed.on_line(self.lines, 2))?;
        self.session.media.push(Media { line, text: Some(text.into()), section: Section::default() });
        Ok(())
    }

    fn error(&self, reason: Reason) -> ParseError {
        ParseError { line: self.lines, column: 1, reason }
    }
}

/// What a section holds so far.
#[derive(Default)]
struct Counts {
    attributes: usize,
    candidates: usize,
}

impl Counts {
    fn count(&mut self, line: &Line, limits: &Limits) -> Result<(), &'static str> {
        let Value::Attribute(attribute) = line.value() else { return Ok(()) };
        self.attributes += 1;
        self.candidates += usize::from(matches!(attribute, Attribute::Candidate(_)));
        if self.attributes > limits.attributes {
            return Err("attributes of a section");
        }
        if self.candidates > limits.candidates {
            return Err("candidates of a section");
        }
        Ok(())
    }
}
