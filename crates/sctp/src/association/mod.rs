//! The association: its states, its verbs, and the dispatch of what arrives.
//!
//! ```text
//!              connect                INIT ACK                 COOKIE ACK
//!   Closed ──────────────► CookieWait ─────────► CookieEchoed ────────────► Established
//!      │                        │                     │                      │      │
//!      └────────────────────────┴─── COOKIE ECHO ─────┴──────────────────────┘      │
//!      └──────────────── connect, the peer was described ────────────────────┘      │
//!                                                                                   │
//!                 shutdown                      all acknowledged                    │
//!   ShutdownPending ◄─── Established   ShutdownPending ──► ShutdownSent ──┐         │
//!                        SHUTDOWN               all acknowledged          │         │
//!                        Established ──► ShutdownReceived ──► ShutdownAckSent ──► Closed
//! ```

mod block;
mod close;
mod cookie;
mod data;
mod described;
mod establish;
mod heartbeat;
mod out_of_the_blue;
mod reset;
mod reset_procedures;
mod transmit;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use antiphon_crypto::Secret;
use antiphon_util::{Rng, Tally, Timers};
use tracing::{debug, trace};

use self::block::Block;
use self::cookie::{LocalInit, PeerInit};
pub use self::described::DescribedInit;
use self::transmit::{Control, Outbox};
use crate::packet::{Checksum, Chunk, Header, Packet, PacketError};
use crate::rx::Inbox;
use crate::tx::SendQueue;
use crate::{
    CloseReason, Config, DropReason, Event, Message, ResetError, SendError, SendOptions, Statistics, StreamId,
};

/// An SCTP association with one peer over one path.
///
/// Dropping it tells the peer nothing; [`Association::abort`] or [`Association::shutdown`] does.
#[derive(Debug)]
pub struct Association {
    config: Config,
    rng: Rng,
    cookie_secret: Secret,
    /// The instant of the first call; cookies count time from it.
    origin: Option<Instant>,
    /// Tag and TSN of the association that is not set up yet.
    local: LocalInit,
    state: State,
    /// Of the path, by other means than a set-up.
    round_trip: Option<Duration>,
    queue: SendQueue,
    /// Whether `send` refused something since there was room.
    refused: bool,
    inbox: Inbox,
    outbox: Outbox,
    timers: Timers<Timer>,
    events: VecDeque<Event>,
    drops: Tally<DropReason>,
    counts: Statistics,
}

/// Where an association stands (RFC 9260 §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AssociationState {
    /// Not connected yet, or over.
    Closed,
    /// INIT was sent.
    CookieWait,
    /// COOKIE ECHO was sent.
    CookieEchoed,
    /// Data flows.
    Established,
    /// Shut down here; data that was accepted is still being delivered.
    ShutdownPending,
    /// SHUTDOWN was sent.
    ShutdownSent,
    /// Shut down by the peer; data that was accepted is still being delivered.
    ShutdownReceived,
    /// SHUTDOWN ACK was sent.
    ShutdownAckSent,
}

/// The state, with what exists only in it.
#[derive(Debug)]
enum State {
    /// `connect` was not called, and no cookie came back.
    Idle {
        /// The peer, where its description told of it.
        described: Option<PeerInit>,
    },
    CookieWait {
        attempts: u32,
        sent_at: Option<Instant>,
    },
    CookieEchoed {
        block: Box<Block>,
        cookie: Vec<u8>,
        attempts: u32,
    },
    Open {
        block: Box<Block>,
        phase: Phase,
    },
    Ended,
}

/// States in which data moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Established,
    ShutdownPending,
    ShutdownSent,
    ShutdownReceived,
    ShutdownAckSent,
}

impl Phase {
    /// Whether DATA is taken: a peer that began to shut down sends nothing new (RFC 9260 §6).
    fn takes_data(self) -> bool {
        matches!(self, Self::Established | Self::ShutdownPending | Self::ShutdownSent)
    }
}

/// Timers of the association as a whole; data, acknowledgement, reset and heartbeat keep their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Timer {
    /// INIT or COOKIE ECHO is sent again (T1).
    Setup,
    /// SHUTDOWN or SHUTDOWN ACK is sent again (T2).
    Shutdown,
    /// The shutdown takes too long (T5).
    ShutdownGuard,
}

