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
    /// The type preference that RFC 8445 §5.1.2.2 recommends for UDP. Any direct way over UDP is better than one over TCP,
    /// and that better than a relay (RFC 6544 §4.2).
    fn preference(self, tcp_type: Option<TcpType>) -> u32 {
        match (self, tcp_type) {
            (CandidateKind::Host, None) => 126,
            (CandidateKind::PeerReflexive, None) => 110,
            (CandidateKind::ServerReflexive, None) => 100,
            (CandidateKind::Host, Some(_)) => 90,
            (CandidateKind::PeerReflexive, Some(_)) => 80,
            (CandidateKind::ServerReflexive, Some(_)) => 70,
            (CandidateKind::Relayed, _) => 0,
        }
    }
}

/// Which end of a TCP candidate opens the connection (RFC 6544 §4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TcpType {
    /// Its agent opens connections, and accepts none; its port is 9, which stands for none.
    Active,
    /// Its agent accepts connections, and opens none.
    Passive,
    /// Both ends open the connection at the same time.
    SimultaneousOpen,
}

impl TcpType {
    /// The type that the other end of its pairs has (RFC 6544 §6.2).
    #[must_use]
    pub fn opposite(self) -> Self {
        match self {
            TcpType::Active => TcpType::Passive,
            TcpType::Passive => TcpType::Active,
            TcpType::SimultaneousOpen => TcpType::SimultaneousOpen,
        }
    }

    /// The direction preference of RFC 6544 §4.2.
    fn preference(self, kind: CandidateKind) -> u16 {
        match (kind, self) {
            (CandidateKind::ServerReflexive, TcpType::SimultaneousOpen) => 6,
            (CandidateKind::ServerReflexive, TcpType::Active) => 4,
            (CandidateKind::ServerReflexive, TcpType::Passive) => 2,
            (_, TcpType::Active) => 6,
            (_, TcpType::Passive) => 4,
            (_, TcpType::SimultaneousOpen) => 2,
        }
    }
}

/// The word of the `tcptype` extension (RFC 6544 §4.5).
impl fmt::Display for TcpType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TcpType::Active => "active",
            TcpType::Passive => "passive",
            TcpType::SimultaneousOpen => "so",
        })
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
    /// Who opens the connection; `None` for UDP.
    pub tcp_type: Option<TcpType>,
}

impl Candidate {
    /// A candidate of component 1 over UDP with a foundation of its own kind, and the priority of a host with one address.
    pub fn new(kind: CandidateKind, address: SocketAddr) -> Self {
        Self {
            foundation: String::from("0"),
            component: 1,
            protocol: Protocol::Udp,
            priority: priority(kind, None, u16::MAX),
            address,
            kind,
            related: None,
            tcp_type: None,
        }
    }

    /// A host candidate over TCP; the port of an active one becomes 9 (RFC 6544 §4.5).
    pub fn tcp(mut address: SocketAddr, tcp_type: TcpType) -> Self {
        if tcp_type == TcpType::Active {
            address.set_port(ACTIVE_PORT);
        }
        let kind = CandidateKind::Host;
        Self {
            protocol: Protocol::Tcp,
            tcp_type: Some(tcp_type),
            priority: priority(kind, Some(tcp_type), u16::MAX),
            ..Self::new(kind, address)
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

/// The port that an active TCP candidate has in place of one (RFC 6544 §4.5).
pub(crate) const ACTIVE_PORT: u16 = 9;

/// The priority of component 1 (RFC 8445 §5.1.2.1). Of TCP the direction takes the three highest bits of the local
/// preference (RFC 6544 §4.2).
pub(crate) fn priority(kind: CandidateKind, tcp_type: Option<TcpType>, local_preference: u16) -> u32 {
    let local_preference = match tcp_type {
        None => local_preference,
        Some(tcp_type) => tcp_type.preference(kind) << 13 | local_preference >> 3,
    };
    kind.preference(tcp_type) << 24 | u32::from(local_preference) << 8 | 255
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
        assert_eq!(priority(CandidateKind::Host, None, u16::MAX), 2_130_706_431);
        assert_eq!(priority(CandidateKind::ServerReflexive, None, u16::MAX), 1_694_498_815);
        assert_eq!(priority(CandidateKind::Relayed, None, u16::MAX), 16_777_215);
        assert_eq!(pair_priority(2, 1), (1 << 32) + 4 + 1);
        assert_eq!(pair_priority(1, 2), (1 << 32) + 4);
        assert_eq!(pair_priority(u32::MAX, u32::MAX), ((1 << 31) - 1) * ((1 << 32) + 2));
    }

    #[test]
    fn of_tcp_the_direction_counts_first_and_any_direct_udp_is_better() {
        let tcp = |kind, tcp_type, preference| priority(kind, Some(tcp_type), preference);
        let host = |tcp_type| tcp(CandidateKind::Host, tcp_type, u16::MAX);
        assert_eq!(host(TcpType::Active), 90 << 24 | (6 << 13 | 8191) << 8 | 255);
        assert!(host(TcpType::Active) > host(TcpType::Passive));
        assert!(host(TcpType::Passive) > host(TcpType::SimultaneousOpen));
        assert!(tcp(CandidateKind::Host, TcpType::Active, 0) > host(TcpType::Passive));
        let reflexive = |tcp_type| tcp(CandidateKind::ServerReflexive, tcp_type, 0);
        assert!(reflexive(TcpType::SimultaneousOpen) > reflexive(TcpType::Active));
        assert!(reflexive(TcpType::Active) > reflexive(TcpType::Passive));
        assert!(priority(CandidateKind::ServerReflexive, None, 0) > host(TcpType::Active));
        assert!(reflexive(TcpType::Passive) > priority(CandidateKind::Relayed, None, u16::MAX));
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
