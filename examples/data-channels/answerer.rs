//! The side that takes the channels as they come.

use antiphon::{DataChannel, Message, PeerConnection};

pub(crate) async fn run(peer: PeerConnection) -> anyhow::Result<()> {
    while let Ok(channel) = peer.accept_data_channel().await {
        println!("answerer has channel {:?}", channel.label());
        match channel.label() {
            "bulk" => tokio::spawn(receive(channel)),
            _ => tokio::spawn(echo(channel)),
        };
    }
    Ok(())
}

/// Sends every message back.
async fn echo(channel: DataChannel) -> anyhow::Result<()> {
    while let Ok(message) = channel.recv().await {
        channel.send(message).await?;
    }
    Ok(())
}

/// Counts what arrives and says how much it was.
async fn receive(channel: DataChannel) -> anyhow::Result<()> {
    let mut received = 0;
    while let Ok(message) = channel.recv().await {
        match message {
            Message::Binary(bytes) => received += bytes.len(),
            Message::Text(_) => channel.send(received.to_string()).await?,
        }
    }
    Ok(())
}
