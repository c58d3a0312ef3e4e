//! `rid`.

use std::fmt;

use super::ice::write_list;
use crate::error::Malformed;
use crate::words::{BLANKS, Words, number};
use crate::{Decimal, Text};

/// One of the streams of a section, by a name that RTP packets carry (RFC 8851 §10).
///
/// ```text
/// rid:<id> send|recv [pt=<format>,<format>…;<restriction>;…]
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rid {
    /// Its name: letters, digits, `-` and `_`.
    pub id: Text,
    /// Which way it flows, as the describing end sees it.
    pub direction: RidDirection,
    /// The formats that it may have; any of the section where there are none.
    pub formats: Vec<Text>,
    /// What holds it down.
    pub restrictions: Vec<Restriction>,
}

impl Rid {
    /// A stream without restrictions.
    pub fn new(id: &str, direction: RidDirection) -> Self {
        Self { id: id.into(), direction, formats: Vec::new(), restrictions: Vec::new() }
    }

    pub(crate) fn parse_boxed(words: &mut Words<'_>) -> Result<Box<Self>, Malformed> {
        let source = words.source();
        let id = words.convert("letters, digits, - and _", |word| is_rid(word).then(|| source.text(word)))?;
        let direction = words.convert("send or recv", |word| match word {
            "send" => Some(RidDirection::Send),
            "recv" => Some(RidDirection::Recv),
            _ => None,
        })?;
        let mut rid = Self { id, direction, formats: Vec::new(), restrictions: Vec::new() };
        let blanks: &[char] = if source.tolerance.blanks { &BLANKS } else { &[] };
        let parts = words.rest().into_iter().flat_map(|rest| rest.split(';'));
        let mut parts = parts.map(|part| part.trim_matches(blanks)).peekable();
        if let Some(formats) = parts.peek().and_then(|part| part.strip_prefix("pt=")) {
            if formats.split(',').any(|format| format.is_empty() || format.contains(' ')) {
                return Err(words.expected(formats, "formats with commas between"));
            }
            rid.formats = formats.split(',').map(|format| source.text(format)).collect();
            parts.next();
        }
        for part in parts {
            let restriction = Restriction::read(words, part);
            rid.restrictions.push(restriction.ok_or_else(|| words.expected(part, "a restriction"))?);
        }
        Ok(Box::new(rid))
    }
}

/// Whether `word` names a stream.
pub(crate) fn is_rid(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

impl fmt::Display for Rid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.id, self.direction)?;
        let mut separator = " ";
        if !self.formats.is_empty() {
            f.write_str(" pt=")?;
            write_list(f, &self.formats, ",")?;
            separator = ";";
        }
        f.write_str(if self.restrictions.is_empty() { "" } else { separator })?;
        write_list(f, &self.restrictions, ";")
    }
}

/// Which way a stream flows, as the describing end sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RidDirection {
    /// From the describing end.
    Send,
    /// To the describing end.
    Recv,
}

impl fmt::Display for RidDirection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Send => "send",
            Self::Recv => "recv",
        })
    }
}

/// What holds a stream down (RFC 8851 §5). A value may be absent: then only the codec does.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Restriction {
    /// `max-width`, in pixels.
    MaxWidth(Option<u32>),
    /// `max-height`, in pixels.
    MaxHeight(Option<u32>),
    /// `max-fps`: frames a second.
    MaxFps(Option<u32>),
    /// `max-fs`: pixels of a frame.
    MaxFs(Option<u32>),
    /// `max-br`: bits a second.
    MaxBr(Option<u32>),
    /// `max-pps`: pixels a second.
    MaxPps(Option<u32>),
    /// `max-bpp`: bits a pixel.
    MaxBpp(Option<Decimal>),
    /// `depend`: the streams that this one can't be decoded without.
    Depend(Vec<Text>),
    /// Another.
    Other {
        /// Its name.
        name: Text,
        /// Its value, where it has one.
        value: Option<Text>,
    },
}

impl Restriction {
    fn read(words: &Words<'_>, part: &str) -> Option<Self> {
        let (name, value) = match part.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (part, None),
        };
        let source = words.source();
        Some(match name {
            "max-width" => Self::MaxWidth(optional(value, number)?),
            "max-height" => Self::MaxHeight(optional(value, number)?),
            "max-fps" => Self::MaxFps(optional(value, number)?),
            "max-fs" => Self::MaxFs(optional(value, number)?),
            "max-br" => Self::MaxBr(optional(value, number)?),
            "max-pps" => Self::MaxPps(optional(value, number)?),
            "max-bpp" => Self::MaxBpp(optional(value, Decimal::read)?),
            "depend" => {
                let rid = |rid| is_rid(rid).then(|| source.text(rid));
                Self::Depend(value?.split(',').map(rid).collect::<Option<_>>()?)
            }
            _ if is_name(name) => {
                Self::Other { name: source.text(name), value: value.map(|value| source.text(value)) }
            }
            _ => return None,
        })
    }

    /// The name.
    pub fn name(&self) -> &str {
        match self {
            Self::MaxWidth(_) => "max-width",
            Self::MaxHeight(_) => "max-height",
            Self::MaxFps(_) => "max-fps",
            Self::MaxFs(_) => "max-fs",
            Self::MaxBr(_) => "max-br",
            Self::MaxPps(_) => "max-pps",
            Self::MaxBpp(_) => "max-bpp",
            Self::Depend(_) => "depend",
            Self::Other { name, .. } => name,
        }
    }
}

/// No value is one, a value that can't be read is none.
fn optional<T>(value: Option<&str>, read: impl FnOnce(&str) -> Option<T>) -> Option<Option<T>> {
    match value {
        Some(value) => read(value).map(Some),
        None => Some(None),
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

impl fmt::Display for Restriction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            Self::MaxWidth(Some(value))
            | Self::MaxHeight(Some(value))
            | Self::MaxFps(Some(value))
            | Self::MaxFs(Some(value))
            | Self::MaxBr(Some(value))
            | Self::MaxPps(Some(value)) => write!(f, "={value}"),
            Self::MaxBpp(Some(value)) => write!(f, "={value}"),
            Self::Other { value: Some(value), .. } => write!(f, "={value}"),
            Self::Depend(rids) => {
                f.write_str("=")?;
                write_list(f, rids, ",")
            }
            _ => Ok(()),
        }
    }
}
