//! `t=`, `r=` and `z=`.

use std::fmt;

use crate::error::Malformed;
use crate::words::{Words, number};

/// When the session takes place (RFC 8866 §5.9), in seconds since 1900.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timing {
    /// When it starts; 0 with a `stop` of 0 for a permanent session, which WebRTC has always.
    pub start: u64,
    /// When it ends, 0 for unbounded.
    pub stop: u64,
}

impl Timing {
    pub(crate) fn parse(words: &mut Words<'_>) -> Result<Self, Malformed> {
        Ok(Self { start: words.number("a time to start")?, stop: words.number("a time to stop")? })
    }
}

impl fmt::Display for Timing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.start, self.stop)
    }
}

/// How a session repeats (RFC 8866 §5.10), all in seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repeat {
    /// From one round to the next.
    pub interval: u64,
    /// Of each session.
    pub duration: u64,
    /// When sessions start, from the start of each round.
    pub offsets: Vec<u64>,
}

impl Repeat {
    pub(crate) fn parse(words: &mut Words<'_>) -> Result<Self, Malformed> {
        let interval = words.convert("an interval", seconds)?;
        let duration = words.convert("a duration", seconds)?;
        let mut offsets = vec![words.convert("an offset", seconds)?];
        while let Some(word) = words.next() {
            offsets.push(seconds(word).ok_or_else(|| words.expected(word, "an offset"))?);
        }
        Ok(Self { interval, duration, offsets })
    }
}

impl fmt::Display for Repeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.interval, self.duration)?;
        self.offsets.iter().try_for_each(|offset| write!(f, " {offset}"))
    }
}

/// How the clock of a repeated session is set forward and back (RFC 8866 §5.11).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeZones(pub Vec<TimeZoneAdjustment>);

/// One change of the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeZoneAdjustment {
    /// When, in seconds since 1900.
    pub time: u64,
    /// The offset from then on, in seconds.
    pub offset: i64,
}

impl TimeZones {
    pub(crate) fn parse(words: &mut Words<'_>) -> Result<Self, Malformed> {
        let mut adjustments = Vec::new();
        let mut next = Some(words.word("a time of adjustment")?);
        while let Some(word) = next {
            let time = number(word).ok_or_else(|| words.expected(word, "a time of adjustment"))?;
            let offset = words.convert("an offset with sign or without", signed_seconds)?;
            adjustments.push(TimeZoneAdjustment { time, offset });
            next = words.next();
        }
        Ok(Self(adjustments))
    }
}

impl fmt::Display for TimeZones {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for TimeZoneAdjustment { time, offset } in &self.0 {
            write!(f, "{separator}{time} {offset}")?;
            separator = " ";
        }
        Ok(())
    }
}

/// Seconds, or another unit by its letter: `7d`, `1h`.
fn seconds(word: &str) -> Option<u64> {
    let (digits, unit) = match word.as_bytes().last()? {
        b'd' => (word.strip_suffix('d')?, 86_400),
        b'h' => (word.strip_suffix('h')?, 3_600),
        b'm' => (word.strip_suffix('m')?, 60),
        b's' => (word.strip_suffix('s')?, 1),
        _ => (word, 1),
    };
    number::<u64>(digits)?.checked_mul(unit)
}

fn signed_seconds(word: &str) -> Option<i64> {
    match word.strip_prefix('-') {
        Some(digits) => seconds(digits).and_then(|seconds| 0_i64.checked_sub_unsigned(seconds)),
        None => seconds(word)?.try_into().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_read_as_seconds() {
        assert_eq!(["7d", "25h", "3m", "9s", "9"].map(seconds), [604_800, 90_000, 180, 9, 9].map(Some));
        assert_eq!(["", "d", "1x", "-1", "9999999999999999999d"].map(seconds), [None; 5]);
        assert_eq!(["-1h", "1h", "--1", "+1"].map(signed_seconds), [Some(-3_600), Some(3_600), None, None]);
    }
}
