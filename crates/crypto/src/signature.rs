//! Signatures and the keys that make and verify them.

use std::fmt;

use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_PKCS1_RSAENCRYPTION,
};
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::HashAlgorithm;

/// A signature algorithm together with its hash, as TLS 1.2 pairs them (RFC 5246 §7.4.1.4.1, RFC 8446 §4.2.3): an ECDSA
/// scheme is not bound to one curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SignatureScheme {
    /// ECDSA, signatures in DER.
    Ecdsa(HashAlgorithm),
    /// RSASSA-PKCS1-v1_5.
    RsaPkcs1(HashAlgorithm),
    /// RSASSA-PSS with a salt as long as the hash and a key of type rsaEncryption.
    RsaPss(HashAlgorithm),
}

impl SignatureScheme {
    /// Every scheme that can be verified, in order of preference.
    pub const ALL: [SignatureScheme; 8] = [
        SignatureScheme::Ecdsa(HashAlgorithm::Sha256),
        SignatureScheme::RsaPss(HashAlgorithm::Sha256),
        SignatureScheme::RsaPkcs1(HashAlgorithm::Sha256),
        SignatureScheme::Ecdsa(HashAlgorithm::Sha384),
        SignatureScheme::RsaPss(HashAlgorithm::Sha384),
        SignatureScheme::RsaPkcs1(HashAlgorithm::Sha384),
        SignatureScheme::RsaPss(HashAlgorithm::Sha512),
        SignatureScheme::RsaPkcs1(HashAlgorithm::Sha512),
    ];
}

/// What kind of key a certificate holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// An ECDSA key on P-256.
    EcdsaP256,
    /// An ECDSA key on P-384.
    EcdsaP384,
    /// An RSA key.
    Rsa,
}

/// A public key that verifies signatures.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    kind: KeyKind,
    /// The uncompressed point, or the PKCS#1 `RSAPublicKey` in DER.
    bytes: Vec<u8>,
}

impl PublicKey {
    /// A key of `kind` from its bytes: an uncompressed point, or an `RSAPublicKey` in DER (RFC 8017 §A.1.1).
    pub fn new(kind: KeyKind, bytes: &[u8]) -> Self {
        Self { kind, bytes: bytes.to_vec() }
    }

    /// The key in a `SubjectPublicKeyInfo`, or `None` where its kind is not supported.
    pub(crate) fn from_info(info: &SubjectPublicKeyInfo<'_>) -> Option<Self> {
        let algorithm = &info.algorithm;
        let kind = if algorithm.algorithm == OID_PKCS1_RSAENCRYPTION {
            KeyKind::Rsa
        } else if algorithm.algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY {
            let curve = algorithm.parameters.as_ref()?.as_oid().ok()?;
            match curve {
                curve if curve == OID_EC_P256 => KeyKind::EcdsaP256,
                curve if curve == OID_NIST_EC_P384 => KeyKind::EcdsaP384,
                _ => return None,
            }
        } else {
            return None;
        };
        Some(Self::new(kind, &info.subject_public_key.data))
    }

    /// What kind of key it is.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// Its bytes, in the form [`PublicKey::new`] takes them.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PublicKey").field(&self.kind).finish()
    }
}

/// One backend's private key.
pub(crate) trait Signer: Send + Sync {
    fn kind(&self) -> KeyKind;
    fn public_key(&self) -> &[u8];
    fn sign(&self, scheme: SignatureScheme, message: &[u8]) -> Option<Vec<u8>>;
}

/// A private key in one of the forms in which files hold it.
pub(crate) enum PrivateKeyDer<'a> {
    /// PKCS#8 `PrivateKeyInfo` (RFC 5208).
    Pkcs8(&'a [u8]),
    /// `RSAPrivateKey` (RFC 8017 §A.1.2).
    Pkcs1(&'a [u8]),
}
