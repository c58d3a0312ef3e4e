//! Writing a message.

use antiphon_crypto::HmacKey;
use antiphon_util::Writer;

use crate::message::FINGERPRINT_XOR;
use crate::{Attribute, AttributeType, HEADER_LEN, MAGIC_COOKIE, MessageType, TransactionId, crc32};

/// The attributes do not fit the 16 bits of a length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("message too long")]
pub struct TooLong;

/// Appends one message to a writer. Attributes come in the order of the calls; integrity and fingerprint last.
#[derive(Debug)]
pub struct MessageBuilder<'w> {
    writer: Writer<'w>,
    id: TransactionId,
    fits: bool,
}

impl<'w> MessageBuilder<'w> {
    /// Writes the header.
    pub fn new(writer: &'w mut Writer<'_>, kind: MessageType, id: TransactionId) -> Self {
        let mut writer = writer.nested();
        writer.u16(kind.bits());
        writer.u16(0);
        writer.u32(MAGIC_COOKIE);
        writer.bytes(&id.0);
        Self { writer, id, fits: true }
    }

    /// Appends an attribute.
    pub fn attribute(&mut self, attribute: &Attribute<'_>) {
        let id = self.id;
        self.append(attribute.kind(), |writer| attribute.write_value(writer, id));
    }

    /// Appends UNKNOWN-ATTRIBUTES (RFC 8489 §14.13).
    pub fn unknown_attributes(&mut self, kinds: impl IntoIterator<Item = AttributeType>) {
        self.append(AttributeType::UNKNOWN_ATTRIBUTES, |writer| {
            kinds.into_iter().for_each(|kind| writer.u16(kind.0));
        });
    }

    /// Appends MESSAGE-INTEGRITY over all that stands before it (RFC 8489 §14.5); `key` is one for HMAC-SHA1.
    pub fn message_integrity(&mut self, key: &HmacKey) {
        self.set_length(24);
        let tag = key.sign(&[self.writer.written()]);
        self.append(AttributeType::MESSAGE_INTEGRITY, |writer| writer.bytes(&tag));
    }

    /// Appends MESSAGE-INTEGRITY-SHA256 over all that stands before it (RFC 8489 §14.6); `key` is one for HMAC-SHA256.
    pub fn message_integrity_sha256(&mut self, key: &HmacKey) {
        self.message_integrity_sha256_truncated(key, 32);
    }

    /// Appends the first `len` bytes of MESSAGE-INTEGRITY-SHA256: 16 to 32, a multiple of four, rounded to the next such
    /// length. Only for uses of STUN that permit it.
    pub fn message_integrity_sha256_truncated(&mut self, key: &HmacKey, len: usize) {
        let len = len.clamp(16, 32).next_multiple_of(4);
        self.set_length(4 + len);
        let tag = key.sign(&[self.writer.written()]);
        let tag = tag.get(..len).unwrap_or_default();
        self.append(AttributeType::MESSAGE_INTEGRITY_SHA256, |writer| writer.bytes(tag));
    }

    /// Appends FINGERPRINT over all that stands before it (RFC 8489 §14.7); nothing may follow.
    pub fn fingerprint(&mut self) {
        self.set_length(8);
        let crc = crc32(self.writer.written()) ^ FINGERPRINT_XOR;
        self.append(AttributeType::FINGERPRINT, |writer| writer.u32(crc));
    }

    /// Completes the message and gives its length in bytes.
    ///
    /// # Errors
    /// [`TooLong`] where an attribute or the message does not fit its length field; what was written is no message then.
    pub fn finish(mut self) -> Result<usize, TooLong> {
        self.set_length(0);
        if self.fits { Ok(self.writer.len()) } else { Err(TooLong) }
    }

    fn append(&mut self, kind: AttributeType, value: impl FnOnce(&mut Writer<'_>)) {
        self.writer.u16(kind.0);
        let mut attribute = self.writer.nested();
        attribute.u16(0);
        value(&mut attribute);
        match u16::try_from(attribute.len() - 2) {
            Ok(len) => patch(attribute.written(), len),
            Err(_) => self.fits = false,
        }
        self.writer.pad(4);
    }

    /// Writes the length of what is there and of `more` bytes to come.
    fn set_length(&mut self, more: usize) {
        match u16::try_from(self.writer.len() - HEADER_LEN + more) {
            Ok(len) => patch(self.writer.written().get_mut(2..).unwrap_or_default(), len),
            Err(_) => self.fits = false,
        }
    }
}

fn patch(at: &mut [u8], len: u16) {
    if let Some(field) = at.first_chunk_mut() {
        *field = len.to_be_bytes();
    }
}
