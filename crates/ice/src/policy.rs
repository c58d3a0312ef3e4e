//! Which addresses are used: ranges that are allowed or denied, whatever disguise an address wears.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Addresses with a common beginning, such as `10.0.0.0/8` or `fc00::/7`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct IpRange {
    network: IpAddr,
    prefix_len: u8,
}

/// The text is not a range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an address range")]
pub struct InvalidIpRange;

impl IpRange {
    /// The addresses that have the first `prefix_len` bits of `network`.
    ///
    /// # Errors
    /// Where the address has fewer bits.
    pub fn new(network: IpAddr, prefix_len: u8) -> Result<Self, InvalidIpRange> {
        let most = if network.is_ipv4() { 32 } else { 128 };
        if prefix_len > most { Err(InvalidIpRange) } else { Ok(Self { network, prefix_len }) }
    }

    /// Whether `ip` is one of them; its family has to be the same.
    pub fn contains(self, ip: IpAddr) -> bool {
        let prefix_len = u32::from(self.prefix_len);
        match (self.network, ip) {
            (IpAddr::V4(network), IpAddr::V4(ip)) => {
                (network.to_bits() ^ ip.to_bits()).leading_zeros() >= prefix_len
            }
            (IpAddr::V6(network), IpAddr::V6(ip)) => {
                (network.to_bits() ^ ip.to_bits()).leading_zeros() >= prefix_len
            }
            _ => false,
        }
    }
}

/// An address alone, or with a slash and the bits that count.
impl FromStr for IpRange {
    type Err = InvalidIpRange;

    fn from_str(text: &str) -> Result<Self, InvalidIpRange> {
        let (network, prefix_len) = match text.split_once('/') {
            Some((network, prefix_len)) => (network, Some(prefix_len)),
            None => (text, None),
        };
        let network: IpAddr = network.parse().map_err(|_| InvalidIpRange)?;
        let whole = if network.is_ipv4() { 32 } else { 128 };
        let prefix_len = prefix_len.map_or(Ok(whole), str::parse).map_err(|_| InvalidIpRange)?;
        Self::new(network, prefix_len)
    }
}

/// Which addresses may be used. The more specific range decides where several contain an address, and of two
/// alike the denied one; where none does, the address is allowed, unless only some are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AddressPolicy {
    /// Where not empty, what is in none of these is denied.
    pub allow: Vec<IpRange>,
    /// What is denied.
    pub deny: Vec<IpRange>,
}

impl AddressPolicy {
    /// Denies what is not on the public internet: loopback, private, shared, link-local and documentation addresses.
    /// A server that everybody can reach needs none of these, and its peers can then not have it probe its own network.
    pub fn public_only() -> Self {
        let v4 = [
            (Ipv4Addr::UNSPECIFIED, 8),
            (Ipv4Addr::new(10, 0, 0, 0), 8),
            (Ipv4Addr::new(100, 64, 0, 0), 10),
            (Ipv4Addr::new(127, 0, 0, 0), 8),
            (Ipv4Addr::new(169, 254, 0, 0), 16),
            (Ipv4Addr::new(172, 16, 0, 0), 12),
            (Ipv4Addr::new(192, 0, 0, 0), 24),
            (Ipv4Addr::new(192, 0, 2, 0), 24),
            (Ipv4Addr::new(192, 168, 0, 0), 16),
            (Ipv4Addr::new(198, 18, 0, 0), 15),
            (Ipv4Addr::new(198, 51, 100, 0), 24),
            (Ipv4Addr::new(203, 0, 113, 0), 24),
            (Ipv4Addr::new(240, 0, 0, 0), 4),
        ];
        let v6 = [
            (Ipv6Addr::UNSPECIFIED, 128),
            (Ipv6Addr::LOCALHOST, 128),
            (Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), 48),
            (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
            (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7),
            (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10),
            (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10),
        ];
        let v4 = v4.into_iter().map(|(network, len)| (IpAddr::V4(network), len));
        let v6 = v6.into_iter().map(|(network, len)| (IpAddr::V6(network), len));
        let deny = v4.chain(v6).map(|(network, prefix_len)| IpRange { network, prefix_len }).collect();
        Self { allow: Vec::new(), deny }
    }

