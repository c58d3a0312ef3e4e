//! Packets with DATA under way, in the order of sending.

use std::collections::VecDeque;
use std::time::Instant;

use super::path_mtu::LostPackets;
use crate::congestion::Snapshot;
use crate::tsn::Tsn;

/// Number of a packet with DATA, in the order of sending.
pub(super) type Serial = u64;

/// What was sent when, for as long as an acknowledgement may tell something about it. Neither sending nor
/// acknowledging walks it.
#[derive(Debug, Default)]
pub(super) struct Flight {
    /// Number of the first in `packets`.
    first: Serial,
    packets: VecDeque<SentPacket>,
    /// Every transmission of a chunk, in order; some are acknowledged, lost or repeated since.
    transmissions: VecDeque<(Tsn, Serial)>,
}

#[derive(Debug)]
struct SentPacket {
    snapshot: Snapshot,
    /// In bytes, once it is written.
    size: usize,
    /// Chunks that were last sent with it and are not acknowledged.
    pending: u32,
}

impl SentPacket {
    fn as_lost(&self) -> LostPackets {
        LostPackets { smallest: self.size, sent_at: self.snapshot.sent_at }
    }
}

impl Flight {
    /// The number that the next packet will have.
    pub(super) fn next(&self) -> Serial {
        self.first + self.packets.len() as u64
    }

    /// The number of the packet begun last.
    pub(super) fn current(&self) -> Serial {
        self.next().saturating_sub(1)
    }

    /// Begins the packet with the number [`Self::next`].
    pub(super) fn begin(&mut self, snapshot: Snapshot) {
        self.packets.push_back(SentPacket { snapshot, size: 0, pending: 0 });
    }

    /// The packet begun last carries `tsn`; after it so many bytes are in flight.
    pub(super) fn carry(&mut self, tsn: Tsn, in_flight: usize) {
        let serial = self.current();
        if let Some(packet) = self.packets.back_mut() {
            packet.pending += 1;
            packet.snapshot.in_flight = in_flight;
            self.transmissions.push_back((tsn, serial));
        }
    }

    /// The packet begun last is written.
    pub(super) fn end(&mut self, size: usize) {
        if let Some(packet) = self.packets.back_mut() {
            packet.size = size;
        }
    }

    pub(super) fn size(&self, serial: Serial) -> usize {
        self.packet(serial).map_or(0, |packet| packet.size)
    }

    /// The packets larger than `size` of which something is not settled.
    pub(super) fn larger_than(&self, size: usize) -> Option<LostPackets> {
        let pending = self.packets.iter().filter(|packet| packet.pending > 0 && packet.size > size);
        pending.fold(None, |larger, packet| Some(LostPackets::and(larger, packet.as_lost())))
    }

    pub(super) fn snapshot(&self, serial: Serial) -> Option<Snapshot> {
        self.packet(serial).map(|packet| packet.snapshot)
    }

    pub(super) fn sent_at(&self, serial: Serial) -> Option<Instant> {
        self.packet(serial).map(|packet| packet.snapshot.sent_at)
    }

    /// A chunk that was last sent with packet `serial` is settled, or sent with another.
    pub(super) fn settle(&mut self, serial: Serial) {
        let index = serial.checked_sub(self.first).and_then(|index| usize::try_from(index).ok());
        if let Some(packet) = index.and_then(|index| self.packets.get_mut(index)) {
            packet.pending = packet.pending.saturating_sub(1);
        }
        while self.packets.front().is_some_and(|packet| packet.pending == 0) {
            self.packets.pop_front();
            self.first += 1;
        }
    }

    /// The earliest transmission that may still count.
    pub(super) fn earliest(&self) -> Option<(Tsn, Serial)> {
        self.transmissions.front().copied()
    }

    pub(super) fn drop_earliest(&mut self) {
        self.transmissions.pop_front();
    }

    /// Replaces what is known of transmissions.
    pub(super) fn restore(&mut self, mut transmissions: Vec<(Tsn, Serial)>) {
        transmissions.sort_unstable_by_key(|(tsn, serial)| (*serial, *tsn));
        self.transmissions = transmissions.into();
    }

    fn packet(&self, serial: Serial) -> Option<&SentPacket> {
        self.packets.get(usize::try_from(serial.checked_sub(self.first)?).ok()?)
    }
}
