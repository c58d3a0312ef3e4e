//! Runs the examples as a person would.

use anyhow::Result;

use crate::shell::{self, cargo, root};

pub(crate) fn run() -> Result<()> {
    if !root().join("examples/Cargo.toml").exists() {
        return Ok(());
    }
    shell::run(&mut cargo(&["build", "--release", "--package", "antiphon-examples", "--examples"]))
}
