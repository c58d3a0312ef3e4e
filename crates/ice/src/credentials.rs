//! User name fragments and passwords (RFC 8445 §5.3).

use std::fmt;

use antiphon_util::Rng;

/// The characters that RFC 8839 §5.4 allows; 64 of them, so that a byte gives six bits without bias.
const ICE_CHARS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// What one agent's messages are authenticated with.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user name fragment; 4 to 256 characters.
    pub ufrag: String,
    /// The password; 22 to 256 characters.
    pub pwd: String,
}

impl Credentials {
    /// Fresh ones: 48 bits of user name, 144 of password (RFC 8445 §5.3 asks for 24 and 128).
    pub fn random(rng: &mut Rng) -> Self {
        Self { ufrag: text::<8>(rng), pwd: text::<24>(rng) }
    }
}

/// Does not print the password.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("ufrag", &self.ufrag).finish_non_exhaustive()
    }
}

fn text<const N: usize>(rng: &mut Rng) -> String {
    let bytes: [u8; N] = rng.array();
    bytes
        .iter()
        .filter_map(|byte| ICE_CHARS.get(usize::from(byte & 63)))
        .map(|char| char::from(*char))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn are_of_the_allowed_alphabet_and_long_enough() {
        let mut rng = Rng::from_test_seed(1);
        let (a, b) = (Credentials::random(&mut rng), Credentials::random(&mut rng));
        assert_ne!(a, b);
        assert_eq!((a.ufrag.len(), a.pwd.len()), (8, 24));
        assert!(a.pwd.bytes().all(|byte| ICE_CHARS.contains(&byte)));
        assert!(!format!("{a:?}").contains(&a.pwd));
    }
}
