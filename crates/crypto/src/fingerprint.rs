//! Certificate fingerprints, as descriptions carry them (RFC 8122 §5).

use std::fmt;
use std::str::FromStr;

use crate::{Digest, HashAlgorithm, constant_time_eq};

/// The hash of a certificate and the name of the hash function: `sha-256 AB:CD:…`.
///
/// Comparison takes constant time. SHA-1 and MD5 are refused: a second certificate with the same hash is within reach.
#[derive(Clone, Copy)]
pub struct Fingerprint {
    algorithm: HashAlgorithm,
    digest: Digest,
}

/// Why a text is no usable [`Fingerprint`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FingerprintError {
    /// The hash function is unknown or too weak.
    #[error("unsupported hash function")]
    UnsupportedHash,
    /// The value is not pairs of hexadecimal digits separated by colons.
    #[error("malformed value")]
    Malformed,
    /// The value is not as long as the hash function's output.
    #[error("wrong length")]
    Length,
}

impl Fingerprint {
    pub(crate) fn new(algorithm: HashAlgorithm, digest: Digest) -> Self {
        Self { algorithm, digest }
    }

    /// The fingerprint of a hash function's name and a colon-separated value, the two words of `a=fingerprint`.
    ///
    /// # Errors
    /// See [`FingerprintError`].
    pub fn from_parts(hash: &str, value: &str) -> Result<Self, FingerprintError> {
        let algorithm = [HashAlgorithm::Sha256, HashAlgorithm::Sha384, HashAlgorithm::Sha512]
            .into_iter()
            .find(|algorithm| name(*algorithm).eq_ignore_ascii_case(hash))
            .ok_or(FingerprintError::UnsupportedHash)?;
        let bytes =
            value.split(':').map(byte).collect::<Option<Vec<u8>>>().ok_or(FingerprintError::Malformed)?;
        if bytes.len() == algorithm.output_len() {
            Ok(Self { algorithm, digest: Digest::new(&bytes) })
        } else {
            Err(FingerprintError::Length)
        }
    }

    /// The hash function.
    pub fn algorithm(&self) -> HashAlgorithm {
        self.algorithm
    }

    /// The hash function's name in descriptions: `sha-256`.
    pub fn algorithm_name(&self) -> &'static str {
        name(self.algorithm)
    }

    /// The hash of the certificate.
    pub fn as_bytes(&self) -> &[u8] {
        &self.digest
    }
}

fn name(algorithm: HashAlgorithm) -> &'static str {
    match algorithm {
        HashAlgorithm::Sha1 => "sha-1",
        HashAlgorithm::Sha256 => "sha-256",
        HashAlgorithm::Sha384 => "sha-384",
        HashAlgorithm::Sha512 => "sha-512",
    }
}

fn byte(pair: &str) -> Option<u8> {
    let is_pair = pair.len() == 2 && pair.bytes().all(|digit| digit.is_ascii_hexdigit());
    if is_pair { u8::from_str_radix(pair, 16).ok() } else { None }
}

impl PartialEq for Fingerprint {
    fn eq(&self, other: &Self) -> bool {
        self.algorithm == other.algorithm && constant_time_eq(&self.digest, &other.digest)
    }
}

impl Eq for Fingerprint {}

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        let (hash, value) = text.trim().split_once(' ').ok_or(FingerprintError::Malformed)?;
        Self::from_parts(hash, value.trim())
    }
}

/// `sha-256 AB:CD:…`; the alternate form (`{:#}`) is the value alone.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !f.alternate() {
            write!(f, "{} ", self.algorithm_name())?;
        }
        for (index, byte) in self.digest.iter().enumerate() {
            if index > 0 {
                f.write_str(":")?;
            }
            write!(f, "{byte:02X}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUE: &str =
        "12:df:3E:5D:49:6B:19:E5:7C:AB:4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B:19:E5:7C:AB:4A:AD";

    #[test]
    fn survives_a_round_trip_whatever_the_case() {
        let parsed: Fingerprint = format!("SHA-256 {VALUE}").parse().unwrap();
        assert_eq!(parsed.to_string(), format!("sha-256 {}", VALUE.to_uppercase()));
        assert_eq!(format!("{parsed:#}"), VALUE.to_uppercase());
        assert_eq!(parsed.to_string().parse(), Ok(parsed));
        assert_eq!(parsed.as_bytes().first(), Some(&0x12));
    }

    #[test]
    fn refuses_weak_hashes_and_malformed_values() {
        let parse = |text: &str| text.parse::<Fingerprint>().unwrap_err();
        assert_eq!(parse(&format!("sha-1 {}", &VALUE[..59])), FingerprintError::UnsupportedHash);
        assert_eq!(parse(&format!("md5 {}", &VALUE[..47])), FingerprintError::UnsupportedHash);
        assert_eq!(parse(&format!("sha-384 {VALUE}")), FingerprintError::Length);
        assert_eq!(parse(&format!("sha-256 {}", &VALUE[..92])), FingerprintError::Length);
        assert_eq!(parse("sha-256"), FingerprintError::Malformed);
        assert_eq!(parse("sha-256 "), FingerprintError::Malformed);
        assert_eq!(parse("sha-256 +1:22"), FingerprintError::Malformed);
        assert_eq!(parse("sha-256 1222"), FingerprintError::Malformed);
        assert_eq!(parse("sha-256 é:22"), FingerprintError::Malformed);
    }
}