impl Association {
    /// An association that is not connected. `rng` decides tags and sequence numbers and has to be unpredictable in
    /// production.
    pub fn new(config: Config, mut rng: Rng) -> Self {
        let cookie_secret = Secret::new(rng.array::<32>().to_vec());
        let local = LocalInit { tag: establish::new_tag(&mut rng), initial_tsn: rng.u32() };
        let queue = SendQueue::new(config.scheduling);
        Self {
            config,
            rng,
            cookie_secret,
            origin: None,
            local,
            state: State::Idle { described: None },
            round_trip: None,
            queue,
            refused: false,
            inbox: Inbox::default(),
            outbox: Outbox::default(),
            timers: Timers::new(),
            events: VecDeque::new(),
            drops: Tally::new(),
            counts: Statistics::default(),
        }
    }

    /// Starts to set up the association, or establishes it where the peer was described; without effect where it has been started or is over. A peer that sends INIT
    /// is answered at any time.
    pub fn connect(&mut self, now: Instant) {
        self.origin.get_or_insert(now);
        match self.state {
            State::Idle { described: Some(peer) } => self.establish_described(peer),
            State::Idle { described: None } => {
                self.set_state(State::CookieWait { attempts: 0, sent_at: None });
                self.outbox.want(Control::Init);
            }
            State::CookieWait { .. } | State::CookieEchoed { .. } | State::Open { .. } | State::Ended => {}
        }
    }

    /// Handles one packet that DTLS opened.
    pub fn handle_datagram(&mut self, now: Instant, packet: &[u8]) {
        self.origin.get_or_insert(now);
        let checksum = if self.config.zero_checksum { Checksum::MayBeZero } else { Checksum::Required };
        let parsed = match Packet::parse_with(packet, checksum) {
            Ok(parsed) => parsed,
            Err(PacketError::Checksum) => return self.drop_for(DropReason::Checksum),
            Err(PacketError::Header(_)) => return self.drop_for(DropReason::Malformed),
        };
        let Header { source_port, destination_port, verification_tag } = parsed.header;
        if source_port != self.config.remote_port || destination_port != self.config.local_port {
            return self.drop_for(DropReason::Port);
        }
        if let State::Idle { described: Some(peer) } = self.state
            && verification_tag == self.local.tag
        {
            self.establish_described(peer);
        }
        self.counts.packets_received += 1;
        self.counts.bytes_received += packet.len() as u64;
        if !self.is_concerned(&parsed) {
            return self.answer_out_of_the_blue(&parsed);
        }
        let mut data = false;
        for (index, chunk) in parsed.chunks().enumerate() {
            let Ok(chunk) = chunk else {
                self.drop_for(DropReason::Malformed);
                break;
            };
            if !self.accepts_tag(verification_tag, &chunk, index) {
                self.drop_for(DropReason::VerificationTag);
                break;
            }
            if stands_alone(&chunk) && (index > 0 || parsed.chunks().nth(1).is_some()) {
                self.drop_for(DropReason::UnexpectedChunk);
                break;
            }
            data |= matches!(chunk, Chunk::Data(_) | Chunk::IData(_));
            if !self.handle_chunk(now, verification_tag, chunk) {
                break;
            }
        }
        self.end_of_packet(now, data);
    }

