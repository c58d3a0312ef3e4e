//! What an agent is made with.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use antiphon_crypto::Provider;
use antiphon_stun::Timing;

use crate::budget::CheckBudget;
use crate::consent::Liveness;
use crate::credentials::Credentials;
use crate::policy::AddressPolicy;

/// Which agent decides (RFC 8445 §6.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Nominates the pair that is used.
    Controlling,
    /// Follows.
    Controlled,
}

impl Role {
    /// The other one.
    #[must_use]
    pub fn opposite(self) -> Self {
        match self {
            Role::Controlling => Role::Controlled,
            Role::Controlled => Role::Controlling,
        }
    }
}

/// Which candidates are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TransportPolicy {
    /// All of them.
    #[default]
    All,
    /// Relayed ones: nothing is sent from an address of the host, and none is told.
    Relay,
}

/// A local address that others reach under another one, as behind a translator that maps address to address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AddressRewrite {
    /// The local address; `None` for every one of the external address's family.
    pub local: Option<IpAddr>,
    /// The address by which others reach it, on the same port.
    pub external: IpAddr,
    /// Whether the local address is told as well: the external one is then a server-reflexive candidate, and otherwise it takes
    /// the place of the host candidate's address.
    pub keep_local: bool,
}

impl AddressRewrite {
    /// Whether it is for `address`.
    pub(crate) fn applies_to(&self, address: IpAddr) -> bool {
        match self.local {
            Some(local) => local == address,
            None => address.is_ipv4() == self.external.is_ipv4() && !address.is_loopback(),
        }
    }
}

/// What an agent is made with; every field but the role has a default.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// Makes the keys of message integrity.
    pub provider: Provider,
    /// The role to begin with; a conflict may change it.
    pub role: Role,
    /// Whether the agent only answers checks (RFC 8445 §2.5): for servers whose addresses everybody can reach. It is always
    /// controlled, has host candidates only, and takes the peer's checks for consent. Two lite agents don't
    /// connect, since neither checks the other.
    pub lite: bool,
    /// Whether a better pair that turns up after a nomination is nominated in its place, where the peer agrees
    /// ([`Agent::set_remote_renomination`](crate::Agent::set_remote_renomination)).
    pub renomination: bool,
    /// Whether datagrams ride in checks ([`Agent::embed`](crate::Agent::embed)) where the peer agrees.
    pub embeds: bool,
    /// Which local addresses are used.
    pub local_addresses: AddressPolicy,
    /// Which addresses of the peer's are used, signalled or learned from its checks.
    pub remote_addresses: AddressPolicy,
    /// Which candidates are used (W3C `RTCIceTransportPolicy`).
    pub transport_policy: TransportPolicy,
    /// Addresses of ours that others reach under another one.
    pub address_rewrites: Vec<AddressRewrite>,
    /// Whether reflexive and relayed candidates keep back the address that they are related to, as they do in any case
    /// under [`TransportPolicy::Relay`].
    pub hide_related: bool,
    /// The first 96 bits of the addresses by which a host with nothing but IPv6 reaches IPv4 (RFC 6052 §2.1), as found by
    /// RFC 7050: remote IPv4 candidates are then tried through them.
    pub nat64_prefix: Option<Ipv6Addr>,
    /// What may be sent to addresses that don't answer; clones of one budget bound agents together.
    pub budget: CheckBudget,
    /// Our credentials; drawn at random where they are not given.
    pub credentials: Option<Credentials>,
    /// Bounds on what a peer can make grow.
    pub limits: Limits,
    /// Ta, the time between two checks that are not triggered (RFC 8445 §14.2).
    pub pacing: Duration,
    /// Retransmission of connectivity checks.
    pub check_timing: Timing,
    /// Retransmission of requests to STUN servers.
    pub gathering_timing: Timing,
    /// How long a nomination may wait for a better pair that has not been tried yet.
    pub nomination_patience: Duration,
    /// How long an agent without a working pair goes on waiting (RFC 8863 §4).
    pub patience: Duration,
    /// The mean period of consent checks; each is drawn from 0.8 to 1.2 times of it (RFC 7675 §5.1).
    pub consent_period: Duration,
    /// How long a consent check may be unanswered before the agent is disconnected.
    pub disconnected_after: Duration,
    /// How long consent lasts after an answer (RFC 7675 §5.1).
    pub consent_expiry: Duration,
    /// The period in which STUN servers are asked again to keep a NAT's binding, until a pair is selected (RFC 8445 §5.1.1.4).
    pub binding_refresh: Duration,
}

