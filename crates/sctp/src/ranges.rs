//! A set of TSNs as sorted, separate, inclusive ranges.

use std::collections::VecDeque;

use crate::tsn::Tsn;

/// TSNs beyond a cumulative point: few ranges, which grow at the end and vanish at the front.
#[derive(Debug, Default)]
pub(crate) struct Ranges {
    ranges: VecDeque<(Tsn, Tsn)>,
}

impl Ranges {
    /// Adds `first..=last` and calls `added` for each part of it that was not in the set.
    ///
    /// Takes the logarithm of the number of ranges, and the number of those that it joins.
    pub(crate) fn insert(&mut self, first: Tsn, last: Tsn, mut added: impl FnMut(Tsn, Tsn)) {
        // Ranges before `at` end too early to touch the new one.
        let at = self.ranges.partition_point(|(_, end)| end.next() < first);
        let (mut low, mut high, mut cursor) = (first, last, first);
        let mut joined = 0;
        for &(start, end) in self.ranges.range(at..) {
            if start > last.next() {
                break;
            }
            if cursor < start {
                added(cursor, start.prev());
            }
            cursor = cursor.max(end.next());
            low = low.min(start);
            high = high.max(end);
            joined += 1;
        }
        if cursor <= last {
            added(cursor, last);
        }
        match self.ranges.get_mut(at) {
            Some(range) if joined > 0 => {
                *range = (low, high);
                self.ranges.drain(at + 1..at + joined);
            }
            _ => self.ranges.insert(at, (low, high)),
        }
    }

    /// Whether `tsn` is in the set.
    pub(crate) fn contains(&self, tsn: Tsn) -> bool {
        let at = self.ranges.partition_point(|(_, end)| *end < tsn);
        self.ranges.get(at).is_some_and(|(start, _)| *start <= tsn)
    }

    /// Whether adding `tsn` would start a range of its own.
    pub(crate) fn is_apart(&self, tsn: Tsn) -> bool {
        let at = self.ranges.partition_point(|(_, end)| end.next() < tsn);
        self.ranges.get(at).is_none_or(|(start, _)| *start > tsn.next())
    }

    /// Removes everything up to and including `tsn`.
    pub(crate) fn remove_through(&mut self, tsn: Tsn) {
        while let Some((start, end)) = self.ranges.front_mut() {
            if *start > tsn {
                return;
            }
            if *end > tsn {
                *start = tsn.next();
                return;
            }
            self.ranges.pop_front();
        }
    }

    /// Removes and gives the range that starts at `tsn`, if it is the first.
    pub(crate) fn take_front_at(&mut self, tsn: Tsn) -> Option<Tsn> {
        self.ranges.pop_front_if(|(start, _)| *start == tsn).map(|(_, end)| end)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The greatest TSN in the set.
    pub(crate) fn last(&self) -> Option<Tsn> {
        self.ranges.back().map(|(_, end)| *end)
    }

    /// Number of ranges.
    pub(crate) fn len(&self) -> usize {
        self.ranges.len()
    }

    pub(crate) fn clear(&mut self) {
        self.ranges.clear();
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Tsn, Tsn)> + Clone + '_ {
        self.ranges.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use antiphon_util::Rng;

    use super::*;

    #[test]
    fn behaves_as_a_set_of_numbers_over_many_random_actions() {
        let mut rng = Rng::from_test_seed(11);
        for _ in 0..200 {
            let (mut ranges, mut model) = (Ranges::default(), BTreeSet::new());
            for _ in 0..60 {
                let first = rng.below(200);
                if rng.below(8) == 0 {
                    ranges.remove_through(Tsn(first));
                    model.retain(|n| *n > first);
                }
                let last = first + rng.below(12);
                let mut reported = Vec::new();
                ranges.insert(Tsn(first), Tsn(last), |a, b| reported.extend(a.0..=b.0));
                let expected: Vec<u64> = (first..=last).filter(|n| model.insert(*n)).collect();
                assert_eq!(reported, expected);
                let held: Vec<u64> = ranges.iter().flat_map(|(a, b)| a.0..=b.0).collect();
                assert_eq!(held, model.iter().copied().collect::<Vec<_>>());
                assert!(
                    ranges.iter().zip(ranges.iter().skip(1)).all(|((_, end), (start, _))| end.next() < start)
                );
                for probe in 0..215u64 {
                    assert_eq!(ranges.contains(Tsn(probe)), model.contains(&probe));
                    let near = [probe.saturating_sub(1), probe, probe + 1];
                    assert_eq!(
                        ranges.is_apart(Tsn(probe)),
                        !near.iter().any(|n| model.contains(n)),
                        "{probe}"
                    );
                }
            }
        }
    }
}
