//! Building packets when they are asked for.

use std::collections::VecDeque;
use std::time::Instant;

use antiphon_util::Writer;

use super::establish::new_tag;
use super::heartbeat::write_info;
use super::{Association, Phase, State, Timer};
use crate::DropReason;
use crate::packet::{
    Causes, Chunk, ErrorCause, HEADER_LEN, Header, OutgoingReset, PacketWriter, Parameters, kind, write_chunk,
};

/// What is to be sent beside data: control chunks that are wanted, each once, and answers.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    wanted: Vec<Control>,
    replies: VecDeque<Reply>,
}

/// Control chunks that are built when they are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Control {
    Init,
    CookieEcho,
    CookieAck,
    Heartbeat,
    Shutdown,
    ShutdownAck,
}

/// An answer, built when it was caused.
#[derive(Debug)]
enum Reply {
    /// Goes with others to the peer.
    Bundled(Vec<u8>),
    /// Goes alone under a tag of its own.
    Apart(u32, Vec<u8>),
}

impl Outbox {
    pub(super) fn want(&mut self, control: Control) {
        if !self.wanted.contains(&control) {
            self.wanted.push(control);
        }
    }

    pub(super) fn withdraw(&mut self, control: Control) {
        self.wanted.retain(|wanted| *wanted != control);
    }

    /// Forgets all but what goes alone.
    pub(super) fn forget(&mut self) {
        self.wanted.clear();
        self.replies.retain(|reply| matches!(reply, Reply::Apart(..)));
    }

    fn is_empty(&self) -> bool {
        self.wanted.is_empty() && self.replies.is_empty()
    }

    /// Writes answers to the peer, as many as fit.
    fn write_replies(&mut self, packet: &mut PacketWriter<'_>) {
        while let Some(Reply::Bundled(chunk)) = self
            .replies
            .pop_front_if(|reply| matches!(reply, Reply::Bundled(chunk) if chunk.len() <= packet.remaining()))
        {
            packet.chunks().bytes(&chunk);
        }
    }

    fn take(&mut self, control: Control) -> bool {
        let before = self.wanted.len();
        self.withdraw(control);
        self.wanted.len() != before
    }
}

/// Bytes of information in ERROR at most, beside what goes into the same packet.
pub(super) const MOST_INFORMATION: usize = 256;

impl Association {
    /// Answers with a chunk of the association.
    pub(super) fn reply(&mut self, kind: u8, value: &[u8]) {
        let has_peer = matches!(self.state, State::Open { .. } | State::CookieEchoed { .. });
        if !has_peer || value.len() + 4 > self.config.packet_size() - HEADER_LEN {
            return self.drop_for(DropReason::UnexpectedChunk);
        }
        let mut chunk = Vec::new();
        write_chunk(&mut Writer::new(&mut chunk), kind, 0, value);
        self.push_reply(Reply::Bundled(chunk));
    }

    /// Answers with a whole chunk.
    pub(super) fn reply_chunk(&mut self, chunk: Vec<u8>) {
        self.push_reply(Reply::Bundled(chunk));
    }

    /// Answers with ERROR; information beyond what fits is cut off.
    pub(super) fn reply_error(&mut self, cause: ErrorCause<'_>) {
        let information = cause.information.get(..MOST_INFORMATION).unwrap_or(cause.information);
        let mut causes = Vec::new();
        ErrorCause { information, ..cause }.write(&mut Writer::new(&mut causes));
        self.reply(kind::ERROR, &causes);
    }

    /// Answers with a packet of its own.
    pub(super) fn reply_apart(&mut self, tag: u32, chunk: &Chunk<'_>) {
        let mut bytes = Vec::new();
        chunk.write(&mut Writer::new(&mut bytes));
        self.push_reply(Reply::Apart(tag, bytes));
    }

    pub(super) fn transmit(&mut self, now: Instant, buf: &mut Vec<u8>) -> Option<usize> {
        if !self.outbox.is_empty()
            && let Some(len) = self.transmit_apart(now, buf)
        {
            return Some(len);
        }
        let State::Open { block, .. } = &self.state else { return None };
        let (tag, without_checksum) = (block.peer.tag, block.goes_without_checksum(&self.config));
        let start = buf.len();
        let header = self.header(tag);
        if let Some(size) = self.probe_size() {
            let mut packet = PacketWriter::new(buf, header, size);
            self.write_probe(now, &mut packet);
            return Some(finish(packet, without_checksum));
        }
        let mut packet = PacketWriter::new(buf, header, block.sender.path_mtu.size());
        if !self.outbox.is_empty() {
            self.write_control(now, &mut packet);
        }
        self.write_data(now, &mut packet);
        if packet.is_empty() {
            buf.truncate(start);
            return None;
        }
        Some(finish(packet, without_checksum))
    }

    /// The size of the probe that is to be sent next.
    pub(super) fn probe_size(&self) -> Option<usize> {
        match &self.state {
            State::Open { block, phase: Phase::Established } => block.sender.path_mtu.due(),
            _ => None,
        }
    }

    /// HEARTBEAT, and padding up to the size that is probed for (RFC 8899 §6.2.1.2, RFC 4820 §4).
    fn write_probe(&mut self, now: Instant, packet: &mut PacketWriter<'_>) {
        let State::Open { block, .. } = &mut self.state else { return };
        let nonce = block.sender.path_mtu.sent(now, block.rto.timeout(), &mut self.rng);
        let mut info = Vec::new();
        write_info(nonce, &mut info);
        Chunk::Heartbeat(&info).write(packet.chunks());
        let padding = packet.remaining().saturating_sub(CHUNK_HEADER_LEN);
        Chunk::Pad(padding).write(packet.chunks());
    }

