//! `content`, `ptime`, `maxptime` and `framerate`.

use std::fmt;

use super::ice::write_list;
use crate::Decimal;
use crate::error::Malformed;
use crate::keyword::keywords;
use crate::words::Words;

/// What the media shows (RFC 4796 §5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content(pub Vec<ContentKind>);

impl Content {
    pub(crate) fn parse(words: &mut Words<'_>) -> Result<Self, Malformed> {
        let word = words.word("a kind of content")?;
        if word.split(',').any(str::is_empty) {
            return Err(words.expected(word, "kinds of content with commas between"));
        }
        let source = words.source();
        Ok(Self(word.split(',').map(|kind| ContentKind::read(source, kind)).collect()))
    }
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_list(f, &self.0, ",")
    }
}

keywords! {
    /// One thing that media may show.
    ContentKind, "a kind of content" {
        /// A presentation.
        Slides = "slides",
        /// Who speaks.
        Speaker = "speaker",
        /// Sign language.
        SignLanguage = "sl",
        /// The main source.
        Main = "main",
        /// An alternative to it.
        Alternative = "alt",
    }
}

pub(crate) fn parse_time(words: &mut Words<'_>) -> Result<Decimal, Malformed> {
    words.convert("milliseconds", positive)
}

pub(crate) fn parse_frame_rate(words: &mut Words<'_>) -> Result<Decimal, Malformed> {
    words.convert("frames a second", positive)
}

fn positive(word: &str) -> Option<Decimal> {
    Decimal::read(word).filter(|decimal| decimal.value() > 0.0)
}
