//! Two peers talk over data channels: text, binary, and then a lot of it.
//!
//! ```text
//! cargo run --release --example data-channels              two peers in this process
//! cargo run --release --example data-channels -- --offer   one side, in one terminal ...
//! cargo run --release --example data-channels -- --answer  ... and the other, in another
//! ```

#![allow(clippy::disallowed_methods, reason = "measures real time")]

mod answerer;
mod measure;
mod offerer;
mod paste;

use antiphon::{PeerConnection, SessionDescription};
use clap::Parser;

/// Two peers talk over data channels: text, binary, and then a lot of it.
#[derive(Parser)]
struct Options {
    /// Be the side that makes the offer.
    #[arg(long, conflicts_with = "answer")]
    offer: bool,
    /// Be the side that answers an offer.
    #[arg(long)]
    answer: bool,
    /// How many MiB to send.
    #[arg(long, default_value_t = 256)]
    mebibytes: usize,
    /// A STUN server for peers that are not on the same network, such as stun:stun.example.org:3478.
    #[arg(long)]
    stun: Vec<String>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    if options.offer {
        let peer = connection(&options).await?;
        let channels = offerer::create_channels(&peer)?;
        paste::show("offer", &offer(&peer).await?)?;
        peer.set_remote_description(paste::ask("answer").await?).await?;
        offerer::run(peer, channels, options.mebibytes).await
    } else if options.answer {
        let peer = connection(&options).await?;
        let offer = paste::ask("offer").await?;
        paste::show("answer", &answer(&peer, offer).await?)?;
        answerer::run(peer).await
    } else {
        let (left, right) = (connection(&options).await?, connection(&options).await?);
        let channels = offerer::create_channels(&left)?;
        let offer = offer(&left).await?;
        left.set_remote_description(answer(&right, offer).await?).await?;
        let answering = tokio::spawn(answerer::run(right));
        offerer::run(left, channels, options.mebibytes).await?;
        answering.await?
    }
}

async fn connection(options: &Options) -> anyhow::Result<PeerConnection> {
    let mut builder = PeerConnection::builder();
    for url in &options.stun {
        builder = builder.ice_server(url.as_str());
    }
    Ok(builder.build().await?)
}

/// The offer, with all candidates in it.
async fn offer(peer: &PeerConnection) -> anyhow::Result<SessionDescription> {
    peer.set_local_description(None).await?;
    gathered(peer).await
}

/// The answer to `offer`, with all candidates in it.
async fn answer(peer: &PeerConnection, offer: SessionDescription) -> anyhow::Result<SessionDescription> {
    peer.set_remote_description(offer).await?;
    peer.set_local_description(None).await?;
    gathered(peer).await
}

async fn gathered(peer: &PeerConnection) -> anyhow::Result<SessionDescription> {
    peer.gathering_complete().await?;
    peer.local_description().ok_or_else(|| anyhow::anyhow!("no local description"))
}
