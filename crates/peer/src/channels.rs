//! The data channels of a connection: their ids, how they open (RFC 8832), and how they close (RFC 8831 §6.7).

mod closing;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Instant;

use antiphon_sctp::{self as sctp, Association, SendOptions, StreamId};
use antiphon_util::{Reader, Tally, Writer};

use crate::channel::{Closing, State};
use crate::dcep::{self, DcepMessage, Open};
use crate::negotiation::DtlsRole;
use crate::{
    Channel, ChannelId, CreateDataChannelError, DataChannelInit, DropReason, Event, Limits, Message,
    Priority, SendError,
};

/// The largest id that may be used (RFC 8832 §5).
const MAX_ID: u16 = 65_534;

/// What the channels work with, lent for one call.
pub(crate) struct Context<'a> {
    pub(crate) now: Instant,
    pub(crate) association: &'a mut Association,
    pub(crate) events: &'a mut VecDeque<Event>,
    pub(crate) drops: &'a mut Tally<DropReason>,
}

/// The channels of a connection.
#[derive(Debug)]
pub(crate) struct Channels {
    /// Boxed, since the map keeps room for eleven where there is one.
    channels: BTreeMap<ChannelId, Box<Channel>>,
    by_stream: HashMap<StreamId, ChannelId>,
    next: u64,
    role: Option<DtlsRole>,
    /// The association is up.
    connected: bool,
    /// Streams of the association, in the direction that has fewer.
    streams: u16,
    /// Streams whose reset failed.
    retired: BTreeSet<StreamId>,
    /// No id of our role below this one is free.
    free_from: u16,
    /// Messages of DCEP that the association had no room for.
    waiting: VecDeque<(StreamId, DcepMessage)>,
    limit: usize,
    label_length: usize,
    pub(crate) opened: u64,
    pub(crate) closed: u64,
    sent: u64,
    received: u64,
}

