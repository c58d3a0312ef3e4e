//! DATA (RFC 9260 §3.3.1).

use antiphon_util::{ParseError, Reader, Writer};

use super::kind;
use crate::{PayloadProtocolId, StreamId};

/// Bytes of a DATA chunk before the user data.
pub(crate) const DATA_HEADER_LEN: usize = 16;

/// Flags of DATA.
const ENDING: u8 = 1;
const BEGINNING: u8 = 2;
const UNORDERED: u8 = 4;
const IMMEDIATE: u8 = 8;

/// A fragment of a message.
///
/// ```text
/// | type = 0 | res |I|U|B|E|       length         |
/// |                     TSN                       |
/// |       stream id        | stream sequence no.  |
/// |         payload protocol identifier           |
/// |  user data ...                      (padding) |
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Data<'a> {
    /// Transmission sequence number.
    pub tsn: u32,
    /// The stream.
    pub stream: StreamId,
    /// Stream sequence number; of no meaning where the message is unordered.
    pub ssn: u16,
    /// What the payload is.
    pub ppid: PayloadProtocolId,
    /// Whether the message begins here.
    pub beginning: bool,
    /// Whether the message ends here.
    pub ending: bool,
    /// Whether the message is delivered without regard to order.
    pub unordered: bool,
    /// Whether the sender wants an acknowledgement at once (RFC 7053).
    pub immediate: bool,
    /// The user's bytes.
    pub payload: &'a [u8],
}

impl<'a> Data<'a> {
    pub(super) fn parse(flags: u8, reader: &mut Reader<'a>) -> Result<Self, ParseError> {
        Ok(Self {
            tsn: reader.u32()?,
            stream: StreamId(reader.u16()?),
            ssn: reader.u16()?,
            ppid: PayloadProtocolId(reader.u32()?),
            beginning: flags & BEGINNING != 0,
            ending: flags & ENDING != 0,
            unordered: flags & UNORDERED != 0,
            immediate: flags & IMMEDIATE != 0,
            payload: reader.rest(),
        })
    }

    /// Appends the chunk with its padding; at most 65,519 bytes of user data.
    pub fn write(&self, out: &mut Writer<'_>) {
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        let flags = flag(self.ending, ENDING)
            | flag(self.beginning, BEGINNING)
            | flag(self.unordered, UNORDERED)
            | flag(self.immediate, IMMEDIATE);
        let len = ((self.payload.len() + DATA_HEADER_LEN) as u16).to_be_bytes();
        let tsn = self.tsn.to_be_bytes();
        let (stream, ssn) = (self.stream.0.to_be_bytes(), self.ssn.to_be_bytes());
        let ppid = self.ppid.0.to_be_bytes();
        out.bytes(&[
            kind::DATA,
            flags,
            len[0],
            len[1],
            tsn[0],
            tsn[1],
            tsn[2],
            tsn[3],
            stream[0],
            stream[1],
            ssn[0],
            ssn[1],
            ppid[0],
            ppid[1],
            ppid[2],
            ppid[3],
        ]);
        out.bytes(self.payload);
        let padding = self.payload.len().wrapping_neg() % 4;
        if padding != 0 {
            out.zeros(padding);
        }
    }
}
