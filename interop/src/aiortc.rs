//! aiortc, driven by lines of JSON.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::remote::{Driver, Remote};

/// A Python process with one aiortc connection.
pub struct Aiortc {
    child: Child,
    requests: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Aiortc {
    /// Starts the peer in the Python environment that `cargo xtask test` makes.
    pub async fn start() -> Result<Remote<Self>> {
        let package = Path::new(env!("CARGO_MANIFEST_DIR"));
        let python = match std::env::var_os("ANTIPHON_AIORTC_PYTHON") {
            Some(path) => PathBuf::from(path),
            None => package.with_file_name(".interop").join("venv/bin/python"),
        };
        let mut child = Command::new(&python)
            .arg(package.join("peers/peer.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("no aiortc in {}; `cargo xtask peers` installs it", python.display()))?;
        let requests = child.stdin.take().context("its stdin")?;
        let answers = BufReader::new(child.stdout.take().context("its stdout")?).lines();
        Ok(Remote::new(Self { child, requests, answers }))
    }
}

impl Driver for Aiortc {
    async fn call(&mut self, request: Value) -> Result<Value> {
        self.requests.write_all(format!("{request}\n").as_bytes()).await?;
        let line = self.answers.next_line().await?.context("aiortc has ended")?;
        serde_json::from_str(&line).with_context(|| line.clone())
    }

    async fn quit(mut self) -> Result<()> {
        drop(self.requests);
        let ended = tokio::time::timeout(Duration::from_secs(10), self.child.wait()).await;
        let status = ended.context("aiortc does not end")??;
        if !status.success() {
            bail!("aiortc: {status}");
        }
        Ok(())
    }
}
