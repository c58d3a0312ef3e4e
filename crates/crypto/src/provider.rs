//! The choice of a backend.

use crate::hash::Hmac;
use crate::{Digest, HashAlgorithm, HmacKey};

/// One backend's primitives.
pub(crate) trait Backend: Send + Sync {
    fn name(&self) -> &'static str;
    fn digest(&self, algorithm: HashAlgorithm, parts: &[&[u8]]) -> Digest;
    fn hmac(&self, algorithm: HashAlgorithm, key: &[u8]) -> Box<dyn Hmac>;
    fn random(&self, bytes: &mut [u8]);
}

/// Makes the cryptographic values of one backend; cheap to copy.
#[derive(Clone, Copy)]
pub struct Provider(&'static dyn Backend);

impl Provider {
    /// The backend over aws-lc-rs.
    #[cfg(feature = "aws-lc-rs")]
    pub fn aws_lc_rs() -> Self {
        Self(&crate::aws_lc::AwsLc)
    }

    /// The backend's name.
    pub fn name(&self) -> &'static str {
        self.0.name()
    }

    /// The hash of the concatenation of `parts`.
    pub fn digest(&self, algorithm: HashAlgorithm, parts: &[&[u8]]) -> Digest {
        self.0.digest(algorithm, parts)
    }

    /// A key for HMAC.
    pub fn hmac_key(&self, algorithm: HashAlgorithm, key: &[u8]) -> HmacKey {
        HmacKey(self.0.hmac(algorithm, key))
    }

    /// 32 unpredictable bytes of the operating system: the seed of a connection's generator.
    pub fn random_seed(&self) -> [u8; 32] {
        let mut seed = [0; 32];
        self.0.random(&mut seed);
        seed
    }
}

#[cfg(feature = "aws-lc-rs")]
impl Default for Provider {
    fn default() -> Self {
        Self::aws_lc_rs()
    }
}

impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Provider").field(&self.name()).finish()
    }
}
