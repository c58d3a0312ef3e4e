//! Setting up the association (RFC 9260 §5).

use std::time::{Duration, Instant};

use antiphon_crypto::{HashAlgorithm, HmacKey};
use antiphon_util::{Rng, Writer};
use tracing::debug;

use super::block::Block;
use super::cookie::{Cookie, CookieAction, Existing, LocalInit, PeerInit, TieTags, decide};
use super::transmit::{Control, MOST_INFORMATION};
use super::{Association, Phase, State, Timer};
use crate::packet::{
    Causes, Chunk, ErrorCause, Init, InitParameters, Parameters, RawParameter, cause, parameter,
    write_parameter,
};
use crate::{CloseReason, DropReason, Event};

/// Least window that a peer may offer (RFC 9260 §3.3.2).
pub(super) const LEAST_WINDOW: u32 = 1500;

impl Association {
    /// Answers INIT in whatever state (RFC 9260 §5.1, §5.2.1, §5.2.2); nothing is kept but in the cookie.
    pub(super) fn handle_init(&mut self, now: Instant, init: &Init<'_>) {
        if init.initiate_tag == 0 {
            return self.drop_for(DropReason::Malformed);
        }
        let read = InitParameters::read(init.parameters);
        if let Some(refusal) = Refusal::of(init, &read) {
            return self.refuse(init.initiate_tag, refusal);
        }
        let (local, tie_tags) = match &self.state {
            State::Idle { .. } | State::CookieWait { .. } => (self.local, TieTags::default()),
            State::CookieEchoed { block, .. } => (block.local, block.tie_tags),
            State::Open { phase: Phase::ShutdownAckSent, .. } => {
                // The peer missed SHUTDOWN ACK (RFC 9260 §9.2).
                return self.outbox.want(Control::ShutdownAck);
            }
            // The peer has not seen our description, or not understood it, and sets up what is set up here.
            State::Open { block, .. } if block.described && block.peer.is_of(init) => {
                (block.local, block.tie_tags)
            }
            State::Open { block, .. } => {
                let tie_tags = block.tie_tags;
                (LocalInit { tag: new_tag(&mut self.rng), initial_tsn: self.rng.u32() }, tie_tags)
            }
            State::Ended => return,
        };
        let cookie = Cookie {
            created: self.elapsed(now),
            local,
            peer: PeerInit::new(init, read.capabilities).limited(&self.config),
            tie_tags,
        };
        let mut signed = Vec::new();
        cookie.write(&self.cookie_key(), &mut Writer::new(&mut signed));
        let mut parameters = Vec::new();
        let mut writer = Writer::new(&mut parameters);
        write_parameter(&mut writer, parameter::STATE_COOKIE, &signed);
        self.config.capabilities().write(&mut writer);
        for unknown in Self::reportable(&read.unrecognized) {
            write_parameter(&mut writer, parameter::UNRECOGNIZED, &unknown);
        }
        let mut answer = self.own_init(local, Parameters::written(&parameters));
        // No more streams than the peer takes (RFC 9260 §3.3.3).
        answer.outgoing_streams = answer.outgoing_streams.min(init.incoming_streams);
        self.reply_apart(init.initiate_tag, &Chunk::InitAck(answer));
    }

