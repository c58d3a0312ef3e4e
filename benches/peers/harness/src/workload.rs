//! The work, the same for every peer.

mod bulk;
mod open;
mod ping_pong;

use std::time::Duration;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::{Library, Pair, Report, Status};

/// What a process is to do.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "workload")]
pub enum Workload {
    /// Messages in one direction, as fast as they are taken.
    Bulk {
        /// Length of a message, in bytes.
        message_size: usize,
        /// Length of the measured window, after one second to warm up.
        seconds: f64,
    },
    /// One message at a time, there and back.
    PingPong {
        /// Length of a message, in bytes.
        message_size: usize,
        /// Length of the measured window, after half a second to warm up.
        seconds: f64,
    },
    /// Pairs opened one after another.
    SetUp {
        /// How many.
        pairs: usize,
        /// No pair is begun after so long.
        seconds: f64,
    },
    /// Pairs opened eight at a time.
    Opening {
        /// Length of the measured window.
        seconds: f64,
    },
    /// Pairs that are opened and left alone.
    Idle {
        /// How many.
        pairs: usize,
    },
}

/// A pair that takes longer than this to open counts as stalled.
const OPEN_LIMIT: Duration = Duration::from_secs(10);

pub(crate) async fn measure<L: Library>(library: L, workload: Workload) -> Report {
    let result = match workload {
        Workload::Bulk { message_size, seconds } => {
            bulk::measure(&library, message_size, window(seconds)).await
        }
        Workload::PingPong { message_size, seconds } => {
            ping_pong::measure(&library, message_size, window(seconds)).await
        }
        Workload::SetUp { pairs, seconds } => open::one_by_one(&library, pairs, window(seconds)).await,
        Workload::Opening { seconds } => open::side_by_side(library, window(seconds)).await,
        Workload::Idle { pairs } => open::idle(&library, pairs).await,
    };
    let status = result.unwrap_or_else(|error| Status::Failed { detail: format!("{error:#}") });
    Report { workload, status }
}

/// Opens a pair within [`OPEN_LIMIT`], or tells that it stalled.
async fn open<L: Library>(library: &L) -> Result<Result<Pair<L::End>, Status>> {
    match tokio::time::timeout(OPEN_LIMIT, library.open_pair()).await {
        Ok(pair) => Ok(Ok(pair?)),
        Err(_) => Ok(Err(Status::Stalled { detail: format!("no channel after {OPEN_LIMIT:?}") })),
    }
}

fn window(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}
