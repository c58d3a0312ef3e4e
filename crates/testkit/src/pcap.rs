//! A capture file for Wireshark.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

/// Nanosecond capture file, in this machine's byte order.
const MAGIC: u32 = 0xa1b2_3c4d;
/// Packets start with an IPv4 or IPv6 header.
const LINKTYPE_RAW: u32 = 101;

/// What stands between the IP header and the datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encapsulation {
    /// A UDP header.
    Udp,
    /// Nothing: the datagram is an SCTP packet.
    Sctp,
}

/// Writes datagrams as a capture file.
pub struct Pcap {
    out: Box<dyn Write>,
    encapsulation: Encapsulation,
}

impl Pcap {
    /// A capture in the file `path`, which is replaced.
    pub fn create(path: impl AsRef<Path>, encapsulation: Encapsulation) -> io::Result<Self> {
        Self::new(BufWriter::new(File::create(path)?), encapsulation)
    }

    /// A capture written to `out`.
    pub fn new(out: impl Write + 'static, encapsulation: Encapsulation) -> io::Result<Self> {
        let mut out: Box<dyn Write> = Box::new(out);
        let mut header = Vec::with_capacity(24);
        header.extend(MAGIC.to_ne_bytes());
        header.extend(2u16.to_ne_bytes());
        header.extend(4u16.to_ne_bytes());
        header.extend([0; 8]);
        header.extend(65_535u32.to_ne_bytes());
        header.extend(LINKTYPE_RAW.to_ne_bytes());
        out.write_all(&header)?;
        Ok(Self { out, encapsulation })
    }

    /// Adds a datagram sent `at`, counted from an origin of the caller's choice. Both addresses are of one family.
    pub fn write(
        &mut self,
        at: Duration,
        from: SocketAddr,
        to: SocketAddr,
        datagram: &[u8],
    ) -> io::Result<()> {
        let (protocol, body) = match self.encapsulation {
            Encapsulation::Udp => (17, udp(from, to, datagram)),
            Encapsulation::Sctp => (132, datagram.to_vec()),
        };
        let packet = ip(from.ip(), to.ip(), protocol, &body);
        let len = u32::try_from(packet.len()).unwrap_or(u32::MAX).to_ne_bytes();
        let seconds = u32::try_from(at.as_secs()).unwrap_or(u32::MAX);
        self.out.write_all(&seconds.to_ne_bytes())?;
        self.out.write_all(&at.subsec_nanos().to_ne_bytes())?;
        self.out.write_all(&len)?;
        self.out.write_all(&len)?;
        self.out.write_all(&packet)?;
        self.out.flush()
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn size(bytes: usize) -> [u8; 2] {
    u16::try_from(bytes).unwrap_or(u16::MAX).to_be_bytes()
}

fn udp(from: SocketAddr, to: SocketAddr, datagram: &[u8]) -> Vec<u8> {
    let len = size(datagram.len() + 8);
    let mut packet = Vec::with_capacity(datagram.len() + 8);
    packet.extend(from.port().to_be_bytes());
    packet.extend(to.port().to_be_bytes());
    packet.extend(len);
    packet.extend([0, 0]);
    packet.extend(datagram);
    let mut pseudo = [octets(from.ip()), octets(to.ip())].concat();
    pseudo.extend([0, 17]);
    pseudo.extend(len);
    pseudo.extend(&packet);
    let sum = match checksum(&pseudo) {
        0 => 0xffff,
        sum => sum,
    };
    packet[6..8].copy_from_slice(&sum.to_be_bytes());
    packet
}

fn ip(from: IpAddr, to: IpAddr, protocol: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = match from {
        IpAddr::V4(_) => {
            let len = size(body.len() + 20);
            vec![0x45, 0, len[0], len[1], 0, 0, 0x40, 0, 64, protocol, 0, 0]
        }
        IpAddr::V6(_) => {
            let len = size(body.len());
            vec![0x60, 0, 0, 0, len[0], len[1], protocol, 64]
        }
    };
    packet.extend(octets(from));
    packet.extend(octets(to));
    if from.is_ipv4() {
        let sum = checksum(&packet);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
    }
    packet.extend(body);
    packet
}

/// The internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let sum: u64 =
        bytes.chunks(2).map(|pair| u64::from(pair[0]) << 8 | pair.get(1).copied().map_or(0, u64::from)).sum();
    let folded = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
    !(((folded & 0xffff) + (folded >> 16)) as u16)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn capture(from: &str, to: &str, encapsulation: Encapsulation) -> Vec<u8> {
        let out = Shared::default();
        let mut pcap = Pcap::new(out.clone(), encapsulation).unwrap();
        pcap.write(Duration::from_millis(1_500), from.parse().unwrap(), to.parse().unwrap(), b"hello")
            .unwrap();
        let bytes = out.0.lock().unwrap();
        bytes.clone()
    }

    #[test]
    fn frames_udp_over_ipv4_with_valid_checksums() {
        let bytes = capture("10.0.0.1:5000", "10.0.0.2:6000", Encapsulation::Udp);
        let (record, packet) = bytes[24..].split_at(16);
        assert_eq!(record[..8], [1u32.to_ne_bytes(), 500_000_000u32.to_ne_bytes()].concat());
        assert_eq!(packet.len(), 20 + 8 + 5);
        assert_eq!(checksum(&packet[..20]), 0);
        let pseudo = [&packet[12..20], &[0, 17, 0, 13], &packet[20..]].concat();
        assert_eq!(checksum(&pseudo), 0);
        assert_eq!(&packet[28..], b"hello");
    }

    #[test]
    fn frames_ipv6_and_bare_sctp() {
        let packet = capture("[2001:db8::1]:5000", "[2001:db8::2]:6000", Encapsulation::Sctp).split_off(40);
        assert_eq!((packet[0], packet[6], packet.len()), (0x60, 132, 45));
        let packet = capture("[2001:db8::1]:5000", "[2001:db8::2]:6000", Encapsulation::Udp).split_off(40);
        let pseudo = [&packet[8..40], &[0, 17, 0, 13], &packet[40..]].concat();
        assert_eq!(checksum(&pseudo), 0);
    }
}
