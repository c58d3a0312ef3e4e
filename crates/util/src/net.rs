//! Addresses of datagrams, on the way in and on the way out.

use std::net::SocketAddr;

/// What carries the datagrams of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// One UDP datagram each.
    Udp,
    /// A TCP connection on which each datagram has its length in front (RFC 4571).
    Tcp,
}

/// A pair of addresses and what carries datagrams between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Path {
    /// What carries the datagrams.
    pub protocol: Protocol,
    /// Our address: the one the datagram leaves from or arrived at.
    pub local: SocketAddr,
    /// The peer's address.
    pub remote: SocketAddr,
}

impl Path {
    /// A UDP path.
    pub fn udp(local: SocketAddr, remote: SocketAddr) -> Self {
        Self { protocol: Protocol::Udp, local, remote }
    }

    /// A path over a TCP connection.
    pub fn tcp(local: SocketAddr, remote: SocketAddr) -> Self {
        Self { protocol: Protocol::Tcp, local, remote }
    }
}

/// An explicit congestion notification codepoint (RFC 3168 §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ecn {
    /// ECN-capable transport, codepoint 10.
    Ect0,
    /// ECN-capable transport, codepoint 01.
    Ect1,
    /// Congestion experienced, codepoint 11.
    Ce,
}

/// A datagram that arrived; it is opened in place.
#[derive(Debug)]
pub struct Received<'a> {
    /// Where it came from and where it arrived.
    pub path: Path,
    /// Its congestion mark, where the socket tells.
    pub ecn: Option<Ecn>,
    /// Its bytes.
    pub datagram: &'a mut [u8],
}

/// Datagrams that are to be sent: the bytes stand at the end of the buffer that `poll_transmit` was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transmit {
    /// Where they go and where they leave from.
    pub path: Path,
    /// The congestion mark to set.
    pub ecn: Option<Ecn>,
    /// Bytes appended to the buffer, over all datagrams of the run.
    pub len: usize,
    /// Size of each datagram but the last, which may be shorter; `None` for a single datagram.
    pub segment_size: Option<usize>,
}
