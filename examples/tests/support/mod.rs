//! Runs an example as a process.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly")]

use std::future::Future;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// What is not done after this will not be done.
const PATIENCE: Duration = Duration::from_secs(30);

/// Awaits `future`, but not for ever.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what}: takes too long"))
}

/// The example as a command. `cargo test` builds examples, but not where it is told to run one test target alone.
pub(crate) fn example(name: &str) -> Command {
    let mut path: PathBuf = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.extend(["examples", name]);
    path.set_extension(std::env::consts::EXE_EXTENSION);
    assert!(path.exists(), "{name} is not built: cargo build -p antiphon-examples --examples");
    let mut command = Command::new(path);
    command.kill_on_drop(true).stdin(Stdio::null());
    command
}

/// A server that has told its URL.
pub(crate) struct Server {
    pub(crate) url: String,
    process: Child,
    // Kept, so that the server can go on printing.
    _output: Lines<BufReader<ChildStdout>>,
}

impl Server {
    /// Starts the example on a port that the system chooses.
    pub(crate) async fn start(name: &str, options: &[&str]) -> Self {
        let mut command = example(name);
        command.args(["--listen", "127.0.0.1:0"]).args(options).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap()).lines();
        let line = soon("start of the server", output.next_line()).await.unwrap().unwrap();
        let url = line.split_whitespace().find(|word| word.starts_with("http://")).unwrap().to_owned();
        Self { url, process, _output: output }
    }

    /// Ends the server as ctrl-c does and tells whether it ended well.
    #[cfg(unix)]
    pub(crate) async fn interrupt(mut self) -> bool {
        let id = self.process.id().unwrap();
        let mut kill = Command::new("sh");
        assert!(kill.args(["-c", &format!("kill -INT {id}")]).status().await.unwrap().success());
        soon("end of the server", self.process.wait()).await.unwrap().success()
    }
}
