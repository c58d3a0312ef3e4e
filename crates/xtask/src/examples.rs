//! Runs the examples as a person would.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::shell::{self, cargo, command, display, root};

/// Longer than any example takes, on a slow machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// What the echo client is to send: every kind of message, many sizes, on several channels.
const ECHO: [&str; 9] = [
    "--text=hello",
    "--binary=100000",
    "--empty-text",
    "--empty-binary",
    "--random=200",
    "--channels=4",
    "--timeout=60",
    "--max-retransmits=10",
    "--unordered",
];

/// Runs `data-channels`, `many-peers`, `echo-client` against `echo-server`, and starts `chat`.
pub(crate) fn run() -> Result<()> {
    shell::run(&mut cargo(&["build", "--release", "--package", "antiphon-examples", "--examples"]))?;
    run_to_end(&mut example("data-channels"))?;
    run_to_end(example("many-peers").args(["--peers", "200", "--seconds", "2"]))?;
    let mut server = Server::start(example("echo-server").args(["--listen", "127.0.0.1:0"]))?;
    for count in [&ECHO[..7], &ECHO[..]] {
        run_to_end(example("echo-client").arg(server.url()?).args(count))?;
    }
    drop(server);
    let mut chat = Server::start(example("chat").args(["--listen", "127.0.0.1:0"]))?;
    println!("chat serves {}", chat.url()?);
    Ok(())
}

pub(crate) fn example(name: &str) -> Command {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    command(target.join("release/examples").join(name))
}

/// Runs a program that ends by itself, and ends it where it doesn't.
fn run_to_end(command: &mut Command) -> Result<()> {
    let text = display(command);
    println!("$ {text}");
    let mut program = Running(command.spawn().with_context(|| text.clone())?);
    let status = program.wait(PATIENCE)?.with_context(|| format!("{text} does not end"))?;
    if !status.success() {
        bail!("{status}: {text}");
    }
    Ok(())
}

/// A program that is killed when dropped.
struct Running(Child);

impl Running {
    /// Waits for its end, but not longer than `patience`.
    #[allow(clippy::disallowed_methods, reason = "the programs run in real time")]
    fn wait(&mut self, patience: Duration) -> Result<Option<ExitStatus>> {
        let start = Instant::now();
        while start.elapsed() < patience {
            if let Some(status) = self.0.try_wait()? {
                return Ok(Some(status));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(None)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only where it has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A program that prints the URL it serves.
struct Server {
    _program: Running,
    output: BufReader<ChildStdout>,
    url: Option<String>,
}

impl Server {
    fn start(command: &mut Command) -> Result<Self> {
        println!("$ {}", display(command));
        let mut program = Running(command.stdout(Stdio::piped()).spawn().with_context(|| display(command))?);
        let output = program.0.stdout.take().context("its output")?;
        Ok(Self { _program: program, output: BufReader::new(output), url: None })
    }

    /// The URL, waited for.
    fn url(&mut self) -> Result<String> {
        let mut line = String::new();
        while self.url.is_none() {
            line.clear();
            if self.output.read_line(&mut line)? == 0 {
                bail!("the server ended before it served");
            }
            self.url = line.split_whitespace().find(|word| word.starts_with("http://")).map(str::to_owned);
        }
        self.url.clone().context("a URL")
    }
}
