//! Offers and answers (RFC 8829) for sessions whose only use is data channels: media sections of the peer are
//! rejected, its data section is accepted.

use antiphon_ice::Credentials;
use antiphon_sdp as sdp;
use sdp::{
    Attribute, Group, GroupSemantics, InvalidLineError, Media, Origin, Session, SessionBuilder, Setup,
};

use crate::section::{DataSection, Parameters, Shape, data_media, is_bundle_with, rejected};
use crate::signaling::{Side, transition};
use crate::{
    CreateDescriptionError, InvalidSection, SdpType, SessionDescription, SetDescriptionError, SignalingState,
};

/// Which end opens the DTLS connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DtlsRole {
    Client,
    Server,
}

/// A description that was set.
#[derive(Debug, Clone)]
pub(crate) struct Description {
    pub(crate) kind: SdpType,
    pub(crate) session: Session,
    pub(crate) data: Option<DataSection>,
}

/// The state of offer and answer.
#[derive(Debug)]
pub(crate) struct Negotiation {
    state: SignalingState,
    parameters: Parameters,
    session_id: u64,
    /// Of the last local description.
    session_version: u64,
    limits: sdp::Limits,
    current_local: Option<Description>,
    pending_local: Option<Description>,
    current_remote: Option<Description>,
    pending_remote: Option<Description>,
    created_offer: Option<String>,
    created_answer: Option<String>,
    /// The role, from the first answer on.
    role: Option<DtlsRole>,
    /// A data channel was asked for, so that offers have a data section.
    data_wanted: bool,
    restart: Restart,
}

/// Whether ICE is to be restarted, and with what.
#[derive(Debug, Default)]
struct Restart {
    /// The application asked for it, and the offer for it is not answered yet.
    is_wanted: bool,
    /// What the next offer or answer that restarts has in place of the present credentials.
    credentials: Option<Credentials>,
}

impl Negotiation {
    pub(crate) fn new(parameters: Parameters, session_id: u64, limits: sdp::Limits) -> Self {
        Self {
            state: SignalingState::Stable,
            parameters,
            // RFC 8829 §5.2.1: 63 bits, so that those who read it as a signed number do not stumble.
            session_id: session_id >> 1,
            session_version: 0,
            limits,
            current_local: None,
            pending_local: None,
            current_remote: None,
            pending_remote: None,
            created_offer: None,
            created_answer: None,
            role: None,
            data_wanted: false,
            restart: Restart::default(),
        }
    }

    /// Has the next offer restart ICE, where there is a session to be restarted; `fresh` are its credentials, unless some were
    /// given already.
    pub(crate) fn want_restart(&mut self, fresh: Credentials) {
        if self.current_local.as_ref().is_some_and(|local| local.data.is_some()) {
            self.restart.is_wanted = true;
            self.restart.credentials.get_or_insert(fresh);
            self.created_offer = None;
        }
    }

    /// Whether the remote offer restarts ICE, so that an answer needs fresh credentials.
    pub(crate) fn is_restarted_by_remote(&self) -> bool {
        let offered = self.pending_remote.as_ref().and_then(|offer| offer.data.as_ref());
        let current = self.current_remote.as_ref().and_then(|current| current.data.as_ref());
        matches!((offered, current), (Some(offered), Some(current)) if offered.credentials != current.credentials)
    }

    /// Whether an offer of ours that restarts ICE awaits its answer: what the peer described belongs to the session before.
    pub(crate) fn is_restarting(&self) -> bool {
        self.state == SignalingState::HaveLocalOffer
            && self.local_credentials().is_some_and(|local| *local != self.parameters.credentials)
    }

    /// Sets the credentials of the answer to an offer that restarts.
    pub(crate) fn answer_restart_with(&mut self, fresh: Credentials) {
        self.restart.credentials.get_or_insert(fresh);
    }

    /// The credentials of the local description that counts.
    pub(crate) fn local_credentials(&self) -> Option<&Credentials> {
        Some(&self.local()?.data.as_ref()?.credentials)
    }

