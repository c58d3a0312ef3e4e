//! What fuzz targets share: an allocator that counts.

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// What `body` gives, where it allocates `bytes` at most, what it frees again included.
///
/// # Panics
/// Where it allocates more.
pub fn allocating<T>(bytes: usize, body: impl FnOnce() -> T) -> T {
    let region = Region::new(ALLOCATOR);
    let value = body();
    let allocated = region.change().bytes_allocated;
    assert!(allocated <= bytes, "{allocated} bytes allocated, {bytes} permitted");
    value
}
