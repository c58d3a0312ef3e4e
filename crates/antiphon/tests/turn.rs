//! Connections through a TURN server of ours, over real sockets of the loopback interface.
#![allow(clippy::panic, clippy::indexing_slicing, clippy::unwrap_used, reason = "a test may fail loudly")]

mod common;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use antiphon::turn::{self, Listener, Server, ServerLimits, TlsIdentity, TlsRoots};
use antiphon::{Builder, Event, IceServer, IceTransportPolicy, Message, PeerConnection};
use antiphon_crypto::Provider;
use antiphon_dtls::{ChainVerifier, Config};
use antiphon_util::Rng;
use common::{loopback, pair_of, pattern, soon};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::Instant;

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// What makes a server that relays on loopback.
fn config() -> turn::Config {
    let mut config = turn::config("test");
    config.users.passwords.insert("user".to_owned(), "secret".to_owned());
    config.relays.push(LOCALHOST.into());
    config.policy.allow.push(turn::Block::new(LOCALHOST, 8));
    config
}

fn identity() -> (TlsIdentity, TlsRoots) {
    let key = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let chain = key.cert.pem();
    (TlsIdentity::from_pem(&chain, &key.signing_key.serialize_pem()).unwrap(), TlsRoots::Pem(chain))
}

async fn start(config: turn::Config, listeners: Vec<Listener>) -> Server {
    Server::start(config, listeners, ServerLimits::default()).await.unwrap()
}

fn relayed(url: &str) -> Builder {
    PeerConnection::builder()
        .ice_server(IceServer::turn(url, "user", "secret"))
        .ice_transport_policy(IceTransportPolicy::Relay)
}

