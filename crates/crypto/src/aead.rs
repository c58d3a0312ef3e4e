//! Authenticated encryption of records (RFC 5116), in place.

use std::fmt;
use std::ops::Range;

/// An AEAD with a 12-byte nonce and a 16-byte tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AeadAlgorithm {
    /// AEAD_AES_128_GCM (RFC 5116 §5.1).
    Aes128Gcm,
    /// AEAD_AES_256_GCM (RFC 5116 §5.2).
    Aes256Gcm,
    /// AEAD_CHACHA20_POLY1305 (RFC 8439 §2.8).
    ChaCha20Poly1305,
}

impl AeadAlgorithm {
    /// Length of the key in bytes.
    pub const fn key_len(self) -> usize {
        match self {
            AeadAlgorithm::Aes128Gcm => 16,
            AeadAlgorithm::Aes256Gcm | AeadAlgorithm::ChaCha20Poly1305 => 32,
        }
    }
}

/// Length of a nonce in bytes.
pub const NONCE_LEN: usize = 12;

/// Length of an authentication tag in bytes.
pub const TAG_LEN: usize = 16;

/// An authentication tag.
pub type Tag = [u8; TAG_LEN];

/// A key was given with the wrong number of bytes for its algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("key of the wrong length")]
pub struct KeyLengthError;

/// A [`SealingKey`] has used all its numbers, so that another record would repeat a nonce.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the key has sealed all it may seal")]
pub struct ExhaustedError;

/// One backend's key with its schedule done.
pub(crate) trait Aead: Send + Sync {
    fn seal(&self, nonce: [u8; NONCE_LEN], aad: &[u8], data: &mut [u8]) -> Option<Tag>;
    fn open<'a>(&self, nonce: [u8; NONCE_LEN], aad: &[u8], data: &'a mut [u8]) -> Option<&'a mut [u8]>;
}

/// A key that seals and owns the counter from which its nonces come: the nonce of number `n` is the key's base with `n`
/// XORed into its last 8 bytes, and each number is used once.
///
/// This covers DTLS 1.2 GCM (base: the 4-byte salt and 8 zero bytes; RFC 5288 §3), DTLS 1.2 ChaCha20 (RFC 7905 §2) and
/// DTLS 1.3 (RFC 8446 §5.3).
pub struct SealingKey {
    aead: Box<dyn Aead>,
    base: [u8; NONCE_LEN],
    numbers: Range<u64>,
}

impl SealingKey {
    pub(crate) fn new(aead: Box<dyn Aead>, base: [u8; NONCE_LEN], numbers: Range<u64>) -> Self {
        Self { aead, base, numbers }
    }

    /// The number that the next seal uses.
    ///
    /// # Errors
    /// [`ExhaustedError`] where none is left.
    pub fn next_number(&self) -> Result<u64, ExhaustedError> {
        if self.numbers.is_empty() { Err(ExhaustedError) } else { Ok(self.numbers.start) }
    }

    /// Encrypts `data` in place under [`SealingKey::next_number`] and gives the tag over it and `aad`.
    ///
    /// # Errors
    /// [`ExhaustedError`] where no number is left; `data` is then untouched.
    pub fn seal_in_place(&mut self, aad: &[u8], data: &mut [u8]) -> Result<Tag, ExhaustedError> {
        let number = self.numbers.next().ok_or(ExhaustedError)?;
        self.aead.seal(nonce(&self.base, number), aad, data).ok_or(ExhaustedError)
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealingKey").field("next", &self.numbers.start).finish_non_exhaustive()
    }
}

/// A key that opens what the [`SealingKey`] of the same key and base sealed.
pub struct OpeningKey {
    aead: Box<dyn Aead>,
    base: [u8; NONCE_LEN],
}

impl OpeningKey {
    pub(crate) fn new(aead: Box<dyn Aead>, base: [u8; NONCE_LEN]) -> Self {
        Self { aead, base }
    }

    /// Decrypts `data`, ciphertext and behind it the tag, in place; gives the plaintext, or `None` where the tag does not
    /// fit, after which the content of `data` is unspecified.
    pub fn open_in_place<'a>(&self, number: u64, aad: &[u8], data: &'a mut [u8]) -> Option<&'a mut [u8]> {
        self.aead.open(nonce(&self.base, number), aad, data)
    }
}

impl fmt::Debug for OpeningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpeningKey")
    }
}

fn nonce(base: &[u8; NONCE_LEN], number: u64) -> [u8; NONCE_LEN] {
    let mut nonce = *base;
    for (byte, number) in nonce.iter_mut().skip(NONCE_LEN - 8).zip(number.to_be_bytes()) {
        *byte ^= number;
    }
    nonce
}
