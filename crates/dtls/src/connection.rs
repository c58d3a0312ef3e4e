//! One end of a connection: records in, messages to the handshake, datagrams out.

use std::collections::VecDeque;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

use antiphon_crypto::PeerCertificate;
use antiphon_util::{Reader, Rng, Tally, Timers};

use crate::client::Client;
use crate::core::{Core, Session};
use crate::error::{Alert, CloseReason, DropReason, ExportError, HandshakeError, SealError};
use crate::flight::Flight;
use crate::message::{Fragment, Kind};
use crate::reassembly::{Insertion, Reassembly};
use crate::record::{self, ContentType, HEADER_LEN, MAX_OVERHEAD, OpenError, RecordHeader};
use crate::registry::DTLS_1_2;
use crate::secrets::Side;
use crate::server::Server;
use crate::{CipherSuite, Config, SrtpProfile};

/// Records that may fail to open under one key before forgery comes within reach (RFC 9147 §4.5.3).
const INTEGRITY_LIMIT: u64 = 1 << 36;

/// Least size of our datagrams: every record of the handshake makes progress in it.
const MIN_DATAGRAM_SIZE: usize = 256;

/// What happened to a connection; each at most once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The handshake has finished: the peer is the announced one, and data flows.
    Connected,
    /// The connection has ended.
    Closed(CloseReason),
}

/// Application data that was received, proved authentic and came from the announced peer; reads as its bytes.
pub struct Plaintext<'a>(&'a mut [u8]);

impl<'a> Plaintext<'a> {
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
enum Timer {
    /// The flight is sent again.
    Retransmission,
    /// The handshake has failed.
    Deadline,
}

#[derive(Debug, Clone, Copy)]
struct PendingAlert {
    level: u8,
    alert: Alert,
}

const WARNING: u8 = 1;
const FATAL: u8 = 2;

/// One end of a DTLS connection.
///
/// It knows neither addresses nor sockets nor the time. Any method may be called in any order and any number of times; after
/// each call that is given `now`, ask [`Connection::poll_transmit`] until it gives `None`, [`Connection::poll_event`] until
/// it gives `None`, and [`Connection::poll_timeout`].
#[derive(Debug)]
pub struct Connection {
    state: State,
    core: Core,
    reassembly: Reassembly,
    /// Records that arrived before their keys, or data that arrived before the end of the handshake; still sealed.
    early: Vec<(RecordHeader, Vec<u8>)>,
    timers: Timers<Timer>,
    alert: Option<PendingAlert>,
    unauthenticated_alert: Option<Alert>,
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
        Self {
            state: State::Idle(side),
            reassembly: Reassembly::new(config.limits),
            core: Core::new(config, rng),
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
        self.state = match side {
            Side::Client => State::Client(Client::start(&mut self.core)),
            Side::Server => State::Server(Server::start(&mut self.core)),
        };
    }

