//! Which bytes of a message have arrived, or have been acknowledged.

use std::ops::Range;

/// Ranges of bytes: in order, with gaps between.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Pieces(Vec<Range<usize>>);

impl Pieces {
    /// Whether all of `0..len` is there.
    pub(crate) fn covers(&self, len: usize) -> bool {
        len == 0 || self.0.first().is_some_and(|first| first.start == 0 && first.end >= len)
    }

    /// What is missing of `wanted`, in order.
    pub(crate) fn gaps(&self, wanted: Range<usize>) -> Vec<Range<usize>> {
        let mut at = wanted.start;
        let mut gaps = Vec::new();
        for piece in self.0.iter().filter(|piece| piece.end > wanted.start && piece.start < wanted.end) {
            gaps.push(at..piece.start.max(at));
            at = piece.end.max(at);
        }
        gaps.push(at..wanted.end.max(at));
        gaps.retain(|gap| !gap.is_empty());
        gaps
    }

    /// Adds `new`; `false`, and nothing added, where more than `limit` pieces would come of it.
    pub(crate) fn insert(&mut self, new: Range<usize>, limit: usize) -> bool {
        if new.is_empty() {
            return true;
        }
        let touching = |piece: &Range<usize>| piece.end >= new.start && piece.start <= new.end;
        let merged = self
            .0
            .iter()
            .filter(|piece| touching(piece))
            .fold(new.clone(), |merged, piece| merged.start.min(piece.start)..merged.end.max(piece.end));
        if self.0.iter().filter(|piece| !touching(piece)).count() >= limit {
            return false;
        }
        self.0.retain(|piece| !touching(piece));
        let place = self.0.partition_point(|piece| piece.start < merged.start);
        self.0.insert(place, merged);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::single_range_in_vec_init, reason = "one gap is meant")]
    fn pieces_merge_and_leave_gaps() {
        let mut pieces = Pieces::default();
        assert_eq!(pieces.gaps(0..10), [0..10]);
        for (new, gaps) in [
            (2..4, vec![0..2, 4..10]),
            (6..7, vec![0..2, 4..6, 7..10]),
            (4..6, vec![0..2, 7..10]),
            (5..12, vec![0..2]),
            (0..2, vec![]),
        ] {
            assert!(!pieces.covers(10));
            assert!(pieces.insert(new, 9));
            assert_eq!(pieces.gaps(0..10), gaps);
        }
        assert!(pieces.covers(10) && pieces.covers(12) && !pieces.covers(13));
        assert_eq!(pieces.gaps(11..14), [12..14]);
    }
}
