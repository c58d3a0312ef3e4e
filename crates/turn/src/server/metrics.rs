//! What a server counts.

use std::fmt;

use antiphon_util::Tally;

/// Counts since the start; printed as Prometheus reads it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// Allocations that live.
    pub allocations: u64,
    /// Allocations made.
    pub allocations_made: u64,
    /// Users that have an allocation.
    pub users: u64,
    /// Binding requests answered.
    pub bindings: u64,
    /// Requests that succeeded, bindings not counted.
    pub requests: u64,
    /// Requests refused, by error code.
    pub refusals: Tally<u16>,
    /// Datagrams from clients to peers.
    pub datagrams_to_peers: u64,
    /// Bytes in them.
    pub bytes_to_peers: u64,
    /// Datagrams from peers to clients.
    pub datagrams_to_clients: u64,
    /// Bytes in them.
    pub bytes_to_clients: u64,
    /// Connections between relayed addresses and peers that were joined to clients (RFC 6062).
    pub connections: u64,
    /// What was dropped, by reason.
    pub drops: Tally<DropReason>,
}

/// Why something was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DropReason {
    /// Neither STUN nor ChannelData, or a length contradicts another.
    Malformed,
    /// An indication without allocation.
    NoAllocation,
    /// An attribute of an indication has to be understood and is not.
    UnknownAttribute,
    /// Data for a channel that is not bound.
    UnknownChannel,
    /// No permission for the peer.
    NoPermission,
    /// The relayed address is of another family than the peer's.
    FamilyMismatch,
    /// A bandwidth limit.
    Bandwidth,
    /// Too many answers to sources that are not authenticated.
    UnauthenticatedLimit,
    /// Too much waits to be sent.
    OutboxLimit,
    /// Data for a client whose stream is gone.
    Unreachable,
    /// Too long to be wrapped.
    TooLong,
}

impl fmt::Display for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers = [
            ("allocations", self.allocations),
            ("users", self.users),
            ("allocations_total", self.allocations_made),
            ("bindings_total", self.bindings),
            ("requests_total", self.requests),
            ("datagrams_to_peers_total", self.datagrams_to_peers),
            ("bytes_to_peers_total", self.bytes_to_peers),
            ("datagrams_to_clients_total", self.datagrams_to_clients),
            ("bytes_to_clients_total", self.bytes_to_clients),
            ("connections_total", self.connections),
        ];
        for (name, number) in numbers {
            writeln!(f, "antiphon_turn_{name} {number}")?;
        }
        for (code, count) in self.refusals.iter() {
            writeln!(f, "antiphon_turn_refusals_total{{code=\"{code}\"}} {count}")?;
        }
        for (reason, count) in self.drops.iter() {
            writeln!(f, "antiphon_turn_drops_total{{reason=\"{reason:?}\"}} {count}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_one_line_a_number() {
        let mut metrics = Metrics { allocations: 3, ..Metrics::default() };
        metrics.refusals.count(401);
        metrics.drops.count(DropReason::Malformed);
        let text = metrics.to_string();
        assert!(text.starts_with("antiphon_turn_allocations 3\n"));
        assert!(text.ends_with(
            "antiphon_turn_refusals_total{code=\"401\"} 1\nantiphon_turn_drops_total{reason=\"Malformed\"} 1\n"
        ));
    }
}
