//! Long-term credentials (RFC 8489 §9.2.4) with nonces that the server need not remember.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use antiphon_crypto::{HashAlgorithm, HmacKey, Provider};
use antiphon_stun::{
    Attribute, AttributeType, ErrorCode, Message, MessageBuilder, PasswordAlgorithm, PasswordAlgorithms,
};
use antiphon_util::Rng;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::config::Config;
use crate::client::NONCE_COOKIE;
use crate::key::{Algorithm, LongTermKey, time_limit, time_limited_password};

/// Bytes of the authenticator in a nonce.
const NONCE_TAG: usize = 12;

/// Who sent a request, proved.
#[derive(Debug)]
pub(super) struct Authenticated {
    /// As in the request.
    pub(super) username: String,
    /// Whose quota it counts against: for names that hold a time, the rest.
    pub(super) user: String,
    pub(super) signer: Signer,
}

/// What the answer to a request is protected with.
#[derive(Debug, Clone)]
pub(super) struct Signer {
    algorithm: Algorithm,
    key: Arc<HmacKey>,
}

/// Why a request is not authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Denied {
    /// With realm and nonce.
    Challenge(ErrorCode<'static>),
    /// Nothing that credentials would help.
    Refuse(ErrorCode<'static>),
}

impl Signer {
    pub(super) fn sign(&self, builder: &mut MessageBuilder<'_>) {
        match self.algorithm {
            Algorithm::Md5 => builder.message_integrity(&self.key),
            Algorithm::Sha256 => builder.message_integrity_sha256(&self.key),
        }
    }
}

/// Makes and checks nonces: the time of making, and an authenticator over it and the client's address.
#[derive(Debug)]
pub(super) struct Nonces {
    key: HmacKey,
    origin: Instant,
}

impl Nonces {
    pub(super) fn new(now: Instant, provider: Provider, rng: &mut Rng) -> Self {
        Self { key: provider.hmac_key(HashAlgorithm::Sha256, &rng.array::<32>()), origin: now }
    }

    /// A fresh one for a client at `client`, behind the security features of RFC 8489 §9.2.
    pub(super) fn make(&self, now: Instant, client: IpAddr, offer_sha256: bool) -> String {
        let seconds = u32::try_from(now.saturating_duration_since(self.origin).as_secs()).unwrap_or(u32::MAX);
        let mut bytes = seconds.to_be_bytes().to_vec();
        bytes.extend(self.tag(seconds, client));
        let features = if offer_sha256 { "gAAA" } else { "AAAA" };
        format!("{NONCE_COOKIE}{features}{}", STANDARD_NO_PAD.encode(bytes))
    }

    /// Whether `nonce` was made for `client`, `lifetime` ago at most.
    fn accepts(&self, now: Instant, client: IpAddr, nonce: &str, lifetime: Duration) -> bool {
        let Some(encoded) = nonce.strip_prefix(NONCE_COOKIE).and_then(|rest| rest.get(4..)) else {
            return false;
        };
        let Ok(bytes) = STANDARD_NO_PAD.decode(encoded) else { return false };
        let Some((seconds, tag)) = bytes.split_first_chunk::<4>() else { return false };
        let made = self.origin.checked_add(Duration::from_secs(u32::from_be_bytes(*seconds).into()));
        let fresh = made.is_some_and(|made| now.saturating_duration_since(made) <= lifetime);
        fresh && tag.len() == NONCE_TAG && self.key.verify(&[seconds, &octets(client)], tag)
    }

    fn tag(&self, seconds: u32, client: IpAddr) -> Vec<u8> {
        let digest = self.key.sign(&[&seconds.to_be_bytes(), &octets(client)]);
        digest.iter().copied().take(NONCE_TAG).collect()
    }
}

fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

/// Checks the credentials of a request from `client`. `established` is the user name of the allocation that the request is
/// about: its time does not count any more.
pub(super) fn authenticate(
    config: &Config,
    nonces: &Nonces,
    now: Instant,
    client: IpAddr,
    message: &Message<'_>,
    established: Option<&str>,
) -> Result<Authenticated, Denied> {
    if !message.has_integrity() && !message.has_integrity_sha256() {
        return Err(Denied::Challenge(ErrorCode::UNAUTHENTICATED));
    }
    let (Some(Attribute::Username(username)), Some(Attribute::Realm(realm)), Some(Attribute::Nonce(nonce))) = (
        message.attribute(AttributeType::USERNAME),
        message.attribute(AttributeType::REALM),
        message.attribute(AttributeType::NONCE),
    ) else {
        return Err(Denied::Refuse(ErrorCode::BAD_REQUEST));
    };
    if !nonces.accepts(now, client, nonce, config.nonce_lifetime) {
        return Err(Denied::Challenge(ErrorCode::STALE_NONCE));
    }
    let algorithm = algorithm(config, message)?;
    let unauthenticated = Denied::Challenge(ErrorCode::UNAUTHENTICATED);
    if realm != config.realm {
        return Err(unauthenticated);
    }
    let time = config.clock.unix_time(now).as_secs();
    let (passwords, user) = passwords(config, time, username, established == Some(username));
    for password in passwords {
        let key =
            LongTermKey::new(config.provider, algorithm, username, realm, &password).hmac(config.provider);
        let authentic = match algorithm {
            Algorithm::Md5 => message.verify_integrity(&key),
            Algorithm::Sha256 => message.verify_integrity_sha256(&key),
        };
        if authentic {
            return Ok(Authenticated {
                username: username.to_owned(),
                user: user.to_owned(),
                signer: Signer { algorithm, key: Arc::new(key) },
            });
        }
    }
    Err(unauthenticated)
}

/// Which algorithm a request uses (RFC 8489 §9.2.4): what was offered has to come back as it was.
fn algorithm(config: &Config, message: &Message<'_>) -> Result<Algorithm, Denied> {
    let bad = Denied::Refuse(ErrorCode::BAD_REQUEST);
    let offered = message.attribute(AttributeType::PASSWORD_ALGORITHMS);
    let chosen = message.attribute(AttributeType::PASSWORD_ALGORITHM);
    match (offered, chosen) {
        (None, None) => Ok(Algorithm::Md5),
        (Some(Attribute::PasswordAlgorithms(offered)), Some(Attribute::PasswordAlgorithm(chosen)))
            if config.offer_sha256 && offered == PasswordAlgorithms::ALL =>
        {
            match chosen {
                PasswordAlgorithm::SHA256 => Ok(Algorithm::Sha256),
                PasswordAlgorithm::MD5 => Ok(Algorithm::Md5),
                _ => Err(bad),
            }
        }
        _ => Err(bad),
    }
}

/// The passwords that are good for a user name, and whose quota it counts against.
fn passwords<'a>(config: &Config, time: u64, username: &'a str, established: bool) -> (Vec<String>, &'a str) {
    if let Some(password) = config.users.passwords.get(username) {
        return (vec![password.clone()], username);
    }
    match time_limit(username) {
        Some((expires, user)) if expires > time || established => {
            let secrets = config.users.secrets.iter();
            let passwords = secrets.map(|secret| time_limited_password(config.provider, secret, username));
            (passwords.collect(), if user.is_empty() { username } else { user })
        }
        _ => (Vec::new(), username),
    }
}

