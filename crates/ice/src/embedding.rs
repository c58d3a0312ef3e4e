//! Datagrams of the layer above that ride in checks and in the answers to them, so that its handshake need not wait for
//! a path (SPED, draft-hancke-webrtc-sped). A message carries one of them at most, and names by their CRC-32 those that
//! have arrived; what the peer has not named goes again in a later message.

use std::collections::VecDeque;
use std::net::IpAddr;

use antiphon_stun::{Attribute, AttributeType, DtlsAcks, Message, MessageBuilder};

use crate::config::Limits;
use crate::event::DropReason;

/// Bytes of a message that carries a datagram at most, as of any datagram that leaves before the path's MTU is known.
const MESSAGE_SIZE: usize = 1_200;

/// Bytes of such a message besides the datagram and USERNAME: the header, XOR-MAPPED-ADDRESS of IPv6 or role, PRIORITY and
/// nomination, the names of what has arrived, the header and padding of the datagram, integrity, fingerprint.
const MESSAGE_OVERHEAD: usize = 20 + 32 + (4 + 4 * NAMES) + (4 + 3) + 24 + 8;

/// Datagrams that a message names; the draft recommends it.
const NAMES: usize = 4;

/// How far the peers are with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Nothing is sent or taken.
    Off,
    /// We offer it: what the peer embeds is taken, and makes it agreed.
    Offered,
    /// Datagrams ride both ways.
    Agreed,
    /// There is a path, so that ours go over it; those of the peer are still taken and named.
    Ending,
}

#[derive(Debug)]
pub(crate) struct Embedding {
    mode: Mode,
    limits: Limits,
    pending: Vec<Vec<u8>>,
    /// The pending one whose turn is next.
    next: usize,
    /// The names of what has arrived last, the latest last.
    received: Vec<[u8; 4]>,
    arrived: VecDeque<Vec<u8>>,
    /// Bytes of datagrams sent to an address since it answered.
    unanswered: Vec<(IpAddr, usize)>,
    counters: EmbeddedDatagrams,
}

/// How many datagrams rode in checks and in the answers to them, repetitions included in what was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EmbeddedDatagrams {
    /// In ours.
    pub sent: u64,
    /// In the peer's.
    pub received: u64,
}

/// What one message carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Load {
    Nothing,
    /// Names alone.
    Names,
    /// Names and the pending datagram with this index.
    Datagram(usize),
}

impl Embedding {
    pub(crate) fn new(is_offered: bool, limits: Limits) -> Self {
        Self {
            mode: if is_offered { Mode::Offered } else { Mode::Off },
            limits,
            pending: Vec::new(),
            next: 0,
            received: Vec::new(),
            arrived: VecDeque::new(),
            unanswered: Vec::new(),
            counters: EmbeddedDatagrams::default(),
        }
    }

    pub(crate) fn agree(&mut self) {
        if self.mode == Mode::Offered {
            self.mode = Mode::Agreed;
        }
    }

    pub(crate) fn is_agreed(&self) -> bool {
        self.mode == Mode::Agreed
    }

    /// There is a path: gives what the peer has not named.
    pub(crate) fn end(&mut self) -> Vec<Vec<u8>> {
        if self.mode == Mode::Agreed {
            self.mode = Mode::Ending;
        }
        std::mem::take(&mut self.pending)
    }

    pub(crate) fn close(&mut self) {
        *self = Self { counters: self.counters, ..Self::new(false, self.limits) };
    }

    pub(crate) fn counters(&self) -> EmbeddedDatagrams {
        self.counters
    }

    /// The datagrams of a flight, which take the place of those before.
    pub(crate) fn embed(&mut self, flight: Vec<Vec<u8>>) {
        self.pending = flight;
        self.next = 0;
    }

    pub(crate) fn poll(&mut self) -> Option<Vec<u8>> {
        self.arrived.pop_front()
    }

    /// Notes that a datagram has arrived, and tells whether that is news.
    pub(crate) fn note(&mut self, datagram: &[u8]) -> bool {
        if matches!(self.mode, Mode::Off | Mode::Offered) {
            return true;
        }
        let name = DtlsAcks::checksum(datagram).to_be_bytes();
        let is_news = !self.received.contains(&name);
        if is_news {
            self.received.push(name);
            let surplus = self.received.len().saturating_sub(NAMES);
            self.received.drain(..surplus);
        }
        is_news
    }

    /// Takes what an authenticated message carries.
    pub(crate) fn take(&mut self, message: &Message<'_>) -> Result<(), DropReason> {
        let names = message.attribute(AttributeType::DTLS_IN_STUN_ACK);
        let datagram = message.find(AttributeType::DTLS_IN_STUN).map(|raw| raw.value);
        if self.mode == Mode::Off || names.is_none() && datagram.is_none() {
            return Ok(());
        }
        self.agree();
        if let Some(Attribute::DtlsInStunAck(names)) = names {
            self.pending.retain(|pending| !names.iter().any(|name| name == DtlsAcks::checksum(pending)));
        }
        match datagram {
            // RFC 7983 §7: other first bytes are not those of DTLS. An empty one says that there is nothing to carry.
            Some(datagram @ [20..=63, ..]) if self.arrived.len() < self.limits.embedded_datagrams => {
                if self.note(datagram) {
                    self.arrived.push_back(datagram.to_vec());
                    self.counters.received += 1;
                }
                Ok(())
            }
            Some([20..=63, ..]) => Err(DropReason::EmbeddedLimit),
            Some([_, ..]) => Err(DropReason::Malformed),
            Some([]) | None => Ok(()),
        }
    }

    /// A check to `address` was answered.
    pub(crate) fn answered(&mut self, address: IpAddr) {
        self.unanswered.retain(|(known, _)| *known != address);
    }

    /// What the next message to `address` carries, besides `user_name` bytes of user name.
    pub(crate) fn load(&mut self, address: IpAddr, user_name: usize) -> Load {
        if matches!(self.mode, Mode::Off | Mode::Offered) {
            return Load::Nothing;
        }
        if self.next >= self.pending.len() {
            self.next = 0;
        }
        let room = MESSAGE_SIZE.saturating_sub(MESSAGE_OVERHEAD + user_name);
        match self.pending.get(self.next).map(Vec::len) {
            Some(len) if len <= room && self.spend(address, len) => {
                self.next += 1;
                self.counters.sent += 1;
                Load::Datagram(self.next - 1)
            }
            _ => Load::Names,
        }
    }

    pub(crate) fn write(&self, load: Load, builder: &mut MessageBuilder<'_>) {
        if load == Load::Nothing {
            return;
        }
        builder.attribute(&Attribute::DtlsInStunAck(DtlsAcks::new(&self.received)));
        if let Load::Datagram(index) = load
            && let Some(datagram) = self.pending.get(index)
        {
            builder.attribute(&Attribute::DtlsInStun(datagram));
        }
    }

    /// Whether `len` bytes more may go to `address`; they count as sent then.
    fn spend(&mut self, address: IpAddr, len: usize) -> bool {
        let Some((_, sent)) = self.unanswered.iter_mut().find(|(known, _)| *known == address) else {
            let may = self.unanswered.len() < self.limits.pairs && len <= self.limits.unanswered_bytes;
            if may {
                self.unanswered.push((address, len));
            }
            return may;
        };
        let may = *sent + len <= self.limits.unanswered_bytes;
        if may {
            *sent += len;
        }
        may
    }
}
