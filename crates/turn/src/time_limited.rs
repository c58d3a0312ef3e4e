//! Credentials that are valid for a time, as web services hand them out.

use antiphon_crypto::{HashAlgorithm, Provider};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The password of a user name that is valid for a time: HMAC-SHA1 of the user name under a secret that the service shares with
/// the TURN server, in Base64 ("A REST API For Access To TURN Services", draft-uberti-behave-turn-rest).
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
