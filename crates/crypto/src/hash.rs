//! Hashes and keyed hashes.

use std::fmt;
use std::ops::Deref;

use crate::constant_time_eq;

/// A hash function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HashAlgorithm {
    /// SHA-1; only inside HMAC, where STUN and SRTP still need it.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl HashAlgorithm {
    /// Length of the digest in bytes.
    pub fn output_len(self) -> usize {
        match self {
            HashAlgorithm::Sha1 => 20,
            HashAlgorithm::Sha256 => 32,
            HashAlgorithm::Sha384 => 48,
            HashAlgorithm::Sha512 => 64,
        }
    }
}

/// MD5 of the concatenation of `parts`. It resists nobody; STUN and TURN still make keys of passwords with it
/// (RFC 8489 §18.5.1.1).
pub fn md5(parts: &[&[u8]]) -> [u8; 16] {
    use md5::Digest as _;
    parts.iter().fold(md5::Md5::new(), |hash, part| hash.chain_update(part)).finalize().into()
}

/// The output of a hash or a keyed hash; reads as its bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest {
    bytes: [u8; 64],
    len: usize,
}

impl Digest {
    /// The first 64 bytes of `bytes` as a digest.
    pub(crate) fn new(bytes: &[u8]) -> Self {
        let mut digest = Self { bytes: [0; 64], len: bytes.len().min(64) };
        for (to, from) in digest.bytes.iter_mut().zip(bytes) {
            *to = *from;
        }
        digest
    }
}

impl Deref for Digest {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// One backend's keyed hash with its key schedule done.
pub(crate) trait Hmac: Send + Sync {
    fn sign(&self, parts: &[&[u8]]) -> Digest;
}

/// A key for HMAC (RFC 2104); its schedule is done once, at construction.
pub struct HmacKey(pub(crate) Box<dyn Hmac>);

impl HmacKey {
    /// HMAC over the concatenation of `parts`.
    pub fn sign(&self, parts: &[&[u8]]) -> Digest {
        self.0.sign(parts)
    }

    /// Whether `tag` is the HMAC over the concatenation of `parts`, or the first bytes of it; compared in constant
    /// time. A tag shorter than 4 bytes is refused.
    pub fn verify(&self, parts: &[&[u8]], tag: &[u8]) -> bool {
        let expected = self.sign(parts);
        tag.len() >= 4 && expected.get(..tag.len()).is_some_and(|expected| constant_time_eq(expected, tag))
    }
}

impl fmt::Debug for HmacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HmacKey")
    }
}
