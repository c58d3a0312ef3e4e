//! Numbers with a fraction.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

/// A number that is not negative, as `20` or `29.97` (RFC 8866 §9, `non-zero-int-or-real`).
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Decimal(f64);

impl Decimal {
    /// `None` unless the number is finite and not negative.
    pub fn new(number: f64) -> Option<Self> {
        // The sign of a zero has no text.
        (number.is_finite() && number >= 0.0).then_some(Self(number.abs()))
    }

    /// The number.
    pub fn value(self) -> f64 {
        self.0
    }

    pub(crate) fn read(text: &str) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(fraction) {
            return None;
        }
        Self::new(text.parse().ok()?)
    }
}

impl From<u32> for Decimal {
    fn from(number: u32) -> Self {
        Self(number.into())
    }
}

/// Digits, with a fraction where there is one.
impl FromStr for Decimal {
    type Err = InvalidDecimalError;

    fn from_str(text: &str) -> Result<Self, InvalidDecimalError> {
        Self::read(text).ok_or(InvalidDecimalError)
    }
}

/// Text that is no number, or a negative one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected digits with a fraction or without")]
pub struct InvalidDecimalError;

impl Eq for Decimal {}

impl Hash for Decimal {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_digits_with_or_without_fraction() {
        for (text, number) in [("20", 20.0), ("29.97", 29.97), ("0.5", 0.5), ("030.0", 30.0)] {
            let decimal: Decimal = text.parse().unwrap();
            assert_eq!(decimal.value(), number);
            assert_eq!(decimal.to_string().parse(), Ok(decimal));
        }
        let huge = "9".repeat(400);
        for text in ["", ".", "1.", ".5", "-1", "1e5", "inf", "NaN", "1.2.3", huge.as_str()] {
            assert_eq!(text.parse::<Decimal>(), Err(InvalidDecimalError), "{text}");
        }
    }
}
