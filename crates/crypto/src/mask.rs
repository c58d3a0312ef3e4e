//! Masks that hide record numbers (RFC 9147 §4.2.3).

use std::fmt;

/// Bytes of ciphertext from which a mask is made.
pub const MASK_SAMPLE_LEN: usize = 16;

/// One backend's key with its schedule done.
pub(crate) trait Mask: Send + Sync {
    fn mask(&self, sample: &[u8; MASK_SAMPLE_LEN]) -> Option<[u8; 5]>;
}

/// A key that makes masks: a block of AES over the sample, or of ChaCha20 with counter and nonce from it.
pub struct MaskKey(pub(crate) Box<dyn Mask>);

impl MaskKey {
    /// The first five bytes of the mask that belongs to `sample`.
    pub fn mask(&self, sample: &[u8; MASK_SAMPLE_LEN]) -> [u8; 5] {
        // The backends refuse nothing but samples of another length.
        self.0.mask(sample).unwrap_or_default()
    }
}

impl fmt::Debug for MaskKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MaskKey")
    }
}
