//! Credentials and the keys made of them (RFC 8489 §9).

use std::fmt;

use antiphon_crypto::{HashAlgorithm, HmacKey, Provider, Secret, md5};

use crate::attribute::USERNAME_LIMIT;
use crate::{
    Attribute, AttributeType, Class, ErrorCode, Message, MessageBuilder, OpaqueStringError,
    PasswordAlgorithm, opaque_string,
};

/// The attribute that authenticates a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Integrity {
    /// MESSAGE-INTEGRITY, HMAC-SHA1.
    Sha1,
    /// MESSAGE-INTEGRITY-SHA256.
    Sha256,
}

impl Integrity {
    /// The one by which `message` is judged: the stronger of those it has (RFC 8489 §9.1.3).
    pub fn of(message: &Message<'_>) -> Option<Self> {
        match (message.has_integrity_sha256(), message.has_integrity()) {
            (true, _) => Some(Integrity::Sha256),
            (false, true) => Some(Integrity::Sha1),
            (false, false) => None,
        }
    }
}

/// The keys that one secret gives for both integrities.
pub struct IntegrityKeys {
    sha1: HmacKey,
    sha256: HmacKey,
}

impl IntegrityKeys {
    /// The keys of `secret`: a password, or what a [`Credential`] or a server's store of such values makes of one.
    pub fn new(provider: Provider, secret: &[u8]) -> Self {
        let key = |algorithm| provider.hmac_key(algorithm, secret);
        Self { sha1: key(HashAlgorithm::Sha1), sha256: key(HashAlgorithm::Sha256) }
    }

    /// Appends the attribute that authenticates the message.
    pub fn sign(&self, builder: &mut MessageBuilder<'_>, integrity: Integrity) {
        match integrity {
            Integrity::Sha1 => builder.message_integrity(&self.sha1),
            Integrity::Sha256 => builder.message_integrity_sha256(&self.sha256),
        }
    }

    /// Whether `message` has that attribute and it is made with these keys; compared in constant time.
    pub fn verify(&self, message: &Message<'_>, integrity: Integrity) -> bool {
        match integrity {
            Integrity::Sha1 => message.verify_integrity(&self.sha1),
            Integrity::Sha256 => message.verify_integrity_sha256(&self.sha256),
        }
    }
}

impl fmt::Debug for IntegrityKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IntegrityKeys")
    }
}

/// A user name and its password, both as [`opaque_string`] gives them. The password is wiped on drop and never printed.
#[derive(Debug)]
pub struct Credential {
    username: String,
    password: Secret,
}

impl Credential {
    /// Takes both in the form they were typed in.
    ///
    /// # Errors
    /// Where one of them is not permitted, or the user name has more than 508 bytes (RFC 8489 §14.3).
    pub fn new(username: &str, password: &str) -> Result<Self, OpaqueStringError> {
        let username = opaque_string(username)?.into_owned();
        if username.len() > USERNAME_LIMIT {
            return Err(OpaqueStringError::TooLong);
        }
        let password = opaque_string(password.trim_end_matches('\0'))?;
        Ok(Self { username, password: Secret::new(password.into_owned().into_bytes()) })
    }

    /// The user name.
    pub fn username(&self) -> &str {
        &self.username
    }

    /// The keys of a credential that lives as long as a session: ICE's (RFC 8489 §9.1.1).
    pub fn short_term_keys(&self, provider: Provider) -> IntegrityKeys {
        IntegrityKeys::new(provider, &self.password)
    }

    /// The keys within `realm` (RFC 8489 §9.2.2, §18.5.1); `None` where `algorithm` is not known.
    pub fn long_term_keys(
        &self,
        provider: Provider,
        realm: &str,
        algorithm: PasswordAlgorithm<'_>,
    ) -> Option<IntegrityKeys> {
        let (username, realm) = (bare(&self.username), enforced(realm));
        let parts = [username.as_bytes(), b":", realm.as_bytes(), b":", &self.password];
        match algorithm {
            PasswordAlgorithm::MD5 => Some(IntegrityKeys::new(provider, &md5(&parts))),
            PasswordAlgorithm::SHA256 => {
                Some(IntegrityKeys::new(provider, &provider.digest(HashAlgorithm::Sha256, &parts)))
            }
            _ => None,
        }
    }

    /// What stands for the user name where nobody on the path is to read it (RFC 8489 §14.4).
    pub fn userhash(&self, provider: Provider, realm: &str) -> [u8; 32] {
        userhash(provider, &self.username, realm)
    }
}

/// USERHASH of a user name that [`opaque_string`] gave (RFC 8489 §14.4): what a server finds its users by.
pub fn userhash(provider: Provider, username: &str, realm: &str) -> [u8; 32] {
    let digest =
        provider.digest(HashAlgorithm::Sha256, &[username.as_bytes(), b":", enforced(realm).as_bytes()]);
    digest.first_chunk().copied().unwrap_or_default()
}

/// Judges a request or indication that a short-term credential authenticates (RFC 8489 §9.1.3) and gives the integrity that
/// the answer is to have. `keys` finds the keys of a user name.
///
/// # Errors
/// The error to answer a request with, unsigned; an indication is dropped.
pub fn verify_short_term<'k>(
    message: &Message<'_>,
    keys: impl FnOnce(&str) -> Option<&'k IntegrityKeys>,
) -> Result<(&'k IntegrityKeys, Integrity), ErrorCode<'static>> {
    let username = message.attribute(AttributeType::USERNAME);
    let (Some(integrity), Some(Attribute::Username(username))) = (Integrity::of(message), username) else {
        return Err(ErrorCode::BAD_REQUEST);
    };
    let keys = keys(username).ok_or(ErrorCode::UNAUTHENTICATED)?;
    if keys.verify(message, integrity) { Ok((keys, integrity)) } else { Err(ErrorCode::UNAUTHENTICATED) }
}

/// Whether a response is authentic, to a request that had the integrities `sent` (RFC 8489 §9.1.4): the response has one of
/// them, the stronger where it has both.
pub fn verify_response(message: &Message<'_>, keys: &IntegrityKeys, sent: &[Integrity]) -> bool {
    let is_response = matches!(message.kind().class, Class::SuccessResponse | Class::ErrorResponse);
    let integrity = Integrity::of(message).filter(|integrity| is_response && sent.contains(integrity));
    integrity.is_some_and(|integrity| keys.verify(message, integrity))
}

/// A realm as it enters a key. A server's realm that the profile refuses is taken as it is: the server does the same.
fn enforced(realm: &str) -> String {
    let realm = bare(realm);
    opaque_string(realm).map_or_else(|_| realm.to_owned(), |realm| realm.into_owned())
}

/// Without the quotes around it and NULs behind it (RFC 8489 §9.2.2).
fn bare(text: &str) -> &str {
    let text = text.trim_end_matches('\0');
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text)
}
