//! Which addresses of the machine a connection binds to.
//!
//! Loopback addresses are used only where the configuration asks for them or no other address exists. IPv6 link-local
//! addresses are left out: they need a zone that a candidate can't carry (RFC 8445 §5.1.1.1).

use std::io;
use std::net::IpAddr;

use crate::network::AddressFilter;

/// More addresses than this (machines with many virtual networks) only cost checks.
const MAX_ADDRESSES: usize = 16;

/// The addresses to gather host candidates from, IPv6 first as RFC 8421 §4 advises.
pub(crate) fn local_addresses(
    include_loopback: bool,
    filter: Option<&AddressFilter>,
) -> io::Result<Vec<IpAddr>> {
    let interfaces = if_addrs::get_if_addrs()?;
    let permitted = interfaces
        .iter()
        .filter(|interface| interface.is_oper_up())
        .map(|interface| (interface.name.as_str(), interface.ip()))
        .filter(|(name, address)| filter.is_none_or(|filter| filter.permits(name, *address)));
    Ok(select(permitted.map(|(_, address)| address), include_loopback))
}

fn select(addresses: impl Iterator<Item = IpAddr>, include_loopback: bool) -> Vec<IpAddr> {
    let mut usable: Vec<IpAddr> = addresses.filter(|address| is_usable(*address)).collect();
    if !include_loopback && usable.iter().any(|address| !address.is_loopback()) {
        usable.retain(|address| !address.is_loopback());
    }
    usable.sort_by_key(|address| (address.is_loopback(), address.is_ipv4()));
    usable.dedup();
    usable.truncate(MAX_ADDRESSES);
    usable
}

fn is_usable(address: IpAddr) -> bool {
    let link_local = matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
    !link_local && !address.is_unspecified() && !address.is_multicast()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selected(addresses: &[&str], include_loopback: bool) -> Vec<String> {
        let addresses = addresses.iter().map(|address| address.parse().unwrap());
        select(addresses, include_loopback).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn loopback_is_left_out_unless_asked_for() {
        let all = ["127.0.0.1", "192.0.2.7", "::1", "fe80::1", "2001:db8::1"];
        assert_eq!(selected(&all, false), ["2001:db8::1", "192.0.2.7"]);
        assert_eq!(selected(&all, true), ["2001:db8::1", "192.0.2.7", "::1", "127.0.0.1"]);
    }

    #[test]
    fn loopback_serves_where_there_is_nothing_else() {
        assert_eq!(selected(&["127.0.0.1", "fe80::1"], false), ["127.0.0.1"]);
    }

    #[test]
    fn many_addresses_are_cut_to_the_limit() {
        let many: Vec<IpAddr> = (0..=255).map(|i| IpAddr::from([10, 0, 0, i])).collect();
        assert_eq!(select(many.into_iter(), false).len(), MAX_ADDRESSES);
    }
}