impl Channels {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            channels: BTreeMap::new(),
            by_stream: HashMap::new(),
            next: 0,
            role: None,
            connected: false,
            streams: u16::MAX,
            retired: BTreeSet::new(),
            free_from: 0,
            waiting: VecDeque::new(),
            limit: limits.channels,
            label_length: limits.label_length.min(65_535),
            opened: 0,
            closed: 0,
            sent: 0,
            received: 0,
        }
    }

    pub(crate) fn get(&self, id: ChannelId) -> Option<&Channel> {
        self.channels.get(&id).map(|channel| &**channel)
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = ChannelId> + '_ {
        self.channels.keys().copied()
    }

    /// Messages sent and received on all channels so far.
    pub(crate) fn messages(&self) -> (u64, u64) {
        (self.sent, self.received)
    }

    /// Makes a channel; it opens by itself as soon as there is an association.
    pub(crate) fn create(
        &mut self,
        label: &str,
        init: DataChannelInit,
        mut context: Context<'_>,
    ) -> Result<ChannelId, CreateDataChannelError> {
        let reliability = init.reliability()?;
        if label.len() > self.label_length {
            return Err(CreateDataChannelError::LabelTooLong);
        }
        if init.protocol.len() > self.label_length {
            return Err(CreateDataChannelError::ProtocolTooLong);
        }
        if self.channels.len() >= self.limit {
            return Err(CreateDataChannelError::TooMany);
        }
        let stream = self.stream_for(&init)?;
        let id = self.insert(Channel {
            label: label.into(),
            protocol: init.protocol,
            ordered: init.ordered,
            reliability,
            negotiated: init.negotiated,
            stream,
            priority: init.priority,
            state: State::Connecting,
            low_threshold: 0,
            ahead: None,
            statistics: Default::default(),
        });
        if self.connected {
            self.open(&mut context, id);
        }
        Ok(id)
    }

    /// Our role is known: channels without an id get one (RFC 8832 §6).
    pub(crate) fn set_role(&mut self, role: DtlsRole, events: &mut VecDeque<Event>) {
        if self.role.is_some() {
            return;
        }
        self.role = Some(role);
        self.free_from = match role {
            DtlsRole::Client => 0,
            DtlsRole::Server => 1,
        };
        let without: Vec<ChannelId> =
            self.channels.iter().filter(|(_, channel)| channel.stream.is_none()).map(|(id, _)| *id).collect();
        for id in without {
            match self.free_stream() {
                Some(stream) => {
                    self.by_stream.insert(stream, id);
                    if let Some(channel) = self.channels.get_mut(&id) {
                        channel.stream = Some(stream);
                    }
                }
                None => self.remove(id, events),
            }
        }
    }

    /// The association is up, with so many streams.
    pub(crate) fn connect(&mut self, context: &mut Context<'_>, streams: u16) {
        self.connected = true;
        self.streams = streams;
        let waiting: Vec<ChannelId> = self.channels.keys().copied().collect();
        for id in waiting {
            let in_range = |stream: StreamId| stream.0 < streams;
            match self.channels.get(&id).and_then(|channel| channel.stream) {
                Some(stream) if in_range(stream) => self.open(context, id),
                _ => self.remove(id, context.events),
            }
        }
    }

    /// The association is over.
    pub(crate) fn disconnect(&mut self, events: &mut VecDeque<Event>) {
        self.connected = false;
        self.waiting.clear();
        for (id, channel) in &mut self.channels {
            if channel.state != State::Closed {
                channel.state = State::Closed;
                self.closed += 1;
                events.push_back(Event::ChannelClosed(*id));
            }
        }
    }

    pub(crate) fn handle_event(&mut self, context: &mut Context<'_>, event: sctp::Event) {
        match event {
            sctp::Event::Readable(stream) => self.handle_readable(context, stream),
            sctp::Event::BufferedAmountLow(stream) => {
                let channel = self.by_stream.get(&stream).and_then(|id| Some((id, self.channels.get(id)?)));
                if let Some((id, channel)) = channel
                    && channel.statistics.messages_sent > 0
                    && matches!(channel.state, State::Open { .. })
                {
                    context.events.push_back(Event::ChannelBufferedAmountLow(*id));
                }
            }
            sctp::Event::Writable => {
                self.send_waiting(context);
                context.events.push_back(Event::Writable);
            }
            sctp::Event::IncomingStreamsReset(streams) => {
                streams.into_iter().for_each(|stream| self.handle_incoming_reset(context, stream));
            }
            sctp::Event::OutgoingStreamsReset(streams) => {
                streams.into_iter().for_each(|stream| self.handle_outgoing_reset(context, stream));
            }
            sctp::Event::ResetFailed(streams) => {
                for stream in streams {
                    self.retired.insert(stream);
                    if let Some(id) = self.by_stream.get(&stream).copied() {
                        self.remove(id, context.events);
                    }
                }
            }
            _ => {}
        }
    }

    /// Sends a message on an open channel.
    pub(crate) fn send(
        &mut self,
        now: Instant,
        association: &mut Association,
        id: ChannelId,
        message: Message,
    ) -> Result<(), SendError> {
        let channel = self.channels.get_mut(&id).ok_or(SendError::NotOpen)?;
        let (State::Open { acknowledged }, Some(stream)) = (channel.state, channel.stream) else {
            return Err(SendError::NotOpen);
        };
        if self.waiting.iter().any(|(waiting, _)| *waiting == stream) {
            return Err(SendError::Full);
        }
        let len = message.len();
        let (ppid, payload) = message.into_payload();
        let options =
            SendOptions { ordered: channel.ordered || !acknowledged, reliability: channel.reliability };
        association.send(now, sctp::Message { stream, ppid, payload }, options).map_err(
            |error| match error {
                sctp::SendError::TooLarge { limit } => SendError::TooLarge { limit },
                sctp::SendError::Full => SendError::Full,
                _ => SendError::NotOpen,
            },
        )?;
        self.sent += 1;
        channel.statistics.messages_sent += 1;
        channel.statistics.bytes_sent += len as u64;
        Ok(())
    }

    /// The next message of a channel.
    pub(crate) fn receive(&mut self, context: &mut Context<'_>, id: ChannelId) -> Option<Message> {
        let channel = self.channels.get_mut(&id)?;
        if matches!(channel.state, State::Closing(Closing { discards: true, .. })) {
            return None;
        }
        let message = channel.ahead.take().or_else(|| read(channel, context));
        if let Some(message) = &message {
            self.received += 1;
            channel.statistics.messages_received += 1;
            channel.statistics.bytes_received += message.len() as u64;
        }
        self.release(context, id);
        message
    }

    pub(crate) fn set_low_threshold(
        &mut self,
        association: &mut Association,
        id: ChannelId,
        threshold: usize,
    ) {
        let Some(channel) = self.channels.get_mut(&id) else { return };
        channel.low_threshold = threshold;
        if let (Some(stream), true) = (channel.stream, self.connected) {
            association.set_buffered_amount_low_threshold(stream, threshold);
        }
    }

    fn insert(&mut self, channel: Channel) -> ChannelId {
        let id = ChannelId(self.next);
        self.next += 1;
        if let Some(stream) = channel.stream {
            self.by_stream.insert(stream, id);
        }
        self.channels.insert(id, Box::new(channel));
        id
    }

    fn remove(&mut self, id: ChannelId, events: &mut VecDeque<Event>) {
        let Some(channel) = self.channels.remove(&id) else { return };
        if let Some(stream) = channel.stream {
            self.by_stream.remove(&stream);
            // Or a peer that opens and closes channels while nothing can be sent would have them pile up.
            self.waiting.retain(|(waiting, _)| *waiting != stream);
            self.free_from = match self.role {
                Some(role) if is_of(role, stream) => self.free_from.min(stream.0),
                _ => self.free_from,
            };
        }
        if channel.state != State::Closed {
            self.closed += 1;
            events.push_back(Event::ChannelClosed(id));
        }
    }

    fn stream_for(&mut self, init: &DataChannelInit) -> Result<Option<StreamId>, CreateDataChannelError> {
        // W3C webrtc-pc §6.1: the id counts only for negotiated channels.
        match init.id.filter(|_| init.negotiated) {
            None if init.negotiated => Err(CreateDataChannelError::NoId),
            None if self.role.is_none() => Ok(None),
            None => self.free_stream().map(Some).ok_or(CreateDataChannelError::NoIdLeft),
            Some(id) if id > MAX_ID || id >= self.streams => Err(CreateDataChannelError::InvalidId),
            Some(id) if self.is_used(StreamId(id)) => Err(CreateDataChannelError::IdInUse),
            Some(id) => Ok(Some(StreamId(id))),
        }
    }

    fn is_used(&self, stream: StreamId) -> bool {
        self.by_stream.contains_key(&stream) || self.retired.contains(&stream)
    }

    /// The lowest free id of our role: even for the DTLS client, odd for the server (RFC 8832 §6).
    fn free_stream(&mut self) -> Option<StreamId> {
        // The end is at most 65,535, which is no id (RFC 8832 §5).
        let free = (self.free_from..self.streams).step_by(2).find(|id| !self.is_used(StreamId(*id)))?;
        self.free_from = free;
        Some(StreamId(free))
    }

    /// Opens a channel of ours.
    fn open(&mut self, context: &mut Context<'_>, id: ChannelId) {
        let Some(channel) = self.channels.get_mut(&id) else { return };
        let Some(stream) = channel.stream else { return };
        channel.state = State::Open { acknowledged: channel.negotiated };
        context.association.set_stream_weight(stream, channel.priority.value());
        if channel.low_threshold > 0 {
            context.association.set_buffered_amount_low_threshold(stream, channel.low_threshold);
        }
        self.opened += 1;
        context.events.push_back(Event::ChannelOpen(id));
        if !channel.negotiated {
            let open = Open {
                ordered: channel.ordered,
                reliability: channel.reliability,
                priority: channel.priority.value(),
                label: channel.label.clone(),
                protocol: channel.protocol.clone(),
            };
            self.send_dcep(context, stream, DcepMessage::Open(open));
        }
        // The peer of a negotiated channel may have been quicker.
        self.handle_readable(context, stream);
    }

    fn send_dcep(&mut self, context: &mut Context<'_>, stream: StreamId, message: DcepMessage) {
        self.waiting.push_back((stream, message));
        self.send_waiting(context);
    }

    fn send_waiting(&mut self, context: &mut Context<'_>) {
        while let Some((stream, message)) = self.waiting.front() {
            let mut payload = Vec::new();
            message.write(&mut Writer::new(&mut payload));
            // RFC 8832 §6: ordered and reliable, whatever the channel is.
            let message = sctp::Message { stream: *stream, ppid: dcep::PPID_DCEP, payload: payload.into() };
            match context.association.send(context.now, message, SendOptions::default()) {
                Err(sctp::SendError::Full) => return,
                Ok(()) | Err(_) => self.waiting.pop_front(),
            };
        }
    }

    fn handle_readable(&mut self, context: &mut Context<'_>, stream: StreamId) {
        let Some(id) = self.by_stream.get(&stream).copied() else {
            return self.accept(context, stream);
        };
        let Some(channel) = self.channels.get_mut(&id) else { return };
        match channel.state {
            // Whether the peer has acknowledged is seen by looking at its first message.
            State::Open { acknowledged: false } => {
                if channel.ahead.is_none() {
                    channel.ahead = read(channel, context);
                }
                if channel.ahead.is_some() {
                    channel.state = State::Open { acknowledged: true };
                    context.events.push_back(Event::ChannelReadable(id));
                }
            }
            State::Open { acknowledged: true } => context.events.push_back(Event::ChannelReadable(id)),
            State::Closing(Closing { peers_done: false, discards: true, .. }) => discard(channel, context),
            // Of the next channel on this stream; looked at when this one is gone.
            State::Closing(_) | State::Connecting | State::Closed => {}
        }
    }

    /// Opens the channel that the peer's first message on a stream asks for (RFC 8832 §6).
    fn accept(&mut self, context: &mut Context<'_>, stream: StreamId) {
        while let Some(message) = context.association.read(context.now, stream) {
            match parse_dcep(&message) {
                Some(DcepMessage::Open(open)) => return self.accept_open(context, stream, open),
                _ => context.drops.count(DropReason::NoChannel),
            }
        }
    }

    fn accept_open(&mut self, context: &mut Context<'_>, stream: StreamId, open: Open) {
        let is_ours = self.role.is_none_or(|role| is_of(role, stream));
        let too_long = open.label.len().max(open.protocol.len()) > self.label_length;
        if is_ours || too_long || stream.0 >= self.streams || self.channels.len() >= self.limit {
            tracing::debug!(stream = stream.0, is_ours, too_long, "channel refused");
            context.drops.count(DropReason::ChannelRefused);
            // Whatever comes on it until the peer gives up is of no channel. An association that can't reset
            // streams leaves it at that.
            let _ = context.association.reset_streams(context.now, &[stream]);
            return;
        }
        let priority = Priority::of(open.priority);
        context.association.set_stream_weight(stream, priority.value());
        let id = self.insert(Channel {
            label: open.label,
            protocol: open.protocol,
            ordered: open.ordered,
            reliability: open.reliability,
            negotiated: false,
            stream: Some(stream),
            priority,
            state: State::Open { acknowledged: true },
            low_threshold: 0,
            ahead: None,
            statistics: Default::default(),
        });
        self.opened += 1;
        self.send_dcep(context, stream, DcepMessage::Ack);
        context.events.push_back(Event::DataChannel(id));
        context.events.push_back(Event::ChannelOpen(id));
        // More may have come with it.
        if let Some(channel) = self.channels.get_mut(&id) {
            channel.ahead = read(channel, context);
            if channel.ahead.is_some() {
                context.events.push_back(Event::ChannelReadable(id));
            }
        }
    }
}

