//! `rtcp`, `rtcp-fb` and `rtcp-xr`.

use std::fmt;

use super::ice::write_list;
use super::rtp::payload_type;
use crate::error::Malformed;
use crate::keyword::keywords;
use crate::words::{BLANKS, Source, Words, number};
use crate::{Address, AddressType, NetworkType, Text};

/// Where RTCP goes, if not to the port after that of RTP (RFC 3605 §2.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rtcp {
    /// The port.
    pub port: u16,
    /// The address, where it is another than that of `c=`.
    pub address: Option<(NetworkType, AddressType, Address)>,
}

impl Rtcp {
    pub(crate) fn parse_boxed(words: &mut Words<'_>) -> Result<Box<Self>, Malformed> {
        Self::parse(words).map(Box::new)
    }

    fn parse(words: &mut Words<'_>) -> Result<Self, Malformed> {
        let port = words.number("a port")?;
        let source = words.source();
        let Some(network) = words.next() else { return Ok(Self { port, address: None }) };
        let network = NetworkType::read(source, network);
        let address = (network, AddressType::parse(words)?, Address::parse(words, "an address")?);
        Ok(Self { port, address: Some(address) })
    }
}

impl fmt::Display for Rtcp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.port)?;
        let Some((network, kind, address)) = &self.address else { return Ok(()) };
        write!(f, " {network} {kind} {address}")
    }
}

/// Feedback that the describing end takes and gives for a format (RFC 4585 §4.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RtcpFb {
    /// The payload type; `None` for all of the section.
    pub payload_type: Option<u8>,
    /// The feedback.
    pub feedback: Feedback,
}

impl RtcpFb {
    /// Feedback for a payload type.
    pub fn new(payload_type: u8, feedback: Feedback) -> Self {
        Self { payload_type: Some(payload_type), feedback }
    }

    pub(crate) fn parse(words: &mut Words<'_>) -> Result<Self, Malformed> {
        let payload_type = words.convert("a payload type or *", |word| match word {
            "*" => Some(None),
            word => payload_type(word).map(Some),
        })?;
        let rest = words.rest().ok_or_else(|| words.expected_here("a kind of feedback"))?;
        Ok(Self { payload_type, feedback: Feedback::read(words.source(), rest) })
    }
}

impl fmt::Display for RtcpFb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.payload_type {
            Some(payload_type) => write!(f, "{payload_type} {}", self.feedback),
            None => write!(f, "* {}", self.feedback),
        }
    }
}

/// A kind of feedback.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Feedback {
    /// `nack`: packets that were lost (RFC 4585 §6.2.1).
    Nack,
    /// `nack pli`: a picture was lost (RFC 4585 §6.3.1).
    NackPli,
    /// `nack sli`: parts of a picture were lost (RFC 4585 §6.3.2).
    NackSli,
    /// `nack rpsi`: which reference picture is missing (RFC 4585 §6.3.3).
    NackRpsi,
    /// `nack rai`: a random access point is wanted.
    NackRai,
    /// `nack tllei`: packets whose loss another has told (RFC 6642 §6).
    NackTllei,
    /// `nack pslei`: pictures whose loss another has told (RFC 6642 §6).
    NackPslei,
    /// `nack ecn`: marks of congestion (RFC 6679 §6.2).
    NackEcn,
    /// `ack rpsi`: which reference pictures arrived (RFC 4585 §6.3.3).
    AckRpsi,
    /// `ack ccfb`: arrival times of packets (RFC 8888 §6).
    AckCcfb,
    /// `ccm fir`: a whole picture is wanted (RFC 5104 §7.1).
    CcmFir,
    /// `ccm tmmbr`: the rate is to be held down (RFC 5104 §7.1).
    CcmTmmbr {
        /// `smaxpr`: packets a second at most.
        max_packet_rate: Option<u32>,
    },
    /// `ccm tstn`: time or space is to be traded (RFC 5104 §7.1).
    CcmTstn,
    /// `ccm pause`: streams can be paused (RFC 7728 §9).
    CcmPause,
    /// `trr-int`: the least time between reports, in milliseconds (RFC 4585 §4.2).
    TrrInt(u32),
    /// `goog-remb`: the rate that the receiver estimates.
    GoogRemb,
    /// `transport-cc`: arrival times of packets, as Chromium has them.
    TransportCc,
    /// Another, by all its words.
    Other(Text),
}

impl Feedback {
    fn known(rest: &str) -> Option<Self> {
        Some(match rest {
            "nack" => Self::Nack,
            "nack pli" => Self::NackPli,
            "goog-remb" => Self::GoogRemb,
            "transport-cc" => Self::TransportCc,
            "ccm fir" => Self::CcmFir,
            "nack sli" => Self::NackSli,
            "nack rpsi" => Self::NackRpsi,
            "nack rai" => Self::NackRai,
            "nack tllei" => Self::NackTllei,
            "nack pslei" => Self::NackPslei,
            "nack ecn" => Self::NackEcn,
            "ack rpsi" => Self::AckRpsi,
            "ack ccfb" => Self::AckCcfb,
            "ccm tmmbr" => Self::CcmTmmbr { max_packet_rate: None },
            "ccm tstn" => Self::CcmTstn,
            "ccm pause" => Self::CcmPause,
            _ => {
                if let Some(rate) = rest.strip_prefix("ccm tmmbr smaxpr=") {
                    return Some(Self::CcmTmmbr { max_packet_rate: Some(number(rate)?) });
                }
                Self::TrrInt(number(rest.strip_prefix("trr-int ")?)?)
            }
        })
    }

