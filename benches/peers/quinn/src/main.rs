//! The work of the comparison, done with `quinn`: QUIC, with one bidirectional stream in the place of the channel.
//!
//! A stream has no messages, so each is written behind its length. As with a peer of WebRTC, each connection has two
//! sockets and a new certificate.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use bytes::{Buf as _, Bytes};
use peers_harness::{End, Library, Pair, run};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{
    ClientConfig, Connection, Endpoint, EndpointConfig, RecvStream, SendStream, ServerConfig, TokioRuntime,
};
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio::sync::Mutex;

/// What each side calls the other.
const NAME: &str = "localhost";

/// The most that is read from the stream at once.
const CHUNK: usize = 64 << 10;

fn main() -> ExitCode {
    let _ = rustls::crypto::ring::default_provider().install_default();
    run(Quinn)
}

struct Quinn;

impl Library for Quinn {
    type End = Peer;

    async fn open_pair(&self) -> Result<Pair<Peer>> {
        let certified = rcgen::generate_simple_self_signed([NAME.to_owned()])?;
        let certificate = certified.cert.der().clone();
        let key = PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
        let mut roots = rustls::RootCertStore::empty();
        roots.add(certificate.clone())?;
        let tls = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();

        let server = endpoint(Some(ServerConfig::with_single_cert(vec![certificate], key.into())?))?;
        let mut client = endpoint(None)?;
        client.set_default_client_config(ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?)));

        let address = server.local_addr()?;
        let (offerer, answerer) = tokio::try_join!(offer(client, address), answer(server))?;
        Ok(Pair { offerer, answerer })
    }
}

fn endpoint(server: Option<ServerConfig>) -> Result<Endpoint> {
    let socket = UdpSocket::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    Ok(Endpoint::new(EndpointConfig::default(), server, socket, Arc::new(TokioRuntime))?)
}

async fn offer(endpoint: Endpoint, address: SocketAddr) -> Result<Peer> {
    let connection = endpoint.connect(address, NAME)?.await?;
    let (mut send, mut receive) = connection.open_bi().await?;
    // The other side learns of the stream by its first byte, and says so.
    send.write_all(&[0]).await?;
    receive.read_exact(&mut [0]).await?;
    Ok(Peer::new(endpoint, connection, send, receive))
}

async fn answer(endpoint: Endpoint) -> Result<Peer> {
    let connection = endpoint.accept().await.context("the endpoint is closed")?.await?;
    let (mut send, mut receive) = connection.accept_bi().await?;
    receive.read_exact(&mut [0]).await?;
    send.write_all(&[0]).await?;
    Ok(Peer::new(endpoint, connection, send, receive))
}

struct Peer {
    /// Lives as long as the connection.
    _endpoint: Endpoint,
    connection: Connection,
    send: Mutex<SendStream>,
    receive: Mutex<Incoming>,
}

impl Peer {
    fn new(endpoint: Endpoint, connection: Connection, send: SendStream, stream: RecvStream) -> Self {
        let receive = Mutex::new(Incoming { stream, chunk: Bytes::new() });
        Self { _endpoint: endpoint, connection, send: Mutex::new(send), receive }
    }
}

impl End for Peer {
    async fn send(&self, message: &Bytes) -> Result<()> {
        let length = u32::try_from(message.len())?.to_be_bytes();
        let mut chunks = [Bytes::copy_from_slice(&length), message.clone()];
        self.send.lock().await.write_all_chunks(&mut chunks).await?;
        Ok(())
    }

    async fn receive(&self) -> Result<usize> {
        self.receive.lock().await.message().await
    }

    async fn close(&self) {
        self.connection.close(0_u32.into(), &[]);
    }
}

struct Incoming {
    stream: RecvStream,
    chunk: Bytes,
}

impl Incoming {
    async fn message(&mut self) -> Result<usize> {
        let mut length = [0; 4];
        for byte in &mut length {
            self.fill().await?;
            *byte = self.chunk.get_u8();
        }
        let length = u32::from_be_bytes(length) as usize;
        let mut missing = length;
        while missing > 0 {
            self.fill().await?;
            let part = missing.min(self.chunk.len());
            self.chunk.advance(part);
            missing -= part;
        }
        Ok(length)
    }

    async fn fill(&mut self) -> Result<()> {
        if self.chunk.is_empty() {
            self.chunk = self.stream.read_chunk(CHUNK, true).await?.context("the stream has ended")?.bytes;
        }
        Ok(())
    }
}
