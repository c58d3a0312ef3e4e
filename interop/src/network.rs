//! A network namespace of the test's own.

use std::process::Command;

use anyhow::{Context, Result, bail};
use nix::sched::{CloneFlags, unshare};

/// The network of the calling thread and of all that is started from it: loopback and one interface with a default
/// route to nowhere. It ends with the last process in it.
pub struct Network(());

impl Network {
    /// Moves the calling thread into a network of its own. The runtime of `#[tokio::test]` runs on that one thread.
    ///
    /// # Errors
    ///
    /// Where the process is not root, or the machine lacks `ip`.
    pub fn enter() -> Result<Self> {
        unshare(CloneFlags::CLONE_NEWNET).context("a network namespace needs root")?;
        let network = Self(());
        for command in [
            "link set lo up",
            "link add inside type veth peer name outside",
            "link set inside up",
            "link set outside up",
            "address add 10.77.0.1/24 dev inside",
            "-6 address add fd77::1/64 dev inside nodad",
            "route add default via 10.77.0.2",
        ] {
            network.ip(command)?;
        }
        Ok(network)
    }

    /// Runs `ip` with the words of `command`.
    ///
    /// # Errors
    ///
    /// Where it fails.
    pub fn ip(&self, command: &str) -> Result<()> {
        let status = Command::new("ip").args(command.split(' ')).status().context("no `ip`")?;
        if !status.success() {
            bail!("ip {command}: {status}");
        }
        Ok(())
    }
}
