//! One message at a time, there and back.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use bytes::Bytes;

use crate::process::processor_time;
use crate::{End, Library, Measurement, Pair, Status};

/// Round trips of this first time are not counted.
const WARM_UP: Duration = Duration::from_millis(500);

/// A round trip that takes longer has stalled.
const STALL: Duration = Duration::from_secs(5);

pub(super) async fn measure<L: Library>(
    library: &L,
    message_size: usize,
    window: Duration,
) -> Result<Status> {
    let Pair { offerer, answerer } = match super::open(library).await? {
        Ok(pair) => pair,
        Err(stalled) => return Ok(stalled),
    };
    let message = Bytes::from(vec![0x5A; message_size]);
    tokio::spawn(echo(answerer, message.clone()));
    // On a worker, like the other side.
    tokio::spawn(async move { ping(&offerer, &message, window).await }).await?
}

async fn echo<E: End>(end: E, message: Bytes) -> Result<()> {
    loop {
        end.receive().await?;
        end.send(&message).await?;
    }
}

async fn ping<E: End>(end: &E, message: &Bytes, window: Duration) -> Result<Status> {
    let warm = Instant::now();
    while warm.elapsed() < WARM_UP {
        if round_trip(end, message).await?.is_none() {
            return Ok(stalled(0));
        }
    }
    let mut round_trips = Vec::with_capacity(1 << 20);
    let cpu_before = processor_time()?;
    let started = Instant::now();
    while started.elapsed() < window {
        match round_trip(end, message).await? {
            Some(time) => round_trips.push(time),
            None => return Ok(stalled(round_trips.len())),
        }
    }
    let cpu = processor_time()? - cpu_before;
    ensure!(!round_trips.is_empty(), "no round trip within {window:?}");
    round_trips.sort_unstable();
    let count = round_trips.len();
    Ok(Status::Measured {
        measurement: Measurement::PingPong {
            round_trips: count as u64,
            p50_us: round_trips[count / 2].as_secs_f64() * 1e6,
            p99_us: round_trips[count * 99 / 100].as_secs_f64() * 1e6,
            cpu_us: cpu.as_secs_f64() * 1e6 / count as f64,
        },
    })
}

async fn round_trip<E: End>(end: &E, message: &Bytes) -> Result<Option<Duration>> {
    let started = Instant::now();
    end.send(message).await?;
    match tokio::time::timeout(STALL, end.receive()).await {
        Ok(length) => {
            let length = length?;
            ensure!(length == message.len(), "{length} bytes came back instead of {}", message.len());
            Ok(Some(started.elapsed()))
        }
        Err(_) => Ok(None),
    }
}

fn stalled(after: usize) -> Status {
    Status::Stalled { detail: format!("no answer within {STALL:?}, after {after} round trips") }
}
