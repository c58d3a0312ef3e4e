//! Counting by reason.

/// How often each reason occurred: datagrams dropped, errors tolerated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally<R> {
    counts: Vec<(R, u64)>,
}

impl<R: Copy + PartialEq> Tally<R> {
    /// Nothing counted.
    pub fn new() -> Self {
        Self { counts: Vec::new() }
    }

    /// Counts one occurrence of `reason`.
    pub fn count(&mut self, reason: R) {
        match self.counts.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, count)) => *count = count.saturating_add(1),
            None => self.counts.push((reason, 1)),
        }
    }

    /// Occurrences of `reason`.
    pub fn of(&self, reason: R) -> u64 {
        self.iter().find(|(known, _)| *known == reason).map_or(0, |(_, count)| count)
    }

    /// Occurrences over all reasons.
    pub fn total(&self) -> u64 {
        self.counts.iter().map(|(_, count)| count).sum()
    }

    /// Each reason that occurred, with its count, in order of first occurrence.
    pub fn iter(&self) -> impl Iterator<Item = (R, u64)> + '_ {
        self.counts.iter().copied()
    }
}

impl<R: Copy + PartialEq> Default for Tally<R> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_each_reason_apart() {
        let mut tally = Tally::new();
        for reason in ['a', 'b', 'a'] {
            tally.count(reason);
        }
        assert_eq!((tally.of('a'), tally.of('b'), tally.of('c'), tally.total()), (2, 1, 0, 3));
    }
}
