//! What a client is made with.

use std::time::Duration;

use antiphon_crypto::Provider;
use antiphon_stun::Timing;

/// What a client is made with; every field but the provider has a default.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// Makes the keys of message integrity.
    pub provider: Provider,
    /// The families of relayed addresses to ask for.
    pub families: Families,
    /// What the relay speaks to peers.
    pub relaying: Relaying,
    /// Wants an even port (RFC 8656 §7.1); not together with [`Families::Both`] or a reservation.
    pub even_port: Option<EvenPort>,
    /// Wants the port kept by an earlier allocation with [`EvenPort::ReserveNext`].
    pub reservation: Option<[u8; 8]>,
    /// Has the relay set DF on what it sends, or refuse (RFC 8656 §7.1).
    pub dont_fragment: bool,
    /// Wants an allocation that can move to another address of ours (RFC 8016).
    pub mobility: bool,
    /// How long the allocation is to live without refresh; the server's choice where not given.
    pub lifetime: Option<Duration>,
    /// Datagrams sent to a peer by Send indications before a channel is bound for it; `u32::MAX` for never.
    pub channel_after: u32,
    /// Retransmission of requests over UDP; over a stream [`Timing::reliable`] counts.
    pub timing: Timing,
    /// Bounds on what is kept.
    pub limits: Limits,
}

impl Config {
    /// The defaults.
    pub fn new(provider: Provider) -> Self {
        Self {
            provider,
            families: Families::Ipv4,
            relaying: Relaying::Udp,
            even_port: None,
            reservation: None,
            dont_fragment: false,
            mobility: false,
            lifetime: None,
            channel_after: 4,
            // An absent server must not hold up a caller that waits for gathering to complete: 250 ms doubling up to a
            // second, and given up after 11 s, where the RFC has 39.5 s.
            timing: Timing {
                timeout: Duration::from_millis(250),
                max_timeout: Duration::from_secs(1),
                max_requests: 10,
                last_wait: Duration::from_secs(3),
            },
            limits: Limits::default(),
        }
    }
}

/// The families of relayed addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Families {
    /// One IPv4 address.
    #[default]
    Ipv4,
    /// One IPv6 address (RFC 8656 §7.1, REQUESTED-ADDRESS-FAMILY).
    Ipv6,
    /// One of each, or only one of them where the server has not the other (ADDITIONAL-ADDRESS-FAMILY).
    Both,
}

/// What the relay speaks to peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Relaying {
    /// Datagrams.
    #[default]
    Udp,
    /// TCP connections (RFC 6062); the client itself has to be connected over a stream.
    Tcp,
}

/// Which even port is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EvenPort {
    /// Any.
    Any,
    /// One whose successor is kept for another allocation; the token for it is in [`Event::Allocated`](super::Event).
    ReserveNext,
}

/// Bounds on what is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Addresses of peers that have a permission or await one.
    pub peers: usize,
    /// Channels; at most 4,096 have numbers.
    pub channels: usize,
    /// Bytes of datagrams, over all peers, that wait for permissions.
    pub waiting_bytes: usize,
    /// Connections between relay and peers that are not bound yet (RFC 6062).
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { peers: 256, channels: 256, waiting_bytes: 64 << 10, connections: 64 }
    }
}
