//! Descriptions and candidates of a connection.

use std::time::Instant;

use antiphon_ice::{self as ice, GatheringState};
use antiphon_sdp as sdp;

use crate::candidate::{Usable, from_ice, to_ice};
use crate::names::{Named, Settled};
use crate::negotiation::Description;
use crate::section::with_candidates;
use crate::{
    AddIceCandidateError, CreateDescriptionError, DropReason, Event, IceCandidate, OfferOptions,
    PeerConnection, SdpType, SessionDescription, SetDescriptionError, SignalingState,
};

impl PeerConnection {
    /// Makes an offer; nothing changes before it is set.
    ///
    /// # Errors
    /// Where the connection is closed.
    pub fn create_offer(&mut self) -> Result<SessionDescription, CreateDescriptionError> {
        self.negotiation.create_offer()
    }

    /// Makes an offer with what `options` ask for.
    ///
    /// # Errors
    /// Where the connection is closed.
    pub fn create_offer_with(
        &mut self,
        options: OfferOptions,
    ) -> Result<SessionDescription, CreateDescriptionError> {
        if options.ice_restart && !self.is_closed() {
            self.negotiation.want_restart(ice::Credentials::random(&mut self.rng));
        }
        self.negotiation.create_offer()
    }

    /// Asks for an ICE restart (W3C `restartIce`): the next offer has fresh credentials, and until one with them is
    /// answered, an offer is needed. The connection goes on over the path in use until another is found. Without effect
    /// before anything was negotiated.
    pub fn restart_ice(&mut self) {
        if self.is_closed() {
            return;
        }
        self.negotiation.want_restart(ice::Credentials::random(&mut self.rng));
        self.update_negotiation_needed();
    }

    /// Makes an answer to the remote offer; nothing changes before it is set. Media sections are rejected, the data
    /// section is accepted.
    ///
    /// # Errors
    /// Where the connection is closed, or there is no offer to answer.
    pub fn create_answer(&mut self) -> Result<SessionDescription, CreateDescriptionError> {
        self.negotiation.create_answer()
    }

    /// Sets a local description: one just created, a rollback, or with `None` the offer or answer that the state calls
    /// for. Gathering begins.
    ///
    /// # Errors
    /// Where it does not fit the state or is not what was created; nothing has changed then.
    pub fn set_local_description(
        &mut self,
        now: Instant,
        description: Option<SessionDescription>,
    ) -> Result<(), SetDescriptionError> {
        let kind = self.negotiation.set_local(description)?;
        if kind == SdpType::Offer && self.negotiation.agreed_remote().is_none() {
            self.transport.ice.set_role(ice::Role::Controlling);
        }
        self.follow_descriptions(now);
        Ok(())
    }

    /// Sets a description of the peer's, or a rollback. A remote offer takes a local one back that awaits its answer.
    ///
    /// # Errors
    /// Where it is malformed or does not fit the state or the session; nothing has changed then.
    pub fn set_remote_description(
        &mut self,
        now: Instant,
        description: SessionDescription,
    ) -> Result<(), SetDescriptionError> {
        let kind = self.negotiation.set_remote(&description)?;
        if self.negotiation.is_restarted_by_remote() {
            self.negotiation.answer_restart_with(ice::Credentials::random(&mut self.rng));
        }
        if kind == SdpType::Offer && self.negotiation.agreed_remote().is_none() {
            // RFC 8445 §6.1.1: the offerer controls, unless it is a lite agent.
            let data = self.negotiation.remote().and_then(|remote| remote.data.as_ref());
            let role = match data {
                Some(data) if data.ice_lite => ice::Role::Controlling,
                _ => ice::Role::Controlled,
            };
            self.transport.ice.set_role(role);
        }
        self.follow_descriptions(now);
        Ok(())
    }

