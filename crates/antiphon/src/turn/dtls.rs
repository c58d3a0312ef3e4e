//! DTLS to a TURN server (RFC 7350): each record carries one message.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use antiphon_dtls::{Config, Connection, Event, SealError};
use antiphon_util::{Path, Received, Rng, Transmit};

use crate::buffers::Buffers;
use crate::clock::now;
use crate::socket::{Reader, Sent, Socket};

use super::relay::sleep_until;

/// One association with one server.
pub(super) struct Association {
    reader: Reader,
    path: Path,
    connection: Connection,
    /// Where datagrams are made.
    buf: Vec<u8>,
}

impl Association {
    /// Makes the association; its owner limits the time.
    pub(super) async fn connect(socket: Arc<Socket>, server: SocketAddr, config: Config) -> io::Result<Self> {
        let rng = Rng::from_seed(config.provider.random_seed());
        let path = Path::udp(socket.local(), server);
        let connection = Connection::client(config, rng);
        let mut association = Self { reader: Reader::new(socket), path, connection, buf: Vec::new() };
        association.connection.start(now(), None);
        association.flush().await;
        while !association.connection.is_connected() {
            association.receive(&mut |_| {}).await?;
        }
        Ok(association)
    }

    /// Waits for messages and hands each to `handle`. May be cancelled at any time without losing one.
    ///
    /// # Errors
    /// Where the association has ended.
    pub(super) async fn receive(&mut self, handle: &mut impl FnMut(Received<'_>)) -> io::Result<()> {
        let due = self.connection.poll_timeout();
        tokio::select! {
            () = poll_fn(|cx| self.poll_receive(cx, handle)) => {}
            () = sleep_until(due) => self.connection.handle_timeout(now()),
        }
        self.flush().await;
        while let Some(event) = self.connection.poll_event() {
            if let Event::Closed(reason) = event {
                return Err(io::Error::new(io::ErrorKind::ConnectionAborted, reason));
            }
        }
        Ok(())
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>, handle: &mut impl FnMut(Received<'_>)) -> Poll<()> {
        let Self { reader, path, connection, .. } = self;
        let mut buffers = Buffers::borrow();
        let ready = reader.poll_receive(cx, &mut buffers.receive);
        if ready.is_ready() {
            let now = now();
            for datagram in buffers.receive.datagrams().filter(|datagram| datagram.remote == path.remote) {
                connection.handle_datagram(now, datagram.bytes, |plaintext| {
                    handle(Received { path: *path, ecn: datagram.ecn, datagram: plaintext.into_inner() });
                });
            }
        }
        buffers.give_back();
        ready
    }

    /// Sends messages that stand one behind the other, each of `segment` bytes but the last.
    ///
    /// # Errors
    /// Where the association has ended.
    pub(super) async fn send(&mut self, messages: &[u8], segment: usize) -> io::Result<()> {
        self.buf.clear();
        let size =
            seal_run(&mut self.connection, messages, segment, &mut self.buf).map_err(io::Error::other)?;
        self.send_buf(size).await;
        Ok(())
    }

    /// Tells the server that the association is over.
    pub(super) async fn close(&mut self) {
        self.connection.close(now());
        self.flush().await;
    }

    async fn flush(&mut self) {
        self.buf.clear();
        while let Some(len) = self.connection.poll_transmit(now(), &mut self.buf) {
            self.send_buf(len).await;
            self.buf.clear();
        }
    }

    /// What the kernel has no room for is lost, as datagrams are; the next one waits.
    async fn send_buf(&self, size: usize) {
        let transmit = Transmit { path: self.path, ecn: None, len: self.buf.len(), segment_size: Some(size) };
        if self.reader.socket().send(&transmit, &self.buf) != Sent::Whole {
            self.reader.socket().writable().await;
        }
    }
}

/// Appends a record to `buf` for each of the messages that stand one behind the other, of `segment` bytes each but the last, and
/// gives the length of all records but the last.
pub(super) fn seal_run(
    connection: &mut Connection,
    messages: &[u8],
    segment: usize,
    buf: &mut Vec<u8>,
) -> Result<usize, SealError> {
    let mut size = None;
    for message in messages.chunks(segment.max(1)) {
        let start = buf.len();
        buf.resize(start + connection.headroom(), 0);
        buf.extend_from_slice(message);
        connection.seal_in_place(buf, start)?;
        size.get_or_insert(buf.len() - start);
    }
    Ok(size.unwrap_or_default())
}
