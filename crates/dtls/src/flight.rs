//! The messages that we send until the peer answers them (RFC 6347 §4.2.4): cut into datagrams when they leave, and again
//! each time they are sent again.

use std::time::{Duration, Instant};

use antiphon_util::Writer;

use crate::Timing;
use crate::message::{Fragment, Kind, Message};
use crate::record::{ContentType, HEADER_LEN, Sealer, header};
use crate::registry::{DTLS_1_0, DTLS_1_2};

/// Who sends a flight again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repetition {
    /// We do, when the timer says so: an answer is awaited.
    Timed,
    /// The peer makes us, by repeating what the flight answers: a cookie request, or the last flight of all.
    OnDemand,
}

#[derive(Debug)]
enum Item {
    Message { message: Message, epoch: u16 },
    ChangeCipherSpec,
}

/// The flight that was sent last, or is being sent.
#[derive(Debug)]
pub(crate) struct Flight {
    items: Vec<Item>,
    repetition: Repetition,
    /// The item to send next, and how many of its bytes have been sent.
    cursor: (usize, usize),
    timeout: Duration,
    first_timeout: Duration,
    greatest_timeout: Duration,
    sent: Option<Instant>,
}

impl Flight {
    /// An empty flight, with the timers for a path with this round-trip time.
    pub(crate) fn new(timing: &Timing, round_trip_time: Option<Duration>) -> Self {
        let timeout = match round_trip_time {
            Some(time) => time.saturating_mul(3) / 2,
            None => timing.initial,
        };
        let timeout = timeout.max(timing.minimum);
        Self {
            items: Vec::new(),
            repetition: Repetition::OnDemand,
            cursor: (0, 0),
            timeout,
            first_timeout: timeout,
            greatest_timeout: timing.maximum.max(timeout),
            sent: None,
        }
    }

    /// Forgets the last flight, which has been answered, and begins a new one.
    ///
    /// Each flight starts with the first timer: the path was measured, and what is lost in between says little about it.
    pub(crate) fn begin(&mut self, repetition: Repetition) {
        self.items = Vec::new();
        self.repetition = repetition;
        self.cursor = (0, 0);
        self.timeout = self.first_timeout;
        self.sent = None;
    }

    pub(crate) fn push(&mut self, message: Message, epoch: u16) {
        self.items.push(Item::Message { message, epoch });
    }

    pub(crate) fn push_change_cipher_spec(&mut self) {
        self.items.push(Item::ChangeCipherSpec);
    }

    /// The timer fired: all of it is sent again, and the next timer is longer.
    pub(crate) fn repeat_after_timeout(&mut self) {
        self.cursor = (0, 0);
        self.timeout = (self.timeout * 2).min(self.greatest_timeout);
    }

    /// The peer repeated what this flight answers, or what it has answered itself. Where our own timer runs, a repetition
    /// is made at most once in the first timer's time, so that two ends cannot drive each other.
    pub(crate) fn repeat_on_demand(&mut self, now: Instant) {
        let is_recent = self.sent.is_some_and(|sent| now < sent + self.first_timeout);
        if self.is_sent() && (self.repetition == Repetition::OnDemand || !is_recent) {
            self.cursor = (0, 0);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether nothing of it is left to send.
    pub(crate) fn is_sent(&self) -> bool {
        self.cursor.0 >= self.items.len()
    }

    /// Appends one datagram of at most `size` bytes to `buf`. When the flight has left, gives the instant at which it is to
    /// be repeated, if the timer is to do that.
    pub(crate) fn write_datagram(
        &mut self,
        now: Instant,
        records: &mut WriteState,
        size: usize,
        buf: &mut Vec<u8>,
    ) -> Option<Instant> {
        let start = buf.len();
        while let Some(item) = self.items.get(self.cursor.0) {
            let room = size.saturating_sub(buf.len() - start);
            match item {
                Item::ChangeCipherSpec if room < HEADER_LEN + 1 => break,
                Item::ChangeCipherSpec => {
                    records.write(ContentType::ChangeCipherSpec, 0, DTLS_1_2, buf, |w| w.u8(1));
                    self.cursor = (self.cursor.0 + 1, 0);
                }
                Item::Message { message, epoch } => {
                    let left = message.body.len().saturating_sub(self.cursor.1);
                    let overhead = records.overhead(*epoch) + Fragment::HEADER_LEN;
                    // Crumbs at the end of a datagram cost more than they carry.
                    if room < overhead + left.min(64) {
                        break;
                    }
                    let fragment = Fragment::of(message, self.cursor.1, room - overhead);
                    let version = first_version(message.kind);
                    records.write(ContentType::Handshake, *epoch, version, buf, |w| fragment.write(w));
                    let sent = fragment.bytes.len();
                    self.cursor = if sent == left {
                        (self.cursor.0 + 1, 0)
                    } else {
                        (self.cursor.0, self.cursor.1 + sent)
                    };
                }
            }
        }
        if !self.is_sent() {
            return None;
        }
        self.sent = Some(now);
        (self.repetition == Repetition::Timed).then(|| now + self.timeout)
    }
}

/// The version in the header of a message's record: the peer may not know 1.2 yet (RFC 6347 §4.2.1).
fn first_version(kind: Kind) -> u16 {
    if kind == Kind::CLIENT_HELLO || kind == Kind::HELLO_VERIFY_REQUEST { DTLS_1_0 } else { DTLS_1_2 }
}

/// What sending records takes: the numbers of epoch 0, and the key of epoch 1 once there is one.
#[derive(Debug, Default)]
pub(crate) struct WriteState {
    next_number: u64,
    pub(crate) sealer: Option<Sealer>,
}

impl WriteState {
    /// Bytes around the plaintext in `epoch`.
    fn overhead(&self, epoch: u16) -> usize {
        match &self.sealer {
            Some(sealer) if epoch > 0 => sealer.overhead(),
            _ => HEADER_LEN,
        }
    }

    /// Appends one record to `buf`; nothing where the epoch has no key (any more).
    pub(crate) fn write(
        &mut self,
        content_type: ContentType,
        epoch: u16,
        version: u16,
        buf: &mut Vec<u8>,
        body: impl FnOnce(&mut Writer<'_>),
    ) {
        let start = buf.len();
        if epoch == 0 {
            buf.resize(start + HEADER_LEN, 0);
            let mut writer = Writer::new(buf);
            body(&mut writer);
            let header = header(content_type, version, self.next_number, writer.len());
            buf.iter_mut().skip(start).zip(header).for_each(|(to, from)| *to = from);
            self.next_number += 1;
        } else if let Some(sealer) = &mut self.sealer {
            buf.resize(start + sealer.headroom(), 0);
            body(&mut Writer::new(buf));
            if sealer.seal(content_type, buf, start).is_err() {
                buf.truncate(start);
            }
        }
    }
}
