//! Seeds of tests.

/// Runs `test` with the seeds 0 to `count` − 1, or only with that of the environment variable `ANTIPHON_SEED` where
/// it is set. A seed with which the test panics is printed, so that the run can be repeated.
///
/// # Panics
///
/// Where `ANTIPHON_SEED` is not a number, and with what `test` panics.
pub fn for_each_seed(count: u64, mut test: impl FnMut(u64)) {
    let seeds = match std::env::var("ANTIPHON_SEED") {
        Ok(text) => match text.trim().parse::<u64>() {
            Ok(seed) => seed..seed.saturating_add(1),
            Err(error) => panic!("ANTIPHON_SEED={text}: {error}"),
        },
        Err(_) => 0..count,
    };
    for seed in seeds {
        let printer = PrintedOnPanic(seed);
        test(seed);
        drop(printer);
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
        match std::env::var("ANTIPHON_SEED") {
            Ok(seed) => assert_eq!(seen, [seed.trim().parse::<u64>().unwrap()]),
            Err(_) => assert_eq!(seen, [0, 1, 2]),
        }
    }
}
