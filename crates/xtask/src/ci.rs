//! `cargo xtask ci`: what a change has to pass, in the order in which a person would ask.

use std::time::Instant;

use anyhow::{Context, Result};

use crate::shell::{self, cargo, ensure_cargo_tool};
use crate::{examples, fuzz, test};

/// How long each fuzz target runs; `cargo xtask soak` runs them longer.
const FUZZ_SECONDS: u64 = 5;

type Step = (&'static str, fn() -> Result<()>);

const STEPS: [Step; 7] = [
    ("format", format),
    ("clippy", clippy),
    ("tests", || test::run_all(&[], &[])),
    ("documentation", documentation),
    ("examples", examples::run),
    ("fuzzing", || fuzz::run_each(&fuzz::targets()?, FUZZ_SECONDS)),
    ("dependencies", dependencies),
];

#[allow(clippy::disallowed_methods, reason = "a person wants to know what takes long")]
pub(crate) fn run() -> Result<()> {
    let mut times = Vec::new();
    for (name, step) in STEPS {
        println!("\n==== {name}");
        let start = Instant::now();
        step().with_context(|| name)?;
        times.push((name, start.elapsed()));
    }
    println!("\n==== all passed");
    for (name, time) in times {
        println!("{name:>14} {:>6.1} s", time.as_secs_f64());
    }
    Ok(())
}

fn format() -> Result<()> {
    shell::run(&mut cargo(&["fmt", "--all", "--check"]))?;
    shell::run(&mut cargo(&["fmt", "--manifest-path", "fuzz/Cargo.toml", "--check"]))
}

fn clippy() -> Result<()> {
    shell::run(&mut cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))
}

fn documentation() -> Result<()> {
    let mut doc = cargo(&["doc", "--workspace", "--no-deps"]);
    shell::run(doc.env("RUSTDOCFLAGS", "-D warnings"))
}

/// Licences, bans and sources. The advisories need a database that is fetched from a repository of its own.
fn dependencies() -> Result<()> {
    ensure_cargo_tool("deny")?;
    shell::run(&mut cargo(&["deny", "--log-level", "error", "check", "licenses", "bans", "sources"]))?;
    let mut fetch = cargo(&["deny", "fetch", "db"]);
    if shell::output(&mut fetch).is_none() {
        println!("advisories: not checked, their database can't be fetched here");
        return Ok(());
    }
    shell::run(&mut cargo(&["deny", "--log-level", "error", "check", "advisories"]))
}
