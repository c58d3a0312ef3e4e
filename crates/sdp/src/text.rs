//! Text that shares the memory of what it was read from.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

/// A piece of text that cannot be changed; a clone of it and the other pieces of one description share one allocation.
///
/// It behaves as the `str` that it dereferences to. A piece keeps the whole description in memory that it was read from;
/// [`detached`](Self::detached) gives one that does not.
#[derive(Clone)]
pub struct Text {
    buffer: Arc<String>,
    start: u32,
    end: u32,
}

impl Text {
    /// The text.
    #[inline]
    pub fn as_str(&self) -> &str {
        self.buffer.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    /// The same text in an allocation of its own.
    pub fn detached(&self) -> Self {
        self.as_str().into()
    }

    /// `part`, which has to be a part of this text.
    pub(crate) fn part(&self, part: &str) -> Self {
        Self::of(&self.buffer, part)
    }

    /// `part`, which has to be a part of `buffer`, of which at most [`MAX_SIZE`] bytes count.
    #[inline]
    pub(crate) fn of(buffer: &Arc<String>, part: &str) -> Self {
        let start = offset(buffer, part);
        Self { buffer: Arc::clone(buffer), start: start as u32, end: (start + part.len()) as u32 }
    }
}

/// The most bytes of a text.
pub(crate) const MAX_SIZE: usize = u32::MAX as usize;

/// Where `part` starts in `buffer`, which it has to be a part of.
pub(crate) fn offset(buffer: &str, part: &str) -> usize {
    (part.as_ptr() as usize).saturating_sub(buffer.as_ptr() as usize)
}

/// What is beyond 4 GiB is cut off.
impl From<String> for Text {
    fn from(mut text: String) -> Self {
        text.truncate(text.floor_char_boundary(MAX_SIZE));
        Self { start: 0, end: text.len() as u32, buffer: Arc::new(text) }
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<&String> for Text {
    fn from(text: &String) -> Self {
        text.as_str().into()
    }
}

impl From<Text> for String {
    fn from(text: Text) -> Self {
        text.as_str().to_owned()
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        self
    }
}

impl Borrow<str> for Text {
    fn borrow(&self) -> &str {
        self
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Text {}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl PartialEq<String> for Text {
    fn eq(&self, other: &String) -> bool {
        self.as_str() == other
    }
}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_str().cmp(other)
    }
}

/// As that of `str`, so that a map is asked with a `&str`.
impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_part_shares_the_buffer_and_behaves_as_str() {
        let buffer = Arc::new("a=mid:0".to_owned());
        let part = Text::of(&buffer, &buffer[2..5]);
        assert_eq!((part.as_str(), part.len(), Arc::strong_count(&buffer)), ("mid", 3, 2));
        assert_eq!(part.detached(), part);
        assert_eq!(format!("{part:>5} {part:?}"), "  mid \"mid\"");
        assert!(HashSet::from([part]).contains("mid"));
    }
}
