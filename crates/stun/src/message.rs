//! A received message, borrowed from its datagram.

use antiphon_crypto::HmacKey;
use antiphon_util::{ParseError, Reader};

use crate::{
    Attribute, AttributeType, HEADER_LEN, MAGIC_COOKIE, MessageType, RawAttribute, TransactionId, crc32,
};

/// Whether `datagram` is meant as STUN where it shares a port with other protocols: its first byte says so (RFC 7983 §7)
/// and the magic cookie stands in its place. Messages of RFC 3489, which has no cookie, are not recognized.
pub fn is_message(datagram: &[u8]) -> bool {
    matches!(datagram.first(), Some(0..=3))
        && datagram.get(4..8).is_some_and(|cookie| cookie == MAGIC_COOKIE.to_be_bytes())
}

/// A message whose header and attribute lengths have been checked (RFC 8489 §5).
///
/// ```text
/// |0 0|   message type (14)       |         message length        |
/// |                         magic cookie                          |
/// |                  transaction id (96 bits)                     |
/// |  attribute type               |  length                       |
/// |  value, padded to a multiple of four bytes                    |
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    bytes: &'a [u8],
    kind: MessageType,
    id: TransactionId,
    /// Bytes of the message in front of MESSAGE-INTEGRITY.
    integrity: Option<u32>,
    /// Bytes of the message in front of FINGERPRINT.
    fingerprint: Option<u32>,
}

impl<'a> Message<'a> {
    /// Reads one message; what follows it stays in the reader.
    ///
    /// # Errors
    /// Where it is no STUN message of RFC 5389 or later, a length contradicts another, or something stands behind FINGERPRINT.
    pub fn parse(reader: &mut Reader<'a>) -> Result<Self, ParseError> {
        let mut header = *reader;
        let kind = MessageType::from_bits(header.u16()?)?;
        let len = usize::from(header.u16()?);
        if header.u32()? != MAGIC_COOKIE {
            return Err(ParseError::Value);
        }
        if !len.is_multiple_of(4) {
            return Err(ParseError::Length);
        }
        let id = TransactionId(header.array()?);
        let bytes = reader.bytes(HEADER_LEN + len)?;
        let mut message = Self { bytes, kind, id, integrity: None, fingerprint: None };
        message.check_attributes()?;
        Ok(message)
    }

    /// Method and class.
    pub fn kind(&self) -> MessageType {
        self.kind
    }

    /// The id that a response repeats.
    pub fn id(&self) -> TransactionId {
        self.id
    }