    /// Packets that hold one chunk and have a tag of their own.
    fn transmit_apart(&mut self, now: Instant, buf: &mut Vec<u8>) -> Option<usize> {
        let at = self.outbox.replies.iter().position(|reply| matches!(reply, Reply::Apart(..)));
        if let Some(Reply::Apart(tag, chunk)) = at.and_then(|at| self.outbox.replies.remove(at)) {
            let mut packet = self.packet(buf, tag);
            packet.chunks().bytes(&chunk);
            return Some(packet.finish());
        }
        if self.outbox.take(Control::Init) {
            let mut parameters = Vec::new();
            self.config.capabilities().write(&mut Writer::new(&mut parameters));
            let init = self.own_init(self.local, Parameters::written(&parameters));
            self.setup_sent(now);
            // INIT goes out under tag 0 (RFC 9260 §8.5.1 A).
            let mut packet = self.packet(buf, 0);
            Chunk::Init(init).write(packet.chunks());
            return Some(packet.finish());
        }
        if matches!(self.state, State::CookieEchoed { .. }) && self.outbox.take(Control::CookieEcho) {
            self.setup_sent(now);
            let State::CookieEchoed { block, cookie, .. } = &self.state else { return None };
            let mut packet = self.packet(buf, block.peer.tag);
            Chunk::CookieEcho(cookie).write(packet.chunks());
            self.outbox.write_replies(&mut packet);
            return Some(packet.finish());
        }
        None
    }

    /// Control chunks of an open association.
    fn write_control(&mut self, now: Instant, packet: &mut PacketWriter<'_>) {
        if self.outbox.take(Control::CookieAck) {
            Chunk::CookieAck.write(packet.chunks());
        }
        self.outbox.write_replies(packet);
        let State::Open { block, phase } = &mut self.state else { return };
        if packet.remaining() >= 16 && self.outbox.take(Control::Heartbeat) {
            let mut info = Vec::new();
            let nonce = u64::from(new_tag(&mut self.rng));
            block.heartbeat.send(now, nonce, block.rto.timeout(), &mut info);
            Chunk::Heartbeat(&info).write(packet.chunks());
        }
        if packet.remaining() < 8 {
            return;
        }
        let (shutdown, chunk) = match phase {
            Phase::ShutdownSent => (Control::Shutdown, Chunk::Shutdown(block.receiver.cumulative().wire())),
            Phase::ShutdownAckSent => (Control::ShutdownAck, Chunk::ShutdownAck),
            Phase::Established | Phase::ShutdownPending | Phase::ShutdownReceived => return,
        };
        if self.outbox.take(shutdown) {
            chunk.write(packet.chunks());
            self.timers.set(Timer::Shutdown, now + block.rto.timeout());
        }
    }

    /// SACK, RE-CONFIG and DATA of an open association.
    fn write_data(&mut self, now: Instant, packet: &mut PacketWriter<'_>) {
        let State::Open { block, phase } = &mut self.state else { return };
        let sends = matches!(phase, Phase::Established | Phase::ShutdownPending | Phase::ShutdownReceived);
        let receiver = &mut block.receiver;
        let sack = receiver.wants_sack()
            || (sends && receiver.has_sack() && block.sender.has_data(now, &block.rto, &mut self.queue));
        if sack && packet.remaining() >= 16 {
            receiver.write_sack(packet, &self.inbox);
        }
        if !sends {
            return;
        }
        // A request of so many streams fits any packet.
        const MOST: usize = 128;
        block.resets.open_request(&self.queue, block.sender.last_tsn(), MOST);
        if let Some(open) = block.resets.due()
            && packet.remaining() >= 24 + 2 * open.streams.len()
        {
            let response = block.resets.last_peer_request();
            OutgoingReset::write_parts(packet.chunks(), open.request, response, open.last_tsn, &open.streams);
            block.resets.sent(now, &block.rto);
        }
        block.sender.write_data(now, &block.rto, packet, &mut self.queue);
    }

    fn push_reply(&mut self, reply: Reply) {
        if self.outbox.replies.len() >= self.config.limits.max_replies {
            return self.drop_for(DropReason::TooManyReplies);
        }
        self.outbox.replies.push_back(reply);
    }

    fn packet<'a>(&self, buf: &'a mut Vec<u8>, tag: u32) -> PacketWriter<'a> {
        PacketWriter::new(buf, self.header(tag), self.config.packet_size())
    }

    fn header(&self, tag: u32) -> Header {
        Header {
            source_port: self.config.local_port,
            destination_port: self.config.remote_port,
            verification_tag: tag,
        }
    }

    /// The causes of an ABORT with one cause.
    pub(super) fn send_abort(&mut self, code: u16, information: &[u8]) {
        let (State::Open { block, .. } | State::CookieEchoed { block, .. }) = &self.state else { return };
        let tag = block.peer.tag;
        let mut causes = Vec::new();
        ErrorCause { code, information }.write(&mut Writer::new(&mut causes));
        // It is the last that is sent: room is made for it.
        self.outbox.replies.clear();
        self.reply_apart(tag, &Chunk::Abort { reflected: false, causes: Causes::new(&causes) });
    }
}

/// Bytes of a chunk before its value.
const CHUNK_HEADER_LEN: usize = 4;

fn finish(packet: PacketWriter<'_>, without_checksum: bool) -> usize {
    if without_checksum { packet.finish_without_checksum() } else { packet.finish() }
}
