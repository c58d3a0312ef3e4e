//! From text to a description.

use std::sync::Arc;

use crate::error::Malformed;
use crate::section::rank;
use crate::text;
use crate::words::{Source, Words};
use crate::{Attribute, Limits, Line, Media, MediaLine, ParseError, Reason, Session, Tolerance, Value};

/// How to read descriptions: what they may hold, and how far they may deviate from the grammar.
///
/// ```
/// use antiphon_sdp::{Limits, Parser};
///
/// let text = "v=0\no=- 1 1 IN IP4 127.0.0.1\nt=0 0\n";
/// assert!(Parser::default().parse(text).is_ok());
/// let error = Parser::strict().parse(text).unwrap_err();
/// assert_eq!(error.to_string(), "line 1, column 4: expected a carriage return and a line feed");
///
/// let small = Parser { limits: Limits { lines: 2, ..Limits::default() }, ..Parser::default() };
/// assert_eq!(small.parse(text).unwrap_err().to_string(), "line 3, column 1: too many or too long: lines");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Parser {
    /// What a description may hold.
    pub limits: Limits,
    /// Deviations that are read.
    pub tolerance: Tolerance,
}

impl Parser {
    /// A parser that tolerates no deviation.
    pub fn strict() -> Self {
        Self { limits: Limits::default(), tolerance: Tolerance::NONE }
    }

    /// Reads a description.
    ///
    /// # Errors
    ///
    /// The place and reason of the first line that can't be read, or that is beyond a limit.
    pub fn parse(&self, text: &str) -> Result<Session, ParseError> {
        if text.len() > self.limits.size {
            return Err(ParseError { line: 1, column: 1, reason: Reason::Limit("bytes") });
        }
        let buffer = Arc::new(text.to_owned());
        let source = Source { buffer: &buffer, tolerance: &self.tolerance };
        let reading =
            Reading { source, limits: &self.limits, lines: 0, line: "", section: Progress::default() };
        reading.read().map_err(|malformed| malformed.locate(&buffer))
    }
}

/// A description that is being read.
struct Reading<'a> {
    source: Source<'a>,
    limits: &'a Limits,
    /// Lines read so far.
    lines: usize,
    /// The last of them without its end.
    line: &'a str,
    section: Progress,
}

/// What of a section has been read.
#[derive(Default)]
struct Progress {
    attributes: usize,
    candidates: usize,
    /// The type of the last line that is of a known one.
    last: Option<char>,
}

impl<'a> Reading<'a> {
    fn read(mut self) -> Result<Session, Malformed> {
        let mut session = Session::default();
        let mut rest = self.without_blank_end();
        self.refuse_controls(rest)?;
        while !rest.is_empty() || self.lines == 0 {
            rest = self.next_line(rest)?;
            match self.line.strip_prefix("m=") {
                Some(value) if self.lines > 1 => session.media.push(self.media(&session, value)?),
                _ => self.line(&mut session)?,
            }
        }
        self.check_presence(&session)?;
        Ok(session)
    }

