//! Sends messages to an echo server and checks that each comes back as it was.
//!
//! ```text
//! cargo run --release --example echo-client -- http://127.0.0.1:8080/offer --channels 4
//! ```
//!
//! The convention is that of the public webrtc-echoes project: the offer goes out as JSON with `POST`, the response is the
//! answer. The exit code is 0 only where every message came back right; the reason is printed otherwise. Without an option
//! that names messages, text and binary ones of many sizes are sent.

mod messages;

use std::process::ExitCode;
use std::time::Duration;

use antiphon::{DataChannel, DataChannelInit, Message, PeerConnection, SessionDescription};
use antiphon_examples::{IceServers, start_trace};
use anyhow::{Context, bail, ensure};
use clap::Parser;
use futures_util::future::try_join_all;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::time::{Instant, timeout, timeout_at};

use crate::messages::{Wanted, describe};

/// What a peer takes whose description says nothing (RFC 8841 §6.1).
const DEFAULT_MAX_MESSAGE_SIZE: usize = 64 * 1024;
/// A surplus echo shows within this time after the last one that was due.
const SURPLUS_TIMEOUT: Duration = Duration::from_millis(100);

/// Sends messages to an echo server and checks that each comes back as it was
#[derive(Debug, Parser)]
struct Options {
    /// Where to send the offer, for example `http://127.0.0.1:8080/offer`
    url: String,
    #[command(flatten)]
    wanted: Wanted,
    /// Makes random messages again: the number that an earlier run printed
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// Opens so many channels and sends all messages on each
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    channels: u16,
    /// Lets messages overtake each other
    #[arg(long)]
    unordered: bool,
    /// Gives a message up after so many retransmissions
    #[arg(long, value_name = "N")]
    max_retransmits: Option<u16>,
    /// Gives up after so long in all
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: u64,
    #[command(flatten)]
    ice_servers: IceServers,
}

#[tokio::main]
async fn main() -> ExitCode {
    start_trace();
    let options = Options::parse();
    let seed = options.seed.unwrap_or_else(|| rand::make_rng::<StdRng>().random());
    match run(&options, seed).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("echo-client: {error:#}");
            if options.wanted.random > 0 {
                eprintln!("echo-client: the same messages again with --seed {seed}");
            }
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options, seed: u64) -> anyhow::Result<()> {
    let started = Instant::now();
    let deadline = started + Duration::from_secs(options.timeout);
    let connection = PeerConnection::new(options.ice_servers.configuration(is_local(&options.url))).await?;
    let init = DataChannelInit {
        ordered: !options.unordered,
        max_retransmits: options.max_retransmits,
        ..DataChannelInit::default()
    };
    let channels = (0..options.channels)
        .map(|number| connection.create_data_channel(&format!("echo-{number}"), init.clone()))
        .collect::<Result<Vec<_>, _>>()?;

    connection.set_local_description(None).await?;
    within(deadline, "looking for candidates", connection.gathering_complete()).await??;
    let offer = connection.local_description().context("no offer")?;
    let answer = post(&options.url, &offer, deadline).await?;
    let largest = max_message_size(&answer.sdp);
    connection.set_remote_description(answer).await.context("the server's answer is refused")?;
    within(deadline, "connecting", connection.connected()).await?.context("no connection with the peer")?;
    println!("Connected after {:.1} ms", milliseconds(started));

    let messages = options.wanted.messages(largest, &mut StdRng::seed_from_u64(seed));
    let started = Instant::now();
    try_join_all(channels.iter().map(|channel| exchange(channel, options, &messages, deadline))).await?;
    println!(
        "{} messages, {} bytes on each of {} channels came back right in {:.1} ms",
        messages.len(),
        messages.iter().map(Message::len).sum::<usize>(),
        channels.len(),
        milliseconds(started)
    );
    within(deadline, "closing", connection.shutdown()).await??;
    Ok(())
}

