//! Cookies: a client that returns one receives at its address (RFC 6347 §4.2.1, RFC 9147 §5.1). They hold, or cover, all that
//! has to be known of the first hello, so that a server remembers none.

use std::fmt;
use std::sync::Arc;

use antiphon_crypto::{Group, HashAlgorithm, HmacKey, Provider, constant_time_eq};
use antiphon_util::{Reader, Rng, Writer};

use crate::core::Core;
use crate::message::ClientHello;
use crate::registry::group_code;
use crate::{CipherSuite, Version};

/// Makes cookies.
#[derive(Clone)]
pub(crate) struct CookieKey(Arc<HmacKey>);

impl CookieKey {
    pub(crate) fn random(provider: Provider, rng: &mut Rng) -> Self {
        Self(Arc::new(provider.hmac_key(HashAlgorithm::Sha256, &rng.array::<32>())))
    }

    /// The cookies of one client in one period; those of the period before are good still.
    pub(crate) fn cookies(&self, client: &[u8], period: u64) -> Cookies {
        Cookies { key: Arc::clone(&self.0), client: client.to_vec(), period }
    }
}

/// Does not print the key.
impl fmt::Debug for CookieKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CookieKey")
    }
}

/// The cookies of one client.
#[derive(Debug)]
pub(crate) struct Cookies {
    key: Arc<HmacKey>,
    client: Vec<u8>,
    period: u64,
}

/// What has to be known of a first hello of 1.3 (RFC 8446 §4.2.2).
///
/// ```text
/// cipher suite (2) | group asked for, or 0 (2) | hash of the first hello | HMAC (16)
/// ```
#[derive(Debug)]
pub(crate) struct FirstHello {
    pub(crate) suite: CipherSuite,
    /// The group of which a share was asked for.
    pub(crate) group: Option<Group>,
    /// Its hash, with that of the suite.
    pub(crate) hash: Vec<u8>,
}

/// Bytes of a keyed hash in a cookie: with all of it the answer would be longer than the shortest hellos.
const TAG_LEN: usize = 16;

impl Cookies {
    /// A keyed hash over what must not change between the two hellos of 1.2.
    pub(crate) fn of(&self, hello: &ClientHello) -> Vec<u8> {
        self.tag(self.period, &[&invariant(hello)])
    }

    /// Whether a hello of 1.2 brings its cookie.
    pub(crate) fn is_right(&self, hello: &ClientHello) -> bool {
        self.is_tag_right(&[&invariant(hello)], &hello.cookie)
    }

    /// The cookie with which a first hello of 1.3 is answered; it covers what must not change of that.
    pub(crate) fn seal(&self, first: &FirstHello, invariant: &[u8]) -> Vec<u8> {
        let mut cookie = Vec::new();
        let mut writer = Writer::new(&mut cookie);
        writer.u16(first.suite.code());
        writer.u16(first.group.map_or(0, group_code));
        writer.bytes(&first.hash);
        let tag = self.tag(self.period, &[&cookie, invariant]);
        cookie.extend(tag);
        cookie
    }

    /// The first hello that was answered with this cookie; `None` where it is none of ours, or the hello was another.
    pub(crate) fn open(&self, core: &Core, cookie: &[u8], invariant: &[u8]) -> Option<FirstHello> {
        let (content, tag) = cookie.split_at_checked(cookie.len().checked_sub(TAG_LEN)?)?;
        if !self.is_tag_right(&[content, invariant], tag) {
            return None;
        }
        let mut reader = Reader::new(content);
        let (suite, group) = (reader.u16().ok()?, reader.u16().ok()?);
        let suite = core.suites(Version::Dtls13).find(|known| known.code() == suite)?;
        let group = core.group_of_code(Version::Dtls13, group);
        Some(FirstHello { suite, group, hash: reader.rest().to_vec() })
    }

    /// The lengths are covered as well, so that no two clients or contents are taken for one another.
    fn tag(&self, period: u64, content: &[&[u8]]) -> Vec<u8> {
        let mut bytes = period.to_be_bytes().to_vec();
        for part in std::iter::once(&&self.client[..]).chain(content) {
            bytes.extend((part.len() as u64).to_be_bytes());
            bytes.extend_from_slice(part);
        }
        self.key.sign(&[&bytes]).get(..TAG_LEN).unwrap_or_default().to_vec()
    }

    fn is_tag_right(&self, content: &[&[u8]], tag: &[u8]) -> bool {
        let periods = [self.period, self.period.saturating_sub(1)];
        periods.into_iter().any(|period| constant_time_eq(&self.tag(period, content), tag))
    }
}

fn invariant(hello: &ClientHello) -> Vec<u8> {
    let suites = hello.cipher_suites.iter().flat_map(|suite| suite.to_be_bytes());
    let head = hello.version.to_be_bytes().into_iter().chain(hello.random);
    head.chain(hello.session_id.iter().copied()).chain(suites).collect()
}
