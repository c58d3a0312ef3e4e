//! Tasks of the workspace: `cargo xtask TASK`.

use std::process::ExitCode;

use anyhow::{Result, bail};

mod bench_turn;
mod bogo;
mod ci;
#[cfg(test)]
mod documents;
mod examples;
mod fuzz;
mod peers;
mod seeds;
mod shell;
mod soak;
mod test;

const USAGE: &str = "\
cargo xtask TASK

  test [--without NAME,..] [-- ARG..]  all tests, with real peers (chromium, firefox, aiortc, gstreamer, node, openssl,
                                       coturn) and network namespaces (netns), installed where they are missing; ARG goes
                                       to `cargo test`
  natlab                               the tests in network namespaces alone, as root
  peers [--without NAME,..]            installs the real peers and stops
  fuzz [TARGET|all] [SECONDS]          fuzzes one target or each in turn, 60 seconds each unless told
  soak [MINUTES]                       every seeded test with many seeds, then each fuzz target for MINUTES (10)
  bogo [PATTERN]                       runs the cases of BoringSSL's test runner about DTLS, or those that match PATTERN;
                                       ANTIPHON_BOGO names the folder of BoringSSL's sources
  bench-peers [ARG..]                  measures Antiphon beside other libraries; ARG goes to the benchmark
  bench-turn                           measures the example `turn-server` beside coturn
  ci                                   what a change has to pass";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<()> {
    let Some((task, rest)) = arguments.split_first() else { bail!("no task\n\n{USAGE}") };
    match task.as_str() {
        "test" => test::run(rest),
        "natlab" => test::natlab(),
        "peers" => peers::ensure(&peers::parse_without(rest)?.0),
        "fuzz" => fuzz::run(rest),
        "soak" => soak::run(rest),
        "bogo" => bogo::run(rest),
        "bench-peers" => soak::bench_peers(rest),
        "bench-turn" => bench_turn::run(),
        "ci" => ci::run(),
        "help" | "--help" | "-h" => {
            println!("{USAGE}");
            Ok(())
        }
        other => bail!("no task {other}\n\n{USAGE}"),
    }
}
