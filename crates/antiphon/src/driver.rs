//! The task that drives a connection: sockets, timers, and the wake-up of whoever waits.
//!
//! One turn reads a burst from each socket, hands all of it to the peer, and then flushes once, so that what is sent
//! forms long runs. The lock is held while datagrams are handled and built, never during a system call or an await, and no
//! code of the user runs here.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use antiphon_util::{Path, Protocol, Received, Transmit};
use tokio::sync::mpsc;
use tokio::time::Sleep;

use crate::buffers::Buffers;
use crate::clock::{coarse, now};
use crate::endpoint::Attachment;
use crate::multicast::{Multicast, Wish};
use crate::own_sockets::OwnSockets;
use crate::shared::{Phase, Shared};
use crate::socket::{Reader, Sent, Socket, Writable};
use crate::tcp::Links;
use crate::turn::Relays;

/// Rounds before other tasks get their turn, however much the sockets still hold.
const MAX_ROUNDS: usize = 8;

/// Runs that are sent before the sockets are read again.
const MAX_RUNS: usize = 64;

/// Bytes read from a TCP connection before others get their turn.
const STREAM_BURST: usize = 64 * 1024;

/// How long a closed connection waits for the kernel to take what tells the peer.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Finds the addresses of the configured servers.
pub(crate) type Resolution = Pin<Box<dyn Future<Output = Vec<SocketAddr>> + Send>>;

/// Drives one connection until it is closed.
pub(crate) struct Driver {
    shared: Arc<Shared>,
    own: OwnSockets,
    /// Its places at endpoints, whose sockets it shares.
    attachments: Vec<Attachment>,
    /// Its TCP connections.
    links: Links,
    multicast: Multicast,
    resolution: Option<Resolution>,
    relays: Option<Relays>,
    /// Closed when every relay has its addresses or none.
    relays_settled: Option<mpsc::Receiver<()>>,
    /// Sleeps until `armed`, which is never later than the peer's next timeout.
    sleep: Pin<Box<Sleep>>,
    armed: Option<Armed>,
    unsent: Option<Unsent>,
    /// When a closed connection gives up telling its peer.
    give_up: Option<Instant>,
}

/// What the timer is set to.
struct Armed {
    /// When it fires.
    at: Instant,
    /// What it was set for, which is a little earlier where that has time.
    due: Instant,
}

/// The end of a run that the kernel had no room for.
struct Unsent {
    transmit: Transmit,
    bytes: Vec<u8>,
    socket: Arc<Socket>,
    room: Writable,
}

/// What came of a flush.
enum Flushed {
    /// There may be more to send; other work comes first.
    Some,
    /// Nothing can be sent before something happens.
    Idle,
    /// The connection is closed and its peer told.
    Finished,
}

impl Driver {
    pub(crate) fn new(
        shared: Arc<Shared>,
        own: OwnSockets,
        attachments: Vec<Attachment>,
        multicast: Multicast,
        resolution: Option<Resolution>,
        relays: Option<(Relays, mpsc::Receiver<()>)>,
    ) -> Self {
        let (relays, relays_settled) = relays.unzip();
        Self {
            shared,
            own,
            attachments,
            links: Links::default(),
            multicast,
            resolution,
            relays,
            relays_settled,
            sleep: Box::pin(tokio::time::sleep(Duration::ZERO)),
            armed: None,
            unsent: None,
            give_up: None,
        }
    }

