//! TCP connections through a relay (RFC 6062): Antiphon's client at its own server.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use antiphon::turn::{self, Block, Listener, Provider, Server, ServerLimits};
use antiphon_interop::{PASSWORD, USER};
use antiphon_stun::{Credential, FrameDecoder, Framing};
use antiphon_turn::client::{Binding, Client, Config, Event, Relaying};
use antiphon_util::{Path, Protocol, Received, Rng};
use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// A server relays to no address of its own.
const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> Result<T> {
    tokio::time::timeout(Duration::from_secs(20), future)
        .await
        .with_context(|| format!("{what} takes too long"))
}

fn now() -> Instant {
    #[allow(clippy::disallowed_methods, reason = "the servers live in real time")]
    Instant::now()
}

fn decoder() -> FrameDecoder {
    FrameDecoder::new(Framing::SelfDelimiting, 0x10000)
}

/// A client and the stream on which it talks to its server.
struct Control {
    client: Client,
    stream: TcpStream,
    decoder: FrameDecoder,
}

impl Control {
    /// Connects, and has an address allocated for TCP.
    async fn allocate(server: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(server).await?;
        let path = Path { protocol: Protocol::Tcp, local: stream.local_addr()?, remote: server };
        let provider = Provider::default();
        let mut config = Config::new(provider);
        config.relaying = Relaying::Tcp;
        let rng = Rng::from_seed(provider.random_seed());
        let client = Client::new(now(), config, Credential::new(USER, PASSWORD)?, rng, path);
        let mut control = Self { client, stream, decoder: decoder() };
        match control.event().await? {
            Event::Allocated(_) => Ok(control),
            other => bail!("{other:?}"),
        }
    }

    /// Talks with the server until there is an event.
    async fn event(&mut self) -> Result<Event> {
        soon("an event", async {
            let mut input = [0; 4_096];
            loop {
                if let Some(event) = self.client.poll_event() {
                    return Ok(event);
                }
                let mut buf = Vec::new();
                while self.client.poll_transmit(now(), &mut buf).is_some() {}
                self.stream.write_all(&buf).await?;
                let due = self.client.poll_timeout().context("something is awaited")?;
                tokio::select! {
                    read = self.stream.read(&mut input) => self.handle(input.get(..read?).unwrap_or_default())?,
                    () = tokio::time::sleep_until(due.into()) => self.client.handle_timeout(now()),
                }
            }
        })
        .await?
    }

    fn handle(&mut self, mut input: &[u8]) -> Result<()> {
        ensure!(!input.is_empty(), "the server has closed the stream");
        let path = self.client.path();
        while let Some(frame) = self.decoder.decode(&mut input)? {
            let received = Received { path, ecn: None, datagram: frame };
            ensure!(self.client.handle_receive(now(), received).is_none(), "data on the control connection");
        }
        Ok(())
    }

    /// Waits for a connection, and makes a new stream to the server the way to its peer; gives the peer and what it said first.
    async fn bind(&mut self) -> Result<(SocketAddr, TcpStream, Vec<u8>)> {
        let (id, peer) = match self.event().await? {
            Event::ConnectionReady { id, peer } => (id, peer),
            other => bail!("{other:?}"),
        };
        let mut stream = TcpStream::connect(self.client.path().remote).await?;
        let mut request = Vec::new();
        let mut bind = self.client.bind_connection(id, &mut request).context("a connection that waits")?;
        let (mut decoder, mut bytes) = (decoder(), [0; 4_096]);
        loop {
            stream.write_all(&request).await?;
            request.clear();
            let mut input: &[u8] = &[];
            let frame = loop {
                if let Some(frame) = decoder.decode(&mut input)? {
                    break frame.to_vec();
                }
                let len = soon("an answer", stream.read(&mut bytes)).await??;
                ensure!(len > 0, "the server has closed the stream");
                input = bytes.get(..len).unwrap_or_default();
            };
            match self.client.handle_bound(&bind, &frame, &mut request) {
                Binding::Bound => return Ok((peer, stream, input.to_vec())),
                Binding::Again(again) => bind = again,
                Binding::Failed => bail!("not bound"),
            }
        }
    }
}

/// Sends so much that it fits into no buffer on the way, ends, and expects it all back.
async fn exchange(stream: TcpStream, peer: TcpStream) -> Result<()> {
    let sent: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let (mut read, mut write) = stream.into_split();
    let (mut peer_read, mut peer_write) = peer.into_split();
    let echo = async {
        tokio::io::copy(&mut peer_read, &mut peer_write).await?;
        peer_write.shutdown().await
    };
    let say = async {
        write.write_all(&sent).await?;
        write.shutdown().await
    };
    let mut heard = Vec::new();
    let (echoed, said, read) =
        soon("the exchange", async { tokio::join!(echo, say, read.read_to_end(&mut heard)) }).await?;
    echoed?;
    said?;
    read?;
    ensure!(heard == sent, "{} bytes came back", heard.len());
    Ok(())
}

/// Connections both ways through the server.
async fn splice(server: SocketAddr) -> Result<()> {
    let mut control = Control::allocate(server).await?;
    let relayed = *control.client.relayed().first().context("a relayed address")?;

    let listener = TcpListener::bind((PEER, 0)).await?;
    let at = listener.local_addr()?;
    control.client.connect(now(), at);
    let (bound, accepted) = tokio::join!(control.bind(), soon("a connection", listener.accept()));
    let ((peer, stream, ahead), (accepted, from)) = (bound?, accepted??);
    ensure!(peer == at && from.ip() == relayed.ip() && ahead.is_empty());
    exchange(stream, accepted).await?;

    control.client.permit(now(), SocketAddr::new(PEER, 0));
    let connected = async {
        // The permission is on its way.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(PEER, 0))?;
        let mut stream = socket.connect(relayed).await?;
        stream.write_all(b"hello").await?;
        Ok::<_, anyhow::Error>(stream)
    };
    let (bound, connected) = tokio::join!(control.bind(), connected);
    let ((peer, mut stream, mut said), connected) = (bound?, connected?);
    ensure!(peer == connected.local_addr()?, "{peer}");
    while said.len() < 5 {
        let mut byte = [0];
        soon("what the peer said", stream.read_exact(&mut byte)).await??;
        said.extend(byte);
    }
    ensure!(said == b"hello", "{said:?}");
    exchange(stream, connected).await
}

#[tokio::test]
async fn peers_are_connected_through_our_server() -> Result<()> {
    let mut config = turn::config("test");
    config.users.passwords.insert(USER.to_owned(), PASSWORD.to_owned());
    config.relays.push(LOCALHOST.into());
    config.policy.allow.push(Block::new(LOCALHOST, 8));
    let listeners = vec![Listener::Tcp(SocketAddr::new(LOCALHOST, 0))];
    let server = Server::start(config, listeners, ServerLimits::default()).await?;
    splice(*server.local_addresses().first().context("an address")?).await
}
