#![doc = include_str!("../README.md")]
//!
//! # Where to find what
//!
//! * [`Session`] has a [`Section`] of lines and its [`Media`] sections; [`Line`] holds a text and its [`Value`].
//! * [`Attribute`] is the enum of all attributes with a type; [`Candidate`] is also read and written alone.
//! * [`Codec`] joins the lines of a payload type; [`CodecParameters`] types what `fmtp` says.
//! * [`Parser`] reads by [`Limits`] and [`Tolerance`]; [`ParseError`] names the place and the [`Reason`].
//! * [`SessionBuilder`], [`MediaBuilder`], [`Section::push`] and [`Section::set`] write.
//! * [`Text`] is the one type of text: a piece of what was read, without a copy.

mod address;
mod attribute;
mod bandwidth;
mod builder;
mod codec;
mod connection;
mod decimal;
mod error;
mod keyword;
mod limits;
mod line;
mod media_line;
mod mux;
mod origin;
mod parameters;
mod parser;
mod section;
mod session;
mod text;
mod timing;
mod tolerance;
mod words;

pub use address::{Address, AddressType, NetworkType};
pub use attribute::{
    AspectRatio, Attribute, Candidate, CandidateExtension, CandidateKind, Content, ContentKind, Direction,
    Extmap, Feedback, Fingerprint, Fmtp, Group, GroupSemantics, IceOptions, Identity, ImageAttr, ImageSet,
    ImageSets, ImageSizes, Msid, MsidSemantic, RemoteCandidate, RemoteCandidates, Restriction, Rid,
    RidDirection, Rtcp, RtcpFb, RtcpXr, Rtpmap, SampleRatios, SctpMap, Setup, Simulcast, SimulcastStream,
    Ssrc, SsrcGroup, SsrcGroupSemantics, TcpType, Transport, XrFormat, XrStatistic,
};
pub use bandwidth::{Bandwidth, BandwidthType};
pub use builder::{MediaBuilder, SessionBuilder};
pub use codec::{
    Av1Parameters, Codec, CodecParameters, FlexFecParameters, H264Parameters, H264Profile, H265Parameters,
    OpusParameters, ProfileLevelId, RedParameters, RtxParameters, UlpFecParameters, Vp8Parameters,
    Vp9Parameters,
};
pub use connection::Connection;
pub use decimal::{Decimal, InvalidDecimalError};
pub use error::{InvalidLineError, ParseError, Reason};
pub use limits::Limits;
pub use line::{Line, Value};
pub use media_line::MediaLine;
pub use mux::MuxCategory;
pub use origin::Origin;
pub use parameters::{InvalidParameterError, Parameter, Parameters};
pub use parser::Parser;
pub use section::Section;
pub use session::{Media, Session};
pub use text::Text;
pub use timing::{Repeat, TimeZoneAdjustment, TimeZones, Timing};
pub use tolerance::Tolerance;