    fn turn(&mut self, cx: &mut Context<'_>, buffers: &mut Buffers) -> Poll<()> {
        for _ in 0..MAX_ROUNDS {
            self.poll_resolution(cx);
            self.poll_interfaces(cx);
            let received = self.receive(cx, buffers);
            match self.flush(cx, buffers) {
                Flushed::Finished => return Poll::Ready(()),
                Flushed::Idle if !received && self.poll_sleep(cx).is_pending() => return Poll::Pending,
                Flushed::Idle | Flushed::Some => {}
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Hands the addresses of the servers to the peer once they are known, and says when no address of ours will follow.
    fn poll_resolution(&mut self, cx: &mut Context<'_>) {
        let mut ended = false;
        if let Some(resolution) = &mut self.resolution
            && let Poll::Ready(servers) = resolution.as_mut().poll(cx)
        {
            self.resolution = None;
            ended = true;
            let now = now();
            let mut state = self.shared.lock();
            for server in servers {
                state.peer.add_stun_server(now, server);
            }
        }
        if let Some(settled) = &mut self.relays_settled
            && settled.poll_recv(cx).is_ready()
        {
            self.relays_settled = None;
            ended = true;
        }
        if ended && self.resolution.is_none() && self.relays_settled.is_none() {
            let now = now();
            let mut state = self.shared.lock();
            state.peer.end_of_local_addresses(now);
            state.take_events(now);
        }
    }

    /// Has the sockets follow the interfaces of the machine.
    fn poll_interfaces(&mut self, cx: &mut Context<'_>) {
        let Some(changes) = self.own.poll_changes(cx) else { return };
        self.multicast.leave();
        let now = now();
        let mut state = self.shared.lock();
        changes.tell(now, &mut state.peer);
        state.take_events(now);
    }

    /// Takes what has arrived; whether there was anything.
    fn receive(&mut self, cx: &mut Context<'_>, buffers: &mut Buffers) -> bool {
        self.receive_from_inboxes(cx)
            | self.receive_multicast(cx)
            | self.receive_from_links(cx, buffers)
            | self.receive_from_sockets(cx, buffers)
    }

    /// Takes messages of multicast DNS; whether there was any.
    fn receive_multicast(&mut self, cx: &Context<'_>) -> bool {
        let (shared, now) = (&self.shared, now());
        let received = self.multicast.poll(cx, |from, message| {
            shared.lock().peer.handle_multicast(now, from, message);
        });
        if received {
            shared.lock().take_events(now);
        }
        received
    }

    /// Reads a burst from each socket; whether there was any.
    fn receive_from_sockets(&mut self, cx: &mut Context<'_>, buffers: &mut Buffers) -> bool {
        let mut received = false;
        for reader in &mut self.own.readers {
            if reader.poll_receive(cx, &mut buffers.receive).is_pending() {
                continue;
            }
            received = true;
            let now = now();
            let local = reader.local();
            let mut state = self.shared.lock();
            for datagram in buffers.receive.datagrams() {
                let path = Path::udp(local, datagram.remote);
                state
                    .peer
                    .handle_receive(now, Received { path, ecn: datagram.ecn, datagram: datagram.bytes });
            }
            state.take_events(now);
        }
        received
    }

    /// Takes what the readers of shared sockets have put aside; whether there was any.
    fn receive_from_inboxes(&mut self, cx: &mut Context<'_>) -> bool {
        let (mut received, mut sockets_changed) = (false, false);
        for attachment in &mut self.attachments {
            let Poll::Ready(mut arrivals) = attachment.poll_take(cx) else { continue };
            received = true;
            let now = now();
            let mut state = self.shared.lock();
            if arrivals.sockets_changed {
                attachment.follow_sockets(now, &mut state.peer);
                sockets_changed = true;
            }
            for (run, bytes) in arrivals.runs() {
                let may_prove = bytes.first().is_some_and(|first| *first <= 3);
                for datagram in bytes.chunks_mut(run.stride) {
                    state.peer.handle_receive(now, Received { path: run.path, ecn: run.ecn, datagram });
                }
                if may_prove {
                    attachment.claim(run.path, state.peer.standing(run.path));
                }
            }
            for mut accepted in arrivals.accepted {
                let (path, first) = (accepted.path, &mut accepted.first);
                state.peer.handle_receive(now, Received { path, ecn: None, datagram: first });
                self.links.accept(now, accepted);
            }
            state.take_events(now);
        }
        if sockets_changed {
            self.multicast.leave();
        }
        received
    }

    /// Reads a burst from each TCP connection; whether there was any.
    fn receive_from_links(&mut self, cx: &mut Context<'_>, buffers: &mut Buffers) -> bool {
        if self.links.is_empty() {
            return false;
        }
        let now = now();
        buffers.stream.resize(STREAM_BURST, 0);
        let shared = &self.shared;
        let active = self.links.poll(cx, now, &mut buffers.stream, |path, datagrams| {
            let mut state = shared.lock();
            match datagrams {
                Some(datagram) => state.peer.handle_receive(now, Received { path, ecn: None, datagram }),
                None => state.peer.handle_connection_closed(now, path),
            }
        });
        if active {
            shared.lock().take_events(now);
        }
        active
    }

    /// Sends what the peer has to send and arms the timer.
    fn flush(&mut self, cx: &mut Context<'_>, buffers: &mut Buffers) -> Flushed {
        let mut writable = self.send_unsent(cx);
        for _ in 0..MAX_RUNS {
            let now = now();
            let mut state = self.shared.lock();
            if state.peer.poll_timeout().is_some_and(|due| due <= now) {
                state.peer.handle_timeout(now);
            }
            buffers.transmit.clear();
            let transmit = if writable { state.peer.poll_transmit(now, &mut buffers.transmit) } else { None };
            state.take_events(now);
            let Some(transmit) = transmit else {
                state.set_driver(cx.waker());
                self.attachments.iter_mut().for_each(|attachment| attachment.follow_ufrags(&state.peer));
                let due = state.peer.poll_timeout();
                let closing = state.phase == Phase::Closing;
                let wish = Wish::of(&mut state.peer);
                drop(state);
                self.fulfil(cx, wish);
                self.arm(now, [due, self.links.next_expiry()].into_iter().flatten().min());
                return match (closing, writable) {
                    (true, true) => Flushed::Finished,
                    (true, false) => self.flush_before_end(now),
                    (false, _) => Flushed::Idle,
                };
            };
            drop(state);
            writable = self.send(cx, transmit, &buffers.transmit);
        }
        Flushed::Some
    }

    /// The connection is closed and a socket is full: what tells the peer waits, but not for long.
    fn flush_before_end(&mut self, now: Instant) -> Flushed {
        let give_up = *self.give_up.get_or_insert(now + CLOSE_TIMEOUT);
        self.arm(now, Some(give_up));
        if now >= give_up { Flushed::Finished } else { Flushed::Idle }
    }

    /// Sends one run; `false` where its end has to wait for room.
    fn send(&mut self, cx: &mut Context<'_>, transmit: Transmit, bytes: &[u8]) -> bool {
        if transmit.path.protocol == Protocol::Tcp {
            self.links.send(cx, now(), &transmit, bytes);
            return true;
        }
        if self.relays.as_ref().is_some_and(|relays| relays.send(&transmit, bytes)) {
            return true;
        }
        let Some(socket) = self.socket_at(transmit.path.local) else {
            tracing::debug!(path = ?transmit.path, "no socket to send from");
            return true;
        };
        match socket.send(&transmit, bytes) {
            Sent::Whole => true,
            Sent::Partly(sent) => {
                let bytes = bytes.get(sent..).unwrap_or_default().to_vec();
                let (socket, room) = (Arc::clone(socket), socket.writable());
                self.unsent = Some(Unsent { transmit, bytes, socket, room });
                self.send_unsent(cx)
            }
        }
    }

    fn fulfil(&mut self, cx: &Context<'_>, wish: Wish) {
        let shared = self.attachments.iter().flat_map(Attachment::sockets).map(|socket| socket.local());
        self.multicast.fulfil(cx, wish, self.own.locals().chain(shared));
    }

    /// The socket that is bound to `local`.
    fn socket_at(&self, local: SocketAddr) -> Option<&Arc<Socket>> {
        let shared = self.attachments.iter().flat_map(|attachment| attachment.sockets());
        self.own.readers.iter().map(Reader::socket).chain(shared).find(|socket| socket.local() == local)
    }

    /// Sends what the kernel had no room for; `false`, with `cx` registered, where it still has none.
    fn send_unsent(&mut self, cx: &mut Context<'_>) -> bool {
        while let Some(Unsent { transmit, bytes, socket, room }) = &mut self.unsent {
            if room.as_mut().poll(cx).is_pending() {
                return false;
            }
            *room = socket.writable();
            match socket.send(transmit, bytes) {
                Sent::Whole => break,
                Sent::Partly(sent) => {
                    bytes.drain(..sent);
                }
            }
        }
        self.unsent = None;
        true
    }

    /// Has the timer fire for what is `due`. A timer that is armed for earlier stays: it costs one empty turn where the
    /// peer's deadline moves later with every packet.
    fn arm(&mut self, now: Instant, due: Option<Instant>) {
        let Some(due) = due else { return };
        let at = coarse(now, due);
        if self.armed.as_ref().is_none_or(|armed| due != armed.due && at < armed.at) {
            self.armed = Some(Armed { at, due });
            self.sleep.as_mut().reset(at.into());
        }
    }

    /// Ready where the timer fired, so that the turn goes on.
    fn poll_sleep(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.armed.is_none() {
            return Poll::Pending;
        }
        let fired = self.sleep.as_mut().poll(cx);
        if fired.is_ready() {
            self.armed = None;
        }
        fired
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut buffers = Buffers::borrow();
        let turn = self.turn(cx, &mut buffers);
        buffers.give_back();
        turn
    }
}

/// However the driver ends (finished, or its runtime is shutting down), whoever waits is told.
impl Drop for Driver {
    fn drop(&mut self) {
        // Whoever waits for the end finds the ports free.
        self.unsent = None;
        self.own = OwnSockets::default();
        self.attachments.clear();
        self.links = Links::default();
        self.shared.lock().driver_gone();
    }
}
