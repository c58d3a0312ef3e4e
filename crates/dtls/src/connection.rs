//! One end of a connection: what its user calls, and what time alone causes.

use std::collections::VecDeque;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

use antiphon_crypto::{Group, PeerCertificate};
use antiphon_util::{Rng, Tally, Timers};

use crate::acks;
use crate::client::Client;
use crate::cookie::Cookies;
use crate::core::{Core, Secrets, Session};
use crate::error::{Alert, CloseReason, DropReason, ExportError, HandshakeError, SealError};
use crate::flight::Flight;
use crate::gate::FirstRecord;
use crate::handshake13::DATA_EPOCH;
use crate::message::Fragment;
use crate::reassembly::Reassembly;
use crate::record::legacy::HEADER_LEN;
use crate::record::{ContentType, MAX_OVERHEAD, Opener, Sealer};
use crate::registry::DTLS_1_2;
use crate::secrets::Side;
use crate::server::Server;
use crate::{CipherSuite, Config, PeerAuthentication, SrtpProfile, Version};

/// Least size of our datagrams: every record of the handshake makes progress in it.
const MIN_DATAGRAM_SIZE: usize = 256;

/// How long the peer's keys before the newest are kept: twice the maximum segment lifetime of two minutes (RFC 9147 §5.8.1).
const OLD_KEYS_LIFETIME: Duration = Duration::from_secs(4 * 60);

/// What happened to a connection; the first and the last at most once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The handshake has finished: the peer is the announced one, and data flows.
    Connected,
    /// The peer asks for so many ids ([`Connection::give_connection_ids`]). Where it asks again before this was taken, the
    /// last request counts.
    ConnectionIdsRequested(u8),
    /// The connection has ended.
    Closed(CloseReason),
}

/// Whose keys are made anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyUpdate {
    /// Those of what we send.
    Own,
    /// Those of both directions: the peer is asked to do the same.
    Both,
}

/// Application data that was received, proved authentic and came from the announced peer; reads as its bytes.
pub struct Plaintext<'a>(&'a mut [u8]);

impl<'a> Plaintext<'a> {
    pub(crate) fn new(bytes: &'a mut [u8]) -> Self {
        Self(bytes)
    }

    /// The bytes, for as long as the datagram lives.
    pub fn into_inner(self) -> &'a mut [u8] {
        self.0
    }
}

impl Deref for Plaintext<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.0
    }
}

impl DerefMut for Plaintext<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.0
    }
}

impl fmt::Debug for Plaintext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Plaintext({} bytes)", self.0.len())
    }
}

/// Where the connection stands.
#[derive(Debug)]
pub(crate) enum State {
    /// Not started.
    Idle(Side),
    Client(Client),
    Server(Server),
    Connected(Box<Session>),
    Closed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Timer {
    /// The flight is sent again.
    Retransmission,
    /// The peer is told which records of its flight have arrived, since the others do not come.
    Acknowledgement,
    /// The handshake has failed, or, once connected, our last flight is not repeated any more.
    Deadline,
    /// The peer's keys before the newest have served.
    OldKeys,
}

#[derive(Debug, Clone, Copy)]
struct PendingAlert {
    level: u8,
    alert: Alert,
}

pub(crate) const WARNING: u8 = 1;
pub(crate) const FATAL: u8 = 2;

/// One end of a DTLS connection.
///
/// It knows neither addresses nor sockets nor the time. Any method may be called in any order and any number of times; after
/// each call that is given `now`, ask [`Connection::poll_transmit`] until it gives `None`, [`Connection::poll_event`] until
/// it gives `None`, and [`Connection::poll_timeout`].
#[derive(Debug)]
pub struct Connection {
    pub(crate) state: State,
    pub(crate) core: Core,
    pub(crate) reassembly: Reassembly,
    /// Records that arrived before their keys, or data that arrived before the end of the handshake; still sealed.
    pub(crate) early: Vec<Vec<u8>>,
    pub(crate) timers: Timers<Timer>,
    alert: Option<PendingAlert>,
    pub(crate) unauthenticated_alert: Option<Alert>,
    events: VecDeque<Event>,
    drops: Tally<DropReason>,
}

impl Connection {
    /// The end that speaks first.
    pub fn client(config: Config, rng: Rng) -> Self {
        Self::new(config, rng, Side::Client)
    }

    /// The end that waits for a client.
    pub fn server(config: Config, rng: Rng) -> Self {
        Self::new(config, rng, Side::Server)
    }

