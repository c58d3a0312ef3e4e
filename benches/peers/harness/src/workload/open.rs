//! Pairs opened one by one, side by side, and left alone.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tokio::task::JoinSet;

use crate::process::{processor_time, resident_memory};
use crate::{End, Library, Measurement, Pair, Status};

/// Pairs opened at the same time.
const SIDE_BY_SIDE: usize = 8;

/// Pairs that are open before the memory is first looked at: they pay for what all share.
const FIRST: usize = 2;

/// How long pairs are left alone before the memory is looked at again, and how long their processor time is watched.
const QUIET: Duration = Duration::from_millis(1_500);

pub(super) async fn one_by_one<L: Library>(library: &L, pairs: usize, limit: Duration) -> Result<Status> {
    let mut times = Vec::with_capacity(pairs);
    let mut cpu = Duration::ZERO;
    // The first pair pays for what the process does once.
    for first in std::iter::once(true).chain(std::iter::repeat_n(false, pairs)) {
        let cpu_before = processor_time()?;
        let started = Instant::now();
        let pair = match super::open(library).await? {
            Ok(pair) => pair,
            Err(stalled) => return Ok(stalled),
        };
        let time = started.elapsed();
        let spent = processor_time()? - cpu_before;
        close(pair).await;
        if !first {
            times.push(time);
            cpu += spent;
        }
        if times.iter().sum::<Duration>() > limit {
            break;
        }
    }
    ensure!(!times.is_empty(), "no pair was opened");
    times.sort_unstable();
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    Ok(Status::Measured {
        measurement: Measurement::SetUp {
            pairs: times.len(),
            median_ms: milliseconds(times[times.len() / 2]),
            max_ms: milliseconds(times[times.len() - 1]),
            cpu_ms: milliseconds(cpu) / times.len() as f64,
        },
    })
}

pub(super) async fn side_by_side<L: Library>(library: L, window: Duration) -> Result<Status> {
    let library = Arc::new(library);
    let cpu_before = processor_time()?;
    let started = Instant::now();
    let mut lanes = JoinSet::new();
    for _ in 0..SIDE_BY_SIDE {
        let library = Arc::clone(&library);
        lanes.spawn(async move {
            let mut opened = 0_usize;
            while started.elapsed() < window {
                match super::open(&*library).await? {
                    Ok(pair) => close(pair).await,
                    Err(stalled) => return Ok::<_, anyhow::Error>(Err(stalled)),
                }
                opened += 1;
            }
            Ok(Ok(opened))
        });
    }
    let mut opened = 0;
    while let Some(lane) = lanes.join_next().await {
        match lane?? {
            Ok(count) => opened += count,
            Err(stalled) => return Ok(stalled),
        }
    }
    ensure!(opened > 0, "no pair was opened");
    let seconds = started.elapsed().as_secs_f64();
    let cpu = (processor_time()? - cpu_before).as_secs_f64();
    Ok(Status::Measured {
        measurement: Measurement::Opening {
            pairs_per_second: opened as f64 / seconds,
            cpu_ms: cpu * 1e3 / opened as f64,
        },
    })
}

pub(super) async fn idle<L: Library>(library: &L, pairs: usize) -> Result<Status> {
    let mut open = Vec::with_capacity(FIRST + pairs);
    let mut before = 0;
    for count in 0..FIRST + pairs {
        if count == FIRST {
            tokio::time::sleep(QUIET).await;
            before = resident_memory()?;
        }
        match super::open(library).await? {
            Ok(pair) => open.push(pair),
            Err(stalled) => return Ok(stalled),
        }
    }
    tokio::time::sleep(QUIET).await;
    let after = resident_memory()?;

    let cpu_before = processor_time()?;
    tokio::time::sleep(QUIET).await;
    let cpu = (processor_time()? - cpu_before).as_secs_f64();
    let peers = 2 * pairs;
    let all_peers = 2 * open.len();
    Ok(Status::Measured {
        measurement: Measurement::Idle {
            peers,
            bytes_per_peer: after.saturating_sub(before) as f64 / peers as f64,
            cpu_us_per_second: cpu * 1e6 / QUIET.as_secs_f64() / all_peers as f64,
        },
    })
}

async fn close<E: End>(pair: Pair<E>) {
    tokio::join!(pair.offerer.close(), pair.answerer.close());
}