    /// Takes the answer to our INIT (RFC 9260 §5.1 C).
    pub(super) fn handle_init_ack(&mut self, now: Instant, init: &Init<'_>) {
        let State::CookieWait { attempts, sent_at } = self.state else {
            return self.drop_for(DropReason::UnexpectedChunk);
        };
        if init.initiate_tag == 0 {
            return self.refuse_without_tag();
        }
        let read = InitParameters::read(init.parameters);
        if let Some(refusal) = Refusal::of(init, &read) {
            self.refuse(init.initiate_tag, refusal);
            // A window too small changes nothing: INIT is sent again (RFC 9260 §3.3.3).
            if refusal != Refusal::Window {
                self.end(CloseReason::ProtocolViolation("INIT ACK that cannot be accepted"));
            }
            return;
        }
        let Some(cookie) = read.cookie else {
            self.abort_apart(init.initiate_tag, cause::MISSING_PARAMETER, &[0, 0, 0, 1, 0, 7]);
            return self.end(CloseReason::ProtocolViolation("INIT ACK without cookie"));
        };
        let cookie = cookie.to_vec();
        let peer = PeerInit::new(init, read.capabilities).limited(&self.config);
        let tie_tags = self.new_tie_tags();
        // An INIT that was sent again measures nothing (RFC 9260 §6.3.1 C5).
        let round_trip = sent_at.filter(|_| attempts == 0).map(|at| now.saturating_duration_since(at));
        let block = self.new_block(self.local, peer, tie_tags, round_trip);
        self.set_state(State::CookieEchoed { block, cookie, attempts: 0 });
        self.timers.stop(Timer::Setup);
        self.outbox.withdraw(Control::Init);
        self.outbox.want(Control::CookieEcho);
        let unrecognized = Self::reportable(&read.unrecognized).concat();
        if !unrecognized.is_empty() {
            self.reply_error(ErrorCause { code: cause::UNRECOGNIZED_PARAMETERS, information: &unrecognized });
        }
    }

    /// Takes a cookie that came back; whether the rest of the packet is to be looked at.
    pub(super) fn handle_cookie_echo(&mut self, now: Instant, tag: u32, bytes: &[u8]) -> bool {
        let Some(cookie) = Cookie::verify(&self.cookie_key(), bytes) else {
            self.drop_for(DropReason::ForgedCookie);
            return false;
        };
        if tag != cookie.local.tag {
            self.drop_for(DropReason::VerificationTag);
            return false;
        }
        let existing = match &self.state {
            State::Idle { .. } => None,
            State::Ended => {
                self.drop_for(DropReason::UnexpectedChunk);
                return false;
            }
            State::CookieWait { .. } => {
                Some(Existing { local_tag: self.local.tag, peer_tag: None, tie_tags: TieTags::default() })
            }
            State::CookieEchoed { block, .. } | State::Open { block, .. } => Some(Existing {
                local_tag: block.local.tag,
                peer_tag: Some(block.peer.tag),
                tie_tags: block.tie_tags,
            }),
        };
        let action = existing.map_or(CookieAction::Establish, |existing| decide(existing, &cookie));
        let age = self.elapsed(now).saturating_sub(cookie.created);
        let over = age.saturating_sub(self.config.timing.cookie_lifetime);
        if !over.is_zero() && action != CookieAction::Acknowledge {
            self.report_stale(&cookie, over.as_micros().try_into().unwrap_or(u32::MAX));
            return false;
        }
        self.act_on_cookie(age, action, &cookie)
    }

