//! Local candidates: host, relayed, and server-reflexive through STUN servers (RFC 8445 §5.1.1).

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use antiphon_stun::{
    Attribute, AttributeType, ClientTransaction, Message, MessageType, Step, Timing, TransactionId,
};
use antiphon_util::{Path, Protocol, Rng};

use crate::addressee::TransactionTag;
use crate::candidate::{Candidate, CandidateKind, TcpType, are_compatible, priority};

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
        (opens && matches).then_some(Path { protocol, local, remote: remote.address })
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
    foundations: Vec<FoundationKey>,
    addresses_complete: bool,
    tag: TransactionTag,
    timing: Timing,
    pacing: Duration,
    refresh: Duration,
}

impl Gatherer {
    pub(crate) fn new(tag: TransactionTag, timing: Timing, pacing: Duration, refresh: Duration) -> Self {
        Self {
            bases: Vec::new(),
            servers: Vec::new(),
            inquiries: Vec::new(),
            candidates: Vec::new(),
            foundations: Vec::new(),
            addresses_complete: false,
            tag,
            timing,
            pacing,
            refresh,
        }
    }

    /// Adds the base of `candidate` and completes it; `None` where it is there already.
    pub(crate) fn add_base(
        &mut self,
        now: Instant,
        rng: &mut Rng,
        candidate: Candidate,
    ) -> Option<Candidate> {
        let Candidate { address, kind, protocol, tcp_type, .. } = candidate;
        if self.base(protocol, address).is_some() {
            return None;
        }
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
        self.candidates.push(candidate.clone());
        Some(candidate)
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
        let of_base = |candidate: &Candidate| {
            let base = match candidate.kind {
                CandidateKind::ServerReflexive => candidate.related,
                _ => Some(candidate.address),
            };
            (candidate.protocol, base) == (protocol, Some(address))
        };
        let (gone, left) = std::mem::take(&mut self.candidates).into_iter().partition(of_base);
        self.candidates = left;
        gone
    }

    /// Begins anew for another session: gives the candidates of all bases, and asks all servers again.
    pub(crate) fn restart(&mut self, now: Instant, rng: &mut Rng) -> Vec<Candidate> {
        self.candidates.retain(|candidate| candidate.kind != CandidateKind::ServerReflexive);
        let asked: Vec<Path> =
            std::mem::take(&mut self.inquiries).iter().map(|inquiry| inquiry.path).collect();
        asked.into_iter().for_each(|path| self.ask(now, rng, path.local, path.remote));
        self.candidates.clone()
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
        self.candidates.push(candidate.clone());
        Some(candidate)
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
