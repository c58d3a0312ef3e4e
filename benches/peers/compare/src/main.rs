//! Runs the same work with every peer, one after another, and prints one table.
//!
//! Each peer is built and run as a program of its own, each workload in a process of its own; see the README.

mod build;
mod table;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use peers_harness::{Report, Status, Workload};

/// Every peer, in the order of the table: the name of its package is `peer-` and this.
const PEERS: [&str; 7] = ["antiphon", "webrtc", "rtc", "str0m", "rustrtc", "datachannel", "quinn"];

/// Beyond what a workload is to take, how long a process may last.
const GRACE: Duration = Duration::from_secs(20);

/// Runs the same work with every peer over loopback UDP and prints one table.
#[derive(Debug, Parser)]
struct Arguments {
    /// The peers to run, separated by commas; all without it.
    #[arg(long, value_delimiter = ',', value_parser = clap::builder::PossibleValuesParser::new(PEERS))]
    peers: Vec<String>,

    /// The columns to run, separated by commas; all without it.
    #[arg(long, value_delimiter = ',', value_parser = clap::builder::PossibleValuesParser::new(COLUMNS.map(|(name, _)| name)))]
    workloads: Vec<String>,

    /// Where to write the table and the raw lines: this name with .md and with .jsonl behind it.
    #[arg(long)]
    output: Option<PathBuf>,

    /// How often each workload is run; the table has the medians.
    #[arg(long, default_value_t = 1)]
    runs: usize,
}

/// The workloads by name.
const COLUMNS: [(&str, Workload); 7] = [
    ("bulk-16k", Workload::Bulk { message_size: 16 << 10, seconds: 5.0 }),
    ("bulk-64k", Workload::Bulk { message_size: 64 << 10, seconds: 5.0 }),
    ("small", Workload::Bulk { message_size: 100, seconds: 4.0 }),
    ("ping-pong", Workload::PingPong { message_size: 100, seconds: 3.0 }),
    ("set-up", Workload::SetUp { pairs: 31, seconds: 20.0 }),
    ("opening", Workload::Opening { seconds: 4.0 }),
    ("idle", Workload::Idle { pairs: 50 }),
];

/// What the runs of one peer gave, by the name of the workload.
type Results = BTreeMap<&'static str, Vec<Status>>;

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    ensure!(arguments.runs > 0, "--runs wants at least one");
    let chosen = |list: &[String], name: &str| list.is_empty() || list.iter().any(|entry| entry == name);
    let mut raw = String::new();
    let mut rows = Vec::new();
    for peer in PEERS.into_iter().filter(|peer| chosen(&arguments.peers, peer)) {
        let mut results = Results::new();
        let binary = build::binary(peer);
        for (name, workload) in COLUMNS.into_iter().filter(|(name, _)| chosen(&arguments.workloads, name)) {
            for _ in 0..arguments.runs {
                let status = match &binary {
                    Ok(binary) => measure(binary, workload)?,
                    Err(error) => Status::NotBuilt { detail: format!("{error:#}") },
                };
                let line = serde_json::to_string(&Report { workload, status: status.clone() })?;
                eprintln!("{peer} {name}: {line}");
                raw.push_str(&format!("{{\"peer\":\"{peer}\",{}\n", line.trim_start_matches('{')));
                results.entry(name).or_default().push(status);
            }
        }
        rows.push((peer, build::version(peer)?, results));
    }
    let table = table::render(&rows);
    println!("{table}");
    if let Some(output) = &arguments.output {
        write(output, "md", &table)?;
        write(output, "jsonl", &raw)?;
    }
    Ok(())
}

/// Runs one process and reads its one line. One that outlives its time is ended, and counts as stalled.
fn measure(binary: &Path, workload: Workload) -> Result<Status> {
    let mut process = Command::new(binary)
        .arg(serde_json::to_string(&workload)?)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("{} does not start", binary.display()))?;
    let limit = expected(workload) + GRACE;
    let started = Instant::now();
    while process.try_wait()?.is_none() {
        if started.elapsed() > limit {
            process.kill()?;
            process.wait()?;
            return Ok(Status::Stalled { detail: format!("ended after {limit:?}") });
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let output = process.wait_with_output()?;
    match serde_json::from_slice::<Report>(&output.stdout) {
        Ok(report) => Ok(report.status),
        Err(_) => Ok(Status::Failed { detail: format!("the process ended with {}", output.status) }),
    }
}

fn expected(workload: Workload) -> Duration {
    match workload {
        Workload::Bulk { seconds, .. }
        | Workload::PingPong { seconds, .. }
        | Workload::SetUp { seconds, .. }
        | Workload::Opening { seconds } => Duration::from_secs_f64(seconds),
        // Some take a second for a pair.
        Workload::Idle { pairs } => Duration::from_millis(1_500 * pairs as u64),
    }
}

fn write(output: &Path, extension: &str, text: &str) -> Result<()> {
    let path = output.with_extension(extension);
    std::fs::File::create(&path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("{} can't be written", path.display()))
}
