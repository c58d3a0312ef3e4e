//! Address translators (RFC 4787).

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use antiphon_util::Protocol;

/// What a translator's decision depends on (RFC 4787 §4.1 and §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NatBehaviour {
    /// On nothing of the other end.
    EndpointIndependent,
    /// On the other end's IP address.
    AddressDependent,
    /// On the other end's IP address and port.
    AddressAndPortDependent,
}

impl NatBehaviour {
    /// Whether two other ends are the same to this behaviour.
    fn same(self, a: SocketAddr, b: SocketAddr) -> bool {
        match self {
            Self::EndpointIndependent => true,
            Self::AddressDependent => a.ip() == b.ip(),
            Self::AddressAndPortDependent => a == b,
        }
    }
}

/// A translator with one public address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nat {
    /// The public address.
    pub public: IpAddr,
    /// When a new mapping is made for an inside address.
    pub mapping: NatBehaviour,
    /// From whom datagrams are let in.
    pub filtering: NatBehaviour,
    /// How long a mapping lives after the last outbound datagram; 2 minutes is the least that RFC 4787 §4.3 allows.
    pub lifetime: Duration,
    /// Whether an inside host may reach another by its public address.
    pub hairpin: bool,
    /// Whether a mapping keeps the inside port where no other has it (RFC 4787 §4.2.1).
    pub port_preservation: bool,
}

impl Nat {
    /// The friendliest: maps and filters independently of the other end.
    pub fn full_cone(public: IpAddr) -> Self {
        Self {
            public,
            mapping: NatBehaviour::EndpointIndependent,
            filtering: NatBehaviour::EndpointIndependent,
            lifetime: Duration::from_secs(120),
            hairpin: true,
            port_preservation: false,
        }
    }

    /// The usual home router: maps independently, lets in only whom something was sent to.
    pub fn port_restricted(public: IpAddr) -> Self {
        Self { filtering: NatBehaviour::AddressAndPortDependent, ..Self::full_cone(public) }
    }

    /// A new mapping for every other end: two of these can't reach each other without a relay.
    pub fn symmetric(public: IpAddr) -> Self {
        Self {
            mapping: NatBehaviour::AddressAndPortDependent,
            hairpin: false,
            ..Self::port_restricted(public)
        }
    }
}

/// A translator at work.
#[derive(Debug)]
pub(crate) struct NatState {
    pub(crate) config: Nat,
    mappings: Vec<Mapping>,
    next_port: u16,
}

#[derive(Debug)]
struct Mapping {
    protocol: Protocol,
    inside: SocketAddr,
    /// The other end for which it was made.
    made_for: SocketAddr,
    port: u16,
    expires: Instant,
    /// Whom something was sent to.
    permitted: Vec<SocketAddr>,
}

impl NatState {
    pub(crate) fn new(config: Nat) -> Self {
        Self { config, mappings: Vec::new(), next_port: 20_000 }
    }

    /// The public address from which `inside` speaks to `remote`.
    pub(crate) fn outbound(
        &mut self,
        now: Instant,
        protocol: Protocol,
        inside: SocketAddr,
        remote: SocketAddr,
    ) -> SocketAddr {
        self.mappings.retain(|mapping| mapping.expires > now);
        let behaviour = self.config.mapping;
        let is_known = |mapping: &Mapping| {
            (mapping.protocol, mapping.inside) == (protocol, inside)
                && behaviour.same(mapping.made_for, remote)
        };
        let known = self.mappings.iter().position(is_known);
        let index = known.unwrap_or_else(|| {
            let port = self.free_port(protocol, inside.port());
            self.mappings.push(Mapping {
                protocol,
                inside,
                made_for: remote,
                port,
                expires: now,
                permitted: Vec::new(),
            });
            self.mappings.len() - 1
        });
        let mapping = &mut self.mappings[index];
        mapping.expires = now + self.config.lifetime;
        if !mapping.permitted.contains(&remote) {
            mapping.permitted.push(remote);
        }
        SocketAddr::new(self.config.public, mapping.port)
    }

