//! Messages in one direction, as fast as they are taken.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use bytes::Bytes;
use tokio::sync::oneshot;

use crate::process::processor_time;
use crate::{End, Library, Measurement, Pair, Status};

/// How long messages flow before the window opens.
const WARM_UP: Duration = Duration::from_secs(1);

/// How often the arrivals are looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Without a message for so long at the end of the window, the transfer has stalled.
const STALL: Duration = Duration::from_secs(2);

pub(super) async fn measure<L: Library>(
    library: &L,
    message_size: usize,
    window: Duration,
) -> Result<Status> {
    let Pair { offerer, answerer } = match super::open(library).await? {
        Ok(pair) => pair,
        Err(stalled) => return Ok(stalled),
    };
    let arrived = Arc::new(AtomicU64::new(0));
    let (failed, mut failure) = oneshot::channel();

    let sender = tokio::spawn(send(offerer, message_size));
    let receiver = tokio::spawn(receive(answerer, message_size, Arc::clone(&arrived)));
    tokio::spawn(async move {
        let error = tokio::select! {
            outcome = sender => outcome,
            outcome = receiver => outcome,
        };
        let _ = failed.send(error);
    });

    let work = watch(&arrived, message_size, window);
    tokio::select! {
        status = work => status,
        Ok(ended) = &mut failure => {
            ended??;
            Ok(Status::Stalled { detail: "the transfer ended by itself".to_owned() })
        }
    }
}

async fn send<E: End>(end: E, message_size: usize) -> Result<()> {
    let message = Bytes::from(vec![0x5A; message_size]);
    loop {
        end.send(&message).await?;
    }
}

async fn receive<E: End>(end: E, message_size: usize, arrived: Arc<AtomicU64>) -> Result<()> {
    loop {
        let length = end.receive().await?;
        ensure!(length == message_size, "a message of {length} bytes arrived instead of {message_size}");
        arrived.fetch_add(1, Ordering::Relaxed);
    }
}

async fn watch(arrived: &AtomicU64, message_size: usize, window: Duration) -> Result<Status> {
    tokio::time::sleep(WARM_UP).await;
    let started = Instant::now();
    let cpu_before = processor_time()?;
    let before = arrived.load(Ordering::Relaxed);

    let mut seen = before;
    let mut last_progress = started;
    let mut longest_gap = Duration::ZERO;
    while started.elapsed() < window {
        tokio::time::sleep(LOOK).await;
        let now = Instant::now();
        let current = arrived.load(Ordering::Relaxed);
        if current != seen {
            seen = current;
            last_progress = now;
        }
        longest_gap = longest_gap.max(now - last_progress);
    }

    let seconds = started.elapsed().as_secs_f64();
    let cpu_seconds = (processor_time()? - cpu_before).as_secs_f64();
    let total = arrived.load(Ordering::Relaxed);
    if last_progress.elapsed() > STALL || total == before {
        return Ok(Status::Stalled { detail: format!("nothing arrived after message {total}") });
    }
    let messages = total - before;
    let bytes = messages * message_size as u64;
    let longest_gap_ms = longest_gap.as_secs_f64() * 1e3;
    Ok(Status::Measured {
        measurement: Measurement::Bulk { seconds, messages, bytes, cpu_seconds, longest_gap_ms },
    })
}
