//! Remote candidates, signalled and learned, and the pairs that they make (RFC 8445 §6.1.2, §7.3.1.3).

use std::net::{Ipv6Addr, SocketAddr};

use antiphon_util::Path;
use tracing::debug;

use super::{Agent, Remote};
use crate::candidate::{Candidate, CandidateKind, TcpType};
use crate::checklist::{Foundation, Pair, Priorities};
use crate::event::{AddCandidateError, DropReason};
use crate::gather::Base;
use crate::state::IceState;

impl Agent {
    /// Adds the remote candidate of a check from an unknown address (RFC 8445 §7.3.1.3).
    pub(super) fn learn_peer_reflexive(&mut self, path: Path, priority: u32) -> bool {
        let learned =
            self.remote.candidates.iter().filter(|r| r.candidate.kind == CandidateKind::PeerReflexive);
        if learned.count() >= self.config.limits.peer_reflexive_candidates && !self.forget_peer_reflexive() {
            return false;
        }
        debug!(?path, "peer-reflexive candidate");
        self.remote.foundations += 1;
        let foundation = self.remote.foundations;
        let candidate = Candidate {
            foundation: format!("prflx{foundation}"),
            priority,
            protocol: path.protocol,
            tcp_type: self.gatherer.base_of(path).and_then(|base| base.tcp_type).map(TcpType::opposite),
            ..Candidate::new(CandidateKind::PeerReflexive, path.remote)
        };
        self.remote.candidates.push(Remote { candidate, foundation });
        true
    }

    /// Makes the pair of a base of ours and a known remote candidate.
    pub(super) fn pair_of(&self, path: Path) -> Option<Pair> {
        let base = self.gatherer.base_of(path)?;
        let remote = self.remote.candidates.iter().find(|remote| is_at(&remote.candidate, path))?;
        let priorities = Priorities { local: base.priority, remote: remote.candidate.priority };
        let foundation = Foundation { local: base.foundation, remote: remote.foundation };
        Some(Pair::new(path, priorities, foundation, self.role))
    }

    pub(super) fn learn_signalled(&mut self, candidate: Candidate) -> Result<(), AddCandidateError> {
        if let Some(synthesized) = self.synthesize(&candidate) {
            self.learn_one(synthesized)?;
        }
        self.learn_one(candidate)
    }

    /// The same candidate as a host with nothing but IPv6 reaches it through a NAT64.
    fn synthesize(&self, candidate: &Candidate) -> Option<Candidate> {
        let (prefix, SocketAddr::V4(v4)) = (self.config.nat64_prefix?, candidate.address) else {
            return None;
        };
        if self.gatherer.bases().iter().any(|base| base.address.is_ipv4()) {
            return None;
        }
        let ip = Ipv6Addr::from_bits(prefix.to_bits() | u128::from(v4.ip().to_bits()));
        Some(Candidate { address: SocketAddr::from((ip, v4.port())), ..candidate.clone() })
    }

    fn learn_one(&mut self, candidate: Candidate) -> Result<(), AddCandidateError> {
        let remotes = &mut self.remote.candidates;
        let alike = remotes.iter().find(|known| known.candidate.foundation == candidate.foundation);
        let foundation = alike.map(|known| known.foundation);
        let same = |known: &&mut Remote| {
            (known.candidate.protocol, known.candidate.address) == (candidate.protocol, candidate.address)
        };
        if let Some(known) = remotes.iter_mut().find(same) {
            // Signalling is late: what a check revealed turns out to be announced (RFC 8838 §11).
            if known.candidate.kind == CandidateKind::PeerReflexive {
                known.candidate.kind = candidate.kind;
                known.candidate.foundation = candidate.foundation;
                known.candidate.related = candidate.related;
                known.candidate.priority = candidate.priority;
                let remote = (candidate.protocol, candidate.address);
                self.checklist.set_remote_priority(self.role, remote, candidate.priority);
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
        let (protocol, address) = (candidate.protocol, candidate.address);
        self.remote.candidates.push(Remote { candidate, foundation });
        self.add_pairs(|path| path.protocol == protocol && same_endpoint(path.remote, address));
        Ok(())
    }

    /// Makes all pairs anew, those that were given up or failed as well: the pair in use seems to be cut.
    pub(super) fn pair_again(&mut self) {
        self.checklist.retry();
        self.add_pairs(|_| true);
    }

    /// Adds the pairs of all candidates that are `wanted`, unless one is nominated and works.
    pub(super) fn add_pairs(&mut self, wanted: impl Fn(Path) -> bool) {
        let is_settled = self.is_nominated() && self.state() != IceState::Disconnected;
        if self.config.lite || is_settled && !self.renominates() {
            return;
        }
        let remotes = || self.remote.candidates.iter().map(|remote| &remote.candidate);
        let of_base = |base| remotes().filter_map(move |remote| Base::path_to(base, remote));
        let paths: Vec<Path> =
            self.gatherer.bases().iter().flat_map(of_base).filter(|p| wanted(*p)).collect();
        paths.into_iter().for_each(|path| self.add_pair(path));
    }

    fn add_pair(&mut self, path: Path) {
        let in_use = self.selected_pair().filter(|pair| pair.nominated.is_some()).map(|pair| pair.priority);
        let settled_above = in_use.filter(|_| self.state() != IceState::Disconnected);
        if let Some(pair) = self.pair_of(path)
            && settled_above.is_none_or(|priority| pair.priority > priority)
            && !self.checklist.insert(pair, false)
        {
            self.drops.count(DropReason::PairLimit);
        }
    }

    /// Makes room for a peer-reflexive candidate by one that leads nowhere.
    fn forget_peer_reflexive(&mut self) -> bool {
        let is_useless = |remote: &Remote| {
            remote.candidate.kind == CandidateKind::PeerReflexive
                && !self
                    .checklist
                    .iter()
                    .any(|p| is_at(&remote.candidate, p.path) && (p.is_pending() || p.valid().is_some()))
        };
        let Some(at) = self.remote.candidates.iter().position(is_useless) else { return false };
        self.remote.candidates.remove(at);
        true
    }
}

/// Whether `path` leads to the remote candidate.
pub(super) fn is_at(remote: &Candidate, path: Path) -> bool {
    remote.protocol == path.protocol && same_endpoint(remote.address, path.remote)
}

/// Whether IP address and port are the same; signalling does not tell the zone of a link-local address.
fn same_endpoint(a: SocketAddr, b: SocketAddr) -> bool {
    (a.ip(), a.port()) == (b.ip(), b.port())
}