    /// The inside address that a datagram from `remote` to the public `port` is for, if it is let in.
    pub(crate) fn inbound(
        &self,
        now: Instant,
        protocol: Protocol,
        port: u16,
        remote: SocketAddr,
    ) -> Option<SocketAddr> {
        let is_meant = |mapping: &&Mapping| {
            (mapping.protocol, mapping.port) == (protocol, port) && mapping.expires > now
        };
        let mapping = self.mappings.iter().find(is_meant)?;
        let permitted =
            mapping.permitted.iter().any(|permitted| self.config.filtering.same(*permitted, remote));
        permitted.then_some(mapping.inside)
    }

    /// A public port that no mapping has; `wanted` where ports are preserved and it is free.
    fn free_port(&mut self, protocol: Protocol, wanted: u16) -> u16 {
        let is_taken =
            |port| self.mappings.iter().any(|mapping| (mapping.protocol, mapping.port) == (protocol, port));
        if self.config.port_preservation && !is_taken(wanted) {
            return wanted;
        }
        let mut ports = (self.next_port..=u16::MAX).chain(20_000..=u16::MAX);
        let Some(port) = ports.find(|port| !is_taken(*port)) else { panic!("all ports are taken") };
        self.next_port = port.checked_add(1).unwrap_or(20_000);
        port
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::origin;

    const UDP: Protocol = Protocol::Udp;

    fn addr(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn public() -> IpAddr {
        addr("198.51.100.1:0").ip()
    }

    #[test]
    fn maps_by_its_behaviour() {
        let (now, inside) = (origin(), addr("10.0.0.1:5000"));
        let ends = ["203.0.113.1:1", "203.0.113.1:2", "203.0.113.2:1"].map(addr);
        for (behaviour, distinct) in [
            (NatBehaviour::EndpointIndependent, 1),
            (NatBehaviour::AddressDependent, 2),
            (NatBehaviour::AddressAndPortDependent, 3),
        ] {
            let mut nat = NatState::new(Nat { mapping: behaviour, ..Nat::full_cone(public()) });
            let mut seen = ends.map(|end| nat.outbound(now, UDP, inside, end)).to_vec();
            seen.dedup();
            assert_eq!(seen.len(), distinct, "{behaviour:?}");
        }
    }

    #[test]
    fn lets_in_by_its_behaviour() {
        let (now, inside, end) = (origin(), addr("10.0.0.1:5000"), addr("203.0.113.1:1"));
        for (behaviour, expected) in [
            (NatBehaviour::EndpointIndependent, [true, true, true]),
            (NatBehaviour::AddressDependent, [true, true, false]),
            (NatBehaviour::AddressAndPortDependent, [true, false, false]),
        ] {
            let mut nat = NatState::new(Nat { filtering: behaviour, ..Nat::full_cone(public()) });
            let outside = nat.outbound(now, UDP, inside, end);
            let let_in = [end, addr("203.0.113.1:2"), addr("203.0.113.2:1")]
                .map(|from| nat.inbound(now, UDP, outside.port(), from) == Some(inside));
            assert_eq!(let_in, expected, "{behaviour:?}");
        }
    }

    #[test]
    fn keeps_the_port_where_it_is_free() {
        let (now, end) = (origin(), addr("203.0.113.1:1"));
        let mut nat = NatState::new(Nat { port_preservation: true, ..Nat::full_cone(public()) });
        let [first, second] = ["10.0.0.1:5000", "10.0.0.2:5000"].map(addr);
        assert_eq!(nat.outbound(now, UDP, first, end).port(), 5_000);
        assert_ne!(nat.outbound(now, UDP, second, end).port(), 5_000);
        assert_eq!(nat.outbound(now, Protocol::Tcp, second, end).port(), 5_000);
    }

    #[test]
    fn forgets_a_mapping_that_is_not_refreshed() {
        let (now, inside, end) = (origin(), addr("10.0.0.1:5000"), addr("203.0.113.1:1"));
        let mut nat = NatState::new(Nat::full_cone(public()));
        let outside = nat.outbound(now, UDP, inside, end);
        let later = now + Duration::from_secs(119);
        assert_eq!(nat.outbound(later, UDP, inside, end), outside);
        let later = later + Duration::from_secs(120);
        assert_eq!(nat.inbound(later, UDP, outside.port(), end), None);
        assert_ne!(nat.outbound(later, UDP, inside, end), outside);
    }
}
