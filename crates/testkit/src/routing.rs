//! Which way a datagram takes: who is behind which translator, and what source the other end sees.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Instant;

use antiphon_util::{Path, Protocol};

use crate::nat::{Nat, NatState};

/// The first 96 bits of addresses that stand for IPv4 ones (RFC 6052 §2.1).
const NAT64_PREFIX: u128 = 0x0064_ff9b << 96;

/// The port of an active TCP candidate, which stands for any port of its host (RFC 6544 §4.5).
const ACTIVE_PORT: u16 = 9;

/// The address by which a host with nothing but IPv6 reaches `address` through a NAT64 (RFC 6052 §2.1).
pub fn nat64_address(address: Ipv4Addr) -> IpAddr {
    IpAddr::V6((NAT64_PREFIX | u128::from(address.to_bits())).into())
}

/// Hosts, translators and firewalls. Each translator's inside is a realm of its own; its public address lies in the realm
/// outside of it, which may again be the inside of another.
#[derive(Debug, Default)]
pub(crate) struct Routing {
    /// Which node has an address.
    hosts: HashMap<IpAddr, usize>,
    /// Which translator an address is behind; the addresses of translators among them.
    behind: HashMap<IpAddr, usize>,
    /// By which translator an IPv6 address reaches IPv4.
    nat64: HashMap<IpAddr, usize>,
    nats: Vec<NatState>,
    no_udp: HashSet<IpAddr>,
    /// The ports of connections that an active end has opened.
    opened: HashMap<(SocketAddr, SocketAddr), SocketAddr>,
    openers: HashMap<SocketAddr, SocketAddr>,
}

/// Where a datagram that has arrived goes.
#[derive(Debug)]
pub(crate) enum Destination {
    /// To this node, which sees this path.
    Host(usize, Path),
    /// A translator or firewall does not let it in.
    Filtered,
    /// Nobody is there.
    Nobody,
}

impl Routing {
    pub(crate) fn add_host(&mut self, address: IpAddr, node: usize) {
        let other = self.hosts.insert(address, node);
        assert!(other.is_none(), "{address} is taken");
    }

    pub(crate) fn remove_host(&mut self, address: IpAddr) {
        self.hosts.remove(&address);
    }

    pub(crate) fn host(&self, address: IpAddr) -> Option<usize> {
        self.hosts.get(&address).copied()
    }

    pub(crate) fn add_nat(&mut self, nat: Nat, inside: &[IpAddr]) {
        self.behind.extend(inside.iter().map(|address| (*address, self.nats.len())));
        self.nats.push(NatState::new(nat));
    }

    pub(crate) fn add_nat64(&mut self, nat: Nat, inside: &[IpAddr]) {
        self.nat64.extend(inside.iter().map(|address| (*address, self.nats.len())));
        self.nats.push(NatState::new(nat));
    }

    pub(crate) fn block_udp(&mut self, addresses: &[IpAddr]) {
        self.no_udp.extend(addresses);
    }

    /// Whether a firewall drops what is sent on `path`.
    pub(crate) fn blocks(&self, path: Path) -> bool {
        path.protocol == Protocol::Udp && self.no_udp.contains(&path.local.ip())
    }

    /// The path as it is on the wire, or `None` where there is no way: translators on the way out give the source that
    /// the other end will see.
    pub(crate) fn outbound(&mut self, now: Instant, path: Path) -> Option<Path> {
        let Path { protocol, local, remote } = path;
        let mut source = self.port_of(path);
        let mut target = remote;
        let mut realm = self.behind.get(&local.ip()).copied();
        if let (Some(translator), Some(v4)) = (self.nat64.get(&local.ip()), embedded(remote.ip())) {
            target.set_ip(v4);
            let nat = &mut self.nats[*translator];
            source = nat.outbound(now, protocol, source, target);
            realm = self.behind.get(&nat.config.public).copied();
        }
        if source.is_ipv4() != target.is_ipv4() {
            return None;
        }
        loop {
            if self.is_in(realm, target.ip()) {
                return Some(Path { protocol, local: source, remote: target });
            }
            let nat = &mut self.nats[realm?];
            source = nat.outbound(now, protocol, source, target);
            realm = self.behind.get(&nat.config.public).copied();
        }
    }

    /// Where a datagram goes that has arrived: translators on the way in may refuse it.
    pub(crate) fn inbound(&self, at: Instant, wire: Path) -> Destination {
        let Path { protocol, local: mut source, remote: mut target } = wire;
        let mut passed = 0;
        while let Some(nat) = self.nats.iter().find(|nat| nat.config.public == target.ip()) {
            if source.ip() == target.ip() && !nat.config.hairpin {
                return Destination::Filtered;
            }
            let Some(inside) = nat.inbound(at, protocol, target.port(), source) else {
                return Destination::Filtered;
            };
            if let (IpAddr::V6(_), IpAddr::V4(v4)) = (inside.ip(), source.ip()) {
                source.set_ip(nat64_address(v4));
            }
            target = inside;
            passed += 1;
            assert!(passed <= self.nats.len(), "translators in a circle");
        }
        let Some(node) = self.host(target.ip()) else { return Destination::Nobody };
        if protocol == Protocol::Udp && self.no_udp.contains(&target.ip()) {
            return Destination::Filtered;
        }
        let local = match protocol {
            Protocol::Udp => target,
            Protocol::Tcp => self.openers.get(&target).copied().unwrap_or(target),
        };
        Destination::Host(node, Path { protocol, local, remote: source })
    }

    /// The source address with the port of the host's own choice in place of that of an active TCP candidate.
    fn port_of(&mut self, path: Path) -> SocketAddr {
        if path.protocol == Protocol::Udp || path.local.port() != ACTIVE_PORT {
            return path.local;
        }
        let next = 40_000 + u16::try_from(self.opened.len()).unwrap_or(u16::MAX) % 20_000;
        let opened = *self
            .opened
            .entry((path.local, path.remote))
            .or_insert_with(|| SocketAddr::new(path.local.ip(), next));
        self.openers.insert(opened, path.local);
        opened
    }

    /// Whether `address` belongs to a host or translator of `realm`.
    fn is_in(&self, realm: Option<usize>, address: IpAddr) -> bool {
        let exists =
            self.hosts.contains_key(&address) || self.nats.iter().any(|nat| nat.config.public == address);
        exists && self.behind.get(&address).copied() == realm
    }
}

/// The IPv4 address that an address of the NAT64 prefix stands for.
fn embedded(address: IpAddr) -> Option<IpAddr> {
    let IpAddr::V6(v6) = address else { return None };
    let bits = v6.to_bits();
    let low = u32::try_from(bits ^ NAT64_PREFIX).ok()?;
    Some(IpAddr::V4(low.into()))
}
