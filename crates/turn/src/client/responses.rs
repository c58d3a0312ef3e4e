//! What the server answers.

use std::time::{Duration, Instant};

use antiphon_stun::{AddressFamily, Attribute, AttributeType, AuthenticationError, Class, Message, Verdict};

use super::config::Families;
use super::event::{Allocated, DropReason, Event, Failure, Refusal};
use super::request::{Kind, Request};
use super::{Allocation, Client, State};
use antiphon_util::Protocol;

/// How often one request is made anew because its credentials or its nonce were not accepted.
const MAX_RENEWALS: u32 = 3;

/// How long before its end an allocation is refreshed (RFC 8656 §8).
const REFRESH_MARGIN: Duration = Duration::from_secs(60);

/// Lifetimes beyond a day are taken for one.
const MAX_LIFETIME: Duration = Duration::from_secs(24 * 3600);

impl Client {
    pub(super) fn handle_response(&mut self, now: Instant, message: &Message<'_>) {
        let Some(at) = self.requests.iter().position(|request| request.is_answered_by(message)) else {
            return self.drop_datagram(DropReason::UnknownTransaction);
        };
        let refusal = match message.attribute(AttributeType::ERROR_CODE) {
            Some(Attribute::ErrorCode(error)) => {
                Some(Refusal { code: error.code, reason: error.reason.to_owned() })
            }
            _ => None,
        };
        if refusal.is_none() && message.kind().class == Class::ErrorResponse {
            return self.drop_datagram(DropReason::Malformed);
        }
        let Some(signature) = self.requests.get(at).map(|request| request.signature) else { return };
        let verdict = match self.authentication.judge(signature, message) {
            // RFC 8489 §10: a redirection need not be protected. Over a stream nobody off the path gets a word in.
            Verdict::Violated | Verdict::Ignored
                if refusal
                    .as_ref()
                    .is_some_and(|refusal| refusal.code == 300 || self.path.protocol == Protocol::Tcp) =>
            {
                Verdict::Accepted
            }
            verdict => verdict,
        };
        match (verdict, refusal) {
            // Not protected, so it may be anybody's. Some servers protect no refusal at all: it counts where nothing better
            // comes soon.
            (Verdict::Violated | Verdict::Ignored, refusal) => {
                self.drop_datagram(DropReason::BadIntegrity);
                if let (Some(request), Some(refusal)) = (self.requests.get_mut(at), refusal) {
                    request.doubt(now, refusal);
                }
            }
            (verdict, refusal) => {
                let request = self.requests.swap_remove(at);
                self.take_answer(now, request, verdict, refusal, message);
            }
        }
    }

    fn take_answer(
        &mut self,
        now: Instant,
        request: Request,
        verdict: Verdict,
        refusal: Option<Refusal>,
        message: &Message<'_>,
    ) {
        match (verdict, refusal) {
            (Verdict::Accepted, None) => self.handle_success(now, request.kind, message),
            (Verdict::Accepted, Some(refusal)) if refusal.code == 300 => {
                self.handle_alternate(now, request.kind, message, refusal);
            }
            // The server wants credentials, or has a newer nonce.
            (Verdict::Retry, _) if request.renewals < MAX_RENEWALS => {
                let renewals = request.renewals + 1;
                self.request(now, request.kind);
                if let Some(request) = self.requests.last_mut() {
                    request.renewals = renewals;
                }
            }
            (Verdict::Refused(AuthenticationError::BidDown), _) => self.end(Event::Failed(Failure::BidDown)),
            (
                Verdict::Refused(AuthenticationError::Incomplete | AuthenticationError::NoCommonAlgorithm),
                _,
            ) => {
                self.end(Event::Failed(Failure::Malformed));
            }
            (_, refusal) => self.handle_failure(now, request.kind, refusal),
        }
    }

    fn handle_success(&mut self, now: Instant, kind: Kind, message: &Message<'_>) {
        match kind {
            Kind::Allocate => self.handle_allocated(now, message),
            Kind::Refresh(_) => self.handle_refreshed(now, message),
            Kind::Move => {
                self.handle_refreshed(now, message);
                self.events.push_back(Event::Moved);
            }
            Kind::Delete => self.end(Event::Closed),
            Kind::Permissions(peers) => {
                for peer in peers {
                    self.peers.granted(now, peer);
                }
            }
            Kind::Channel(number, _) => self.peers.bound(now, number),
            Kind::Connect(peer) => match message.attribute(AttributeType::CONNECTION_ID) {
                Some(Attribute::ConnectionId(id)) => self.expect_connection(id, peer),
                _ => self.drop_datagram(DropReason::Malformed),
            },
            Kind::BindConnection(_) => {}
        }
    }

