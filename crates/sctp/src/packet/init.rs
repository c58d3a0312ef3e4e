//! INIT and INIT ACK (RFC 9260 §3.3.2, §3.3.3).

use antiphon_util::{ParseError, Reader, Writer};

use super::chunk::write_chunk_header;
use super::parameters::{Parameters, parameter, unknown, write_parameter};
use super::{Chunk, Chunks, RawParameter, kind};

/// The opening of an association; INIT and INIT ACK have the same layout.
///
/// ```text
/// | type = 1, 2 |  flags  |       length        |
/// |               initiate tag                  |
/// |     advertised receiver window credit       |
/// | outgoing streams     |    incoming streams  |
/// |                initial TSN                  |
/// |  parameters ...                             |
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Init<'a> {
    /// The tag that the receiver of this chunk puts into its packets; not 0.
    pub initiate_tag: u32,
    /// Bytes that the sender has room for.
    pub a_rwnd: u32,
    /// Streams the sender wants to send on; not 0.
    pub outgoing_streams: u16,
    /// Most streams the sender accepts; not 0.
    pub incoming_streams: u16,
    /// First TSN that the sender will use.
    pub initial_tsn: u32,
    /// Optional parameters.
    pub parameters: Parameters<'a>,
}

impl<'a> Init<'a> {
    /// Reads a whole INIT chunk that stands alone.
    ///
    /// # Errors
    /// It is not one chunk of that type.
    pub(crate) fn parse_chunk(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let mut chunks = Chunks::new(Reader::new(bytes));
        match (chunks.next().transpose()?, chunks.next()) {
            (Some(Chunk::Init(init)), None) => Ok(init),
            _ => Err(ParseError::Value),
        }
    }

    pub(super) fn parse(reader: &mut Reader<'a>) -> Result<Self, ParseError> {
        Ok(Self {
            initiate_tag: reader.u32()?,
            a_rwnd: reader.u32()?,
            outgoing_streams: reader.u16()?,
            incoming_streams: reader.u16()?,
            initial_tsn: reader.u32()?,
            parameters: Parameters::parse(reader)?,
        })
    }

    pub(super) fn write(&self, kind: u8, out: &mut Writer<'_>) {
        write_chunk_header(out, kind, 0, 16 + self.parameters.as_bytes().len());
        out.u32(self.initiate_tag);
        out.u32(self.a_rwnd);
        out.u16(self.outgoing_streams);
        out.u16(self.incoming_streams);
        out.u32(self.initial_tsn);
        let parameters = self.parameters.as_bytes();
        out.bytes(parameters);
        out.zeros(parameters.len().wrapping_neg() % 4);
    }
}

/// Extensions that an end can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// Partial reliability (RFC 3758).
    pub forward_tsn: bool,
    /// Stream reset (RFC 6525).
    pub reconfig: bool,
    /// Interleaving of messages (RFC 8260).
    pub interleaving: bool,
    /// Packets without checksum may be sent to this end, since DTLS finds errors (RFC 9653).
    pub zero_checksum: bool,
}

impl Capabilities {
    /// All as one byte, for the state cookie.
    pub(crate) fn to_bits(self) -> u8 {
        let flags = [self.forward_tsn, self.reconfig, self.interleaving, self.zero_checksum];
        flags.iter().rev().fold(0, |bits, flag| bits << 1 | u8::from(*flag))
    }

    pub(crate) fn from_bits(bits: u8) -> Self {
        let flag = |at: u8| bits & 1 << at != 0;
        Self { forward_tsn: flag(0), reconfig: flag(1), interleaving: flag(2), zero_checksum: flag(3) }
    }

    /// Appends the parameters that announce these extensions.
    pub fn write(self, out: &mut Writer<'_>) {
        if self.forward_tsn {
            write_parameter(out, parameter::FORWARD_TSN_SUPPORTED, &[]);
        }
        let chunks = [
            (self.reconfig, kind::RE_CONFIG),
            (self.forward_tsn, kind::FORWARD_TSN),
            (self.interleaving, kind::I_DATA),
            (self.interleaving && self.forward_tsn, kind::I_FORWARD_TSN),
        ];
        let supported: Vec<u8> = chunks.iter().filter(|(can, _)| *can).map(|(_, kind)| *kind).collect();
        write_parameter(out, parameter::SUPPORTED_EXTENSIONS, &supported);
        if self.zero_checksum {
            write_parameter(out, parameter::ZERO_CHECKSUM, &DTLS_DETECTS_ERRORS.to_be_bytes());
        }
    }
}

/// The alternate error detection method of RFC 9653 §4 that is SCTP over DTLS.
const DTLS_DETECTS_ERRORS: u32 = 1;

/// What the parameters of an INIT or INIT ACK say.
#[derive(Debug, Default)]
pub struct InitParameters<'a> {
    /// What the peer can do.
    pub capabilities: Capabilities,
    /// The state cookie, in INIT ACK.
    pub cookie: Option<&'a [u8]>,
    /// A host name, which must not be there (RFC 9260 §5.1.2 B).
    pub host_name: Option<RawParameter<'a>>,
    /// Unknown parameters that want to be reported.
    pub unrecognized: Vec<RawParameter<'a>>,
}

impl<'a> InitParameters<'a> {
    /// At most so many unknown parameters are reported.
    const MAX_UNRECOGNIZED: usize = 8;

    /// Reads the parameters, obeying the top bits of unknown ones.
    pub fn read(parameters: Parameters<'a>) -> Self {
        let mut read = Self::default();
        for raw in parameters.iter() {
            match raw.kind {
                parameter::STATE_COOKIE => read.cookie = Some(raw.value),
                parameter::FORWARD_TSN_SUPPORTED => read.capabilities.forward_tsn = true,
                parameter::SUPPORTED_EXTENSIONS => {
                    read.capabilities.forward_tsn |= raw.value.contains(&kind::FORWARD_TSN);
                    read.capabilities.reconfig |= raw.value.contains(&kind::RE_CONFIG);
                    read.capabilities.interleaving |= raw.value.contains(&kind::I_DATA);
                }
                parameter::ZERO_CHECKSUM => {
                    read.capabilities.zero_checksum = raw.value == DTLS_DETECTS_ERRORS.to_be_bytes();
                }
                parameter::HOST_NAME => read.host_name = Some(raw),
                // Addresses, cookie preservative, ECN, address types, authentication: of no use over DTLS.
                5 | 6 | 8 | 9 | 12 | 0x8000 | 0x8002..=0x8004 => {}
                other => {
                    let action = unknown((other >> 8) as u8);
                    if action.report && read.unrecognized.len() < Self::MAX_UNRECOGNIZED {
                        read.unrecognized.push(raw);
                    }
                    if !action.skip {
                        break;
                    }
                }
            }
        }
        read
    }
}
