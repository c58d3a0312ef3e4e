//! Thousands of peers on one UDP port, and what they cost.
//!
//! ```text
//! cargo run --release --example many-peers -- --peers 5000 --seconds 60
//! ```
//!
//! The program is the server. It starts itself once more as the load: so many peers, each with a socket of its own, which
//! connect, open a channel and then are idle. When all are there the server watches its own memory and processor time for a
//! while, and at the end hears from every peer whether it is still alive. Both processes end by themselves.

#![allow(clippy::disallowed_methods, reason = "measures real time")]

mod load;
mod server;
mod signalling;
mod usage;

use std::net::SocketAddr;
use std::num::NonZeroUsize;

use clap::Parser;

/// Thousands of peers on one UDP port, and what they cost.
#[derive(Debug, Clone, Parser)]
struct Options {
    /// How many peers connect.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    peers: u32,
    /// For how many seconds the idle peers are watched.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// How many peers connect at the same time.
    #[arg(long, default_value = "16")]
    at_once: NonZeroUsize,
    /// The address of the server; a port of 0 lets the system choose.
    #[arg(long, default_value = "127.0.0.1:0")]
    bind: SocketAddr,
    /// Sockets that share the port, each read by a task of its own.
    #[arg(long, default_value = "1")]
    shards: NonZeroUsize,
    /// Threads that the server runs on.
    #[arg(long, default_value = "1")]
    threads: NonZeroUsize,
    /// Be the load of a server that talks over standard input and output.
    #[arg(long, hide = true)]
    load: bool,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let threads = if options.load { NonZeroUsize::MIN } else { options.threads };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads.get())
        .max_blocking_threads(2)
        .enable_all()
        .build()?;
    match options.load {
        true => runtime.block_on(load::run(&options)),
        false => runtime.block_on(server::run(&options)),
    }
}
