//! Over TCP: frames, connections to peers (RFC 6062), and the end of a stream.

use std::net::SocketAddr;
use std::time::Instant;

use antiphon_stun::{FrameDecoder, Framing};
use antiphon_testkit::origin;
use antiphon_turn::client::{Binding, Client, Event, Relaying};
use antiphon_turn::server::{self, Server};
use antiphon_util::{Path, Protocol, Received, Rng};

use crate::world::{CLIENT, PEER, SERVER, Setup, at, client_config, server_config};

/// A client and a server, whose streams lose nothing and take no time.
struct Stream {
    now: Instant,
    client: Client,
    server: Server,
    decoder: FrameDecoder,
    events: Vec<server::Event>,
    to_peers: Vec<(SocketAddr, Vec<u8>)>,
    from_peers: Vec<Vec<u8>>,
}

fn path(port: u16) -> Path {
    Path { protocol: Protocol::Tcp, local: at(CLIENT, port), remote: at(SERVER, 3_478) }
}

fn reversed(path: Path) -> Path {
    Path { local: path.remote, remote: path.local, ..path }
}

impl Stream {
    fn new(setup: Setup) -> Self {
        let now = origin();
        Self {
            now,
            client: setup.client(now, Rng::from_test_seed(1), path(4_000)),
            server: Server::new(now, server_config(), Rng::from_test_seed(2)),
            decoder: FrameDecoder::new(Framing::SelfDelimiting, 0x10000),
            events: Vec::new(),
            to_peers: Vec::new(),
            from_peers: Vec::new(),
        }
    }

    fn run(&mut self) {
        let now = self.now;
        loop {
            let mut buf = Vec::new();
            self.client.handle_timeout(now);
            let sent = self.client.poll_transmit(now, &mut buf).is_some();
            if sent {
                self.deliver(&buf);
            }
            while let Some(event) = self.server.poll_event() {
                if let server::Event::OpenRelay { address, .. } = event {
                    self.server.relay_opened(now, address, true);
                } else {
                    self.events.push(event);
                }
            }
            buf.clear();
            let Some(transmit) = self.server.poll_transmit(now, &mut buf) else {
                if sent { continue } else { break }
            };
            if transmit.path.protocol == Protocol::Udp {
                self.to_peers.push((transmit.path.remote, buf));
                continue;
            }
            let mut input = &buf[..];
            while let Some(frame) = self.decoder.decode(&mut input).unwrap() {
                let path = self.client.path();
                if let Some(data) =
                    self.client.handle_receive(now, Received { path, ecn: None, datagram: frame })
                {
                    self.from_peers.push(data.datagram.to_vec());
                }
            }
        }
    }

    fn deliver(&mut self, bytes: &[u8]) {
        // One byte at a time.
        let mut decoder = FrameDecoder::new(Framing::SelfDelimiting, 0x10000);
        for byte in bytes {
            let mut input = std::slice::from_ref(byte);
            if let Some(frame) = decoder.decode(&mut input).unwrap() {
                let path = reversed(self.client.path());
                self.server.handle_receive(self.now, Received { path, ecn: None, datagram: frame });
            }
        }
    }

    fn send(&mut self, peer: SocketAddr, datagram: &[u8]) {
        let mut buf = Vec::new();
        if self.client.send(self.now, peer, datagram, &mut buf).is_some() {
            self.deliver(&buf);
        }
        self.run();
    }
}

#[test]
fn datagrams_of_every_length_are_relayed_over_a_stream() {
    let mut stream = Stream::new(client_config());
    stream.run();
    let relayed = stream.client.relayed()[0];
    let peer = at(PEER, 7);
    for len in 0..50_usize {
        stream.send(peer, &vec![len as u8; len]);
        let mut echo = vec![len as u8; len];
        let path = Path::udp(relayed, peer);
        stream.server.handle_receive(stream.now, Received { path, ecn: None, datagram: &mut echo });
        stream.run();
    }
    let expected: Vec<Vec<u8>> = (0..50).map(|len| vec![len as u8; len]).collect();
    assert_eq!(stream.to_peers.iter().map(|(_, data)| data.clone()).collect::<Vec<_>>(), expected);
    assert_eq!(stream.from_peers, expected);
}

#[test]
fn the_end_of_a_stream_ends_its_allocation_unless_it_can_move() {
    for mobile in [false, true] {
        let mut config = client_config();
        config.mobility = mobile;
        let mut stream = Stream::new(config);
        stream.run();
        assert!(matches!(stream.client.poll_event(), Some(Event::Allocated(_))));
        stream.client.handle_disconnect();
        stream.server.handle_disconnect(reversed(path(4_000)));
        assert_eq!(stream.server.metrics().allocations, u64::from(mobile));
        assert_eq!(stream.server.metrics().users, u64::from(mobile), "the quota counts on");
        if mobile {
            stream.client.migrate(stream.now, at(CLIENT, 4_001));
            stream.run();
            assert_eq!(stream.client.poll_event(), Some(Event::Moved));
            stream.send(at(PEER, 7), b"moved");
            assert_eq!(stream.to_peers.len(), 1);
        } else {
            assert!(matches!(stream.client.poll_event(), Some(Event::Failed(_))));
        }
    }
}

