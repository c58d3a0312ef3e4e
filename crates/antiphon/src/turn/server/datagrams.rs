//! UDP, towards clients and towards peers.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use antiphon_util::{Path, Received};

use super::{Relay, Shell};
use crate::buffers::Buffers;
use crate::socket::{Reader, Socket};

/// Bursts read before other tasks get their turn.
const MAX_BURSTS: usize = 8;

/// Reads a socket that clients talk to, until the server is gone.
pub(super) async fn read(shell: Weak<Shell>, socket: Arc<Socket>) {
    let mut reader = Reader::new(socket);
    poll_fn(|cx| match shell.upgrade() {
        Some(shell) => poll_read(&shell, &mut reader, cx),
        None => Poll::Ready(()),
    })
    .await;
}

/// Binds a relayed address and reads it from now on.
pub(super) fn open(shell: &Arc<Shell>, address: SocketAddr) -> io::Result<Relay> {
    let socket = Arc::new(Socket::bind(address, false)?);
    let task = tokio::spawn(read(Arc::downgrade(shell), Arc::clone(&socket)));
    Ok(Relay { socket: Some(socket), task: task.abort_handle() })
}

/// Reads bursts and has each handled as a whole; never ready.
fn poll_read(shell: &Arc<Shell>, reader: &mut Reader, cx: &mut Context<'_>) -> Poll<()> {
    let local = reader.local();
    for _ in 0..MAX_BURSTS {
        let mut buffers = Buffers::borrow();
        let ready = reader.poll_receive(cx, &mut buffers.receive).is_ready();
        if ready {
            shell.drive(|server, now| {
                for datagram in buffers.receive.datagrams() {
                    let path = Path::udp(local, datagram.remote);
                    server
                        .handle_receive(now, Received { path, ecn: datagram.ecn, datagram: datagram.bytes });
                }
            });
        }
        buffers.give_back();
        if !ready {
            return Poll::Pending;
        }
    }
    cx.waker().wake_by_ref();
    Poll::Pending
}
