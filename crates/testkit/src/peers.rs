//! Real peers that a run leaves out.

use std::fs::OpenOptions;
use std::io::Write;

/// Whether this run leaves out tests that need the real peer `name`, as `cargo xtask test --without NAME` asks through
/// the environment variable `ANTIPHON_WITHOUT`. A test then returns at once; that it did is told to the task, which
/// counts it as skipped.
///
/// # Panics
///
/// Where the file of `ANTIPHON_LEFT_OUT` can't be written.
pub fn left_out(name: &str) -> bool {
    let without = std::env::var("ANTIPHON_WITHOUT").unwrap_or_default();
    if !without.split(',').any(|left_out| left_out.trim() == name) {
        return false;
    }
    let thread = std::thread::current();
    let line = format!("{} (needs {name})\n", thread.name().unwrap_or("a test"));
    print!("left out: {line}");
    if let Ok(path) = std::env::var("ANTIPHON_LEFT_OUT") {
        let file = OpenOptions::new().create(true).append(true).open(&path);
        if let Err(error) = file.and_then(|mut file| file.write_all(line.as_bytes())) {
            panic!("{path}: {error}");
        }
    }
    true
}
