//! The key schedule of TLS 1.2 (RFC 5246 §5, §6.3, §8.1; RFC 7627) and its exporter (RFC 5705).

use antiphon_crypto::{HashAlgorithm, HmacKey, Provider, Secret};

use crate::key_log::SecretLog;
use crate::record::legacy::{Opener, Protection, Sealer};
use crate::registry::CipherSuite;

/// Length of the verify_data of a Finished.
pub(crate) const VERIFY_DATA_LEN: usize = 12;

/// The two hellos' random values.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Randoms {
    pub(crate) client: [u8; 32],
    pub(crate) server: [u8; 32],
}

/// Which end of the connection something belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

impl Side {
    /// The other one.
    pub(crate) fn peer(self) -> Self {
        match self {
            Side::Client => Side::Server,
            Side::Server => Side::Client,
        }
    }
}

/// The ids that both ends put into their records (RFC 9146); empty where there is none.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ConnectionIds<'a> {
    /// What the peer puts into what it sends us.
    pub(crate) local: &'a [u8],
    /// What we put into what we send.
    pub(crate) remote: &'a [u8],
}

/// The master secret. It is kept as such: a key made of it takes twenty times the memory, and is needed a few times only.
#[derive(Debug)]
pub(crate) struct MasterSecret {
    provider: Provider,
    hash: HashAlgorithm,
    secret: Secret,
    randoms: Randoms,
}

impl MasterSecret {
    /// RFC 7627 §4: bound to the handshake up to the ClientKeyExchange through its hash.
    pub(crate) fn new(
        provider: Provider,
        hash: HashAlgorithm,
        premaster: &Secret,
        session_hash: &[u8],
        randoms: Randoms,
        log: &SecretLog<'_>,
    ) -> Self {
        let mut master = vec![0; 48];
        expand(&provider.hmac_key(hash, premaster), b"extended master secret", &[session_hash], &mut master);
        let master = Secret::new(master);
        log.write("CLIENT_RANDOM", &master);
        Self { provider, hash, secret: master, randoms }
    }

    /// A master secret from a key log.
    #[cfg(test)]
    pub(crate) fn from_log(provider: Provider, hash: HashAlgorithm, master: &[u8], randoms: Randoms) -> Self {
        Self { provider, hash, secret: Secret::new(master.to_vec()), randoms }
    }

    fn key(&self) -> HmacKey {
        self.provider.hmac_key(self.hash, &self.secret)
    }

    /// RFC 5246 §7.4.9.
    pub(crate) fn verify_data(&self, side: Side, transcript_hash: &[u8]) -> [u8; VERIFY_DATA_LEN] {
        let label: &[u8] = match side {
            Side::Client => b"client finished",
            Side::Server => b"server finished",
        };
        let mut verify_data = [0; VERIFY_DATA_LEN];
        expand(&self.key(), label, &[transcript_hash], &mut verify_data);
        verify_data
    }

    /// The keys of epoch 1 for the end on `side` (RFC 5246 §6.3); `None` where the provider refuses them.
    pub(crate) fn keys(
        &self,
        suite: CipherSuite,
        side: Side,
        ids: ConnectionIds<'_>,
    ) -> Option<(Sealer, Opener)> {
        let algorithm = suite.aead();
        let (key_len, iv_len) = (algorithm.key_len(), Protection::iv_len(algorithm));
        let mut block = vec![0; 2 * (key_len + iv_len)];
        expand(&self.key(), b"key expansion", &[&self.randoms.server, &self.randoms.client], &mut block);
        let block = Secret::new(block);
        let (client_key, rest) = block.split_at_checked(key_len)?;
        let (server_key, rest) = rest.split_at_checked(key_len)?;
        let (client_iv, server_iv) = rest.split_at_checked(iv_len)?;
        let ((our_key, our_iv), (their_key, their_iv)) = match side {
            Side::Client => ((client_key, client_iv), (server_key, server_iv)),
            Side::Server => ((server_key, server_iv), (client_key, client_iv)),
        };
        let ours = Protection { algorithm, key: our_key, iv: our_iv, connection_id: ids.remote };
        let theirs = Protection { algorithm, key: their_key, iv: their_iv, connection_id: ids.local };
        Some((Sealer::new(self.provider, 1, &ours).ok()?, Opener::new(self.provider, &theirs).ok()?))
    }

    /// RFC 5705 §4.
    pub(crate) fn export(&self, label: &[u8], context: Option<&[u8]>, out: &mut [u8]) {
        let Randoms { client, server } = &self.randoms;
        match context {
            None => expand(&self.key(), label, &[client, server], out),
            Some(context) => {
                let len = u16::try_from(context.len()).unwrap_or(u16::MAX).to_be_bytes();
                expand(&self.key(), label, &[client, server, &len, context], out);
            }
        }
    }
}

/// The PRF of RFC 5246 §5 over the concatenation of `seed`.
fn expand(secret: &HmacKey, label: &[u8], seed: &[&[u8]], out: &mut [u8]) {
    let parts = |first: &[u8]| -> Vec<u8> { [&[first, label][..], seed].concat().concat() };
    let mut a = secret.sign(&[&parts(&[])]);
    let mut rest = out;
    while !rest.is_empty() {
        let block = secret.sign(&[&parts(&a)]);
        let (head, tail) = rest.split_at_mut(block.len().min(rest.len()));
        head.iter_mut().zip(block.iter()).for_each(|(to, from)| *to = *from);
        rest = tail;
        a = secret.sign(&[&a]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A vector that circulated on the TLS working group's list for P_SHA256.
    #[test]
    fn expands_to_the_known_answer() {
        let hex = |text: &str| -> Vec<u8> {
            (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
        };
        let key =
            Provider::default().hmac_key(HashAlgorithm::Sha256, &hex("9bbe436ba940f017b17652849a71db35"));
        let mut out = [0; 100];
        expand(&key, b"test label", &[&hex("a0ba9f936cda311827a6f796ffd5198c")], &mut out);
        let expected = "e3f229ba727be17b8d122620557cd453c2aab21d07c3d495329b52d4e61edb5a6b301791e90d35c9c9a46b4e14baf9af0f\
                        a022f7077def17abfd3797c0564bab4fbc91666e9def9b97fce34f796789baa48082d122ee42c5a72e5a5110fff70187347b66";
        assert_eq!(out[..], hex(expected)[..]);
    }
}