    /// The whole message.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The attributes in order. After MESSAGE-INTEGRITY only a longer integrity and FINGERPRINT are given, since nothing
    /// else there is protected (RFC 8489 §14.5).
    pub fn attributes(&self) -> Attributes<'a> {
        let mut reader = Reader::new(self.bytes);
        let skipped = reader.bytes(HEADER_LEN).is_ok();
        debug_assert!(skipped, "a message has a header");
        Attributes { reader, past_integrity: false }
    }

    /// The value of the first attribute of `kind`, undecoded.
    pub fn find(&self, kind: AttributeType) -> Option<RawAttribute<'a>> {
        self.attributes().find(|attribute| attribute.kind == kind)
    }

    /// The first attribute of `kind` with its value; `None` where it is absent or malformed.
    pub fn attribute(&self, kind: AttributeType) -> Option<Attribute<'a>> {
        self.find(kind)?.decode(self.id).ok()
    }

    /// Attributes that have to be understood and that `understood` does not name (RFC 8489 §6.3): what a 420 lists. A
    /// server of one use of STUN understands its attributes and no others, for example those of
    /// [`AttributeType::is_of_binding`].
    pub fn unknown_required(
        &self,
        understood: impl Fn(AttributeType) -> bool,
    ) -> impl Iterator<Item = AttributeType> {
        self.attributes()
            .map(|attribute| attribute.kind)
            .filter(move |kind| kind.is_comprehension_required() && !understood(*kind))
    }

    /// Whether MESSAGE-INTEGRITY is there.
    pub fn has_integrity(&self) -> bool {
        self.integrity.is_some()
    }

    /// Whether MESSAGE-INTEGRITY is there and made with `key` (RFC 8489 §14.5); compared in constant time.
    pub fn verify_integrity(&self, key: &HmacKey) -> bool {
        let Some((before, tag)) = self.split_at::<20>(self.integrity) else { return false };
        let Some((mut header, attributes)) = before.split_first_chunk::<HEADER_LEN>().map(|(h, a)| (*h, a))
        else {
            return false;
        };
        // The length in the header counts up to and including the attribute: its 4 bytes of header and 20 of value.
        let Ok(len) = u16::try_from(attributes.len() + 24) else { return false };
        let [_, _, high, low, ..] = &mut header;
        [*high, *low] = len.to_be_bytes();
        key.verify(&[&header, attributes], tag)
    }

    /// Whether FINGERPRINT is there.
    pub fn has_fingerprint(&self) -> bool {
        self.fingerprint.is_some()
    }

    /// Whether FINGERPRINT is there and right (RFC 8489 §14.7).
    pub fn verify_fingerprint(&self) -> bool {
        let Some((before, value)) = self.split_at::<4>(self.fingerprint) else { return false };
        (crc32(before) ^ FINGERPRINT_XOR).to_be_bytes() == *value
    }

    /// What stands in front of the attribute at `offset`, and its value of `N` bytes.
    fn split_at<const N: usize>(&self, offset: Option<u32>) -> Option<(&'a [u8], &'a [u8; N])> {
        let (before, attribute) = self.bytes.split_at_checked(usize::try_from(offset?).ok()?)?;
        Some((before, attribute.get(4..)?.first_chunk()?))
    }

    fn check_attributes(&mut self) -> Result<(), ParseError> {
        let mut reader = self.attributes().reader;
        while !reader.is_empty() {
            if self.fingerprint.is_some() {
                return Err(ParseError::Trailing);
            }
            // A message is at most 65,555 bytes long.
            let before = (self.bytes.len() - reader.remaining()) as u32;
            let attribute = next(&mut reader)?;
            match attribute.kind {
                AttributeType::MESSAGE_INTEGRITY if self.integrity.is_none() => {
                    if attribute.value.len() != 20 {
                        return Err(ParseError::Length);
                    }
                    self.integrity = Some(before);
                }
                AttributeType::FINGERPRINT => {
                    if attribute.value.len() != 4 {
                        return Err(ParseError::Length);
                    }
                    self.fingerprint = Some(before);
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Reads a datagram that holds one message and nothing else.
impl<'a> TryFrom<&'a [u8]> for Message<'a> {
    type Error = ParseError;

    fn try_from(datagram: &'a [u8]) -> Result<Self, ParseError> {
        let mut reader = Reader::new(datagram);
        let message = Self::parse(&mut reader)?;
        reader.finish()?;
        Ok(message)
    }
}

/// Iterates over the attributes of a message.
#[derive(Debug, Clone)]
pub struct Attributes<'a> {
    reader: Reader<'a>,
    past_integrity: bool,
}

impl<'a> Iterator for Attributes<'a> {
    type Item = RawAttribute<'a>;

    fn next(&mut self) -> Option<RawAttribute<'a>> {
        loop {
            let attribute = next(&mut self.reader).ok()?;
            let protected = !self.past_integrity;
            self.past_integrity |= attribute.kind == AttributeType::MESSAGE_INTEGRITY;
            if protected || stands_behind_integrity(attribute.kind) {
                return Some(attribute);
            }
        }
    }
}

fn stands_behind_integrity(kind: AttributeType) -> bool {
    kind == AttributeType::FINGERPRINT || kind == AttributeType::MESSAGE_INTEGRITY_SHA256
}

/// Reads one attribute with its padding.
fn next<'a>(reader: &mut Reader<'a>) -> Result<RawAttribute<'a>, ParseError> {
    let kind = AttributeType(reader.u16()?);
    let len = usize::from(reader.u16()?);
    let value = reader.bytes(len)?;
    reader.bytes(len.wrapping_neg() & 3)?;
    Ok(RawAttribute { kind, value })
}

/// Keeps the CRC from being taken for that of an enclosing protocol (RFC 8489 §14.7).
pub(crate) const FINGERPRINT_XOR: u32 = 0x5354_554e;
