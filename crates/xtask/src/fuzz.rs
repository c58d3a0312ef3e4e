//! `cargo xtask fuzz`: cargo-fuzz on the stable toolchain.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::seeds;
use crate::shell::{self, cargo, ensure_cargo_tool, output, root};

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let (target, seconds) = match arguments {
        [] => ("all", "60"),
        [target] if target.parse::<u64>().is_ok() => ("all", target.as_str()),
        [target] => (target.as_str(), "60"),
        [target, seconds] => (target.as_str(), seconds.as_str()),
        _ => bail!("fuzz takes a target and a number of seconds"),
    };
    let seconds = seconds.parse().with_context(|| format!("{seconds}: no number of seconds"))?;
    let known = targets()?;
    match target {
        "all" => run_each(&known, seconds),
        name if known.iter().any(|known| known == name) => run_each(&[name.to_owned()], seconds),
        name => bail!("no target {name}; there are: {}", known.join(", ")),
    }
}

/// The names of all targets.
pub(crate) fn targets() -> Result<Vec<String>> {
    ensure_cargo_tool("fuzz")?;
    let list = output(&mut cargo_fuzz(&["list"])).context("cargo fuzz list")?;
    Ok(list.lines().map(str::to_owned).collect())
}

/// Runs each target for `seconds`, starting from its seeds and from what earlier runs found.
pub(crate) fn run_each(targets: &[String], seconds: u64) -> Result<()> {
    if targets.len() > 1 {
        // One build for all: the targets share their dependencies.
        shell::run(&mut cargo_fuzz(&["build"]))?;
    }
    for target in targets {
        let corpus = root().join("fuzz/corpus").join(target);
        fs::create_dir_all(&corpus)?;
        println!("{target}: {} seeds from captures", seeds::write(target, &corpus)?);
        let mut command = cargo_fuzz(&["run", target]);
        command.arg(&corpus).args(["--", "-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1"]);
        command.args(["-verbosity=0", "-max_len=65536", &format!("-max_total_time={seconds}")]);
        shell::run(&mut command)
            .with_context(|| format!("{target} found something: see fuzz/artifacts/{target}"))?;
    }
    println!("fuzzed for {seconds} s each: {}", targets.join(", "));
    Ok(())
}

/// cargo-fuzz needs unstable flags of the compiler, which this opens on the stable one.
fn cargo_fuzz(arguments: &[&str]) -> Command {
    let mut command = cargo(&["fuzz"]);
    command.args(arguments).env("RUSTC_BOOTSTRAP", "1").env_remove("CARGO_TARGET_DIR");
    command
}
