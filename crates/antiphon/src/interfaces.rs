//! The addresses of the machine.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};

use antiphon_peer::{InterfaceAddress, gathering_addresses};

use crate::network::AddressFilter;

/// More addresses than this (machines with many virtual networks) only cost checks.
const MAX_ADDRESSES: usize = 16;

/// The addresses to gather host candidates from, with port 0, the preferred ones first. A link-local one has its scope.
pub(crate) fn local_addresses(
    include_loopback: bool,
    filter: Option<&AddressFilter>,
) -> io::Result<Vec<SocketAddr>> {
    let interfaces = if_addrs::get_if_addrs()?;
    let flags = ipv6_flags();
    let mut scopes = HashMap::new();
    let mut permitted = Vec::new();
    for interface in interfaces.iter().filter(|interface| interface.is_oper_up()) {
        let ip = interface.ip();
        if filter.is_some_and(|filter| !filter.permits(&interface.name, ip)) {
            continue;
        }
        if let IpAddr::V6(v6) = ip
            && v6.is_unicast_link_local()
        {
            scopes.entry(ip).or_insert(interface.index.unwrap_or(0));
        }
        let mut address = InterfaceAddress::new(ip);
        if let Some(flags) = flags.get(&ip) {
            (address.is_temporary, address.is_deprecated) = (flags & TEMPORARY != 0, flags & DEPRECATED != 0);
        }
        permitted.push(address);
    }
    let mut chosen = gathering_addresses(&permitted, include_loopback);
    chosen.truncate(MAX_ADDRESSES);
    Ok(chosen.into_iter().map(|ip| with_scope(ip, scopes.get(&ip).copied())).collect())
}

/// The interfaces that have one of `addresses`, by the address and the index.
pub(crate) fn interfaces_of(addresses: &[IpAddr]) -> io::Result<Vec<(IpAddr, u32)>> {
    let interfaces = if_addrs::get_if_addrs()?;
    let wanted = interfaces.iter().filter(|interface| addresses.contains(&interface.ip()));
    Ok(wanted.map(|interface| (interface.ip(), interface.index.unwrap_or(0))).collect())
}

fn with_scope(ip: IpAddr, scope: Option<u32>) -> SocketAddr {
    match (ip, scope) {
        (IpAddr::V6(v6), Some(scope)) => SocketAddrV6::new(v6, 0, 0, scope).into(),
        _ => SocketAddr::new(ip, 0),
    }
}

/// `IFA_F_TEMPORARY` and `IFA_F_DEPRECATED` of Linux.
const TEMPORARY: u8 = 0x01;
const DEPRECATED: u8 = 0x20;

/// What the kernel says of each IPv6 address; nothing where it does not say.
#[cfg(target_os = "linux")]
fn ipv6_flags() -> HashMap<IpAddr, u8> {
    // Of this thread, whose network may be another than that of the process.
    parse_ipv6_flags(&std::fs::read_to_string("/proc/thread-self/net/if_inet6").unwrap_or_default())
}

#[cfg(not(target_os = "linux"))]
fn ipv6_flags() -> HashMap<IpAddr, u8> {
    HashMap::new()
}

/// Each line has the address, index, prefix length, scope and flags in hexadecimal, and the interface.
#[cfg(any(target_os = "linux", test))]
fn parse_ipv6_flags(table: &str) -> HashMap<IpAddr, u8> {
    let line = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let address = u128::from_str_radix(fields.next()?, 16).ok()?;
        let flags = u8::from_str_radix(fields.nth(3)?, 16).ok()?;
        Some((Ipv6Addr::from_bits(address).into(), flags))
    };
    table.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_read_and_what_is_no_line_is_left_out() {
        let table = "fe80000000000000a4d3c0fffe5e1234 02 40 20 80     eth0\n\
                     20010db80000000000000000000000aa 02 40 00 01     eth0\nnonsense\n\n\
                     20010db80000000000000000000000bb 02 40 00 21     eth0\n";
        let flags = parse_ipv6_flags(table);
        let of = |text: &str| flags.get(&text.parse::<IpAddr>().unwrap()).copied();
        assert_eq!(of("2001:db8::aa"), Some(TEMPORARY));
        assert_eq!(of("2001:db8::bb"), Some(TEMPORARY | DEPRECATED));
        assert_eq!(of("fe80::a4d3:c0ff:fe5e:1234"), Some(0x80));
        assert_eq!(flags.len(), 3);
    }

    #[test]
    fn loopback_is_found_with_its_interface() {
        let addresses = local_addresses(true, None).unwrap();
        let localhost = IpAddr::from([127, 0, 0, 1]);
        assert!(addresses.iter().any(|address| address.ip() == localhost));
        assert!(addresses.len() <= MAX_ADDRESSES);
        assert_eq!(interfaces_of(&[localhost]).unwrap().len(), 1);
    }

    #[test]
    fn a_link_local_address_keeps_its_scope() {
        let ip = "fe80::1".parse().unwrap();
        assert_eq!(with_scope(ip, Some(3)).to_string(), "[fe80::1%3]:0");
    }
}
