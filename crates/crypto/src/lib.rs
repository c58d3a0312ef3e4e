//! What the protocols of Antiphon need of cryptography: a few small traits and one [`Provider`] that makes their
//! implementations, over aws-lc-rs (default) or ring.
//!
//! No primitive is written here; this crate only gives those of the backends one shape.

#[cfg(feature = "aws-lc-rs")]
mod aws_lc;
mod hash;
mod provider;

pub use hash::{Digest, HashAlgorithm, HmacKey};
pub use provider::Provider;

/// Whether `a` equals `b`, in a time that depends on their lengths alone.
pub fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    subtle::ConstantTimeEq::ct_eq(a, b).into()
}
