//! The client's side of long-term credentials (RFC 8489 §9.2): it learns realm and nonce from the server's refusal and signs
//! what it sends from then on.

use antiphon_crypto::Provider;

use crate::{
    Attribute, AttributeType, Class, Credential, ErrorCode, Integrity, IntegrityKeys, Message,
    MessageBuilder, PasswordAlgorithm, PasswordAlgorithms, SecurityFeatures,
};

/// Signs requests to one server and judges its answers.
///
/// One value serves any number of requests at a time: [`sign`](Self::sign) says how a request was signed, and
/// [`judge`](Self::judge) takes that back with the answer.
#[derive(Debug)]
pub struct Authentication {
    provider: Provider,
    credential: Credential,
    challenge: Option<Challenge>,
}

/// What the server asked for, and what is made of it.
#[derive(Debug)]
struct Challenge {
    number: u32,
    realm: String,
    nonce: String,
    /// PASSWORD-ALGORITHMS as the server sent it.
    offered: Option<Vec<u8>>,
    algorithm: PasswordAlgorithm<'static>,
    userhash: Option<[u8; 32]>,
    keys: IntegrityKeys,
}

/// How a request was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature(Option<u32>);

impl Signature {
    /// Not at all.
    pub const NONE: Self = Self(None);
}

/// What an answer is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is authentic, or the request was not signed and needed not be.
    Accepted,
    /// The request is to be sent again, with another transaction id and signed anew.
    Retry,
    /// It counts as not received (RFC 8489 §9.2.5).
    Ignored,
    /// It is not authentic: it counts as not received over UDP and ends the transaction over a reliable transport.
    Violated,
    /// The request has failed.
    Refused(AuthenticationError),
}

/// Why a server does not let us in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthenticationError {
    /// User name or password are wrong.
    #[error("wrong user name or password")]
    Rejected,
    /// The server asks for credentials without saying for which realm or without a nonce.
    #[error("incomplete challenge")]
    Incomplete,
    /// Somebody took the password algorithms out of the challenge.
    #[error("password algorithms removed on the way")]
    BidDown,
    /// The server knows no algorithm that we know.
    #[error("no common password algorithm")]
    NoCommonAlgorithm,
}

impl Authentication {
    /// `credential` is used with any realm that the server names.
    pub fn new(provider: Provider, credential: Credential) -> Self {
        Self { provider, credential, challenge: None }
    }

    /// Appends what authenticates the request, once the server has asked for it; only FINGERPRINT may follow.
    pub fn sign(&self, builder: &mut MessageBuilder<'_>) -> Signature {
        let Some(challenge) = &self.challenge else { return Signature(None) };
        match &challenge.userhash {
            Some(hash) => builder.attribute(&Attribute::Userhash(hash)),
            None => builder.attribute(&Attribute::Username(self.credential.username())),
        }
        builder.attribute(&Attribute::Realm(&challenge.realm));
        builder.attribute(&Attribute::Nonce(&challenge.nonce));
        if let Some(offered) = &challenge.offered {
            builder.attribute(&Attribute::PasswordAlgorithms(PasswordAlgorithms(offered)));
            builder.attribute(&Attribute::PasswordAlgorithm(challenge.algorithm));
        }
        challenge.keys.sign(builder, challenge.integrity());
        Signature(Some(challenge.number))
    }

    /// Judges the answer to a request signed so (RFC 8489 §9.2.5).
    pub fn judge(&mut self, signature: Signature, response: &Message<'_>) -> Verdict {
        let code = error_code(response);
        if matches!(code, Some(401 | 438)) {
            return match self.take_challenge(signature, code == Some(401), response) {
                Ok(()) => Verdict::Retry,
                Err(error) => Verdict::Refused(error),
            };
        }
        if lacks_algorithms(response) {
            return Verdict::Ignored;
        }
        let Some(challenge) = self.challenge.as_ref().filter(|_| signature.0.is_some()) else {
            return Verdict::Accepted;
        };
        match Integrity::of(response) {
            None if code == Some(ErrorCode::BAD_REQUEST.code) => Verdict::Ignored,
            Some(integrity)
                if integrity == challenge.integrity() && challenge.keys.verify(response, integrity) =>
            {
                Verdict::Accepted
            }
            _ => Verdict::Violated,
        }
    }