#[cfg(test)]
mod tests {
    use antiphon_testkit::origin;

    use super::*;

    #[test]
    fn nonces_are_good_for_their_client_and_their_time_alone() {
        let start = origin();
        let nonces = Nonces::new(start, Provider::default(), &mut Rng::from_test_seed(1));
        let client = IpAddr::from([192, 0, 2, 1]);
        let nonce = nonces.make(start + Duration::from_secs(5), client, true);
        assert!(nonce.len() < 40, "{nonce}");
        let accepts = |seconds, client, nonce: &str| {
            nonces.accepts(start + Duration::from_secs(seconds), client, nonce, Duration::from_secs(60))
        };
        assert!(accepts(5, client, &nonce) && accepts(65, client, &nonce));
        assert!(!accepts(66, client, &nonce));
        assert!(!accepts(5, IpAddr::from([192, 0, 2, 2]), &nonce));
        for at in 0..nonce.len() {
            let mut other = nonce.clone().into_bytes();
            other[at] = if other[at] == b'B' { b'C' } else { b'B' };
            let other = String::from_utf8(other).unwrap();
            let is_feature = (9..13).contains(&at);
            assert_eq!(accepts(5, client, &other), is_feature, "{at}: {other}");
        }
        assert!(!accepts(5, client, "") && !accepts(5, client, "obMatJos2gAAA"));
    }
}
