//! Streams of clients: TCP, and TLS over it.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use antiphon_stun::{FrameDecoder, Framing};
use antiphon_util::{Path, Protocol, Received};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

use super::Shell;
use crate::clock::now;
use crate::turn::carrier::{MAX_FRAME, READ_SIZE};
use crate::turn::tls::TlsIdentity;

/// After an error of `accept`, which is one of the whole machine, it is tried again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long one message may take to be written.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// Streams by address, counted while they live.
type Counts = Arc<Mutex<HashMap<IpAddr, usize>>>;

/// Accepts clients until the server is gone.
pub(super) async fn listen(shell: Weak<Shell>, listener: TcpListener, identity: Option<TlsIdentity>) {
    let counts = Counts::default();
    loop {
        let Ok((stream, remote)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let Some(limits) = shell.upgrade().map(|shell| shell.limits) else { return };
        let Some(place) = Place::take(&counts, remote.ip(), limits.streams, limits.streams_per_address)
        else {
            tracing::debug!(%remote, "too many streams");
            continue;
        };
        let (shell, identity) = (shell.clone(), identity.clone());
        tokio::spawn(async move {
            let outcome = serve(shell, stream, remote, identity).await;
            tracing::trace!(%remote, ?outcome, "stream ended");
            drop(place);
        });
    }
}

/// One stream among those that are permitted.
struct Place {
    counts: Counts,
    address: IpAddr,
}

impl Place {
    fn take(counts: &Counts, address: IpAddr, in_all: usize, each: usize) -> Option<Self> {
        let mut count = counts.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = count.values().sum();
        let own = count.entry(address).or_default();
        if *own >= each || all >= in_all {
            return None;
        }
        *own += 1;
        Some(Self { counts: Arc::clone(counts), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

async fn serve(
    shell: Weak<Shell>,
    stream: TcpStream,
    remote: SocketAddr,
    identity: Option<TlsIdentity>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let local = stream.local_addr()?;
    let path = Path { protocol: Protocol::Tcp, local, remote };
    let limits = shell.upgrade().map(|shell| shell.limits).unwrap_or_default();
    let deadline = now() + limits.idle_stream;
    match identity {
        None => Client::run(shell, stream, path, deadline).await,
        Some(identity) => {
            let handshake = TlsAcceptor::from(identity.tls).accept(stream);
            let stream = tokio::time::timeout_at(deadline.into(), handshake).await??;
            Client::run(shell, stream, path, deadline).await
        }
    }
}

/// Where messages wait that are to be written to the stream at `path`.
pub(super) fn queue(shell: &Shell, path: Path) -> mpsc::Receiver<Vec<u8>> {
    let (sender, queue) = mpsc::channel(shell.limits.queued_messages.max(1));
    shell.lock().streams.insert(path, sender);
    queue
}

/// The stream of one client.
struct Client<S> {
    shell: Weak<Shell>,
    path: Path,
    decoder: FrameDecoder,
    queue: mpsc::Receiver<Vec<u8>>,
    write: WriteHalf<S>,
}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Client<S> {
    async fn run(shell: Weak<Shell>, stream: S, path: Path, deadline: Instant) -> io::Result<()> {
        let (mut read, write) = tokio::io::split(stream);
        let Some(queue) = shell.upgrade().map(|shell| queue(&shell, path)) else { return Ok(()) };
        let decoder = FrameDecoder::new(Framing::SelfDelimiting, MAX_FRAME);
        let mut client = Self { shell: shell.clone(), path, decoder, queue, write };
        let mut input = vec![0; READ_SIZE];
        let outcome = loop {
            tokio::select! {
                read = read.read(&mut input) => match read {
                    Ok(0) => break Ok(None),
                    Ok(len) => match client.handle(input.get(..len).unwrap_or_default()) {
                        Ok(None) => {}
                        other => break other,
                    },
                    Err(error) => break Err(error),
                },
                message = client.queue.recv() => match message {
                    Some(message) => if let Err(error) = client.send(&message).await { break Err(error) },
                    None => break Ok(None),
                },
                () = tokio::time::sleep_until(deadline.into()), if !client.is_served() => break Ok(None),
            }
        };
        match outcome {
            Ok(Some(joined)) => client.join(joined, read).await,
            outcome => {
                client.leave();
                outcome.map(|_| ())
            }
        }
    }

    /// Handles what was read; gives the connection that the stream is joined to from now on, and the bytes behind.
    fn handle(&mut self, mut input: &[u8]) -> io::Result<Option<Joined>> {
        let Some(shell) = self.shell.upgrade() else { return Err(io::ErrorKind::ConnectionAborted.into()) };
        let path = self.path;
        while let Some(frame) = self
            .decoder
            .decode(&mut input)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?
        {
            shell.drive(|server, now| {
                server.handle_receive(now, Received { path, ecn: None, datagram: frame })
            });
            if let Some((connection, peer)) = shell.lock().joined.remove(&path) {
                return Ok(Some(Joined { connection, peer, ahead: input.to_vec() }));
            }
        }
        Ok(None)
    }

    async fn send(&mut self, message: &[u8]) -> io::Result<()> {
        let writing = async {
            self.write.write_all(message).await?;
            self.write.flush().await
        };
        tokio::time::timeout(WRITE_TIMEOUT, writing).await?
    }

    /// Whether the stream may stay.
    fn is_served(&self) -> bool {
        self.shell.upgrade().is_some_and(|shell| shell.lock().server.serves(self.path))
    }

    /// From now on every byte goes between the client and the peer (RFC 6062 §5.4).
    async fn join(mut self, joined: Joined, mut read: tokio::io::ReadHalf<S>) -> io::Result<()> {
        while let Ok(message) = self.queue.try_recv() {
            self.send(&message).await?;
        }
        let Joined { connection, mut peer, ahead } = joined;
        let (mut from_peer, mut to_peer) = peer.split();
        let upwards = async {
            to_peer.write_all(&ahead).await?;
            tokio::io::copy(&mut read, &mut to_peer).await?;
            to_peer.shutdown().await
        };
        let downwards = async {
            tokio::io::copy(&mut from_peer, &mut self.write).await?;
            self.write.shutdown().await
        };
        let outcome = tokio::try_join!(upwards, downwards);
        if let Some(shell) = self.shell.upgrade() {
            shell.drive(|server, _| server.connection_closed(connection));
        }
        self.leave();
        outcome.map(|_| ())
    }

    fn leave(&self) {
        let Some(shell) = self.shell.upgrade() else { return };
        shell.lock().streams.remove(&self.path);
        shell.drive(|server, _| server.handle_disconnect(self.path));
    }
}

/// A connection to a peer, and what the client sent ahead of the answer.
struct Joined {
    connection: u32,
    peer: TcpStream,
    ahead: Vec<u8>,
}
