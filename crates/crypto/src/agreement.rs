//! Ephemeral key agreement.

use std::fmt;

use crate::Secret;

/// A group for ephemeral Diffie-Hellman key agreement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Group {
    /// X25519 (RFC 7748).
    X25519,
    /// NIST P-256; public values are uncompressed points.
    P256,
    /// NIST P-384; public values are uncompressed points.
    P384,
}

impl Group {
    /// All groups, the fastest first.
    pub const ALL: [Group; 3] = [Group::X25519, Group::P256, Group::P384];

    /// Whether `value` has the form of a public value; points are uncompressed (RFC 8422 §5.4.1).
    fn has_form(self, value: &[u8]) -> bool {
        match self {
            Group::X25519 => value.len() == 32,
            Group::P256 => value.len() == 65 && value.first() == Some(&4),
            Group::P384 => value.len() == 97 && value.first() == Some(&4),
        }
    }
}

/// The peer's public value is not a member of the group, or gives the all-zero secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("invalid public value")]
pub struct PublicValueError;

/// One backend's ephemeral private value.
pub(crate) trait Agreement: Send + Sync {
    fn public_value(&self) -> &[u8];
    fn agree(self: Box<Self>, peer: &[u8]) -> Option<Secret>;
}

/// A fresh private value; it is used once.
pub struct KeyAgreement {
    group: Group,
    inner: Box<dyn Agreement>,
}

impl KeyAgreement {
    pub(crate) fn new(group: Group, inner: Box<dyn Agreement>) -> Self {
        Self { group, inner }
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
        if self.group.has_form(peer) {
            self.inner.agree(peer).ok_or(PublicValueError)
        } else {
            Err(PublicValueError)
        }
    }
}

impl fmt::Debug for KeyAgreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeyAgreement").field(&self.group).finish()
    }
}
