//! The side that opens the channels, greets and sends.

use std::time::{Duration, Instant};

use antiphon::{Bytes, DataChannel, DataChannelInit, Message, PeerConnection};
use anyhow::ensure;
use indicatif::{ProgressBar, ProgressStyle};

use crate::measure::Meter;

const MESSAGE: usize = 16 * 1024;
const PINGS: u32 = 100;

/// The channels that this side opens.
pub(crate) struct Channels {
    /// The other side sends back what it receives here.
    echo: DataChannel,
    /// The other side takes what it receives here, and says in the end how much that was.
    bulk: DataChannel,
}

/// Channels are made before the offer, so that the offer asks for them.
pub(crate) fn create_channels(peer: &PeerConnection) -> anyhow::Result<Channels> {
    let echo = peer.create_data_channel("echo", DataChannelInit::default())?;
    let bulk = peer.create_data_channel("bulk", DataChannelInit::default())?;
    Ok(Channels { echo, bulk })
}

pub(crate) async fn run(peer: PeerConnection, channels: Channels, mebibytes: usize) -> anyhow::Result<()> {
    peer.connected().await?;
    println!("connected");
    greet(&channels.echo).await?;
    let round_trip = round_trip_time(&channels.echo).await?;
    send(&channels.bulk, mebibytes << 20).await?;
    println!("round-trip time {round_trip:.0?} (median of {PINGS})");
    peer.shutdown().await?;
    Ok(())
}

async fn greet(echo: &DataChannel) -> anyhow::Result<()> {
    for message in [Message::from("Hello!"), Message::from(Bytes::from_static(&[0xca, 0xfe]))] {
        println!("offerer sends {}", describe(&message));
        echo.send(message.clone()).await?;
        let reply = echo.recv().await?;
        println!("offerer receives {}", describe(&reply));
        ensure!(reply == message, "the echo differs");
    }
    Ok(())
}

fn describe(message: &Message) -> String {
    match message {
        Message::Text(text) => format!("the text {text:?}"),
        Message::Binary(bytes) => format!("the bytes {bytes:02x?}"),
    }
}

async fn round_trip_time(echo: &DataChannel) -> anyhow::Result<Duration> {
    let mut times = Vec::new();
    for _ in 0..PINGS {
        let sent = Instant::now();
        echo.send("ping").await?;
        echo.recv().await?;
        times.push(sent.elapsed());
    }
    times.sort_unstable();
    Ok(times.get(times.len() / 2).copied().unwrap_or_default())
}

/// Sends `len` bytes; `send` waits where the network can't keep up, so no more than a buffer's worth is ever queued.
async fn send(bulk: &DataChannel, len: usize) -> anyhow::Result<()> {
    let progress = ProgressBar::new(len as u64)
        .with_style(ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {binary_bytes_per_sec}")?);
    let meter = Meter::start();
    let message = Bytes::from(vec![0x5a; MESSAGE]);
    let mut left = len;
    while left > 0 {
        let piece = message.slice(..left.min(MESSAGE));
        left -= piece.len();
        progress.inc(piece.len() as u64);
        bulk.send(piece).await?;
    }
    bulk.send("end").await?;
    let confirmed = bulk.recv().await?;
    progress.finish();
    println!("{}", meter.report(len));
    ensure!(
        confirmed == Message::from(len.to_string()),
        "the other side received {confirmed:?} of {len} bytes"
    );
    Ok(())
}
