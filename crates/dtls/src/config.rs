//! What a connection is told at construction.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use antiphon_crypto::{Certificate, Fingerprint, Group, Provider};

use crate::{CipherSuite, KeyLog, SrtpProfile, Version};

/// What a connection is told at construction.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// Where the cryptography comes from.
    pub provider: Provider,
    /// Our certificate, shown in both roles. A client may be without one, and then shows none to a server that asks; a
    /// server without one finds nothing in common with any client.
    pub certificate: Option<Arc<Certificate>>,
    /// The fingerprints that the peer announced; its certificate has to match one of those with the strongest hash
    /// function (RFC 8122 §5). With none, no peer is accepted.
    pub remote_fingerprints: Vec<Fingerprint>,
    /// How the peer proves who it is.
    pub peer_authentication: PeerAuthentication,
    /// The name of the server that a client wants, in ASCII and without a dot behind it (RFC 6066 §3); servers pass it over.
    pub server_name: Option<String>,
    /// The versions that we speak; the better one is chosen where both ends speak both.
    pub versions: Vec<Version>,
    /// SRTP profiles in our order of preference, by which a server chooses; empty where SRTP is not wanted.
    pub srtp_profiles: Vec<SrtpProfile>,
    /// Cipher suites in our order of preference.
    pub cipher_suites: Vec<CipherSuite>,
    /// Groups for the key exchange in our order of preference; those that the provider lacks are not offered, and hybrids
    /// are in 1.3 alone. A client sends its share for the first of them, and where that is a hybrid for the first that is
    /// none besides.
    pub groups: Vec<Group>,
    /// Bytes of plaintext in the greatest record that the peer may send, 64 to 16,384 (RFC 8449).
    pub max_record_size: usize,
    /// The id that the peer is to put into what it sends us where it agrees (RFC 9146, RFC 9147 §9), so that the connection
    /// is told by more than its addresses; empty where we need none in what we receive and put the peer's into what we
    /// send. With `None` there are no ids.
    pub connection_id: Option<Vec<u8>>,
    /// Where the secrets are written for debugging; `None` unless told.
    pub key_log: Option<KeyLog>,
    /// Records sealed under one key of 1.3 before new keys are made; half of what the AEAD allows unless told, which cannot
    /// be exceeded.
    pub key_lifetime: u64,
    /// Bytes that a datagram of ours may have, at least 256; 1,200 unless told.
    pub max_datagram_size: usize,
    /// Whether a server makes clients prove that they receive at their address.
    pub cookie: CookieExchange,
    /// Times of the handshake.
    pub timing: Timing,
    /// Bounds on what a peer can make us hold.
    pub limits: Limits,
}

impl Config {
    /// For use by itself over any datagram transport: a server demands the cookie of RFC 6347 §4.2.1 or RFC 8446 §4.2.2 before it does any
    /// costly work.
    pub fn new(
        provider: Provider,
        certificate: Arc<Certificate>,
        remote_fingerprints: Vec<Fingerprint>,
    ) -> Self {
        Self { certificate: Some(certificate), remote_fingerprints, ..Self::unauthenticated(provider) }
    }

    /// For a client of a server that shows a chain of certificates, as on the web; the client shows none. Hybrid groups are
    /// left out: their shares do not fit into the one datagram that servers without memory of a first hello want.
    pub fn for_client(provider: Provider, server_name: Option<String>, verifier: ChainVerifier) -> Self {
        Self {
            server_name,
            peer_authentication: PeerAuthentication::Chain(verifier),
            groups: Group::ALL.into_iter().filter(|group| !group.is_hybrid()).collect(),
            ..Self::unauthenticated(provider)
        }
    }

    /// For a server whose clients need no certificate, as on the web; behind a [`Gate`](crate::Gate) it serves many.
    pub fn for_server(provider: Provider, certificate: Arc<Certificate>) -> Self {
        Self {
            certificate: Some(certificate),
            peer_authentication: PeerAuthentication::AnonymousClient,
            ..Self::unauthenticated(provider)
        }
    }

    /// For use inside WebRTC, where ICE has validated the path that datagrams come from: no cookie is demanded.
    pub fn for_webrtc(
        provider: Provider,
        certificate: Arc<Certificate>,
        remote_fingerprints: Vec<Fingerprint>,
    ) -> Self {
        Self { cookie: CookieExchange::Skipped, ..Self::new(provider, certificate, remote_fingerprints) }
    }

