//! The key schedule of TLS 1.3 (RFC 8446 §7.1) with the labels of DTLS (RFC 9147 §5.9), and its exporter (RFC 8446 §7.5).

use antiphon_crypto::{Digest, HkdfKey, NONCE_LEN, Provider, Secret};

use crate::key_log::SecretLog;
use crate::record::unified::{Opener, Protection, Sealer};
use crate::secrets::Side;
use crate::{CipherSuite, ExportError};

/// HKDF-Expand-Label; `None` where a length is beyond what the form can say.
fn expand_label(key: &HkdfKey, label: &[u8], context: &[u8], out: &mut [u8]) -> Option<()> {
    const PREFIX: &[u8] = b"dtls13";
    let len = u16::try_from(out.len()).ok()?.to_be_bytes();
    let label_len = [u8::try_from(PREFIX.len() + label.len()).ok()?];
    let context_len = [u8::try_from(context.len()).ok()?];
    key.expand(&[&len, &label_len, PREFIX, label, &context_len, context], out).ok()
}

/// Derive-Secret, with the hash of the messages given.
fn derive_secret(key: &HkdfKey, label: &[u8], hash: &[u8]) -> Option<Secret> {
    let mut secret = vec![0; key.hash().output_len()];
    expand_label(key, label, hash, &mut secret)?;
    Some(Secret::new(secret))
}

/// The secret of one direction and epoch.
#[derive(Debug)]
pub(crate) struct TrafficSecret {
    suite: CipherSuite,
    secret: Secret,
}

impl TrafficSecret {
    /// A secret from a key log.
    #[cfg(test)]
    pub(crate) fn from_log(suite: CipherSuite, secret: Secret) -> Self {
        Self { suite, secret }
    }

    fn derive(suite: CipherSuite, key: &HkdfKey, step: &Step<'_>) -> Option<Self> {
        let secret = derive_secret(key, step.label, step.hash)?;
        step.log.write(step.log_label, &secret);
        Some(Self { suite, secret })
    }

    fn key(&self, provider: Provider) -> HkdfKey {
        HkdfKey::new(provider, self.suite.hash(), &self.secret)
    }

    /// RFC 8446 §4.4.4.
    pub(crate) fn verify_data(&self, provider: Provider, transcript_hash: &[u8]) -> Option<Digest> {
        let finished_key = derive_secret(&self.key(provider), b"finished", &[])?;
        Some(provider.hmac_key(self.suite.hash(), &finished_key).sign(&[transcript_hash]))
    }

    /// RFC 8446 §7.2: the secret after a KeyUpdate.
    pub(crate) fn update(&self, provider: Provider) -> Option<Self> {
        let secret = derive_secret(&self.key(provider), b"traffic upd", &[])?;
        Some(Self { suite: self.suite, secret })
    }

    /// A key that seals at most `records` records in `epoch`.
    pub(crate) fn sealer(
        &self,
        provider: Provider,
        epoch: u64,
        records: u64,
        connection_id: &[u8],
    ) -> Option<Sealer> {
        self.with_keys(provider, |protection| {
            Sealer::new(provider, epoch, protection, records, connection_id).ok()
        })
    }

    pub(crate) fn opener(&self, provider: Provider, epoch: u64) -> Option<Opener> {
        self.with_keys(provider, |protection| Opener::new(provider, epoch, protection).ok())
    }

    fn with_keys<R>(&self, provider: Provider, make: impl FnOnce(&Protection<'_>) -> Option<R>) -> Option<R> {
        let algorithm = self.suite.aead();
        let secret = self.key(provider);
        let expand = |label: &[u8]| {
            let mut key = vec![0; algorithm.key_len()];
            expand_label(&secret, label, &[], &mut key)?;
            Some(Secret::new(key))
        };
        let (key, number_key) = (expand(b"key")?, expand(b"sn")?);
        let mut iv = [0; NONCE_LEN];
        expand_label(&secret, b"iv", &[], &mut iv)?;
        make(&Protection { algorithm, key: &key, iv, number_key: &number_key })
    }
}

/// What a secret is derived for, and how the key log names it.
struct Step<'a> {
    label: &'static [u8],
    log_label: &'static str,
    hash: &'a [u8],
    log: &'a SecretLog<'a>,
}

