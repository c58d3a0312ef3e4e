//! SCTP packets and chunks on the wire (RFC 9260 §3).
//!
//! A packet is parsed once into borrowed elements: [`Packet::parse`] checks the checksum and reads the header,
//! [`Packet::chunks`] gives the chunks. Every element has `parse` over a [`Reader`] and `write` to a [`Writer`].

mod chunk;
mod data;
mod error;
mod forward_tsn;
mod init;
mod parameters;
mod reconfig;
mod sack;

use antiphon_util::{ParseError, Reader, Writer};

pub use chunk::{Chunk, Chunks, RawChunk, kind, write_chunk};
pub(crate) use data::{DATA_HEADER_LEN, Fragment, I_DATA_HEADER_LEN};
pub use data::{Data, IData};
pub use error::{Causes, ErrorCause, cause};
pub use forward_tsn::{ForwardTsn, IForwardTsn};
pub use init::{Capabilities, Init, InitParameters};
pub use parameters::{Parameters, RawParameter, Unknown, parameter, unknown, write_parameter};
pub use reconfig::{IncomingReset, OutgoingReset, ReConfig, Reconfiguration, ResetResult};
pub use sack::{GapBlock, Sack};

/// Length of the common header in bytes.
pub const HEADER_LEN: usize = 12;

/// The common header (RFC 9260 §3.1), without the checksum.
///
/// ```text
/// |      source port      |   destination port    |
/// |               verification tag                |
/// |                   checksum                    |
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Port of the sender.
    pub source_port: u16,
    /// Port of the receiver.
    pub destination_port: u16,
    /// The tag that the receiver chose, 0 with INIT.
    pub verification_tag: u32,
}

/// Why a packet cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    /// It is shorter than the header.
    #[error("packet is shorter than its header")]
    Header(#[from] ParseError),
    /// The checksum does not fit the bytes.
    #[error("checksum is wrong")]
    Checksum,
}

/// What is asked of a packet's checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksum {
    /// It is there and right.
    Required,
    /// It is right, or zero in a packet other than one with INIT (RFC 9653).
    MayBeZero,
}

/// A packet whose checksum is right.
#[derive(Debug, Clone, Copy)]
pub struct Packet<'a> {
    /// The common header.
    pub header: Header,
    chunks: Reader<'a>,
}

impl<'a> Packet<'a> {
    /// Reads the header of `bytes` and verifies the checksum.
    ///
    /// # Errors
    /// Where `bytes` is too short or the checksum wrong.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, PacketError> {
        Self::parse_with(bytes, Checksum::Required)
    }

    /// Reads the header of `bytes` and verifies the checksum as asked.
    ///
    /// # Errors
    /// Where `bytes` is too short or the checksum wrong.
    pub fn parse_with(bytes: &'a [u8], required: Checksum) -> Result<Self, PacketError> {
        let mut reader = Reader::new(bytes);
        let header = Header {
            source_port: reader.u16()?,
            destination_port: reader.u16()?,
            verification_tag: reader.u32()?,
        };
        // The checksum is the only field in little-endian order (RFC 9260 §6.8).
        let checksum = u32::from_le_bytes(reader.array()?);
        // INIT, which alone has no tag, always has one (RFC 9653 §5.3).
        let absent = checksum == 0 && required == Checksum::MayBeZero && header.verification_tag != 0;
        if !absent && checksum != checksum_of_received(bytes) {
            return Err(PacketError::Checksum);
        }
        Ok(Self { header, chunks: reader })
    }

    /// The chunks, in order.
    pub fn chunks(&self) -> Chunks<'a> {
        Chunks::new(self.chunks)
    }
}

/// Writes one packet at the end of a buffer; the checksum is set by [`PacketWriter::finish`].
#[derive(Debug)]
pub struct PacketWriter<'a> {
    writer: Writer<'a>,
    max_size: usize,
}

impl<'a> PacketWriter<'a> {
    /// Begins a packet of at most `max_size` bytes at the end of `out`.
    pub fn new(out: &'a mut Vec<u8>, header: Header, max_size: usize) -> Self {
        out.reserve(max_size);
        let mut writer = Writer::new(out);
        writer.u16(header.source_port);
        writer.u16(header.destination_port);
        writer.u32(header.verification_tag);
        writer.u32(0);
        Self { writer, max_size }
    }

    /// Bytes left for chunks, a multiple of 4 where `max_size` is one.
    pub fn remaining(&self) -> usize {
        self.max_size.saturating_sub(self.writer.len())
    }

    /// Bytes written so far, with the header.
    #[allow(clippy::len_without_is_empty, reason = "a packet is empty of chunks, not of bytes")]
    pub fn len(&self) -> usize {
        self.writer.len()
    }

    /// Whether no chunk has been written.
    pub fn is_empty(&self) -> bool {
        self.writer.len() <= HEADER_LEN
    }

    /// Where chunks are written; they have to keep to [`Self::remaining`] and end on a multiple of 4.
    pub fn chunks(&mut self) -> &mut Writer<'a> {
        &mut self.writer
    }

    /// Leaves the checksum zero, which the peer has to have agreed to (RFC 9653 §5.2), and gives the packet's length.
    pub(crate) fn finish_without_checksum(self) -> usize {
        self.writer.len()
    }

    /// Sets the checksum and gives the packet's length.
    pub fn finish(mut self) -> usize {
        let packet = self.writer.written();
        let checksum = crc_fast::crc32_iscsi(packet);
        if let Some(field) = packet.get_mut(8..HEADER_LEN) {
            field.copy_from_slice(&checksum.to_le_bytes());
        }
        self.writer.len()
    }
}

/// CRC32c over `packet` with the checksum field taken as zero.
fn checksum_of_received(packet: &[u8]) -> u32 {
    // One pass over a copy is faster than three passes that leave the field out.
    let mut copy = [0; 2048];
    if let Some(copy) = copy.get_mut(..packet.len()) {
        copy.copy_from_slice(packet);
        if let Some(field) = copy.get_mut(8..HEADER_LEN) {
            field.fill(0);
        }
        return crc_fast::crc32_iscsi(copy);
    }
    let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi);
    digest.update(packet.get(..8).unwrap_or_default());
    digest.update(&[0; 4]);
    digest.update(packet.get(HEADER_LEN..).unwrap_or_default());
    digest.finalize() as u32
}
