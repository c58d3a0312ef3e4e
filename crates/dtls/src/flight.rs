//! The messages that we send until the peer answers them (RFC 6347 §4.2.4, RFC 9147 §5.8): cut into datagrams when they
//! leave, and what the peer has not acknowledged again each time they are sent again.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::{Duration, Instant};

use antiphon_util::Writer;

use crate::Timing;
use crate::message::{Fragment, Kind, Message};
use crate::pieces::Pieces;
use crate::record::legacy::{HEADER_LEN, header};
use crate::record::{ContentType, MAX_PLAINTEXT, RecordNumber, Sealer};
use crate::registry::{DTLS_1_0, DTLS_1_2};

/// Records of a flight, repetitions included, of which an acknowledgement is understood.
const REMEMBERED_RECORDS: usize = 256;

/// Pieces of a message that acknowledgements may leave; beyond it they are passed over, and all is sent again.
const ACKNOWLEDGED_PIECES: usize = 64;

/// Who sends a flight again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repetition {
    /// We do, when the timer says so: an answer is awaited.
    Timed,
    /// The peer makes us, by repeating what the flight answers: a cookie request, or the last flight of all.
    OnDemand,
}

#[derive(Debug)]
enum Content {
    Message(Message),
    ChangeCipherSpec,
}

#[derive(Debug)]
struct Item {
    content: Content,
    epoch: u64,
    acknowledged: Pieces,
}

impl Item {
    fn len(&self) -> usize {
        match &self.content {
            Content::Message(message) => message.body.len(),
            Content::ChangeCipherSpec => 0,
        }
    }

    fn message(&self) -> Option<&Message> {
        match &self.content {
            Content::Message(message) => Some(message),
            Content::ChangeCipherSpec => None,
        }
    }
}

/// Bytes of the item with this index.
type Piece = (usize, Range<usize>);

#[derive(Debug)]
struct SentRecord {
    number: RecordNumber,
    pieces: Vec<Piece>,
}

/// The flight that was sent last, or is being sent.
#[derive(Debug)]
pub(crate) struct Flight {
    items: Vec<Item>,
    repetition: Repetition,
    /// The item to send next, and how many of its bytes have been sent.
    cursor: (usize, usize),
    /// What was sent in which record.
    records: VecDeque<SentRecord>,
    timeout: Duration,
    first_timeout: Duration,
    greatest_timeout: Duration,
    sent: Option<Instant>,
}

impl Flight {
    /// An empty flight, with the timers for a path with this round-trip time.
    pub(crate) fn new(timing: &Timing, round_trip_time: Option<Duration>) -> Self {
        let mut flight = Self {
            items: Vec::new(),
            repetition: Repetition::OnDemand,
            cursor: (0, 0),
            records: VecDeque::new(),
            timeout: Duration::ZERO,
            first_timeout: Duration::ZERO,
            greatest_timeout: Duration::ZERO,
            sent: None,
        };
        flight.set_round_trip_time(timing, round_trip_time);
        flight
    }

    /// Sets the timers for a path with this round-trip time; gives the first one.
    pub(crate) fn set_round_trip_time(
        &mut self,
        timing: &Timing,
        round_trip_time: Option<Duration>,
    ) -> Duration {
        let timeout = match round_trip_time {
            Some(time) => time.saturating_mul(3) / 2,
            None => timing.initial,
        };
        self.first_timeout = timeout.max(timing.minimum);
        self.timeout = self.first_timeout;
        self.greatest_timeout = timing.maximum.max(self.first_timeout);
        self.first_timeout
    }

    /// Forgets the last flight, which has been answered, and begins a new one.
    ///
    /// Each flight starts with the first timer: the path was measured, and what is lost in between says little about it.
    pub(crate) fn begin(&mut self, repetition: Repetition) {
        self.items = Vec::new();
        self.repetition = repetition;
        self.cursor = (0, 0);
        self.records = VecDeque::new();
        self.timeout = self.first_timeout;
        self.sent = None;
    }

    /// Forgets the last flight, which needs no answer any more.
    pub(crate) fn clear(&mut self) {
        self.begin(Repetition::OnDemand);
    }

    pub(crate) fn push(&mut self, message: Message, epoch: u64) {
        let content = Content::Message(message);
        self.items.push(Item { content, epoch, acknowledged: Pieces::default() });
    }

    pub(crate) fn push_change_cipher_spec(&mut self) {
        let content = Content::ChangeCipherSpec;
        self.items.push(Item { content, epoch: 0, acknowledged: Pieces::default() });
    }

    /// The timer fired: what is not acknowledged is sent again, and the next timer is longer.
    pub(crate) fn repeat_after_timeout(&mut self) {
        self.cursor = (0, 0);
        self.timeout = (self.timeout * 2).min(self.greatest_timeout);
    }

