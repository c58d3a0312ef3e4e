//! A TURN and STUN server.
//!
//! ```text
//! cargo run --release --example turn-server -- --udp 0.0.0.0:3478 --tcp 0.0.0.0:3478 --relay 203.0.113.5 --user alice:wonderland
//! cargo run --release --example turn-server -- --tls 0.0.0.0:5349 --dtls 0.0.0.0:5349 --cert chain.pem --key key.pem --relay 10.0.0.7/203.0.113.5 --secret XYZ
//! ```
//!
//! `--secret` is one that a web service shares, which hands out credentials that are valid for a time. Without `--relay` it
//! serves STUN alone. Ctrl-c ends it when its clients are done, a second one at once.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use antiphon::turn::{self, Block, Listener, Rate, RelayAddress, Server, ServerLimits, TlsIdentity};
use antiphon_examples::{start_trace, stopped};
use anyhow::{Context, Result, bail};
use clap::Parser;
use tokio::time::{MissedTickBehavior, interval};

/// How long clients have to finish after ctrl-c.
const PATIENCE: Duration = Duration::from_secs(60);

/// A TURN and STUN server
#[derive(Debug, Parser)]
struct Options {
    /// Listens for UDP; may be repeated
    #[arg(long, value_name = "ADDR:PORT")]
    udp: Vec<SocketAddr>,
    /// Listens for TCP; may be repeated
    #[arg(long, value_name = "ADDR:PORT")]
    tcp: Vec<SocketAddr>,
    /// Listens for TLS; may be repeated
    #[arg(long, value_name = "ADDR:PORT", requires = "cert", requires = "key")]
    tls: Vec<SocketAddr>,
    /// Listens for DTLS; may be repeated
    #[arg(long, value_name = "ADDR:PORT", requires = "cert", requires = "key")]
    dtls: Vec<SocketAddr>,
    /// The certificate chain for TLS and DTLS, in PEM
    #[arg(long, value_name = "FILE")]
    cert: Option<PathBuf>,
    /// The key for TLS and DTLS, in PEM
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The domain of the credentials
    #[arg(long, default_value = "antiphon")]
    realm: String,
    /// A user; may be repeated
    #[arg(long = "user", value_name = "NAME:PASSWORD")]
    users: Vec<String>,
    /// A secret of credentials that are valid for a time; may be repeated
    #[arg(long = "secret", value_name = "TEXT")]
    secrets: Vec<String>,
    /// An address to relay from, one of each family; behind a NAT one to one, the address that peers see stands behind a slash
    #[arg(long = "relay", value_name = "ADDR[/ADDR]")]
    relays: Vec<String>,
    /// The ports to relay from
    #[arg(long, value_name = "MIN-MAX", default_value = "49152-65535")]
    ports: String,
    /// Relays to these addresses although they are special; may be repeated
    #[arg(long, value_name = "BLOCK")]
    allow: Vec<Block>,
    /// Does not relay to these addresses; may be repeated
    #[arg(long, value_name = "BLOCK")]
    deny: Vec<Block>,
    /// Allocations of one user
    #[arg(long, value_name = "COUNT", default_value_t = 64)]
    user_quota: usize,
    /// Allocations in all
    #[arg(long, value_name = "COUNT", default_value_t = 16_384)]
    total_quota: usize,
    /// Bytes a second of one allocation, both directions together
    #[arg(long, value_name = "BYTES")]
    bandwidth: Option<u64>,
    /// How long a nonce is good for
    #[arg(long, value_name = "SECONDS", default_value_t = 3_600)]
    nonce_lifetime: u64,
    /// Prints the metrics so often; 0 only at the end
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    metrics: u64,
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse();
    start_trace();
    let server = Server::start(config(&options)?, listeners(&options)?, ServerLimits::default())
        .await
        .context("cannot listen")?;
    for address in server.local_addresses() {
        println!("listening on {address}");
    }
    let mut every =
        interval(Duration::from_secs(if options.metrics == 0 { 365 * 86_400 } else { options.metrics }));
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    every.tick().await;
    loop {
        tokio::select! {
            _ = every.tick() => println!("{}", server.metrics()),
            () = stopped() => break,
        }
    }
    println!("{}", server.metrics());
    tokio::select! {
        () = server.shutdown(PATIENCE) => {}
        () = stopped() => {}
    }
    Ok(())
}

fn config(options: &Options) -> Result<turn::Config> {
    let mut config = turn::config(&options.realm);
    for user in &options.users {
        let (name, password) = user.split_once(':').context("--user wants NAME:PASSWORD")?;
        config.users.passwords.insert(name.to_owned(), password.to_owned());
    }
    config.users.secrets.clone_from(&options.secrets);
    for relay in &options.relays {
        let (bind, advertise) = relay.split_once('/').unwrap_or((relay, relay));
        let parse = |text: &str| text.parse::<IpAddr>().with_context(|| format!("--relay {relay}"));
        config.relays.push(RelayAddress { bind: parse(bind)?, advertise: parse(advertise)? });
    }
    let (first, last) = options.ports.split_once('-').context("--ports wants MIN-MAX")?;
    config.ports = first.parse().context("--ports")?..=last.parse().context("--ports")?;
    if config.ports.is_empty() {
        bail!("--ports are none");
    }
    config.policy.allow.clone_from(&options.allow);
    config.policy.deny.clone_from(&options.deny);
    config.limits.allocations = options.total_quota;
    config.limits.allocations_per_user = options.user_quota;
    config.allocation_bandwidth = options.bandwidth.map(Rate::per_second);
    config.nonce_lifetime = Duration::from_secs(options.nonce_lifetime);
    Ok(config)
}

fn listeners(options: &Options) -> Result<Vec<Listener>> {
    let mut listeners: Vec<_> = options.udp.iter().copied().map(Listener::Udp).collect();
    listeners.extend(options.tcp.iter().copied().map(Listener::Tcp));
    if let (Some(cert), Some(key)) = (&options.cert, &options.key) {
        let read = |path: &PathBuf| std::fs::read_to_string(path).with_context(|| path.display().to_string());
        let identity = TlsIdentity::from_pem(&read(cert)?, &read(key)?)?;
        listeners.extend(options.tls.iter().map(|address| Listener::Tls(*address, identity.clone())));
        listeners.extend(options.dtls.iter().map(|address| Listener::Dtls(*address, identity.clone())));
    }
    if listeners.is_empty() {
        listeners.push(Listener::Udp(([127, 0, 0, 1], 3_478).into()));
    }
    Ok(listeners)
}