    /// Handles one received datagram: its records are opened in place, and `deliver` is called for each that carries
    /// application data.
    ///
    /// What is not what it should be is dropped and counted ([`Connection::drops`]).
    pub fn handle_datagram(
        &mut self,
        now: Instant,
        datagram: &mut [u8],
        mut deliver: impl FnMut(Plaintext<'_>),
    ) {
        let mut rest = datagram;
        while !rest.is_empty() {
            let Some((header, fragment, behind)) = record::split(rest) else {
                self.drop(DropReason::MalformedRecord);
                break;
            };
            if let Some(plaintext) = self.handle_record(now, header, fragment) {
                deliver(Plaintext(plaintext));
            }
            rest = behind;
        }
        if !self.early.is_empty() && self.core.opener.is_some() {
            self.handle_early(now, &mut deliver);
        }
    }

    /// Tells that time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(timer) = self.timers.expired(now) {
            match timer {
                Timer::Retransmission => {
                    tracing::trace!("handshake flight is sent again");
                    self.core.flight.repeat_after_timeout();
                }
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
        if let Some(PendingAlert { level, alert }) = self.alert.take() {
            let epoch = self.core.write_epoch;
            self.core.writing.write(ContentType::Alert, epoch, DTLS_1_2, buf, |w| w.bytes(&[level, alert.0]));
            if matches!(self.state, State::Closed) {
                self.core.writing.sealer = None;
            }
        } else if !self.core.flight.is_sent() {
            let size = self.core.config.max_datagram_size;
            if let Some(due) = self.core.flight.write_datagram(now, &mut self.core.writing, size, buf) {
                self.timers.set(Timer::Retransmission, due);
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
        let (State::Connected(_), Some(sealer)) = (&self.state, &mut self.core.writing.sealer) else {
            return Err(SealError::NotConnected);
        };
        let sealed = sealer.seal(ContentType::ApplicationData, buf, start);
        if sealed == Err(SealError::Exhausted) {
            self.end(CloseReason::Exhausted);
        }
        sealed
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
        self.core.writing.sealer.as_ref().map_or(MAX_OVERHEAD, |sealer| sealer.overhead())
    }

    /// Bytes that sealing needs in front of a plaintext; before the connection is made, the most it can be.
    pub fn headroom(&self) -> usize {
        self.core
            .writing
            .sealer
            .as_ref()
            .map_or(MAX_OVERHEAD - antiphon_crypto::TAG_LEN, |sealer| sealer.headroom())
    }

    /// Whether data flows.
    pub fn is_connected(&self) -> bool {
        matches!(self.state, State::Connected(_))
    }

    /// Whether the connection has ended.
    pub fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    /// Fills `out` with keying material for `label` and `context` (RFC 5705); both ends export the same.
    ///
    /// # Errors
    /// [`ExportError`] before the handshake has finished and after the end of the connection.
    pub fn export_keying_material(
        &self,
        label: &[u8],
        context: Option<&[u8]>,
        out: &mut [u8],
    ) -> Result<(), ExportError> {
        let session = self.session().ok_or(ExportError)?;
        session.keys.master.export(label, context, out);
        Ok(())
    }

    /// The SRTP profile agreed upon (RFC 5764), if connected and any.
    pub fn srtp_profile(&self) -> Option<SrtpProfile> {
        self.session()?.srtp_profile
    }

    /// The cipher suite agreed upon, if connected.
    pub fn cipher_suite(&self) -> Option<CipherSuite> {
        self.session().map(|session| session.keys.suite)
    }

    /// The certificate of the peer, if connected; its fingerprint is one that was announced.
    pub fn peer_certificate(&self) -> Option<&PeerCertificate> {
        self.session().map(|session| &session.peer)
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

    fn drop(&mut self, reason: DropReason) {
        tracing::trace!(?reason, "dropped");
        self.drops.count(reason);
    }

    /// Handles one record; gives the plaintext where it is application data.
    fn handle_record<'a>(
        &mut self,
        now: Instant,
        header: RecordHeader,
        fragment: &'a mut [u8],
    ) -> Option<&'a mut [u8]> {
        if matches!(self.state, State::Idle(_) | State::Closed) {
            self.drop(DropReason::NotOpen);
            return None;
        }
        match header.epoch() {
            0 => self.handle_unprotected(now, header.content_type, fragment),
            1 => return self.handle_protected(now, header, fragment),
            _ => self.drop(DropReason::UnknownEpoch),
        }
        None
    }

    fn handle_unprotected(&mut self, now: Instant, content_type: ContentType, fragment: &[u8]) {
        match content_type {
            ContentType::Handshake => self.handle_fragments(now, 0, fragment),
            // Epochs say when keys change; a lost or reordered ChangeCipherSpec holds nothing up.
            ContentType::ChangeCipherSpec if fragment == [1] => {}
            // RFC 6347 §4.1.2.7: anybody could have sent it, so it ends nothing; but it helps to explain a timeout.
            ContentType::Alert => {
                if let [_, alert] = *fragment {
                    tracing::debug!(alert, "alert without protection");
                    self.unauthenticated_alert = Some(Alert(alert));
                }
                self.drop(DropReason::UnauthenticatedAlert);
            }
            ContentType::ChangeCipherSpec | ContentType::ApplicationData => {
                self.drop(DropReason::UnexpectedContent)
            }
        }
    }

    fn handle_protected<'a>(
        &mut self,
        now: Instant,
        header: RecordHeader,
        fragment: &'a mut [u8],
    ) -> Option<&'a mut [u8]> {
        let is_data = header.content_type == ContentType::ApplicationData;
        let is_connected = self.is_connected();
        let opener = match &mut self.core.opener {
            Some(opener) if is_connected || !is_data => opener,
            _ => {
                self.hold(header, fragment);
                return None;
            }
        };
        let plaintext = match opener.open(header, fragment) {
            Ok(plaintext) => plaintext,
            Err(OpenError::Replayed) => {
                self.drop(DropReason::Replayed);
                return None;
            }
            Err(OpenError::Forged) => {
                let is_limit_reached = opener.forged() >= INTEGRITY_LIMIT;
                self.drop(DropReason::Forged);
                if is_limit_reached {
                    self.end(CloseReason::IntegrityLimit);
                }
                return None;
            }
        };
        match header.content_type {
            ContentType::ApplicationData => {
                // The peer sends data only when it has our last flight.
                if !self.core.flight.is_empty() {
                    self.core.flight.begin(crate::flight::Repetition::OnDemand);
                }
                return Some(plaintext);
            }
            ContentType::Handshake => self.handle_fragments(now, 1, plaintext),
            ContentType::Alert => self.handle_alert(plaintext),
            ContentType::ChangeCipherSpec => self.drop(DropReason::UnexpectedContent),
        }
        None
    }

    /// Keeps a record until it can be opened.
    fn hold(&mut self, header: RecordHeader, fragment: &[u8]) {
        let limits = &self.core.config.limits;
        let bytes: usize = self.early.iter().map(|(_, fragment)| fragment.len()).sum();
        if self.early.len() < limits.early_records && bytes + fragment.len() <= limits.early_bytes {
            self.early.push((header, fragment.to_vec()));
        } else {
            self.drop(DropReason::TooEarly);
        }
    }

