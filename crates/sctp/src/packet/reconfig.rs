//! RE-CONFIG (RFC 6525 §3.1, §4).

use antiphon_util::{ParseError, Reader, Writer};

use super::chunk::write_chunk_header;
use super::parameters::{Parameters, parameter, write_parameter};
use super::{RawParameter, kind};
use crate::StreamId;

/// Asks for or answers changes of streams; one or two parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReConfig<'a> {
    parameters: Parameters<'a>,
}

impl<'a> ReConfig<'a> {
    pub(super) fn parse(reader: &mut Reader<'a>) -> Result<Self, ParseError> {
        Ok(Self { parameters: Parameters::parse(reader)? })
    }

    /// Its parameters; at most two are allowed.
    pub fn parameters(&self) -> impl Iterator<Item = Result<Reconfiguration<'a>, ParseError>> + 'a {
        self.parameters.iter().take(2).map(Reconfiguration::parse)
    }

    /// Appends the chunk.
    pub fn write(&self, out: &mut Writer<'_>) {
        let parameters = self.parameters.as_bytes();
        super::write_chunk(out, kind::RE_CONFIG, 0, parameters);
    }
}

/// One parameter of RE-CONFIG.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reconfiguration<'a> {
    /// The sender resets its outgoing streams.
    OutgoingReset(OutgoingReset<'a>),
    /// The sender asks the receiver to reset the receiver's outgoing streams.
    IncomingReset(IncomingReset<'a>),
    /// The sender asks for a reset of all sequence numbers.
    SsnTsnReset {
        /// Sequence number of the request.
        request: u32,
    },
    /// The answer to a request.
    Response {
        /// Sequence number of the request that is answered.
        request: u32,
        /// How it went.
        result: ResetResult,
    },
    /// The sender wants more outgoing streams.
    AddOutgoing {
        /// Sequence number of the request.
        request: u32,
        /// How many more.
        count: u16,
    },
    /// The sender wants the receiver to have more outgoing streams.
    AddIncoming {
        /// Sequence number of the request.
        request: u32,
        /// How many more.
        count: u16,
    },
    /// A parameter not known here.
    Unknown(RawParameter<'a>),
}

impl<'a> Reconfiguration<'a> {
    fn parse(raw: RawParameter<'a>) -> Result<Self, ParseError> {
        let mut reader = Reader::new(raw.value);
        Ok(match raw.kind {
            parameter::OUTGOING_RESET => Self::OutgoingReset(OutgoingReset {
                request: reader.u32()?,
                response: reader.u32()?,
                last_tsn: reader.u32()?,
                streams: Streams::parse(&mut reader)?,
            }),
            parameter::INCOMING_RESET => {
                let request = reader.u32()?;
                Self::IncomingReset(IncomingReset { request, streams: Streams::parse(&mut reader)? })
            }
            parameter::SSN_TSN_RESET => Self::SsnTsnReset { request: reader.u32()? },
            parameter::RECONFIG_RESPONSE => {
                Self::Response { request: reader.u32()?, result: ResetResult::from_wire(reader.u32()?) }
            }
            parameter::ADD_OUTGOING => Self::AddOutgoing { request: reader.u32()?, count: reader.u16()? },
            parameter::ADD_INCOMING => Self::AddIncoming { request: reader.u32()?, count: reader.u16()? },
            _ => Self::Unknown(raw),
        })
    }
}

/// Outgoing SSN Reset Request (RFC 6525 §4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutgoingReset<'a> {
    /// Sequence number of the request.
    pub request: u32,
    /// Sequence number of the request of the other side that this answers, or of the one before the next.
    pub response: u32,
    /// Last TSN that the sender assigned.
    pub last_tsn: u32,
    streams: Streams<'a>,
}

impl<'a> OutgoingReset<'a> {
    /// The streams; none means all.
    pub fn streams(&self) -> impl Iterator<Item = StreamId> + 'a {
        self.streams.iter()
    }

    /// Appends a RE-CONFIG chunk that holds this request.
    pub(crate) fn write_parts(
        out: &mut Writer<'_>,
        request: u32,
        response: u32,
        last_tsn: u32,
        streams: &[StreamId],
    ) {
        let len = 16 + 2 * streams.len();
        let padding = len.wrapping_neg() % 4;
        write_chunk_header(out, kind::RE_CONFIG, 0, len + padding);
        out.u16(parameter::OUTGOING_RESET);
        out.u16(len as u16);
        out.u32(request);
        out.u32(response);
        out.u32(last_tsn);
        streams.iter().for_each(|stream| out.u16(stream.0));
        out.zeros(padding);
    }
}

/// Incoming SSN Reset Request (RFC 6525 §4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IncomingReset<'a> {
    /// Sequence number of the request.
    pub request: u32,
    streams: Streams<'a>,
}

impl<'a> IncomingReset<'a> {
    /// The streams; none means all.
    pub fn streams(&self) -> impl Iterator<Item = StreamId> + 'a {
        self.streams.iter()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Streams<'a>(&'a [u8]);

impl<'a> Streams<'a> {
    fn parse(reader: &mut Reader<'a>) -> Result<Self, ParseError> {
        let bytes = reader.rest();
        if bytes.len().is_multiple_of(2) { Ok(Self(bytes)) } else { Err(ParseError::Length) }
    }

    fn iter(&self) -> impl Iterator<Item = StreamId> + 'a {
        self.0.as_chunks::<2>().0.iter().map(|id| StreamId(u16::from_be_bytes(*id)))
    }
}

/// Result of a request (RFC 6525 §4.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResetResult {
    /// There was nothing to do.
    NothingToDo,
    /// Done.
    Performed,
    /// Refused.
    Denied,
    /// A stream id was wrong.
    WrongStream,
    /// Another request is being worked on.
    RequestInProgress,
    /// The sequence number was not the expected one.
    BadSequenceNumber,
    /// It will be done; ask again.
    InProgress,
    /// A value not known here.
    Other(u32),
}

impl ResetResult {
    fn from_wire(value: u32) -> Self {
        match value {
            0 => Self::NothingToDo,
            1 => Self::Performed,
            2 => Self::Denied,
            3 => Self::WrongStream,
            4 => Self::RequestInProgress,
            5 => Self::BadSequenceNumber,
            6 => Self::InProgress,
            other => Self::Other(other),
        }
    }

    fn to_wire(self) -> u32 {
        match self {
            Self::NothingToDo => 0,
            Self::Performed => 1,
            Self::Denied => 2,
            Self::WrongStream => 3,
            Self::RequestInProgress => 4,
            Self::BadSequenceNumber => 5,
            Self::InProgress => 6,
            Self::Other(other) => other,
        }
    }

    /// Appends a RE-CONFIG chunk that answers `request`.
    pub(crate) fn write_response(self, out: &mut Writer<'_>, request: u32) {
        let mut value = [0; 8];
        let (first, second) = value.split_at_mut(4);
        first.copy_from_slice(&request.to_be_bytes());
        second.copy_from_slice(&self.to_wire().to_be_bytes());
        write_chunk_header(out, kind::RE_CONFIG, 0, 12);
        write_parameter(out, parameter::RECONFIG_RESPONSE, &value);
    }
}
