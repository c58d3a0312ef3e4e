//! HEARTBEAT while the association is idle (RFC 9260 §8.3).

use std::time::{Duration, Instant};

use antiphon_util::{Reader, Writer};

use crate::packet::{parameter, write_parameter};

/// Asks an idle peer whether it lives.
#[derive(Debug)]
pub(super) struct Heartbeat {
    interval: Option<Duration>,
    due: Option<Instant>,
    last_received: Option<Instant>,
    pending: Option<Pending>,
}

#[derive(Debug)]
struct Pending {
    nonce: u64,
    sent_at: Instant,
}

/// What the heartbeat timer asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beat {
    /// The association is not idle.
    Nothing,
    /// Send a HEARTBEAT; `missed` where the last one was not answered.
    Send { missed: bool },
}

impl Heartbeat {
    pub(super) fn new(interval: Option<Duration>) -> Self {
        Self { interval, due: None, last_received: None, pending: None }
    }

    /// A packet of the peer arrived.
    pub(super) fn received(&mut self, now: Instant) {
        self.last_received = Some(now);
        if self.due.is_none() {
            self.due = self.interval.map(|interval| now + interval);
        }
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// The timer expired.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> Beat {
        let Some(interval) = self.interval else { return Beat::Nothing };
        let missed = self.pending.take().is_some();
        if let Some(at) = self.last_received.map(|at| at + interval).filter(|at| *at > now) {
            self.due = Some(at);
            return Beat::Nothing;
        }
        Beat::Send { missed }
    }

    /// A HEARTBEAT goes out; `timeout` is how long its answer may take. Appends the Heartbeat Info parameter.
    pub(super) fn send(&mut self, now: Instant, nonce: u64, timeout: Duration, out: &mut Vec<u8>) {
        self.pending = Some(Pending { nonce, sent_at: now });
        self.due = Some(now + timeout);
        write_info(nonce, out);
    }

    /// The round-trip time, where `value` answers the HEARTBEAT that is pending.
    pub(super) fn handle_ack(&mut self, now: Instant, value: &[u8]) -> Option<Duration> {
        let nonce = read_info(value)?;
        let pending = self.pending.take_if(|pending| pending.nonce == nonce)?;
        self.due = self.interval.map(|interval| now + interval);
        Some(now.saturating_duration_since(pending.sent_at))
    }
}

/// Appends the Heartbeat Info parameter.
pub(super) fn write_info(nonce: u64, out: &mut Vec<u8>) {
    write_parameter(&mut Writer::new(out), parameter::HEARTBEAT_INFO, &nonce.to_be_bytes());
}

/// The nonce in a Heartbeat Info parameter of ours.
pub(super) fn read_info(value: &[u8]) -> Option<u64> {
    let mut reader = Reader::new(value);
    let (kind, len, nonce) = (reader.u16().ok()?, reader.u16().ok()?, reader.u64().ok()?);
    ((kind, len) == (parameter::HEARTBEAT_INFO, 12)).then_some(nonce)
}