impl Config {
    /// The defaults.
    pub fn new(provider: Provider, role: Role) -> Self {
        Self {
            provider,
            role,
            lite: false,
            renomination: false,
            embeds: false,
            local_addresses: AddressPolicy::default(),
            remote_addresses: AddressPolicy::default(),
            transport_policy: TransportPolicy::All,
            address_rewrites: Vec::new(),
            hide_related: false,
            nat64_prefix: None,
            budget: CheckBudget::default(),
            credentials: None,
            limits: Limits::default(),
            pacing: Duration::from_millis(50),
            // RFC 8445 §14.3 asks for 500 ms at least. Browsers repeat an unanswered check several times as fast, and
            // each check is small; this begins with 250 ms and doubles up to a second, as with a few lost checks more
            // would be many seconds of waiting. The whole lasts 39.75 s, so that a check outlives the patience of
            // RFC 8863.
            check_timing: Timing {
                timeout: Duration::from_millis(250),
                max_timeout: Duration::from_secs(1),
                max_requests: 40,
                last_wait: Duration::from_secs(1),
            },
            // An absent STUN server must not hold up a caller that waits for gathering to complete.
            gathering_timing: Timing {
                timeout: Duration::from_millis(250),
                max_timeout: Duration::from_secs(1),
                max_requests: 7,
                last_wait: Duration::from_secs(1),
            },
            nomination_patience: Duration::from_millis(200),
            patience: Duration::from_millis(39_500),
            consent_period: Duration::from_secs(5),
            disconnected_after: Duration::from_secs(5),
            consent_expiry: Duration::from_secs(30),
            binding_refresh: Duration::from_secs(15),
        }
    }
}

impl Config {
    /// How the age of answers is judged: a path whose consent is kept has an answer within two periods unless it is cut.
    pub(crate) fn liveness(&self) -> Liveness {
        Liveness {
            silent_after: self.disconnected_after,
            recently: self.consent_period * 2 + self.disconnected_after,
            expiry: self.consent_expiry,
        }
    }
}

/// Bounds on what a peer, or whoever can send us datagrams, can make grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Remote candidates from signalling.
    pub remote_candidates: usize,
    /// Remote candidates learned from checks.
    pub peer_reflexive_candidates: usize,
    /// Candidate pairs (RFC 8445 §6.1.2.5).
    pub pairs: usize,
    /// Authenticated checks kept until the remote credentials are known.
    pub early_checks: usize,
    /// Answers waiting to be sent.
    pub queued_responses: usize,
    /// Error responses sent in a second.
    pub errors_per_second: u32,
    /// Local addresses; not under the peer's control.
    pub local_addresses: usize,
    /// STUN servers; not under the peer's control.
    pub stun_servers: usize,
    /// Datagrams that came in checks and wait to be taken.
    pub embedded_datagrams: usize,
    /// Bytes of datagrams that ride in checks to an IP address since a check to it was answered.
    pub unanswered_bytes: usize,
    /// Characters of a user name fragment or password (RFC 8839 §5.4).
    pub credential_len: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            remote_candidates: 64,
            peer_reflexive_candidates: 32,
            pairs: 100,
            early_checks: 16,
            queued_responses: 64,
            errors_per_second: 10,
            local_addresses: 32,
            stun_servers: 8,
            embedded_datagrams: 16,
            unanswered_bytes: 8_192,
            credential_len: 256,
        }
    }
}
