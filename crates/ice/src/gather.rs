//! Local candidates: host, relayed, and server-reflexive through STUN servers (RFC 8445 §5.1.1).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use antiphon_stun::{
    Attribute, AttributeType, ClientTransaction, Message, MessageType, Step, Timing, TransactionId,
};
use antiphon_util::{Path, Protocol, Rng};

use crate::addressee::TransactionTag;
use crate::candidate::{Candidate, CandidateKind, TcpType, are_compatible, priority};
use crate::config::{AddressRewrite, Config, TransportPolicy};

/// An address that we send from and receive at; its host or relayed candidate.
#[derive(Debug)]
pub(crate) struct Base {
    pub(crate) address: SocketAddr,
    /// `None` for UDP.
    pub(crate) tcp_type: Option<TcpType>,
    pub(crate) priority: u32,
    /// What a peer-reflexive candidate of this base would have.
    pub(crate) reflexive_priority: u32,
    pub(crate) foundation: u32,
    preference: u16,
    kind: CandidateKind,
}

impl Base {
    /// What carries its datagrams.
    pub(crate) fn protocol(&self) -> Protocol {
        if self.tcp_type.is_some() { Protocol::Tcp } else { Protocol::Udp }
    }

    /// The path of the pair that it makes with `remote`, where it is one that we send checks on: those over TCP are sent by
    /// the end that opens the connection (RFC 6544 §6.2).
    pub(crate) fn path_to(&self, remote: &Candidate) -> Option<Path> {
        let opens = self.tcp_type != Some(TcpType::Passive);
        let matches = self.protocol() == remote.protocol
            && self.tcp_type.map(TcpType::opposite) == remote.tcp_type
            && are_compatible(self.address, remote.address);
        let (protocol, local) = (self.protocol(), self.address);
        let remote = reached_from(local, remote.address);
        (opens && matches).then_some(Path { protocol, local, remote })
    }
}

