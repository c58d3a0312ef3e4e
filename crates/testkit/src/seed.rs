//! Seeds of tests.

/// Runs `test` with the seeds 0 to `count` − 1, or only with that of the environment variable `ANTIPHON_SEED` where
/// it is set. A seed with which the test panics is printed, so that the run can be repeated. `ANTIPHON_SOAK` multiplies
/// the count, for long runs.
///
/// # Panics
///
/// Where one of the variables is not a number, and with what `test` panics.
pub fn for_each_seed(count: u64, mut test: impl FnMut(u64)) {
    let seeds = match number("ANTIPHON_SEED") {
        Some(seed) => seed..seed.saturating_add(1),
        None => 0..count * number("ANTIPHON_SOAK").unwrap_or(1),
    };
    for seed in seeds {
        let printer = PrintedOnPanic(seed);
        test(seed);
        drop(printer);
    }
}

/// The number in an environment variable, where it is set.
fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    match text.trim().parse() {
        Ok(number) => Some(number),
        Err(error) => panic!("{variable}={text}: {error}"),
    }
}

/// Names the seed if the test unwinds.
struct PrintedOnPanic(u64);

impl Drop for PrintedOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("failed with seed {seed}; repeat with ANTIPHON_SEED={seed}", seed = self.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_every_seed_once() {
        let mut seen = Vec::new();
        for_each_seed(3, |seed| seen.push(seed));
        match number("ANTIPHON_SEED") {
            Some(seed) => assert_eq!(seen, [seed]),
            None => assert_eq!(seen, (0..3 * number("ANTIPHON_SOAK").unwrap_or(1)).collect::<Vec<_>>()),
        }
    }
}