    /// Shows nothing and accepts nobody.
    fn unauthenticated(provider: Provider) -> Self {
        Self {
            provider,
            certificate: None,
            remote_fingerprints: Vec::new(),
            peer_authentication: PeerAuthentication::Fingerprint,
            server_name: None,
            versions: Version::ALL.to_vec(),
            srtp_profiles: Vec::new(),
            cipher_suites: CipherSuite::ALL.to_vec(),
            groups: Group::ALL.to_vec(),
            max_record_size: 1 << 14,
            connection_id: None,
            key_log: None,
            key_lifetime: u64::MAX,
            max_datagram_size: 1_200,
            cookie: CookieExchange::Demanded,
            timing: Timing::default(),
            limits: Limits::default(),
        }
    }

    /// Frees what is offered to a peer and demanded of it, which a finished handshake has settled.
    pub(crate) fn forget_offer(&mut self) {
        self.remote_fingerprints = Vec::new();
        self.versions = Vec::new();
        self.srtp_profiles = Vec::new();
        self.cipher_suites = Vec::new();
        self.groups = Vec::new();
    }
}

/// How the peer proves who it is.
#[derive(Debug, Clone)]
pub enum PeerAuthentication {
    /// With a certificate of an announced fingerprint, and a signature by its key.
    Fingerprint,
    /// With a chain of certificates that this accepts, and a signature by the key of the first.
    Chain(ChainVerifier),
    /// For servers alone: clients are not asked for certificates, and prove who they are in what follows, if at all. As a
    /// client it accepts nobody.
    AnonymousClient,
    /// With any certificate and a signature by its key: the peer may be anybody. For tests alone.
    DangerousAnyCertificate,
    /// A client need not show a certificate, and a server may show any. For tests alone.
    DangerousNone,
}

type Accepts = dyn Fn(&[Vec<u8>]) -> bool + Send + Sync;

/// Decides whether a chain of certificates proves that the peer is who it should be: issuers, dates and names are its part.
#[derive(Clone)]
pub struct ChainVerifier(Arc<Accepts>);

impl ChainVerifier {
    /// Has `accepts` decide, which is given the chain in DER, the peer's own certificate first.
    pub fn new(accepts: impl Fn(&[Vec<u8>]) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(accepts))
    }

    pub(crate) fn accepts(&self, chain: &[Vec<u8>]) -> bool {
        (self.0)(chain)
    }
}

impl fmt::Debug for ChainVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChainVerifier")
    }
}

/// Whether a server makes clients prove that they receive at their address (RFC 6347 §4.2.1, RFC 8446 §4.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CookieExchange {
    /// The first hello is answered with a cookie that the second has to bring.
    Demanded,
    /// The first hello is served: something else, such as ICE, has validated the address.
    Skipped,
}

/// Times of the handshake (RFC 6347 §4.2.4.1).
///
/// The first timer is 1.5 × the round-trip time where that is known. The cap on back-off is far below the RFC's 60
/// seconds: a flight is a few datagrams, and ICE stops the connection where nothing comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// First retransmission timer where the round-trip time is not known; 1 s.
    pub initial: Duration,
    /// Least first retransmission timer; 50 ms, as browsers have it.
    pub minimum: Duration,
    /// Greatest retransmission timer after back-off; 1 s, or the first timer where that is longer.
    pub maximum: Duration,
    /// Time after which an unfinished handshake fails; 30 s.
    pub deadline: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            initial: Duration::from_secs(1),
            minimum: Duration::from_millis(50),
            maximum: Duration::from_secs(1),
            deadline: Duration::from_secs(30),
        }
    }
}

/// Bounds on what a peer can make us hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one handshake message; 32 KiB.
    pub message_size: usize,
    /// Handshake messages beginning with the awaited one that are put together at a time; 8.
    pub messages: usize,
    /// Bytes of handshake messages held ahead of the awaited one; 64 KiB.
    pub reassembly_bytes: usize,
    /// Pieces with gaps between them in which a handshake message is held; 64.
    pub pieces: usize,
    /// Records held that arrived before their keys; 8.
    pub early_records: usize,
    /// Bytes of records held that arrived before their keys; 16 KiB.
    pub early_bytes: usize,
    /// HelloVerifyRequests that a client answers; 4.
    pub cookie_requests: usize,
    /// Records of the peer's flight that are remembered for an acknowledgement; 32.
    pub acknowledged_records: usize,
    /// Connection ids that the peer has given and that are not used yet, and of ours those remembered besides the first; 8.
    pub connection_ids: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_size: 32 * 1024,
            messages: 8,
            reassembly_bytes: 64 * 1024,
            pieces: 64,
            early_records: 8,
            early_bytes: 16 * 1024,
            cookie_requests: 4,
            acknowledged_records: 32,
            connection_ids: 8,
        }
    }
}
