//! Candidates whose address is a name of multicast DNS: those of the peer's are resolved, ours are named where the owner asks for it.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use antiphon_ice::{Candidate, Mdns, MdnsEvent};
use antiphon_util::Rng;

use crate::IceConfiguration;

/// The names of a connection.
#[derive(Debug)]
pub(crate) struct Names {
    pub(crate) mdns: Mdns,
    resolves: bool,
    publishes: bool,
    /// Candidates whose name is asked for; at most `limit`.
    waiting: Vec<(String, Candidate)>,
    limit: usize,
    /// Names that were resolved; not more than are asked for.
    resolved: Vec<(String, IpAddr)>,
}

/// What became of a candidate with a name.
#[derive(Debug)]
pub(crate) enum Named {
    /// It can be tried.
    Resolved(Candidate),
    /// Its name is being asked for.
    Waiting,
    /// It is left aside.
    Refused,
}

/// What became of the candidates that waited for a name.
#[derive(Debug)]
pub(crate) enum Settled {
    /// They can be tried.
    Found(Vec<Candidate>),
    /// So many have no address.
    Lost(usize),
}

impl Names {
    pub(crate) fn new(configuration: &IceConfiguration, limit: usize, rng: Rng) -> Self {
        Self {
            mdns: Mdns::new(configuration.mdns_limits, rng),
            resolves: configuration.resolve_mdns,
            publishes: configuration.publish_mdns,
            waiting: Vec::new(),
            limit,
            resolved: Vec::new(),
        }
    }

    /// Looks for the address of a candidate with a name.
    pub(crate) fn find(&mut self, now: Instant, name: &str, candidate: Candidate) -> Named {
        let known = self.resolved.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        if let Some((_, ip)) = known {
            return Named::Resolved(at(candidate, *ip));
        }
        let is_known = self.waiting.iter().any(|(known, other)| known == name && *other == candidate);
        if is_known {
            return Named::Waiting;
        }
        if !self.resolves || self.waiting.len() >= self.limit || self.mdns.resolve(now, name).is_err() {
            return Named::Refused;
        }
        self.waiting.push((name.to_owned(), candidate));
        Named::Waiting
    }

    /// Of the next name that is settled the candidates, where it was found, or how many there were.
    pub(crate) fn take_settled(&mut self) -> Option<Settled> {
        let event = self.mdns.poll_event()?;
        let (MdnsEvent::Resolved { name, .. } | MdnsEvent::Unresolved { name }) = &event;
        let candidates = self.waiting.extract_if(.., |(known, _)| known.eq_ignore_ascii_case(name));
        let MdnsEvent::Resolved { ip, .. } = event else { return Some(Settled::Lost(candidates.count())) };
        let found = candidates.map(|(_, candidate)| at(candidate, ip)).collect();
        self.resolved.push((name.clone(), ip));
        Some(Settled::Found(found))
    }

    /// Forgets the candidates of a session that was restarted.
    pub(crate) fn forget_waiting(&mut self) {
        self.waiting.clear();
    }

    /// Gives our host candidate a name, where that is asked for.
    pub(crate) fn publish(&mut self, candidate: &Candidate) {
        if self.publishes && candidate.kind == antiphon_ice::CandidateKind::Host {
            self.mdns.publish(candidate.address.ip());
        }
    }

    /// The name of our host candidate, where it has one.
    pub(crate) fn name_of(&self, candidate: &Candidate) -> Option<&str> {
        let is_host = candidate.kind == antiphon_ice::CandidateKind::Host;
        self.mdns.name_of(candidate.address.ip()).filter(|_| is_host)
    }

    /// Whether host candidates must not be told without a name.
    pub(crate) fn hides(&self, candidate: &Candidate) -> bool {
        self.publishes
            && candidate.kind == antiphon_ice::CandidateKind::Host
            && self.name_of(candidate).is_none()
    }
}

fn at(mut candidate: Candidate, ip: IpAddr) -> Candidate {
    candidate.address = SocketAddr::new(ip, candidate.address.port());
    candidate
}
