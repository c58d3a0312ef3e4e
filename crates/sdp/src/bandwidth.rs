//! `b=`.

use std::fmt;

use crate::error::Malformed;
use crate::keyword::keywords;
use crate::words::{Words, number};

/// How much the session or the media takes at most (RFC 8866 §5.8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bandwidth {
    /// What is counted, and in which unit.
    pub kind: BandwidthType,
    /// The amount, in the unit of its kind.
    pub value: u64,
}

impl Bandwidth {
    pub(crate) fn parse(words: &mut Words<'_>) -> Result<Self, Malformed> {
        let word = words.word("a type of bandwidth")?;
        let (kind, value) = word.split_once(':').unwrap_or((word, ""));
        if kind.is_empty() {
            return Err(words.expected(word, "a type of bandwidth"));
        }
        let value = number(value).ok_or_else(|| words.expected_here("a colon and a bandwidth"))?;
        Ok(Self { kind: BandwidthType::read(words.source(), kind), value })
    }
}

impl fmt::Display for Bandwidth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind, self.value)
    }
}

keywords! {
    /// What a bandwidth counts.
    BandwidthType, "a type of bandwidth" {
        /// All sites together, in kilobits a second.
        ConferenceTotal = "CT",
        /// Of the application at one site, with headers below, in kilobits a second.
        ApplicationSpecific = "AS",
        /// Of the transport without headers below, in bits a second (RFC 3890 §6.2).
        TransportIndependent = "TIAS",
        /// RTCP of active senders, in bits a second (RFC 3556 §2).
        RtcpSenders = "RS",
        /// RTCP of all others, in bits a second (RFC 3556 §2).
        RtcpReceivers = "RR",
    }
}
