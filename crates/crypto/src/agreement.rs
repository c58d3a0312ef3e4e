//! Ephemeral key agreement: Diffie-Hellman, and hybrids of it with ML-KEM-768 that hold as long as either does.

use std::fmt;

use crate::Secret;
use crate::provider::Backend;

/// A group for ephemeral key agreement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Group {
    /// X25519MLKEM768: ML-KEM-768 and behind it X25519 (draft-ietf-tls-ecdhe-mlkem).
    X25519MlKem768,
    /// SecP256r1MLKEM768: P-256 and behind it ML-KEM-768 (draft-ietf-tls-ecdhe-mlkem).
    P256MlKem768,
    /// X25519 (RFC 7748).
    X25519,
    /// NIST P-256; public values are uncompressed points.
    P256,
    /// NIST P-384; public values are uncompressed points.
    P384,
}

impl Group {
    /// All groups, those that also withstand quantum computers first, then the fastest.
    pub const ALL: [Group; 5] =
        [Group::X25519MlKem768, Group::P256MlKem768, Group::X25519, Group::P256, Group::P384];

    /// Whether it combines Diffie-Hellman with a key encapsulation mechanism; its two ends then act differently, and it
    /// serves in TLS 1.3 alone.
    pub const fn is_hybrid(self) -> bool {
        self.hybrid().is_some()
    }

    /// Whether `value` has the form of a public Diffie-Hellman value; points are uncompressed (RFC 8422 §5.4.1).
    fn has_form(self, value: &[u8]) -> bool {
        match self {
            Group::X25519 => value.len() == 32,
            Group::P256 => value.len() == 65 && value.first() == Some(&4),
            Group::P384 => value.len() == 97 && value.first() == Some(&4),
            Group::X25519MlKem768 | Group::P256MlKem768 => false,
        }
    }

    pub(crate) const fn hybrid(self) -> Option<Hybrid> {
        match self {
            Group::X25519MlKem768 => Some(Hybrid { classical: Group::X25519, is_kem_first: true }),
            Group::P256MlKem768 => Some(Hybrid { classical: Group::P256, is_kem_first: false }),
            Group::X25519 | Group::P256 | Group::P384 => None,
        }
    }
}

/// How a hybrid puts its two halves together, in public values and in the secret alike.
#[derive(Clone, Copy)]
pub(crate) struct Hybrid {
    pub(crate) classical: Group,
    is_kem_first: bool,
}

impl Hybrid {
    fn join(self, classical: &[u8], kem: &[u8]) -> Vec<u8> {
        if self.is_kem_first { [kem, classical].concat() } else { [classical, kem].concat() }
    }

    /// The classical and the encapsulation half of a value in which the latter has `kem_len` bytes.
    fn split(self, value: &[u8], kem_len: usize) -> Option<(&[u8], &[u8])> {
        let classical_len = value.len().checked_sub(kem_len)?;
        if self.is_kem_first {
            let (kem, classical) = value.split_at_checked(kem_len)?;
            Some((classical, kem))
        } else {
            value.split_at_checked(classical_len)
        }
    }
}

/// Bytes of an encapsulation key of ML-KEM-768 (FIPS 203).
const ENCAPSULATION_KEY_LEN: usize = 1_184;

/// Bytes of a ciphertext of ML-KEM-768 (FIPS 203).
const CIPHERTEXT_LEN: usize = 1_088;

/// The peer's public value is not a member of the group, or gives the all-zero secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("invalid public value")]
pub struct PublicValueError;

/// One backend's ephemeral private value.
pub(crate) trait Agreement: Send + Sync {
    fn public_value(&self) -> &[u8];
    fn agree(self: Box<Self>, peer: &[u8]) -> Option<Secret>;
}

/// One backend's private key of ML-KEM-768.
pub(crate) trait Decapsulation: Send + Sync {
    fn encapsulation_key(&self) -> &[u8];
    fn decapsulate(self: Box<Self>, ciphertext: &[u8]) -> Option<Secret>;
}

/// The private value of the end that begins; it is used once.
pub struct KeyAgreement {
    group: Group,
    inner: Box<dyn Agreement>,
}

impl KeyAgreement {
    pub(crate) fn new(backend: &dyn Backend, group: Group) -> Option<Self> {
        let inner = match group.hybrid() {
            None => backend.key_agreement(group)?,
            Some(form) => Box::new(HybridAgreement::new(backend, form)?),
        };
        Some(Self { group, inner })
    }

    /// The group it belongs to.
    pub fn group(&self) -> Group {
        self.group
    }

    /// Our public value, as it goes on the wire.
    pub fn public_value(&self) -> &[u8] {
        self.inner.public_value()
    }

    /// The secret shared with the owner of the public value `peer`.
    ///
    /// # Errors
    /// [`PublicValueError`] where `peer` is no valid public value of the group.
    pub fn agree(self, peer: &[u8]) -> Result<Secret, PublicValueError> {
        if self.group.is_hybrid() || self.group.has_form(peer) {
            self.inner.agree(peer).ok_or(PublicValueError)
        } else {
            Err(PublicValueError)
        }
    }
}

/// The private values of both halves.
struct HybridAgreement {
    form: Hybrid,
    classical: KeyAgreement,
    kem: Box<dyn Decapsulation>,
    public_value: Vec<u8>,
}

impl HybridAgreement {
    fn new(backend: &dyn Backend, form: Hybrid) -> Option<Self> {
        let kem = backend.decapsulation_key()?;
        let classical = KeyAgreement::new(backend, form.classical)?;
        let public_value = form.join(classical.public_value(), kem.encapsulation_key());
        Some(Self { form, classical, kem, public_value })
    }
}

impl Agreement for HybridAgreement {
    fn public_value(&self) -> &[u8] {
        &self.public_value
    }

    fn agree(self: Box<Self>, peer: &[u8]) -> Option<Secret> {
        let (classical, ciphertext) = self.form.split(peer, CIPHERTEXT_LEN)?;
        let classical = self.classical.agree(classical).ok()?;
        let kem = self.kem.decapsulate(ciphertext)?;
        Some(Secret::new(self.form.join(&classical, &kem)))
    }
}

/// The value and the secret of the end that answers `peer`.
pub(crate) fn answer(backend: &dyn Backend, group: Group, peer: &[u8]) -> Option<(Vec<u8>, Secret)> {
    let Some(form) = group.hybrid() else {
        let ours = KeyAgreement::new(backend, group)?;
        let value = ours.public_value().to_vec();
        return Some((value, ours.agree(peer).ok()?));
    };
    let (classical, encapsulation_key) = form.split(peer, ENCAPSULATION_KEY_LEN)?;
    let (ciphertext, kem) = backend.encapsulate(encapsulation_key)?;
    let (value, classical) = answer(backend, form.classical, classical)?;
    Some((form.join(&value, &ciphertext), Secret::new(form.join(&classical, &kem))))
}

impl fmt::Debug for KeyAgreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeyAgreement").field(&self.group).finish()
    }
}
