//! Datagrams from validated paths.

use antiphon_util::{Ecn, Path, Received};

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

/// The paths that have been validated, the one used last in front.
#[derive(Debug, Default)]
pub(crate) struct ValidatedPaths {
    paths: Vec<Path>,
}

impl ValidatedPaths {
    /// Adds `path`; beyond `limit` the one unused for longest makes room.
    pub(crate) fn insert(&mut self, path: Path, limit: usize) {
        if self.contains(path) {
            return;
        }
        if self.paths.len() >= limit {
            self.paths.pop();
        }
        self.paths.push(path);
    }

    /// Whether `path` has been validated.
    pub(crate) fn contains(&mut self, path: Path) -> bool {
        if self.paths.first() == Some(&path) {
            return true;
        }
        let Some(at) = self.paths.iter().position(|known| *known == path) else { return false };
        self.paths.swap(0, at);
        true
    }

    /// Whether `path` has been validated, without regard to its use.
    pub(crate) fn knows(&self, path: Path) -> bool {
        self.paths.contains(&path)
    }

    /// Forgets the paths that are `gone`.
    pub(crate) fn remove_all(&mut self, gone: impl Fn(Path) -> bool) {
        self.paths.retain(|known| !gone(*known));
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        self.paths.clear();
    }
}
