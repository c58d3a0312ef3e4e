//! Names in place of addresses: a resolver and responder of multicast DNS, sans-IO (RFC 6762, as far as WebRTC uses it: browsers
//! hide addresses behind random names of `.local`).
//!
//! The owner joins the groups `224.0.0.251` and `ff02::fb` on port 5353, hands in what arrives there, and sends what
//! [`Mdns::poll_transmit`] gives. Names are random, so that RFC 6762 §8.1 has nothing to probe for; nothing is cached.

mod message;

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use antiphon_util::{Rng, Writer};

use message::{MdnsMessage, Question, Record, Wanted};

/// The port of multicast DNS (RFC 6762 §3).
pub const MDNS_PORT: u16 = 5353;

/// Bounds on names and messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct MdnsLimits {
    /// Names that are resolved, over the whole life.
    pub resolved_names: usize,
    /// Names that are published at a time.
    pub published_names: usize,
    /// Messages sent in a second.
    pub messages_per_second: u32,
    /// Messages that wait to be sent.
    pub queued_messages: usize,
}

impl Default for MdnsLimits {
    fn default() -> Self {
        Self { resolved_names: 8, published_names: 32, messages_per_second: 20, queued_messages: 16 }
    }
}

/// Where a message is to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MdnsDestination {
    /// To both groups, from port 5353, over every interface.
    Multicast,
    /// To one that asked for that, or that does not know multicast DNS.
    Unicast(SocketAddr),
}

/// What became of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MdnsEvent {
    /// A name has an address.
    Resolved {
        /// The name that was asked for.
        name: String,
        /// Its address.
        ip: IpAddr,
    },
    /// Nobody answered for a name.
    Unresolved {
        /// The name that was asked for.
        name: String,
    },
}

/// Why a name is not resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// It is not one label and `.local`.
    #[error("not a name of multicast dns")]
    NotLocal,
    /// [`MdnsLimits::resolved_names`] is reached.
    #[error("too many names")]
    TooMany,
}

/// Seconds that an answer is good for; RFC 6762 §10 recommends it for addresses.
const TTL: u32 = 120;
/// Sendings of a question; the interval doubles from one second (RFC 6762 §5.2).
const MAX_QUERIES: u32 = 3;
const FIRST_INTERVAL: Duration = Duration::from_secs(1);
/// The same answer is multicast once in this time (RFC 6762 §6).
const ANSWER_INTERVAL: Duration = Duration::from_secs(1);

/// A resolver and responder.
#[derive(Debug)]
pub struct Mdns {
    limits: MdnsLimits,
    rng: Rng,
    queries: Vec<Query>,
    /// How many names were asked for.
    asked: usize,
    published: Vec<Published>,
    rate: Rate,
    queue: VecDeque<(MdnsDestination, MdnsMessage)>,
    events: VecDeque<MdnsEvent>,
}

#[derive(Debug)]
struct Query {
    name: String,
    sent: u32,
    due: Instant,
}

#[derive(Debug)]
struct Published {
    name: String,
    ip: IpAddr,
    answered: Option<Instant>,
}

/// Messages in the current second.
#[derive(Debug)]
struct Rate {
    since: Option<Instant>,
    count: u32,
}

