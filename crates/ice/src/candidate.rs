//! Candidates, their priorities and foundations (RFC 8445 §5.1).

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use antiphon_util::Protocol;

/// How an agent came by a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CandidateKind {
    /// An address of the host itself.
    Host,
    /// What a STUN server saw.
    ServerReflexive,
    /// What the other agent saw.
    PeerReflexive,
    /// An address on a TURN server.
    Relayed,
}

impl CandidateKind {
    /// The type preference that RFC 8445 §5.1.2.2 recommends.
    fn preference(self) -> u32 {
        match self {
            CandidateKind::Host => 126,
            CandidateKind::PeerReflexive => 110,
            CandidateKind::ServerReflexive => 100,
            CandidateKind::Relayed => 0,
        }
    }
}

/// The word of the candidate attribute (RFC 8839 §5.1).
impl fmt::Display for CandidateKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CandidateKind::Host => "host",
            CandidateKind::ServerReflexive => "srflx",
            CandidateKind::PeerReflexive => "prflx",
            CandidateKind::Relayed => "relay",
        })
    }
}

/// A transport address where an agent may be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Candidate {
    /// Equal for candidates that are likely to work or to fail alike; 1 to 32 characters.
    pub foundation: String,
    /// 1, or 2 for RTCP of its own.
    pub component: u16,
    /// What carries datagrams to it.
    pub protocol: Protocol,
    /// Higher is tried first; from 1 to 2³¹ - 1.
    pub priority: u32,
    /// Where it is.
    pub address: SocketAddr,
    /// How its agent came by it.
    pub kind: CandidateKind,
    /// The base of a reflexive candidate, or what the TURN server saw of a relayed one.
    pub related: Option<SocketAddr>,
}

impl Candidate {
    /// A candidate of component 1 over UDP with a foundation of its own kind, and the priority of a host with one address.
    pub fn new(kind: CandidateKind, address: SocketAddr) -> Self {
        Self {
            foundation: String::from("0"),
            component: 1,
            protocol: Protocol::Udp,
            priority: priority(kind, u16::MAX),
            address,
            kind,
            related: None,
        }
    }

    /// A host candidate over UDP.
    pub fn host(address: SocketAddr) -> Self {
        Self::new(CandidateKind::Host, address)
    }

    /// A server-reflexive candidate over UDP of the host address `base`.
    pub fn server_reflexive(address: SocketAddr, base: SocketAddr) -> Self {
        Self { related: Some(base), ..Self::new(CandidateKind::ServerReflexive, address) }
    }

    /// A relayed candidate over UDP of a client that the TURN server saw at `mapped`.
    pub fn relayed(address: SocketAddr, mapped: SocketAddr) -> Self {
        Self { related: Some(mapped), ..Self::new(CandidateKind::Relayed, address) }
    }
}

/// The priority of component 1 (RFC 8445 §5.1.2.1).
pub(crate) fn priority(kind: CandidateKind, local_preference: u16) -> u32 {
    kind.preference() << 24 | u32::from(local_preference) << 8 | 255
}

/// The priority of a pair from those of the controlling and the controlled agent's candidate (RFC 8445 §6.1.2.3). A
/// priority above the highest that RFC 8445 §5.1.2 has counts as that.
pub(crate) fn pair_priority(controlling: u32, controlled: u32) -> u64 {
    let bounded = |priority: u32| u64::from(priority.min(u32::MAX >> 1));
    let (g, d) = (bounded(controlling), bounded(controlled));
    (g.min(d) << 32) + 2 * g.max(d) + u64::from(g > d)
}

/// Whether datagrams can pass between the two addresses: same family and scope (RFC 8445 §6.1.2.2).
pub(crate) fn are_compatible(local: SocketAddr, remote: SocketAddr) -> bool {
    scope(local.ip()) == scope(remote.ip())
}

#[derive(PartialEq)]
enum Scope {
    V4Loopback,
    V4,
    V6Loopback,
    V6Link,
    V6,
}

fn scope(ip: IpAddr) -> Scope {
    match ip {
        IpAddr::V4(ip) if ip.is_loopback() => Scope::V4Loopback,
        IpAddr::V4(_) => Scope::V4,
        IpAddr::V6(ip) if ip.is_loopback() => Scope::V6Loopback,
        IpAddr::V6(ip) if ip.is_unicast_link_local() => Scope::V6Link,
        IpAddr::V6(_) => Scope::V6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priorities_follow_the_formula_of_the_rfc() {
        assert_eq!(priority(CandidateKind::Host, u16::MAX), 2_130_706_431);
        assert_eq!(priority(CandidateKind::ServerReflexive, u16::MAX), 1_694_498_815);
        assert_eq!(priority(CandidateKind::Relayed, u16::MAX), 16_777_215);
        assert_eq!(pair_priority(2, 1), (1 << 32) + 4 + 1);
        assert_eq!(pair_priority(1, 2), (1 << 32) + 4);
        assert_eq!(pair_priority(u32::MAX, u32::MAX), ((1 << 31) - 1) * ((1 << 32) + 2));
    }

    #[test]
    fn only_addresses_of_one_family_and_scope_are_paired() {
        let compatible = |a: &str, b: &str| are_compatible(a.parse().unwrap(), b.parse().unwrap());
        assert!(compatible("192.0.2.1:1", "198.51.100.1:2"));
        assert!(compatible("[2001:db8::1]:1", "[2001:db8::2]:2"));
        assert!(compatible("[fe80::1]:1", "[fe80::2]:2"));
        assert!(!compatible("192.0.2.1:1", "[2001:db8::2]:2"));
        assert!(!compatible("[2001:db8::1]:1", "[fe80::2]:2"));
        assert!(!compatible("127.0.0.1:1", "192.0.2.1:2"));
    }
}
