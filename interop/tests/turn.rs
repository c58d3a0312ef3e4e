//! Relays: Antiphon's client at coturn's server, and coturn's clients, browsers and aiortc at Antiphon's server.
#![allow(clippy::indexing_slicing, reason = "a JSON value gives null where there is nothing")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, SystemTime};

use antiphon::turn::{
    self, Block, Listener, Provider, Server, ServerLimits, TlsIdentity, TlsRoots, time_limited_password,
};
use antiphon::{Configuration, Event, IceServer, IceTransportPolicy, Message, PeerConnection};
use antiphon_interop::{Aiortc, Chromium, Coturn, Driver, Firefox, Network, PASSWORD, Remote, SECRET, USER};
use antiphon_testkit::left_out;
use anyhow::{Context, Result, bail, ensure};

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> Result<T> {
    tokio::time::timeout(Duration::from_secs(30), future)
        .await
        .with_context(|| format!("{what} takes too long"))
}

async fn relayed(server: IceServer, roots: TlsRoots) -> Result<PeerConnection> {
    let mut configuration = Configuration::default();
    configuration.ice_servers = vec![server];
    configuration.ice.transport_policy = IceTransportPolicy::Relay;
    configuration.tls_roots = roots;
    Ok(PeerConnection::new(configuration).await?)
}

/// Two connections that have nothing but relays talk.
async fn talk(server: IceServer, roots: TlsRoots) -> Result<()> {
    let (alice, bob) = (relayed(server.clone(), roots.clone()).await?, relayed(server, roots).await?);
    let channel = alice.create_data_channel("test", Default::default())?;
    alice.set_local_description(None).await?;
    soon("gathering", alice.gathering_complete()).await??;
    let offer = alice.local_description().context("an offer")?;
    if !offer.sdp.contains("typ relay") {
        while let Some(event) = soon("an event", alice.next_event()).await? {
            ensure!(!matches!(event, Event::IceCandidateError(_)), "no relay: {event:?}");
        }
    }
    bob.set_remote_description(offer).await?;
    bob.set_local_description(None).await?;
    soon("gathering", bob.gathering_complete()).await??;
    alice.set_remote_description(bob.local_description().context("an answer")?).await?;
    let incoming = soon("a channel", bob.accept_data_channel()).await??;
    for len in [1, 1_200, 60_000] {
        soon("sending", channel.send(vec![7; len])).await??;
        assert_eq!(soon("receiving", incoming.recv()).await??, Message::from(vec![7; len]));
    }
    alice.close();
    bob.close();
    Ok(())
}

fn user(url: String) -> IceServer {
    IceServer::turn(url, USER, PASSWORD)
}

#[tokio::test]
async fn two_peers_talk_through_coturn_over_udp_tcp_tls_and_dtls_on_both_families() -> Result<()> {
    if left_out("coturn") {
        return Ok(());
    }
    let coturn = Coturn::start(false, &[]).await?;
    let (port, tls) = (coturn.port, coturn.tls_port);
    talk(user(format!("turn:127.0.0.1:{port}")), TlsRoots::System).await?;
    talk(user(format!("turn:[::1]:{port}")), TlsRoots::System).await?;
    talk(user(format!("turn:127.0.0.1:{port}?transport=tcp")), TlsRoots::System).await?;
    let roots = || TlsRoots::Pem(coturn.certificate.clone());
    talk(user(format!("turns:127.0.0.1:{tls}")), roots()).await?;
    talk(user(format!("turns:127.0.0.1:{tls}?transport=udp")), roots()).await
}

#[tokio::test]
async fn credentials_for_a_time_are_good_at_coturn() -> Result<()> {
    if left_out("coturn") {
        return Ok(());
    }
    let coturn = Coturn::start(true, &[]).await?;
    #[allow(clippy::disallowed_methods, reason = "credentials expire by the calendar")]
    let expires = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs() + 600;
    let username = format!("{expires}:alice");
    let password = time_limited_password(Provider::default(), SECRET, &username);
    let url = format!("turn:127.0.0.1:{}", coturn.port);
    talk(IceServer::turn(url, username, password), TlsRoots::System).await
}

#[tokio::test]
async fn nonces_of_coturn_that_are_stale_are_replaced() -> Result<()> {
    if left_out("coturn") {
        return Ok(());
    }
    // Every nonce is good for a few seconds: for longer than a request takes on a busy machine, and not for negotiating at leisure.
    let coturn = Coturn::start(false, &["--stale-nonce=3"]).await?;
    let server = user(format!("turn:127.0.0.1:{}", coturn.port));
    let (alice, bob) =
        (relayed(server.clone(), TlsRoots::System).await?, relayed(server, TlsRoots::System).await?);
    let channel = alice.create_data_channel("test", Default::default())?;
    alice.set_local_description(None).await?;
    soon("gathering", alice.gathering_complete()).await??;
    tokio::time::sleep(Duration::from_millis(4_500)).await;
    bob.set_remote_description(alice.local_description().context("an offer")?).await?;
    bob.set_local_description(None).await?;
    soon("gathering", bob.gathering_complete()).await??;
    tokio::time::sleep(Duration::from_millis(4_500)).await;
    alice.set_remote_description(bob.local_description().context("an answer")?).await?;
    let incoming = soon("a channel", bob.accept_data_channel()).await??;
    soon("sending", channel.send("hello")).await??;
    assert_eq!(soon("receiving", incoming.recv()).await??, Message::from("hello"));
    Ok(())
}

