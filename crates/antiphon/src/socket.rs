//! One UDP socket: bursts in, runs of equal datagrams out.
//!
//! Errors of the kernel other than "would block" are never fatal: a datagram that could not be sent counts as lost, and
//! ICE notices where a path is gone.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use antiphon_util::{Ecn, Transmit};
use quinn_udp::{EcnCodepoint, UdpSocketState};
use socket2::{Domain, Socket as RawSocket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use crate::buffers::ReceiveBuffers;

/// Asked of the kernel for each direction, so that a burst of a whole congestion window fits; it may grant less.
const SOCKET_BUFFER: usize = 4 << 20;

/// After so many failed reads in a row the socket is read no more, so that a broken one can't keep the driver busy.
const MAX_READ_ERRORS: u32 = 64;

/// Whether one system call reads all that there is, up to the buffers.
const READS_BURSTS: bool = cfg!(target_os = "linux");

/// A non-blocking UDP socket that is bound to one address. Whoever has a path from there sends on it.
#[derive(Debug)]
pub(crate) struct Socket {
    io: UdpSocket,
    state: UdpSocketState,
    local: SocketAddr,
}

/// The one who reads a socket.
#[derive(Debug)]
pub(crate) struct Reader {
    socket: Arc<Socket>,
    read_errors: u32,
}

/// Ready when a socket that was full takes datagrams again.
pub(crate) type Writable = Pin<Box<dyn Future<Output = ()> + Send>>;

/// How far sending a run got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    /// All of it went to the kernel, or was refused by it for good.
    Whole,
    /// So many bytes of it went; the rest can go when the socket is writable again.
    Partly(usize),
}

impl Socket {
    /// Binds to `address`, which other sockets may bind as well where it is `shared`; the kernel then spreads the peers over
    /// them. Must be called within a tokio runtime.
    pub(crate) fn bind(address: SocketAddr, shared: bool) -> io::Result<Self> {
        let raw = RawSocket::new(Domain::for_address(address), Type::DGRAM, None)?;
        raw.set_nonblocking(true)?;
        if address.is_ipv6() {
            raw.set_only_v6(true)?;
        }
        if shared {
            share_port(&raw)?;
        }
        // What the kernel grants is enough to work with.
        let _ = raw.set_recv_buffer_size(SOCKET_BUFFER);
        let _ = raw.set_send_buffer_size(SOCKET_BUFFER);
        raw.bind(&address.into())?;
        let io = UdpSocket::from_std(raw.into())?;
        let state = UdpSocketState::new((&io).into())?;
        let local = io.local_addr()?;
        Ok(Self { io, state, local })
    }

    /// The address that it is bound to.
    pub(crate) fn local(&self) -> SocketAddr {
        self.local
    }

    /// Ready when the kernel takes more; any number of tasks can wait.
    pub(crate) fn writable(self: &Arc<Self>) -> Writable {
        let socket = Arc::clone(self);
        Box::pin(async move {
            if let Err(error) = socket.io.writable().await {
                tracing::debug!(local = %socket.local, %error, "wait for room failed");
            }
        })
    }

    /// Sends the run `bytes` that `transmit` describes, with as few system calls as the kernel permits.
    pub(crate) fn send(&self, transmit: &Transmit, bytes: &[u8]) -> Sent {
        let size = transmit.segment_size.unwrap_or(bytes.len()).max(1);
        let mut sent = 0;
        while let Some(rest) = bytes.get(sent..).filter(|rest| !rest.is_empty()) {
            let segments = self.state.max_gso_segments().max(1);
            let run = rest.get(..size.saturating_mul(segments)).unwrap_or(rest);
            match self.send_run(transmit, run, size) {
                Ok(()) => sent += run.len(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Sent::Partly(sent),
                // The kernel refused segmentation for this route; the run goes again, one datagram at a time.
                Err(_) if run.len() > size && self.state.max_gso_segments() == 1 => {}
                Err(error) => {
                    tracing::debug!(local = %self.local, remote = %transmit.path.remote, %error, "datagrams not sent");
                    sent += run.len();
                }
            }
        }
        Sent::Whole
    }

    fn send_run(&self, transmit: &Transmit, run: &[u8], size: usize) -> io::Result<()> {
        let datagrams = quinn_udp::Transmit {
            destination: transmit.path.remote,
            ecn: transmit.ecn.map(codepoint),
            contents: run,
            segment_size: (run.len() > size).then_some(size),
            src_ip: None,
        };
        self.io.try_io(Interest::WRITABLE, || self.state.try_send((&self.io).into(), &datagrams))
    }
}

impl Reader {
    pub(crate) fn new(socket: Arc<Socket>) -> Self {
        Self { socket, read_errors: 0 }
    }