    pub(crate) fn want_data(&mut self) {
        self.data_wanted = true;
    }

    pub(crate) fn close(&mut self) {
        self.state = SignalingState::Closed;
    }

    /// Makes an offer (RFC 8829 §5.2).
    pub(crate) fn create_offer(&mut self) -> Result<SessionDescription, CreateDescriptionError> {
        if self.state == SignalingState::Closed {
            return Err(CreateDescriptionError::Closed);
        }
        let text = self.offer().map_err(|_| CreateDescriptionError::Closed)?.to_string();
        self.created_offer = Some(text.clone());
        Ok(SessionDescription::offer(text))
    }

    /// Makes an answer to the pending remote offer (RFC 8829 §5.3).
    pub(crate) fn create_answer(&mut self) -> Result<SessionDescription, CreateDescriptionError> {
        if self.state == SignalingState::Closed {
            return Err(CreateDescriptionError::Closed);
        }
        let may_answer =
            matches!(self.state, SignalingState::HaveRemoteOffer | SignalingState::HaveLocalPranswer);
        let offer = self
            .pending_remote
            .as_ref()
            .filter(|_| may_answer)
            .ok_or(CreateDescriptionError::NoRemoteOffer)?;
        let answer = self.answer(offer).map_err(|_| CreateDescriptionError::NoRemoteOffer)?;
        let text = answer.to_string();
        self.created_answer = Some(text.clone());
        Ok(SessionDescription::answer(text))
    }

    /// Sets a local description; without one, the offer or answer that the state calls for. Tells its type.
    pub(crate) fn set_local(
        &mut self,
        description: Option<SessionDescription>,
    ) -> Result<SdpType, SetDescriptionError> {
        let implicit = match self.state {
            SignalingState::HaveRemoteOffer | SignalingState::HaveLocalPranswer => SdpType::Answer,
            _ => SdpType::Offer,
        };
        let SessionDescription { kind, sdp: text } =
            description.unwrap_or(SessionDescription { kind: implicit, sdp: String::new() });
        let state = self.next_state(Side::Local, kind)?;
        if kind == SdpType::Rollback {
            self.roll_back();
            return Ok(kind);
        }
        let text = self.created(kind, text)?;
        let session = self.parser().parse(&text)?;
        let data = data_section(&session)?;
        self.apply(Side::Local, state, Description { kind, session, data });
        self.session_version += 1;
        Ok(kind)
    }

    /// Sets a remote description. Tells its type.
    pub(crate) fn set_remote(
        &mut self,
        description: &SessionDescription,
    ) -> Result<SdpType, SetDescriptionError> {
        let kind = description.kind;
        let state = self.next_state(Side::Remote, kind)?;
        if kind == SdpType::Rollback {
            self.roll_back();
            return Ok(kind);
        }
        let session = self.parser().parse(&description.sdp)?;
        let data = data_section(&session)?;
        let description = Description { kind, session, data };
        self.check_remote(&description)
            .map_err(|(section, reason)| SetDescriptionError::Invalid { section, reason })?;
        if kind == SdpType::Offer && self.state == SignalingState::HaveLocalOffer {
            self.roll_back();
        }
        self.apply(Side::Remote, state, description);
        Ok(kind)
    }

    /// Adds a candidate, or the end of candidates, to the text of the remote description.
    pub(crate) fn add_remote_line(
        &mut self,
        section: usize,
        line: Attribute,
    ) -> Result<(), InvalidLineError> {
        let Some(description) = self.pending_remote.as_mut().or(self.current_remote.as_mut()) else {
            return Ok(());
        };
        match description.session.media.get_mut(section) {
            Some(media) => media.section.push(line),
            None => Ok(()),
        }
    }

    pub(crate) fn state(&self) -> SignalingState {
        self.state
    }

    pub(crate) fn role(&self) -> Option<DtlsRole> {
        self.role
    }

