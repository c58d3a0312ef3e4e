//! `cargo xtask test`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use anyhow::{Context, Result, bail};

use crate::peers::{self, Peer};
use crate::shell::{cargo, display, root};

/// Names the peers whose tests are left out, to the tests.
const WITHOUT: &str = "ANTIPHON_WITHOUT";
/// Names a file to which a test that is left out adds its name.
const LEFT_OUT: &str = "ANTIPHON_LEFT_OUT";

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let (without, rest) = peers::parse_without(arguments)?;
    let rest: Vec<&str> = match rest.split_first() {
        None => Vec::new(),
        Some((dashes, rest)) if dashes == "--" => rest.iter().map(String::as_str).collect(),
        Some((other, _)) => bail!("{other}? Arguments of `cargo test` stand behind `--`"),
    };
    run_all(&without, &rest)
}

/// Runs the tests in network namespaces, and no others.
pub(crate) fn natlab() -> Result<()> {
    let without: Vec<Peer> = Peer::ALL.into_iter().filter(|peer| *peer != Peer::Netns).collect();
    run_all(&without, &["--package", "antiphon-interop", "--test", "natlab"])
}

/// Runs all tests with every peer but those of `without`, and prints what passed and what was left out.
pub(crate) fn run_all(without: &[Peer], arguments: &[&str]) -> Result<()> {
    peers::ensure(without)?;
    let left_out = root().join(".interop/left-out");
    fs::create_dir_all(root().join(".interop"))?;
    fs::write(&left_out, "")?;
    let names: Vec<_> = without.iter().map(|peer| peer.name()).collect();
    let all = if arguments.is_empty() { vec!["test", "--workspace", "--no-fail-fast"] } else { vec!["test"] };
    let mut tests = cargo(&[all.as_slice(), arguments].concat());
    tests.env(WITHOUT, names.join(",")).env(LEFT_OUT, &left_out);
    println!("$ {}", display(&tests));
    let mut child = tests.stdout(Stdio::piped()).spawn().context("cargo test")?;
    let mut summary = Summary::default();
    let output = child.stdout.take().context("the output of cargo test")?;
    for line in BufReader::new(output).lines() {
        let line = line?;
        println!("{line}");
        summary.read(&line);
    }
    let status = child.wait()?;
    let skipped = fs::read_to_string(&left_out)?;
    fs::remove_file(&left_out)?;
    summary.leave_out(&skipped);
    if !names.is_empty() {
        println!("left out, by --without {}:\n{skipped}", names.join(","));
    }
    println!("{summary}");
    if !status.success() {
        bail!("tests failed");
    }
    Ok(())
}

/// Sums over all test programs.
#[derive(Debug, Default, PartialEq, Eq)]
struct Summary {
    passed: u64,
    failed: u64,
    skipped: u64,
}

impl Summary {
    /// Reads a closing line such as `test result: ok. 3 passed; 0 failed; 1 ignored; …`.
    fn read(&mut self, line: &str) {
        let Some((_, counts)) = line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". "))
        else {
            return;
        };
        for count in counts.split("; ") {
            match count.split_once(' ').map(|(number, what)| (number.parse::<u64>(), what)) {
                Some((Ok(number), "passed")) => self.passed += number,
                Some((Ok(number), "failed")) => self.failed += number,
                Some((Ok(number), "ignored")) => self.skipped += number,
                _ => {}
            }
        }
    }

    /// Moves the tests that did nothing, because their peer is left out, from the passed to the skipped.
    fn leave_out(&mut self, names: &str) {
        let count = names.lines().count() as u64;
        self.passed = self.passed.saturating_sub(count);
        self.skipped += count;
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_the_closing_lines() {
        let mut summary = Summary::default();
        for line in [
            "running 3 tests",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.20s",
        ] {
            summary.read(line);
        }
        summary.leave_out("a\nb\n");
        assert_eq!(summary, Summary { passed: 3, failed: 1, skipped: 3 });
        assert_eq!(summary.to_string(), "3 passed, 1 failed, 3 skipped");
    }
}
