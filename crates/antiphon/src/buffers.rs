//! Buffers of the packet path, shared by all connections that are driven on one thread.
//!
//! A driver borrows a set for one turn and gives it back at its end, so that an idle connection owns none. Memory of a
//! set is first touched where the kernel writes to it.

use std::cell::Cell;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;

use antiphon_util::Ecn;
use quinn_udp::{EcnCodepoint, RecvMeta};

/// Buffers that one system call may fill. With receive offload each takes up to 64 datagrams.
const SLOTS: usize = 8;

/// The largest UDP payload, which is also the most that receive offload joins.
const SLOT_SIZE: usize = 65_536;

/// The largest run of datagrams that one system call sends.
pub(crate) const MAX_RUN: usize = 65_536;

/// What a driver needs for one turn.
#[derive(Debug)]
pub(crate) struct Buffers {
    pub(crate) receive: ReceiveBuffers,
    pub(crate) transmit: Vec<u8>,
    /// Where a burst of a TCP connection is received; empty until there is one.
    pub(crate) stream: Vec<u8>,
}

thread_local! {
    static SPARE: Cell<Option<Box<Buffers>>> = const { Cell::new(None) };
}

impl Buffers {
    /// The spare set of this thread, or a new one.
    pub(crate) fn borrow() -> Box<Self> {
        SPARE.take().unwrap_or_else(|| {
            Box::new(Self {
                receive: ReceiveBuffers::new(),
                transmit: Vec::with_capacity(MAX_RUN),
                stream: Vec::new(),
            })
        })
    }

    /// Keeps the set for the next borrower on this thread.
    pub(crate) fn give_back(mut self: Box<Self>) {
        self.receive.filled = 0;
        self.transmit.clear();
        SPARE.set(Some(self));
    }
}

/// Where a burst of datagrams is received.
#[derive(Debug)]
pub(crate) struct ReceiveBuffers {
    memory: Vec<u8>,
    metas: [RecvMeta; SLOTS],
    filled: usize,
}

/// Datagrams of one sender that arrived in one piece.
#[derive(Debug)]
pub(crate) struct Slot<'a> {
    pub(crate) remote: SocketAddr,
    pub(crate) ecn: Option<Ecn>,
    /// Bytes of each datagram but the last, which may be shorter.
    pub(crate) stride: usize,
    pub(crate) bytes: &'a mut [u8],
}

/// One datagram of a burst.
#[derive(Debug)]
pub(crate) struct Datagram<'a> {
    pub(crate) remote: SocketAddr,
    pub(crate) ecn: Option<Ecn>,
    pub(crate) bytes: &'a mut [u8],
}

impl ReceiveBuffers {
    pub(crate) fn new() -> Self {
        Self { memory: vec![0; SLOTS * SLOT_SIZE], metas: [RecvMeta::default(); SLOTS], filled: 0 }
    }

    /// Lets `receive` fill the buffers; it gives how many it filled.
    pub(crate) fn fill(
        &mut self,
        receive: impl FnOnce(&mut [IoSliceMut<'_>], &mut [RecvMeta]) -> io::Result<usize>,
    ) -> io::Result<()> {
        self.filled = 0;
        let mut slots = self.memory.chunks_exact_mut(SLOT_SIZE);
        let mut slices: [IoSliceMut<'_>; SLOTS] =
            std::array::from_fn(|_| IoSliceMut::new(slots.next().unwrap_or_default()));
        self.filled = receive(&mut slices, &mut self.metas)?;
        Ok(())
    }

    /// Whether the last burst had room for no more.
    pub(crate) fn is_full(&self) -> bool {
        self.filled == SLOTS
    }

    /// The last burst.
    pub(crate) fn slots(&mut self) -> impl Iterator<Item = Slot<'_>> {
        let slots = self.memory.chunks_exact_mut(SLOT_SIZE);
        slots.zip(self.metas.iter()).take(self.filled).map(|(slot, meta)| Slot {
            remote: meta.addr,
            ecn: meta.ecn.map(mark),
            stride: meta.stride.max(1),
            bytes: slot.get_mut(..meta.len).unwrap_or_default(),
        })
    }

    /// The datagrams of the last burst.
    pub(crate) fn datagrams(&mut self) -> impl Iterator<Item = Datagram<'_>> {
        self.slots().flat_map(|Slot { remote, ecn, stride, bytes }| {
            bytes.chunks_mut(stride).map(move |bytes| Datagram { remote, ecn, bytes })
        })
    }
}

fn mark(ecn: EcnCodepoint) -> Ecn {
    match ecn {
        EcnCodepoint::Ect0 => Ecn::Ect0,
        EcnCodepoint::Ect1 => Ecn::Ect1,
        EcnCodepoint::Ce => Ecn::Ce,
    }
}
