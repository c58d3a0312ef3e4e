//! Chunks: the framing, and the sum of all types (RFC 9260 §3.2).

use antiphon_util::{ParseError, Reader, Writer};

use super::{Causes, Data, ForwardTsn, IData, IForwardTsn, Init, ReConfig, Sack};

/// Chunk types (RFC 9260 §3.2, RFC 3758 §3.2, RFC 4820 §3, RFC 6525 §3.1, RFC 8260 §2).
#[allow(missing_docs, reason = "the names are those of the registry")]
pub mod kind {
    pub const DATA: u8 = 0;
    pub const INIT: u8 = 1;
    pub const INIT_ACK: u8 = 2;
    pub const SACK: u8 = 3;
    pub const HEARTBEAT: u8 = 4;
    pub const HEARTBEAT_ACK: u8 = 5;
    pub const ABORT: u8 = 6;
    pub const SHUTDOWN: u8 = 7;
    pub const SHUTDOWN_ACK: u8 = 8;
    pub const ERROR: u8 = 9;
    pub const COOKIE_ECHO: u8 = 10;
    pub const COOKIE_ACK: u8 = 11;
    pub const SHUTDOWN_COMPLETE: u8 = 14;
    pub const I_DATA: u8 = 0x40;
    pub const RE_CONFIG: u8 = 0x82;
    pub const PAD: u8 = 0x84;
    pub const FORWARD_TSN: u8 = 0xc0;
    pub const I_FORWARD_TSN: u8 = 0xc2;
}

/// Flag of ABORT and SHUTDOWN COMPLETE: the tag is the sender's own, reflected (RFC 9260 §8.5.1).
const REFLECTED: u8 = 1;

/// A chunk as framed.
///
/// ```text
/// |  type   |  flags  |      length       |
/// |  value ...                  (padding) |
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawChunk<'a> {
    /// The chunk type.
    pub kind: u8,
    /// Flags, as the type defines them.
    pub flags: u8,
    /// The value, without padding.
    pub value: &'a [u8],
}

impl<'a> RawChunk<'a> {
    fn parse(reader: &mut Reader<'a>) -> Result<Self, ParseError> {
        let [kind, flags] = reader.array()?;
        let len = usize::from(reader.u16()?).checked_sub(4).ok_or(ParseError::Length)?;
        let value = reader.bytes(len)?;
        // The last chunk may lack its padding.
        let padding = len.wrapping_neg() % 4;
        reader.bytes(padding.min(reader.remaining()))?;
        Ok(Self { kind, flags, value })
    }
}

/// Iterates over the chunks of a packet; it ends at the first one that cannot be read.
#[derive(Debug, Clone)]
pub struct Chunks<'a> {
    reader: Reader<'a>,
}

impl<'a> Chunks<'a> {
    pub(super) fn new(reader: Reader<'a>) -> Self {
        Self { reader }
    }
}

impl<'a> Iterator for Chunks<'a> {
    type Item = Result<Chunk<'a>, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.reader.is_empty() {
            return None;
        }
        let chunk = RawChunk::parse(&mut self.reader).and_then(Chunk::parse);
        if chunk.is_err() {
            self.reader.rest();
        }
        Some(chunk)
    }
}

