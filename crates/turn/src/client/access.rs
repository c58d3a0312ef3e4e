//! What requests are authenticated with (RFC 8489 §9.2).

use antiphon_crypto::HmacKey;
use antiphon_stun::{
    Attribute, AttributeType, Message, MessageBuilder, PasswordAlgorithm, PasswordAlgorithms,
};

use super::Config;
use crate::key::{Algorithm, LongTermKey};

/// In front of a nonce that has the security features of RFC 8489 §9.2 behind it.
pub(crate) const NONCE_COOKIE: &str = "obMatJos2";

/// Nothing is known of the server at first; its first refusal tells.
#[derive(Debug, Default)]
pub(super) struct Access(Option<Realm>);

#[derive(Debug)]
struct Realm {
    name: String,
    nonce: String,
    algorithm: Algorithm,
    /// What the server offers, to be repeated byte for byte.
    algorithms: Option<Vec<u8>>,
    key: HmacKey,
}

/// What a refusal for want of authentication means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Challenge {
    /// Worth another request.
    Answerable,
    /// The credentials are wrong.
    Wrong,
    /// What the nonce says was offered was taken out.
    BidDown,
    /// Realm or nonce are missing, or nothing offered is known.
    Unusable,
}

impl Access {
    /// Takes realm and nonce of a 401 or 438.
    pub(super) fn take_challenge(
        &mut self,
        config: &Config,
        message: &Message<'_>,
        is_stale: bool,
    ) -> Challenge {
        let Some(Attribute::Nonce(nonce)) = message.attribute(AttributeType::NONCE) else {
            return Challenge::Unusable;
        };
        let realm = match (message.attribute(AttributeType::REALM), &self.0) {
            (Some(Attribute::Realm(realm)), _) => realm.to_owned(),
            (_, Some(known)) => known.name.clone(),
            (_, None) => return Challenge::Unusable,
        };
        let offered = match message.attribute(AttributeType::PASSWORD_ALGORITHMS) {
            Some(Attribute::PasswordAlgorithms(offered)) => Some(offered),
            _ => None,
        };
        if offers_algorithms(nonce) && offered.is_none() {
            return Challenge::BidDown;
        }
        let Some(algorithm) = choose(offered) else { return Challenge::Unusable };
        if let Some(known) = &self.0 {
            // RFC 8489 §9.2.5: a 401 for credentials that were sent says that they are wrong, unless the nonce was stale.
            if !is_stale && known.name == realm && known.algorithm == algorithm {
                return Challenge::Wrong;
            }
            if known.algorithm == Algorithm::Sha256 && algorithm == Algorithm::Md5 {
                return Challenge::BidDown;
            }
        }
        let key = LongTermKey::new(config.provider, algorithm, &config.username, &realm, &config.password)
            .hmac(config.provider);
        self.0 = Some(Realm {
            name: realm,
            nonce: nonce.to_owned(),
            algorithm,
            algorithms: offered.map(|offered| offered.as_bytes().to_vec()),
            key,
        });
        Challenge::Answerable
    }

    /// Appends the credentials, where the server is known to want them.
    pub(super) fn sign(&self, config: &Config, builder: &mut MessageBuilder<'_>) {
        let Some(realm) = &self.0 else { return };
        builder.attribute(&Attribute::Username(&config.username));
        builder.attribute(&Attribute::Realm(&realm.name));
        builder.attribute(&Attribute::Nonce(&realm.nonce));
        if let Some(offered) = &realm.algorithms
            && let Ok(offered) = PasswordAlgorithms::parse(&mut antiphon_util::Reader::new(offered))
        {
            builder.attribute(&Attribute::PasswordAlgorithms(offered));
            builder.attribute(&Attribute::PasswordAlgorithm(match realm.algorithm {
                Algorithm::Md5 => PasswordAlgorithm::MD5,
                Algorithm::Sha256 => PasswordAlgorithm::SHA256,
            }));
        }
        match realm.algorithm {
            Algorithm::Md5 => builder.message_integrity(&realm.key),
            Algorithm::Sha256 => builder.message_integrity_sha256(&realm.key),
        }
    }

    /// Whether `message` is made with our key; also where no key is known, since the server demands none.
    pub(super) fn verifies(&self, message: &Message<'_>) -> bool {
        match &self.0 {
            None => true,
            Some(realm) => match realm.algorithm {
                Algorithm::Md5 => message.verify_integrity(&realm.key),
                Algorithm::Sha256 => message.verify_integrity_sha256(&realm.key),
            },
        }
    }
}

/// Whether the security features in a nonce say that PASSWORD-ALGORITHMS stands beside it: the first of 24 bits, in Base64.
fn offers_algorithms(nonce: &str) -> bool {
    nonce.strip_prefix(NONCE_COOKIE).and_then(|features| features.bytes().next()).is_some_and(|first| {
        // The characters from `g` on stand for 32 and above, whose highest of six bits is set.
        matches!(first, b'g'..=b'z' | b'0'..=b'9' | b'+' | b'/')
    })
}

/// The first algorithm offered that we know; MD5 where nothing is offered.
fn choose(offered: Option<PasswordAlgorithms<'_>>) -> Option<Algorithm> {
    let Some(offered) = offered else { return Some(Algorithm::Md5) };
    offered.iter().find_map(|offered| match offered {
        PasswordAlgorithm::SHA256 => Some(Algorithm::Sha256),
        PasswordAlgorithm::MD5 => Some(Algorithm::Md5),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_known_algorithm_is_chosen() {
        let parse = |bytes| PasswordAlgorithms::parse(&mut antiphon_util::Reader::new(bytes)).unwrap();
        assert_eq!(choose(None), Some(Algorithm::Md5));
        assert_eq!(choose(Some(PasswordAlgorithms::ALL)), Some(Algorithm::Sha256));
        assert_eq!(choose(Some(parse(&[0, 1, 0, 0, 0, 2, 0, 0]))), Some(Algorithm::Md5));
        assert_eq!(choose(Some(parse(&[0, 9, 0, 0]))), None);
    }

    #[test]
    fn a_nonce_tells_whether_algorithms_were_offered() {
        assert!(offers_algorithms("obMatJos2gAAAxyz"));
        assert!(offers_algorithms("obMatJos2wAAA"));
        assert!(!offers_algorithms("obMatJos2QAAAxyz"));
        assert!(!offers_algorithms("obMatJos2"));
        assert!(!offers_algorithms("gAAA"));
    }
}