    /// Handles the records held: first those of the handshake, which may finish it, then the data.
    fn handle_early(&mut self, now: Instant, deliver: &mut impl FnMut(Plaintext<'_>)) {
        for _ in 0..2 {
            for (header, mut fragment) in std::mem::take(&mut self.early) {
                if let Some(plaintext) = self.handle_record(now, header, &mut fragment) {
                    deliver(Plaintext(plaintext));
                }
            }
        }
    }

    fn handle_alert(&mut self, plaintext: &[u8]) {
        let [level, alert] = *plaintext else {
            self.drop(DropReason::MalformedFragment);
            return;
        };
        let alert = Alert(alert);
        if alert == Alert::CLOSE_NOTIFY {
            // RFC 5246 §7.2.1: answered in kind.
            self.send_alert(WARNING, Alert::CLOSE_NOTIFY);
            self.end(CloseReason::Remote);
        } else if level == FATAL {
            self.end(CloseReason::FatalAlert(alert));
        } else {
            tracing::debug!(?alert, "warning of the peer");
        }
    }

    fn handle_fragments(&mut self, now: Instant, epoch: u16, bytes: &[u8]) {
        let mut reader = Reader::new(bytes);
        while !reader.is_empty() {
            let Ok(fragment) = Fragment::parse(&mut reader) else {
                self.drop(DropReason::MalformedFragment);
                break;
            };
            if self.is_connected() {
                self.handle_late_fragment(now, epoch, &fragment);
            } else if (fragment.kind == Kind::FINISHED) != (epoch == 1)
                || fragment.kind == Kind::HELLO_REQUEST
            {
                self.drop(DropReason::MisplacedFragment);
            } else {
                match self.reassembly.insert(&fragment) {
                    Insertion::Held => self.advance(),
                    Insertion::Repeated(age) => {
                        if age == 0 {
                            self.core.flight.repeat_on_demand(now);
                        }
                        self.drop(DropReason::RepeatedFragment);
                    }
                    Insertion::Refused => self.drop(DropReason::RefusedFragment),
                }
            }
        }
    }

    /// A handshake message after the handshake: the peer missed our last flight, or wants to renegotiate.
    fn handle_late_fragment(&mut self, now: Instant, epoch: u16, fragment: &Fragment<'_>) {
        match fragment.kind {
            Kind::FINISHED if epoch == 1 => {
                self.core.flight.repeat_on_demand(now);
                self.drop(DropReason::RepeatedFragment);
            }
            Kind::HELLO_REQUEST | Kind::CLIENT_HELLO if epoch == 1 => {
                self.send_alert(WARNING, Alert::NO_RENEGOTIATION);
                self.drop(DropReason::Renegotiation);
            }
            _ => self.drop(DropReason::RepeatedFragment),
        }
    }

    /// Hands whole messages to the handshake, in order.
    fn advance(&mut self) {
        while let Some(message) = self.reassembly.take_next() {
            let result = match std::mem::replace(&mut self.state, State::Closed) {
                State::Client(client) => client.handle(&mut self.core, &message),
                State::Server(server) => server.handle(&mut self.core, &message),
                other => {
                    self.state = other;
                    return;
                }
            };
            tracing::trace!(
                kind = message.kind.0,
                sequence = message.sequence,
                ok = result.is_ok(),
                "handshake message"
            );
            match result {
                Ok(state) => self.state = state,
                Err(error) => return self.fail(error),
            }
            if !self.core.flight.is_sent() || self.is_connected() {
                self.timers.stop(Timer::Retransmission);
            }
            if self.is_connected() {
                self.timers.stop(Timer::Deadline);
                self.reassembly = Reassembly::new(self.core.config.limits);
                self.events.push_back(Event::Connected);
            }
        }
    }

    fn fail(&mut self, error: HandshakeError) {
        tracing::debug!(%error, "handshake failed");
        self.send_alert(FATAL, error.alert());
        // `advance` has taken the state out; it was open.
        self.finish(CloseReason::Handshake(error));
    }

    fn send_alert(&mut self, level: u8, alert: Alert) {
        self.alert = Some(PendingAlert { level, alert });
    }

    /// Ends the connection, once.
    fn end(&mut self, reason: CloseReason) {
        if !self.is_closed() {
            self.finish(reason);
        }
    }

    /// Frees everything but what the last alert needs.
    fn finish(&mut self, reason: CloseReason) {
        tracing::debug!(%reason, "closed");
        self.state = State::Closed;
        self.core.flight.begin(crate::flight::Repetition::OnDemand);
        self.core.opener = None;
        self.reassembly = Reassembly::new(self.core.config.limits);
        self.early = Vec::new();
        self.timers.clear();
        self.events.push_back(Event::Closed(reason));
    }
}

const _: () = assert!(MIN_DATAGRAM_SIZE > MAX_OVERHEAD + Fragment::HEADER_LEN + HEADER_LEN + 64);