impl Mdns {
    /// Nothing asked for and nothing published.
    pub fn new(limits: MdnsLimits, rng: Rng) -> Self {
        Self {
            limits,
            rng,
            queries: Vec::new(),
            asked: 0,
            published: Vec::new(),
            rate: Rate { since: None, count: 0 },
            queue: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// Asks for the address of `name`; the answer is told by an event. One that is being asked for is not asked for again.
    ///
    /// # Errors
    /// Where it is no name of multicast DNS, or one too many.
    pub fn resolve(&mut self, now: Instant, name: &str) -> Result<(), ResolveError> {
        if !is_local(name) {
            return Err(ResolveError::NotLocal);
        }
        if self.queries.iter().any(|query| query.name.eq_ignore_ascii_case(name)) {
            return Ok(());
        }
        if self.asked >= self.limits.resolved_names {
            return Err(ResolveError::TooMany);
        }
        self.asked += 1;
        self.queries.push(Query { name: name.to_owned(), sent: 0, due: now });
        self.handle_timeout(now);
        Ok(())
    }

    /// Gives `ip` a fresh name and answers for it from now on; the same address keeps its name. `None` beyond
    /// [`MdnsLimits::published_names`].
    pub fn publish(&mut self, ip: IpAddr) -> Option<&str> {
        if let Some(at) = self.published.iter().position(|known| known.ip == ip) {
            return self.published.get(at).map(|known| known.name.as_str());
        }
        if self.published.len() >= self.limits.published_names {
            return None;
        }
        let name = random_name(&mut self.rng);
        self.published.push(Published { name, ip, answered: None });
        self.published.last().map(|known| known.name.as_str())
    }

    /// The name that was given to `ip`.
    pub fn name_of(&self, ip: IpAddr) -> Option<&str> {
        self.published.iter().find(|known| known.ip == ip).map(|known| known.name.as_str())
    }

    /// Answers for `ip` no more, and says so (RFC 6762 §10.1).
    pub fn withdraw(&mut self, now: Instant, ip: IpAddr) {
        let Some(at) = self.published.iter().position(|known| known.ip == ip) else { return };
        let Published { name, ip, .. } = self.published.remove(at);
        let records = vec![Record { name, ip, ttl: 0 }];
        let goodbye = MdnsMessage { is_response: true, records, ..MdnsMessage::default() };
        self.enqueue(now, MdnsDestination::Multicast, goodbye);
    }

    /// Handles a datagram that arrived on port 5353. Whatever it is, it causes no error.
    pub fn handle_datagram(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        let Ok(message) = MdnsMessage::parse(datagram) else {
            tracing::trace!(%from, "malformed message of multicast dns");
            return;
        };
        match message.is_response {
            // RFC 6762 §6: an answer from another port is none.
            true if from.port() == MDNS_PORT => self.handle_answers(&message.records),
            true => {}
            false => self.answer(now, from, &message),
        }
    }

    /// Does what time alone causes.
    pub fn handle_timeout(&mut self, now: Instant) {
        let mut questions = Vec::new();
        for query in self.queries.iter_mut().filter(|query| query.due <= now) {
            if query.sent < MAX_QUERIES {
                query.due = now + FIRST_INTERVAL * (1 << query.sent);
                questions.push(Question { name: query.name.clone(), wants: Wanted::Any, unicast: false });
            }
            query.sent += 1;
        }
        for lost in self.queries.extract_if(.., |query| query.sent > MAX_QUERIES) {
            self.events.push_back(MdnsEvent::Unresolved { name: lost.name });
        }
        if !questions.is_empty() {
            let message = MdnsMessage { questions, ..MdnsMessage::default() };
            self.enqueue(now, MdnsDestination::Multicast, message);
        }
    }

    /// Appends the next message to `buf` and tells where it goes, and its bytes.
    pub fn poll_transmit(&mut self, buf: &mut Vec<u8>) -> Option<(MdnsDestination, usize)> {
        let (destination, message) = self.queue.pop_front()?;
        let start = buf.len();
        message.write(&mut Writer::new(buf));
        Some((destination, buf.len() - start))
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<MdnsEvent> {
        self.events.pop_front()
    }

    /// Whether anything is asked for, published or to be sent; otherwise the owner may leave the groups.
    pub fn is_active(&self) -> bool {
        !(self.queries.is_empty() && self.published.is_empty() && self.queue.is_empty())
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.queries.iter().map(|query| query.due).min()
    }

    fn handle_answers(&mut self, records: &[Record]) {
        for record in records.iter().filter(|record| record.ttl > 0 && is_unicast(record.ip)) {
            let is_asked = |query: &mut Query| query.name.eq_ignore_ascii_case(&record.name);
            for query in self.queries.extract_if(.., is_asked) {
                self.events.push_back(MdnsEvent::Resolved { name: query.name, ip: record.ip });
            }
        }
    }

    fn answer(&mut self, now: Instant, from: SocketAddr, message: &MdnsMessage) {
        // RFC 6762 §6.7: who asks from another port than 5353 gets an ordinary answer, with his question and id.
        let is_legacy = from.port() != MDNS_PORT;
        let by_unicast = is_legacy || message.questions.iter().all(|question| question.unicast);
        let is_known = |known: &Published| {
            let has = |r: &Record| r.ip == known.ip && r.name.eq_ignore_ascii_case(&known.name);
            // RFC 6762 §7.1: the one who asks has it already.
            message.records.iter().any(|record| has(record) && record.ttl >= TTL / 2)
        };
        let asks = |known: &Published| {
            let asks = |q: &Question| q.wants.includes(known.ip) && q.name.eq_ignore_ascii_case(&known.name);
            message.questions.iter().any(asks)
        };
        let mut records = Vec::new();
        for known in self.published.iter_mut().filter(|known| asks(known) && !is_known(known)) {
            let is_fresh = |at: Instant| now.saturating_duration_since(at) < ANSWER_INTERVAL;
            if !by_unicast && known.answered.is_some_and(is_fresh) {
                continue;
            }
            if !by_unicast {
                known.answered = Some(now);
            }
            records.push(Record { name: known.name.clone(), ip: known.ip, ttl: TTL });
        }
        if records.is_empty() {
            return;
        }
        let (id, questions) = match is_legacy {
            true => (message.id, message.questions.clone()),
            false => (0, Vec::new()),
        };
        let destination =
            if by_unicast { MdnsDestination::Unicast(from) } else { MdnsDestination::Multicast };
        self.enqueue(now, destination, MdnsMessage { id, is_response: true, questions, records });
    }

    fn enqueue(&mut self, now: Instant, destination: MdnsDestination, message: MdnsMessage) {
        let is_over = self.queue.len() >= self.limits.queued_messages
            || !self.rate.admits(now, self.limits.messages_per_second);
        if is_over {
            tracing::trace!("message of multicast dns left out");
            return;
        }
        self.queue.push_back((destination, message));
    }
}

impl Rate {
    fn admits(&mut self, now: Instant, limit: u32) -> bool {
        if self.since.is_none_or(|since| now.saturating_duration_since(since) >= Duration::from_secs(1)) {
            *self = Self { since: Some(now), count: 0 };
        }
        self.count += 1;
        self.count <= limit
    }
}

/// A label and `.local`.
fn is_local(name: &str) -> bool {
    let is_label_char = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    name.len().checked_sub(".local".len()).and_then(|at| name.split_at_checked(at)).is_some_and(
        |(label, local)| {
            local.eq_ignore_ascii_case(".local")
                && (1..=63).contains(&label.len())
                && label.bytes().all(is_label_char)
        },
    )
}

fn is_unicast(ip: IpAddr) -> bool {
    !ip.is_multicast() && !ip.is_unspecified()
}

/// A random UUID (RFC 9562 §5.4) and `.local`.
fn random_name(rng: &mut Rng) -> String {
    let bits = u128::from_be_bytes(rng.array());
    let (version, variant) = (4u128 << 76, 2u128 << 62);
    let uuid = bits & !(0xf << 76) & !(3 << 62) | version | variant;
    let hex = format!("{uuid:032x}");
    let mut name = String::new();
    for (at, digit) in hex.chars().enumerate() {
        if matches!(at, 8 | 12 | 16 | 20) {
            name.push('-');
        }
        name.push(digit);
    }
    name + ".local"
}