    pub(crate) fn current_local(&self) -> Option<&Description> {
        self.current_local.as_ref()
    }

    pub(crate) fn pending_local(&self) -> Option<&Description> {
        self.pending_local.as_ref()
    }

    pub(crate) fn local(&self) -> Option<&Description> {
        self.pending_local.as_ref().or(self.current_local.as_ref())
    }

    pub(crate) fn current_remote(&self) -> Option<&Description> {
        self.current_remote.as_ref()
    }

    pub(crate) fn pending_remote(&self) -> Option<&Description> {
        self.pending_remote.as_ref()
    }

    pub(crate) fn remote(&self) -> Option<&Description> {
        self.pending_remote.as_ref().or(self.current_remote.as_ref())
    }

    /// The peer's description, once its data section is agreed upon by an answer, provisional or not.
    pub(crate) fn agreed_remote(&self) -> Option<(&Description, &DataSection)> {
        let (local, remote) = match self.state {
            SignalingState::HaveLocalPranswer | SignalingState::HaveRemotePranswer => {
                (self.pending_local.as_ref()?, self.pending_remote.as_ref()?)
            }
            _ => (self.current_local.as_ref()?, self.current_remote.as_ref()?),
        };
        local.data.as_ref()?;
        Some((remote, remote.data.as_ref()?))
    }

    /// Whether the remote description that counts is the agreed one, and not an offer that is still to be answered.
    pub(crate) fn is_remote_agreed(&self) -> bool {
        let agreed = self.agreed_remote().map(|(description, _)| description);
        matches!((agreed, self.remote()), (Some(agreed), Some(remote)) if std::ptr::eq(agreed, remote))
    }

    /// Whether an offer has to be made for what the application asked for (W3C webrtc-pc §4.7.3).
    pub(crate) fn is_needed(&self) -> bool {
        let negotiated = |description: &Option<Description>| {
            description.as_ref().is_some_and(|description| description.data.is_some())
        };
        let is_negotiated = negotiated(&self.current_local) && negotiated(&self.current_remote);
        self.restart.is_wanted || self.data_wanted && !is_negotiated
    }

    fn next_state(&self, side: Side, kind: SdpType) -> Result<SignalingState, SetDescriptionError> {
        if self.state == SignalingState::Closed {
            return Err(SetDescriptionError::Closed);
        }
        transition(self.state, side, kind).ok_or(SetDescriptionError::WrongState { state: self.state, kind })
    }

    /// The created description that `text` names; an empty text stands for it (W3C webrtc-pc §4.4.1.5).
    fn created(&mut self, kind: SdpType, text: String) -> Result<String, SetDescriptionError> {
        let known = match kind {
            SdpType::Offer => &self.created_offer,
            _ => &self.created_answer,
        };
        match known {
            Some(known) if text.is_empty() || *known == text => Ok(known.clone()),
            _ if !text.is_empty() => Err(SetDescriptionError::Modified),
            _ if kind == SdpType::Offer => Ok(self.create_offer()?.sdp),
            _ => Ok(self.create_answer()?.sdp),
        }
    }

    fn apply(&mut self, side: Side, state: SignalingState, description: Description) {
        let kind = description.kind;
        if kind != SdpType::Offer {
            self.role = self.role.or(role_by(side, &description));
        }
        let pending = match side {
            Side::Local => &mut self.pending_local,
            Side::Remote => &mut self.pending_remote,
        };
        *pending = Some(description);
        if kind == SdpType::Answer {
            self.current_local = self.pending_local.take();
            self.current_remote = self.pending_remote.take();
            self.adopt_credentials();
        }
        self.created_answer = None;
        self.created_offer = None;
        self.change_state(state);
    }

    /// The present credentials are those of the description that was agreed upon.
    fn adopt_credentials(&mut self) {
        let agreed = self.current_local.as_ref().and_then(|local| local.data.as_ref());
        if let Some(data) = agreed
            && data.credentials != self.parameters.credentials
        {
            self.parameters.credentials = data.credentials.clone();
            self.restart = Restart::default();
        }
    }

