//! The work that every peer of the comparison does, and how it is measured.
//!
//! A peer implements [`Library`] and [`End`] and hands itself to [`run`]; the workloads are the same code for all. Each
//! peer is a binary of its own and each workload a process of its own, so that processor time and memory are the peer's
//! alone, and a peer that hangs can be ended from outside. A process takes one argument, a [`Workload`] in JSON, and
//! prints one line, a [`Report`] in JSON.
//!
//! Libraries without input and output of their own (`rtc`, `str0m`) implement [`driver::Machine`] and are driven by
//! [`driver::Driver`] over a tokio UDP socket.

pub mod driver;
mod process;
mod report;
mod workload;

use std::future::Future;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use bytes::Bytes;

pub use report::{Measurement, Report, Status};
pub use workload::Workload;

/// Worker threads of the runtime, for every peer.
pub const WORKERS: usize = 2;

/// What the offering side calls its one channel.
pub const LABEL: &str = "data";

/// A library under comparison.
pub trait Library: Send + Sync + 'static {
    /// One side of a connected pair.
    type End: End;

    /// Opens two new connections over loopback UDP and one reliable, ordered channel between them: returns once both
    /// sides have the channel open.
    fn open_pair(&self) -> impl Future<Output = Result<Pair<Self::End>>> + Send;
}

/// One side of a connected pair: a connection and its channel.
pub trait End: Send + Sync + 'static {
    /// Hands one message over, waiting as the library's back-pressure wants it.
    fn send(&self, message: &Bytes) -> impl Future<Output = Result<()>> + Send;

    /// Waits for the next message, and returns its length.
    fn receive(&self) -> impl Future<Output = Result<usize>> + Send;

    /// Closes the connection.
    fn close(&self) -> impl Future<Output = ()> + Send;
}

/// Both sides of a connection.
#[derive(Debug)]
pub struct Pair<E> {
    /// The side that made the offer and the channel.
    pub offerer: E,
    /// The side that answered.
    pub answerer: E,
}

/// The whole of a peer's `main`.
pub fn run<L: Library>(library: L) -> ExitCode {
    match try_run(library) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn try_run<L: Library>(library: L) -> Result<()> {
    let argument = std::env::args().nth(1).context("the argument, a workload in JSON, is missing")?;
    let workload: Workload = serde_json::from_str(&argument).context("the argument is no workload")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build()?;
    let report = runtime.block_on(workload::measure(library, workload));
    println!("{}", serde_json::to_string(&report)?);
    // What a library takes to shut down is not part of the comparison.
    std::process::exit(0);
}