/// A server of ours for everything at `ip` and beside it.
async fn server(ip: IpAddr) -> Result<(Server, [u16; 4])> {
    let key = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()])?;
    let identity = TlsIdentity::from_pem(&key.cert.pem(), &key.signing_key.serialize_pem())?;
    let mut config = turn::config("test");
    config.users.passwords.insert(USER.to_owned(), PASSWORD.to_owned());
    config.users.secrets.push(SECRET.to_owned());
    config.relays.push(ip.into());
    config.policy.allow.push(Block::new(ip, 8));
    let any = SocketAddr::new(ip, 0);
    let listeners = vec![
        Listener::Udp(any),
        Listener::Dtls(any, identity.clone()),
        Listener::Tcp(any),
        Listener::Tls(any, identity),
    ];
    let server = Server::start(config, listeners, ServerLimits::default()).await?;
    let port = |at: usize| server.local_addresses().get(at).map_or(0, SocketAddr::port);
    let ports = [port(0), port(1), port(2), port(3)];
    Ok((server, ports))
}

/// What `turnutils_uclient` says that it lost, of ten messages to and from itself through two relays.
async fn lost(arguments: &[&str], port: u16) -> Result<String> {
    let port = port.to_string();
    let common = ["-y", "-c", "-n", "10", "-l", "170", "-z", "20", "-p", &port];
    let text = Coturn::client("turnutils_uclient", &[&common, arguments, &["127.0.0.1"]].concat()).await?;
    let line = text.lines().rev().find(|line| line.contains("Total lost packets"));
    Ok(line.with_context(|| text.clone())?.to_owned())
}

/// A run of it that loses nothing. The client does not wait for what is late, and on a busy machine something may be.
async fn serves(arguments: &[&str], port: u16) -> Result<()> {
    let mut said = String::new();
    for _ in 0..5 {
        said = lost(arguments, port).await?;
        if said.contains("Total lost packets 0 ") {
            return Ok(());
        }
    }
    bail!("{arguments:?}: {said}")
}

#[tokio::test]
async fn the_clients_of_coturn_are_served() -> Result<()> {
    if left_out("coturn") {
        return Ok(());
    }
    let (server, [udp, dtls, tcp, tls]) = server(LOCALHOST).await?;
    let known = ["-u", USER, "-w", PASSWORD];
    for (port, over) in [(udp, &[][..]), (tcp, &["-t"]), (tls, &["-t", "-S"]), (dtls, &["-S"])] {
        // By channels, and by indications.
        for way in [&[][..], &["-s"]] {
            serves(&[&known[..], over, way].concat(), port).await?;
        }
    }
    // TCP connections between the clients (RFC 6062).
    serves(&[&known[..], &["-T"]].concat(), tcp).await?;
    serves(&["-u", USER, "-W", SECRET], udp).await?;

    let port = udp.to_string();
    let seen = Coturn::client("turnutils_stunclient", &["-p", &port, "127.0.0.1"]).await?;
    ensure!(seen.contains("127.0.0.1"), "{seen}");
    let seen = Coturn::client("turnutils_natdiscovery", &["-m", "-p", &port, "127.0.0.1"]).await?;
    ensure!(!seen.is_empty(), "natdiscovery says nothing");
    let metrics = server.metrics();
    ensure!(metrics.bindings >= 2 && metrics.datagrams_to_peers > 100, "{metrics}");
    Ok(())
}

/// A peer of another make that has nothing but our relay talks to one of ours.
/// The server has to outlive the peer, which takes its leave from it.
async fn serve(remote: &mut Remote<impl Driver>, ip: IpAddr) -> Result<Server> {
    let (server, [udp, ..]) = server(ip).await?;
    remote.relay(&format!("turn:{ip}:{udp}"), USER, PASSWORD).await?;
    let mut configuration = Configuration::default();
    configuration.network.include_loopback = true;
    let connection = PeerConnection::new(configuration).await?;
    let channel = connection.create_data_channel("test", Default::default())?;
    connection.set_local_description(None).await?;
    soon("gathering", connection.gathering_complete()).await??;
    let offer = serde_json::to_value(connection.local_description().context("an offer")?)?;
    let answer = remote.answer(&offer).await?;
    let sdp = answer["sdp"].as_str().unwrap_or_default();
    let mut candidates = sdp.lines().filter(|line| line.starts_with("a=candidate"));
    ensure!(sdp.contains("typ relay") && candidates.all(|line| line.contains("typ relay")), "{sdp}");
    connection.set_remote_description(serde_json::from_value(answer)?).await?;
    soon("connecting", connection.connected()).await??;
    remote.echo().await?;
    for len in [1, 1_200, 60_000] {
        soon("sending", channel.send(vec![7; len])).await??;
        assert_eq!(soon("an echo", channel.recv()).await??, Message::from(vec![7; len]));
    }
    ensure!(server.metrics().bytes_to_peers > 60_000, "{}", server.metrics());
    connection.close();
    Ok(server)
}

#[tokio::test]
async fn aiortc_is_relayed() -> Result<()> {
    if left_out("aiortc") {
        return Ok(());
    }
    let mut aiortc = Aiortc::start().await?;
    let _server = serve(&mut aiortc, LOCALHOST).await?;
    aiortc.quit().await
}

#[tokio::test]
async fn chromium_is_relayed() -> Result<()> {
    if left_out("chromium") {
        return Ok(());
    }
    let mut chromium = Chromium::start().await?;
    let _server = serve(&mut chromium, LOCALHOST).await?;
    chromium.quit().await
}

#[tokio::test]
async fn firefox_is_relayed() -> Result<()> {
    if left_out("firefox") {
        return Ok(());
    }
    let _network = Network::enter()?;
    let mut firefox = Firefox::start().await?;
    // It uses no server on loopback.
    let _server = serve(&mut firefox, [10, 77, 0, 1].into()).await?;
    firefox.quit().await
}
