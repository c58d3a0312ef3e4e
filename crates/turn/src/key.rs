//! Keys of long-term credentials (RFC 8489 §9.2.2), and credentials that are valid for a time.

use antiphon_crypto::{HashAlgorithm, HmacKey, Provider, md5};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The secret of one user in one realm; its bytes are as good as the password.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct LongTermKey {
    bytes: [u8; 32],
    algorithm: Algorithm,
}

/// How a key is made of a password (RFC 8489 §18.5), and which integrity goes with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Algorithm {
    /// MD5, and HMAC-SHA1 for messages.
    Md5,
    /// SHA-256, and HMAC-SHA256 for messages.
    Sha256,
}

impl LongTermKey {
    /// RFC 8489 §18.5.1: the hash of user name, realm and password with colons between.
    pub(crate) fn new(
        provider: Provider,
        algorithm: Algorithm,
        username: &str,
        realm: &str,
        password: &str,
    ) -> Self {
        let parts = [username.as_bytes(), b":", realm.as_bytes(), b":", password.as_bytes()];
        let mut bytes = [0; 32];
        match algorithm {
            Algorithm::Md5 => {
                bytes.iter_mut().zip(md5(&parts)).for_each(|(to, from)| *to = from);
            }
            Algorithm::Sha256 => {
                let digest = provider.digest(HashAlgorithm::Sha256, &parts);
                bytes.iter_mut().zip(digest.iter()).for_each(|(to, from)| *to = *from);
            }
        }
        Self { bytes, algorithm }
    }

    /// The key with its schedule done.
    pub(crate) fn hmac(&self, provider: Provider) -> HmacKey {
        match self.algorithm {
            Algorithm::Md5 => {
                provider.hmac_key(HashAlgorithm::Sha1, self.bytes.first_chunk::<16>().map_or(&[], |key| key))
            }
            Algorithm::Sha256 => provider.hmac_key(HashAlgorithm::Sha256, &self.bytes),
        }
    }
}

impl std::fmt::Debug for LongTermKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("LongTermKey").field(&self.algorithm).finish()
    }
}

/// The password of a user name that is valid for a time, as web services hand out: HMAC-SHA1 of the user name under a secret that the
/// service shares with the TURN server, in Base64 ("A REST API For Access To TURN Services", draft-uberti-behave-turn-rest).
///
/// The user name is the Unix time in seconds at which it expires, alone or before a colon and any name of the user.
///
/// ```
/// use antiphon_crypto::Provider;
/// let password = antiphon_turn::time_limited_password(Provider::default(), "secret", "1700000000:alice");
/// assert_eq!(password.len(), 28);
/// ```
pub fn time_limited_password(provider: Provider, secret: &str, username: &str) -> String {
    let key = provider.hmac_key(HashAlgorithm::Sha1, secret.as_bytes());
    STANDARD.encode(&key.sign(&[username.as_bytes()])[..])
}

/// When a user name of that kind expires, in seconds since 1970, and the name of the user in it.
pub(crate) fn time_limit(username: &str) -> Option<(u64, &str)> {
    let (time, user) = username.split_once(':').unwrap_or((username, ""));
    time.bytes().all(|byte| byte.is_ascii_digit()).then(|| Some((time.parse().ok()?, user)))?
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8489 §9.2.2 gives the key of user "user", realm "realm" and password "pass".
    #[test]
    fn the_key_of_the_rfc_is_made() {
        let key = LongTermKey::new(Provider::default(), Algorithm::Md5, "user", "realm", "pass");
        let expected =
            [0x84, 0x93, 0xfb, 0xc5, 0x3b, 0xa5, 0x82, 0xfb, 0x4c, 0x04, 0x4c, 0x45, 0x6b, 0xdc, 0x40, 0xeb];
        assert_eq!(key.bytes[..16], expected);
        assert_eq!(key.bytes[16..], [0; 16]);
    }

    #[test]
    fn time_limits_are_read_from_user_names() {
        assert_eq!(time_limit("1700000000:alice"), Some((1_700_000_000, "alice")));
        assert_eq!(time_limit("1700000000"), Some((1_700_000_000, "")));
        assert_eq!(time_limit("12:a:b"), Some((12, "a:b")));
        for no in ["", "alice", "alice:12", "-1:a", "99999999999999999999999:a", ":a"] {
            assert_eq!(time_limit(no), None, "{no}");
        }
    }
}
