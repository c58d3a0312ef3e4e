//! The server's side of long-term credentials (RFC 8489 §9.2.4), without memory of who was challenged: the nonce says when and
//! for whom it was made, and an HMAC that this server made it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use antiphon_crypto::{HashAlgorithm, HmacKey, Provider};
use antiphon_util::Writer;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use crate::{
    Attribute, AttributeType, ErrorCode, Integrity, IntegrityKeys, Message, MessageBuilder,
    PasswordAlgorithm, PasswordAlgorithms, SecurityFeatures, address,
};

/// Bytes of the HMAC in a nonce.
const TAG_LEN: usize = 12;

/// Challenges clients of one realm and judges their requests.
#[derive(Debug)]
pub struct Authenticator {
    realm: String,
    offered: Option<PasswordAlgorithms<'static>>,
    features: SecurityFeatures,
    nonce_key: HmacKey,
    nonce_lifetime: Duration,
    epoch: Instant,
}

/// Who a request says that it is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserId<'a> {
    /// By name.
    Name(&'a str),
    /// By [`userhash`](crate::userhash).
    Hash(&'a [u8; 32]),
}

/// An authentic request.
#[derive(Debug)]
pub struct Authenticated<'a> {
    /// Who sent it.
    pub user: UserId<'a>,
    /// What the answer is signed with.
    pub keys: IntegrityKeys,
    /// How the answer is signed.
    pub integrity: Integrity,
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// The error to answer with, unsigned.
    pub error: ErrorCode<'static>,
    /// Whether [`Authenticator::challenge`] is to be added to the answer.
    pub is_challenge: bool,
}

impl Authenticator {
    /// `secret` are 32 unpredictable bytes that nobody else knows; nonces are valid for `nonce_lifetime`, an hour at most by
    /// custom, and from the address and port they were given to.
    ///
    /// Password algorithms and USERHASH are offered; see [`Self::without_password_algorithms`].
    pub fn new(
        now: Instant,
        provider: Provider,
        realm: impl Into<String>,
        secret: &[u8; 32],
        nonce_lifetime: Duration,
    ) -> Self {
        Self {
            realm: realm.into(),
            offered: Some(PasswordAlgorithms::ALL),
            features: SecurityFeatures::PASSWORD_ALGORITHMS,
            nonce_key: provider.hmac_key(HashAlgorithm::Sha256, secret),
            nonce_lifetime,
            epoch: now,
        }
    }

    /// Takes USERHASH in place of the user name, which it tells clients to send. [`judge`](Self::judge) then has to find users
    /// by it.
    #[must_use]
    pub fn with_anonymous_users(mut self) -> Self {
        self.features = self.features.with(SecurityFeatures::USERNAME_ANONYMITY);
        self
    }

    /// Behaves like a server of RFC 5389: MD5 and SHA-1 alone, and fewer bytes in the challenge.
    #[must_use]
    pub fn without_password_algorithms(mut self) -> Self {
        self.offered = None;
        self.features = SecurityFeatures::NONE;
        self
    }