/// Both peers by relays alone: whatever arrives, arrives through the server.
async fn talk(server: &Server, offerer: Builder, answerer: Builder) {
    let pair = pair_of(offerer.build().await.unwrap(), answerer.build().await.unwrap()).await;
    let description = pair.offerer.local_description().unwrap();
    let candidates: Vec<_> = description.sdp.lines().filter(|line| line.starts_with("a=candidate")).collect();
    assert!(
        !candidates.is_empty() && candidates.iter().all(|line| line.contains("typ relay")),
        "{candidates:?}"
    );
    assert!(candidates.iter().all(|line| line.contains("raddr 0.0.0.0")), "{candidates:?}");
    for len in [0, 1, 1_000, 100_000] {
        let data = pattern(len, 7);
        soon(pair.near.send(data.clone())).await.unwrap();
        assert_eq!(soon(pair.far.recv()).await.unwrap(), Message::from(data));
    }
    let metrics = server.metrics();
    assert_eq!(metrics.allocations, 2);
    assert!(metrics.bytes_to_peers > 100_000, "{metrics}");
    pair.offerer.close();
    pair.answerer.close();
    for _ in 0..100 {
        if server.metrics().allocations == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("closed connections leave their allocations behind\n{}", server.metrics());
}

#[tokio::test]
async fn two_peers_talk_through_a_relay_over_udp() {
    let server = start(config(), vec![Listener::Udp(loopback())]).await;
    let url = format!("turn:{}", server.local_addresses()[0]);
    talk(&server, relayed(&url), relayed(&url)).await;
}

#[tokio::test]
async fn two_peers_talk_through_a_relay_over_tcp() {
    let server = start(config(), vec![Listener::Tcp(loopback())]).await;
    let url = format!("turn:{}?transport=tcp", server.local_addresses()[0]);
    talk(&server, relayed(&url), relayed(&url)).await;
}

#[tokio::test]
async fn two_peers_talk_through_a_relay_over_tls_alone() {
    let (identity, roots) = identity();
    let server = start(config(), vec![Listener::Tls(loopback(), identity)]).await;
    let url = format!("turns:{}", server.local_addresses()[0]);
    let peer = || relayed(&url).tls_roots(roots.clone());
    talk(&server, peer(), peer()).await;
}

#[tokio::test]
async fn two_peers_talk_through_a_relay_over_dtls_alone() {
    let (identity, roots) = identity();
    let server = start(config(), vec![Listener::Dtls(loopback(), identity)]).await;
    let url = format!("turns:{}?transport=udp", server.local_addresses()[0]);
    let peer = || relayed(&url).tls_roots(roots.clone());
    talk(&server, peer(), peer()).await;
}

#[tokio::test]
async fn a_dtls_server_that_is_not_trusted_or_is_somebody_else_gets_no_credentials() {
    let (identity, roots) = identity();
    let server = start(config(), vec![Listener::Dtls(loopback(), identity)]).await;
    let address = server.local_addresses()[0];
    let url = format!("turns:{address}?transport=udp");
    let (_, strangers) = self::identity();
    assert_eq!(failure(relayed(&url).tls_roots(strangers)).await.1, 701);
    // Trusted, and of another name.
    let key = rcgen::generate_simple_self_signed(["example.org".to_owned()]).unwrap();
    let chain = key.cert.pem();
    let other = TlsIdentity::from_pem(&chain, &key.signing_key.serialize_pem()).unwrap();
    let misnamed = start(config(), vec![Listener::Dtls(loopback(), other)]).await;
    let wrong = format!("turns:{}?transport=udp", misnamed.local_addresses()[0]);
    assert_eq!(failure(relayed(&wrong).tls_roots(TlsRoots::Pem(chain))).await.1, 701);
    assert_eq!((server.metrics().requests, misnamed.metrics().requests), (0, 0));
    assert_eq!((server.metrics().refusals.of(401), misnamed.metrics().refusals.of(401)), (0, 0));
    // The name is the one to which the certificate was given.
    let named = format!("turns:localhost:{}?transport=udp", address.port());
    let connection = relayed(&named).tls_roots(roots).build().await.unwrap();
    connection.create_data_channel("test", Default::default()).unwrap();
    connection.set_local_description(None).await.unwrap();
    soon(connection.gathering_complete()).await.unwrap();
    assert!(connection.local_description().unwrap().sdp.contains("typ relay"));
}

/// A DTLS client that says nothing.
struct Silent {
    connection: antiphon_dtls::Connection,
    socket: UdpSocket,
}

impl Silent {
    async fn start(server: SocketAddr) -> Self {
        let provider = Provider::default();
        let config = Config::for_client(provider, None, ChainVerifier::new(|_| true));
        let mut connection =
            antiphon_dtls::Connection::client(config, Rng::from_seed(provider.random_seed()));
        let socket = UdpSocket::bind(loopback()).await.unwrap();
        socket.connect(server).await.unwrap();
        connection.start(Instant::now().into(), None);
        Self { connection, socket }
    }

    /// Goes on until `done`; `false` where that takes longer than `patience`.
    async fn until(&mut self, patience: Duration, done: impl Fn(&antiphon_dtls::Connection) -> bool) -> bool {
        let end = Instant::now() + patience;
        let mut buf = vec![0; 2_000];
        while !done(&self.connection) && Instant::now() < end {
            let mut datagram = Vec::new();
            while self.connection.poll_transmit(Instant::now().into(), &mut datagram).is_some() {
                self.socket.send(&datagram).await.unwrap();
                datagram.clear();
            }
            let read = tokio::time::timeout(Duration::from_millis(50), self.socket.recv(&mut buf));
            let now = Instant::now().into();
            match read.await {
                Ok(len) => self.connection.handle_datagram(now, &mut buf[..len.unwrap()], |_| {}),
                Err(_) => self.connection.handle_timeout(now),
            }
        }
        done(&self.connection)
    }
}

#[tokio::test]
async fn associations_that_ask_for_nothing_end_and_are_bounded() {
    let (identity, roots) = identity();
    let mut limits = ServerLimits::default();
    limits.idle_stream = Duration::from_secs(2);
    limits.streams_per_address = 3;
    let server = Server::start(config(), vec![Listener::Dtls(loopback(), identity)], limits).await.unwrap();
    let address = server.local_addresses()[0];
    // One that has an allocation stays.
    let url = format!("turns:{address}?transport=udp");
    let honest = relayed(&url).tls_roots(roots).build().await.unwrap();
    honest.create_data_channel("test", Default::default()).unwrap();
    honest.set_local_description(None).await.unwrap();
    soon(honest.gathering_complete()).await.unwrap();
    let (mut one, mut two) = (Silent::start(address).await, Silent::start(address).await);
    for silent in [&mut one, &mut two] {
        assert!(silent.until(Duration::from_secs(1), antiphon_dtls::Connection::is_connected).await);
    }
    let mut beyond = Silent::start(address).await;
    assert!(!beyond.until(Duration::from_millis(500), antiphon_dtls::Connection::is_connected).await);
    for silent in [&mut one, &mut two] {
        assert!(silent.until(Duration::from_secs(10), antiphon_dtls::Connection::is_closed).await);
    }
    // Now there is room.
    assert!(beyond.until(Duration::from_secs(5), antiphon_dtls::Connection::is_connected).await);
    assert_eq!(server.metrics().allocations, 1);
}

#[tokio::test]
async fn a_peer_behind_a_relay_talks_to_one_that_is_not() {
    let server = start(config(), vec![Listener::Udp(loopback())]).await;
    let url = format!("turn:{}", server.local_addresses()[0]);
    let pair = pair_of(relayed(&url).build().await.unwrap(), common::peer().await).await;
    soon(pair.near.send("hello")).await.unwrap();
    assert_eq!(soon(pair.far.recv()).await.unwrap(), Message::from("hello"));
    assert_eq!(server.metrics().allocations, 1);
}

/// The code and text of the first failure that the connection tells.
async fn failure(builder: Builder) -> (String, u16, String) {
    let connection = builder.build().await.unwrap();
    loop {
        match soon(connection.next_event()).await {
            Some(Event::IceCandidateError(error)) => return (error.url, error.error_code, error.error_text),
            Some(_) => {}
            None => panic!("no failure"),
        }
    }
}

#[tokio::test]
async fn each_refusal_is_told_with_url_code_and_reason() {
    let mut full = config();
    full.limits.allocations_per_user = 0;
    let full = start(full, vec![Listener::Udp(loopback())]).await;
    let url = format!("turn:{}", full.local_addresses()[0]);
    assert_eq!(failure(relayed(&url)).await, (url.clone(), 486, "Allocation Quota Reached".to_owned()));

    let server = start(config(), vec![Listener::Udp(loopback()), Listener::Tcp(loopback())]).await;
    let url = format!("turn:{}", server.local_addresses()[0]);
    let wrong = PeerConnection::builder().ice_server(IceServer::turn(&url, "user", "wrong"));
    let (named, code, _) = failure(wrong).await;
    assert_eq!((named, code), (url, 401));

    // A server that speaks no TLS, one that nobody trusts, and a port that nobody listens at.
    let (identity, roots) = identity();
    let plain = format!("turns:{}", server.local_addresses()[1]);
    assert_eq!(failure(relayed(&plain).tls_roots(roots)).await.1, 701);
    let secure = start(config(), vec![Listener::Tls(loopback(), identity)]).await;
    let strange = format!("turns:{}", secure.local_addresses()[0]);
    let (_, other_roots) = self::identity();
    assert_eq!(failure(relayed(&strange).tls_roots(other_roots)).await.1, 701);
    let closed = std::net::TcpListener::bind(loopback()).unwrap().local_addr().unwrap();
    assert_eq!(failure(relayed(&format!("turn:{closed}?transport=tcp"))).await.1, 701);
}

#[tokio::test]
async fn gathering_completes_although_every_relay_refuses() {
    let server = start(config(), vec![Listener::Udp(loopback())]).await;
    let url = format!("turn:{}", server.local_addresses()[0]);
    let connection =
        PeerConnection::builder().bind(loopback()).ice_server(IceServer::turn(url, "user", "wrong"));
    let connection = connection.build().await.unwrap();
    connection.create_data_channel("test", Default::default()).unwrap();
    connection.set_local_description(None).await.unwrap();
    soon(connection.gathering_complete()).await.unwrap();
    assert!(connection.local_description().unwrap().sdp.contains("typ host"));
}

/// A request that a stream of a server has to refuse: Allocate without credentials.
const ALLOCATE: [u8; 28] =
    [0, 3, 0, 8, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0, 0x19, 0, 4, 17, 0, 0, 0];

async fn is_answered(stream: &mut TcpStream) -> bool {
    let mut answer = [0; 20];
    stream.write_all(&ALLOCATE).await.is_ok() && stream.read_exact(&mut answer).await.is_ok()
}

#[tokio::test]
async fn streams_that_ask_for_nothing_or_talk_nonsense_end_and_others_go_on() {
    let (identity, _) = identity();
    let mut limits = ServerLimits::default();
    limits.idle_stream = Duration::from_millis(300);
    limits.streams_per_address = 8;
    let listeners = vec![Listener::Tcp(loopback()), Listener::Tls(loopback(), identity)];
    let server = Server::start(config(), listeners, limits).await.unwrap();
    let [tcp, tls] = [server.local_addresses()[0], server.local_addresses()[1]];

    let mut honest = TcpStream::connect(tcp).await.unwrap();
    assert!(soon(is_answered(&mut honest)).await);
    // Half a request, a frame that is none, and a handshake that never begins.
    for (address, bytes) in [(tcp, &ALLOCATE[..9]), (tcp, &[0xff; 40][..]), (tls, &[][..])] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut rest = Vec::new();
        let _ = soon(stream.read_to_end(&mut rest)).await;
        assert_eq!(rest, []);
    }
    // More streams than one address may have: those beyond are closed at once.
    let mut streams = Vec::new();
    let mut answered = 0;
    for _ in 0..80 {
        let mut stream = TcpStream::connect(tcp).await.unwrap();
        answered += usize::from(soon(is_answered(&mut stream)).await);
        streams.push(stream);
    }
    assert!((1..=8).contains(&answered), "{answered} streams");
}

#[tokio::test]
async fn shutdown_takes_nobody_new_and_lets_the_others_finish() {
    let server = start(config(), vec![Listener::Udp(loopback())]).await;
    let address: SocketAddr = server.local_addresses()[0];
    let url = format!("turn:{address}");
    let pair = pair_of(relayed(&url).build().await.unwrap(), relayed(&url).build().await.unwrap()).await;
    let stopping = tokio::spawn(server.shutdown(Duration::from_secs(20)));
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(failure(relayed(&url)).await.1, 508);
    soon(pair.near.send("still there")).await.unwrap();
    assert_eq!(soon(pair.far.recv()).await.unwrap(), Message::from("still there"));
    pair.offerer.close();
    pair.answerer.close();
    soon(stopping).await.unwrap();
}
