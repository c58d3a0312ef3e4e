//! The words of a value, with their places.

use std::sync::Arc;

use crate::error::Malformed;
use crate::{ParseError, Reason, Text, Tolerance};

/// What values are read from: the text of a whole description and how strictly to read it.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) buffer: &'a Arc<String>,
    pub(crate) tolerance: &'a Tolerance,
}

impl Source<'_> {
    /// `part` of the buffer as text that lives on.
    #[inline]
    pub(crate) fn text(&self, part: &str) -> Text {
        Text::of(self.buffer, part)
    }

    /// Whether `text` is empty, or blanks that are tolerated.
    pub(crate) fn is_nothing(&self, text: &str) -> bool {
        text.is_empty() || self.tolerance.blanks && text.trim_start_matches(BLANKS).is_empty()
    }

    /// Reads a value that stands alone; all of `text` after one of `prefixes`, where it has one.
    pub(crate) fn read_alone<T>(
        text: &str,
        prefixes: &[&str],
        parse: impl FnOnce(&mut Words<'_>) -> Result<T, Malformed>,
    ) -> Result<T, ParseError> {
        if let Some(at) = text.find(['\r', '\n', '\0']) {
            return Err(ParseError { line: 1, column: at + 1, reason: Reason::ControlCharacter });
        }
        let buffer = Arc::new(text.to_owned());
        let value =
            prefixes.iter().fold(buffer.as_str(), |rest, prefix| rest.strip_prefix(prefix).unwrap_or(rest));
        let source = Source { buffer: &buffer, tolerance: &Tolerance::ALL };
        let mut words = Words::new(source, value);
        let read = parse(&mut words).and_then(|read| words.end().map(|()| read));
        read.map_err(|malformed| malformed.locate(&buffer))
    }
}

pub(crate) const BLANKS: [char; 2] = [' ', '\t'];

/// Reads words that are separated by blanks.
pub(crate) struct Words<'a> {
    source: Source<'a>,
    text: &'a str,
    /// How much of the text has been read.
    at: usize,
}

impl<'a> Words<'a> {
    /// `text` has to be a part of the buffer of `source`.
    pub(crate) fn new(source: Source<'a>, text: &'a str) -> Self {
        Self { source, text, at: 0 }
    }

