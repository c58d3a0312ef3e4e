//! The backend over ring.

use ring::aead::quic;
use ring::rand::SecureRandom as _;
use ring::signature::KeyPair as _;
use ring::{aead, agreement, digest, hmac, rand, signature};

use crate::aead::{Aead, NONCE_LEN, Tag};
use crate::agreement::{Agreement, Decapsulation};
use crate::hash::Hmac;
use crate::mask::{MASK_SAMPLE_LEN, Mask};
use crate::provider::Backend;
use crate::signature::{PrivateKeyDer, Signer};
use crate::{AeadAlgorithm, Digest, Group, HashAlgorithm, KeyKind, PublicKey, Secret, SignatureScheme};

pub(crate) struct Ring;

impl Backend for Ring {
    fn name(&self) -> &'static str {
        "ring"
    }

    fn digest(&self, algorithm: HashAlgorithm, parts: &[&[u8]]) -> Digest {
        let mut context = digest::Context::new(match algorithm {
            HashAlgorithm::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            HashAlgorithm::Sha256 => &digest::SHA256,
            HashAlgorithm::Sha384 => &digest::SHA384,
            HashAlgorithm::Sha512 => &digest::SHA512,
        });
        parts.iter().for_each(|part| context.update(part));
        Digest::new(context.finish().as_ref())
    }

    fn hmac(&self, algorithm: HashAlgorithm, key: &[u8]) -> Box<dyn Hmac> {
        let algorithm = match algorithm {
            HashAlgorithm::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            HashAlgorithm::Sha256 => hmac::HMAC_SHA256,
            HashAlgorithm::Sha384 => hmac::HMAC_SHA384,
            HashAlgorithm::Sha512 => hmac::HMAC_SHA512,
        };
        Box::new(Key(hmac::Key::new(algorithm, key)))
    }

    fn random(&self, bytes: &mut [u8]) {
        #[allow(
            clippy::expect_used,
            reason = "the operating system's generator fails only where none is installed"
        )]
        rand::SystemRandom::new().fill(bytes).expect("the operating system gives randomness");
    }

    fn aead(&self, algorithm: AeadAlgorithm, key: &[u8]) -> Option<Box<dyn Aead>> {
        let algorithm = match algorithm {
            AeadAlgorithm::Aes128Gcm => &aead::AES_128_GCM,
            AeadAlgorithm::Aes256Gcm => &aead::AES_256_GCM,
            AeadAlgorithm::ChaCha20Poly1305 => &aead::CHACHA20_POLY1305,
        };
        Some(Box::new(RecordKey(aead::LessSafeKey::new(aead::UnboundKey::new(algorithm, key).ok()?))))
    }

    fn key_agreement(&self, group: Group) -> Option<Box<dyn Agreement>> {
        let algorithm = match group {
            Group::X25519 => &agreement::X25519,
            Group::P256 => &agreement::ECDH_P256,
            Group::P384 => &agreement::ECDH_P384,
            Group::X25519MlKem768 | Group::P256MlKem768 => return None,
        };
        let private = agreement::EphemeralPrivateKey::generate(algorithm, &rand::SystemRandom::new()).ok()?;
        let public = private.compute_public_key().ok()?;
        Some(Box::new(Ephemeral { private, public }))
    }

    fn mask(&self, algorithm: AeadAlgorithm, key: &[u8]) -> Option<Box<dyn Mask>> {
        let algorithm = match algorithm {
            AeadAlgorithm::Aes128Gcm => &quic::AES_128,
            AeadAlgorithm::Aes256Gcm => &quic::AES_256,
            AeadAlgorithm::ChaCha20Poly1305 => &quic::CHACHA20,
        };
        Some(Box::new(NumberKey(quic::HeaderProtectionKey::new(algorithm, key).ok()?)))
    }

    fn decapsulation_key(&self) -> Option<Box<dyn Decapsulation>> {
        None
    }

    fn encapsulate(&self, _key: &[u8]) -> Option<(Vec<u8>, Secret)> {
        None
    }

    fn has_ml_kem(&self) -> bool {
        false
    }

    fn verify(&self, key: &PublicKey, scheme: SignatureScheme, message: &[u8], signature: &[u8]) -> bool {
        use HashAlgorithm::{Sha256, Sha384, Sha512};
        use SignatureScheme::{Ecdsa, RsaPkcs1, RsaPss};
        let algorithm: &'static dyn signature::VerificationAlgorithm = match (key.kind(), scheme) {
            (KeyKind::EcdsaP256, Ecdsa(Sha256)) => &signature::ECDSA_P256_SHA256_ASN1,
            (KeyKind::EcdsaP256, Ecdsa(Sha384)) => &signature::ECDSA_P256_SHA384_ASN1,
            (KeyKind::EcdsaP384, Ecdsa(Sha256)) => &signature::ECDSA_P384_SHA256_ASN1,
            (KeyKind::EcdsaP384, Ecdsa(Sha384)) => &signature::ECDSA_P384_SHA384_ASN1,
            (KeyKind::Rsa, RsaPkcs1(Sha256)) => &signature::RSA_PKCS1_2048_8192_SHA256,
            (KeyKind::Rsa, RsaPkcs1(Sha384)) => &signature::RSA_PKCS1_2048_8192_SHA384,
            (KeyKind::Rsa, RsaPkcs1(Sha512)) => &signature::RSA_PKCS1_2048_8192_SHA512,
            (KeyKind::Rsa, RsaPss(Sha256)) => &signature::RSA_PSS_2048_8192_SHA256,
            (KeyKind::Rsa, RsaPss(Sha384)) => &signature::RSA_PSS_2048_8192_SHA384,
            (KeyKind::Rsa, RsaPss(Sha512)) => &signature::RSA_PSS_2048_8192_SHA512,
            _ => return false,
        };
        signature::UnparsedPublicKey::new(algorithm, key.as_bytes()).verify(message, signature).is_ok()
    }

    fn generate_signer(&self) -> Option<Box<dyn Signer>> {
        let algorithm = &signature::ECDSA_P256_SHA256_ASN1_SIGNING;
        let key = signature::EcdsaKeyPair::generate_pkcs8(algorithm, &rand::SystemRandom::new()).ok()?;
        self.load_signer(KeyKind::EcdsaP256, &PrivateKeyDer::Pkcs8(key.as_ref()))
    }

    fn load_signer(&self, kind: KeyKind, key: &PrivateKeyDer<'_>) -> Option<Box<dyn Signer>> {
        let ecdsa = |algorithm, hash| -> Option<Box<dyn Signer>> {
            let PrivateKeyDer::Pkcs8(key) = key else { return None };
            let pair =
                signature::EcdsaKeyPair::from_pkcs8(algorithm, key, &rand::SystemRandom::new()).ok()?;
            Some(Box::new(EcdsaKey { kind, hash, pair }))
        };
        match kind {
            KeyKind::EcdsaP256 => ecdsa(&signature::ECDSA_P256_SHA256_ASN1_SIGNING, HashAlgorithm::Sha256),
            KeyKind::EcdsaP384 => ecdsa(&signature::ECDSA_P384_SHA384_ASN1_SIGNING, HashAlgorithm::Sha384),
            KeyKind::Rsa => Some(Box::new(RsaKey(match key {
                PrivateKeyDer::Pkcs8(key) => signature::RsaKeyPair::from_pkcs8(key).ok()?,
                PrivateKeyDer::Pkcs1(key) => signature::RsaKeyPair::from_der(key).ok()?,
            }))),
        }
    }
}

