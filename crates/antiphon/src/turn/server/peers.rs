//! TCP connections to and from peers (RFC 6062).

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::{Relay, Shell};

/// How long connecting to a peer may take (RFC 6062 §5.2).
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// Connections of peers that wait to be accepted.
const BACKLOG: u32 = 16;

/// Listens at a relayed address.
pub(super) fn open(shell: &Arc<Shell>, address: SocketAddr) -> io::Result<Relay> {
    let listener = bind(address)?.listen(BACKLOG)?;
    let task = tokio::spawn(accept(Arc::downgrade(shell), listener, address));
    Ok(Relay { socket: None, task: task.abort_handle() })
}

/// Connects from a relayed address to a peer.
pub(super) async fn connect(shell: Arc<Shell>, connection: u32, local: SocketAddr, peer: SocketAddr) {
    let connecting = async { bind(local)?.connect(peer).await };
    let stream = match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
        Ok(Ok(stream)) => Some(stream),
        Ok(Err(error)) => {
            tracing::debug!(%peer, %error, "peer not connected");
            None
        }
        Err(_) => None,
    };
    let connected = stream.is_some();
    if let Some(stream) = stream {
        shell.lock().waiting.insert(connection, stream);
    }
    shell.drive(|server, now| server.connection_opened(now, connection, connected));
}

async fn accept(shell: Weak<Shell>, listener: TcpListener, local: SocketAddr) {
    while let Ok((stream, peer)) = listener.accept().await {
        let Some(shell) = shell.upgrade() else { return };
        shell.drive_accept(stream, local, peer);
    }
}

impl Shell {
    fn drive_accept(self: &Arc<Self>, stream: TcpStream, local: SocketAddr, peer: SocketAddr) {
        let mut accepted = None;
        self.drive(|server, now| accepted = server.connection_accepted(now, local, peer));
        if let Some(connection) = accepted {
            self.lock().waiting.insert(connection, stream);
        }
    }
}

/// The address is listened at and connected from at the same time.
fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    #[cfg(unix)]
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    Ok(socket)
}
