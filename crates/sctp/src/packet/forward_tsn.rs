//! FORWARD TSN (RFC 3758 §3.2) and I-FORWARD-TSN (RFC 8260 §2.3).

use antiphon_util::{ParseError, Reader, Writer};

use super::chunk::write_chunk_header;
use super::kind;
use crate::StreamId;

/// Moves the receiver's cumulative point over abandoned TSNs.
///
/// ```text
/// | type = 0xC0 | flags |        length         |
/// |            new cumulative TSN               |
/// |       stream #1       |  stream sequence #1 | ...
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForwardTsn<'a> {
    /// The receiver treats all TSNs up to this one as received.
    pub new_cumulative_tsn: u32,
    streams: &'a [u8],
}

impl<'a> ForwardTsn<'a> {
    pub(super) fn parse(reader: &mut Reader<'a>) -> Result<Self, ParseError> {
        let new_cumulative_tsn = reader.u32()?;
        let streams = reader.rest();
        if !streams.len().is_multiple_of(4) {
            return Err(ParseError::Length);
        }
        Ok(Self { new_cumulative_tsn, streams })
    }

    /// The ordered streams in which messages were skipped, with the last stream sequence number skipped.
    pub fn skipped(&self) -> impl Iterator<Item = (StreamId, u16)> + 'a {
        self.streams
            .as_chunks::<4>()
            .0
            .iter()
            .map(|[a, b, c, d]| (StreamId(u16::from_be_bytes([*a, *b])), u16::from_be_bytes([*c, *d])))
    }

    /// Appends the chunk.
    pub fn write(&self, out: &mut Writer<'_>) {
        write_chunk_header(out, kind::FORWARD_TSN, 0, 4 + self.streams.len());
        out.u32(self.new_cumulative_tsn);
        out.bytes(self.streams);
    }

    /// Appends a chunk from parts that are not bytes yet.
    pub(crate) fn write_parts(out: &mut Writer<'_>, new_cumulative_tsn: u32, skipped: &[(StreamId, u16)]) {
        write_chunk_header(out, kind::FORWARD_TSN, 0, 4 + 4 * skipped.len());
        out.u32(new_cumulative_tsn);
        for (stream, ssn) in skipped {
            out.u16(stream.0);
            out.u16(*ssn);
        }
    }
}

/// Moves the receiver's cumulative point over abandoned messages that were sent as I-DATA.
///
/// ```text
/// | type = 0xC2 | flags |        length         |
/// |            new cumulative TSN               |
/// |       stream #1       |  reserved         |U|
/// |             message identifier #1           | ...
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IForwardTsn<'a> {
    /// The receiver treats all TSNs up to this one as received.
    pub new_cumulative_tsn: u32,
    entries: &'a [u8],
}

impl<'a> IForwardTsn<'a> {
    pub(super) fn parse(reader: &mut Reader<'a>) -> Result<Self, ParseError> {
        let new_cumulative_tsn = reader.u32()?;
        let entries = reader.rest();
        if !entries.len().is_multiple_of(8) {
            return Err(ParseError::Length);
        }
        Ok(Self { new_cumulative_tsn, entries })
    }

    /// Streams in which messages were skipped, whether those are unordered ones, and the last message skipped.
    pub fn skipped(&self) -> impl Iterator<Item = (StreamId, bool, u32)> + 'a {
        self.entries.as_chunks::<8>().0.iter().map(|[a, b, _, flags, mid @ ..]| {
            (StreamId(u16::from_be_bytes([*a, *b])), flags & 1 != 0, u32::from_be_bytes(*mid))
        })
    }

    /// Appends the chunk.
    pub fn write(&self, out: &mut Writer<'_>) {
        write_chunk_header(out, kind::I_FORWARD_TSN, 0, 4 + self.entries.len());
        out.u32(self.new_cumulative_tsn);
        out.bytes(self.entries);
    }

    /// Appends a chunk from parts that are not bytes yet.
    pub(crate) fn write_parts(
        out: &mut Writer<'_>,
        new_cumulative_tsn: u32,
        skipped: impl ExactSizeIterator<Item = (StreamId, bool, u32)>,
    ) {
        write_chunk_header(out, kind::I_FORWARD_TSN, 0, 4 + 8 * skipped.len());
        out.u32(new_cumulative_tsn);
        for (stream, unordered, mid) in skipped {
            out.u16(stream.0);
            out.u16(unordered.into());
            out.u32(mid);
        }
    }
}