    fn roll_back(&mut self) {
        self.pending_local = None;
        self.pending_remote = None;
        self.created_offer = None;
        self.created_answer = None;
        self.change_state(SignalingState::Stable);
    }

    fn change_state(&mut self, state: SignalingState) {
        tracing::debug!(from = ?self.state, to = ?state, "signalling state");
        self.state = state;
    }

    fn check_remote(&self, description: &Description) -> Result<(), (usize, InvalidSection)> {
        let sections = &description.session.media;
        if description.kind == SdpType::Offer {
            if let Some(current) = &self.current_local
                && sections.len() < current.session.media.len()
            {
                return Err((sections.len(), InvalidSection::NotTheSessions));
            }
        } else {
            let offer = self.pending_local.as_ref().map_or(&[][..], |offer| &offer.session.media);
            check_same_sections(offer, sections)?;
            if let Some(data) = &description.data
                && data.setup == Setup::ActPass
            {
                return Err((data.index, InvalidSection::Setup));
            }
        }
        self.check_unchanged(description.kind, description.data.as_ref())
    }

    /// What the transports were made with stays as it is, but for the credentials of ICE: those change on both sides or on
    /// neither (RFC 8839 §4.4.1.1).
    fn check_unchanged(
        &self,
        kind: SdpType,
        data: Option<&DataSection>,
    ) -> Result<(), (usize, InvalidSection)> {
        let before = self.current_remote.as_ref().and_then(|current| current.data.as_ref());
        let (Some(data), Some(before)) = (data, before) else { return Ok(()) };
        let offered = self.pending_local.as_ref().and_then(|offer| offer.data.as_ref());
        let is_offered = offered.is_some_and(|offer| offer.credentials != self.parameters.credentials);
        if kind != SdpType::Offer && is_offered != (data.credentials != before.credentials) {
            return Err((data.index, InvalidSection::IceRestart));
        }
        if !data.fingerprints.iter().any(|fingerprint| before.fingerprints.contains(fingerprint)) {
            return Err((data.index, InvalidSection::FingerprintsChanged));
        }
        Ok(())
    }

    fn offer(&self) -> Result<Session, InvalidLineError> {
        let mut sections = Vec::new();
        let parameters = self.parameters(self.restart.is_wanted);
        // Sections keep their places for good (RFC 8829 §5.2.2).
        let before = self.current_local.as_ref();
        let data = before.and_then(|before| before.data.as_ref());
        let mut bundled = None;
        for (index, media) in before.map_or(&[][..], |before| &before.session.media).iter().enumerate() {
            let kept = data.filter(|data| data.index == index);
            sections.push(match kept {
                Some(data) => {
                    bundled.clone_from(&data.mid);
                    let shape = Shape { mid: data.mid.clone(), setup: Setup::ActPass, legacy: data.legacy };
                    data_media(&parameters, &shape)?
                }
                None => rejected(media)?,
            });
        }
        if self.data_wanted && data.is_none() {
            let mid = unused_mid(&sections);
            bundled = Some(mid.clone());
            let shape = Shape { mid: Some(mid), setup: Setup::ActPass, legacy: false };
            sections.push(data_media(&parameters, &shape)?);
        }
        self.description(sections, bundled)
    }

