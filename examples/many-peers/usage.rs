//! What the process uses.

use std::time::Duration;

use anyhow::Context;

/// Bytes of memory in use.
pub(crate) fn resident_memory() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status").context("this system does not tell")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kilobytes * 1024)
}

/// Time that all threads have run.
pub(crate) fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
