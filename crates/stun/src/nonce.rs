//! What a server says of itself in front of its nonce (RFC 8489 §9.2): the client notices where somebody on the path took a
//! feature out of the message.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Features of a server that have to be used where it has them (RFC 8489 §18.1): 24 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SecurityFeatures(u32);

impl SecurityFeatures {
    /// None.
    pub const NONE: Self = Self(0);
    /// The server offers PASSWORD-ALGORITHMS.
    pub const PASSWORD_ALGORITHMS: Self = Self(1 << 23);
    /// The server takes USERHASH in place of USERNAME.
    pub const USERNAME_ANONYMITY: Self = Self(1 << 22);

    /// What stands before the four characters of the features.
    const PREFIX: &str = "obMatJos2";

    /// The features of a server that gave `nonce`; `None` where it is one of RFC 5389, which says nothing.
    pub fn of_nonce(nonce: &str) -> Option<Self> {
        let text = nonce.strip_prefix(Self::PREFIX)?.get(..4)?;
        let mut bits = [0; 4];
        let [_, rest @ ..] = &mut bits;
        let len = STANDARD.decode_slice(text, rest).ok()?;
        (len == 3).then_some(Self(u32::from_be_bytes(bits)))
    }

    /// The 13 characters that a server begins its nonces with.
    pub fn cookie(self) -> String {
        let [_, bits @ ..] = self.0.to_be_bytes();
        Self::PREFIX.to_owned() + &STANDARD.encode(bits)
    }

    /// Those of both.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` are here.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_survive_the_round_trip_in_the_nonce() {
        let both = SecurityFeatures::PASSWORD_ALGORITHMS.with(SecurityFeatures::USERNAME_ANONYMITY);
        for (features, cookie) in [
            (SecurityFeatures::NONE, "obMatJos2AAAA"),
            (SecurityFeatures::PASSWORD_ALGORITHMS, "obMatJos2gAAA"),
            (SecurityFeatures::USERNAME_ANONYMITY, "obMatJos2QAAA"),
            (both, "obMatJos2wAAA"),
        ] {
            assert_eq!(features.cookie(), cookie);
            assert_eq!(SecurityFeatures::of_nonce(&(features.cookie() + "more")), Some(features));
        }
        assert!(both.contains(SecurityFeatures::USERNAME_ANONYMITY));
        assert!(!SecurityFeatures::NONE.contains(SecurityFeatures::USERNAME_ANONYMITY));
    }

    #[test]
    fn other_nonces_say_nothing() {
        for nonce in
            ["", "f//499k954d6OL34oL9FSTvy64sA", "obMatJos2", "obMatJos2AA", "obMatJos2A==A", "obMatJos2äää"]
        {
            assert_eq!(SecurityFeatures::of_nonce(nonce), None, "{nonce}");
        }
    }
}
