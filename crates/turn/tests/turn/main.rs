//! Clients and servers in simulated time.
#![allow(clippy::panic, clippy::indexing_slicing, clippy::unwrap_used, reason = "a test may fail loudly")]

mod allocations;
mod attacks;
mod relaying;
mod streams;
mod world;
