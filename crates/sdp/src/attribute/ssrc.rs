//! `ssrc` and `ssrc-group`.

use std::fmt;

use crate::Text;
use crate::error::Malformed;
use crate::keyword::keywords;
use crate::words::{BLANKS, Words, number, split_once};

/// An attribute of one source of the section (RFC 5576 §4.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ssrc {
    /// The source.
    pub ssrc: u32,
    /// The name of its attribute: `cname` (RFC 5576 §6.1), `msid` …
    pub attribute: Text,
    /// The value of its attribute, if it has one.
    pub value: Option<Text>,
}

impl Ssrc {
    /// An attribute of the source `ssrc`.
    pub fn new(ssrc: u32, attribute: &str, value: &str) -> Self {
        Self { ssrc, attribute: attribute.into(), value: Some(value.into()) }
    }

    pub(crate) fn parse(words: &mut Words<'_>) -> Result<Self, Malformed> {
        let ssrc = words.number("a synchronization source of 32 bits")?;
        let attribute = words.rest().ok_or_else(|| words.expected_here("an attribute of the source"))?;
        let source = words.source();
        let (name, value) = split_once(attribute, b':');
        if name.is_empty() || name.contains(BLANKS) {
            return Err(words.expected(attribute, "the name of an attribute"));
        }
        Ok(Self { ssrc, attribute: source.text(name), value: value.map(|value| source.text(value)) })
    }
}

impl fmt::Display for Ssrc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.ssrc, self.attribute)?;
        self.value.as_ref().map_or(Ok(()), |value| write!(f, ":{value}"))
    }
}

/// Sources that belong together (RFC 5576 §4.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SsrcGroup {
    /// What binds them.
    pub semantics: SsrcGroupSemantics,
    /// The sources, whose order has a meaning for some semantics.
    pub ssrcs: Vec<u32>,
}

impl SsrcGroup {
    pub(crate) fn parse(words: &mut Words<'_>) -> Result<Self, Malformed> {
        let semantics = SsrcGroupSemantics::parse(words)?;
        let mut ssrcs = Vec::new();
        while let Some(word) = words.next() {
            let ssrc = number(word);
            ssrcs.push(ssrc.ok_or_else(|| words.expected(word, "a synchronization source of 32 bits"))?);
        }
        Ok(Self { semantics, ssrcs })
    }
}

impl fmt::Display for SsrcGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.semantics.as_str())?;
        self.ssrcs.iter().try_for_each(|ssrc| write!(f, " {ssrc}"))
    }
}

keywords! {
    /// What binds sources together.
    SsrcGroupSemantics, "the semantics of a group" {
        /// The second one sends again what was lost of the first (RFC 4588 §8).
        FlowIdentification = "FID",
        /// The last one repairs the others.
        ForwardErrorCorrection = "FEC",
        /// Some repair others (RFC 5956 §4.3).
        ForwardErrorCorrectionFr = "FEC-FR",
        /// They are one picture in several sizes, as Chromium has it.
        Simulcast = "SIM",
        /// They are the same (RFC 7104 §4.1).
        Duplication = "DUP",
    }
}
