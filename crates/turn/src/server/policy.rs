//! Which peers a server relays to: no address by which a client would reach what the server can reach and the client can't.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A block of addresses: those that share its first bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Block {
    address: IpAddr,
    bits: u8,
}

/// A text is no block of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a block of addresses like 192.0.2.0/24")]
pub struct BlockError;

impl Block {
    /// The addresses whose first `bits` bits are those of `address`; more bits than it has are taken for all of them.
    pub fn new(address: IpAddr, bits: u8) -> Self {
        Self { address, bits }
    }

    /// Whether `address` is one of them.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(block), IpAddr::V4(address)) => {
                let shift = 32_u32.saturating_sub(self.bits.into());
                (block.to_bits() ^ address.to_bits()).checked_shr(shift).unwrap_or(0) == 0
            }
            (IpAddr::V6(block), IpAddr::V6(address)) => {
                let shift = 128_u32.saturating_sub(self.bits.into());
                (block.to_bits() ^ address.to_bits()).checked_shr(shift).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

/// `192.0.2.0/24`, or an address alone.
impl std::str::FromStr for Block {
    type Err = BlockError;

    fn from_str(text: &str) -> Result<Self, BlockError> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u8>().map_err(|_| BlockError)?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| BlockError)?;
        let all = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(all);
        if bits > all { Err(BlockError) } else { Ok(Self { address, bits }) }
    }
}

/// Decides by address. What `allow` has is permitted whatever else says otherwise; then `deny` counts, then the default: only what
/// is reached from everywhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AddressPolicy {
    /// Permitted although special.
    pub allow: Vec<Block>,
    /// Refused although ordinary: the rest of the network that the server is in.
    pub deny: Vec<Block>,
}

impl AddressPolicy {
    /// Refuses loopback, private, link-local, multicast, reserved and unspecified addresses, in every form.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the server relays to `address`. An IPv6 address that leads to an IPv4 address (mapped, NAT64, 6to4, Teredo) is
    /// permitted where that is too.
    pub fn permits(&self, address: IpAddr) -> bool {
        let listed = |blocks: &[Block], address| blocks.iter().any(|block| block.contains(address));
        if listed(&self.allow, address) {
            return true;
        }
        if listed(&self.deny, address) || !is_global(address) {
            return false;
        }
        embedded(address)
            .all(|inside| listed(&self.allow, inside) || (!listed(&self.deny, inside) && is_global(inside)))
    }
}

/// The IPv4 addresses that a datagram to `address` may end up at.
pub(super) fn embedded(address: IpAddr) -> impl Iterator<Item = IpAddr> {
    let IpAddr::V6(address) = address else { return [None, None].into_iter().flatten() };
    let bits = address.to_bits();
    let v4 = |shift: u32| Some(IpAddr::V4(Ipv4Addr::from_bits((bits >> shift) as u32)));
    let found = match address.segments() {
        // IPv4-compatible, -mapped and -translated (RFC 4291 §2.5.5, RFC 2765 §2.1), and NAT64 (RFC 6052 §2.1).
        [0, 0, 0, 0, 0, 0 | 0xffff, _, _]
        | [0, 0, 0, 0, 0xffff, 0, _, _]
        | [0x64, 0xff9b, 0, 0, 0, 0, _, _] => [v4(0), None],
        // 6to4 (RFC 3056 §2).
        [0x2002, ..] => [v4(80), None],
        // Teredo (RFC 4380 §4): the server, and the client with all bits inverted.
        [0x2001, 0, ..] => [v4(64), Some(IpAddr::V4(Ipv4Addr::from_bits(!(bits as u32))))],
        // ISATAP (RFC 5214 §6.1).
        [_, _, _, _, 0 | 0x0200, 0x5efe, _, _] => [v4(0), None],
        _ => [None, None],
    };
    found.into_iter().flatten()
}

/// Whether `address`, as it stands, is one that the whole Internet reaches.
fn is_global(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_global_v4(address),
        IpAddr::V6(address) => is_global_v6(address),
    }
}

/// The special-purpose registry of IANA (RFC 6890 §2.2.2) and the multicast and reserved classes.
fn is_global_v4(address: Ipv4Addr) -> bool {
    !matches!(
        address.octets(),
        [0 | 10 | 127, ..]
            | [100, 64..=127, ..]
            | [169, 254, ..]
            | [172, 16..=31, ..]
            | [192, 0, 0 | 2, _]
            | [192, 88, 99, _]
            | [192, 168, ..]
            | [198, 18 | 19, ..]
            | [198, 51, 100, _]
            | [203, 0, 113, _]
            | [224..=255, ..]
    )
}