    fn new(mut config: Config, rng: Rng, side: Side) -> Self {
        config.max_datagram_size = config.max_datagram_size.max(MIN_DATAGRAM_SIZE);
        if matches!(
            config.peer_authentication,
            PeerAuthentication::DangerousAnyCertificate | PeerAuthentication::DangerousNone
        ) {
            tracing::warn!("dangerous: the certificate of the peer is not checked");
        }
        if config.key_log.is_some() {
            tracing::warn!("the secrets of this connection are written to a key log");
        }
        Self {
            state: State::Idle(side),
            reassembly: Reassembly::new(config.limits),
            core: Core::new(config, side == Side::Client, rng),
            early: Vec::new(),
            timers: Timers::new(),
            alert: None,
            unauthenticated_alert: None,
            events: VecDeque::new(),
            drops: Tally::new(),
        }
    }

    /// Begins: a client sends its hello, a server listens. Retransmission starts at 1.5 × `round_trip_time`, where that is
    /// known. Only the first call counts.
    pub fn start(&mut self, now: Instant, round_trip_time: Option<Duration>) {
        let State::Idle(side) = self.state else { return };
        self.core.flight = Flight::new(&self.core.config.timing, round_trip_time);
        self.timers.set(Timer::Deadline, now + self.core.config.timing.deadline);
        match side {
            Side::Server => self.state = State::Server(Server::start(&mut self.core)),
            Side::Client => match Client::start(&mut self.core) {
                Ok(client) => self.state = State::Client(client),
                Err(error) => self.fail(error),
            },
        }
    }

    /// Begins the timers anew, for a path with this round-trip time, where that is known: a handshake that was started while
    /// something else carried and repeated its datagrams goes on over a path. Until then
    /// [`handle_timeout`](Self::handle_timeout) need not be called.
    pub fn restart_timers(&mut self, now: Instant, round_trip_time: Option<Duration>) {
        let timing = self.core.config.timing;
        let timeout = self.core.flight.set_round_trip_time(&timing, round_trip_time);
        for (timer, after) in [(Timer::Retransmission, timeout), (Timer::Deadline, timing.deadline)] {
            if self.timers.is_set(timer) {
                self.timers.set(timer, now + after);
            }
        }
    }

    /// Goes on behind an exchange of cookies that `hello` is the answer to, of which nothing was remembered: our first
    /// message and record follow on the client's (RFC 6347 §4.2.1).
    pub(crate) fn start_behind_cookie(&mut self, now: Instant, cookies: Cookies, hello: FirstRecord) {
        self.start(now, None);
        self.state = State::Server(Server::await_hello(cookies));
        self.reassembly.skip_to(hello.message);
        self.core.next_sequence = hello.message.into();
        self.core.writing.skip_to(hello.record);
    }

