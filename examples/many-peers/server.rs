//! The server: all peers on one port.

use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use antiphon::{Certificate, DataChannel, Endpoint, Message, PeerConnection};
use anyhow::Context;
use tokio::io::BufReader;
use tokio::process::Command;
use tokio::task::JoinSet;

use crate::Options;
use crate::signalling::{Signal, describe, hear, lines, tell};
use crate::usage::{processor_time, resident_memory};

/// Peers that are there before the memory is first looked at: they pay for what all share.
const FIRST: usize = 10;

/// How long the peers are left alone before memory and processor time are looked at.
const QUIET: Duration = Duration::from_secs(6);

/// How long one peer may take to connect, or to answer at the end.
const PATIENCE: Duration = Duration::from_secs(30);

/// A peer that is there.
struct Peer {
    connection: PeerConnection,
    channel: DataChannel,
}

pub(crate) async fn run(options: &Options) -> anyhow::Result<()> {
    let endpoint = Endpoint::builder().bind(options.bind).shards(options.shards).build().await?;
    println!("{} peers connect to {:?}", options.peers, endpoint.local_addresses());
    let mut load = Command::new(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .arg("--load")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("the load does not start")?;
    let mut to_load = load.stdin.take().context("its input")?;
    let mut from_load = lines(BufReader::new(load.stdout.take().context("its output")?));

    let certificate = Arc::new(Certificate::generate(antiphon::Provider::default())?);
    let (begun, busy) = (Instant::now(), processor_time());
    let mut peers: Vec<Peer> = Vec::with_capacity(options.peers as usize);
    let mut arriving = JoinSet::new();
    let mut memory_before = resident_memory()?;
    while peers.len() < options.peers as usize {
        tokio::select! {
            signal = hear(&mut from_load) => {
                let Signal { peer, description } = signal?.context("the load has ended")?;
                let connection =
                    PeerConnection::builder().endpoint(&endpoint).certificate(Arc::clone(&certificate)).build().await?;
                connection.set_remote_description(description).await?;
                tell(&mut to_load, &Signal { peer, description: describe(&connection).await? }).await?;
                arriving.spawn(tokio::time::timeout(PATIENCE, arrive(connection)));
            }
            Some(peer) = arriving.join_next() => {
                peers.push(peer?.context("a peer took too long")??);
                if peers.len() == FIRST {
                    memory_before = resident_memory()?;
                }
            }
        }
    }
    let (took, cpu) = (begun.elapsed(), processor_time() - busy);
    println!("all there after {took:.1?}, {:.2} ms of processor time each", per_peer(cpu, options) * 1e3);

    tokio::time::sleep(QUIET).await;
    watch(options, &endpoint, memory_before).await?;
    let alive = count_alive(peers).await;
    drop(to_load);
    load.wait().await?;
    println!("{alive} of {} alive", options.peers);
    anyhow::ensure!(alive == options.peers as usize, "peers were lost");
    Ok(())
}

async fn arrive(connection: PeerConnection) -> anyhow::Result<Peer> {
    let channel = connection.accept_data_channel().await?;
    channel.opened().await?;
    Ok(Peer { connection, channel })
}

/// Says what the idle peers cost.
async fn watch(options: &Options, endpoint: &Endpoint, memory_before: u64) -> anyhow::Result<()> {
    let memory = resident_memory()?;
    let counted = (options.peers as usize).saturating_sub(FIRST).max(1);
    println!(
        "memory: {:.1} MiB, {:.1} kB a peer",
        memory as f64 / f64::from(1 << 20),
        memory.saturating_sub(memory_before) as f64 / counted as f64 / 1e3
    );
    let (begun, busy, before) = (Instant::now(), processor_time(), endpoint.statistics());
    tokio::time::sleep(Duration::from_secs(options.seconds)).await;
    let seconds = begun.elapsed().as_secs_f64();
    let share = (processor_time() - busy).as_secs_f64() / seconds;
    let received = endpoint.statistics().datagrams_received - before.datagrams_received;
    println!(
        "idle for {seconds:.0} s: {:.2} % of a core, {:.1} µs a second and peer, {:.0} datagrams received a second",
        share * 1e2,
        share * 1e6 / f64::from(options.peers),
        received as f64 / seconds
    );
    println!(
        "memory at the end: {:.1} MiB; {:?}",
        resident_memory()? as f64 / f64::from(1 << 20),
        endpoint.statistics()
    );
    Ok(())
}

/// Hears from every peer.
async fn count_alive(peers: Vec<Peer>) -> usize {
    let mut answers = JoinSet::new();
    for Peer { connection, channel } in peers {
        answers.spawn(tokio::time::timeout(PATIENCE, async move {
            channel.send("alive?").await.ok()?;
            let answer = channel.recv().await.ok()?;
            connection.close();
            (answer == Message::from("alive?")).then_some(())
        }));
    }
    answers.join_all().await.into_iter().filter(|answer| matches!(answer, Ok(Some(())))).count()
}

fn per_peer(time: Duration, options: &Options) -> f64 {
    time.as_secs_f64() / f64::from(options.peers)
}
