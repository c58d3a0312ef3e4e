//! SACK (RFC 9260 §3.3.4).

use antiphon_util::{ParseError, Reader, Writer};

use super::chunk::write_chunk_header;
use super::kind;

/// A run of TSNs received beyond the cumulative one, as offsets from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GapBlock {
    /// Offset of the first TSN.
    pub start: u16,
    /// Offset of the last TSN.
    pub end: u16,
}

/// Selective acknowledgement; blocks and duplicates stay in the packet's bytes.
///
/// ```text
/// | type = 3 |  flags  |         length          |
/// |             cumulative TSN ack               |
/// |       advertised receiver window credit      |
/// |  number of gap blocks  | number of dup. TSNs |
/// |  gap block #1 start    |  gap block #1 end   | ...
/// |               duplicate TSN #1               | ...
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sack<'a> {
    /// All TSNs up to this one were received.
    pub cumulative_tsn_ack: u32,
    /// Bytes that the sender of this chunk has room for.
    pub a_rwnd: u32,
    gaps: &'a [u8],
    duplicates: &'a [u8],
}

impl<'a> Sack<'a> {
    pub(super) fn parse(reader: &mut Reader<'a>) -> Result<Self, ParseError> {
        let (cumulative_tsn_ack, a_rwnd) = (reader.u32()?, reader.u32()?);
        let (gaps, duplicates) = (usize::from(reader.u16()?), usize::from(reader.u16()?));
        Ok(Self {
            cumulative_tsn_ack,
            a_rwnd,
            gaps: reader.bytes(gaps * 4)?,
            duplicates: reader.bytes(duplicates * 4)?,
        })
    }

    /// The gap blocks, in the order of the wire.
    pub fn gaps(&self) -> impl Iterator<Item = GapBlock> + Clone + 'a {
        self.gaps.as_chunks::<4>().0.iter().map(|[a, b, c, d]| GapBlock {
            start: u16::from_be_bytes([*a, *b]),
            end: u16::from_be_bytes([*c, *d]),
        })
    }

    /// TSNs received more than once.
    pub fn duplicates(&self) -> impl Iterator<Item = u32> + 'a {
        self.duplicates.as_chunks::<4>().0.iter().map(|tsn| u32::from_be_bytes(*tsn))
    }

    /// Appends the chunk.
    pub fn write(&self, out: &mut Writer<'_>) {
        write_chunk_header(out, kind::SACK, 0, 12 + self.gaps.len() + self.duplicates.len());
        out.u32(self.cumulative_tsn_ack);
        out.u32(self.a_rwnd);
        out.u16((self.gaps.len() / 4) as u16);
        out.u16((self.duplicates.len() / 4) as u16);
        out.bytes(self.gaps);
        out.bytes(self.duplicates);
    }

    /// Appends a chunk from parts that are not bytes yet; `max_len` bounds its length and thereby what is reported.
    /// Gaps go before duplicates.
    pub(crate) fn write_parts(
        out: &mut Writer<'_>,
        cumulative_tsn_ack: u32,
        a_rwnd: u32,
        gaps: impl Iterator<Item = GapBlock> + Clone,
        duplicates: &[u32],
        max_len: usize,
    ) {
        let room = max_len.saturating_sub(16) / 4;
        let gap_count = gaps.clone().take(room).count();
        let duplicate_count = duplicates.len().min(room - gap_count);
        write_chunk_header(out, kind::SACK, 0, 12 + 4 * (gap_count + duplicate_count));
        out.u32(cumulative_tsn_ack);
        out.u32(a_rwnd);
        out.u16(gap_count as u16);
        out.u16(duplicate_count as u16);
        for gap in gaps.take(gap_count) {
            out.u16(gap.start);
            out.u16(gap.end);
        }
        duplicates.iter().take(duplicate_count).for_each(|tsn| out.u32(*tsn));
    }
}
