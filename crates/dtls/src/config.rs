//! What a connection is told at construction.

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
    /// Our certificate, shown in both roles.
    pub certificate: Arc<Certificate>,
    /// The fingerprints that the peer announced; its certificate has to match one of those with the strongest hash
    /// function (RFC 8122 §5). With none, no peer is accepted.
    pub remote_fingerprints: Vec<Fingerprint>,
    /// How the peer proves who it is.
    pub peer_authentication: PeerAuthentication,
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
        Self {
            provider,
            certificate,
            remote_fingerprints,
            peer_authentication: PeerAuthentication::Fingerprint,
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

    /// For use inside WebRTC, where ICE has validated the path that datagrams come from: no cookie is demanded.
    pub fn for_webrtc(
        provider: Provider,
        certificate: Arc<Certificate>,
        remote_fingerprints: Vec<Fingerprint>,
    ) -> Self {
        Self { cookie: CookieExchange::Skipped, ..Self::new(provider, certificate, remote_fingerprints) }
    }
}

/// How the peer proves who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerAuthentication {
    /// With a certificate of an announced fingerprint, and a signature by its key.
    Fingerprint,
    /// With any certificate and a signature by its key: the peer may be anybody. For tests alone.
    DangerousAnyCertificate,
    /// A client need not show a certificate, and a server may show any. For tests alone.
    DangerousNone,
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
