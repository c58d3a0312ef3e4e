//! What carries the messages between a client and its TURN server.

use std::future::poll_fn;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use antiphon_stun::{FrameDecoder, Framing, UriTransport};
use antiphon_util::{Path, Protocol, Received, Transmit};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use super::dtls::Association;
use crate::buffers::Buffers;
use crate::socket::{Reader, Sent, Socket};

/// The longest message on a stream, which is the longest that there is.
pub(super) const MAX_FRAME: usize = 20 + 65_536;

/// Bytes read from a stream at once.
pub(super) const READ_SIZE: usize = 16 << 10;

/// A byte stream to a server.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// What protects the messages, and how the server proves who it is.
pub(super) enum Security {
    Plain,
    Tls(Arc<ClientConfig>, ServerName<'static>),
    Dtls(Box<antiphon_dtls::Config>),
}

/// Carries messages to one server and back.
pub(super) struct Carrier {
    path: Path,
    way: Way,
}

enum Way {
    Datagrams(Reader),
    Dtls(Box<Association>),
    Stream { stream: Box<dyn Stream>, decoder: FrameDecoder, input: Vec<u8> },
}

impl Carrier {
    /// Connects to `server`.
    pub(super) async fn connect(
        server: SocketAddr,
        transport: UriTransport,
        security: Security,
    ) -> io::Result<Self> {
        match transport {
            UriTransport::Udp => {
                let socket = bind_towards(server)?;
                let path = Path::udp(socket.local(), server);
                let way = match security {
                    Security::Dtls(config) => {
                        Way::Dtls(Box::new(Association::connect(socket, server, *config).await?))
                    }
                    Security::Plain | Security::Tls(..) => Way::Datagrams(Reader::new(socket)),
                };
                Ok(Self { path, way })
            }
            UriTransport::Tcp => {
                let stream = TcpStream::connect(server).await?;
                stream.set_nodelay(true)?;
                let path = Path { protocol: Protocol::Tcp, local: stream.local_addr()?, remote: server };
                let stream: Box<dyn Stream> = match security {
                    Security::Tls(config, name) => {
                        Box::new(TlsConnector::from(config).connect(name, stream).await?)
                    }
                    Security::Plain | Security::Dtls(_) => Box::new(stream),
                };
                let decoder = FrameDecoder::new(Framing::SelfDelimiting, MAX_FRAME);
                Ok(Self { path, way: Way::Stream { stream, decoder, input: vec![0; READ_SIZE] } })
            }
        }
    }

    /// The addresses of both ends.
    pub(super) fn path(&self) -> Path {
        self.path
    }

    /// Waits for messages and hands each to `handle`. May be cancelled at any time without losing one.
    ///
    /// # Errors
    /// Where a stream or an association has ended.
    pub(super) async fn receive(&mut self, mut handle: impl FnMut(Received<'_>)) -> io::Result<()> {
        let path = self.path;
        match &mut self.way {
            Way::Datagrams(reader) => {
                poll_fn(|cx| {
                    let mut buffers = Buffers::borrow();
                    let ready = reader.poll_receive(cx, &mut buffers.receive);
                    if ready.is_ready() {
                        for datagram in buffers.receive.datagrams() {
                            let path = Path { remote: datagram.remote, ..path };
                            handle(Received { path, ecn: datagram.ecn, datagram: datagram.bytes });
                        }
                    }
                    buffers.give_back();
                    ready
                })
                .await;
            }
            Way::Dtls(association) => association.receive(&mut handle).await?,
            Way::Stream { stream, decoder, input } => {
                let len = stream.read(input).await?;
                if len == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                let mut input = input.get(..len).unwrap_or_default();
                while let Some(frame) = decoder
                    .decode(&mut input)
                    .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?
                {
                    handle(Received { path, ecn: None, datagram: frame });
                }
            }
        }
        Ok(())
    }

    /// Sends messages that stand one behind the other; `segment` is the length of each but the last, where there are several
    /// datagrams.
    ///
    /// # Errors
    /// Where a stream or an association has ended.
    pub(super) async fn send(&mut self, messages: &[u8], segment: Option<usize>) -> io::Result<()> {
        match &mut self.way {
            Way::Datagrams(reader) => {
                let transmit =
                    Transmit { path: self.path, ecn: None, len: messages.len(), segment_size: segment };
                let socket = Arc::clone(reader.socket());
                if socket.send(&transmit, messages) != Sent::Whole {
                    // What the kernel has no room for is lost, as datagrams are; the next one waits.
                    socket.writable().await;
                }
                Ok(())
            }
            Way::Dtls(association) => association.send(messages, segment.unwrap_or(messages.len())).await,
            Way::Stream { stream, .. } => {
                stream.write_all(messages).await?;
                stream.flush().await
            }
        }
    }

    /// Tells the server that nothing more is coming, where that is not seen by itself.
    pub(super) async fn close(&mut self) {
        if let Way::Dtls(association) = &mut self.way {
            association.close().await;
        }
    }
}

fn bind_towards(server: SocketAddr) -> io::Result<Arc<Socket>> {
    let any = match server {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    Ok(Arc::new(Socket::bind(any, false)?))
}