    /// Tells that time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(timer) = self.timers.expired(now) {
            match timer {
                Timer::Retransmission => {
                    tracing::trace!("handshake flight is sent again");
                    self.core.flight.repeat_after_timeout();
                }
                Timer::Acknowledgement => self.core.acks.demand(),
                Timer::Deadline if self.has_heard_since_handshake() => {
                    self.timers.stop(Timer::Retransmission);
                    self.core.flight.clear();
                }
                Timer::OldKeys => self.core.retire_old_openers(),
                Timer::Deadline => {
                    self.end(CloseReason::Timeout { unauthenticated_alert: self.unauthenticated_alert });
                }
            }
        }
    }

    /// Appends one datagram that is to be sent to `buf` and gives its length; `None` where none is to be sent.
    ///
    /// Application data does not come this way; see [`Connection::seal_in_place`].
    pub fn poll_transmit(&mut self, now: Instant, buf: &mut Vec<u8>) -> Option<usize> {
        let start = buf.len();
        let epoch = self.core.write_epoch;
        let size = self.core.config.max_datagram_size;
        if let Some(PendingAlert { level, alert }) = self.alert.take() {
            self.core.writing.write(ContentType::Alert, epoch, DTLS_1_2, buf, |w| w.bytes(&[level, alert.0]));
            if self.is_closed() {
                self.core.writing.clear();
            }
        } else if self.core.acks.is_due() {
            let room = size.saturating_sub(self.core.writing.overhead(epoch));
            let numbers = self.core.acks.take_due(acks::capacity(room));
            self.core.writing.write(ContentType::Ack, epoch, DTLS_1_2, buf, |w| acks::write(&numbers, w));
        } else if let Some(due) = self.core.flight.write_datagram(now, &mut self.core.writing, size, buf) {
            self.timers.set(Timer::Retransmission, due);
            if !self.timers.is_set(Timer::Deadline) {
                self.timers.set(Timer::Deadline, now + self.core.config.timing.deadline);
            }
        }
        Some(buf.len() - start).filter(|len| *len > 0)
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Connection::handle_timeout`] is to be called; `None` where nothing is pending.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Makes a record of application data in place: `buf[start..]` holds [`Connection::headroom`] bytes of any content and
    /// behind them the plaintext; header and nonce go in front, the tag is appended. No allocation where `buf` has room.
    ///
    /// # Errors
    /// See [`SealError`]; `buf` then holds no record.
    pub fn seal_in_place(&mut self, buf: &mut Vec<u8>, start: usize) -> Result<(), SealError> {
        let limit = self.core.writing.plaintext_limit();
        let (State::Connected(_), Some(sealer)) = (&self.state, self.core.writing.sealer_mut()) else {
            return Err(SealError::NotConnected);
        };
        if buf.len().saturating_sub(start) > limit + sealer.headroom() {
            return Err(SealError::Length);
        }
        let sealed = sealer.seal(ContentType::ApplicationData, buf, start);
        if matches!(sealer, Sealer::Unified(sealer) if sealer.is_renewal_due()) {
            self.begin_key_update(false);
        }
        if sealed == Err(SealError::Exhausted) {
            self.end(CloseReason::Exhausted);
        }
        sealed.map(|_| ())
    }

    /// Sets the bytes that our datagrams may have from now on, at least 256.
    pub fn set_max_datagram_size(&mut self, size: usize) {
        self.core.config.max_datagram_size = size.max(MIN_DATAGRAM_SIZE);
    }

    /// Makes new keys (RFC 9147 §8). Keys are renewed by themselves before they are worn out; this does it at once. Nothing
    /// happens in 1.2, before the connection is made, or while it is being done already.
    pub fn update_keys(&mut self, update: KeyUpdate) {
        self.begin_key_update(update == KeyUpdate::Both);
    }

    /// Ends the connection and tells the peer (close_notify).
    pub fn close(&mut self, _now: Instant) {
        if !matches!(self.state, State::Idle(_)) {
            self.send_alert(WARNING, Alert::CLOSE_NOTIFY);
        }
        self.end(CloseReason::Local);
    }

    /// Bytes that sealing adds to a plaintext, in front and behind; before the connection is made, the most it can be.
    pub fn record_overhead(&self) -> usize {
        self.core.writing.sealer().map_or(self.greatest_overhead(), Sealer::overhead)
    }

    /// Bytes that sealing needs in front of a plaintext; before the connection is made, the most it can be.
    pub fn headroom(&self) -> usize {
        let greatest = self.greatest_overhead() - antiphon_crypto::TAG_LEN;
        self.core.writing.sealer().map_or(greatest, Sealer::headroom)
    }

    /// An id that the peer chooses has up to 255 bytes.
    fn greatest_overhead(&self) -> usize {
        MAX_OVERHEAD + if self.core.config.connection_id.is_some() { 255 } else { 0 }
    }

    /// The most that the peer takes in a record (RFC 8449), in bytes of data; `None` where it has not told.
    pub fn peer_record_size_limit(&self) -> Option<usize> {
        self.core.writing.record_limit()
    }

    /// Whether data flows.
    pub fn is_connected(&self) -> bool {
        matches!(self.state, State::Connected(_))
    }

    /// Whether the connection has ended.
    pub fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    /// Fills `out` with keying material for `label` and `context` (RFC 5705, RFC 8446 §7.5); both ends export the same.
    ///
    /// # Errors
    /// [`ExportError`] before the handshake has finished and after the end of the connection, and in 1.3 where the label is
    /// above 249 bytes or `out` above 255 times the length of the suite's hash.
    pub fn export_keying_material(
        &self,
        label: &[u8],
        context: Option<&[u8]>,
        out: &mut [u8],
    ) -> Result<(), ExportError> {
        match &self.session().ok_or(ExportError)?.secrets {
            Secrets::Dtls12(master) => {
                master.export(label, context, out);
                Ok(())
            }
            // RFC 8446 §7.5: no context is an empty one.
            Secrets::Dtls13(secrets) => {
                secrets.export(self.core.provider(), label, context.unwrap_or_default(), out)
            }
        }
    }

    /// The SRTP profile agreed upon (RFC 5764), if connected and any.
    pub fn srtp_profile(&self) -> Option<SrtpProfile> {
        self.session()?.srtp_profile
    }

    /// The cipher suite agreed upon, if connected.
    pub fn cipher_suite(&self) -> Option<CipherSuite> {
        self.session().map(|session| session.suite)
    }

    /// The version agreed upon, if connected.
    pub fn version(&self) -> Option<Version> {
        self.cipher_suite().map(CipherSuite::version)
    }

    /// The group of the key exchange agreed upon, if connected.
    pub fn group(&self) -> Option<Group> {
        self.session().map(|session| session.group)
    }

    /// The certificate of the peer, if connected; its fingerprint is one that was announced.
    pub fn peer_certificate(&self) -> Option<&PeerCertificate> {
        self.session()?.peer.as_ref()
    }

    /// What was dropped, by reason.
    pub fn drops(&self) -> &Tally<DropReason> {
        &self.drops
    }

    fn session(&self) -> Option<&Session> {
        match &self.state {
            State::Connected(session) => Some(session),
            _ => None,
        }
    }

    pub(crate) fn drop(&mut self, reason: DropReason) {
        tracing::trace!(?reason, "dropped");
        self.drops.count(reason);
    }

    pub(crate) fn is_connected_1_3(&self) -> bool {
        self.is_connected() && self.core.version == Some(Version::Dtls13)
    }

    /// Tells `event` in place of one that asks for the same and was not taken.
    pub(crate) fn tell_once(&mut self, event: Event) {
        self.events.retain(|waiting| std::mem::discriminant(waiting) != std::mem::discriminant(&event));
        self.events.push_back(event);
    }

    /// The handshake has finished. In 1.3 the client's last flight still waits for its acknowledgement.
    pub(crate) fn connected(&mut self, now: Instant) {
        if self.core.flight.is_awaiting() {
            self.timers.stop(Timer::Acknowledgement);
        } else {
            self.timers.clear();
        }
        self.reassembly.forget_held();
        self.core.settle();
        self.keep_old_keys(now);
        self.events.push_back(Event::Connected);
    }

    /// Keeps the peer's keys before the newest for a while: what they sealed may come late, or again because our
    /// acknowledgement of it was lost (RFC 9147 §4.2.1, §5.8.1).
    pub(crate) fn keep_old_keys(&mut self, now: Instant) {
        if self.core.openers.len() > 1 {
            self.timers.set(Timer::OldKeys, now + OLD_KEYS_LIFETIME);
        }
    }

    /// Whether anything of the peer has come since the handshake finished here, be it the acknowledgement of our last flight.
    fn has_heard_since_handshake(&self) -> bool {
        let has_served = |opener: &Opener| opener.epoch() != DATA_EPOCH || opener.has_opened();
        self.is_connected() && self.core.openers.last().is_some_and(has_served)
    }

    pub(crate) fn fail(&mut self, error: HandshakeError) {
        tracing::debug!(%error, "handshake failed");
        self.send_alert(FATAL, error.alert());
        // `advance` has taken the state out; it was open.
        self.finish(CloseReason::Handshake(error));
    }

    pub(crate) fn send_alert(&mut self, level: u8, alert: Alert) {
        self.alert = Some(PendingAlert { level, alert });
    }

    /// Ends the connection, once.
    pub(crate) fn end(&mut self, reason: CloseReason) {
        if !self.is_closed() {
            self.finish(reason);
        }
    }

    /// Frees everything but what the last alert needs.
    fn finish(&mut self, reason: CloseReason) {
        tracing::debug!(%reason, "closed");
        self.state = State::Closed;
        self.core.flight.clear();
        self.core.openers = Vec::new();
        self.core.acks.clear();
        if self.alert.is_none() {
            self.core.writing.clear();
        }
        self.reassembly = Reassembly::new(self.core.config.limits);
        self.early = Vec::new();
        self.timers.clear();
        self.events.push_back(Event::Closed(reason));
    }
}

const _: () = assert!(MIN_DATAGRAM_SIZE > MAX_OVERHEAD + Fragment::HEADER_LEN + HEADER_LEN + 64);

#[cfg(test)]
#[path = "acks_test.rs"]
mod acks_tests;