    /// Adds a candidate of the peer's; `None`, or one with an empty text, says that no more follow.
    ///
    /// What the agent can't try (names other than those of multicast DNS, sections that are not used) is counted and otherwise ignored.
    ///
    /// # Errors
    /// Where it is malformed or belongs to nothing that the peer described; nothing has changed then.
    pub fn add_ice_candidate(
        &mut self,
        now: Instant,
        candidate: Option<IceCandidate>,
    ) -> Result<(), AddIceCandidateError> {
        if self.is_closed() {
            return Err(AddIceCandidateError::Closed);
        }
        let candidate = candidate.unwrap_or_default();
        let parsed = match candidate.is_end_of_candidates() {
            true => None,
            false => Some(candidate.parsed()?),
        };
        let remote = self.negotiation.remote().ok_or(AddIceCandidateError::NoRemoteDescription)?;
        let section = match find_section(remote, &candidate)? {
            Some(section) => section,
            None if parsed.is_some() => return Err(AddIceCandidateError::NoSection),
            None => remote.data.as_ref().map_or(0, |data| data.index),
        };
        check_ufrag(remote, section, &candidate, parsed.as_ref())?;
        let present = remote.session.media.get(section).map_or(0, |media| media.section.candidates().count());
        if present >= self.limits.sdp.candidates {
            return Err(AddIceCandidateError::TooMany);
        }
        let is_used = is_used(remote, section);
        // A parsed candidate holds no line break.
        let _ = self.negotiation.add_remote_line(
            section,
            match &parsed {
                Some(candidate) => sdp::Attribute::Candidate(Box::new(candidate.clone())),
                None => sdp::Attribute::EndOfCandidates,
            },
        );
        if !is_used {
            self.drops.count(DropReason::UnusedSectionCandidate);
        } else if self.negotiation.is_remote_agreed() && !self.negotiation.is_restarting() {
            match &parsed {
                Some(candidate) => self.take_candidate(now, candidate),
                None => self.transport.ice.end_of_remote_candidates(now),
            }
        }
        self.settle(now);
        Ok(())
    }

    /// The local description that counts: the pending one, or else the current one; with the candidates so far.
    pub fn local_description(&self) -> Option<SessionDescription> {
        self.negotiation.local().map(|description| self.describe_local(description))
    }

    /// The local description of the exchange before, with the candidates so far.
    pub fn current_local_description(&self) -> Option<SessionDescription> {
        self.negotiation.current_local().map(|description| self.describe_local(description))
    }

    /// The local description of the exchange that is under way, with the candidates so far.
    pub fn pending_local_description(&self) -> Option<SessionDescription> {
        self.negotiation.pending_local().map(|description| self.describe_local(description))
    }

    /// The remote description that counts: the pending one, or else the current one; with the candidates added since.
    pub fn remote_description(&self) -> Option<SessionDescription> {
        self.negotiation.remote().map(describe_remote)
    }

    /// The remote description of the exchange before.
    pub fn current_remote_description(&self) -> Option<SessionDescription> {
        self.negotiation.current_remote().map(describe_remote)
    }

    /// The remote description of the exchange that is under way.
    pub fn pending_remote_description(&self) -> Option<SessionDescription> {
        self.negotiation.pending_remote().map(describe_remote)
    }

    /// A candidate of ours as the application sends it to the peer.
    pub(crate) fn describe_candidate(&self, candidate: &ice::Candidate) -> Option<IceCandidate> {
        let data = self.negotiation.local().and_then(|local| local.data.as_ref());
        let ufrag = &self.transport.credentials().ufrag;
        let mut candidate = self.name_candidate(candidate)?;
        candidate.extensions.push(sdp::CandidateExtension::new("ufrag", ufrag));
        Some(IceCandidate {
            candidate: candidate.to_string(),
            sdp_mid: data.and_then(|data| data.mid.clone()),
            sdp_m_line_index: data.and_then(|data| u16::try_from(data.index).ok()),
            username_fragment: Some(ufrag.clone()),
        })
    }

    /// A candidate of ours with its name, where it has one; `None` where it has to and doesn't.
    fn name_candidate(&self, candidate: &ice::Candidate) -> Option<sdp::Candidate> {
        let mut described = from_ice(candidate);
        if let Some(name) = self.names.name_of(candidate) {
            described.address = sdp::Address::Name(name.into());
        }
        (!self.names.hides(candidate)).then_some(described)
    }

    /// Hands on the candidates whose names were found.
    pub(crate) fn take_named(&mut self, now: Instant) {
        while let Some(settled) = self.names.take_settled() {
            match settled {
                Settled::Found(found) => {
                    found.into_iter().for_each(|candidate| self.try_candidate(now, candidate));
                }
                Settled::Lost(lost) => (0..lost).for_each(|_| self.drops.count(DropReason::MdnsCandidate)),
            }
        }
    }

    /// Tells that an offer is needed, once until one has been answered (W3C webrtc-pc §4.7.3).
    pub(crate) fn update_negotiation_needed(&mut self) {
        if self.negotiation.state() != SignalingState::Stable {
            return;
        }
        let needed = self.negotiation.is_needed();
        if needed && !self.negotiation_needed {
            self.events.push_back(Event::NegotiationNeeded);
        }
        self.negotiation_needed = needed;
    }

