//! The TCP connections of one peer connection.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use antiphon_peer::{FrameDecoder, Framing};
use antiphon_util::{Path, Transmit};
use tokio::net::{TcpSocket, TcpStream};

use super::listener::Accepted;
use crate::network::with_port;
use crate::own_sockets::ACTIVE_PORT;

/// Connections at a time, for all of a peer's candidates.
const MAX_LINKS: usize = 32;

/// Bytes that wait to be written on a connection before further datagrams are lost, as in the queue of a router.
const MAX_UNSENT: usize = 256 * 1024;

/// How long a connection may take to open.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// How long nothing may arrive; a connection that is in use carries checks of consent every few seconds.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// All connections, opened and accepted.
#[derive(Default)]
pub(crate) struct Links(Vec<Link>);

struct Link {
    path: Path,
    state: State,
    decoder: FrameDecoder,
    /// Frames that wait to be written.
    unsent: Vec<u8>,
    /// Bytes of them that have been.
    written: usize,
    /// When it is closed unless something arrives.
    expiry: Instant,
}

enum State {
    Opening(Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>),
    Open(TcpStream),
    /// It could not be opened, or broke.
    Broken(io::ErrorKind),
}

impl Links {
    /// Takes over a connection whose first message has been handled. It is closed at once where there are too many.
    pub(crate) fn accept(&mut self, now: Instant, accepted: Accepted) {
        let Accepted { stream, path, .. } = accepted;
        if self.0.len() < MAX_LINKS && self.find(path).is_none() {
            let _ = stream.set_nodelay(true);
            self.0.push(Link::new(now, path, State::Open(stream)));
        }
    }

    /// Queues the datagrams of a run; opens the connection where that is ours to do.
    pub(crate) fn send(&mut self, cx: &mut Context<'_>, now: Instant, transmit: &Transmit, bytes: &[u8]) {
        let path = transmit.path;
        if self.find(path).is_none() {
            if path.local.port() != ACTIVE_PORT || self.0.len() >= MAX_LINKS {
                tracing::debug!(?path, "no connection to send on");
                return;
            }
            let opening = Box::pin(open(path.local, path.remote));
            self.0.push(Link::new(now, path, State::Opening(opening)));
        }
        let Some(link) = self.find(path) else { return };
        for datagram in bytes.chunks(transmit.segment_size.unwrap_or(bytes.len()).max(1)) {
            link.queue(datagram);
        }
        if link.poll_write(now, cx).is_ready() {
            // What has become of the connection is told when it is read, which is to be soon.
            cx.waker().wake_by_ref();
        }
    }

    /// Reads what has arrived and writes what waits, a burst for each connection: `receive` gets each datagram, and `None`
    /// for a path whose connection has ended. Gives whether there was anything.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        buffer: &mut [u8],
        mut receive: impl FnMut(Path, Option<&mut [u8]>),
    ) -> bool {
        let mut active = false;
        self.0.retain_mut(|link| {
            let outcome = match link.poll(cx, now, buffer, &mut receive) {
                Poll::Pending if now >= link.expiry => Err(io::ErrorKind::TimedOut.into()),
                Poll::Pending => return true,
                Poll::Ready(outcome) => outcome,
            };
            active = true;
            if let Err(error) = &outcome {
                tracing::debug!(path = ?link.path, %error, "connection closed");
                receive(link.path, None);
            }
            outcome.is_ok()
        });
        active
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// When a connection is closed for silence.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        self.0.iter().map(|link| link.expiry).min()
    }

    fn find(&mut self, path: Path) -> Option<&mut Link> {
        self.0.iter_mut().find(|link| link.path == path)
    }
}

impl Link {
    fn new(now: Instant, path: Path, state: State) -> Self {
        let patience = if matches!(state, State::Opening(_)) { OPEN_TIMEOUT } else { IDLE_TIMEOUT };
        Self {
            path,
            state,
            decoder: FrameDecoder::new(Framing::LengthPrefixed, usize::from(u16::MAX)),
            unsent: Vec::new(),
            written: 0,
            expiry: now + patience,
        }
    }

    fn queue(&mut self, datagram: &[u8]) {
        if self.unsent.len() - self.written + datagram.len() > MAX_UNSENT {
            tracing::trace!(path = ?self.path, "datagram lost on a full connection");
            return;
        }
        // A datagram is never longer than a length of two bytes can say.
        let _ = Framing::LengthPrefixed.encode(datagram, &mut self.unsent);
    }

    /// Ready when something has arrived, with an error when the connection has ended.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        buffer: &mut [u8],
        receive: &mut impl FnMut(Path, Option<&mut [u8]>),
    ) -> Poll<io::Result<()>> {
        let _ = self.poll_write(now, cx);
        let stream = match &self.state {
            State::Open(stream) => stream,
            State::Opening(_) => return Poll::Pending,
            State::Broken(kind) => return Poll::Ready(Err((*kind).into())),
        };
        let read = loop {
            ready!(stream.poll_read_ready(cx))?;
            match stream.try_read(buffer) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                Ok(read) => break read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        };
        self.expiry = now + IDLE_TIMEOUT;
        let mut input = buffer.get(..read).unwrap_or_default();
        loop {
            match self.decoder.decode(&mut input) {
                Ok(Some(datagram)) => receive(self.path, Some(datagram)),
                Ok(None) => return Poll::Ready(Ok(())),
                Err(error) => return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error))),
            }
        }
    }

    /// Opens the connection and writes what waits; ready where it has just been opened or is broken.
    fn poll_write(&mut self, now: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let mut opened = Poll::Pending;
        if let State::Opening(opening) = &mut self.state {
            opened = Poll::Ready(());
            match ready!(opening.as_mut().poll(cx)) {
                Ok(stream) => {
                    let _ = stream.set_nodelay(true);
                    self.state = State::Open(stream);
                    self.expiry = now + IDLE_TIMEOUT;
                }
                Err(error) => self.state = State::Broken(error.kind()),
            }
        }
        if let State::Open(stream) = &self.state
            && let Err(error) = write(stream, cx, &mut self.unsent, &mut self.written)
        {
            self.state = State::Broken(error.kind());
            return Poll::Ready(());
        }
        opened
    }
}

/// Writes what of `unsent` is not `written`, until all is or, with `cx` registered, the kernel takes no more.
fn write(
    stream: &TcpStream,
    cx: &mut Context<'_>,
    unsent: &mut Vec<u8>,
    written: &mut usize,
) -> io::Result<()> {
    while let Some(rest) = unsent.get(*written..).filter(|rest| !rest.is_empty()) {
        if stream.poll_write_ready(cx)?.is_pending() {
            return Ok(());
        }
        match stream.try_write(rest) {
            Ok(count) => *written += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        if *written >= MAX_UNSENT {
            unsent.drain(..*written);
            *written = 0;
        }
    }
    *unsent = Vec::new();
    *written = 0;
    Ok(())
}

/// Opens a connection from any port of `local`.
async fn open(local: SocketAddr, remote: SocketAddr) -> io::Result<TcpStream> {
    let socket = if remote.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.bind(with_port(local, 0))?;
    socket.connect(remote).await
}
