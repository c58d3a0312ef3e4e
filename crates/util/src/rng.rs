//! Randomness that is handed in.

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng};

/// An unpredictable generator (ChaCha12) made from a seed: production seeds it from the operating system,
/// a test from a printed number. It makes no system calls.
pub struct Rng(StdRng);

impl Rng {
    /// The generator of `seed`; whoever knows the seed knows every output.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(StdRng::from_seed(seed))
    }

    /// The generator of a test's seed number.
    pub fn from_test_seed(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }

    /// A generator of its own for a part of the owner, seeded from this one.
    #[must_use]
    pub fn fork(&mut self) -> Self {
        Self::from_seed(self.array())
    }

    /// A uniform value.
    pub fn u16(&mut self) -> u16 {
        u16::from_be_bytes(self.array())
    }

    /// A uniform value.
    pub fn u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// A uniform value.
    pub fn u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A value below `bound`, or 0 where `bound` is 0; the bias is below 2⁻³² for bounds below 2³².
    pub fn below(&mut self, bound: u64) -> u64 {
        let product = u128::from(self.u64()) * u128::from(bound);
        (product >> 64) as u64
    }

    /// A value in [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform bytes.
    pub fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    /// Fills `bytes` uniformly.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }
}

/// Does not print the state, from which every later secret could be told.
impl std::fmt::Debug for Rng {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Rng")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_and_forks_differ() {
        let mut a = Rng::from_test_seed(7);
        let mut b = Rng::from_test_seed(7);
        assert_eq!(a.u64(), b.u64());
        let (mut fork, mut other) = (a.fork(), a.fork());
        assert_ne!(fork.u64(), other.u64());
    }

    #[test]
    fn stays_below_its_bound() {
        let mut rng = Rng::from_test_seed(1);
        assert_eq!(rng.below(0), 0);
        assert!((0..1_000).all(|_| rng.below(3) < 3));
        assert!((0..1_000).all(|_| (0.0..1.0).contains(&rng.unit())));
    }
}