    fn read(source: Source<'_>, rest: &str) -> Self {
        Self::known(rest.trim_end_matches(BLANKS)).unwrap_or_else(|| Self::Other(source.text(rest)))
    }
}

/// The words behind the payload type.
impl From<&str> for Feedback {
    fn from(words: &str) -> Self {
        Self::known(words).unwrap_or_else(|| Self::Other(words.into()))
    }
}

impl fmt::Display for Feedback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nack => "nack",
            Self::NackPli => "nack pli",
            Self::NackSli => "nack sli",
            Self::NackRpsi => "nack rpsi",
            Self::NackRai => "nack rai",
            Self::NackTllei => "nack tllei",
            Self::NackPslei => "nack pslei",
            Self::NackEcn => "nack ecn",
            Self::AckRpsi => "ack rpsi",
            Self::AckCcfb => "ack ccfb",
            Self::CcmFir => "ccm fir",
            Self::CcmTmmbr { max_packet_rate: None } => "ccm tmmbr",
            Self::CcmTmmbr { max_packet_rate: Some(rate) } => return write!(f, "ccm tmmbr smaxpr={rate}"),
            Self::CcmTstn => "ccm tstn",
            Self::CcmPause => "ccm pause",
            Self::TrrInt(milliseconds) => return write!(f, "trr-int {milliseconds}"),
            Self::GoogRemb => "goog-remb",
            Self::TransportCc => "transport-cc",
            Self::Other(words) => words,
        })
    }
}

/// Which extended reports the describing end would have (RFC 3611 §5.1); none where the list is empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RtcpXr(pub Vec<XrFormat>);

impl RtcpXr {
    pub(crate) fn parse(words: &mut Words<'_>) -> Result<Self, Malformed> {
        let source = words.source();
        Ok(Self(words.map(|word| XrFormat::read(source, word)).collect()))
    }
}

impl fmt::Display for RtcpXr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_list(f, &self.0, " ")
    }
}

/// A kind of extended report. A size is that of the whole block, in bytes, at most.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum XrFormat {
    /// `pkt-loss-rle`: which packets were lost.
    LossRle(Option<u32>),
    /// `pkt-dup-rle`: which packets came twice.
    DuplicateRle(Option<u32>),
    /// `pkt-rcpt-times`: when packets came.
    ReceiptTimes(Option<u32>),
    /// `rcvr-rtt`: the round trip, for receivers too.
    ReceiverRtt {
        /// Whether only senders answer.
        senders_only: bool,
        /// The size of the answer.
        max_size: Option<u32>,
    },
    /// `stat-summary`: statistics of an interval, with these.
    StatSummary(Vec<XrStatistic>),
    /// `voip-metrics`: the quality of speech.
    VoipMetrics,
    /// Another, as it stands.
    Other(Text),
}

impl XrFormat {
    fn read(source: Source<'_>, word: &str) -> Self {
        Self::known(source, word).unwrap_or_else(|| Self::Other(source.text(word)))
    }

    fn known(source: Source<'_>, word: &str) -> Option<Self> {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word, None),
        };
        let size = || value.map_or(Some(None), |value| number(value).map(Some));
        match (name, value) {
            ("pkt-loss-rle", _) => size().map(Self::LossRle),
            ("pkt-dup-rle", _) => size().map(Self::DuplicateRle),
            ("pkt-rcpt-times", _) => size().map(Self::ReceiptTimes),
            ("rcvr-rtt", Some(value)) => Self::read_rtt(value),
            ("stat-summary", None) => Some(Self::StatSummary(Vec::new())),
            ("stat-summary", Some(list)) if !list.split(',').any(str::is_empty) => {
                Some(Self::StatSummary(list.split(',').map(|word| XrStatistic::read(source, word)).collect()))
            }
            ("voip-metrics", None) => Some(Self::VoipMetrics),
            _ => None,
        }
    }

    fn read_rtt(value: &str) -> Option<Self> {
        let (mode, max_size) = match value.split_once(':') {
            Some((mode, size)) => (mode, Some(number(size)?)),
            None => (value, None),
        };
        match mode {
            "all" => Some(Self::ReceiverRtt { senders_only: false, max_size }),
            "sender" => Some(Self::ReceiverRtt { senders_only: true, max_size }),
            _ => None,
        }
    }
}

impl fmt::Display for XrFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sized = |f: &mut fmt::Formatter<'_>, name, size: Option<u32>| match size {
            Some(size) => write!(f, "{name}={size}"),
            None => f.write_str(name),
        };
        match self {
            Self::LossRle(size) => sized(f, "pkt-loss-rle", *size),
            Self::DuplicateRle(size) => sized(f, "pkt-dup-rle", *size),
            Self::ReceiptTimes(size) => sized(f, "pkt-rcpt-times", *size),
            Self::ReceiverRtt { senders_only, max_size } => {
                write!(f, "rcvr-rtt={}", if *senders_only { "sender" } else { "all" })?;
                max_size.map_or(Ok(()), |size| write!(f, ":{size}"))
            }
            Self::StatSummary(statistics) => {
                f.write_str(if statistics.is_empty() { "stat-summary" } else { "stat-summary=" })?;
                write_list(f, statistics, ",")
            }
            Self::VoipMetrics => f.write_str("voip-metrics"),
            Self::Other(word) => f.write_str(word),
        }
    }
}

keywords! {
    /// What a summary of statistics tells.
    XrStatistic, "a statistic" {
        /// How many packets were lost.
        Loss = "loss",
        /// How many packets came twice.
        Duplicates = "dup",
        /// The jitter.
        Jitter = "jitt",
        /// Times to live, over IPv4.
        TimeToLive = "TTL",
        /// Hop limits, over IPv6.
        HopLimit = "HL",
    }
}
