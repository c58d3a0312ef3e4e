//! What the protocols of Antiphon need of cryptography, in one shape over two backends: aws-lc-rs (default) and ring.
//!
//! [`Provider`] names the backend and makes everything else:
//!
//! * hashes, [`HmacKey`] and [`HkdfKey`];
//! * [`SealingKey`] and [`OpeningKey`]: AEAD in place. A sealing key owns its counter; nobody hands it a nonce;
//! * [`MaskKey`]: hides the record numbers of DTLS 1.3;
//! * [`KeyAgreement`]: ephemeral Diffie-Hellman over X25519, P-256 and P-384, and hybrids with ML-KEM-768 (aws-lc-rs only);
//! * [`Certificate`], ours, generated or given by the user, and [`PeerCertificate`], whose [`Fingerprint`] is compared
//!   (RFC 8122) and whose [`PublicKey`] verifies signatures (ECDSA, RSA PKCS#1 v1.5 and PSS).
//!
//! ```
//! use antiphon_crypto::{Certificate, HashAlgorithm, PeerCertificate, Provider};
//!
//! let provider = Provider::default();
//! let certificate = Certificate::generate(provider)?;
//! let announced = certificate.fingerprint(HashAlgorithm::Sha256).to_string();
//!
//! let received = PeerCertificate::parse(certificate.der())?;
//! assert_eq!(announced.parse(), Ok(received.fingerprint(provider, HashAlgorithm::Sha256)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! No primitive is written here, no certificate chain is validated, and no clock is read.

mod aead;
mod agreement;
#[cfg(feature = "aws-lc-rs")]
mod aws_lc;
mod certificate;
mod fingerprint;
mod hash;
mod hkdf;
mod mask;
mod provider;
#[cfg(feature = "ring")]
mod ring;
mod secret;
mod signature;

pub use aead::{
    AeadAlgorithm, ExhaustedError, KeyLengthError, NONCE_LEN, OpeningKey, SealingKey, TAG_LEN, Tag,
};
pub use agreement::{Group, KeyAgreement, PublicValueError};
pub use certificate::{Certificate, CertificateError, PeerCertificate, PeerCertificateError};
pub use fingerprint::{Fingerprint, FingerprintError};
pub use hash::{Digest, HashAlgorithm, HmacKey, md5};
pub use hkdf::{HkdfKey, OutputLengthError};
pub use mask::{MASK_SAMPLE_LEN, MaskKey};
pub use provider::Provider;
pub use secret::Secret;
pub use signature::{KeyKind, PublicKey, SignatureScheme};

/// Whether `a` equals `b`, in a time that depends on their lengths alone.
pub fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    subtle::ConstantTimeEq::ct_eq(a, b).into()
}