/// RFC 6890 §2.2.3; the forms that hold an IPv4 address are judged by that.
fn is_global_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        // The local use of NAT64 (RFC 8215 §5): what it leads to is unknown.
        [0x64, 0xff9b, 1, ..] => false,
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => true,
        // IPv4-compatible: only what holds an address at all, which then decides; :: and ::1 hold one of 0.0.0.0/8.
        [0, 0, 0, 0, 0, 0, ..] => false,
        // Mapped and translated addresses are for the inside of a machine.
        [0, ..] => false,
        [0x100, 0, 0, 0, ..] | [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] | [0x5f00, ..] => false,
        [first, ..] => (first & 0xfe00) != 0xfc00 && (first & 0xff80) != 0xfe80 && (first & 0xff00) != 0xff00,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permits(policy: &AddressPolicy, address: &str) -> bool {
        policy.permits(address.parse().unwrap())
    }

    #[test]
    fn ordinary_addresses_are_permitted() {
        let policy = AddressPolicy::new();
        for address in [
            "8.8.8.8",
            "100.63.1.1",
            "172.32.0.1",
            "223.255.255.254",
            "2606:4700::1",
            "64:ff9b::808:808",
            "2002:808:808::1",
        ] {
            assert!(permits(&policy, address), "{address}");
        }
    }

    #[test]
    fn special_addresses_are_refused_in_every_disguise() {
        let policy = AddressPolicy::new();
        let special = [
            "0.0.0.0",
            "0.1.2.3",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "127.255.0.9",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.168.1.1",
            "198.18.0.1",
            "224.0.0.1",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
        ];
        for text in special {
            let address: Ipv4Addr = text.parse().unwrap();
            let [a, b] = [address.to_bits() >> 16, address.to_bits() & 0xffff];
            let inverted = !address.to_bits();
            let [c, d] = [inverted >> 16, inverted & 0xffff];
            let disguises = [
                text.to_owned(),
                format!("::{text}"),
                format!("::ffff:{text}"),
                format!("::ffff:0:{text}"),
                format!("64:ff9b::{text}"),
                format!("64:ff9b:1::{text}"),
                format!("2002:{a:x}:{b:x}::1"),
                format!("2001:0:{a:x}:{b:x}::f7f7:f7f7"),
                format!("2001:0:808:808::{c:x}:{d:x}"),
                format!("2606:4700::5efe:{text}"),
                format!("2606:4700::200:5efe:{text}"),
            ];
            for disguise in disguises {
                assert!(!permits(&policy, &disguise), "{disguise}");
            }
        }
        for address in [
            "::",
            "::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "100::1",
            "2001:db8::1",
        ] {
            assert!(!permits(&policy, address), "{address}");
        }
    }

    #[test]
    fn lists_come_before_the_default_and_see_through_disguises() {
        let policy = AddressPolicy {
            allow: vec!["10.1.0.0/16".parse().unwrap(), "::1".parse().unwrap()],
            deny: vec!["198.51.100.0/24".parse().unwrap(), "8.8.0.0/16".parse().unwrap()],
        };
        assert!(
            permits(&policy, "10.1.2.3") && permits(&policy, "::1") && permits(&policy, "64:ff9b::10.1.2.3")
        );
        assert!(
            !permits(&policy, "10.2.2.3")
                && !permits(&policy, "8.8.4.4")
                && !permits(&policy, "64:ff9b::8.8.4.4")
        );
        assert!(permits(&policy, "9.9.9.9"));
    }

    #[test]
    fn blocks_are_read() {
        let block: Block = "192.0.2.128/25".parse().unwrap();
        assert!(
            block.contains("192.0.2.200".parse().unwrap()) && !block.contains("192.0.2.5".parse().unwrap())
        );
        assert!("0.0.0.0/0".parse::<Block>().unwrap().contains("1.2.3.4".parse().unwrap()));
        assert!(!"0.0.0.0/0".parse::<Block>().unwrap().contains("::1".parse().unwrap()));
        for no in ["", "1.2.3.4/33", "1.2.3/8", "::/129", "1.2.3.4/", "1.2.3.4/x"] {
            assert_eq!(no.parse::<Block>(), Err(BlockError), "{no}");
        }
    }
}