    /// Whether `ip` may be used. An IPv6 address that leads to an IPv4 one has to be allowed as both.
    pub fn permits(&self, ip: IpAddr) -> bool {
        self.permits_plain(ip) && embedded(ip).is_none_or(|v4| self.permits_plain(IpAddr::V4(v4)))
    }

    fn permits_plain(&self, ip: IpAddr) -> bool {
        let most_specific = |ranges: &[IpRange]| {
            ranges.iter().filter(|range| range.contains(ip)).map(|range| range.prefix_len).max()
        };
        match (most_specific(&self.allow), most_specific(&self.deny)) {
            (Some(allowed), Some(denied)) => allowed > denied,
            (None, Some(_)) => false,
            (Some(_), None) => true,
            // An IPv6 address can't be in a list of IPv4 ones alone, nor the other way round.
            (None, None) => !self.allow.iter().any(|range| range.network.is_ipv4() == ip.is_ipv4()),
        }
    }
}

/// The IPv4 address that an IPv6 one leads to: mapped or compatible (RFC 4291 §2.5.5), translated by a NAT64 (RFC 6052 §2.1),
/// or 6to4 (RFC 3056 §2).
fn embedded(ip: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(v6) = ip else { return None };
    let bits = v6.to_bits();
    let low = Ipv4Addr::from_bits(u32::try_from(bits & u128::from(u32::MAX)).ok()?);
    match (bits >> 32, bits >> 112) {
        (0xffff | NAT64_PREFIX, _) => Some(low),
        // The first few are the unspecified address and loopback themselves.
        (0, _) if low.to_bits() > 0xffff => Some(low),
        (_, 0x2002) => Some(Ipv4Addr::from_bits(u32::try_from((bits >> 80) & u128::from(u32::MAX)).ok()?)),
        _ => None,
    }
}

/// 64:ff9b::/96
const NAT64_PREFIX: u128 = 0x0064_ff9b << 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(allow: &[&str], deny: &[&str]) -> AddressPolicy {
        let ranges = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        AddressPolicy { allow: ranges(allow), deny: ranges(deny) }
    }

    fn permits(policy: &AddressPolicy, ip: &str) -> bool {
        policy.permits(ip.parse().unwrap())
    }

    #[test]
    fn the_more_specific_range_decides() {
        let policy = policy(&["10.1.0.0/16", "0.0.0.0/0"], &["10.0.0.0/8", "10.1.2.3"]);
        assert!(permits(&policy, "192.0.2.1") && permits(&policy, "10.1.9.9"));
        assert!(!permits(&policy, "10.2.0.1") && !permits(&policy, "10.1.2.3"));
        assert!(permits(&policy, "2001:db8::1"));
        assert!(permits(&AddressPolicy::default(), "127.0.0.1"));
    }

    #[test]
    fn an_allow_list_denies_what_is_not_in_it() {
        let policy = policy(&["192.0.2.0/24"], &[]);
        assert!(permits(&policy, "192.0.2.200") && !permits(&policy, "192.0.3.1"));
        assert!(!permits(&policy, "::ffff:192.0.3.1"));
    }

    #[test]
    fn disguises_are_seen_through() {
        let public = AddressPolicy::public_only();
        for ip in [
            "127.0.0.1",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2002:a00:1::5",
            "::1",
            "::ffff:192.168.1.1",
            "64:ff9b::10.0.0.1",
            "169.254.169.254",
            "100.64.0.1",
            "fe80::1",
            "fd00::1",
            "0.0.0.0",
            "::",
        ] {
            assert!(!permits(&public, ip), "{ip}");
        }
        for ip in ["8.8.8.8", "2606:4700::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1"] {
            assert!(permits(&public, ip), "{ip}");
        }
    }

    #[test]
    fn ranges_are_read_or_refused() {
        for text in ["10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0/8", "", "/8", "::1/x", "10.0.0.0/-1"] {
            assert_eq!(text.parse::<IpRange>(), Err(InvalidIpRange), "{text}");
        }
        let all: IpRange = "::/0".parse().unwrap();
        assert!(all.contains("2001:db8::1".parse().unwrap()) && !all.contains("10.0.0.1".parse().unwrap()));
        let one: IpRange = "10.0.0.1".parse().unwrap();
        assert!(one.contains("10.0.0.1".parse().unwrap()) && !one.contains("10.0.0.2".parse().unwrap()));
    }
}