    /// The server refuses, or does not answer where there is no refusal.
    pub(super) fn handle_failure(&mut self, now: Instant, kind: Kind, refusal: Option<Refusal>) {
        let refusal_or = |refusal: Option<Refusal>| {
            refusal.unwrap_or_else(|| Refusal { code: 408, reason: "no answer".to_owned() })
        };
        match kind {
            Kind::Allocate if self.retries_with_one_family(refusal.as_ref()) => {
                self.config.families = Families::Ipv4;
                self.request(now, Kind::Allocate);
            }
            // The server has the allocation of an earlier process of ours at this address, whose deletion or end it does not
            // know (RFC 8656 §7.4): another port is wanted, which is the owner's to choose.
            Kind::Allocate | Kind::Refresh(_) | Kind::Move => self.end(Event::Failed(match refusal {
                Some(refusal) => Failure::Refused(refusal),
                None => Failure::TimedOut,
            })),
            // Where it is gone already, or the answer is lost, nothing is left to be done either.
            Kind::Delete => self.end(Event::Closed),
            Kind::Permissions(peers) => {
                let lost = refusal.as_ref().is_some_and(|refusal| refusal.code == 437);
                if lost {
                    return self.end(Event::Failed(Failure::Refused(refusal_or(refusal))));
                }
                let refusal = refusal_or(refusal);
                match peers.as_slice() {
                    // One refused address refuses them all: each is asked for alone.
                    [_, _, ..] => {
                        peers.iter().for_each(|peer| self.request(now, Kind::Permissions(vec![*peer])))
                    }
                    peers => {
                        self.peers.refused(now, peers);
                        for peer in peers {
                            let peer = std::net::SocketAddr::new(*peer, 0);
                            self.events.push_back(Event::PeerRefused { peer, refusal: refusal.clone() });
                        }
                    }
                }
            }
            Kind::Channel(number, _) => self.peers.not_bound(number),
            Kind::Connect(peer) => {
                let refusal = refusal_or(refusal);
                self.events.push_back(Event::ConnectionFailed { peer, refusal });
            }
            Kind::BindConnection(_) => {}
        }
    }

    /// Whether a server that does not know how to give two addresses is to be asked for one.
    fn retries_with_one_family(&self, refusal: Option<&Refusal>) -> bool {
        self.config.families == Families::Both
            && refusal.is_some_and(|refusal| matches!(refusal.code, 400 | 420 | 440))
    }

    fn handle_alternate(&mut self, now: Instant, kind: Kind, message: &Message<'_>, refusal: Refusal) {
        if kind != Kind::Allocate {
            return self.handle_failure(now, kind, Some(refusal));
        }
        let Some(Attribute::AlternateServer(address)) = message.attribute(AttributeType::ALTERNATE_SERVER)
        else {
            return self.end(Event::Failed(Failure::Malformed));
        };
        let domain = match message.attribute(AttributeType::ALTERNATE_DOMAIN) {
            Some(Attribute::AlternateDomain(domain)) => Some(domain.to_owned()),
            _ => None,
        };
        self.end(Event::Failed(Failure::Alternate { address, domain }));
    }

    fn handle_allocated(&mut self, now: Instant, message: &Message<'_>) {
        let mut relayed = Vec::new();
        let (mut mapped, mut lifetime, mut reservation, mut missing, mut ticket) =
            (None, None, None, None, None);
        for attribute in message.attributes() {
            match attribute.decode(message.id()) {
                Ok(Attribute::XorRelayedAddress(address)) => relayed.push(address),
                Ok(Attribute::XorMappedAddress(address)) => mapped = Some(address),
                Ok(Attribute::Lifetime(time)) => lifetime = Some(time.min(MAX_LIFETIME)),
                Ok(Attribute::ReservationToken(token)) => reservation = Some(*token),
                Ok(Attribute::AddressErrorCode {
                    error,
                    family: AddressFamily::IPV6 | AddressFamily::IPV4,
                }) => {
                    missing = Some(Refusal { code: error.code, reason: error.reason.to_owned() });
                }
                Ok(Attribute::MobilityTicket(bytes)) if self.config.mobility => ticket = Some(bytes.to_vec()),
                _ => {}
            }
        }
        let first_of_family =
            |family: bool| relayed.iter().copied().find(|address| address.is_ipv4() == family);
        let relayed: Vec<_> = [first_of_family(true), first_of_family(false)].into_iter().flatten().collect();
        let (Some(mapped), Some(lifetime), false) = (mapped, lifetime, relayed.is_empty()) else {
            return self.end(Event::Failed(Failure::Malformed));
        };
        self.events.push_back(Event::Allocated(Allocated {
            relayed: relayed.clone(),
            mapped,
            lifetime,
            reservation,
            missing,
            mobile: ticket.is_some(),
        }));
        let (refresh, expires) = schedule(now, lifetime);
        self.state = State::Allocated(Allocation { relayed, refresh: Some(refresh), expires, ticket });
    }

    fn handle_refreshed(&mut self, now: Instant, message: &Message<'_>) {
        let State::Allocated(allocation) = &mut self.state else { return };
        let lifetime = match message.attribute(AttributeType::LIFETIME) {
            Some(Attribute::Lifetime(time)) if !time.is_zero() => time.min(MAX_LIFETIME),
            _ => return self.end(Event::Failed(Failure::Malformed)),
        };
        if let Some(Attribute::MobilityTicket(bytes)) = message.attribute(AttributeType::MOBILITY_TICKET) {
            allocation.ticket = Some(bytes.to_vec());
        }
        let (refresh, expires) = schedule(now, lifetime);
        allocation.refresh = Some(refresh);
        allocation.expires = expires;
    }
}

/// When an allocation is refreshed, and when it ends otherwise.
fn schedule(now: Instant, lifetime: Duration) -> (Instant, Instant) {
    let ahead = if lifetime > 2 * REFRESH_MARGIN { lifetime - REFRESH_MARGIN } else { lifetime / 2 };
    (now + ahead, now + lifetime)
}
