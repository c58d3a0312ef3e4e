//! The words of a line, with their places.

use std::str::FromStr;

use crate::error::Malformed;

/// Reads words that are separated by blanks.
pub(crate) struct Words<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Words<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The next word; runs of blanks count as one.
    pub(crate) fn word(&mut self, expected: &'static str) -> Result<&'a str, Malformed> {
        self.next().ok_or(Malformed { at: self.at, expected })
    }

    /// The next word as a number or the like.
    pub(crate) fn parsed<T: FromStr>(&mut self, expected: &'static str) -> Result<T, Malformed> {
        let word = self.word(expected)?;
        let at = self.at - word.len();
        // `FromStr` of the integers takes a plus sign, the grammar of RFC 8866 §9 does not.
        let signed = word.starts_with('+');
        word.parse().ok().filter(|_| !signed).ok_or(Malformed { at, expected })
    }

    /// Fails unless all words have been read.
    pub(crate) fn end(&mut self) -> Result<(), Malformed> {
        let at = self.at;
        self.next().map_or(Ok(()), |_| Err(Malformed { at, expected: "the end of the line" }))
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let rest = self.text.get(self.at..)?;
        let trimmed = rest.trim_start_matches([' ', '\t']);
        let start = self.at + (rest.len() - trimmed.len());
        let length = trimmed.find([' ', '\t']).unwrap_or(trimmed.len());
        let word = trimmed.get(..length).filter(|word| !word.is_empty())?;
        self.at = start + length;
        Some(word)
    }
}
