//! What a peer's process prints.

use serde::{Deserialize, Serialize};

use crate::Workload;

/// The one line of a process.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Report {
    /// What was asked for.
    pub workload: Workload,
    /// How it went.
    #[serde(flatten)]
    pub status: Status,
}

/// How a workload went.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case", tag = "status")]
pub enum Status {
    /// It ran to its end.
    Measured {
        /// What was seen.
        measurement: Measurement,
    },
    /// It stopped making progress, or made none.
    Stalled {
        /// Where it stood.
        detail: String,
    },
    /// The library reported an error.
    Failed {
        /// The error.
        detail: String,
    },
    /// The peer could not be built.
    NotBuilt {
        /// Why.
        detail: String,
    },
}

/// What was seen. Times of the processor are user and system time of the whole process, so of both ends.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Measurement {
    /// Messages in one direction, as fast as they are taken.
    Bulk {
        /// Length of the measured window.
        seconds: f64,
        /// Messages that arrived in it.
        messages: u64,
        /// Bytes of messages that arrived in it.
        bytes: u64,
        /// Processor time in it.
        cpu_seconds: f64,
        /// The longest time between two looks, 20 ms apart, that saw no message arrive.
        longest_gap_ms: f64,
    },
    /// One message at a time, there and back.
    PingPong {
        /// Round trips made.
        round_trips: u64,
        /// Median round trip.
        p50_us: f64,
        /// The round trip that one in a hundred exceeds.
        p99_us: f64,
        /// Processor time of one round trip.
        cpu_us: f64,
    },
    /// Pairs opened one after another.
    SetUp {
        /// Pairs opened.
        pairs: usize,
        /// Median from two new connections to the channel open on both sides.
        median_ms: f64,
        /// The slowest.
        max_ms: f64,
        /// Processor time of one pair.
        cpu_ms: f64,
    },
    /// Pairs opened eight at a time, each closed once it is open.
    Opening {
        /// Pairs opened a second.
        pairs_per_second: f64,
        /// Processor time of one pair, closing included.
        cpu_ms: f64,
    },
    /// Pairs that were opened and left alone.
    Idle {
        /// Peers that the growth was measured over, two in a pair.
        peers: usize,
        /// Growth of the resident memory, divided by the peers.
        bytes_per_peer: f64,
        /// Processor time that one peer takes in a second.
        cpu_us_per_second: f64,
    },
}
