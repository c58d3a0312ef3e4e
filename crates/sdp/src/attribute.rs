//! Attributes as typed values.

mod candidate;
mod content;
mod dtls;
mod group;
mod ice;
mod image;
mod msid;
mod rid;
mod rtcp;
mod rtp;
mod sctp;
mod simulcast;
mod ssrc;

use std::fmt;
use std::str::FromStr;

use crate::error::Malformed;
use crate::words::{Source, Words};
use crate::{Decimal, MuxCategory, ParseError, Text};

pub use candidate::{Candidate, CandidateExtension, CandidateKind, TcpType, Transport};
pub use content::{Content, ContentKind};
pub use dtls::{Fingerprint, Identity, Setup};
pub use group::{Group, GroupSemantics};
pub use ice::{IceOptions, RemoteCandidate, RemoteCandidates};
pub use image::{AspectRatio, ImageAttr, ImageSet, ImageSets, ImageSizes, SampleRatios};
pub use msid::{Msid, MsidSemantic};
pub use rid::{Restriction, Rid, RidDirection};
pub use rtcp::{Feedback, Rtcp, RtcpFb, RtcpXr, XrFormat, XrStatistic};
pub(crate) use rtp::payload_type;
pub use rtp::{Direction, Extmap, Fmtp, Rtpmap};
pub use sctp::SctpMap;
pub use simulcast::{Simulcast, SimulcastStream};
pub use ssrc::{Ssrc, SsrcGroup, SsrcGroupSemantics};

