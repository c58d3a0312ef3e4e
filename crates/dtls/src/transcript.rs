//! The handshake messages so far, which the keys and signatures cover.

use antiphon_crypto::{Digest, HashAlgorithm, Provider};
use antiphon_util::Writer;

use crate::Version;
use crate::message::{Fragment, Kind, Message};

/// The handshake messages so far, as if none had been fragmented: in DTLS 1.2 with the whole header (RFC 6347 §4.2.6), in
/// DTLS 1.3 with type and length alone, as in TLS (RFC 9147 §5.2).
///
/// The bytes are kept, not a running hash: the hash is known later than the first messages, and in 1.2 CertificateVerify
/// signs them all.
#[derive(Debug)]
pub(crate) struct Transcript {
    version: Version,
    bytes: Vec<u8>,
}

impl Transcript {
    pub(crate) fn new(version: Version) -> Self {
        Self { version, bytes: Vec::new() }
    }

    /// What stands for a first hello that was answered by a HelloRetryRequest (RFC 8446 §4.4.1).
    pub(crate) fn after_retry(provider: Provider, hash: HashAlgorithm, hello: &Message) -> Self {
        let mut first = Self::new(Version::Dtls13);
        first.add(hello);
        Self::of_hashed_hello(&first.hash(provider, hash))
    }

    /// The same, of a first hello of which only the hash is known.
    pub(crate) fn of_hashed_hello(hash: &[u8]) -> Self {
        let mut transcript = Self::new(Version::Dtls13);
        transcript.add(&Message { kind: Kind::MESSAGE_HASH, sequence: 0, body: hash.to_vec() });
        transcript
    }

    pub(crate) fn add(&mut self, message: &Message) {
        let mut writer = Writer::new(&mut self.bytes);
        match self.version {
            Version::Dtls12 => Fragment::of(message, 0..message.body.len()).write(&mut writer),
            Version::Dtls13 => {
                writer.u8(message.kind.0);
                writer.vec24(|w| w.bytes(&message.body));
            }
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn hash(&self, provider: Provider, hash: HashAlgorithm) -> Digest {
        provider.digest(hash, &[&self.bytes])
    }
}