struct Key(hmac::Key);

impl Hmac for Key {
    fn sign(&self, parts: &[&[u8]]) -> Digest {
        let mut context = hmac::Context::with_key(&self.0);
        parts.iter().for_each(|part| context.update(part));
        Digest::new(context.sign().as_ref())
    }
}

struct RecordKey(aead::LessSafeKey);

impl Aead for RecordKey {
    fn seal(&self, nonce: [u8; NONCE_LEN], aad: &[u8], data: &mut [u8]) -> Option<Tag> {
        let nonce = aead::Nonce::assume_unique_for_key(nonce);
        let tag = self.0.seal_in_place_separate_tag(nonce, aead::Aad::from(aad), data).ok()?;
        tag.as_ref().try_into().ok()
    }

    fn open<'a>(&self, nonce: [u8; NONCE_LEN], aad: &[u8], data: &'a mut [u8]) -> Option<&'a mut [u8]> {
        self.0.open_in_place(aead::Nonce::assume_unique_for_key(nonce), aead::Aad::from(aad), data).ok()
    }
}

/// QUIC hides its packet numbers in the same way (RFC 9001 §5.4.3, §5.4.4).
struct NumberKey(quic::HeaderProtectionKey);

impl Mask for NumberKey {
    fn mask(&self, sample: &[u8; MASK_SAMPLE_LEN]) -> Option<[u8; 5]> {
        self.0.new_mask(sample).ok()
    }
}

struct Ephemeral {
    private: agreement::EphemeralPrivateKey,
    public: agreement::PublicKey,
}

impl Agreement for Ephemeral {
    fn public_value(&self) -> &[u8] {
        self.public.as_ref()
    }

    fn agree(self: Box<Self>, peer: &[u8]) -> Option<Secret> {
        let peer = agreement::UnparsedPublicKey::new(self.private.algorithm(), peer);
        agreement::agree_ephemeral(self.private, &peer, |secret| Secret::new(secret.to_vec())).ok()
    }
}

struct EcdsaKey {
    kind: KeyKind,
    hash: HashAlgorithm,
    pair: signature::EcdsaKeyPair,
}

impl Signer for EcdsaKey {
    fn kind(&self) -> KeyKind {
        self.kind
    }

    fn public_key(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    fn sign(&self, scheme: SignatureScheme, message: &[u8]) -> Option<Vec<u8>> {
        if scheme != SignatureScheme::Ecdsa(self.hash) {
            return None;
        }
        Some(self.pair.sign(&rand::SystemRandom::new(), message).ok()?.as_ref().to_vec())
    }
}

struct RsaKey(signature::RsaKeyPair);

impl Signer for RsaKey {
    fn kind(&self) -> KeyKind {
        KeyKind::Rsa
    }

    fn public_key(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }

    fn sign(&self, scheme: SignatureScheme, message: &[u8]) -> Option<Vec<u8>> {
        use HashAlgorithm::{Sha256, Sha384, Sha512};
        use SignatureScheme::{RsaPkcs1, RsaPss};
        let padding: &'static dyn signature::RsaEncoding = match scheme {
            RsaPkcs1(Sha256) => &signature::RSA_PKCS1_SHA256,
            RsaPkcs1(Sha384) => &signature::RSA_PKCS1_SHA384,
            RsaPkcs1(Sha512) => &signature::RSA_PKCS1_SHA512,
            RsaPss(Sha256) => &signature::RSA_PSS_SHA256,
            RsaPss(Sha384) => &signature::RSA_PSS_SHA384,
            RsaPss(Sha512) => &signature::RSA_PSS_SHA512,
            _ => return None,
        };
        let mut out = vec![0; self.0.public().modulus_len()];
        self.0.sign(padding, &rand::SystemRandom::new(), message, &mut out).ok()?;
        Some(out)
    }
}
