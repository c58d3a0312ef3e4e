//! Processor time and memory of this process.

use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;

/// User and system time of all threads so far.
pub(crate) fn processor_time() -> Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    Ok(duration(usage.user_time()) + duration(usage.system_time()))
}

/// Resident memory, in bytes.
pub(crate) fn resident_memory() -> Result<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages: u64 = statm.split_whitespace().nth(1).context("statm has no second field")?.parse()?;
    Ok(pages * PAGE)
}

fn duration(time: TimeVal) -> Duration {
    Duration::new(time.tv_sec().cast_unsigned(), (time.tv_usec() * 1_000) as u32)
}

/// Size of a page, in bytes, on x86-64 and on most of AArch64.
const PAGE: u64 = 4_096;
