//! The work of the comparison, done with Antiphon.
//!
//! Settings are the library's own, but for the loopback address; `send` waits by itself.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;

use antiphon::{DataChannel, DataChannelInit, Message, PeerConnection, SessionDescription};
use anyhow::{Context as _, Result};
use bytes::Bytes;
use peers_harness::{End, LABEL, Library, Pair, run};

fn main() -> ExitCode {
    run(Antiphon)
}

struct Antiphon;

impl Library for Antiphon {
    type End = Peer;

    async fn open_pair(&self) -> Result<Pair<Peer>> {
        let (offerer, answerer) = (connection().await?, connection().await?);
        let offered = offerer.create_data_channel(LABEL, DataChannelInit::default())?;

        answerer.set_remote_description(describe(&offerer).await?).await?;
        offerer.set_remote_description(describe(&answerer).await?).await?;

        let accepted = answerer.accept_data_channel().await?;
        tokio::try_join!(offered.opened(), accepted.opened())?;
        Ok(Pair {
            offerer: Peer { connection: offerer, channel: offered },
            answerer: Peer { connection: answerer, channel: accepted },
        })
    }
}

async fn connection() -> Result<PeerConnection> {
    Ok(PeerConnection::builder().bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).build().await?)
}

/// Makes the offer or the answer, and returns it with all candidates.
async fn describe(connection: &PeerConnection) -> Result<SessionDescription> {
    connection.set_local_description(None).await?;
    connection.gathering_complete().await?;
    connection.local_description().context("there is no local description")
}

struct Peer {
    connection: PeerConnection,
    channel: DataChannel,
}

impl End for Peer {
    async fn send(&self, message: &Bytes) -> Result<()> {
        Ok(self.channel.send(Message::Binary(message.clone())).await?)
    }

    async fn receive(&self) -> Result<usize> {
        match self.channel.recv().await? {
            Message::Binary(message) => Ok(message.len()),
            Message::Text(_) => anyhow::bail!("a text arrived"),
        }
    }

    async fn close(&self) {
        self.connection.close();
    }
}
