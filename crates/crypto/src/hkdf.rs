//! HKDF (RFC 5869).

use std::fmt;

use crate::{Digest, HashAlgorithm, HmacKey, Provider};

/// A pseudorandom key, ready to expand; its schedule is done once.
pub struct HkdfKey {
    hmac: HmacKey,
    hash: HashAlgorithm,
}

/// More was asked of [`HkdfKey::expand`] than 255 times the hash's length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("output too long")]
pub struct OutputLengthError;

impl HkdfKey {
    /// The key itself: something of the length of the hash that is pseudorandom already.
    pub fn new(provider: Provider, hash: HashAlgorithm, key: &[u8]) -> Self {
        Self { hmac: provider.hmac_key(hash, key), hash }
    }

    /// RFC 5869 §2.2: the key in `secret`, with `salt`, which need not be secret.
    pub fn extract(provider: Provider, hash: HashAlgorithm, salt: &[u8], secret: &[u8]) -> Self {
        Self::new(provider, hash, &provider.hmac_key(hash, salt).sign(&[secret]))
    }

    /// The hash it works with.
    pub fn hash(&self) -> HashAlgorithm {
        self.hash
    }

    /// RFC 5869 §2.3: fills `out` for the purpose that the concatenation of `info` names.
    ///
    /// # Errors
    /// [`OutputLengthError`]; `out` is then untouched.
    pub fn expand(&self, info: &[&[u8]], out: &mut [u8]) -> Result<(), OutputLengthError> {
        if out.len() > 255 * self.hash.output_len() {
            return Err(OutputLengthError);
        }
        let mut previous: Option<Digest> = None;
        for (block, counter) in out.chunks_mut(self.hash.output_len()).zip(1..=u8::MAX) {
            let counter = [counter];
            let before = previous.as_deref().unwrap_or_default();
            let parts: Vec<&[u8]> =
                std::iter::once(before).chain(info.iter().copied()).chain([&counter[..]]).collect();
            let digest = self.hmac.sign(&parts);
            block.iter_mut().zip(digest.iter()).for_each(|(to, from)| *to = *from);
            previous = Some(digest);
        }
        Ok(())
    }

    /// HMAC under the key itself.
    pub fn sign(&self, parts: &[&[u8]]) -> Digest {
        self.hmac.sign(parts)
    }
}

impl fmt::Debug for HkdfKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HkdfKey").field(&self.hash).finish()
    }
}