/// A chunk of a known type, or an unknown one as framed.
#[derive(Debug, Clone)]
pub enum Chunk<'a> {
    /// User data.
    Data(Data<'a>),
    /// Asks for an association.
    Init(Init<'a>),
    /// Answers INIT.
    InitAck(Init<'a>),
    /// Acknowledges DATA.
    Sack(Sack<'a>),
    /// Asks whether the peer lives; holds the whole Heartbeat Info parameter.
    Heartbeat(&'a [u8]),
    /// Answers HEARTBEAT with its value.
    HeartbeatAck(&'a [u8]),
    /// Ends the association at once.
    Abort {
        /// Whether the tag is the sender's own.
        reflected: bool,
        /// Why.
        causes: Causes<'a>,
    },
    /// The sender has nothing more to send; gives its cumulative TSN ack.
    Shutdown(u32),
    /// Answers SHUTDOWN.
    ShutdownAck,
    /// Reports errors that do not end the association.
    Error(Causes<'a>),
    /// Returns the state cookie.
    CookieEcho(&'a [u8]),
    /// Answers COOKIE ECHO.
    CookieAck,
    /// Answers SHUTDOWN ACK.
    ShutdownComplete {
        /// Whether the tag is the sender's own.
        reflected: bool,
    },
    /// Skips abandoned TSNs.
    ForwardTsn(ForwardTsn<'a>),
    /// User data that may alternate with that of other messages.
    IData(IData<'a>),
    /// Skips abandoned messages.
    IForwardTsn(IForwardTsn<'a>),
    /// Makes a packet longer; of so many bytes.
    Pad(usize),
    /// Resets or adds streams.
    ReConfig(ReConfig<'a>),
    /// A type not known here.
    Unknown(RawChunk<'a>),
}

impl<'a> Chunk<'a> {
    fn parse(raw: RawChunk<'a>) -> Result<Self, ParseError> {
        let mut reader = Reader::new(raw.value);
        Ok(match raw.kind {
            kind::DATA => Chunk::Data(Data::parse(raw.flags, &mut reader)?),
            kind::INIT => Chunk::Init(Init::parse(&mut reader)?),
            kind::INIT_ACK => Chunk::InitAck(Init::parse(&mut reader)?),
            kind::SACK => Chunk::Sack(Sack::parse(&mut reader)?),
            kind::HEARTBEAT => Chunk::Heartbeat(raw.value),
            kind::HEARTBEAT_ACK => Chunk::HeartbeatAck(raw.value),
            kind::ABORT => {
                Chunk::Abort { reflected: raw.flags & REFLECTED != 0, causes: Causes::new(raw.value) }
            }
            kind::SHUTDOWN => Chunk::Shutdown(reader.u32()?),
            kind::SHUTDOWN_ACK => Chunk::ShutdownAck,
            kind::ERROR => Chunk::Error(Causes::new(raw.value)),
            kind::COOKIE_ECHO => Chunk::CookieEcho(raw.value),
            kind::COOKIE_ACK => Chunk::CookieAck,
            kind::SHUTDOWN_COMPLETE => Chunk::ShutdownComplete { reflected: raw.flags & REFLECTED != 0 },
            kind::FORWARD_TSN => Chunk::ForwardTsn(ForwardTsn::parse(&mut reader)?),
            kind::I_DATA => Chunk::IData(IData::parse(raw.flags, &mut reader)?),
            kind::I_FORWARD_TSN => Chunk::IForwardTsn(IForwardTsn::parse(&mut reader)?),
            kind::PAD => Chunk::Pad(raw.value.len()),
            kind::RE_CONFIG => Chunk::ReConfig(ReConfig::parse(&mut reader)?),
            _ => Chunk::Unknown(raw),
        })
    }

    /// Appends the chunk with its padding.
    pub fn write(&self, out: &mut Writer<'_>) {
        match self {
            Chunk::Data(data) => data.write(out),
            Chunk::Init(init) => init.write(kind::INIT, out),
            Chunk::InitAck(init) => init.write(kind::INIT_ACK, out),
            Chunk::Sack(sack) => sack.write(out),
            Chunk::Heartbeat(value) => write_chunk(out, kind::HEARTBEAT, 0, value),
            Chunk::HeartbeatAck(value) => write_chunk(out, kind::HEARTBEAT_ACK, 0, value),
            Chunk::Abort { reflected, causes } => {
                write_chunk(out, kind::ABORT, u8::from(*reflected), causes.as_bytes());
            }
            Chunk::Shutdown(cumulative) => write_chunk(out, kind::SHUTDOWN, 0, &cumulative.to_be_bytes()),
            Chunk::ShutdownAck => write_chunk(out, kind::SHUTDOWN_ACK, 0, &[]),
            Chunk::Error(causes) => write_chunk(out, kind::ERROR, 0, causes.as_bytes()),
            Chunk::CookieEcho(cookie) => write_chunk(out, kind::COOKIE_ECHO, 0, cookie),
            Chunk::CookieAck => write_chunk(out, kind::COOKIE_ACK, 0, &[]),
            Chunk::ShutdownComplete { reflected } => {
                write_chunk(out, kind::SHUTDOWN_COMPLETE, u8::from(*reflected), &[]);
            }
            Chunk::ForwardTsn(forward) => forward.write(out),
            Chunk::IData(data) => data.write(out),
            Chunk::IForwardTsn(forward) => forward.write(out),
            Chunk::Pad(len) => {
                write_chunk_header(out, kind::PAD, 0, *len);
                out.zeros(len.next_multiple_of(4));
            }
            Chunk::ReConfig(reconfig) => reconfig.write(out),
            Chunk::Unknown(raw) => write_chunk(out, raw.kind, raw.flags, raw.value),
        }
    }
}

/// Appends a chunk with the value `value`, at most 65,531 bytes, and its padding.
pub fn write_chunk(out: &mut Writer<'_>, kind: u8, flags: u8, value: &[u8]) {
    write_chunk_header(out, kind, flags, value.len());
    out.bytes(value);
    out.zeros(value.len().wrapping_neg() % 4);
}

/// Appends the header of a chunk whose value has `len` bytes.
pub(super) fn write_chunk_header(out: &mut Writer<'_>, kind: u8, flags: u8, len: usize) {
    out.u8(kind);
    out.u8(flags);
    out.u16((len + 4) as u16);
}
