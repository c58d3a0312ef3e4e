//! A data channel as a byte stream.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use antiphon_peer::Message;
use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::DataChannel;
use crate::error::RecvError;

/// The most that one write puts into one message: a size that every peer accepts.
const MAX_WRITE: usize = 16 * 1024;

/// The bytes of a channel's messages, one after another.
///
/// What is written goes out as binary messages; text is read as its bytes. Reading ends where the channel is closed.
/// A data channel can't be half closed: [`AsyncWrite::poll_shutdown`] closes it in both directions. What was written is
/// delivered first; what was not read by then is discarded.
#[derive(Debug)]
pub struct DataChannelStream {
    channel: DataChannel,
    /// What is left of a message that was read in part.
    unread: Bytes,
}

impl DataChannelStream {
    pub(crate) fn new(channel: DataChannel) -> Self {
        Self { channel, unread: Bytes::new() }
    }

    /// The channel.
    pub fn channel(&self) -> &DataChannel {
        &self.channel
    }
}

impl AsyncRead for DataChannelStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // A message may be empty, but a read of nothing means the end.
        while self.unread.is_empty() {
            match ready!(self.channel.poll_recv(cx)) {
                Ok(message) => self.unread = message.into_bytes(),
                Err(RecvError::Closed) => return Poll::Ready(Ok(())),
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
        let len = self.unread.len().min(out.remaining());
        out.put_slice(self.unread.get(..len).unwrap_or_default());
        self.unread.advance(len);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for DataChannelStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        ready!(self.channel.poll_writable(cx));
        let chunk = bytes.get(..MAX_WRITE).unwrap_or(bytes);
        self.channel.try_send(Message::Binary(Bytes::copy_from_slice(chunk)))?;
        Poll::Ready(Ok(chunk.len()))
    }

    /// Everything written is on its way already.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.channel.close();
        self.channel.poll_closed(cx).map(Ok)
    }
}
