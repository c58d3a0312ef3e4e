//! Messages of data channels.

use std::fmt;
use std::ops::Deref;

use antiphon_sctp::PayloadProtocolId;
use bytes::Bytes;

use crate::dcep;

/// A message of a data channel. Cloning it copies no bytes.
#[derive(Clone, PartialEq, Eq)]
pub enum Message {
    /// Text.
    Text(Utf8Bytes),
    /// Binary data.
    Binary(Bytes),
}

impl Message {
    /// A text.
    pub fn text(text: impl Into<Utf8Bytes>) -> Self {
        Self::Text(text.into())
    }

    /// Binary data.
    pub fn binary(bytes: impl Into<Bytes>) -> Self {
        Self::Binary(bytes.into())
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => &text.0,
            Self::Binary(bytes) => bytes,
        }
    }

    /// Its bytes, whatever it is.
    pub fn into_bytes(self) -> Bytes {
        match self {
            Self::Text(text) => text.0,
            Self::Binary(bytes) => bytes,
        }
    }

    /// Its length in bytes.
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.as_bytes().is_empty()
    }

    /// How it travels; an empty one as one byte that means nothing (RFC 8831 §6.6).
    pub(crate) fn into_payload(self) -> (PayloadProtocolId, Bytes) {
        const NOTHING: Bytes = Bytes::from_static(&[0]);
        match self {
            Self::Text(text) if text.0.is_empty() => (dcep::PPID_STRING_EMPTY, NOTHING),
            Self::Text(text) => (dcep::PPID_STRING, text.0),
            Self::Binary(bytes) if bytes.is_empty() => (dcep::PPID_BINARY_EMPTY, NOTHING),
            Self::Binary(bytes) => (dcep::PPID_BINARY, bytes),
        }
    }

    /// The message that travelled so, unless the identifier is not one of data channels.
    ///
    /// What the deprecated identifiers of partial messages mark is handed on as it comes.
    pub(crate) fn from_payload(ppid: PayloadProtocolId, payload: Bytes) -> Option<Self> {
        Some(match ppid {
            dcep::PPID_STRING | dcep::PPID_STRING_PARTIAL => Self::Text(Utf8Bytes::from_lossy(payload)),
            dcep::PPID_BINARY | dcep::PPID_BINARY_PARTIAL => Self::Binary(payload),
            dcep::PPID_STRING_EMPTY => Self::Text(Utf8Bytes::default()),
            dcep::PPID_BINARY_EMPTY => Self::Binary(Bytes::new()),
            _ => return None,
        })
    }
}

/// Prints kind and length, not the content.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => write!(f, "Text({} bytes)", self.len()),
            Self::Binary(_) => write!(f, "Binary({} bytes)", self.len()),
        }
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self::text(text)
    }
}

impl From<Bytes> for Message {
    fn from(bytes: Bytes) -> Self {
        Self::Binary(bytes)
    }
}

impl From<Vec<u8>> for Message {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Binary(bytes.into())
    }
}

impl From<&[u8]> for Message {
    fn from(bytes: &[u8]) -> Self {
        Self::Binary(Bytes::copy_from_slice(bytes))
    }
}

/// Text that shares its bytes with its clones.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Utf8Bytes(Bytes);

impl Utf8Bytes {
    /// The text of `bytes`, with what is not UTF-8 replaced.
    pub fn from_lossy(bytes: Bytes) -> Self {
        match std::str::from_utf8(&bytes) {
            Ok(_) => Self(bytes),
            Err(_) => String::from_utf8_lossy(&bytes).into_owned().into(),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        // The bytes are UTF-8, as every constructor sees to.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// Its bytes.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

impl Deref for Utf8Bytes {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl From<String> for Utf8Bytes {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<&str> for Utf8Bytes {
    fn from(text: &str) -> Self {
        Self(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl PartialEq<str> for Utf8Bytes {
    fn eq(&self, other: &str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl PartialEq<&str> for Utf8Bytes {
    fn eq(&self, other: &&str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl fmt::Display for Utf8Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl fmt::Debug for Utf8Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_is_read_as_it_was_sent() {
        for message in
            [Message::text("ä"), Message::text(""), Message::binary(vec![0]), Message::binary(vec![])]
        {
            let (ppid, payload) = message.clone().into_payload();
            assert!(!payload.is_empty(), "sctp has no empty messages");
            assert_eq!(Message::from_payload(ppid, payload), Some(message));
        }
    }

    #[test]
    fn other_identifiers_are_not_messages() {
        for ppid in [0, 49, 50, 55, 58] {
            assert_eq!(Message::from_payload(PayloadProtocolId(ppid), Bytes::from_static(b"x")), None);
        }
        let partial = Message::from_payload(dcep::PPID_STRING_PARTIAL, Bytes::from_static(b"x"));
        assert_eq!(partial, Some(Message::text("x")));
    }

    #[test]
    fn text_that_is_not_utf_8_is_mended() {
        let text = Message::from_payload(dcep::PPID_STRING, Bytes::from_static(b"a\xff"));
        assert_eq!(text, Some(Message::text("a\u{fffd}")));
    }
}