    /// Judges a request from `source`. `keys` makes the keys of a user within this realm by an algorithm, and gives `None` for
    /// users it does not know.
    ///
    /// # Errors
    /// The error to answer with.
    pub fn judge<'a>(
        &self,
        now: Instant,
        source: SocketAddr,
        request: &Message<'a>,
        keys: impl FnOnce(UserId<'a>, PasswordAlgorithm<'a>) -> Option<IntegrityKeys>,
    ) -> Result<Authenticated<'a>, Refusal> {
        let challenge = |error| Refusal { error, is_challenge: true };
        let bad = Refusal { error: ErrorCode::BAD_REQUEST, is_challenge: false };
        let integrity = Integrity::of(request).ok_or(challenge(ErrorCode::UNAUTHENTICATED))?;
        let user =
            match (request.attribute(AttributeType::USERNAME), request.attribute(AttributeType::USERHASH)) {
                (Some(Attribute::Username(name)), _) => UserId::Name(name),
                (_, Some(Attribute::Userhash(hash))) => UserId::Hash(hash),
                _ => return Err(bad),
            };
        let Some(Attribute::Realm(realm)) = request.attribute(AttributeType::REALM) else { return Err(bad) };
        let Some(Attribute::Nonce(nonce)) = request.attribute(AttributeType::NONCE) else { return Err(bad) };
        let named = self.algorithm(request).ok_or(bad)?;
        // RFC 8489 §9.2.4: no algorithm named means MD5 and, in the answer, SHA-1.
        let algorithm = named.unwrap_or(PasswordAlgorithm::MD5);
        if realm != self.realm {
            return Err(challenge(ErrorCode::UNAUTHENTICATED));
        }
        let keys = keys(user, algorithm).filter(|keys| keys.verify(request, integrity));
        let keys = keys.ok_or(challenge(ErrorCode::UNAUTHENTICATED))?;
        if !self.is_valid(now, source, nonce) {
            return Err(challenge(ErrorCode::STALE_NONCE));
        }
        let integrity = if named.is_some() { Integrity::Sha256 } else { integrity };
        Ok(Authenticated { user, keys, integrity })
    }

    /// Appends REALM, NONCE and the algorithms to an error response.
    pub fn challenge(&self, now: Instant, source: SocketAddr, builder: &mut MessageBuilder<'_>) {
        builder.attribute(&Attribute::Realm(&self.realm));
        builder.attribute(&Attribute::Nonce(&self.nonce(now, source)));
        if let Some(offered) = self.offered {
            builder.attribute(&Attribute::PasswordAlgorithms(offered));
        }
    }

    /// The algorithm that the request names, `Some(None)` where it names none; `None` where it contradicts our offer.
    fn algorithm<'a>(&self, request: &Message<'a>) -> Option<Option<PasswordAlgorithm<'a>>> {
        let offer = request.find(AttributeType::PASSWORD_ALGORITHMS);
        let choice = request.find(AttributeType::PASSWORD_ALGORITHM);
        let (Some(offered), false) = (self.offered, offer.is_none() && choice.is_none()) else {
            return Some(None);
        };
        let Some(Attribute::PasswordAlgorithm(choice)) = choice?.decode(request.id()).ok() else {
            return None;
        };
        let is_ours = offer?.value == offered.as_bytes() && offered.iter().any(|one| one == choice);
        is_ours.then_some(Some(choice))
    }

    fn nonce(&self, now: Instant, source: SocketAddr) -> String {
        self.nonce_of(self.seconds(now), source)
    }

    /// The nonce made `seconds` after the epoch.
    fn nonce_of(&self, seconds: u32, source: SocketAddr) -> String {
        let mut body = Vec::with_capacity(4 + TAG_LEN);
        body.extend_from_slice(&seconds.to_be_bytes());
        let mut bytes = Vec::new();
        address::write(&mut Writer::new(&mut bytes), source);
        let tag = self.nonce_key.sign(&[&seconds.to_be_bytes(), &bytes]);
        body.extend_from_slice(tag.get(..TAG_LEN).unwrap_or_default());
        self.features.cookie() + &STANDARD_NO_PAD.encode(body)
    }

    fn is_valid(&self, now: Instant, source: SocketAddr, nonce: &str) -> bool {
        let made =
            nonce.get(self.features.cookie().len()..).and_then(|text| STANDARD_NO_PAD.decode(text).ok());
        let Some(made) =
            made.as_deref().and_then(<[u8]>::first_chunk).map(|bytes| u32::from_be_bytes(*bytes))
        else {
            return false;
        };
        let age = self.seconds(now).saturating_sub(made);
        let ours = self.nonce_of(made, source);
        Duration::from_secs(age.into()) <= self.nonce_lifetime
            && antiphon_crypto::constant_time_eq(ours.as_bytes(), nonce.as_bytes())
    }

    fn seconds(&self, now: Instant) -> u32 {
        u32::try_from(now.saturating_duration_since(self.epoch).as_secs()).unwrap_or(u32::MAX)
    }
}
