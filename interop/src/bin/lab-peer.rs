//! One end of a call in the lab, or its STUN or TURN server. Descriptions go over standard input and output, a line each.
//!
//! `lab-peer stun ADDRESS` | `lab-peer turn ADDRESS` | `lab-peer offer|answer SERVER active|passive MESSAGES`, where the server is a
//! URL of either kind.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use antiphon::turn::{self, Block, Listener, Server, ServerLimits};
use antiphon::{
    Consent, DataChannel, DataChannelInit, IceServer, Message, PeerConnection, SessionDescription, Tcp,
};
use antiphon_interop::{PASSWORD, USER};
use antiphon_stun::{Attribute, Message as Stun, MessageBuilder, MessageType};
use antiphon_util::Writer;
use anyhow::{Context, Result, bail, ensure};

/// Between two messages.
const PERIOD: Duration = Duration::from_millis(20);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["stun", address] => serve_stun(address),
        ["turn", address] => serve_turn(address.parse()?).await,
        ["offer", server, tcp, messages] => offer(connection(server, tcp).await?, messages.parse()?).await,
        ["answer", server, tcp, _] => answer(connection(server, tcp).await?).await,
        _ => bail!("what?"),
    }
}

/// Tells everybody who asks where it is seen.
fn serve_stun(address: &str) -> Result<()> {
    let socket = UdpSocket::bind(address)?;
    println!("ready");
    let mut datagram = [0; 1_500];
    loop {
        let (len, from) = socket.recv_from(&mut datagram)?;
        let Ok(request) = Stun::try_from(datagram.get(..len).unwrap_or_default()) else { continue };
        let mut answer = Vec::new();
        let mut writer = Writer::new(&mut answer);
        let mut builder = MessageBuilder::new(&mut writer, MessageType::BINDING_SUCCESS, request.id());
        builder.attribute(&Attribute::XorMappedAddress(from));
        builder.finish()?;
        socket.send_to(&answer, from)?;
    }
}

/// Relays for everybody, at its own address and to all those of the lab.
async fn serve_turn(address: SocketAddr) -> Result<()> {
    let mut config = turn::config("lab");
    config.users.passwords.insert(USER.to_owned(), PASSWORD.to_owned());
    config.relays.push(address.ip().into());
    config.policy.allow.push(Block::new(address.ip(), 16));
    let listeners = vec![Listener::Udp(address), Listener::Tcp(address)];
    let _server = Server::start(config, listeners, ServerLimits::default()).await?;
    println!("ready");
    std::future::pending().await
}

async fn connection(server: &str, tcp: &str) -> Result<PeerConnection> {
    let tcp = Tcp { active: tcp == "active", passive: tcp == "passive" };
    let consent = Consent {
        period: Duration::from_millis(250),
        disconnected_after: Duration::from_millis(600),
        expiry: Duration::from_secs(15),
    };
    Ok(PeerConnection::builder()
        .ice_server(if server.starts_with("turn:") {
            IceServer::turn(server, USER, PASSWORD)
        } else {
            IceServer::stun(server)
        })
        .tcp(tcp)
        .consent(consent)
        .build()
        .await?)
}

/// Sends numbered messages and expects each back, in order.
async fn offer(connection: PeerConnection, messages: u32) -> Result<()> {
    let channel = connection.create_data_channel("lab", DataChannelInit::default())?;
    tell(&describe(&connection).await?)?;
    connection.set_remote_description(hear()?).await?;
    channel.opened().await?;
    println!("open {}", path(&connection)?);
    let send = async {
        for number in 0..messages {
            channel.send(number.to_string()).await?;
            tokio::time::sleep(PERIOD).await;
        }
        Ok::<_, anyhow::Error>(())
    };
    tokio::try_join!(send, expect(&channel, messages))?;
    println!("done {}", path(&connection)?);
    connection.shutdown().await?;
    Ok(())
}

async fn expect(channel: &DataChannel, messages: u32) -> Result<()> {
    for number in 0..messages {
        let message = channel.recv().await?;
        ensure!(message == Message::from(number.to_string()), "{message:?} in place of {number}");
    }
    Ok(())
}

/// Sends back what arrives.
async fn answer(connection: PeerConnection) -> Result<()> {
    connection.set_remote_description(hear()?).await?;
    tell(&describe(&connection).await?)?;
    let channel = connection.accept_data_channel().await?;
    while let Ok(message) = channel.recv().await {
        channel.send(message).await?;
    }
    Ok(())
}

async fn describe(connection: &PeerConnection) -> Result<SessionDescription> {
    connection.set_local_description(None).await?;
    connection.gathering_complete().await?;
    connection.local_description().context("no description")
}

fn path(connection: &PeerConnection) -> Result<String> {
    let path = connection.statistics().selected_path.context("no path")?;
    Ok(format!("{:?} {} {}", path.protocol, path.local, path.remote))
}

fn tell(description: &SessionDescription) -> Result<()> {
    println!("{}", serde_json::to_string(description)?);
    Ok(())
}

fn hear() -> Result<SessionDescription> {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    Ok(serde_json::from_str(&line)?)
}
