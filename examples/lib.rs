//! What several examples need beside Antiphon itself: the options for ICE servers, a listening socket, the end of the
//! program, a trace.

use std::net::SocketAddr;

use antiphon::{Configuration, IceServer};
use anyhow::Context;
use tokio::net::TcpListener;
use tracing_subscriber::filter::LevelFilter;

/// Servers that help a peer to find the addresses under which it is reached.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct IceServers {
    /// A server that helps to find addresses, as `stun:host:port`; may be repeated
    #[arg(long = "ice-server", value_name = "URL")]
    urls: Vec<String>,
    /// The name for ICE servers that ask for one
    #[arg(long, value_name = "NAME", requires = "credential")]
    username: Option<String>,
    /// The password that goes with `--username`
    #[arg(long, value_name = "PASSWORD", requires = "username")]
    credential: Option<String>,
}

impl IceServers {
    /// The configuration of a peer that uses these servers. With `loopback` it also offers loopback addresses, which
    /// serve where the other peer runs on this machine.
    pub fn configuration(&self, loopback: bool) -> Configuration {
        let mut configuration = Configuration::default();
        configuration.network.include_loopback = loopback;
        if !self.urls.is_empty() {
            configuration.ice_servers = vec![IceServer {
                urls: self.urls.clone(),
                username: self.username.clone(),
                credential: self.credential.clone(),
            }];
        }
        configuration
    }
}

/// Binds `address` for an HTTP server; with port 0 the system chooses one.
///
/// # Errors
/// Where the address is taken, not of this machine, or not allowed.
pub async fn listen(address: SocketAddr) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
    let bound = listener.local_addr().context("cannot read the address of the socket")?;
    Ok((listener, bound))
}

/// Waits for ctrl-c, or for the signal with which a service manager ends a program.
pub async fn stopped() {
    #[cfg(unix)]
    let terminated = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminated = std::future::pending::<()>();
    tokio::select! {
        Ok(()) = tokio::signal::ctrl_c() => {}
        () = terminated => {}
    }
}

/// Prints what the library traces to standard error, from the level on that the environment variable `RUST_LOG` names
/// (`error`, `warn`, `info`, `debug`, `trace`); warnings where it names none.
pub fn start_trace() {
    let level =
        std::env::var("RUST_LOG").ok().and_then(|level| level.parse().ok()).unwrap_or(LevelFilter::WARN);
    tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).init();
}