    /// Handles what time alone causes; to be called when [`Self::poll_timeout`] is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(timer) = self.timers.expired(now) {
            match timer {
                Timer::Setup => self.setup_expired(),
                Timer::Shutdown => self.shutdown_expired(),
                Timer::ShutdownGuard => self.give_up_shutdown(),
            }
        }
        self.data_timeout(now);
        self.collect_events();
    }

    /// Appends one packet to `buf` and gives its length; `None` where nothing is to be sent.
    pub fn poll_transmit(&mut self, now: Instant, buf: &mut Vec<u8>) -> Option<usize> {
        self.origin.get_or_insert(now);
        let len = self.transmit(now, buf);
        if let Some(len) = len {
            self.counts.packets_sent += 1;
            self.counts.bytes_sent += len as u64;
        }
        self.collect_events();
        len
    }

    /// Accepts a message for delivery. It may be called before the association is established.
    ///
    /// # Errors
    /// The message is handed back to nobody: it is refused whole, see [`SendError`].
    pub fn send(&mut self, now: Instant, message: Message, options: SendOptions) -> Result<(), SendError> {
        let streams = match &self.state {
            State::Idle { .. } | State::CookieWait { .. } => self.config.outgoing_streams,
            State::CookieEchoed { block, .. } | State::Open { block, phase: Phase::Established } => {
                block.peer.outgoing_streams
            }
            State::Open { .. } | State::Ended => return Err(SendError::Closed),
        };
        let limit = self.config.max_outgoing_message;
        if message.payload.is_empty() {
            return Err(SendError::Empty);
        }
        if message.payload.len() > limit {
            return Err(SendError::TooLarge { limit });
        }
        if message.stream.0 >= streams {
            return Err(SendError::InvalidStream);
        }
        // A message fits an empty buffer, however large it is.
        let buffered = self.queue.buffered();
        if buffered > 0 && buffered + message.payload.len() > self.config.limits.max_buffered {
            self.refused = true;
            return Err(SendError::Full);
        }
        self.queue.push(now, message, options);
        Ok(())
    }

    /// Takes the next message of `stream`. Messages that are not read hold the peer's window.
    pub fn read(&mut self, now: Instant, stream: StreamId) -> Option<Message> {
        let message = self.inbox.pop(stream)?;
        if let State::Open { block, .. } = &mut self.state {
            block.receiver.handle_read(now, message.payload.len(), &self.inbox);
        }
        Some(message)
    }

    /// Sets the size in bytes to which the buffered amount of `stream` has to fall for [`Event::BufferedAmountLow`].
    /// It is 0 at first.
    pub fn set_buffered_amount_low_threshold(&mut self, stream: StreamId, threshold: usize) {
        self.queue.set_low_threshold(stream, threshold);
    }

    /// Sets the weight of `stream` among the others (RFC 8260 §3.6), 256 at first. The W3C's priorities are 128, 256, 512
    /// and 1,024 (RFC 8831 §6.4).
    pub fn set_stream_weight(&mut self, stream: StreamId, weight: u16) {
        self.queue.set_weight(stream, weight);
    }

    /// Sets the largest message that the peer takes, in bytes, once its description told.
    pub fn set_max_outgoing_message(&mut self, max: usize) {
        self.config.max_outgoing_message = max;
    }

    /// Sets the peer's port, once its description told; to be called before [`Self::connect`].
    pub fn set_remote_port(&mut self, port: u16) {
        self.config.remote_port = port;
    }

    /// Sets the packet sizes, in bytes, that are probed for once they would be of use, and begins with
    /// [`Config::max_packet_size`] again: to be called when the path is another.
    pub fn set_probed_packet_sizes(&mut self, sizes: &[usize]) {
        self.config.probed_packet_sizes = sizes.to_vec();
        if let State::CookieEchoed { block, .. } | State::Open { block, .. } = &mut self.state {
            block.sender.path_mtu.restart(sizes);
        }
    }

    /// Whether the next packet is a probe, which is larger than what the path is known to carry: it has to leave alone, so
    /// that nothing is lost with it.
    pub fn is_probe_due(&self) -> bool {
        self.probe_size().is_some()
    }

    /// Resets our direction of `streams` after the messages accepted so far are on the wire (RFC 6525). Messages sent
    /// on them until [`Event::OutgoingStreamsReset`] wait for it.
    ///
    /// # Errors
    /// See [`ResetError`].
    pub fn reset_streams(&mut self, _now: Instant, streams: &[StreamId]) -> Result<(), ResetError> {
        let State::Open { block, phase: Phase::Established } = &mut self.state else {
            return Err(ResetError::Closed);
        };
        if !block.peer.capabilities.reconfig {
            return Err(ResetError::Unsupported);
        }
        block.resets.want(streams, &mut self.queue);
        Ok(())
    }

    /// The next event; [`Event::Closed`] is the last one.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Self::handle_timeout`] is to be called; `None` where nothing is pending.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let block = match &self.state {
            State::Open { block, .. } => block.next_timeout(),
            State::Idle { .. } | State::CookieWait { .. } | State::CookieEchoed { .. } | State::Ended => None,
        };
        let deadline = self.queue.next_deadline().filter(|_| !matches!(self.state, State::Ended));
        [self.timers.next(), block, deadline].into_iter().flatten().min()
    }

    /// Where the association stands.
    pub fn state(&self) -> AssociationState {
        match &self.state {
            State::Idle { .. } | State::Ended => AssociationState::Closed,
            State::CookieWait { .. } => AssociationState::CookieWait,
            State::CookieEchoed { .. } => AssociationState::CookieEchoed,
            State::Open { phase, .. } => match phase {
                Phase::Established => AssociationState::Established,
                Phase::ShutdownPending => AssociationState::ShutdownPending,
                Phase::ShutdownSent => AssociationState::ShutdownSent,
                Phase::ShutdownReceived => AssociationState::ShutdownReceived,
                Phase::ShutdownAckSent => AssociationState::ShutdownAckSent,
            },
        }
    }

    /// Bytes of messages of `stream` that `send` accepted and that are not on the wire yet: the `bufferedAmount` of the
    /// W3C. What is in flight or waits to be sent again is not in it.
    pub fn buffered_amount(&self, stream: StreamId) -> usize {
        self.queue.stream_buffered(stream)
    }

    /// The same over all streams.
    pub fn total_buffered_amount(&self) -> usize {
        self.queue.buffered()
    }

    /// Whether nothing that `send` accepted still waits to be sent or acknowledged.
    pub fn is_delivered(&self) -> bool {
        let acknowledged = match &self.state {
            State::Open { block, .. } | State::CookieEchoed { block, .. } => block.sender.is_idle(),
            State::Idle { .. } | State::CookieWait { .. } | State::Ended => true,
        };
        acknowledged && self.queue.is_empty()
    }

    /// What was dropped, by reason.
    pub fn drops(&self) -> &Tally<DropReason> {
        &self.drops
    }

    /// Counters since the start, and gauges as they are.
    pub fn statistics(&self) -> Statistics {
        let mut statistics = self.counts;
        if let State::Open { block, .. } | State::CookieEchoed { block, .. } = &self.state {
            let counts = block.sender.counts();
            statistics.chunks_retransmitted = counts.retransmitted;
            statistics.timeouts = counts.timeouts;
            statistics.fast_recoveries = counts.fast_recoveries;
            statistics.tail_probes = counts.tail_probes;
            statistics.spurious_recoveries = counts.spurious_recoveries;
            statistics.least_round_trip_time = block.sender.least_round_trip();
            statistics.pacing_rate = block.sender.pacing_rate(&block.rto).map(|rate| rate as u64);
            statistics.receive_window = block.receiver.window_size();
            statistics.zero_checksum = block.goes_without_checksum(&self.config);
            statistics.interleaving = block.interleaves(&self.config);
            statistics.messages_abandoned = block.sender.abandoned_messages();
            statistics.packet_size = block.sender.path_mtu.size();
            statistics.congestion_window = block.sender.congestion_window();
            statistics.in_flight = block.sender.in_flight();
            statistics.peer_receive_window = block.sender.peer_window();
            statistics.receive_buffered = block.receiver.charged(&self.inbox);
            statistics.round_trip_time = block.rto.smoothed();
            statistics.retransmission_timeout = block.rto.timeout();
        }
        statistics
    }

    /// Handles one chunk; whether the rest of the packet is to be looked at.
    fn handle_chunk(&mut self, now: Instant, tag: u32, chunk: Chunk<'_>) -> bool {
        match chunk {
            Chunk::Data(data) => return self.handle_data(&data),
            Chunk::IData(data) => return self.handle_i_data(&data),
            Chunk::IForwardTsn(forward) => self.handle_i_forward_tsn(&forward),
            Chunk::Pad(_) => {}
            Chunk::Sack(sack) => self.handle_sack(now, &sack),
            Chunk::Init(init) => self.handle_init(now, &init),
            Chunk::InitAck(init) => self.handle_init_ack(now, &init),
            Chunk::CookieEcho(cookie) => return self.handle_cookie_echo(now, tag, cookie),
            Chunk::CookieAck => self.handle_cookie_ack(now),
            Chunk::Heartbeat(info) => self.reply(crate::packet::kind::HEARTBEAT_ACK, info),
            Chunk::HeartbeatAck(info) => self.handle_heartbeat_ack(now, info),
            Chunk::Abort { causes, .. } => {
                self.handle_abort(&causes);
                return false;
            }
            Chunk::Error(causes) => self.handle_error(&causes),
            Chunk::Shutdown(cumulative) => self.handle_shutdown(cumulative),
            Chunk::ShutdownAck => self.handle_shutdown_ack(tag),
            Chunk::ShutdownComplete { .. } => self.handle_shutdown_complete(),
            Chunk::ForwardTsn(forward) => self.handle_forward_tsn(&forward),
            Chunk::ReConfig(reconfig) => self.handle_reconfig(now, &reconfig),
            Chunk::Unknown(raw) => return self.handle_unknown(raw),
        }
        true
    }

    /// Judges the verification tag (RFC 9260 §8.5).
    fn accepts_tag(&self, tag: u32, chunk: &Chunk<'_>, index: usize) -> bool {
        let (local, peer) = match &self.state {
            State::Open { block, .. } | State::CookieEchoed { block, .. } => {
                (block.local.tag, Some(block.peer.tag))
            }
            State::Idle { .. } | State::CookieWait { .. } | State::Ended => (self.local.tag, None),
        };
        match chunk {
            Chunk::Init(_) => tag == 0,
            // The tag is in the cookie, too, and compared there.
            Chunk::CookieEcho(_) => index == 0,
            Chunk::Abort { reflected: true, .. } | Chunk::ShutdownComplete { reflected: true } => {
                Some(tag) == peer
            }
            // It is of an association before this one (RFC 9260 §8.5.1 E).
            Chunk::ShutdownAck
                if matches!(self.state, State::CookieWait { .. } | State::CookieEchoed { .. }) =>
            {
                true
            }
            _ => tag == local,
        }
    }

    fn end_of_packet(&mut self, now: Instant, data: bool) {
        if let State::Open { block, phase } = &mut self.state {
            block.heartbeat.received(now);
            if data && phase.takes_data() {
                block.receiver.end_of_data_packet(now);
            }
        }
        self.perform_deferred_reset();
        self.proceed_shutdown(now);
        self.collect_events();
    }

    /// Moves what the parts noticed into events.
    fn collect_events(&mut self) {
        self.events.extend(self.inbox.take_newly_readable().map(Event::Readable));
        self.events.extend(self.queue.take_low().map(Event::BufferedAmountLow));
        if self.refused && self.queue.buffered() <= self.config.limits.max_buffered / 2 {
            self.refused = false;
            self.events.push_back(Event::Writable);
        }
    }

    /// The one place where the state changes.
    fn set_state(&mut self, state: State) {
        let before = self.state();
        self.state = state;
        debug!(?before, after = ?self.state(), "association state");
    }

    fn set_phase(&mut self, to: Phase) {
        if let State::Open { phase, .. } = &mut self.state {
            debug!(before = ?phase, after = ?to, "association state");
            *phase = to;
        }
    }

    /// Ends the association.
    fn end(&mut self, reason: CloseReason) {
        if matches!(self.state, State::Ended) {
            return;
        }
        self.set_state(State::Ended);
        self.timers.clear();
        self.outbox.forget();
        self.collect_events();
        self.events.push_back(Event::Closed(reason));
    }

    fn drop_for(&mut self, reason: DropReason) {
        trace!(?reason, "dropped");
        self.drops.count(reason);
    }

    fn elapsed(&self, now: Instant) -> Duration {
        self.origin.map_or(Duration::ZERO, |origin| now.saturating_duration_since(origin))
    }
}

/// Whether a chunk must be the only one of its packet (RFC 9260 §6.10).
fn stands_alone(chunk: &Chunk<'_>) -> bool {
    matches!(chunk, Chunk::Init(_) | Chunk::InitAck(_) | Chunk::ShutdownComplete { .. })
}
