//! Running commands from the root of the workspace.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    let crate_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_dir.ancestors().nth(2).unwrap_or(crate_dir).to_path_buf()
}

/// A command that runs in the root and reads nothing.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root()).stdin(Stdio::null());
    command
}

/// A command of cargo.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut cargo = command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(arguments);
    cargo
}

/// Shows and runs `command`; an exit code other than 0 is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let text = display(command);
    println!("$ {text}");
    let status = command.status().with_context(|| format!("could not start: {text}"))?;
    if !status.success() {
        bail!("{status}: {text}");
    }
    Ok(())
}

/// What `command` prints, trimmed, or `None` where it can't be started or fails.
pub(crate) fn output(command: &mut Command) -> Option<String> {
    let output = command.stderr(Stdio::null()).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The command as a person would type it.
pub(crate) fn display(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy().into_owned()).collect();
    let program = Path::new(words.first().map_or("", String::as_str));
    let name = program.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let rest = words.get(1..).unwrap_or_default().join(" ");
    format!("{name} {rest}").trim_end().to_owned()
}

/// Makes sure that cargo has the subcommand `name`, which is the package `cargo-NAME`.
pub(crate) fn ensure_cargo_tool(name: &str) -> Result<()> {
    if output(cargo(&[name, "--version"]).env_remove("RUSTUP_TOOLCHAIN")).is_some() {
        return Ok(());
    }
    cargo_install(&format!("cargo-{name}"))
}

/// Installs the programs of a package for the user.
pub(crate) fn cargo_install(package: &str) -> Result<()> {
    // A target directory that was set for the workspace would be filled with a tool's build.
    run(cargo(&["install", "--locked", "--quiet", package]).env_remove("CARGO_TARGET_DIR"))
}