/// The secrets between the ServerHello and the Finished.
#[derive(Debug)]
pub(crate) struct HandshakeSecrets {
    provider: Provider,
    suite: CipherSuite,
    secret: HkdfKey,
    pub(crate) client: TrafficSecret,
    pub(crate) server: TrafficSecret,
}

impl HandshakeSecrets {
    /// `hash` is that of the messages up to the ServerHello. `None` where the provider fails.
    pub(crate) fn new(
        provider: Provider,
        suite: CipherSuite,
        shared: &Secret,
        hash: &[u8],
        log: &SecretLog<'_>,
    ) -> Option<Self> {
        let zeros = vec![0; suite.hash().output_len()];
        let empty = provider.digest(suite.hash(), &[]);
        let early = HkdfKey::extract(provider, suite.hash(), &[], &zeros);
        let salt = derive_secret(&early, b"derived", &empty)?;
        let secret = HkdfKey::extract(provider, suite.hash(), &salt, shared);
        let derive =
            |label, log_label| TrafficSecret::derive(suite, &secret, &Step { label, log_label, hash, log });
        let client = derive(&b"c hs traffic"[..], "CLIENT_HANDSHAKE_TRAFFIC_SECRET")?;
        let server = derive(&b"s hs traffic"[..], "SERVER_HANDSHAKE_TRAFFIC_SECRET")?;
        Some(Self { provider, suite, secret, client, server })
    }

    pub(crate) fn of(&self, side: Side) -> &TrafficSecret {
        match side {
            Side::Client => &self.client,
            Side::Server => &self.server,
        }
    }

    /// The secrets of the data for the end on `side`; `hash` is that of the messages up to the server's Finished.
    pub(crate) fn application(
        &self,
        side: Side,
        hash: &[u8],
        log: &SecretLog<'_>,
    ) -> Option<ApplicationSecrets> {
        let Self { provider, suite, .. } = *self;
        let empty = provider.digest(suite.hash(), &[]);
        let salt = derive_secret(&self.secret, b"derived", &empty)?;
        let zeros = vec![0; suite.hash().output_len()];
        let master = HkdfKey::extract(provider, suite.hash(), &salt, &zeros);
        let derive =
            |label, log_label| TrafficSecret::derive(suite, &master, &Step { label, log_label, hash, log });
        let client = derive(&b"c ap traffic"[..], "CLIENT_TRAFFIC_SECRET_0")?;
        let server = derive(&b"s ap traffic"[..], "SERVER_TRAFFIC_SECRET_0")?;
        let exporter = derive(&b"exp master"[..], "EXPORTER_SECRET")?;
        let (ours, theirs) = match side {
            Side::Client => (client, server),
            Side::Server => (server, client),
        };
        Some(ApplicationSecrets { ours, next: None, theirs, exporter })
    }
}

/// The secrets of the data.
#[derive(Debug)]
pub(crate) struct ApplicationSecrets {
    pub(crate) ours: TrafficSecret,
    /// Ours once the peer has acknowledged our KeyUpdate, while one is under way.
    pub(crate) next: Option<TrafficSecret>,
    pub(crate) theirs: TrafficSecret,
    exporter: TrafficSecret,
}

impl ApplicationSecrets {
    pub(crate) fn export(
        &self,
        provider: Provider,
        label: &[u8],
        context: &[u8],
        out: &mut [u8],
    ) -> Result<(), ExportError> {
        let hash = self.exporter.suite.hash();
        let secret = derive_secret(&self.exporter.key(provider), label, &provider.digest(hash, &[]))
            .ok_or(ExportError)?;
        let key = HkdfKey::new(provider, hash, &secret);
        expand_label(&key, b"exporter", &provider.digest(hash, &[context]), out).ok_or(ExportError)
    }
}