    /// The peer repeated what this flight answers, or what it has answered itself, or tells what it lacks. Where our own
    /// timer runs, a repetition is made at most once in the first timer's time, so that two ends cannot drive each other.
    pub(crate) fn repeat_on_demand(&mut self, now: Instant) {
        let is_recent = self.sent.is_some_and(|sent| now < sent + self.first_timeout);
        if self.is_sent() && (self.repetition == Repetition::OnDemand || !is_recent) {
            self.cursor = (0, 0);
        }
    }

    /// The peer has told what it lacks: that is sent again at once, since the peer cannot tell the same news twice.
    pub(crate) fn repeat_rest(&mut self) {
        if self.is_sent() {
            self.cursor = (0, 0);
        }
    }

    /// Notes that the peer has the records with these numbers, which are in rising order; tells whether that was news.
    pub(crate) fn acknowledge(&mut self, numbers: &[RecordNumber]) -> bool {
        let mut is_news = false;
        for record in self.records.iter().filter(|record| numbers.binary_search(&record.number).is_ok()) {
            for (index, range) in &record.pieces {
                let Some(item) = self.items.get_mut(*index) else { continue };
                is_news |= !item.acknowledged.gaps(range.clone()).is_empty();
                item.acknowledged.insert(range.clone(), ACKNOWLEDGED_PIECES);
            }
        }
        self.records.retain(|record| numbers.binary_search(&record.number).is_err());
        is_news
    }

    /// Whether the peer has acknowledged every byte.
    pub(crate) fn is_acknowledged(&self) -> bool {
        self.items.iter().all(|item| item.acknowledged.covers(item.len()))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether it waits for an answer.
    pub(crate) fn is_awaiting(&self) -> bool {
        self.repetition == Repetition::Timed && !self.items.is_empty()
    }

    /// The timer that runs, or the first one where none does.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Whether nothing of it is left to send.
    pub(crate) fn is_sent(&self) -> bool {
        self.next_from(self.cursor).is_none()
    }

    /// Appends one datagram of at most `size` bytes to `buf`, if there is something to send. When the flight has left, gives the instant at which it is to
    /// be repeated, if the timer is to do that.
    pub(crate) fn write_datagram(
        &mut self,
        now: Instant,
        records: &mut WriteState,
        size: usize,
        buf: &mut Vec<u8>,
    ) -> Option<Instant> {
        let start = buf.len();
        if self.is_sent() {
            return None;
        }
        while let Some((index, _)) = self.next_from(self.cursor) {
            let room = size.saturating_sub(buf.len() - start);
            if !self.write_record(index, records, room, buf) {
                break;
            }
        }
        if !self.is_sent() {
            return None;
        }
        self.sent = Some(now);
        (self.repetition == Repetition::Timed).then(|| now + self.timeout)
    }

    /// Appends the record that begins with the item `index`; `false` where it has no room.
    fn write_record(
        &mut self,
        index: usize,
        records: &mut WriteState,
        room: usize,
        buf: &mut Vec<u8>,
    ) -> bool {
        let Some(item) = self.items.get(index) else { return false };
        let Content::Message(message) = &item.content else {
            if room < HEADER_LEN + 1 {
                return false;
            }
            records.write(ContentType::ChangeCipherSpec, 0, DTLS_1_2, buf, |w| w.u8(1));
            self.cursor = (index + 1, 0);
            return true;
        };
        let (epoch, version) = (item.epoch, records.version_for(message.kind));
        let room = room.saturating_sub(records.overhead(epoch)).min(records.plaintext_limit());
        let pieces = self.pieces_for(room, epoch);
        let Some((last, range)) = pieces.last().cloned() else { return false };
        let number = records.write(ContentType::Handshake, epoch, version, buf, |w| {
            for (index, range) in &pieces {
                if let Some(message) = self.items.get(*index).and_then(Item::message) {
                    Fragment::of(message, range.clone()).write(w);
                }
            }
        });
        self.cursor = self.behind(last, range.end);
        if let Some(number) = number {
            self.records.push_back(SentRecord { number, pieces });
            self.records.drain(..self.records.len().saturating_sub(REMEMBERED_RECORDS));
        }
        true
    }

    /// What goes into the next record, whose plaintext may have `room` bytes. From epoch 2 on, which only 1.3 has,
    /// messages share a record.
    fn pieces_for(&self, room: usize, epoch: u64) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let (mut at, mut left) = (self.cursor, room);
        while let Some((index, gap)) = self.next_from(at) {
            let is_alike =
                self.items.get(index).is_some_and(|item| item.epoch == epoch && item.message().is_some());
            if !is_alike || left < Fragment::HEADER_LEN + gap.len().min(1) {
                break;
            }
            let end = gap.end.min(gap.start + left - Fragment::HEADER_LEN);
            left -= Fragment::HEADER_LEN + (end - gap.start);
            at = self.behind(index, end);
            pieces.push((index, gap.start..end));
            if epoch < 2 {
                break;
            }
        }
        pieces
    }

