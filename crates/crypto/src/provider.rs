//! The choice of a backend.

use std::ops::Range;

use crate::aead::{Aead, NONCE_LEN};
use crate::agreement::{self, Agreement, Decapsulation};
use crate::hash::Hmac;
use crate::mask::Mask;
use crate::signature::{PrivateKeyDer, Signer};
use crate::{
    AeadAlgorithm, Digest, Group, HashAlgorithm, HmacKey, KeyAgreement, KeyKind, KeyLengthError, MaskKey,
    OpeningKey, PublicKey, PublicValueError, SealingKey, Secret, SignatureScheme,
};

/// One backend's primitives.
pub(crate) trait Backend: Send + Sync {
    fn name(&self) -> &'static str;
    fn digest(&self, algorithm: HashAlgorithm, parts: &[&[u8]]) -> Digest;
    fn hmac(&self, algorithm: HashAlgorithm, key: &[u8]) -> Box<dyn Hmac>;
    fn random(&self, bytes: &mut [u8]);
    fn aead(&self, algorithm: AeadAlgorithm, key: &[u8]) -> Option<Box<dyn Aead>>;
    fn mask(&self, algorithm: AeadAlgorithm, key: &[u8]) -> Option<Box<dyn Mask>>;
    /// A private value of a group that is no hybrid.
    fn key_agreement(&self, group: Group) -> Option<Box<dyn Agreement>>;
    /// A fresh private key of ML-KEM-768, where the backend has it.
    fn decapsulation_key(&self) -> Option<Box<dyn Decapsulation>>;
    /// A ciphertext for the owner of an encapsulation key of ML-KEM-768, and the secret in it.
    fn encapsulate(&self, key: &[u8]) -> Option<(Vec<u8>, Secret)>;
    fn has_ml_kem(&self) -> bool;
    fn verify(&self, key: &PublicKey, scheme: SignatureScheme, message: &[u8], signature: &[u8]) -> bool;
    /// A fresh ECDSA P-256 key.
    fn generate_signer(&self) -> Option<Box<dyn Signer>>;
    fn load_signer(&self, kind: KeyKind, key: &PrivateKeyDer<'_>) -> Option<Box<dyn Signer>>;
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

    /// The backend over ring.
    #[cfg(feature = "ring")]
    pub fn ring() -> Self {
        Self(&crate::ring::Ring)
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

    /// A key that seals under `numbers`, each once, in order.
    ///
    /// # Errors
    /// [`KeyLengthError`] where `key` has not the length of the algorithm's keys.
    pub fn sealing_key(
        &self,
        algorithm: AeadAlgorithm,
        key: &[u8],
        base: [u8; NONCE_LEN],
        numbers: Range<u64>,
    ) -> Result<SealingKey, KeyLengthError> {
        Ok(SealingKey::new(self.0.aead(algorithm, key).ok_or(KeyLengthError)?, base, numbers))
    }

    /// A key that opens.
    ///
    /// # Errors
    /// [`KeyLengthError`] where `key` has not the length of the algorithm's keys.
    pub fn opening_key(
        &self,
        algorithm: AeadAlgorithm,
        key: &[u8],
        base: [u8; NONCE_LEN],
    ) -> Result<OpeningKey, KeyLengthError> {
        Ok(OpeningKey::new(self.0.aead(algorithm, key).ok_or(KeyLengthError)?, base))
    }

    /// A key that makes masks for record numbers.
    ///
    /// # Errors
    /// [`KeyLengthError`] where `key` has not the length of the algorithm's keys.
    pub fn mask_key(&self, algorithm: AeadAlgorithm, key: &[u8]) -> Result<MaskKey, KeyLengthError> {
        Ok(MaskKey(self.0.mask(algorithm, key).ok_or(KeyLengthError)?))
    }

    /// Whether the backend has the group; ring lacks the hybrids.
    pub fn supports(&self, group: Group) -> bool {
        !group.is_hybrid() || self.0.has_ml_kem()
    }

    /// A fresh private value of `group` for the end that begins, or `None` where the backend lacks the group.
    pub fn key_agreement(&self, group: Group) -> Option<KeyAgreement> {
        KeyAgreement::new(self.0, group)
    }

    /// What the end that answers the public value `peer` sends back, and the secret shared.
    ///
    /// # Errors
    /// [`PublicValueError`] where `peer` is no valid public value of the group, or the backend lacks the group.
    pub fn answer_key_agreement(
        &self,
        group: Group,
        peer: &[u8],
    ) -> Result<(Vec<u8>, Secret), PublicValueError> {
        agreement::answer(self.0, group, peer).ok_or(PublicValueError)
    }

    /// Whether `signature` is one over `message` that the owner of `key` made with `scheme`.
    ///
    /// RSA keys below 2,048 and above 8,192 bits are refused.
    pub fn verify(&self, key: &PublicKey, scheme: SignatureScheme, message: &[u8], signature: &[u8]) -> bool {
        self.0.verify(key, scheme, message, signature)
    }

    pub(crate) fn backend(&self) -> &'static dyn Backend {
        self.0
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
