//! Records: the form they have in DTLS 1.2 and without protection (`legacy`), and the one of DTLS 1.3 (`unified`).

pub(crate) mod legacy;
pub(crate) mod unified;

use crate::SealError;

pub(crate) use legacy::RecordHeader;
pub(crate) use unified::UnifiedHeader;

/// Greatest length of a plaintext (RFC 5246 §6.2.1, RFC 8446 §5.1).
pub(crate) const MAX_PLAINTEXT: usize = 1 << 14;

/// Bytes that the longest protection adds to a plaintext, header included and connection id left out.
pub(crate) const MAX_OVERHEAD: usize = legacy::MAX_OVERHEAD;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum ContentType {
    ChangeCipherSpec = 20,
    Alert = 21,
    Handshake = 22,
    ApplicationData = 23,
    /// A record of 1.2 with a connection id, whose type is inside (RFC 9146 §4).
    WithConnectionId = 25,
    Ack = 26,
}

impl ContentType {
    pub(crate) fn of_code(code: u8) -> Option<Self> {
        match code {
            20 => Some(ContentType::ChangeCipherSpec),
            21 => Some(ContentType::Alert),
            22 => Some(ContentType::Handshake),
            23 => Some(ContentType::ApplicationData),
            25 => Some(ContentType::WithConnectionId),
            26 => Some(ContentType::Ack),
            _ => None,
        }
    }
}

/// Epoch and sequence number, by which records are acknowledged (RFC 9147 §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RecordNumber {
    pub(crate) epoch: u64,
    pub(crate) sequence: u64,
}

/// The header of a received record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Header {
    Legacy(RecordHeader),
    Unified(UnifiedHeader),
}

impl Header {
    /// The id by which it names the connection, if it does.
    pub(crate) fn connection_id<'a>(&self, record: &'a [u8]) -> Option<&'a [u8]> {
        match self {
            Header::Legacy(header) => header.connection_id(record),
            Header::Unified(header) => header.connection_id(record),
        }
    }
}

/// The first record of `datagram`, header included, and the bytes behind it; `None` where there is none. Ids of
/// connections have `cid_len` bytes in what we receive.
pub(crate) fn split(datagram: &mut [u8], cid_len: usize) -> Option<(Header, &mut [u8], &mut [u8])> {
    let (header, len) = if datagram.first().is_some_and(|first| UnifiedHeader::is_first(*first)) {
        let (header, len) = UnifiedHeader::parse(datagram, cid_len)?;
        (Header::Unified(header), len)
    } else {
        let (header, len) = RecordHeader::parse(datagram, cid_len)?;
        (Header::Legacy(header), len)
    };
    let (record, rest) = datagram.split_at_mut_checked(len)?;
    Some((header, record, rest))
}

/// Seals the records of one epoch.
#[derive(Debug)]
pub(crate) enum Sealer {
    Legacy(legacy::Sealer),
    Unified(unified::Sealer),
}

impl Sealer {
    pub(crate) fn epoch(&self) -> u64 {
        match self {
            Sealer::Legacy(_) => 1,
            Sealer::Unified(sealer) => sealer.epoch(),
        }
    }

    /// Bytes in front of the plaintext.
    pub(crate) fn headroom(&self) -> usize {
        match self {
            Sealer::Legacy(sealer) => sealer.headroom(),
            Sealer::Unified(sealer) => sealer.headroom(),
        }
    }

    /// Bytes around the plaintext.
    pub(crate) fn overhead(&self) -> usize {
        match self {
            Sealer::Legacy(sealer) => sealer.overhead(),
            Sealer::Unified(sealer) => sealer.overhead(),
        }
    }

    /// Makes a record of `buf[start..]`, which holds [`Sealer::headroom`] bytes and the plaintext.
    pub(crate) fn seal(
        &mut self,
        content_type: ContentType,
        buf: &mut Vec<u8>,
        start: usize,
    ) -> Result<RecordNumber, SealError> {
        match self {
            Sealer::Legacy(sealer) => sealer.seal(content_type, buf, start),
            Sealer::Unified(sealer) => sealer.seal(content_type, buf, start),
        }
    }
}

/// Why a protected record was not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OpenError {
    Replayed,
    Forged,
    /// It is authentic, and has neither content nor content type (RFC 8446 §5.4).
    NoContent,
    /// It is authentic, and its content type is unknown.
    UnknownContent,
    /// It is authentic, and longer than a record may be.
    Overflow,
}

/// The type that stands behind the content and in front of zeros, and the content (RFC 8446 §5.4, RFC 9146 §4).
fn typed(inner: &mut [u8]) -> Result<(ContentType, &mut [u8]), OpenError> {
    let end = inner.iter().rposition(|byte| *byte != 0).ok_or(OpenError::NoContent)?;
    let (content, padded) = inner.split_at_mut_checked(end).ok_or(OpenError::NoContent)?;
    let content_type = padded.first().and_then(|code| ContentType::of_code(*code));
    Ok((content_type.ok_or(OpenError::UnknownContent)?, content))
}

/// What an authentic record holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Opened<'a> {
    pub(crate) content_type: ContentType,
    pub(crate) number: RecordNumber,
    pub(crate) plaintext: &'a mut [u8],
}

/// Opens the records of one epoch, each once.
#[derive(Debug)]
pub(crate) enum Opener {
    Legacy(legacy::Opener),
    Unified(unified::Opener),
}

impl Opener {
    pub(crate) fn epoch(&self) -> u64 {
        match self {
            Opener::Legacy(_) => 1,
            Opener::Unified(opener) => opener.epoch(),
        }
    }

    /// Whether a record with this header may belong to the epoch.
    pub(crate) fn suits(&self, header: &Header) -> bool {
        match (self, header) {
            (Opener::Legacy(opener), Header::Legacy(header)) => opener.suits(*header),
            (Opener::Unified(opener), Header::Unified(header)) => header.suits(opener.epoch()),
            _ => false,
        }
    }

    /// Decrypts a record in place.
    pub(crate) fn open<'a>(
        &mut self,
        header: &Header,
        record: &'a mut [u8],
    ) -> Result<Opened<'a>, OpenError> {
        match (self, header) {
            (Opener::Legacy(opener), Header::Legacy(header)) => opener.open(*header, record),
            (Opener::Unified(opener), Header::Unified(header)) => opener.open(*header, record),
            _ => Err(OpenError::Forged),
        }
    }

    /// Whether any record was opened.
    pub(crate) fn has_opened(&self) -> bool {
        match self {
            Opener::Legacy(opener) => opener.has_opened(),
            Opener::Unified(opener) => opener.has_opened(),
        }
    }

    /// Records that failed to open.
    pub(crate) fn forged(&self) -> u64 {
        match self {
            Opener::Legacy(opener) => opener.forged(),
            Opener::Unified(opener) => opener.forged(),
        }
    }
}