/// The enum of attributes from one table: each with its name, what reads its value, and its category in a bundle.
macro_rules! attributes {
    (
        values { $($(#[$value_meta:meta])* $value:ident($type:ty) = $value_name:literal, $parse:expr, $value_mux:ident;)* }
        flags { $($(#[$flag_meta:meta])* $flag:ident = $flag_name:literal, $flag_mux:ident;)* }
    ) => {
        /// An attribute (RFC 8866 §5.13).
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[non_exhaustive]
        // With a tag of a whole word attributes are moved word by word, which reading is faster for.
        #[repr(u64)]
        pub enum Attribute {
            $($(#[$value_meta])* $value($type),)*
            $($(#[$flag_meta])* $flag,)*
            /// Any other, kept as it stands.
            Other {
                /// The name, before the colon.
                name: Text,
                /// The value, after the colon, if there is one.
                value: Option<Text>,
            },
        }

        impl Attribute {
            /// The name, before the colon.
            pub fn name(&self) -> &str {
                match self {
                    $(Self::$value(_) => $value_name,)*
                    $(Self::$flag => $flag_name,)*
                    Self::Other { name, .. } => name,
                }
            }

            /// What becomes of it where media sections share a transport (RFC 8859 §4); `Caution` where this is unknown.
            pub fn mux_category(&self) -> MuxCategory {
                match self {
                    $(Self::$value(_) => MuxCategory::$value_mux,)*
                    $(Self::$flag => MuxCategory::$flag_mux,)*
                    Self::Other { .. } => MuxCategory::Caution,
                }
            }

            /// `text` is the value, or what stands behind the name where there is none.
            fn parse_named(source: Source<'_>, name: &str, text: &str, has_value: bool) -> Result<Self, Malformed> {
                let mut words = Words::new(source, text);
                match name {
                    $($value_name => {
                        let value = $parse(&mut words)?;
                        words.end()?;
                        Ok(Self::$value(value))
                    })*
                    $($flag_name => {
                        words.end()?;
                        if has_value {
                            return Err(words.expected_here("the end of the line"));
                        }
                        Ok(Self::$flag)
                    })*
                    _ => Ok(Self::other(source, name, has_value.then_some(text))),
                }
            }

            /// Whether there is no value behind the name.
            fn is_flag(&self) -> bool {
                match self {
                    $(Self::$value(_) => false,)*
                    $(Self::$flag => true,)*
                    Self::Other { value, .. } => value.is_none(),
                }
            }

            fn fmt_value(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$value(value) => fmt::Display::fmt(value, f),)*
                    $(Self::$flag => Ok(()),)*
                    Self::Other { value, .. } => value.as_ref().map_or(Ok(()), |value| f.write_str(value)),
                }
            }
        }
    };
}

attributes! {
    values {
        /// `rtcp-fb` (RFC 4585 §4.2).
        RtcpFb(RtcpFb) = "rtcp-fb", RtcpFb::parse, IdenticalPerPt;
        /// `rtpmap` (RFC 8866 §6.6).
        Rtpmap(Rtpmap) = "rtpmap", Rtpmap::parse, IdenticalPerPt;
        /// `fmtp` (RFC 8866 §6.15).
        Fmtp(Fmtp) = "fmtp", Fmtp::parse, IdenticalPerPt;
        /// `extmap` (RFC 8285 §8).
        Extmap(Extmap) = "extmap", Extmap::parse, Special;
        /// `ssrc` (RFC 5576 §4.1).
        Ssrc(Ssrc) = "ssrc", Ssrc::parse, Normal;
        /// `candidate` (RFC 8839 §5.1).
        Candidate(Box<Candidate>) = "candidate", Candidate::parse_boxed, Transport;
        /// `ssrc-group` (RFC 5576 §4.2).
        SsrcGroup(SsrcGroup) = "ssrc-group", SsrcGroup::parse, Normal;
        /// `mid` (RFC 5888 §4).
        Mid(Text) = "mid", |words: &mut Words<'_>| words.text("an identification tag"), Normal;
        /// `ice-ufrag` (RFC 8839 §5.4): 4 to 256 characters.
        IceUfrag(Text) = "ice-ufrag", ice::parse_ufrag, Transport;
        /// `ice-pwd` (RFC 8839 §5.4): 22 to 256 characters.
        IcePwd(Text) = "ice-pwd", ice::parse_pwd, Transport;
        /// `ice-options` (RFC 8839 §5.6).
        IceOptions(IceOptions) = "ice-options", IceOptions::parse, Normal;
        /// `fingerprint` (RFC 8122 §5).
        Fingerprint(Fingerprint) = "fingerprint", Fingerprint::parse, Transport;
        /// `setup` (RFC 4145 §4, RFC 8842 §5).
        Setup(Setup) = "setup", Setup::parse, Transport;
        /// `msid` (RFC 8830 §2).
        Msid(Msid) = "msid", Msid::parse, Normal;
        /// `rtcp` (RFC 3605 §2.1).
        Rtcp(Box<Rtcp>) = "rtcp", Rtcp::parse_boxed, Transport;
        /// `rtcp-xr` (RFC 3611 §5.1).
        RtcpXr(RtcpXr) = "rtcp-xr", RtcpXr::parse, Normal;
        /// `rid` (RFC 8851 §10).
        Rid(Box<Rid>) = "rid", Rid::parse_boxed, Special;
        /// `simulcast` (RFC 8853 §5.1).
        Simulcast(Box<Simulcast>) = "simulcast", Simulcast::parse_boxed, Normal;
        /// `group` (RFC 5888 §5).
        Group(Group) = "group", Group::parse, Normal;
        /// `msid-semantic`, which was taken out before RFC 8830 and is sent still.
        MsidSemantic(MsidSemantic) = "msid-semantic", MsidSemantic::parse, Normal;
        /// `sctp-port` (RFC 8841 §5).
        SctpPort(u16) = "sctp-port", |words: &mut Words<'_>| words.number("a port"), Caution;
        /// `sctpmap`, the form before RFC 8841.
        SctpMap(SctpMap) = "sctpmap", SctpMap::parse, Caution;
        /// `sctp-init`: the INIT chunk in base64, which Chromium sends ahead of the association in a trial.
        SctpInit(Text) = "sctp-init", sctp::parse_init, Caution;
        /// `max-message-size` in bytes, 0 for any size (RFC 8841 §6).
        MaxMessageSize(u64) = "max-message-size", |words: &mut Words<'_>| words.number("a size in bytes"), Caution;
        /// `tls-id` (RFC 8842 §4): 20 to 255 characters.
        TlsId(Text) = "tls-id", dtls::parse_tls_id, Identical;
        /// `identity` (RFC 8827 §5).
        Identity(Identity) = "identity", Identity::parse, Normal;
        /// `ice-pacing`: from check to check, in milliseconds (RFC 8839 §5.5).
        IcePacing(u64) = "ice-pacing", ice::parse_pacing, Transport;
        /// `remote-candidates` (RFC 8839 §5.2).
        RemoteCandidates(RemoteCandidates) = "remote-candidates", RemoteCandidates::parse, Transport;
        /// `imageattr` (RFC 6236 §3.1).
        ImageAttr(Box<ImageAttr>) = "imageattr", ImageAttr::parse_boxed, IdenticalPerPt;
        /// `ptime`: what one packet holds, in milliseconds (RFC 8866 §6.4).
        Ptime(Decimal) = "ptime", content::parse_time, IdenticalPerPt;
        /// `maxptime`: what one packet holds at most, in milliseconds (RFC 8866 §6.5).
        MaxPtime(Decimal) = "maxptime", content::parse_time, IdenticalPerPt;
        /// `framerate`: frames a second at most (RFC 8866 §6.13).
        FrameRate(Decimal) = "framerate", content::parse_frame_rate, IdenticalPerPt;
        /// `content` (RFC 4796 §5).
        Content(Content) = "content", Content::parse, Normal;
    }
    flags {
        /// `rtcp-mux`: RTP and RTCP on one port (RFC 5761 §5.1.1).
        RtcpMux = "rtcp-mux", Identical;
        /// `rtcp-mux-only`: no other way (RFC 8858 §3).
        RtcpMuxOnly = "rtcp-mux-only", Identical;
        /// `rtcp-rsize`: RTCP of reduced size (RFC 5506 §5).
        RtcpRsize = "rtcp-rsize", Identical;
        /// `sendrecv` (RFC 8866 §6.7).
        SendRecv = "sendrecv", Normal;
        /// `sendonly` (RFC 8866 §6.7).
        SendOnly = "sendonly", Normal;
        /// `recvonly` (RFC 8866 §6.7).
        RecvOnly = "recvonly", Normal;
        /// `inactive` (RFC 8866 §6.7).
        Inactive = "inactive", Normal;
        /// `extmap-allow-mixed`: header extensions with one and with two bytes side by side (RFC 8285 §6).
        ExtmapAllowMixed = "extmap-allow-mixed", Identical;
        /// `bundle-only`: the section exists in its bundle alone (RFC 9143 §6).
        BundleOnly = "bundle-only", Normal;
        /// `ice-lite` (RFC 8839 §5.3).
        IceLite = "ice-lite", Normal;
        /// `ice-mismatch` (RFC 8839 §5.3).
        IceMismatch = "ice-mismatch", Normal;
        /// `end-of-candidates` (RFC 8840 §8.1).
        EndOfCandidates = "end-of-candidates", Identical;
    }
}

impl Attribute {
    /// The attribute `name` with what stands after the colon, typed if its name is known.
    ///
    /// # Errors
    ///
    /// The value is not one of a known attribute of this name, or there is a line break.
    pub fn new(name: &str, value: Option<&str>) -> Result<Self, ParseError> {
        match value {
            Some(value) => format!("{name}:{value}").parse(),
            None => name.parse(),
        }
    }

    /// `text` is what stands after `a=`.
    #[inline]
    pub(crate) fn parse(source: Source<'_>, text: &str) -> Result<Self, Malformed> {
        let end = text.bytes().position(|byte| matches!(byte, b':' | b' ' | b'\t')).unwrap_or(text.len());
        let (name, behind) = text.split_at_checked(end).unwrap_or((text, ""));
        let value = behind.strip_prefix(':');
        // No token has an equals sign (RFC 8866 §9), and a name like a line could not be read back.
        let is_name =
            !name.is_empty() && !name.starts_with("a=") && (value.is_some() || source.is_nothing(behind));
        if !is_name {
            return Err(Malformed::expected(source.buffer, text, "the name of an attribute"));
        }
        let text = value.unwrap_or(behind);
        if is_ignorable(name) && source.tolerance.malformed_stream_restrictions {
            let read = Self::parse_named(source, name, text, value.is_some());
            return Ok(read.unwrap_or_else(|_| Self::other(source, name, value)));
        }
        Self::parse_named(source, name, text, value.is_some())
    }

    fn other(source: Source<'_>, name: &str, value: Option<&str>) -> Self {
        Self::Other { name: source.text(name), value: value.map(|value| source.text(value)) }
    }
}

/// Whether a malformed line of this name is to be passed over.
fn is_ignorable(name: &str) -> bool {
    matches!(name, "rid" | "simulcast" | "imageattr")
}

/// What stands after `a=`, or that with `a=`.
impl FromStr for Attribute {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        Source::read_alone(text, &["a="], |words| {
            let (source, text) = (words.source(), words.all());
            Self::parse(source, text)
        })
    }
}

/// Writes what stands after `a=`.
impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A candidate writes its own name, since that is how it is trickled.
        if !matches!(self, Self::Candidate(_)) {
            f.write_str(self.name())?;
            if !self.is_flag() {
                f.write_str(":")?;
            }
        }
        self.fmt_value(f)
    }
}

impl From<Direction> for Attribute {
    fn from(direction: Direction) -> Self {
        match direction {
            Direction::SendRecv => Self::SendRecv,
            Direction::SendOnly => Self::SendOnly,
            Direction::RecvOnly => Self::RecvOnly,
            Direction::Inactive => Self::Inactive,
        }
    }
}

impl From<Candidate> for Attribute {
    fn from(candidate: Candidate) -> Self {
        Self::Candidate(Box::new(candidate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is large and rare is boxed, so that the many small ones lie close.
    #[test]
    fn attributes_are_small() {
        assert!(size_of::<Attribute>() <= 56);
        assert!(size_of::<crate::Line>() <= 72);
    }
}
