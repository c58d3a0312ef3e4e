//! Headless Chromium.

use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};

use crate::browser::{Browser, Make};
use crate::remote::Remote;

const COMMON: [&str; 10] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
];

/// The fake media permission has the page list real addresses, and the loopback flag those of `lo`, so that the tests
/// need no other network.
const REAL_ADDRESSES: [&str; 2] = ["--use-fake-ui-for-media-stream", "--allow-loopback-in-peer-connection"];

/// Starts browsers of this make.
pub enum Chromium {}

impl Chromium {
    /// Starts a browser that shows the page of the interop peer.
    pub async fn start() -> Result<Remote<Browser>> {
        Browser::with_page(&make(capabilities)).await.map(Remote::new)
    }

    /// Starts a browser whose DTLS handshake rides in checks where the peer agrees.
    pub async fn start_with_handshake_in_checks() -> Result<Remote<Browser>> {
        let capabilities = |profile: &Path| in_trial(profile, "WebRTC-IceHandshakeDtls");
        Browser::with_page(&make(capabilities)).await.map(Remote::new)
    }

    /// Starts a browser that interleaves messages (RFC 8260).
    pub async fn start_with_interleaving() -> Result<Remote<Browser>> {
        let capabilities = |profile: &Path| in_trial(profile, "WebRTC-DataChannelMessageInterleaving");
        Browser::with_page(&make(capabilities)).await.map(Remote::new)
    }

    /// Starts a browser that tells its INIT of SCTP with its descriptions.
    pub async fn start_with_described_init() -> Result<Remote<Browser>> {
        let capabilities = |profile: &Path| in_trial(profile, "WebRTC-Sctp-Snap");
        Browser::with_page(&make(capabilities)).await.map(Remote::new)
    }

    /// Starts a browser that tells names of multicast DNS in place of its addresses: start it in a
    /// [`Network`](crate::Network).
    pub async fn start_hiding_addresses() -> Result<Remote<Browser>> {
        Browser::with_page(&make(|profile| with_arguments(profile, &[]))).await.map(Remote::new)
    }

    /// Starts a browser that shows `url`.
    pub async fn open(url: &str) -> Result<Browser> {
        Browser::open(&make(capabilities), url).await
    }
}

fn make(capabilities: fn(&Path) -> Value) -> Make {
    Make {
        name: "Chromium",
        driver: std::env::var("ANTIPHON_CHROMEDRIVER").unwrap_or_else(|_| "chromedriver".into()),
        driver_arguments: &["--port=0"],
        port,
        capabilities,
    }
}

fn port(line: &str) -> Option<u16> {
    let (_, port) = line.split_once("on port ")?;
    line.contains("started successfully").then(|| port.trim_end_matches('.').parse().ok())?
}

fn capabilities(profile: &Path) -> Value {
    with_arguments(profile, &REAL_ADDRESSES)
}

/// With a feature that is off unless its field trial is on.
fn in_trial(profile: &Path, name: &str) -> Value {
    let trial = format!("--force-fieldtrials={name}/Enabled/");
    with_arguments(profile, &[REAL_ADDRESSES.as_slice(), &[&trial]].concat())
}

fn with_arguments(profile: &Path, more: &[&str]) -> Value {
    let program = std::env::var("ANTIPHON_CHROMIUM").unwrap_or_else(|_| "/usr/bin/chromium".into());
    let mut arguments: Vec<_> = COMMON.iter().chain(more).map(|argument| (*argument).to_owned()).collect();
    arguments.push(format!("--user-data-dir={}", profile.display()));
    json!({"goog:chromeOptions": {"binary": program, "args": arguments}})
}