/// Sends `messages` and at the same time takes the echoes: who only sends blocks both ends in the end.
async fn exchange(
    channel: &DataChannel,
    options: &Options,
    messages: &[Message],
    deadline: Instant,
) -> anyhow::Result<()> {
    let mut due: Vec<(usize, &Message)> = messages.iter().enumerate().rev().collect();
    let any_order = options.unordered || options.max_retransmits.is_some();
    let send = async {
        for (number, message) in messages.iter().enumerate() {
            let describe = || format!("cannot send message {number}, {}", describe(message));
            channel.send(message.clone()).await.with_context(describe)?;
        }
        anyhow::Ok(())
    };
    let receive = async {
        while !due.is_empty() {
            let echo = channel.recv().await.with_context(|| format!("{} echoes missing", due.len()))?;
            check(&echo, &mut due, any_order)?;
        }
        anyhow::Ok(())
    };
    let both = async { tokio::try_join!(send, receive) };
    let outcome = timeout_at(deadline, both).await;
    let in_channel = || format!("channel {}", channel.label());
    match outcome {
        Ok(result) => result.with_context(in_channel)?,
        Err(_) => {
            bail!("{}: time is over with {} of {} echoes missing", in_channel(), due.len(), messages.len())
        }
    };
    match timeout(SURPLUS_TIMEOUT, channel.recv()).await {
        Ok(Ok(surplus)) => bail!("{}: surplus echo, {}", in_channel(), describe(&surplus)),
        Ok(Err(_)) | Err(_) => Ok(()),
    }
}

/// Strikes `echo` off the messages that are `due`, of which the next one is last.
fn check(echo: &Message, due: &mut Vec<(usize, &Message)>, any_order: bool) -> anyhow::Result<()> {
    if any_order {
        let found = due.iter().rposition(|(_, message)| *message == echo);
        let found = found.with_context(|| format!("an echo of nothing that was sent: {}", describe(echo)))?;
        due.remove(found);
    } else if let Some((number, message)) = due.pop() {
        ensure!(
            message == echo,
            "message {number} came back wrong: sent {}, received {}",
            describe(message),
            describe(echo)
        );
    }
    Ok(())
}

/// Hands the offer to the server and brings its answer.
async fn post(
    url: &str,
    offer: &SessionDescription,
    deadline: Instant,
) -> anyhow::Result<SessionDescription> {
    let url = url.to_owned();
    let body = serde_json::to_vec(offer)?;
    let left = deadline.saturating_duration_since(Instant::now());
    tokio::task::spawn_blocking(move || {
        let mut response = ureq::post(&url)
            .config()
            .timeout_global(Some(left))
            .http_status_as_error(false)
            .build()
            .content_type("application/json")
            .send(body)
            .with_context(|| format!("cannot send the offer to {url}"))?;
        let status = response.status();
        let text = response.body_mut().read_to_string().with_context(|| format!("no answer from {url}"))?;
        ensure!(
            status.is_success(),
            "{url} says {status}: {}",
            text.trim().chars().take(500).collect::<String>()
        );
        serde_json::from_str(&text).with_context(|| format!("{url} sends no session description"))
    })
    .await?
}

/// The largest message that the peer takes, according to its description.
fn max_message_size(sdp: &str) -> usize {
    let attribute = sdp.lines().find_map(|line| line.strip_prefix("a=max-message-size:"));
    match attribute.map(|value| value.trim().parse()) {
        // RFC 8841 §6.1: 0 is any size.
        Some(Ok(0)) => usize::MAX,
        Some(Ok(size)) => size,
        _ => DEFAULT_MAX_MESSAGE_SIZE,
    }
}

/// Whether the server runs on this machine, so that loopback addresses serve.
fn is_local(url: &str) -> bool {
    ["http://127.", "http://localhost", "http://[::1]"].iter().any(|start| url.starts_with(start))
}

async fn within<T>(deadline: Instant, doing: &str, step: impl Future<Output = T>) -> anyhow::Result<T> {
    timeout_at(deadline, step).await.with_context(|| format!("time is over while {doing}"))
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}
