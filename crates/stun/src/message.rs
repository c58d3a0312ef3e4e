//! A received message, borrowed from its datagram.

use antiphon_crypto::HmacKey;
use antiphon_util::{ParseError, Reader};

use crate::attribute::is_sha256_tag;
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
    /// Bytes of the message in front of MESSAGE-INTEGRITY-SHA256.
    integrity_sha256: Option<u32>,
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
        let mut message =
            Self { bytes, kind, id, integrity: None, integrity_sha256: None, fingerprint: None };
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

    /// The attributes in order. After an integrity only a longer integrity and FINGERPRINT are given, since nothing else
    /// there is protected (RFC 8489 §14.5).
    pub fn attributes(&self) -> Attributes<'a> {
        let mut reader = Reader::new(self.bytes);
        let skipped = reader.bytes(HEADER_LEN).is_ok();
        debug_assert!(skipped, "a message has a header");
        Attributes { reader, place: Place::Open }
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

    /// Whether MESSAGE-INTEGRITY is there and made with `key`, one for HMAC-SHA1 (RFC 8489 §14.5); compared in constant time.
    pub fn verify_integrity(&self, key: &HmacKey) -> bool {
        self.verify(self.integrity, key, 20)
    }

    /// Whether MESSAGE-INTEGRITY-SHA256 is there.
    pub fn has_integrity_sha256(&self) -> bool {
        self.integrity_sha256.is_some()
    }

    /// Whether MESSAGE-INTEGRITY-SHA256 is there, whole, and made with `key`, one for HMAC-SHA256 (RFC 8489 §14.6);
    /// compared in constant time.
    pub fn verify_integrity_sha256(&self, key: &HmacKey) -> bool {
        self.verify(self.integrity_sha256, key, 32)
    }

    /// Like [`verify_integrity_sha256`](Self::verify_integrity_sha256), where it may be cut to `least` bytes, 16 or more: only
    /// for uses of STUN that say so.
    pub fn verify_integrity_sha256_truncated(&self, key: &HmacKey, least: usize) -> bool {
        self.verify(self.integrity_sha256, key, least.max(16))
    }

    /// Whether FINGERPRINT is there.
    pub fn has_fingerprint(&self) -> bool {
        self.fingerprint.is_some()
    }

    /// Whether FINGERPRINT is there and right (RFC 8489 §14.7).
    pub fn verify_fingerprint(&self) -> bool {
        let Some((before, value)) = self.split_at(self.fingerprint) else { return false };
        (crc32(before) ^ FINGERPRINT_XOR).to_be_bytes() == value
    }

    /// Whether the attribute at `offset` has `least` bytes or more and they begin the HMAC of what stands before.
    fn verify(&self, offset: Option<u32>, key: &HmacKey, least: usize) -> bool {
        let Some((before, tag)) = self.split_at(offset) else { return false };
        let Some((mut header, attributes)) = before.split_first_chunk::<HEADER_LEN>().map(|(h, a)| (*h, a))
        else {
            return false;
        };
        // The length in the header counts up to and including the attribute: its 4 bytes of header and its value.
        let Ok(len) = u16::try_from(attributes.len() + 4 + tag.len()) else { return false };
        let [_, _, high, low, ..] = &mut header;
        [*high, *low] = len.to_be_bytes();
        tag.len() >= least && key.verify(&[&header, attributes], tag)
    }

    /// What stands in front of the attribute at `offset`, and its value.
    fn split_at(&self, offset: Option<u32>) -> Option<(&'a [u8], &'a [u8])> {
        let (before, attribute) = self.bytes.split_at_checked(usize::try_from(offset?).ok()?)?;
        Some((before, next(&mut Reader::new(attribute)).ok()?.value))
    }

    fn check_attributes(&mut self) -> Result<(), ParseError> {
        let mut reader = self.attributes().reader;
        let mut place = Place::Open;
        while !reader.is_empty() {
            if self.fingerprint.is_some() {
                return Err(ParseError::Trailing);
            }
            // A message is at most 65,555 bytes long.
            let before = (self.bytes.len() - reader.remaining()) as u32;
            let attribute = next(&mut reader)?;
            let len = attribute.value.len();
            let (field, fits) = match attribute.kind {
                AttributeType::FINGERPRINT => (&mut self.fingerprint, len == 4),
                kind if !place.admit(kind) => continue,
                AttributeType::MESSAGE_INTEGRITY => (&mut self.integrity, len == 20),
                AttributeType::MESSAGE_INTEGRITY_SHA256 => (&mut self.integrity_sha256, is_sha256_tag(len)),
                _ => continue,
            };
            if !fits {
                return Err(ParseError::Length);
            }
            *field = Some(before);
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
    place: Place,
}

impl<'a> Iterator for Attributes<'a> {
    type Item = RawAttribute<'a>;

    fn next(&mut self) -> Option<RawAttribute<'a>> {
        loop {
            let attribute = next(&mut self.reader).ok()?;
            if self.place.admit(attribute.kind) {
                return Some(attribute);
            }
        }
    }
}

/// Where in a message an attribute stands; decides what counts there (RFC 8489 §14.5, §14.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Open,
    PastIntegrity,
    PastIntegritySha256,
}

impl Place {
    /// Whether an attribute of `kind` counts here; moves behind it.
    #[inline]
    fn admit(&mut self, kind: AttributeType) -> bool {
        *self = match (*self, kind) {
            (Place::Open, AttributeType::MESSAGE_INTEGRITY) => Place::PastIntegrity,
            (Place::Open | Place::PastIntegrity, AttributeType::MESSAGE_INTEGRITY_SHA256) => {
                Place::PastIntegritySha256
            }
            (Place::Open, _) | (_, AttributeType::FINGERPRINT) => return true,
            _ => return false,
        };
        true
    }
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
