//! What takes long: `cargo xtask soak` and `cargo xtask bench-peers`.

use anyhow::{Context, Result, bail};

use crate::fuzz;
use crate::shell::{self, cargo, root};

/// How many times as many seeds a seeded test takes.
const SEEDS: &str = "50";

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let minutes: u64 = match arguments {
        [] => 10,
        [minutes] => minutes.parse().with_context(|| format!("{minutes}: no number of minutes"))?,
        _ => bail!("soak takes a number of minutes"),
    };
    shell::run(
        cargo(&["test", "--workspace", "--release", "--exclude", "antiphon-interop"])
            .env("ANTIPHON_SOAK", SEEDS),
    )?;
    fuzz::run_each(&fuzz::targets()?, minutes * 60)
}

/// Measures Antiphon beside other libraries.
pub(crate) fn bench_peers(arguments: &[String]) -> Result<()> {
    let manifest = root().join("benches/peers/Cargo.toml");
    let mut command = cargo(&["run", "--release", "--manifest-path"]);
    shell::run(command.arg(manifest).arg("--").args(arguments).env_remove("CARGO_TARGET_DIR"))
}
