//! DATA (RFC 9260 §3.3.1) and I-DATA (RFC 8260 §2.1).

use antiphon_util::{ParseError, Reader, Writer};

use super::kind;
use crate::{PayloadProtocolId, StreamId};

/// Bytes of a DATA chunk before the user data.
pub(crate) const DATA_HEADER_LEN: usize = 16;
/// Bytes of an I-DATA chunk before the user data.
pub(crate) const I_DATA_HEADER_LEN: usize = 20;

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
    #[inline]
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
        let fragment = Fragment {
            tsn: self.tsn,
            stream: self.stream,
            mid: self.ssn.into(),
            fsn: 0,
            ppid: self.ppid,
            beginning: self.beginning,
            ending: self.ending,
            unordered: self.unordered,
            immediate: self.immediate,
            payload: self.payload,
        };
        fragment.write(out, false);
    }
}

/// A fragment of a message, which may alternate with those of others.
///
/// ```text
/// | type = 64 | res |I|U|B|E|      length         |
/// |                     TSN                       |
/// |       stream id        |       reserved       |
/// |              message identifier               |
/// |  payload protocol identifier, or fragment no. |
/// |  user data ...                      (padding) |
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IData<'a> {
    /// Transmission sequence number.
    pub tsn: u32,
    /// The stream.
    pub stream: StreamId,
    /// Number of the message among the ordered, or the unordered, ones of its stream.
    pub mid: u32,
    /// Number of the fragment in its message; 0 in the first.
    pub fsn: u32,
    /// What the payload is; told by the first fragment alone.
    pub ppid: Option<PayloadProtocolId>,
    /// Whether the message ends here.
    pub ending: bool,
    /// Whether the message is delivered without regard to order.
    pub unordered: bool,
    /// Whether the sender wants an acknowledgement at once (RFC 7053).
    pub immediate: bool,
    /// The user's bytes.
    pub payload: &'a [u8],
}

impl<'a> IData<'a> {
    #[inline]
    pub(super) fn parse(flags: u8, reader: &mut Reader<'a>) -> Result<Self, ParseError> {
        let (tsn, stream, _reserved) = (reader.u32()?, StreamId(reader.u16()?), reader.u16()?);
        let (mid, last) = (reader.u32()?, reader.u32()?);
        let beginning = flags & BEGINNING != 0;
        Ok(Self {
            tsn,
            stream,
            mid,
            fsn: if beginning { 0 } else { last },
            ppid: beginning.then_some(PayloadProtocolId(last)),
            ending: flags & ENDING != 0,
            unordered: flags & UNORDERED != 0,
            immediate: flags & IMMEDIATE != 0,
            payload: reader.rest(),
        })
    }

    /// Appends the chunk with its padding; at most 65,515 bytes of user data.
    pub fn write(&self, out: &mut Writer<'_>) {
        let fragment = Fragment {
            tsn: self.tsn,
            stream: self.stream,
            mid: self.mid,
            fsn: self.fsn,
            ppid: self.ppid.unwrap_or(PayloadProtocolId(0)),
            beginning: self.ppid.is_some(),
            ending: self.ending,
            unordered: self.unordered,
            immediate: self.immediate,
            payload: self.payload,
        };
        fragment.write(out, true);
    }
}

/// A fragment to be sent, as DATA or as I-DATA.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fragment<'a> {
    pub(crate) tsn: u32,
    pub(crate) stream: StreamId,
    pub(crate) mid: u32,
    pub(crate) fsn: u32,
    pub(crate) ppid: PayloadProtocolId,
    pub(crate) beginning: bool,
    pub(crate) ending: bool,
    pub(crate) unordered: bool,
    pub(crate) immediate: bool,
    pub(crate) payload: &'a [u8],
}

impl Fragment<'_> {
    pub(crate) fn header_len(interleaving: bool) -> usize {
        if interleaving { I_DATA_HEADER_LEN } else { DATA_HEADER_LEN }
    }

    pub(crate) fn write(&self, out: &mut Writer<'_>, interleaving: bool) {
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        let flags = flag(self.ending, ENDING)
            | flag(self.beginning, BEGINNING)
            | flag(self.unordered, UNORDERED)
            | flag(self.immediate, IMMEDIATE);
        let len = ((self.payload.len() + Self::header_len(interleaving)) as u16).to_be_bytes();
        let tsn = self.tsn.to_be_bytes();
        let stream = self.stream.0.to_be_bytes();
        let mid = self.mid.to_be_bytes();
        let ppid = self.ppid.0.to_be_bytes();
        let [t0, t1, t2, t3] = tsn;
        if interleaving {
            let [l0, l1, l2, l3] = if self.beginning { ppid } else { self.fsn.to_be_bytes() };
            out.bytes(&[
                kind::I_DATA,
                flags,
                len[0],
                len[1],
                t0,
                t1,
                t2,
                t3,
                stream[0],
                stream[1],
                0,
                0,
                mid[0],
                mid[1],
                mid[2],
                mid[3],
                l0,
                l1,
                l2,
                l3,
            ]);
        } else {
            // The low half of the number is the stream sequence number, which unordered messages have not.
            let (s0, s1) = if self.unordered { (0, 0) } else { (mid[2], mid[3]) };
            out.bytes(&[
                kind::DATA,
                flags,
                len[0],
                len[1],
                t0,
                t1,
                t2,
                t3,
                stream[0],
                stream[1],
                s0,
                s1,
                ppid[0],
                ppid[1],
                ppid[2],
                ppid[3],
            ]);
        }
        out.bytes(self.payload);
        let padding = self.payload.len().wrapping_neg() % 4;
        if padding != 0 {
            out.zeros(padding);
        }
    }
}
