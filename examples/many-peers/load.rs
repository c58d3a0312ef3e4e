//! The peers that connect to the server.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use antiphon::{Certificate, DataChannel, DataChannelInit, PeerConnection};
use anyhow::Context;
use tokio::io::{BufReader, stdin, stdout};
use tokio::task::JoinSet;

use crate::Options;
use crate::signalling::{Signal, describe, hear, lines, tell};

/// How long one peer may take to connect.
const PATIENCE: Duration = Duration::from_secs(30);

/// Connects the peers, a few at a time, then answers whatever the server says until it ends.
pub(crate) async fn run(options: &Options) -> anyhow::Result<()> {
    allow_files(u64::from(options.peers) + 64)?;
    let certificate = Arc::new(Certificate::generate(antiphon::Provider::default())?);
    let (mut signals, mut out) = (lines(BufReader::new(stdin())), stdout());
    let mut waiting: Vec<Option<Offering>> = (0..options.peers).map(|_| None).collect();
    let mut connected = Vec::new();
    let mut opening = JoinSet::new();
    let mut next = 0;
    loop {
        let pending = waiting.iter().flatten().count() + opening.len();
        if next < options.peers && pending < options.at_once.get() {
            let (offering, signal) = Offering::new(next, options.bind.ip(), &certificate).await?;
            *waiting.get_mut(next as usize).context("a place")? = Some(offering);
            tell(&mut out, &signal).await?;
            next += 1;
            continue;
        }
        tokio::select! {
            signal = hear(&mut signals) => {
                let Some(Signal { peer, description }) = signal? else { break };
                let offering = waiting.get_mut(peer as usize).and_then(Option::take);
                let offering = offering.context("an answer to no offer")?;
                offering.connection.set_remote_description(description).await?;
                opening.spawn(tokio::time::timeout(PATIENCE, offering.opened()));
            }
            Some(opened) = opening.join_next() => connected.push(opened?.context("a peer took too long")??),
        }
    }
    Ok(())
}

/// A peer that waits for the answer to its offer.
struct Offering {
    connection: PeerConnection,
    channel: DataChannel,
}

impl Offering {
    async fn new(
        peer: u32,
        address: IpAddr,
        certificate: &Arc<Certificate>,
    ) -> anyhow::Result<(Self, Signal)> {
        let connection = PeerConnection::builder()
            .bind(SocketAddr::new(address, 0))
            .certificate(Arc::clone(certificate))
            .build()
            .await?;
        let channel = connection.create_data_channel("idle", DataChannelInit::default())?;
        let signal = Signal { peer, description: describe(&connection).await? };
        Ok((Self { connection, channel }, signal))
    }

    /// Waits until the channel is open, and from then on sends everything back.
    async fn opened(self) -> anyhow::Result<PeerConnection> {
        let Self { connection, channel } = self;
        channel.opened().await?;
        tokio::spawn(async move {
            while let Ok(message) = channel.recv().await {
                if channel.send(message).await.is_err() {
                    break;
                }
            }
        });
        Ok(connection)
    }
}

/// Every peer has a socket.
fn allow_files(count: u64) -> anyhow::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= count) {
        return Ok(());
    }
    let wanted = Rlimit { current: Some(count), maximum: limit.maximum };
    setrlimit(Resource::Nofile, wanted).with_context(|| format!("this takes {count} open files"))
}
