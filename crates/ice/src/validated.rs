//! Datagrams from validated paths.

use std::time::Instant;

use antiphon_util::{Ecn, Path, Received, Transmit};

/// A datagram that is no STUN message and came over a path that ICE has validated: an authenticated check came from
/// it, or a check to it was answered. Only the agent makes one.
#[derive(Debug)]
pub struct Validated<'a>(Received<'a>);

impl<'a> Validated<'a> {
    pub(crate) fn new(received: Received<'a>) -> Self {
        Self(received)
    }

    /// Where it came from and where it arrived.
    pub fn path(&self) -> Path {
        self.0.path
    }

    /// Its congestion mark, where the socket tells.
    pub fn ecn(&self) -> Option<Ecn> {
        self.0.ecn
    }

    /// Its bytes.
    pub fn datagram(&self) -> &[u8] {
        self.0.datagram
    }

    /// Its bytes, to be opened in place.
    pub fn into_datagram(self) -> &'a mut [u8] {
        self.0.datagram
    }
}

/// Datagrams that passed over a path, those of ICE not among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Traffic {
    pub(crate) packets_sent: u64,
    pub(crate) bytes_sent: u64,
    pub(crate) last_packet_sent_at: Option<Instant>,
    pub(crate) packets_received: u64,
    pub(crate) bytes_received: u64,
    pub(crate) last_packet_received_at: Option<Instant>,
}

/// The paths that have been validated, the one used last in front.
#[derive(Debug, Default)]
pub(crate) struct ValidatedPaths {
    paths: Vec<(Path, Traffic)>,
}

impl ValidatedPaths {
    /// Adds `path`; beyond `limit` the one unused for longest makes room.
    pub(crate) fn insert(&mut self, path: Path, limit: usize) {
        if self.use_path(path).is_some() {
            return;
        }
        if self.paths.len() >= limit {
            self.paths.pop();
        }
        self.paths.push((path, Traffic::default()));
    }

    /// Counts a datagram that came over `path`; `false` where that has not been validated.
    pub(crate) fn receive(&mut self, now: Instant, path: Path, bytes: usize) -> bool {
        let Some(traffic) = self.use_path(path) else { return false };
        traffic.packets_received += 1;
        traffic.bytes_received += bytes as u64;
        traffic.last_packet_received_at = Some(now);
        true
    }

    /// Counts what was sent.
    pub(crate) fn sent(&mut self, now: Instant, transmit: &Transmit) {
        let Some(traffic) = self.use_path(transmit.path) else { return };
        traffic.packets_sent += transmit.segment_size.map_or(1, |size| transmit.len.div_ceil(size)) as u64;
        traffic.bytes_sent += transmit.len as u64;
        traffic.last_packet_sent_at = Some(now);
    }

    /// What passed over `path`.
    pub(crate) fn traffic(&self, path: Path) -> Traffic {
        let found = self.paths.iter().find(|(known, _)| *known == path);
        found.map_or_else(Traffic::default, |(_, traffic)| *traffic)
    }

    /// Whether `path` has been validated, without regard to its use.
    pub(crate) fn knows(&self, path: Path) -> bool {
        self.paths.iter().any(|(known, _)| *known == path)
    }

    /// Forgets the paths that are `gone`.
    pub(crate) fn remove_all(&mut self, gone: impl Fn(Path) -> bool) {
        self.paths.retain(|(known, _)| !gone(*known));
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        self.paths.clear();
    }

    /// Moves `path` to the front, if it has been validated.
    fn use_path(&mut self, path: Path) -> Option<&mut Traffic> {
        if self.paths.first().is_none_or(|(first, _)| *first != path) {
            let at = self.paths.iter().position(|(known, _)| *known == path)?;
            self.paths.swap(0, at);
        }
        self.paths.first_mut().map(|(_, traffic)| traffic)
    }
}
