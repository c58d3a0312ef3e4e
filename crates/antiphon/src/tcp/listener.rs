//! Takes TCP connections and finds out whom they are for: the first message is a STUN request that names a user fragment.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use antiphon_peer::Addressee;
use antiphon_util::Path;
use socket2::{Domain, Socket as RawSocket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Sleep;

use crate::endpoint::Inner;

/// Bytes of the longest first message; a check with every attribute that peers send is a fraction of it.
const FIRST_MESSAGE: usize = 2_048;

/// Connections that the kernel holds before they are accepted.
const BACKLOG: i32 = 1_024;

/// How long no connection is accepted after the system has refused one, for want of files most likely.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(100);

/// The listening socket of an endpoint; its drop ends the task that accepts.
#[derive(Debug)]
pub(crate) struct Listener {
    local: SocketAddr,
    task: AbortHandle,
}

/// A connection whose first message has been read.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) stream: TcpStream,
    pub(crate) path: Path,
    /// The first message, without its length.
    pub(crate) first: Vec<u8>,
}

/// What the listeners of an endpoint have seen.
#[derive(Debug, Default)]
pub(crate) struct TcpCounters {
    pub(crate) accepted: AtomicU64,
    /// Closed at once, since too many others have not said whom they are for.
    pub(crate) refused: AtomicU64,
    /// Closed because they were for nobody, spoke another protocol, or said nothing in time.
    pub(crate) unknown: AtomicU64,
}

impl Listener {
    /// Binds to `address`; must be called within a tokio runtime.
    pub(crate) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
        let raw = RawSocket::new(Domain::for_address(address), Type::STREAM, None)?;
        raw.set_nonblocking(true)?;
        if address.is_ipv6() {
            raw.set_only_v6(true)?;
        }
        // Connections of an earlier run that are still being closed are no reason to wait; elsewhere the option means more.
        #[cfg(unix)]
        raw.set_reuse_address(true)?;
        raw.bind(&address.into())?;
        raw.listen(BACKLOG)?;
        TcpListener::from_std(raw.into())
    }

    /// Starts to accept connections for those of `endpoint`.
    pub(crate) fn start(
        io: TcpListener,
        endpoint: Weak<Inner>,
        counters: Arc<TcpCounters>,
    ) -> io::Result<Self> {
        let local = io.local_addr()?;
        let acceptor = Acceptor {
            io,
            local,
            endpoint,
            counters,
            pending: JoinSet::new(),
            sources: HashMap::new(),
            pause: None,
        };
        Ok(Self { local, task: tokio::spawn(acceptor).abort_handle() })
    }

    /// The address that it listens at.
    pub(crate) fn local(&self) -> SocketAddr {
        self.local
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The task that accepts. Its drop closes all connections that have not said whom they are for.
struct Acceptor {
    io: TcpListener,
    local: SocketAddr,
    endpoint: Weak<Inner>,
    counters: Arc<TcpCounters>,
    /// Connections that have not said whom they are for.
    pending: JoinSet<(IpAddr, Option<Accepted>)>,
    /// How many of them there are from an address.
    sources: HashMap<IpAddr, usize>,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Acceptor {
    fn poll_pending(&mut self, cx: &mut Context<'_>, endpoint: &Inner) {
        while let Poll::Ready(Some(outcome)) = self.pending.poll_join_next(cx) {
            let Ok((source, accepted)) = outcome else { continue };
            if let Some(count) = self.sources.get_mut(&source) {
                *count -= 1;
                if *count == 0 {
                    self.sources.remove(&source);
                }
            }
            if accepted.is_none_or(|accepted| !endpoint.hand_over(accepted)) {
                self.counters.unknown.fetch_add(1, Relaxed);
            }
        }
    }

    fn take(&mut self, stream: TcpStream, remote: SocketAddr, endpoint: &Inner) {
        let (limits, source) = (&endpoint.limits, remote.ip().to_canonical());
        let of_source = self.sources.get(&source).copied().unwrap_or(0);
        if self.pending.len() >= limits.tcp_pending || of_source >= limits.tcp_pending_per_address {
            self.counters.refused.fetch_add(1, Relaxed);
            return;
        }
        self.counters.accepted.fetch_add(1, Relaxed);
        self.sources.insert(source, of_source + 1);
        let (path, patience) = (Path::tcp(self.local, remote), limits.tcp_patience);
        self.pending.spawn(async move {
            let first = tokio::time::timeout(patience, first_message(&stream)).await;
            let accepted = first.ok().and_then(Result::ok).map(|first| Accepted { stream, path, first });
            (source, accepted)
        });
    }
}

impl Future for Acceptor {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(endpoint) = self.endpoint.upgrade() else { return Poll::Ready(()) };
        loop {
            self.poll_pending(cx, &endpoint);
            if self.pause.as_mut().is_some_and(|pause| pause.as_mut().poll(cx).is_pending()) {
                return Poll::Pending;
            }
            self.pause = None;
            match self.io.poll_accept(cx) {
                Poll::Ready(Ok((stream, remote))) => self.take(stream, remote, &endpoint),
                Poll::Ready(Err(error)) => {
                    tracing::debug!(local = %self.local, %error, "connection not accepted");
                    self.pause = Some(Box::pin(tokio::time::sleep(PAUSE)));
                }
                Poll::Pending => {
                    // A connection that was accepted just now has to be polled once to be waited for.
                    self.poll_pending(cx, &endpoint);
                    return Poll::Pending;
                }
            }
        }
    }
}

/// Reads the first message and nothing of what follows it.
async fn first_message(stream: &TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 2];
    read_exact(stream, &mut length).await?;
    let length = usize::from(u16::from_be_bytes(length));
    if length > FIRST_MESSAGE {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut message = vec![0; length];
    read_exact(stream, &mut message).await?;
    match Addressee::of(&message) {
        Addressee::Ufrag(_) => Ok(message),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

async fn read_exact(stream: &TcpStream, mut buffer: &mut [u8]) -> io::Result<()> {
    while !buffer.is_empty() {
        stream.readable().await?;
        match stream.try_read(buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => buffer = buffer.get_mut(read..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