/// What stands for a related address that is kept back (RFC 8839 §5.1).
fn hidden(related: SocketAddr) -> SocketAddr {
    let unspecified = match related {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    SocketAddr::new(unspecified, 9)
}

/// A link-local address is reached through the interface of the base.
fn reached_from(local: SocketAddr, remote: SocketAddr) -> SocketAddr {
    match (local, remote) {
        (SocketAddr::V6(local), SocketAddr::V6(mut remote)) if remote.ip().is_unicast_link_local() => {
            remote.set_scope_id(local.scope_id());
            SocketAddr::V6(remote)
        }
        _ => remote,
    }
}

/// A STUN server asked from a base.
#[derive(Debug)]
struct Inquiry {
    path: Path,
    /// Whether it has not ended once; gathering waits for it.
    is_first: bool,
    state: InquiryState,
}

#[derive(Debug)]
enum InquiryState {
    Asking(ClientTransaction),
    /// Answered; asked again then, so that the NAT keeps the binding.
    Answered(Instant),
    Unanswered,
}

impl Inquiry {
    fn awaits(&self, path: Path, id: TransactionId) -> bool {
        self.path == path && matches!(&self.state, InquiryState::Asking(asking) if asking.id() == id)
    }
}

/// What makes two local candidates have one foundation (RFC 8445 §5.1.1.3).
#[derive(Debug, PartialEq)]
struct FoundationKey {
    kind: CandidateKind,
    protocol: Protocol,
    base: IpAddr,
    server: Option<IpAddr>,
}

/// The agent's own candidates and how they are found.
#[derive(Debug)]
pub(crate) struct Gatherer {
    bases: Vec<Base>,
    servers: Vec<SocketAddr>,
    inquiries: Vec<Inquiry>,
    candidates: Vec<Candidate>,
    /// The base of each candidate.
    candidate_bases: Vec<(Protocol, SocketAddr)>,
    foundations: Vec<FoundationKey>,
    addresses_complete: bool,
    tag: TransactionTag,
    timing: Timing,
    pacing: Duration,
    refresh: Duration,
    rewrites: Vec<AddressRewrite>,
    hides_related: bool,
}

impl Gatherer {
    pub(crate) fn new(tag: TransactionTag, config: &Config) -> Self {
        Self {
            bases: Vec::new(),
            servers: Vec::new(),
            inquiries: Vec::new(),
            candidates: Vec::new(),
            candidate_bases: Vec::new(),
            foundations: Vec::new(),
            addresses_complete: false,
            tag,
            timing: config.gathering_timing,
            pacing: config.pacing,
            refresh: config.binding_refresh,
            rewrites: config.address_rewrites.clone(),
            hides_related: config.hide_related || config.transport_policy == TransportPolicy::Relay,
        }
    }

    /// Adds the base of `candidate`, which is not there yet, and gives the candidates that it makes.
    pub(crate) fn add_base(&mut self, now: Instant, rng: &mut Rng, candidate: Candidate) -> Vec<Candidate> {
        let Candidate { address, kind, protocol, tcp_type, .. } = candidate;
        let preference = self.next_preference(address);
        let (priority, reflexive_priority) = (
            priority(kind, tcp_type, preference),
            priority(CandidateKind::PeerReflexive, tcp_type, preference),
        );
        let key = FoundationKey { kind, protocol, base: address.ip(), server: None };
        let foundation = self.foundation(key);
        self.bases.push(Base {
            address,
            tcp_type,
            priority,
            reflexive_priority,
            foundation,
            preference,
            kind,
        });
        if protocol == Protocol::Udp {
            self.servers.clone().into_iter().for_each(|server| self.ask(now, rng, address, server));
        }
        let candidate = Candidate { foundation: foundation.to_string(), priority, ..candidate };
        self.push(candidate, (protocol, address));
        self.rewrite(protocol, address);
        let of_base = |at: &usize| self.candidate_bases.get(*at) == Some(&(protocol, address));
        (0..self.candidates.len()).filter(of_base).filter_map(|at| self.candidates.get(at).cloned()).collect()
    }

    /// Applies what is known of the external address of a base to its host candidate.
    fn rewrite(&mut self, protocol: Protocol, address: SocketAddr) {
        let is_host = self.base(protocol, address).is_some_and(|base| base.kind == CandidateKind::Host);
        let Some(rewrite) = self.rewrites.iter().find(|rewrite| is_host && rewrite.applies_to(address.ip()))
        else {
            return;
        };
        let external = rewrite.external;
        if !rewrite.keep_local {
            let mut candidates = self.candidates.iter_mut().zip(&self.candidate_bases);
            if let Some((candidate, _)) = candidates.find(|(_, base)| **base == (protocol, address)) {
                candidate.address.set_ip(external);
            }
        } else if protocol == Protocol::Udp {
            self.add_reflexive(Path::udp(address, address), SocketAddr::new(external, address.port()));
        }
    }

    /// Asks `server` from every base of its family, now and later; at most `limit` servers.
    pub(crate) fn add_server(&mut self, now: Instant, rng: &mut Rng, server: SocketAddr, limit: usize) {
        if self.servers.contains(&server) || self.servers.len() >= limit {
            return;
        }
        self.servers.push(server);
        let udp = self.bases.iter().filter(|base| base.protocol() == Protocol::Udp);
        let bases: Vec<SocketAddr> = udp.map(|base| base.address).collect();
        for base in bases {
            self.ask(now, rng, base, server);
        }
    }

    /// Takes the base at `address` away; gives the candidates that it had.
    pub(crate) fn remove_base(&mut self, protocol: Protocol, address: SocketAddr) -> Vec<Candidate> {
        self.bases.retain(|base| (base.protocol(), base.address) != (protocol, address));
        self.inquiries.retain(|inquiry| (inquiry.path.protocol, inquiry.path.local) != (protocol, address));
        self.extract(|_, base| base == (protocol, address))
    }

    /// Begins anew for another session: gives the candidates of all bases, and asks all servers again.
    pub(crate) fn restart(&mut self, now: Instant, rng: &mut Rng) -> Vec<Candidate> {
        // Those of rewritten addresses come again with their base.
        self.extract(|candidate, _| candidate.kind == CandidateKind::ServerReflexive);
        let asked: Vec<Path> =
            std::mem::take(&mut self.inquiries).iter().map(|inquiry| inquiry.path).collect();
        asked.into_iter().for_each(|path| self.ask(now, rng, path.local, path.remote));
        let bases: Vec<_> = self.bases.iter().map(|base| (base.protocol(), base.address)).collect();
        bases.into_iter().for_each(|(protocol, address)| self.rewrite(protocol, address));
        self.candidates.clone()
    }

    fn push(&mut self, mut candidate: Candidate, base: (Protocol, SocketAddr)) -> Candidate {
        if self.hides_related {
            candidate.related = candidate.related.map(hidden);
        }
        self.candidates.push(candidate.clone());
        self.candidate_bases.push(base);
        candidate
    }

    /// Takes out the candidates that are `wanted`, by themselves and their base.
    fn extract(&mut self, wanted: impl Fn(&Candidate, (Protocol, SocketAddr)) -> bool) -> Vec<Candidate> {
        let candidates = std::mem::take(&mut self.candidates);
        let bases = std::mem::take(&mut self.candidate_bases);
        let (out, left): (Vec<_>, Vec<_>) =
            candidates.into_iter().zip(bases).partition(|(candidate, base)| wanted(candidate, *base));
        (self.candidates, self.candidate_bases) = left.into_iter().unzip();
        out.into_iter().map(|(candidate, _)| candidate).collect()
    }

    /// No further base will be added.
    pub(crate) fn end_of_bases(&mut self) {
        self.addresses_complete = true;
    }

    /// Whether a request with `id` awaits its answer over `path`.
    pub(crate) fn awaits(&self, path: Path, id: TransactionId) -> bool {
        self.inquiries.iter().any(|inquiry| inquiry.awaits(path, id))
    }

    /// Takes the answer of a STUN server and gives the candidate that it reveals. What it says is not authenticated: it is
    /// bound to the request by the transaction id and the path, and leads to a candidate, never to a validated path.
    pub(crate) fn handle_response(
        &mut self,
        now: Instant,
        path: Path,
        message: &Message<'_>,
    ) -> Option<Candidate> {
        let refresh = self.refresh;
        let inquiry = self.inquiries.iter_mut().find(|inquiry| inquiry.awaits(path, message.id()))?;
        inquiry.is_first = false;
        if message.kind() != MessageType::BINDING_SUCCESS {
            inquiry.state = InquiryState::Unanswered;
            return None;
        }
        let mapped = message
            .attribute(AttributeType::XOR_MAPPED_ADDRESS)
            .or_else(|| message.attribute(AttributeType::MAPPED_ADDRESS));
        let (Some(Attribute::XorMappedAddress(mapped)) | Some(Attribute::MappedAddress(mapped))) = mapped
        else {
            inquiry.state = InquiryState::Unanswered;
            return None;
        };
        inquiry.state = InquiryState::Answered(now + refresh);
        self.add_reflexive(path, mapped)
    }

    /// The request to a server that is due at `now`; it counts as sent.
    pub(crate) fn next_request(&mut self, now: Instant) -> Option<(Path, TransactionId)> {
        self.inquiries.iter_mut().find_map(|inquiry| match &mut inquiry.state {
            InquiryState::Asking(asking) if asking.due() <= now && !asking.is_exhausted() => {
                (asking.step(now) == Step::Send).then(|| (inquiry.path, asking.id()))
            }
            _ => None,
        })
    }

    /// Gives up on servers that don't answer, and asks again those whose binding would age while `refreshing`.
    pub(crate) fn handle_timeout(&mut self, now: Instant, rng: &mut Rng, refreshing: bool) {
        for inquiry in &mut self.inquiries {
            match &inquiry.state {
                InquiryState::Asking(asking) if asking.is_exhausted() && asking.due() <= now => {
                    inquiry.is_first = false;
                    inquiry.state = InquiryState::Unanswered;
                }
                InquiryState::Answered(due) if refreshing && *due <= now => {
                    let id = self.tag.id(rng);
                    inquiry.state = InquiryState::Asking(ClientTransaction::new(now, id, self.timing));
                }
                _ => {}
            }
        }
    }

    /// When something is due; answers are renewed only while `refreshing`.
    pub(crate) fn due(&self, refreshing: bool) -> Option<Instant> {
        let due = |inquiry: &Inquiry| match &inquiry.state {
            InquiryState::Asking(asking) => Some(asking.due()),
            InquiryState::Answered(due) => refreshing.then_some(*due),
            InquiryState::Unanswered => None,
        };
        self.inquiries.iter().filter_map(due).min()
    }

    /// Whether anything was begun.
    pub(crate) fn is_begun(&self) -> bool {
        !self.bases.is_empty() || self.addresses_complete
    }

    /// Whether no candidate will come any more, as far as is known.
    pub(crate) fn is_complete(&self) -> bool {
        self.addresses_complete && !self.inquiries.iter().any(|inquiry| inquiry.is_first)
    }

    /// Addresses that we send from.
    pub(crate) fn bases(&self) -> &[Base] {
        &self.bases
    }

    /// The base at `address`.
    pub(crate) fn base(&self, protocol: Protocol, address: SocketAddr) -> Option<&Base> {
        self.bases.iter().find(|base| base.address == address && base.protocol() == protocol)
    }

    /// The base that datagrams of `path` leave from and arrive at.
    pub(crate) fn base_of(&self, path: Path) -> Option<&Base> {
        self.base(path.protocol, path.local)
    }

    /// All candidates found.
    pub(crate) fn candidates(&self) -> &[Candidate] {
        &self.candidates
    }

    fn ask(&mut self, now: Instant, rng: &mut Rng, base: SocketAddr, server: SocketAddr) {
        let is_host = |base: &Base| base.kind == CandidateKind::Host;
        if !self.base(Protocol::Udp, base).is_some_and(is_host) || !are_compatible(base, server) {
            return;
        }
        let asking = |inquiry: &&Inquiry| matches!(inquiry.state, InquiryState::Asking(_));
        let ahead = u32::try_from(self.inquiries.iter().filter(asking).count()).unwrap_or(u32::MAX);
        let start = now + self.pacing.saturating_mul(ahead);
        let transaction = ClientTransaction::new(start, self.tag.id(rng), self.timing);
        let (path, state) = (Path::udp(base, server), InquiryState::Asking(transaction));
        self.inquiries.push(Inquiry { path, is_first: true, state });
    }

    fn add_reflexive(&mut self, path: Path, mapped: SocketAddr) -> Option<Candidate> {
        let base = self.base_of(path)?;
        // RFC 8445 §5.1.3: an address that we have already is redundant.
        let is_udp = |known: &&Candidate| known.protocol == Protocol::Udp;
        if self.candidates.iter().filter(is_udp).any(|known| known.address == mapped) {
            return None;
        }
        let kind = CandidateKind::ServerReflexive;
        let priority = priority(kind, None, base.preference);
        let server = Some(path.remote.ip());
        let key = FoundationKey { kind, protocol: path.protocol, base: path.local.ip(), server };
        let candidate = Candidate {
            foundation: self.foundation(key).to_string(),
            priority,
            ..Candidate::server_reflexive(mapped, path.local)
        };
        Some(self.push(candidate, (path.protocol, path.local)))
    }

    /// Numbers foundations in order of appearance, from 1.
    fn foundation(&mut self, key: FoundationKey) -> u32 {
        let at = self.foundations.iter().position(|known| *known == key).unwrap_or_else(|| {
            self.foundations.push(key);
            self.foundations.len() - 1
        });
        u32::try_from(at + 1).unwrap_or(u32::MAX)
    }

    /// Earlier addresses come first; loopback, which leads nowhere else, last (RFC 8445 §5.1.2.1).
    fn next_preference(&self, address: SocketAddr) -> u16 {
        let taken = u16::try_from(self.bases.len()).unwrap_or(u16::MAX);
        let highest = if address.ip().is_loopback() { u16::MAX / 2 } else { u16::MAX };
        highest.saturating_sub(taken)
    }
}