    /// Carries new descriptions to the transports and channels.
    fn follow_descriptions(&mut self, now: Instant) {
        if self.negotiation.local().is_some_and(|local| local.data.is_some()) {
            self.start_gathering(now);
        }
        self.follow_credentials(now);
        if let Some(((remote, data), role)) = self
            .negotiation
            .agreed_remote()
            .filter(|_| !self.negotiation.is_restarting())
            .zip(self.negotiation.role())
        {
            self.transport.negotiate(now, data, role, &mut self.rng);
            let used = |(index, _): &(usize, &sdp::Media)| is_used(remote, *index);
            let sections = || remote.session.media.iter().enumerate().filter(used);
            let candidates: Vec<sdp::Candidate> =
                sections().flat_map(|(_, media)| media.section.candidates()).cloned().collect();
            let is_complete = remote.session.section.has("end-of-candidates")
                || sections().any(|(_, media)| media.section.has("end-of-candidates"));
            self.channels.set_role(role, &mut self.events);
            for candidate in &candidates {
                self.take_candidate(now, candidate);
            }
            if is_complete {
                self.transport.ice.end_of_remote_candidates(now);
            }
        }
        self.settle(now);
        self.update_negotiation_needed();
    }

    /// Restarts ICE where the local description has other credentials, or takes a restart back that was rolled back.
    fn follow_credentials(&mut self, now: Instant) {
        let Some(described) = self.negotiation.local_credentials() else { return };
        let ice = &mut self.transport.ice;
        if described == ice.local_credentials()
            || ice.cancel_restart(now) && described == ice.local_credentials()
        {
            return;
        }
        self.names.forget_waiting();
        ice.restart(now, Some(described.clone()));
    }

    fn take_candidate(&mut self, now: Instant, candidate: &sdp::Candidate) {
        match to_ice(candidate) {
            Usable::No(reason) => self.drops.count(reason),
            Usable::Yes(candidate) => self.try_candidate(now, candidate),
            Usable::Named(name, candidate) => match self.names.find(now, &name, candidate) {
                Named::Resolved(candidate) => self.try_candidate(now, candidate),
                Named::Waiting => {}
                Named::Refused => self.drops.count(DropReason::MdnsCandidate),
            },
        }
    }

    fn try_candidate(&mut self, now: Instant, candidate: ice::Candidate) {
        if let Err(error) = self.transport.ice.add_remote_candidate(now, candidate) {
            tracing::debug!(%error, "candidate refused");
            self.drops.count(DropReason::RefusedCandidate);
        }
    }

    fn describe_local(&self, description: &Description) -> SessionDescription {
        let Some(data) = &description.data else { return describe_remote(description) };
        let candidates: Vec<sdp::Candidate> =
            self.transport.ice.local_candidates().iter().filter_map(|c| self.name_candidate(c)).collect();
        let complete = self.transport.ice.gathering_state() == GatheringState::Complete;
        let session = with_candidates(description.session.clone(), data.index, &candidates, complete);
        SessionDescription { kind: description.kind, sdp: session.to_string() }
    }
}

fn describe_remote(description: &Description) -> SessionDescription {
    SessionDescription { kind: description.kind, sdp: description.session.to_string() }
}

/// The media section that a candidate names, if it names one; the tag counts before the index.
fn find_section(
    remote: &Description,
    candidate: &IceCandidate,
) -> Result<Option<usize>, AddIceCandidateError> {
    let media = &remote.session.media;
    let found = match (&candidate.sdp_mid, candidate.sdp_m_line_index) {
        // A section without a tag is named by an empty one.
        (Some(mid), Some(index)) if mid.is_empty() => Some(usize::from(index)),
        (Some(mid), _) => media.iter().position(|media| media.section.mid() == Some(mid)),
        (None, Some(index)) => Some(usize::from(index)),
        (None, None) => return Ok(None),
    };
    found.filter(|index| *index < media.len()).map(Some).ok_or(AddIceCandidateError::UnknownSection)
}

/// A candidate that says which credentials it belongs to must belong to those of its section.
fn check_ufrag(
    remote: &Description,
    section: usize,
    candidate: &IceCandidate,
    parsed: Option<&sdp::Candidate>,
) -> Result<(), AddIceCandidateError> {
    let told = candidate.username_fragment.as_deref().or_else(|| parsed.and_then(sdp::Candidate::ufrag));
    let session = &remote.session;
    let described = session
        .media
        .get(section)
        .and_then(|media| media.section.ice_ufrag())
        .or_else(|| session.section.ice_ufrag())
        .or_else(|| remote.data.as_ref().map(|data| data.credentials.ufrag.as_str()));
    match (told, described) {
        (Some(told), Some(described)) if told != described => Err(AddIceCandidateError::UnknownUfrag),
        _ => Ok(()),
    }
}

/// Whether candidates of this section are those of the data transport: its own, or one of its bundle, which shares
/// the credentials.
fn is_used(remote: &Description, section: usize) -> bool {
    let Some(data) = &remote.data else { return false };
    let ufrag = remote.session.media.get(section).and_then(|media| media.section.ice_ufrag());
    section == data.index || ufrag == Some(data.credentials.ufrag.as_str())
}
