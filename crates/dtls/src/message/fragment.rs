//! A piece of a handshake message (RFC 6347 §4.2.2).
//!
//! ```text
//!  type (1) | length (3) | message_seq (2) | fragment_offset (3) | fragment_length (3) | bytes
//! ```

use std::ops::Range;

use antiphon_util::{ParseError, Reader, Writer};

use super::{Kind, Message};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fragment<'a> {
    pub(crate) kind: Kind,
    /// Length of the whole message.
    pub(crate) length: usize,
    pub(crate) sequence: u16,
    pub(crate) offset: usize,
    pub(crate) bytes: &'a [u8],
}

impl<'a> Fragment<'a> {
    pub(crate) const HEADER_LEN: usize = 12;

    pub(crate) fn parse(reader: &mut Reader<'a>) -> Result<Self, ParseError> {
        let size = |value: u32| usize::try_from(value).map_err(|_| ParseError::Length);
        let kind = Kind(reader.u8()?);
        let length = size(reader.u24()?)?;
        let sequence = reader.u16()?;
        let offset = size(reader.u24()?)?;
        let bytes = reader.vec24()?.rest();
        if offset + bytes.len() > length {
            return Err(ParseError::Length);
        }
        Ok(Self { kind, length, sequence, offset, bytes })
    }

    /// The bytes `range` of `message`.
    pub(crate) fn of(message: &'a Message, range: Range<usize>) -> Self {
        Self {
            kind: message.kind,
            length: message.body.len(),
            sequence: message.sequence,
            offset: range.start,
            bytes: message.body.get(range).unwrap_or_default(),
        }
    }

    pub(crate) fn write(&self, writer: &mut Writer<'_>) {
        writer.u8(self.kind.0);
        writer.u24(self.length as u32);
        writer.u16(self.sequence);
        writer.u24(self.offset as u32);
        writer.vec24(|w| w.bytes(self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survives_a_round_trip_and_no_cut() {
        let message = Message { kind: Kind::CERTIFICATE, sequence: 3, body: (0..100).collect() };
        let fragment = Fragment::of(&message, 40..70);
        let mut bytes = Vec::new();
        fragment.write(&mut Writer::new(&mut bytes));
        assert_eq!(bytes[..12], [11, 0, 0, 100, 0, 3, 0, 0, 40, 0, 0, 30]);
        let mut reader = Reader::new(&bytes);
        assert_eq!(Fragment::parse(&mut reader), Ok(fragment));
        assert!(reader.is_empty());
        for len in 0..bytes.len() {
            assert_eq!(Fragment::parse(&mut Reader::new(&bytes[..len])), Err(ParseError::Truncated));
        }
    }

    #[test]
    fn a_piece_beyond_its_message_is_refused() {
        let bytes = [11, 0, 0, 4, 0, 0, 0, 0, 3, 0, 0, 2, 7, 7];
        assert_eq!(Fragment::parse(&mut Reader::new(&bytes)), Err(ParseError::Length));
    }
}
