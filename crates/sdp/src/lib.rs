//! Session Description Protocol text to types and back, with the attributes of WebRTC.
//!
//! * [`Session`] parses a description (RFC 8866) into a session-level [`Section`] and its [`Media`] sections, and
//!   writes it again with [`Display`](std::fmt::Display). Every line keeps its place and, until it is replaced, its
//!   text byte for byte; line endings become CRLF.
//! * [`Attribute`] gives the attributes that set up transports as typed values: ICE (RFC 8839), DTLS (RFC 8122, 8842),
//!   SCTP (RFC 8841 and the form before it), grouping (RFC 5888, 9143). Every other one is kept by name and value.
//! * [`Candidate`] is also parsed and written alone, as it travels in trickled signalling (RFC 8838).
//! * [`Limits`] bound what a description may hold; [`ParseError`] names line, column and what was expected there.
//!
//! There is no negotiation here: what an answer says is up to the user of the types.
//!
//! Tolerated where real senders need it: lines that end in LF alone, a missing last line end, blank lines at the end,
//! blanks at the end of a line, absent `s=` and `t=` lines, attributes in any order, unknown line types and attributes.
//!
//! ```
//! use antiphon_sdp::{Attribute, Session, Setup};
//!
//! let text = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n\
//!             m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\n\
//!             a=setup:actpass\r\na=mid:0\r\na=sctp-port:5000\r\n";
//! let mut session: Session = text.parse()?;
//! assert_eq!(session.to_string(), text);
//!
//! let media = &mut session.media[0];
//! assert_eq!(media.section.mid(), Some("0"));
//! assert_eq!(media.section.setup(), Some(Setup::ActPass));
//! media.section.push(Attribute::MaxMessageSize(262_144))?;
//! assert!(session.to_string().ends_with("a=max-message-size:262144\r\n"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

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