    fn answer(&self, offer: &Description) -> Result<Session, InvalidLineError> {
        let mut sections = Vec::new();
        let mut parameters = self.parameters(self.is_restarted_by_remote());
        let offered = offer.data.as_ref();
        parameters.embedding.retain(|option| offered.is_some_and(|data| data.embedding.contains(option)));
        // An INIT answers an INIT.
        parameters.sctp_init.take_if(|_| offered.is_none_or(|data| data.sctp_init.is_none()));
        let mut bundled = None;
        for (index, media) in offer.session.media.iter().enumerate() {
            sections.push(match offer.data.as_ref().filter(|data| data.index == index) {
                Some(data) => {
                    let in_bundle =
                        |mid: &String| offer.session.groups().any(|group| is_bundle_with(group, mid));
                    bundled = data.mid.clone().filter(in_bundle);
                    let setup = self.answer_setup(data.setup);
                    let shape = Shape { mid: data.mid.clone(), setup, legacy: data.legacy };
                    data_media(&parameters, &shape)?
                }
                None => rejected(media)?,
            });
        }
        self.description(sections, bundled)
    }

    fn description(
        &self,
        sections: Vec<Media>,
        bundled: Option<String>,
    ) -> Result<Session, InvalidLineError> {
        let group = bundled
            .map(|mid| Attribute::Group(Group { semantics: GroupSemantics::Bundle, mids: vec![mid.into()] }));
        let origin = Origin::new(self.session_id, self.session_version + 1);
        let lite = self.parameters.ice_lite.then_some(Attribute::IceLite);
        let builder = Session::builder(origin).lines(group).lines(lite);
        sections.into_iter().fold(builder, SessionBuilder::media).build()
    }

    fn parser(&self) -> sdp::Parser {
        sdp::Parser { limits: self.limits, ..sdp::Parser::default() }
    }

    /// What a description of ours says, with fresh credentials where it restarts ICE.
    fn parameters(&self, restarts: bool) -> Parameters {
        let fresh = self.restart.credentials.as_ref().filter(|_| restarts);
        let credentials = fresh.unwrap_or(&self.parameters.credentials).clone();
        Parameters { credentials, ..self.parameters.clone() }
    }

    /// RFC 8842 §5.3: `active` where there is a choice, since the answerer's hello can then go out at once.
    fn answer_setup(&self, offered: Setup) -> Setup {
        match (offered, self.role) {
            (Setup::Active, _) => Setup::Passive,
            (Setup::ActPass, Some(DtlsRole::Server)) => Setup::Passive,
            (Setup::ActPass | Setup::Passive | Setup::HoldConn, _) => Setup::Active,
        }
    }
}

fn data_section(session: &Session) -> Result<Option<DataSection>, SetDescriptionError> {
    DataSection::of(session).map_err(|(section, reason)| SetDescriptionError::Invalid { section, reason })
}

fn unused_mid(media: &[Media]) -> String {
    let is_used = |mid: &String| media.iter().any(|media| media.section.mid() == Some(mid));
    (media.len()..).map(|number| number.to_string()).find(|mid| !is_used(mid)).unwrap_or_default()
}

/// The role that the answer gives us.
fn role_by(side: Side, answer: &Description) -> Option<DtlsRole> {
    match (side, answer.data.as_ref()?.setup) {
        (Side::Local, Setup::Active) | (Side::Remote, Setup::Passive) => Some(DtlsRole::Client),
        (Side::Local, Setup::Passive) | (Side::Remote, Setup::Active) => Some(DtlsRole::Server),
        (_, Setup::ActPass | Setup::HoldConn) => None,
    }
}

/// RFC 8829 §5.8.3: an answer has the sections of the offer.
fn check_same_sections(offer: &[Media], answer: &[Media]) -> Result<(), (usize, InvalidSection)> {
    let same = |offered: &Media, answered: &Media| {
        offered.line().kind == answered.line().kind
            // Those before RFC 5888 have no tags at all.
            && answered.section.mid().is_none_or(|mid| offered.section.mid() == Some(mid))
    };
    let differing = offer.iter().zip(answer).position(|(offered, answered)| !same(offered, answered));
    let shorter = offer.len().min(answer.len());
    match differing.or_else(|| (offer.len() != answer.len()).then_some(shorter)) {
        Some(section) => Err((section, InvalidSection::NotTheOffered)),
        None => Ok(()),
    }
}

#[cfg(test)]
#[path = "negotiation_tests.rs"]
mod tests;
