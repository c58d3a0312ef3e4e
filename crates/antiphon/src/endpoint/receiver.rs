//! The task that reads one shared socket and hands each datagram to the connection that it is for.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};

use antiphon_util::Path;
use tokio::sync::mpsc::UnboundedReceiver;

use super::inbox::{Full, Inbox};
use super::router::{Change, Router};
use crate::buffers::{Buffers, Slot};
use crate::socket::{Reader, Socket};

/// Bursts that are read before other tasks get their turn.
const MAX_BURSTS: usize = 8;

/// Reads a socket until its endpoint is gone. It owns the routing table, so that nothing is locked to find a connection.
pub(crate) struct Receiver {
    reader: Reader,
    router: Router,
    changes: UnboundedReceiver<Change>,
    delivery: Delivery,
}

/// How datagrams get from a burst into inboxes.
struct Delivery {
    local: SocketAddr,
    counters: Arc<Counters>,
    /// Drivers to be woken when the burst has been handed out.
    wakers: Vec<Waker>,
}

/// What one socket has received.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) datagrams: AtomicU64,
    /// For nobody that is known.
    pub(crate) unknown: AtomicU64,
    /// For a connection whose inbox was full.
    pub(crate) overflowed: AtomicU64,
}

impl Receiver {
    pub(crate) fn new(
        socket: Arc<Socket>,
        router: Router,
        changes: UnboundedReceiver<Change>,
        counters: Arc<Counters>,
    ) -> Self {
        let delivery = Delivery { local: socket.local(), counters, wakers: Vec::new() };
        Self { reader: Reader::new(socket), router, changes, delivery }
    }

    fn turn(&mut self, cx: &mut Context<'_>, buffers: &mut Buffers) -> Poll<()> {
        for _ in 0..MAX_BURSTS {
            let received = self.reader.poll_receive(cx, &mut buffers.receive);
            // Changes that were made before the burst was read count for it.
            if self.apply_changes(cx).is_ready() {
                return Poll::Ready(());
            }
            if received.is_pending() {
                return Poll::Pending;
            }
            buffers.receive.slots().for_each(|slot| self.delivery.hand_out(&self.router, &slot));
            self.delivery.wakers.drain(..).for_each(Waker::wake);
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Ready when the endpoint is gone.
    fn apply_changes(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Poll::Ready(change) = self.changes.poll_recv(cx) {
            match change {
                Some(change) => self.router.apply(change),
                None => return Poll::Ready(()),
            }
        }
        Poll::Pending
    }
}

impl Delivery {
    fn hand_out(&mut self, router: &Router, slot: &Slot<'_>) {
        let datagrams = slot.bytes.len().div_ceil(slot.stride).max(1) as u64;
        self.counters.datagrams.fetch_add(datagrams, Relaxed);
        let may_be_stun = |datagram: &[u8]| matches!(datagram.first(), Some(0..=3));
        if slot.bytes.chunks(slot.stride).any(may_be_stun) {
            for datagram in slot.bytes.chunks(slot.stride) {
                self.deliver(router.route(slot.remote, datagram), slot, datagram, 1);
            }
        } else {
            // All of it belongs to whom the address belongs.
            self.deliver(router.owner(slot.remote), slot, slot.bytes, datagrams);
        }
    }

    fn deliver(&mut self, inbox: Option<&Arc<Inbox>>, slot: &Slot<'_>, bytes: &[u8], datagrams: u64) {
        let Some(inbox) = inbox else {
            self.counters.unknown.fetch_add(datagrams, Relaxed);
            return;
        };
        match inbox.push(Path::udp(self.local, slot.remote), slot.ecn, slot.stride, bytes) {
            Ok(waker) => self.wakers.extend(waker),
            Err(Full) => {
                self.counters.overflowed.fetch_add(datagrams, Relaxed);
            }
        }
    }
}

impl Future for Receiver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut buffers = Buffers::borrow();
        let turn = self.turn(cx, &mut buffers);
        buffers.give_back();
        turn
    }
}
