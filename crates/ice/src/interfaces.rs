//! Which addresses of a host candidates are gathered from (RFC 8445 §5.1.1.1, RFC 8835 §3.2).

use std::net::{IpAddr, Ipv6Addr};

/// An address of an interface of this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InterfaceAddress {
    /// The address.
    pub ip: IpAddr,
    /// A temporary address of IPv6, which keeps the host from being recognized elsewhere.
    pub is_temporary: bool,
    /// No longer to be used for what is new.
    pub is_deprecated: bool,
}

impl InterfaceAddress {
    /// An address of which nothing more is known.
    pub fn new(ip: IpAddr) -> Self {
        Self { ip, is_temporary: false, is_deprecated: false }
    }
}

/// The addresses to gather from, in order of preference: IPv6 first (RFC 8421 §4), loopback last, and only where it is asked for
/// or nothing else exists. Where there is a temporary IPv6 address, permanent ones of the same scope are left out; link-local
/// ones where there is any other.
pub fn gathering_addresses(addresses: &[InterfaceAddress], loopback: bool) -> Vec<IpAddr> {
    let usable: Vec<&InterfaceAddress> =
        addresses.iter().filter(|address| is_usable(address.ip) && !address.is_deprecated).collect();
    let has_temporary = |ip| usable.iter().any(|other| other.is_temporary && scope(other.ip) == scope(ip));
    let has_wider = usable.iter().any(|other| scope(other.ip) > Scope::LinkLocal);
    let mut chosen: Vec<IpAddr> = usable
        .iter()
        .filter(|address| address.ip.is_ipv4() || address.is_temporary || !has_temporary(address.ip))
        .filter(|address| match scope(address.ip) {
            Scope::Loopback => loopback || usable.iter().all(|other| scope(other.ip) == Scope::Loopback),
            Scope::LinkLocal => !has_wider,
            Scope::Private | Scope::Global => true,
        })
        .map(|address| address.ip)
        .collect();
    chosen.sort_by_key(|ip| (ip.is_loopback(), ip.is_ipv4()));
    chosen.dedup();
    chosen
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Scope {
    Loopback,
    LinkLocal,
    Private,
    Global,
}

fn scope(ip: IpAddr) -> Scope {
    match ip {
        ip if ip.is_loopback() => Scope::Loopback,
        IpAddr::V4(v4) if v4.is_link_local() => Scope::LinkLocal,
        IpAddr::V6(v6) if v6.is_unicast_link_local() => Scope::LinkLocal,
        IpAddr::V6(v6) if v6.is_unique_local() => Scope::Private,
        _ => Scope::Global,
    }
}

/// RFC 8445 §5.1.1.1 leaves out IPv4-compatible, IPv4-mapped and site-local addresses.
fn is_usable(ip: IpAddr) -> bool {
    let is_legacy = |v6: Ipv6Addr| {
        let is_site_local = v6.segments().first().is_some_and(|first| first & 0xffc0 == 0xfec0);
        is_site_local || v6.to_ipv4().is_some() && !v6.is_loopback()
    };
    !ip.is_unspecified() && !ip.is_multicast() && !matches!(ip, IpAddr::V6(v6) if is_legacy(v6))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gathered(addresses: &[&str], loopback: bool) -> Vec<String> {
        let read = |text: &&str| {
            let (flags, ip) = text.rsplit_once(' ').unwrap_or(("", text));
            InterfaceAddress {
                is_temporary: flags == "temporary",
                is_deprecated: flags == "deprecated",
                ..InterfaceAddress::new(ip.parse().unwrap())
            }
        };
        let addresses: Vec<InterfaceAddress> = addresses.iter().map(read).collect();
        gathering_addresses(&addresses, loopback).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_temporary_address_takes_the_place_of_permanent_ones_of_its_scope() {
        let all = ["2001:db8::1", "temporary 2001:db8::aa", "fd00::1", "192.0.2.1"];
        assert_eq!(gathered(&all, false), ["2001:db8::aa", "fd00::1", "192.0.2.1"]);
        let deprecated = ["2001:db8::1", "deprecated 2001:db8::bb"];
        assert_eq!(gathered(&deprecated, false), ["2001:db8::1"]);
    }

    #[test]
    fn link_local_and_loopback_serve_where_there_is_nothing_else() {
        assert_eq!(gathered(&["fe80::1", "127.0.0.1", "192.0.2.1"], false), ["192.0.2.1"]);
        assert_eq!(gathered(&["fe80::1", "127.0.0.1", "169.254.0.1"], false), ["fe80::1", "169.254.0.1"]);
        assert_eq!(gathered(&["169.254.0.1", "192.0.2.1"], false), ["192.0.2.1"]);
        assert_eq!(gathered(&["127.0.0.1", "::1"], false), ["::1", "127.0.0.1"]);
        assert_eq!(gathered(&["127.0.0.1", "192.0.2.1"], true), ["192.0.2.1", "127.0.0.1"]);
    }

    #[test]
    fn legacy_forms_are_left_out() {
        let all = ["::ffff:192.0.2.1", "::192.0.2.1", "fec0::1", "::", "0.0.0.0", "ff02::1", "192.0.2.1"];
        assert_eq!(gathered(&all, true), ["192.0.2.1"]);
    }
}