    /// What is to be sent first from `(item, offset)` on.
    fn next_from(&self, (first, offset): (usize, usize)) -> Option<Piece> {
        let mut from = offset;
        for (index, item) in self.items.iter().enumerate().skip(first) {
            if item.len() == 0 {
                return Some((index, 0..0));
            }
            if let Some(gap) = item.acknowledged.gaps(from..item.len()).into_iter().next() {
                return Some((index, gap));
            }
            from = 0;
        }
        None
    }

    /// Where to go on behind the byte `end` of an item.
    fn behind(&self, index: usize, end: usize) -> (usize, usize) {
        let len = self.items.get(index).map_or(0, Item::len);
        if end < len { (index, end) } else { (index + 1, 0) }
    }
}

/// What sending records takes: the numbers of epoch 0, and the keys of later ones.
#[derive(Debug, Default)]
pub(crate) struct WriteState {
    next_number: u64,
    /// Whether the peer is known to speak 1.3, as after its request for another hello.
    is_1_3_known: bool,
    /// The newest last.
    sealers: Vec<Sealer>,
    /// Greatest plaintext of a record that the peer takes, where it told (RFC 8449).
    record_limit: Option<usize>,
}

impl WriteState {
    /// The number of the next record without protection.
    pub(crate) fn skip_to(&mut self, number: u64) {
        self.next_number = number;
    }

    pub(crate) fn install(&mut self, sealer: Sealer) {
        self.sealers.push(sealer);
    }

    /// Forgets the keys of epochs before the newest.
    pub(crate) fn retire_old(&mut self) {
        let surplus = self.sealers.len().saturating_sub(1);
        self.sealers.drain(..surplus);
        self.shrink();
    }

    /// Frees the room for keys that are not there.
    pub(crate) fn shrink(&mut self) {
        self.sealers.shrink_to_fit();
    }

    pub(crate) fn clear(&mut self) {
        self.sealers = Vec::new();
    }

    pub(crate) fn limit_records(&mut self, limit: usize) {
        self.record_limit = Some(limit);
    }

    /// The peer has shown that it speaks 1.3.
    pub(crate) fn know_1_3(&mut self) {
        self.is_1_3_known = true;
    }

    /// The version in the header of a message's record: in the first ones the peer may not know 1.2 yet
    /// (RFC 6347 §4.2.1, RFC 9147 §4).
    fn version_for(&self, kind: Kind) -> u16 {
        let is_first = kind == Kind::CLIENT_HELLO || kind == Kind::HELLO_VERIFY_REQUEST;
        if is_first && !self.is_1_3_known { DTLS_1_0 } else { DTLS_1_2 }
    }

    /// The key of the newest epoch.
    pub(crate) fn sealer(&self) -> Option<&Sealer> {
        self.sealers.last()
    }

    pub(crate) fn sealer_mut(&mut self) -> Option<&mut Sealer> {
        self.sealers.last_mut()
    }

    /// What the peer announced to take in a record.
    pub(crate) fn record_limit(&self) -> Option<usize> {
        self.record_limit
    }

    /// Greatest plaintext of a protected record of ours.
    pub(crate) fn plaintext_limit(&self) -> usize {
        self.record_limit.unwrap_or(MAX_PLAINTEXT).min(MAX_PLAINTEXT)
    }

    /// Bytes around the plaintext in `epoch`.
    pub(crate) fn overhead(&self, epoch: u64) -> usize {
        self.of_epoch(epoch).map_or(HEADER_LEN, Sealer::overhead)
    }

    fn of_epoch(&self, epoch: u64) -> Option<&Sealer> {
        self.sealers.iter().find(|sealer| sealer.epoch() == epoch)
    }

    /// Appends one record to `buf` and gives its number; nothing where the epoch has no key (any more).
    pub(crate) fn write(
        &mut self,
        content_type: ContentType,
        epoch: u64,
        version: u16,
        buf: &mut Vec<u8>,
        body: impl FnOnce(&mut Writer<'_>),
    ) -> Option<RecordNumber> {
        let start = buf.len();
        if epoch == 0 {
            let sequence = self.next_number;
            buf.resize(start + HEADER_LEN, 0);
            let mut writer = Writer::new(buf);
            body(&mut writer);
            let header = header(content_type, version, sequence, writer.len());
            buf.iter_mut().skip(start).zip(header).for_each(|(to, from)| *to = from);
            self.next_number += 1;
            return Some(RecordNumber { epoch, sequence });
        }
        let sealer = self.sealers.iter_mut().find(|sealer| sealer.epoch() == epoch)?;
        buf.resize(start + sealer.headroom(), 0);
        body(&mut Writer::new(buf));
        let sealed = sealer.seal(content_type, buf, start);
        if sealed.is_err() {
            buf.truncate(start);
        }
        sealed.ok()
    }
}
