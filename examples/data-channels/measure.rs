//! What a transfer cost.

use std::time::{Duration, Instant};

/// Reads the clock and the processor time at the start of a transfer.
pub(crate) struct Meter {
    started: Instant,
    processor: Option<Duration>,
}

impl Meter {
    pub(crate) fn start() -> Self {
        Self { started: Instant::now(), processor: processor_time() }
    }

    /// One line about the transfer of `len` bytes.
    pub(crate) fn report(&self, len: usize) -> String {
        let elapsed = self.started.elapsed();
        let gigabits = len as f64 * 8.0 / 1e9 / elapsed.as_secs_f64();
        let goodput = format!("{} MiB in {elapsed:.2?}: {gigabits:.2} Gbit/s", len >> 20);
        match processor_time().zip(self.processor) {
            Some((now, start)) => {
                let seconds = now.saturating_sub(start).as_secs_f64();
                format!("{goodput}, {:.2} CPU seconds per GB in this process", seconds * 1e9 / len as f64)
            }
            None => goodput,
        }
    }
}

/// Time that all threads of this process have run.
#[cfg(unix)]
fn processor_time() -> Option<Duration> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Some(Duration::new(time.tv_sec.try_into().ok()?, time.tv_nsec.try_into().ok()?))
}

#[cfg(not(unix))]
fn processor_time() -> Option<Duration> {
    None
}