    /// The peer has our cookie back from us (RFC 9260 §5.1 E).
    pub(super) fn handle_cookie_ack(&mut self, _now: Instant) {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::CookieEchoed { block, .. } => self.establish(block),
            other => {
                self.state = other;
                self.drop_for(DropReason::UnexpectedChunk);
            }
        }
    }

    /// The cookie that we returned was too old: a new one is asked for (RFC 9260 §5.2.6).
    pub(super) fn handle_stale_cookie(&mut self) {
        let State::CookieEchoed { attempts, .. } = self.state else {
            return self.drop_for(DropReason::UnexpectedChunk);
        };
        // It counts on, so that a peer that finds every cookie stale does not hold us for ever.
        let attempts = attempts + 1;
        if attempts > self.config.timing.max_init_retransmissions {
            return self.end(CloseReason::ConnectTimedOut);
        }
        self.set_state(State::CookieWait { attempts, sent_at: None });
        self.timers.stop(Timer::Setup);
        self.outbox.withdraw(Control::CookieEcho);
        self.outbox.want(Control::Init);
    }

    /// T1 expired: INIT or COOKIE ECHO is sent again.
    pub(super) fn setup_expired(&mut self) {
        let (attempts, control) = match &mut self.state {
            State::CookieWait { attempts, .. } => (attempts, Control::Init),
            State::CookieEchoed { attempts, .. } => (attempts, Control::CookieEcho),
            State::Idle { .. } | State::Open { .. } | State::Ended => return,
        };
        *attempts += 1;
        if *attempts > self.config.timing.max_init_retransmissions {
            return self.end(CloseReason::ConnectTimedOut);
        }
        self.outbox.want(control);
    }

    /// INIT or COOKIE ECHO goes out: T1 runs.
    pub(super) fn setup_sent(&mut self, now: Instant) {
        let attempts = match &mut self.state {
            State::CookieWait { attempts, sent_at } => {
                *sent_at = Some(now);
                *attempts
            }
            State::CookieEchoed { attempts, .. } => *attempts,
            State::Idle { .. } | State::Open { .. } | State::Ended => return,
        };
        let timing = &self.config.timing;
        let timeout = timing.rto_initial.saturating_mul(1 << attempts.min(16)).min(timing.rto_max);
        self.timers.set(Timer::Setup, now + timeout);
    }

    /// INIT or INIT ACK of ours.
    pub(super) fn own_init<'a>(&self, local: LocalInit, parameters: Parameters<'a>) -> Init<'a> {
        Init {
            initiate_tag: local.tag,
            a_rwnd: self.config.window() as u32,
            outgoing_streams: self.config.outgoing_streams,
            incoming_streams: self.config.incoming_streams,
            initial_tsn: local.initial_tsn,
            parameters,
        }
    }

    fn act_on_cookie(&mut self, age: Duration, action: CookieAction, cookie: &Cookie) -> bool {
        match action {
            CookieAction::Establish => self.establish_from(cookie, age),
            CookieAction::Acknowledge => {
                if let State::CookieEchoed { .. } = &self.state
                    && let State::CookieEchoed { block, .. } =
                        std::mem::replace(&mut self.state, State::Ended)
                {
                    self.establish(block);
                }
                self.outbox.want(Control::CookieAck);
            }
            CookieAction::Restart => {
                if matches!(self.state, State::Open { phase: Phase::ShutdownAckSent, .. }) {
                    let cause = ErrorCause { code: cause::COOKIE_WHILE_SHUTTING_DOWN, information: &[] };
                    self.reply_error(cause);
                    self.outbox.want(Control::ShutdownAck);
                    return false;
                }
                debug!("the peer restarted");
                self.outbox.forget();
                self.timers.clear();
                self.queue.restart();
                self.open(cookie, age);
                self.interleave();
                self.events.push_back(Event::Restarted);
                self.outbox.want(Control::CookieAck);
            }
            CookieAction::DiscardLate | CookieAction::Discard => {
                self.drop_for(DropReason::LateCookie);
                return false;
            }
        }
        true
    }

    /// Action B, and the passive side of the plain case.
    fn establish_from(&mut self, cookie: &Cookie, age: Duration) {
        if let State::Open { block, .. } = &mut self.state {
            block.peer.tag = cookie.peer.tag;
        } else {
            self.open(cookie, age);
            self.connected();
        }
        self.outbox.want(Control::CookieAck);
    }

    pub(super) fn new_block(
        &mut self,
        local: LocalInit,
        peer: PeerInit,
        tie_tags: TieTags,
        round_trip: Option<Duration>,
    ) -> Box<Block> {
        Box::new(Block::new(&self.config, local, peer, tie_tags, round_trip, self.rng.fork()))
    }

    /// Opens the association that a cookie stands for; `age` is the cookie's.
    fn open(&mut self, cookie: &Cookie, age: Duration) {
        // It made one round trip, unless something was lost.
        let round_trip = Some(age).filter(|age| *age < self.config.timing.rto_initial);
        let tie_tags = self.new_tie_tags();
        let block = self.new_block(cookie.local, cookie.peer, tie_tags, round_trip);
        self.set_state(State::Open { block, phase: Phase::Established });
    }

    fn establish(&mut self, block: Box<Block>) {
        self.set_state(State::Open { block, phase: Phase::Established });
        self.connected();
    }

    pub(super) fn connected(&mut self) {
        self.timers.stop(Timer::Setup);
        self.outbox.withdraw(Control::Init);
        self.outbox.withdraw(Control::CookieEcho);
        self.interleave();
        if let State::Open { block, .. } = &self.state {
            let (outgoing_streams, incoming_streams) =
                (block.peer.outgoing_streams, block.peer.incoming_streams);
            self.events.push_back(Event::Connected { outgoing_streams, incoming_streams });
        }
    }

    /// Made when it is wanted: an established association hardly ever does, and the key is a kilobyte.
    fn cookie_key(&self) -> HmacKey {
        self.config.provider.hmac_key(HashAlgorithm::Sha256, &self.cookie_secret)
    }

    /// Lets messages alternate where both ends can.
    fn interleave(&mut self) {
        if let State::Open { block, .. } = &self.state
            && block.interleaves(&self.config)
        {
            self.queue.interleave(block.sender.peer_window() / 2);
        }
    }

    /// Answers INIT or INIT ACK of the peer with tag `tag` with ABORT.
    fn refuse(&mut self, tag: u32, refusal: Refusal<'_>) {
        self.drop_for(DropReason::Malformed);
        match refusal {
            Refusal::Window | Refusal::Streams => self.abort_apart(tag, cause::INVALID_PARAMETER, &[]),
            Refusal::HostName(name) => {
                self.abort_apart(tag, cause::UNRESOLVABLE_ADDRESS, &whole_parameter(&name));
            }
        }
    }

    /// Answers INIT ACK without a tag, under which an ABORT could go, with ours (RFC 9260 §3.3.3).
    fn refuse_without_tag(&mut self) {
        let mut causes = Vec::new();
        ErrorCause { code: cause::INVALID_PARAMETER, information: &[] }.write(&mut Writer::new(&mut causes));
        let abort = Chunk::Abort { reflected: true, causes: Causes::new(&causes) };
        self.reply_apart(self.local.tag, &abort);
        self.end(CloseReason::ProtocolViolation("INIT ACK without a tag"));
    }

    /// Unknown parameters in full, as many as there is room to report.
    fn reportable(unrecognized: &[RawParameter<'_>]) -> Vec<Vec<u8>> {
        let mut room = MOST_INFORMATION;
        let mut reportable: Vec<Vec<u8>> = unrecognized.iter().map(whole_parameter).collect();
        reportable.retain(|parameter| {
            let rest = room.checked_sub(parameter.len());
            room = rest.unwrap_or(room);
            rest.is_some()
        });
        reportable
    }

    /// Sends ABORT to a peer with which no association exists.
    fn abort_apart(&mut self, tag: u32, code: u16, information: &[u8]) {
        let mut causes = Vec::new();
        ErrorCause { code, information }.write(&mut Writer::new(&mut causes));
        self.reply_apart(tag, &Chunk::Abort { reflected: false, causes: Causes::new(&causes) });
    }

    fn report_stale(&mut self, cookie: &Cookie, microseconds: u32) {
        self.drop_for(DropReason::StaleCookie);
        let information = microseconds.to_be_bytes();
        let mut causes = Vec::new();
        ErrorCause { code: cause::STALE_COOKIE, information: &information }
            .write(&mut Writer::new(&mut causes));
        self.reply_apart(cookie.peer.tag, &Chunk::Error(Causes::new(&causes)));
    }

    pub(super) fn new_tie_tags(&mut self) -> TieTags {
        TieTags { local: new_tag(&mut self.rng), peer: new_tag(&mut self.rng) }
    }
}

/// Why an INIT or INIT ACK cannot be accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal<'a> {
    Window,
    /// A peer without streams cannot be served (RFC 9260 §5.1.1).
    Streams,
    HostName(RawParameter<'a>),
}

impl<'a> Refusal<'a> {
    fn of(init: &Init<'_>, read: &InitParameters<'a>) -> Option<Self> {
        if init.a_rwnd < LEAST_WINDOW {
            return Some(Self::Window);
        }
        if init.outgoing_streams == 0 || init.incoming_streams == 0 {
            return Some(Self::Streams);
        }
        read.host_name.map(Self::HostName)
    }
}

/// A parameter with its header.
fn whole_parameter(parameter: &RawParameter<'_>) -> Vec<u8> {
    let mut whole = Vec::new();
    write_parameter(&mut Writer::new(&mut whole), parameter.kind, parameter.value);
    whole
}

/// A tag, which is never 0 (RFC 9260 §5.3.1).
pub(super) fn new_tag(rng: &mut Rng) -> u32 {
    rng.u32().max(1)
}