    /// The text without the empty lines that may follow it.
    fn without_blank_end(&self) -> &'a str {
        let text: &str = self.source.buffer;
        if !self.source.tolerance.blank_lines_at_end {
            return text;
        }
        let trimmed = text.trim_end_matches(['\r', '\n', ' ', '\t']).len();
        // The line that is last keeps its blanks and its end.
        let end =
            text.get(trimmed..).and_then(|end| end.find('\n')).map_or(text.len(), |at| trimmed + at + 1);
        text.get(..end).unwrap_or_default()
    }

    /// NUL anywhere, and carriage returns that end no line.
    fn refuse_controls(&self, text: &str) -> Result<(), Malformed> {
        let bytes = text.as_bytes();
        let pairs = || bytes.iter().zip(bytes.get(1..).unwrap_or_default());
        let is_control = |(byte, next): (&u8, &u8)| (*byte == 0) | (*byte == b'\r') & (*next != b'\n');
        // To ask all without a branch goes many bytes at once; to find the place goes one by one. The last byte has no
        // next one: a carriage return there ends the line.
        let at = match pairs().fold(false, |found, pair| found | is_control(pair)) {
            true => pairs().position(is_control).unwrap_or_default(),
            false if bytes.last() == Some(&0) => bytes.len() - 1,
            false => return Ok(()),
        };
        Err(Malformed { at, reason: Reason::ControlCharacter })
    }

    /// Takes the next line, and gives what follows it.
    fn next_line(&mut self, rest: &'a str) -> Result<&'a str, Malformed> {
        const LINE_END: Reason = Reason::Expected("a carriage return and a line feed");
        self.lines += 1;
        if self.lines > self.limits.lines {
            return Err(self.at(rest, Reason::Limit("lines")));
        }
        let tolerance = self.source.tolerance;
        let end = memchr::memchr(b'\n', rest.as_bytes());
        let (line, following) =
            rest.split_at_checked(end.map_or(rest.len(), |end| end + 1)).unwrap_or((rest, ""));
        let (line, may_be_bare) = match line.strip_suffix('\n') {
            Some(line) => (line, tolerance.bare_line_feeds),
            None => (line, tolerance.missing_last_line_end),
        };
        self.line = line.strip_suffix('\r').unwrap_or(line);
        if self.line.len() > self.limits.line_length {
            return Err(self.at(line, Reason::Limit("bytes of a line")));
        }
        let is_complete = self.line.len() + 2 == rest.len() - following.len();
        if is_complete || may_be_bare { Ok(following) } else { Err(self.behind_line(LINE_END)) }
    }

    fn media(&mut self, session: &Session, value: &'a str) -> Result<Media, Malformed> {
        if session.media.len() >= self.limits.media_sections {
            return Err(self.at(self.line, Reason::Limit("media sections")));
        }
        self.section = Progress::default();
        let mut words = Words::new(self.source, value);
        let line = MediaLine::parse(&mut words)?;
        words.end()?;
        Ok(Media::parsed(self.source.text(self.line), line))
    }

    fn line(&mut self, session: &mut Session) -> Result<(), Malformed> {
        if self.lines == 1 && !self.line.starts_with("v=") {
            return Err(self.at(self.line, Reason::Expected("v=0")));
        }
        let Session { section, media } = session;
        let is_media = !media.is_empty();
        let lines = &mut media.last_mut().map_or(section, |media| &mut media.section).lines;
        lines.push(Line::parse(self.source, self.line)?);
        let Some((line, before)) = lines.split_last() else { return Ok(()) };
        self.check_place(before, line.value(), is_media).map_err(|reason| self.at(self.line, reason))?;
        self.count(line.value()).map_err(|of| self.at(self.line, Reason::Limit(of)))
    }

    /// `before` are the lines before this one in its section.
    fn check_place(&mut self, before: &[Line], value: &Value, is_media: bool) -> Result<(), Reason> {
        match value {
            // They may stand in every section, as often as they like, and are last.
            Value::Attribute(_) => {
                self.section.last = Some('a');
                return Ok(());
            }
            Value::Other { .. } => return Ok(()),
            _ => {}
        }
        let kind = value.kind();
        let last = self.section.last.replace(kind);
        let any_order = self.source.tolerance.any_order;
        if is_media {
            let belongs = if any_order { kind != 'o' && kind != 'v' } else { "icbka".contains(kind) };
            if !belongs {
                return Err(Reason::Expected("a line of a media section"));
            }
        } else if let Some(name) = once(kind, any_order)
            && before.iter().any(|other| other.value().kind() == kind)
        {
            return Err(Reason::Repeated(name));
        }
        let Some(last) = last.filter(|_| !any_order) else { return Ok(()) };
        if rank(kind) < rank(last) {
            return Err(Reason::Expected("lines in the order v o s i u e p c b t r z k m i c b k a"));
        }
        if matches!(kind, 'r' | 'z') && !matches!(last, 't' | 'r') {
            return Err(Reason::Expected("t= before it"));
        }
        if kind == last && matches!(kind, 'i' | 'k') {
            return Err(Reason::Repeated(if kind == 'i' { "i=" } else { "k=" }));
        }
        Ok(())
    }

    fn count(&mut self, value: &Value) -> Result<(), &'static str> {
        let Value::Attribute(attribute) = value else { return Ok(()) };
        self.section.attributes += 1;
        self.section.candidates += usize::from(matches!(attribute, Attribute::Candidate(_)));
        if self.section.attributes > self.limits.attributes {
            return Err("attributes of a section");
        }
        if self.section.candidates > self.limits.candidates {
            return Err("candidates of a section");
        }
        Ok(())
    }

    /// What has to be there.
    fn check_presence(&self, session: &Session) -> Result<(), Malformed> {
        let Tolerance { missing_name, missing_timing, missing_connection, .. } = *self.source.tolerance;
        let has = |kind: char| session.section.values().any(|value| value.kind() == kind);
        let is_connected = || session.media.iter().all(|media| media.section.connection().is_some());
        let missing = if !has('o') {
            "an o= line before this"
        } else if !missing_name && !has('s') {
            "an s= line before this"
        } else if !missing_timing && !has('t') {
            "a t= line before this"
        } else if !missing_connection && !has('c') && !is_connected() {
            "a c= line before this"
        } else {
            return Ok(());
        };
        Err(self.at(self.line, Reason::Expected(missing)))
    }

    /// At the start of `part` of the text.
    fn at(&self, part: &str, reason: Reason) -> Malformed {
        Malformed { at: text::offset(self.source.buffer, part), reason }
    }

    fn behind_line(&self, reason: Reason) -> Malformed {
        Malformed { at: text::offset(self.source.buffer, self.line) + self.line.len(), reason }
    }
}

/// The name of a type of line that a session may have once.
fn once(kind: char, any_order: bool) -> Option<&'static str> {
    match kind {
        'v' => Some("v="),
        'o' => Some("o="),
        _ if any_order => None,
        's' => Some("s="),
        'i' => Some("i="),
        'u' => Some("u="),
        'c' => Some("c="),
        'k' => Some("k="),
        _ => None,
    }
}
