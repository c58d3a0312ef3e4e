//! Builds the peers, and knows their versions.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// Builds a peer and returns its program, or what the build said last.
pub(crate) fn binary(peer: &str) -> Result<PathBuf> {
    let package = format!("peer-{peer}");
    eprintln!("building {package}");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["build", "--release", "--locked", "--package", &package, "--manifest-path"])
        .arg(workspace().join("Cargo.toml"))
        .output()
        .context("cargo does not start")?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        let reason =
            errors.lines().rev().find(|line| line.starts_with("error")).unwrap_or("the build failed");
        bail!("{reason}");
    }
    // This program lies beside those of the peers.
    let directory = std::env::current_exe()?;
    Ok(directory.with_file_name(package))
}

/// The version of the library, as it is locked.
pub(crate) fn version(peer: &str) -> Result<String> {
    let lock = std::fs::read_to_string(workspace().join("Cargo.lock"))?;
    let entry = format!("name = \"{peer}\"\nversion = \"");
    let (_, rest) = lock.split_once(&entry).with_context(|| format!("{peer} is not locked"))?;
    Ok(rest.split('"').next().unwrap_or_default().to_owned())
}

fn workspace() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