/// Whether `stream` is one that the end of this role chooses.
fn is_of(role: DtlsRole, stream: StreamId) -> bool {
    stream.0.is_multiple_of(2) == (role == DtlsRole::Client)
}

/// The next message for the application; what DCEP says on the way is taken note of.
fn read(channel: &mut Channel, context: &mut Context<'_>) -> Option<Message> {
    let stream = channel.stream?;
    loop {
        let message = context.association.read(context.now, stream)?;
        if message.ppid == dcep::PPID_DCEP {
            match (parse_dcep(&message), channel.state) {
                (Some(DcepMessage::Ack), State::Open { .. }) => {
                    channel.state = State::Open { acknowledged: true };
                }
                _ => context.drops.count(DropReason::UnexpectedDcep),
            }
            continue;
        }
        match Message::from_payload(message.ppid, message.payload) {
            Some(message) => return Some(message),
            None => context.drops.count(DropReason::UnknownPayload),
        }
    }
}

fn discard(channel: &mut Channel, context: &mut Context<'_>) {
    let Some(stream) = channel.stream else { return };
    while context.association.read(context.now, stream).is_some() {
        context.drops.count(DropReason::ChannelClosed);
    }
}

fn parse_dcep(message: &sctp::Message) -> Option<DcepMessage> {
    let is_dcep = message.ppid == dcep::PPID_DCEP;
    DcepMessage::parse(&mut Reader::new(&message.payload)).ok().filter(|_| is_dcep)
}
