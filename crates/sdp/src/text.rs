//! Text that shares the memory of what it was read from.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::{Deref, Range};
use std::sync::Arc;

/// A piece of text that cannot be changed.
///
/// It behaves as the `str` that it dereferences to. A short piece, up to 14 bytes, is kept in place. A longer one shares one
/// allocation with its clones and with the other long pieces of the same description, and so keeps the whole description in
/// memory; [`detached`](Self::detached) gives one that does not.
#[derive(Clone)]
pub struct Text(Storage);

#[derive(Clone)]
enum Storage {
    /// The first `length` bytes count.
    Short {
        length: u8,
        bytes: [u8; SHORT],
    },
    Part {
        length: u16,
        start: u32,
        buffer: Arc<String>,
    },
    Whole(Arc<String>),
}

/// The most bytes that fit where a pointer and a place would stand.
const SHORT: usize = 14;

impl Text {
    /// The text.
    #[inline]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Storage::Short { .. } => str::from_utf8(self.bytes()).unwrap_or_default(),
            Storage::Part { length, start, buffer } => buffer.get(range(*start, *length)).unwrap_or_default(),
            Storage::Whole(buffer) => buffer,
        }
    }

    /// The same text in an allocation of its own, or in none.
    pub fn detached(&self) -> Self {
        self.as_str().into()
    }

    /// `part`, which has to be a part of this text.
    pub(crate) fn part(&self, part: &str) -> Self {
        match &self.0 {
            Storage::Short { .. } => part.into(),
            Storage::Part { buffer, .. } | Storage::Whole(buffer) => Self::of(buffer, part),
        }
    }

    /// `part`, which has to be a part of `buffer`.
    #[inline]
    pub(crate) fn of(buffer: &Arc<String>, part: &str) -> Self {
        let start = offset(buffer, part);
        if part.len() <= SHORT {
            // A copy of a fixed length, which takes along what follows, is one of registers.
            return match buffer.as_bytes().get(start..).and_then(|bytes| bytes.first_chunk()) {
                Some(bytes) => Self(Storage::Short { length: part.len() as u8, bytes: *bytes }),
                None => part.into(),
            };
        }
        match (u16::try_from(part.len()), u32::try_from(start)) {
            (Ok(length), Ok(start)) => Self(Storage::Part { length, start, buffer: Arc::clone(buffer) }),
            _ => part.into(),
        }
    }

    #[inline]
    fn bytes(&self) -> &[u8] {
        match &self.0 {
            Storage::Short { length, bytes } => bytes.get(..usize::from(*length)).unwrap_or_default(),
            Storage::Part { length, start, buffer } => {
                buffer.as_bytes().get(range(*start, *length)).unwrap_or_default()
            }
            Storage::Whole(buffer) => buffer.as_bytes(),
        }
    }
}

impl Storage {
    #[inline]
    fn short(text: &str) -> Option<Self> {
        let mut bytes = [0; SHORT];
        bytes.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        Some(Self::Short { length: text.len() as u8, bytes })
    }
}

fn range(start: u32, length: u16) -> Range<usize> {
    start as usize..start as usize + usize::from(length)
}

/// Where `part` starts in `buffer`, which it has to be a part of.
pub(crate) fn offset(buffer: &str, part: &str) -> usize {
    (part.as_ptr() as usize).saturating_sub(buffer.as_ptr() as usize)
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(Storage::short(&text).unwrap_or_else(|| Storage::Whole(Arc::new(text))))
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(Storage::short(text).unwrap_or_else(|| Storage::Whole(Arc::new(text.to_owned()))))
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
        self.bytes() == other.bytes()
    }
}

impl Eq for Text {}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.bytes() == other.as_bytes()
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.bytes() == other.as_bytes()
    }
}

impl PartialEq<String> for Text {
    fn eq(&self, other: &String) -> bool {
        self.bytes() == other.as_bytes()
    }
}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.bytes().cmp(other.bytes())
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
    fn a_part_behaves_as_str_and_shares_the_buffer_where_it_is_long() {
        let buffer = Arc::new("a=candidate:0 and 15 characters".to_owned());
        let parts = [&buffer[2..11], &buffer[17..31], &buffer[16..31], &buffer];
        for (part, shares) in parts.into_iter().zip([false, false, true, true]) {
            let text = Text::of(&buffer, part);
            assert_eq!(
                (text.as_str(), text.len(), Arc::strong_count(&buffer)),
                (part, part.len(), 1 + usize::from(shares))
            );
            assert_eq!((text.detached(), Text::from(part.to_owned())), (text.clone(), text.clone()));
            assert_eq!(text.part(&text[1..]), part[1..]);
            assert!(HashSet::from([text]).contains(part));
        }
        assert_eq!(format!("{:>5} {0:?}", Text::from("mid")), "  mid \"mid\"");
    }

    #[test]
    fn a_part_beyond_the_length_that_is_shared_is_copied() {
        let buffer = Arc::new("é".repeat(1 << 16));
        for length in [(1 << 16) - 2, 1 << 16] {
            let text = Text::of(&buffer, &buffer[2..2 + length]);
            assert_eq!(
                (text.as_str(), Arc::strong_count(&buffer)),
                (&buffer[2..2 + length], 1 + usize::from(length < 1 << 16))
            );
            assert_eq!(text.part(&text[..4]), "éé");
        }
    }

    #[test]
    fn it_is_as_small_as_a_str() {
        assert_eq!(size_of::<Option<Text>>(), size_of::<&str>());
    }
}
