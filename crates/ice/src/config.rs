//! What an agent is made with.

use std::time::Duration;

use antiphon_crypto::Provider;
use antiphon_stun::Timing;

use crate::consent::Liveness;
use crate::credentials::Credentials;

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
            credential_len: 256,
        }
    }
}
