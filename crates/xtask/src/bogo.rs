//! `cargo xtask bogo`: our DTLS under BoGo, the test runner of BoringSSL.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::shell::{self, cargo, command, display, root};

/// Names the runner's program: what `go test -c` makes of `ssl/test/runner` in BoringSSL's sources.
const RUNNER: &str = "ANTIPHON_BOGO";

/// The cases about DTLS; three have no DTLS in their names.
const CASES: &str = "*DTLS*;StrayChangeCipherSpec;SendSplitAlert-*";

/// A flag that the shim does not know, so that every case with it is counted and none is run.
const COUNT_ONLY: &str = "-count-only";

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let cases = match arguments {
        [] => CASES,
        [cases] => cases.as_str(),
        _ => bail!("bogo takes a pattern of cases"),
    };
    let runner = std::env::var_os(RUNNER).map(PathBuf::from);
    let runner =
        runner.with_context(|| format!("{RUNNER} has to name the program of BoringSSL's test runner"))?;
    shell::run(&mut cargo(&["build", "--package", "antiphon-bogo"]))?;

    let mut all = Summary::default();
    read(start(&runner, cases).args(["-include-disabled", "-shim-extra-flags", COUNT_ONLY]), |line| {
        all.read(line);
    })?;
    let mut summary = Summary::default();
    let mut tests = start(&runner, cases);
    println!("$ {}", display(&tests));
    read(&mut tests, |line| {
        if !summary.read(line) {
            println!("{line}");
        }
    })?;
    summary.excluded = all.total().saturating_sub(summary.total());
    println!("{summary}");
    if summary.failed > 0 || summary.passed == 0 {
        bail!("cases failed");
    }
    Ok(())
}

fn start(runner: &Path, cases: &str) -> Command {
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    let mut command = command(runner);
    command
        .args(["-pipe", "-allow-unimplemented", "-test", cases, "-shim-path"])
        .arg(root().join(target).join("debug/antiphon-bogo"))
        .arg("-shim-config")
        .arg(root().join("bogo/exceptions.json"));
    command
}

/// Runs the runner and hands over what it prints; that cases failed is no error here.
fn read(runner: &mut Command, mut handle: impl FnMut(&str)) -> Result<()> {
    let mut child = runner.stdout(Stdio::piped()).spawn().context("the runner")?;
    for line in BufReader::new(child.stdout.take().context("the runner's output")?).lines() {
        handle(&line?);
    }
    child.wait()?;
    Ok(())
}

/// Counts of cases.
#[derive(Debug, Default, PartialEq, Eq)]
struct Summary {
    passed: u64,
    failed: u64,
    /// Named in `bogo/exceptions.json`.
    excluded: u64,
    /// The shim knew not what they ask for.
    not_run: u64,
}

impl Summary {
    /// Reads a line such as `PASSED (Name-Of-Case)`; gives whether there is nothing more to be seen in it.
    fn read(&mut self, line: &str) -> bool {
        match line.split_once(" (").map(|(result, _)| result) {
            Some("PASSED") => self.passed += 1,
            Some("UNIMPLEMENTED") => self.not_run += 1,
            Some("FAILED") => {
                self.failed += 1;
                return false;
            }
            _ => return false,
        }
        true
    }

    fn total(&self) -> u64 {
        self.passed + self.failed + self.excluded + self.not_run
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { passed, failed, excluded, not_run } = self;
        write!(f, "{passed} passed, {failed} failed, {excluded} excluded, {not_run} not run")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_the_runners_lines() {
        let mut summary = Summary::default();
        assert!(summary.read("PASSED (DTLS-Replay-TLS12)"));
        assert!(summary.read("UNIMPLEMENTED (ALPNServer-DTLS-TLS12)"));
        assert!(!summary.read("FAILED (DTLS-Replay-TLS13)"));
        assert!(!summary.read("unexpected failure (of some kind)"));
        assert_eq!(summary, Summary { passed: 1, failed: 1, excluded: 0, not_run: 1 });
        assert_eq!(summary.total(), 3);
        assert_eq!(summary.to_string(), "1 passed, 1 failed, 0 excluded, 1 not run");
    }
}