    /// What the words are read from.
    pub(crate) fn source(&self) -> Source<'a> {
        self.source
    }

    /// The next word.
    #[inline]
    pub(crate) fn word(&mut self, expected: &'static str) -> Result<&'a str, Malformed> {
        self.next().ok_or_else(|| self.expected_here(expected))
    }

    /// The next word as text that lives on.
    #[inline]
    pub(crate) fn text(&mut self, expected: &'static str) -> Result<Text, Malformed> {
        self.word(expected).map(|word| self.source.text(word))
    }

    /// The next word as a number without sign.
    pub(crate) fn number<T: TryFrom<u64>>(&mut self, expected: &'static str) -> Result<T, Malformed> {
        self.convert(expected, number)
    }

    /// The next word through `convert`.
    pub(crate) fn convert<T>(
        &mut self,
        expected: &'static str,
        convert: impl FnOnce(&'a str) -> Option<T>,
    ) -> Result<T, Malformed> {
        let word = self.word(expected)?;
        convert(word).ok_or_else(|| self.expected(word, expected))
    }

    /// All further words as texts, of which there has to be one.
    pub(crate) fn texts(&mut self, expected: &'static str) -> Result<Vec<Text>, Malformed> {
        let first = self.text(expected)?;
        let source = self.source;
        Ok(std::iter::once(first).chain(self.map(|word| source.text(word))).collect())
    }

    /// What follows up to the end of the line, blanks between included; those behind too, where they are tolerated.
    #[inline]
    pub(crate) fn rest(&mut self) -> Option<&'a str> {
        let rest = self.text.get(self.start()..).filter(|rest| !rest.is_empty())?;
        let is_framed = rest.starts_with(BLANKS) || rest.ends_with(BLANKS);
        if is_framed && !self.source.tolerance.blanks {
            return None;
        }
        self.at = self.text.len();
        Some(rest)
    }

    /// What follows up to the end of the line, with all blanks.
    pub(crate) fn all(&mut self) -> &'a str {
        let all = self.text.get(self.at..).unwrap_or_default();
        self.at = self.text.len();
        all
    }

    /// Fails unless all has been read.
    #[inline]
    pub(crate) fn end(&self) -> Result<(), Malformed> {
        let end = if self.source.tolerance.blanks { self.start() } else { self.at };
        if end == self.text.len() { Ok(()) } else { Err(self.expected_here("the end of the line")) }
    }

    /// An error at `part` of the text.
    pub(crate) fn expected(&self, part: &str, expected: &'static str) -> Malformed {
        Malformed::expected(self.source.buffer, part, expected)
    }

    /// An error at the end of what has been read.
    pub(crate) fn expected_here(&self, expected: &'static str) -> Malformed {
        self.expected(self.text.get(self.at..).unwrap_or_default(), expected)
    }

    /// Where the next word starts: one blank further, where several count as one behind all of them.
    #[inline]
    fn start(&self) -> usize {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let blanks = match self.source.tolerance.blanks {
            true => rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count(),
            false => usize::from(self.at > 0 && rest.first() == Some(&b' ')),
        };
        self.at + blanks
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a str;

    #[inline]
    fn next(&mut self) -> Option<&'a str> {
        let rest = self.text.get(self.start()..)?;
        let length = rest.bytes().take_while(|byte| !matches!(byte, b' ' | b'\t')).count();
        let word = rest.get(..length).filter(|word| !word.is_empty())?;
        self.at = self.text.len() - rest.len() + length;
        Some(word)
    }
}

/// What stands before the first `separator`, which is ASCII, and what stands behind it. Words are short, and quicker searched
/// byte by byte than with the search of `str`.
#[inline]
pub(crate) fn split_once(text: &str, separator: u8) -> (&str, Option<&str>) {
    let at = text.bytes().position(|byte| byte == separator).unwrap_or(text.len());
    (text.get(..at).unwrap_or_default(), text.get(at + 1..))
}

/// Digits as a number: the grammar of RFC 8866 §9 knows no sign.
pub(crate) fn number<T: TryFrom<u64>>(digits: &str) -> Option<T> {
    if digits.is_empty() {
        return None;
    }
    let add = |sum: u64, digit: u8| match digit {
        b'0'..=b'9' => sum.checked_mul(10)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    };
    T::try_from(digits.bytes().try_fold(0, add)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str, tolerance: &Tolerance) -> (Vec<String>, bool) {
        let buffer = Arc::new(text.to_owned());
        let mut words = Words::new(Source { buffer: &buffer, tolerance }, &buffer);
        (words.by_ref().map(Into::into).collect(), words.end().is_ok())
    }

    #[test]
    fn blanks_count_as_one_or_as_each() {
        let expected: Vec<String> = ["a", "b", "c"].map(Into::into).into();
        assert_eq!(words(" a  b\tc ", &Tolerance::ALL), (expected.clone(), true));
        assert_eq!(words("a b c", &Tolerance::NONE), (expected.clone(), true));
        assert_eq!(words("a b c ", &Tolerance::NONE), (expected.clone(), false));
        assert_eq!(words("a  b c", &Tolerance::NONE), (expected[..1].to_vec(), false));
        assert_eq!(words(" a", &Tolerance::NONE), (Vec::new(), false));
        assert_eq!(words("a\tb", &Tolerance::NONE).0, ["a"]);
    }

    #[test]
    fn numbers_have_digits_only_and_fit() {
        assert_eq!(number::<u16>("0065535"), Some(65_535));
        assert_eq!(number::<u64>("18446744073709551615"), Some(u64::MAX));
        for text in ["", "+1", "-1", "65536", "1 ", "18446744073709551616"] {
            assert_eq!(number::<u16>(text), None, "{text}");
        }
    }
}