    /// The realm that the server named.
    pub fn realm(&self) -> Option<&str> {
        self.challenge.as_ref().map(|challenge| challenge.realm.as_str())
    }

    fn take_challenge(
        &mut self,
        signature: Signature,
        is_unauthenticated: bool,
        response: &Message<'_>,
    ) -> Result<(), AuthenticationError> {
        if lacks_algorithms(response) {
            return Err(AuthenticationError::BidDown);
        }
        let Some(Attribute::Nonce(nonce)) = response.attribute(AttributeType::NONCE) else {
            return Err(AuthenticationError::Incomplete);
        };
        let realm = match (response.attribute(AttributeType::REALM), &self.challenge) {
            (Some(Attribute::Realm(realm)), _) => realm,
            // A server of RFC 5389 may leave it out of a 438.
            (None, Some(known)) if !is_unauthenticated => known.realm.as_str(),
            _ => return Err(AuthenticationError::Incomplete),
        };
        let known = self.challenge.as_ref();
        // RFC 8489 §9.2.5: the same credential would be refused again.
        if is_unauthenticated && signature.0.is_some() && known.is_some_and(|known| known.realm == realm) {
            return Err(AuthenticationError::Rejected);
        }
        let offered = match response.attribute(AttributeType::PASSWORD_ALGORITHMS) {
            Some(Attribute::PasswordAlgorithms(offered)) => Some(offered),
            _ => None,
        };
        let algorithm = choose(offered).ok_or(AuthenticationError::NoCommonAlgorithm)?;
        let keys = self.credential.long_term_keys(self.provider, realm, algorithm);
        let is_anonymous = SecurityFeatures::of_nonce(nonce)
            .is_some_and(|features| features.contains(SecurityFeatures::USERNAME_ANONYMITY));
        self.challenge = Some(Challenge {
            number: known.map_or(0, |known| known.number.wrapping_add(1)),
            realm: realm.to_owned(),
            nonce: nonce.to_owned(),
            offered: offered.map(|offered| offered.as_bytes().to_vec()),
            algorithm,
            userhash: is_anonymous.then(|| self.credential.userhash(self.provider, realm)),
            keys: keys.ok_or(AuthenticationError::NoCommonAlgorithm)?,
        });
        Ok(())
    }
}

impl Challenge {
    /// A server that offers algorithms is one of RFC 8489, which takes SHA-256 only (RFC 8489 §9.2.5).
    fn integrity(&self) -> Integrity {
        if self.offered.is_some() { Integrity::Sha256 } else { Integrity::Sha1 }
    }
}

/// The code of an error response.
pub(crate) fn error_code(response: &Message<'_>) -> Option<u16> {
    match response.attribute(AttributeType::ERROR_CODE) {
        Some(Attribute::ErrorCode(error)) if response.kind().class == Class::ErrorResponse => {
            Some(error.code)
        }
        _ => None,
    }
}

/// Whether the nonce says that the server offers algorithms and it does not (RFC 8489 §9.2.1).
fn lacks_algorithms(response: &Message<'_>) -> bool {
    let Some(Attribute::Nonce(nonce)) = response.attribute(AttributeType::NONCE) else { return false };
    let features = SecurityFeatures::of_nonce(nonce).unwrap_or_default();
    features.contains(SecurityFeatures::PASSWORD_ALGORITHMS)
        && response.attribute(AttributeType::PASSWORD_ALGORITHMS).is_none()
}

/// The first algorithm of the server's that we know; MD5 where it offers none.
fn choose(offered: Option<PasswordAlgorithms<'_>>) -> Option<PasswordAlgorithm<'static>> {
    let known = [PasswordAlgorithm::SHA256, PasswordAlgorithm::MD5];
    match offered {
        None => Some(PasswordAlgorithm::MD5),
        Some(list) => list.iter().find_map(|one| known.into_iter().find(|known| *known == one)),
    }
}
