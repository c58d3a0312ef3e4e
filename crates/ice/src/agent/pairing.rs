//! Remote candidates, signalled and learned, and the pairs that they make (RFC 8445 §6.1.2, §7.3.1.3).

use std::net::SocketAddr;

use antiphon_util::Path;
use tracing::debug;

use super::{Agent, Remote};
use crate::candidate::{Candidate, CandidateKind, are_compatible};
use crate::checklist::{Foundation, Pair, Priorities};
use crate::event::{AddCandidateError, DropReason};
use crate::state::IceState;

impl Agent {
    /// Adds the remote candidate of a check from an unknown address (RFC 8445 §7.3.1.3).
    pub(super) fn learn_peer_reflexive(&mut self, address: SocketAddr, priority: u32) -> bool {
        let learned =
            self.remote.candidates.iter().filter(|r| r.candidate.kind == CandidateKind::PeerReflexive);
        if learned.count() >= self.config.limits.peer_reflexive_candidates && !self.forget_peer_reflexive() {
            return false;
        }
        debug!(%address, "peer-reflexive candidate");
        self.remote.foundations += 1;
        let foundation = self.remote.foundations;
        let candidate = Candidate {
            foundation: format!("prflx{foundation}"),
            priority,
            ..Candidate::new(CandidateKind::PeerReflexive, address)
        };
        self.remote.candidates.push(Remote { candidate, foundation });
        true
    }

    /// Makes the pair of a base of ours and a known remote candidate.
    pub(super) fn pair_of(&self, path: Path) -> Option<Pair> {
        let base = self.gatherer.base(path.local)?;
        let remote = self.remote.candidates.iter().find(|remote| remote.candidate.address == path.remote)?;
        let priorities = Priorities { local: base.priority, remote: remote.candidate.priority };
        let foundation = Foundation { local: base.foundation, remote: remote.foundation };
        Some(Pair::new(path, priorities, foundation, self.role))
    }

    pub(super) fn learn_signalled(&mut self, candidate: Candidate) -> Result<(), AddCandidateError> {
        let remotes = &mut self.remote.candidates;
        let alike = remotes.iter().find(|known| known.candidate.foundation == candidate.foundation);
        let foundation = alike.map(|known| known.foundation);
        if let Some(known) = remotes.iter_mut().find(|known| known.candidate.address == candidate.address) {
            // Signalling is late: what a check revealed turns out to be announced (RFC 8838 §11).
            if known.candidate.kind == CandidateKind::PeerReflexive {
                known.candidate.kind = candidate.kind;
                known.candidate.foundation = candidate.foundation;
                known.candidate.related = candidate.related;
                known.candidate.priority = candidate.priority;
                self.checklist.set_remote_priority(self.role, candidate.address, candidate.priority);
            }
            return Ok(());
        }
        let signalled = remotes.iter().filter(|r| r.candidate.kind != CandidateKind::PeerReflexive).count();
        if signalled >= self.config.limits.remote_candidates {
            return Err(AddCandidateError::TooMany);
        }
        let foundation = foundation.unwrap_or_else(|| {
            self.remote.foundations += 1;
            self.remote.foundations
        });
        let address = candidate.address;
        self.remote.candidates.push(Remote { candidate, foundation });
        let bases: Vec<SocketAddr> = self.gatherer.bases().iter().map(|base| base.address).collect();
        for base in bases {
            self.add_pair(Path::udp(base, address));
        }
        Ok(())
    }

    /// Makes all pairs anew, those that were given up or failed as well: the pair in use seems to be cut.
    pub(super) fn pair_again(&mut self) {
        let bases: Vec<SocketAddr> = self.gatherer.bases().iter().map(|base| base.address).collect();
        let remotes: Vec<SocketAddr> = self.remote_candidates().map(|remote| remote.address).collect();
        self.checklist.retry();
        for (base, remote) in bases.iter().flat_map(|base| remotes.iter().map(move |remote| (*base, *remote)))
        {
            self.add_pair(Path::udp(base, remote));
        }
    }

    /// Adds the pair of two candidates, unless one is nominated and works.
    pub(super) fn add_pair(&mut self, path: Path) {
        let is_settled = self.is_nominated() && self.state() != IceState::Disconnected;
        if !are_compatible(path.local, path.remote) || is_settled {
            return;
        }
        if let Some(pair) = self.pair_of(path)
            && !self.checklist.insert(pair, false)
        {
            self.drops.count(DropReason::PairLimit);
        }
    }

    /// Makes room for a peer-reflexive candidate by one that leads nowhere.
    fn forget_peer_reflexive(&mut self) -> bool {
        let is_useless = |remote: &Remote| {
            let address = remote.candidate.address;
            remote.candidate.kind == CandidateKind::PeerReflexive
                && !self
                    .checklist
                    .iter()
                    .any(|p| p.path.remote == address && (p.is_pending() || p.valid().is_some()))
        };
        let Some(at) = self.remote.candidates.iter().position(is_useless) else { return false };
        self.remote.candidates.remove(at);
        true
    }
}