    /// What is read.
    pub(crate) fn socket(&self) -> &Arc<Socket> {
        &self.socket
    }

    /// The address that is read.
    pub(crate) fn local(&self) -> SocketAddr {
        self.socket.local
    }

    /// Reads one burst into `buffers`; pending, with `cx` registered, where there is nothing to read.
    pub(crate) fn poll_receive(&mut self, cx: &mut Context<'_>, buffers: &mut ReceiveBuffers) -> Poll<()> {
        while self.read_errors < MAX_READ_ERRORS {
            if let Err(error) = ready!(self.socket.io.poll_recv_ready(cx)) {
                self.count_read_error(&error);
                continue;
            }
            let Socket { io, state, .. } = &*self.socket;
            let mut is_filled = false;
            let received = io.try_io(Interest::READABLE, || {
                buffers.fill(|slices, metas| state.recv(io.into(), slices, metas))?;
                is_filled = true;
                // With room left over there was no more: the next read waits, without a call to find that out.
                if READS_BURSTS && !buffers.is_full() {
                    Err(io::ErrorKind::WouldBlock.into())
                } else {
                    Ok(())
                }
            });
            if is_filled {
                self.read_errors = 0;
                return Poll::Ready(());
            }
            if let Err(error) = received
                && error.kind() != io::ErrorKind::WouldBlock
            {
                self.count_read_error(&error);
            }
        }
        Poll::Pending
    }

    fn count_read_error(&mut self, error: &io::Error) {
        self.read_errors += 1;
        tracing::debug!(local = %self.local(), %error, "receive failed");
    }
}

#[cfg(unix)]
fn share_port(raw: &RawSocket) -> io::Result<()> {
    raw.set_reuse_port(true)
}

#[cfg(not(unix))]
fn share_port(_: &RawSocket) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

fn codepoint(ecn: Ecn) -> EcnCodepoint {
    match ecn {
        Ecn::Ect0 => EcnCodepoint::Ect0,
        Ecn::Ect1 => EcnCodepoint::Ect1,
        Ecn::Ce => EcnCodepoint::Ce,
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::net::Ipv4Addr;

    use antiphon_util::Path;

    use super::*;

    fn pair() -> (Arc<Socket>, Reader) {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let bind = || Arc::new(Socket::bind(any, false).unwrap());
        (bind(), Reader::new(bind()))
    }

    async fn receive(socket: &mut Reader, count: usize) -> Vec<Vec<u8>> {
        let mut buffers = ReceiveBuffers::new();
        let mut datagrams = Vec::new();
        while datagrams.len() < count {
            poll_fn(|cx| socket.poll_receive(cx, &mut buffers)).await;
            datagrams.extend(buffers.datagrams().map(|datagram| datagram.bytes.to_vec()));
        }
        datagrams
    }

    #[tokio::test]
    async fn a_run_arrives_as_datagrams_of_its_segment_size() {
        let (sender, mut receiver) = pair();
        let bytes: Vec<u8> = (0..10_500_u32).map(|i| i as u8).collect();
        let path = Path::udp(sender.local(), receiver.local());
        let transmit = Transmit { path, ecn: None, len: bytes.len(), segment_size: Some(1_000) };
        sender.writable().await;
        assert_eq!(sender.send(&transmit, &bytes), Sent::Whole);
        let datagrams = receive(&mut receiver, 11).await;
        assert_eq!(datagrams, bytes.chunks(1_000).map(<[u8]>::to_vec).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn datagrams_to_a_closed_port_count_as_lost() {
        let (sender, receiver) = pair();
        let path = Path::udp(sender.local(), receiver.local());
        drop(receiver);
        let transmit = Transmit { path, ecn: None, len: 3, segment_size: None };
        sender.writable().await;
        for _ in 0..10 {
            assert_eq!(sender.send(&transmit, &[1, 2, 3]), Sent::Whole);
        }
    }

    #[tokio::test]
    async fn marks_of_congestion_arrive() {
        let (sender, mut receiver) = pair();
        let path = Path::udp(sender.local(), receiver.local());
        let transmit = Transmit { path, ecn: Some(Ecn::Ect0), len: 1, segment_size: None };
        sender.writable().await;
        assert_eq!(sender.send(&transmit, &[1]), Sent::Whole);
        let mut buffers = ReceiveBuffers::new();
        poll_fn(|cx| receiver.poll_receive(cx, &mut buffers)).await;
        let marks: Vec<_> = buffers.datagrams().map(|datagram| (datagram.remote, datagram.ecn)).collect();
        assert_eq!(marks, [(sender.local(), Some(Ecn::Ect0))]);
    }
}