fn tcp_relaying() -> Stream {
    let mut config = client_config();
    config.relaying = Relaying::Tcp;
    let mut stream = Stream::new(config);
    stream.run();
    assert!(matches!(stream.client.poll_event(), Some(Event::Allocated(_))));
    stream
}

/// Binds connection `id` on a new stream and gives whether client and server think so.
fn bind(stream: &mut Stream, id: u32) -> bool {
    let mut request = Vec::new();
    let mut bind = stream.client.bind_connection(id, &mut request).unwrap();
    let path = reversed(path(5_000));
    loop {
        stream.server.handle_receive(stream.now, Received { path, ecn: None, datagram: &mut request });
        let mut answer = Vec::new();
        stream.server.poll_transmit(stream.now, &mut answer).unwrap();
        request.clear();
        match stream.client.handle_bound(&bind, &answer, &mut request) {
            Binding::Again(again) => bind = again,
            outcome => {
                let joined = server::Event::JoinConnection { connection: id, client: path };
                assert_eq!(stream.server.poll_event() == Some(joined), outcome == Binding::Bound);
                return outcome == Binding::Bound;
            }
        }
    }
}

#[test]
fn the_relay_connects_to_a_peer_and_joins_the_connection_to_a_stream() {
    let mut stream = tcp_relaying();
    stream.client.connect(stream.now, at(PEER, 80));
    stream.run();
    let Some(server::Event::OpenConnection { connection, local, peer }) = stream.events.pop() else {
        panic!("{:?}", stream.events)
    };
    assert_eq!((local, peer), (stream.client.relayed()[0], at(PEER, 80)));
    stream.server.connection_opened(stream.now, connection, true);
    stream.run();
    assert_eq!(stream.client.poll_event(), Some(Event::ConnectionReady { id: connection, peer }));
    assert!(bind(&mut stream, connection));
    assert_eq!(stream.server.metrics().connections, 1);
}

#[test]
fn a_peer_connects_where_it_has_permission() {
    let mut stream = tcp_relaying();
    let relayed = stream.client.relayed()[0];
    assert_eq!(stream.server.connection_accepted(stream.now, relayed, at(PEER, 9)), None);
    stream.client.permit(stream.now, at(PEER, 0));
    stream.run();
    let connection = stream.server.connection_accepted(stream.now, relayed, at(PEER, 9)).unwrap();
    stream.run();
    assert_eq!(
        stream.client.poll_event(),
        Some(Event::ConnectionReady { id: connection, peer: at(PEER, 9) })
    );
    assert!(bind(&mut stream, connection));
}

#[test]
fn connections_that_fail_or_are_not_fetched_end() {
    let mut stream = tcp_relaying();
    stream.client.connect(stream.now, at(PEER, 80));
    stream.run();
    let Some(server::Event::OpenConnection { connection, .. }) = stream.events.pop() else { panic!() };
    stream.server.connection_opened(stream.now, connection, false);
    stream.run();
    match stream.client.poll_event() {
        Some(Event::ConnectionFailed { refusal, .. }) => assert_eq!(refusal.code, 447),
        other => panic!("{other:?}"),
    }
    for special in ["127.0.0.1", "10.0.0.1", "169.254.169.254", SERVER] {
        stream.client.connect(stream.now, at(special, 80));
        stream.run();
        match stream.client.poll_event() {
            Some(Event::ConnectionFailed { refusal, .. }) => assert_eq!(refusal.code, 403, "{special}"),
            other => panic!("{special}: {other:?}"),
        }
        assert_eq!(stream.events, []);
    }
    stream.client.permit(stream.now, at(PEER, 0));
    stream.run();
    let relayed = stream.client.relayed()[0];
    let limit = server_config().limits.connections;
    let accepted: Vec<u32> = (0..10 * limit)
        .filter_map(|n| stream.server.connection_accepted(stream.now, relayed, at(PEER, n as u16 + 1)))
        .collect();
    assert_eq!(accepted.len(), limit);
    stream.server.handle_timeout(stream.now + std::time::Duration::from_secs(30));
    let closed = std::iter::from_fn(|| stream.server.poll_event())
        .filter(|event| matches!(event, server::Event::CloseConnection { .. }))
        .count();
    assert_eq!(closed, limit);
}
