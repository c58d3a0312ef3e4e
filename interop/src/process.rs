//! A peer that is driven by lines of JSON.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::remote::{Driver, Remote};

/// A process with one connection: a request a line on its standard input, an answer a line on its standard output.
pub struct Process {
    child: Child,
    requests: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// Runs a program of `peers/` with an interpreter.
    fn run(interpreter: &Path, program: &str, arguments: &[&OsStr]) -> Result<Remote<Self>> {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(program);
        let mut child = Command::new(interpreter)
            .arg(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("no {}; `cargo xtask peers` installs it", interpreter.display()))?;
        let requests = child.stdin.take().context("its stdin")?;
        let answers = BufReader::new(child.stdout.take().context("its stdout")?).lines();
        Ok(Remote::new(Self { child, requests, answers }))
    }
}

impl Driver for Process {
    async fn call(&mut self, request: Value) -> Result<Value> {
        self.requests.write_all(format!("{request}\n").as_bytes()).await?;
        let line = self.answers.next_line().await?.context("the peer has ended")?;
        serde_json::from_str(&line).with_context(|| line.clone())
    }

    async fn quit(mut self) -> Result<()> {
        drop(self.requests);
        let ended = tokio::time::timeout(Duration::from_secs(10), self.child.wait()).await;
        let status = ended.context("the peer does not end")??;
        if !status.success() {
            bail!("the peer: {status}");
        }
        Ok(())
    }
}

/// aiortc.
pub enum Aiortc {}

impl Aiortc {
    /// Starts the peer in the Python environment that `cargo xtask test` makes.
    pub async fn start() -> Result<Remote<Process>> {
        Process::run(&installed("ANTIPHON_AIORTC_PYTHON", "venv/bin/python"), "peer.py", &[])
    }
}

/// GStreamer's `webrtcbin`, whose ICE is libnice. When it starts it looks for routers by multicast: start it in a
/// [`Network`](crate::Network).
pub enum Gstreamer {}

impl Gstreamer {
    /// Starts the peer with the interpreter of the system, which has the bindings.
    pub async fn start() -> Result<Remote<Process>> {
        Process::run(Path::new("/usr/bin/python3"), "gstreamer.py", &[])
    }
}

/// A WebRTC library of Node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Node {
    /// libdatachannel, with usrsctp.
    Libdatachannel,
    /// An older libwebrtc.
    Wrtc,
}

impl Node {
    /// Starts the peer with the library that `cargo xtask test` installs.
    pub async fn start(self) -> Result<Remote<Process>> {
        let folder = installed("ANTIPHON_NODE_PEERS", "node");
        let library = match self {
            Self::Libdatachannel => "node-datachannel",
            Self::Wrtc => "@roamhq/wrtc",
        };
        Process::run(Path::new("node"), "peer.mjs", &[folder.as_os_str(), OsStr::new(library)])
    }
}

/// What `cargo xtask test` installed, unless the environment names another place.
fn installed(variable: &str, path: &str) -> PathBuf {
    match std::env::var_os(variable) {
        Some(path) => PathBuf::from(path),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name(".interop").join(path),
    }
}
