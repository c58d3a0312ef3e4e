//! What comes in: records are opened, fragments put together, messages handed to the handshake.

use std::time::Instant;

use antiphon_util::Reader;

use crate::client::Client;
use crate::connection::{Connection, FATAL, Plaintext, State, Timer, WARNING};
use crate::error::{Alert, CloseReason, DropReason, HandshakeError};
use crate::handshake13::{DATA_EPOCH, HANDSHAKE_EPOCH};
use crate::message::{Fragment, Kind, Message};
use crate::reassembly::Insertion;
use crate::record::legacy::HEADER_LEN;
use crate::record::{self, ContentType, Header, OpenError, Opened, RecordHeader, RecordNumber};
use crate::server::Server;
use crate::{Version, acks};

/// Records that may fail to open under one key before forgery comes within reach (RFC 9147 §4.5.3).
const INTEGRITY_LIMIT: u64 = 1 << 36;

impl Connection {
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
            let Some((header, record, behind)) = record::split(rest, self.core.local_connection_id_len)
            else {
                self.drop(DropReason::MalformedRecord);
                break;
            };
            if let Some(plaintext) = self.handle_record(now, header, record) {
                deliver(Plaintext::new(plaintext));
            }
            rest = behind;
        }
        if !self.early.is_empty() && !self.core.openers.is_empty() {
            self.handle_early(now, &mut deliver);
        }
    }

    /// Handles one record; gives the plaintext where it is application data.
    fn handle_record<'a>(
        &mut self,
        now: Instant,
        header: Header,
        record: &'a mut [u8],
    ) -> Option<&'a mut [u8]> {
        if matches!(self.state, State::Idle(_) | State::Closed) {
            self.drop(DropReason::NotOpen);
            return None;
        }
        match header {
            Header::Legacy(header) if header.epoch() == 0 => self.handle_unprotected(now, header, record),
            header if self.is_for_somebody_else(header.connection_id(record)) => {
                self.drop(DropReason::ConnectionId);
            }
            header if self.is_epoch_possible(&header) => return self.handle_protected(now, header, record),
            _ => self.drop(DropReason::UnknownEpoch),
        }
        None
    }

    fn is_for_somebody_else(&self, id: Option<&[u8]>) -> bool {
        id.is_some_and(|id| !self.core.is_our_connection_id(id))
    }

    /// Whether records of this form belong to the version, as far as it is known.
    fn is_epoch_possible(&self, header: &Header) -> bool {
        match header {
            Header::Legacy(header) => header.epoch() == 1 && self.core.version != Some(Version::Dtls13),
            Header::Unified(_) => self.core.version != Some(Version::Dtls12),
        }
    }

    fn handle_unprotected(&mut self, now: Instant, header: RecordHeader, record: &[u8]) {
        let fragment = record.get(HEADER_LEN..).unwrap_or_default();
        match header.content_type {
            ContentType::Handshake => self.handle_fragments(now, header.record_number(), fragment),
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
            // Nothing is taken for arrived that anybody could have named; but something may be missing (RFC 9147 §7.1).
            ContentType::Ack => {
                if self.core.version == Some(Version::Dtls13) && self.core.flight.is_awaiting() {
                    self.core.flight.repeat_on_demand(now);
                }
                self.drop(DropReason::Acknowledgement);
            }
            ContentType::ChangeCipherSpec | ContentType::ApplicationData | ContentType::WithConnectionId => {
                self.drop(DropReason::UnexpectedContent)
            }
        }
    }

    fn handle_protected<'a>(
        &mut self,
        now: Instant,
        header: Header,
        record: &'a mut [u8],
    ) -> Option<&'a mut [u8]> {
        let is_connected = self.is_connected();
        let is_too_early = match &header {
            Header::Legacy(header) => header.content_type == ContentType::ApplicationData && !is_connected,
            Header::Unified(_) => false,
        };
        let opener = match self.core.openers.iter_mut().rev().find(|opener| opener.suits(&header)) {
            Some(opener) if !is_too_early => opener,
            _ if is_connected => {
                self.drop(DropReason::UnknownEpoch);
                return None;
            }
            _ => {
                self.hold(now, header, record);
                return None;
            }
        };
        let opened = match opener.open(&header, record) {
            Ok(opened) => opened,
            Err(error) => {
                let is_limit_reached = opener.forged() >= INTEGRITY_LIMIT;
                match error {
                    OpenError::Replayed => self.drop(DropReason::Replayed),
                    OpenError::Forged => self.drop(DropReason::Forged),
                    OpenError::UnknownContent => self.drop(DropReason::UnexpectedContent),
                    OpenError::NoContent => self.fail(HandshakeError::UnexpectedMessage),
                    OpenError::Overflow => self.fail(HandshakeError::RecordOverflow),
                }
                if is_limit_reached {
                    self.end(CloseReason::IntegrityLimit);
                }
                return None;
            }
        };
        self.handle_opened(now, opened)
    }

    fn handle_opened<'a>(&mut self, now: Instant, opened: Opened<'a>) -> Option<&'a mut [u8]> {
        let Opened { content_type, number, plaintext } = opened;
        let is_1_2 = self.core.version == Some(Version::Dtls12);
        match content_type {
            // A connection id hides what is inside, so that it could not be held until then.
            ContentType::ApplicationData if is_1_2 && !self.is_connected() => {
                self.drop(DropReason::TooEarly);
            }
            ContentType::ApplicationData if is_1_2 => {
                // The peer sends data only when it has our last flight.
                if !self.core.flight.is_empty() {
                    self.core.flight.clear();
                }
                return Some(plaintext);
            }
            ContentType::ApplicationData if number.epoch >= DATA_EPOCH => return Some(plaintext),
            // RFC 8446 §5.1: there are no empty ones.
            ContentType::Handshake if plaintext.is_empty() => self.fail(HandshakeError::UnexpectedMessage),
            ContentType::Handshake => self.handle_fragments(now, number, plaintext),
            ContentType::Alert => self.handle_alert(plaintext),
            ContentType::Ack if !is_1_2 => self.handle_ack(now, plaintext),
            ContentType::Ack
            | ContentType::ApplicationData
            | ContentType::ChangeCipherSpec
            | ContentType::WithConnectionId => {
                self.drop(DropReason::UnexpectedContent);
            }
        }
        None
    }

    /// Keeps a record until it can be opened.
    fn hold(&mut self, now: Instant, header: Header, record: &[u8]) {
        let limits = &self.core.config.limits;
        let bytes: usize = self.early.iter().map(Vec::len).sum();
        if self.early.len() < limits.early_records && bytes + record.len() <= limits.early_bytes {
            self.early.push(record.to_vec());
        } else {
            self.drop(DropReason::TooEarly);
        }
        // RFC 9147 §7.1: the ServerHello is missing; an empty ACK tells sooner than the server's timer.
        if matches!((header, &self.state), (Header::Unified(_), State::Client(Client::AwaitServerHello(_)))) {
            self.acknowledge_soon(now);
        }
    }

    /// Handles the records held: first those of the handshake, which may finish it, then the data.
    fn handle_early(&mut self, now: Instant, deliver: &mut impl FnMut(Plaintext<'_>)) {
        for _ in 0..2 {
            for mut held in std::mem::take(&mut self.early) {
                let Some((header, record, _)) = record::split(&mut held, self.core.local_connection_id_len)
                else {
                    continue;
                };
                if let Some(plaintext) = self.handle_record(now, header, record) {
                    deliver(Plaintext::new(plaintext));
                }
            }
        }
    }

    fn handle_alert(&mut self, plaintext: &[u8]) {
        let [level, alert] = *plaintext else {
            // RFC 8446 §5.1: an alert is neither cut nor packed with others.
            return self.fail(HandshakeError::Malformed);
        };
        let alert = Alert(alert);
        // RFC 8446 §6: the level says nothing in 1.3.
        let is_fatal = level == FATAL || self.core.version == Some(Version::Dtls13);
        if alert == Alert::CLOSE_NOTIFY {
            // RFC 5246 §7.2.1: answered in kind.
            self.send_alert(WARNING, Alert::CLOSE_NOTIFY);
            self.end(CloseReason::Remote);
        } else if is_fatal && alert != Alert::USER_CANCELED {
            self.end(CloseReason::FatalAlert(alert));
        } else {
            tracing::debug!(?alert, "warning of the peer");
        }
    }

    fn handle_ack(&mut self, now: Instant, plaintext: &[u8]) {
        let Ok(numbers) = acks::parse(plaintext) else {
            self.drop(DropReason::Acknowledgement);
            return;
        };
        let is_news = self.core.flight.acknowledge(&numbers);
        if !self.core.flight.is_awaiting() {
            return;
        }
        if self.core.flight.is_acknowledged() {
            self.flight_acknowledged();
        } else if is_news {
            self.core.flight.repeat_rest();
        } else if numbers.is_empty() {
            self.core.flight.repeat_on_demand(now);
        }
    }

    /// The peer has all of our flight.
    fn flight_acknowledged(&mut self) {
        self.core.flight.clear();
        self.timers.stop(Timer::Retransmission);
        if self.is_connected() {
            self.timers.stop(Timer::Deadline);
            self.complete_key_update();
            self.core.writing.retire_old();
            self.post_next();
        }
    }

    /// Tells the peer in a while which of its records have arrived, unless they are answered by then (RFC 9147 §7.1).
    fn acknowledge_soon(&mut self, now: Instant) {
        if !self.timers.is_set(Timer::Acknowledgement) {
            self.timers.set(Timer::Acknowledgement, now + self.core.flight.timeout() / 4);
        }
    }

    fn handle_fragments(&mut self, now: Instant, number: RecordNumber, bytes: &[u8]) {
        let (was_connected, sent) = (self.is_connected(), self.core.next_sequence);
        let mut is_taken = true;
        let mut reader = Reader::new(bytes);
        while !reader.is_empty() && !self.is_closed() {
            let Ok(fragment) = Fragment::parse(&mut reader) else {
                self.drop(DropReason::MalformedFragment);
                is_taken = false;
                break;
            };
            is_taken &= self.handle_fragment(now, number.epoch, &fragment);
        }
        self.advance(now, number.epoch);
        if self.core.version == Some(Version::Dtls12) || self.is_closed() {
            return;
        }
        if !was_connected && self.core.next_sequence != sent {
            // What we sent in answer says that all has arrived.
            self.core.acks.clear();
            self.timers.stop(Timer::Acknowledgement);
        } else if is_taken {
            self.core.acks.add(number, self.core.config.limits.acknowledged_records);
            if self.core.version.is_some() && !self.core.acks.is_due() {
                self.acknowledge_soon(now);
            }
        }
    }

    /// Handles a fragment; tells whether it was taken, or had been taken before.
    fn handle_fragment(&mut self, now: Instant, epoch: u64, fragment: &Fragment<'_>) -> bool {
        if self.is_connected() && self.core.version == Some(Version::Dtls12) {
            self.handle_late_fragment(now, epoch, fragment);
            return false;
        }
        if !self.is_placed(fragment, epoch) {
            self.drop(DropReason::MisplacedFragment);
            self.refuse_alien(fragment, epoch);
            return false;
        }
        match self.reassembly.insert(fragment) {
            Insertion::Held => {
                // RFC 9147 §7.1: what answers our flight acknowledges it.
                if epoch == HANDSHAKE_EPOCH && matches!(self.state, State::Server(_)) {
                    self.core.flight.clear();
                    self.timers.stop(Timer::Retransmission);
                }
                true
            }
            Insertion::Repeated(age) => {
                if age == 0 {
                    self.core.flight.repeat_on_demand(now);
                }
                self.drop(DropReason::RepeatedFragment);
                // A client that is done answers with its last flight, not with an acknowledgement.
                epoch >= DATA_EPOCH || self.core.is_client != self.is_connected()
            }
            Insertion::Refused => {
                self.drop(DropReason::RefusedFragment);
                false
            }
        }
    }

    /// Whether a message of this kind may come in `epoch`, and now. Nothing vouches for hellos: those that are not awaited
    /// are passed over.
    fn is_placed(&self, fragment: &Fragment<'_>, epoch: u64) -> bool {
        let is_1_3 = self.core.version == Some(Version::Dtls13);
        match fragment.kind {
            Kind::HELLO_REQUEST => false,
            Kind::CLIENT_HELLO | Kind::SERVER_HELLO | Kind::HELLO_VERIFY_REQUEST => {
                epoch == 0 && (self.awaits_hello() || self.reassembly.is_repeated(fragment))
            }
            Kind::FINISHED if !is_1_3 => epoch == 1,
            _ if epoch >= DATA_EPOCH => self.is_connected(),
            _ => epoch == if is_1_3 { HANDSHAKE_EPOCH } else { 0 },
        }
    }

    fn awaits_hello(&self) -> bool {
        match &self.state {
            State::Client(client) => matches!(client, Client::AwaitServerHello(_)),
            State::Server(server) => {
                matches!(server, Server::AwaitClientHello(_) | Server::AwaitSecondHello(_))
            }
            _ => false,
        }
    }

    /// A handshake message after the handshake of 1.2: the peer missed our last flight, or wants to renegotiate.
    fn handle_late_fragment(&mut self, now: Instant, epoch: u64, fragment: &Fragment<'_>) {
        match fragment.kind {
            // Once for all its pieces.
            Kind::FINISHED if epoch == 1 && fragment.offset + fragment.bytes.len() == fragment.length => {
                self.core.flight.repeat_on_demand(now);
                self.drop(DropReason::RepeatedFragment);
            }
            Kind::HELLO_REQUEST | Kind::CLIENT_HELLO if epoch == 1 => {
                self.send_alert(WARNING, Alert::NO_RENEGOTIATION);
                self.drop(DropReason::Renegotiation);
            }
            _ => self.drop(DropReason::RepeatedFragment),
        }
        self.refuse_alien(fragment, epoch);
    }

    /// Ends the connection where the keys of 1.2 vouch for a message that has no place behind them (RFC 5246 §7.4.9): only the
    /// peer's one Finished has, and a hello to renegotiate, which is refused.
    fn refuse_alien(&mut self, fragment: &Fragment<'_>, epoch: u64) {
        let is_hello = matches!(fragment.kind, Kind::HELLO_REQUEST | Kind::CLIENT_HELLO);
        if epoch == 1 && !is_hello && !self.reassembly.is_repeated(fragment) {
            self.fail(HandshakeError::UnexpectedMessage);
        }
    }

    /// Whether messages are held behind a Finished for which its keys vouch: they end with it (RFC 8446 §5.1).
    fn is_followed(&self, message: &Message) -> bool {
        let is_1_2 = self.core.version == Some(Version::Dtls12);
        message.kind == Kind::FINISHED && self.reassembly.holds(|kind| !is_1_2 || kind == Kind::FINISHED)
    }

    /// Hands whole messages to the handshake, in order; the last of them came in `epoch`.
    fn advance(&mut self, now: Instant, epoch: u64) {
        while let Some(message) = self.reassembly.take_next() {
            tracing::trace!(kind = message.kind.0, sequence = message.sequence, "handshake message");
            if self.is_followed(&message) {
                return self.fail(HandshakeError::UnexpectedMessage);
            }
            let (had_keys, sent) = (!self.core.openers.is_empty(), self.core.next_sequence);
            let result = match std::mem::replace(&mut self.state, State::Closed) {
                State::Client(client) => client.handle(&mut self.core, &message),
                State::Server(server) => server.handle(&mut self.core, &message),
                connected @ State::Connected(_) => {
                    self.state = connected;
                    match self.handle_after_handshake(now, epoch, &message) {
                        Ok(()) => continue,
                        Err(error) => Err(error),
                    }
                }
                other => {
                    self.state = other;
                    return;
                }
            };
            match result {
                Ok(state) => self.state = state,
                Err(error) => return self.fail(error),
            }
            if self.core.next_sequence != sent {
                self.timers.stop(Timer::Retransmission);
            }
            if self.core.version == Some(Version::Dtls13) && !had_keys && !self.core.openers.is_empty() {
                // What came ahead without protection is not of this handshake.
                self.reassembly.forget_held();
            }
            if self.is_connected() {
                self.connected(now);
            }
        }
    }

    /// A message of 1.3 that comes after the handshake.
    fn handle_after_handshake(
        &mut self,
        now: Instant,
        epoch: u64,
        message: &Message,
    ) -> Result<(), HandshakeError> {
        match message.kind {
            Kind::KEY_UPDATE => self.handle_key_update(now, epoch, message),
            // Sessions are not resumed; the record is acknowledged, or the server would repeat it.
            Kind::NEW_SESSION_TICKET if self.core.is_client => Ok(()),
            Kind::NEW_CONNECTION_ID => self.handle_new_connection_id(message),
            Kind::REQUEST_CONNECTION_ID => self.handle_request_connection_id(message),
            _ => Err(HandshakeError::UnexpectedMessage),
        }
    }
}
