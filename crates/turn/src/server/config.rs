//! What a server is made with.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use antiphon_crypto::Provider;
use antiphon_util::ClockAnchor;

use super::policy::AddressPolicy;
use super::rate::Rate;

/// What a server is made with.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Makes keys and integrity.
    pub provider: Provider,
    /// Relates time to the calendar, by which credentials expire.
    pub clock: ClockAnchor,
    /// The domain of the credentials; a few bytes, since every refusal has it.
    pub realm: String,
    /// Who may use the server.
    pub users: Users,
    /// The addresses that are relayed from, one of each family; none serves STUN alone.
    pub relays: Vec<RelayAddress>,
    /// The ports that are relayed from.
    pub ports: RangeInclusive<u16>,
    /// Addresses of this machine: refused as peers, but for addresses that are relayed right now.
    pub own_addresses: Vec<IpAddr>,
    /// Which peers are relayed to.
    pub policy: AddressPolicy,
    /// Asked besides the policy for each peer that a client wants let in or connected to.
    pub permission: Option<PermissionHook>,
    /// How long an allocation lives where the client does not say (RFC 8656 §7.2); default 10 min.
    pub default_lifetime: Duration,
    /// The longest that an allocation lives without refresh; default 1 h.
    pub max_lifetime: Duration,
    /// How long a nonce is good for; default 1 h.
    pub nonce_lifetime: Duration,
    /// Whether clients are offered SHA-256 (RFC 8489 §14.11) beside MD5; 25 bytes more in a refusal.
    pub offer_sha256: bool,
    /// Whether allocations may move to another address of their client (RFC 8016).
    pub mobility: bool,
    /// Whether clients may have TCP connections relayed (RFC 6062).
    pub tcp_relaying: bool,
    /// Another server, named to clients (RFC 8489 §10) while this one has no room.
    pub alternate: Option<SocketAddr>,
    /// The name in the other server's certificate, where it is not this one's.
    pub alternate_domain: Option<String>,
    /// Bytes relayed in both directions by one allocation.
    pub allocation_bandwidth: Option<Rate>,
    /// Bytes relayed in both directions by all allocations of one user.
    pub user_bandwidth: Option<Rate>,
    /// Bytes relayed in all.
    pub total_bandwidth: Option<Rate>,
    /// Bounds on what clients can make grow.
    pub limits: Limits,
}

impl Config {
    /// The defaults: nobody may use it, and nothing is relayed.
    pub fn new(provider: Provider, clock: ClockAnchor, realm: impl Into<String>) -> Self {
        Self {
            provider,
            clock,
            realm: realm.into(),
            users: Users::default(),
            relays: Vec::new(),
            ports: 49_152..=65_535,
            own_addresses: Vec::new(),
            policy: AddressPolicy::new(),
            permission: None,
            default_lifetime: Duration::from_secs(600),
            max_lifetime: Duration::from_secs(3_600),
            nonce_lifetime: Duration::from_secs(3_600),
            offer_sha256: true,
            mobility: true,
            tcp_relaying: true,
            alternate: None,
            alternate_domain: None,
            allocation_bandwidth: None,
            user_bandwidth: None,
            total_bandwidth: None,
            limits: Limits::default(),
        }
    }
}

/// Who may use a server.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct Users {
    /// Passwords of users.
    pub passwords: HashMap<String, String>,
    /// Secrets of credentials that are valid for a time ([`time_limited_password`](crate::time_limited_password)); each of
    /// them is good, so that a secret can be replaced.
    pub secrets: Vec<String>,
}

/// Does not print secrets.
impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Users({} with passwords, {} secrets)", self.passwords.len(), self.secrets.len())
    }
}

/// An address that is relayed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelayAddress {
    /// The one to bind.
    pub bind: IpAddr,
    /// The one that peers see, where a NAT one to one stands before it.
    pub advertise: IpAddr,
}

impl From<IpAddr> for RelayAddress {
    fn from(address: IpAddr) -> Self {
        Self { bind: address, advertise: address }
    }
}

/// Decides on a peer; called with the server's state at hand, so it must not wait.
#[derive(Clone)]
pub struct PermissionHook(Arc<dyn Fn(&PermissionRequest<'_>) -> bool + Send + Sync>);

impl PermissionHook {
    /// Has `permits` decide.
    pub fn new(permits: impl Fn(&PermissionRequest<'_>) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(permits))
    }

    pub(super) fn permits(&self, request: &PermissionRequest<'_>) -> bool {
        (self.0)(request)
    }
}

impl fmt::Debug for PermissionHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PermissionHook")
    }
}

/// A client that wants to talk to a peer.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct PermissionRequest<'a> {
    /// The user of the client.
    pub user: &'a str,
    /// Where the client is.
    pub client: SocketAddr,
    /// The peer; a port of 0 stands for all ports.
    pub peer: SocketAddr,
}

/// Bounds on what clients, or whoever can send us datagrams, can make grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Allocations in all.
    pub allocations: usize,
    /// Allocations of one user.
    pub allocations_per_user: usize,
    /// Addresses that an allocation lets in.
    pub permissions: usize,
    /// Channels of an allocation.
    pub channels: usize,
    /// TCP connections of an allocation.
    pub connections: usize,
    /// Ports kept for a client that wants two in a row.
    pub reservations: usize,
    /// Bytes that the answers to one source have more than its requests, before it is authenticated, over UDP; sources share
    /// [`Limits::source_buckets`] counters.
    pub unpaid_bytes: Rate,
    /// Such bytes to all sources together.
    pub unpaid_bytes_in_all: Rate,
    /// Counters of sources.
    pub source_buckets: usize,
    /// Bytes that wait to be sent.
    pub outbox_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            allocations: 16_384,
            allocations_per_user: 64,
            permissions: 128,
            channels: 128,
            connections: 32,
            reservations: 256,
            unpaid_bytes: Rate { per_second: 1_024, burst: 8_192 },
            unpaid_bytes_in_all: Rate { per_second: 256 << 10, burst: 512 << 10 },
            source_buckets: 4_096,
            outbox_bytes: 4 << 20,
        }
    }
}
