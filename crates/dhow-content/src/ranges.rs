//! Which bytes of something are there.

use std::ops::Range;

/// A set of bytes, as ranges that neither touch nor overlap, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ranges(Vec<Range<u64>>);

impl Ranges {
    /// Adds the bytes of `range`.
    pub(crate) fn insert(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        let first = self.0.partition_point(|other| other.end < range.start);
        let after = self.0.partition_point(|other| other.start <= range.end);
        let joined = match self.0.get(first..after) {
            Some([]) | None => range,
            Some(met) => {
                let start = met.first().map_or(range.start, |other| other.start);
                let end = met.last().map_or(range.end, |other| other.end);
                range.start.min(start)..range.end.max(end)
            }
        };
        self.0.splice(first..after, [joined]);
    }

    /// How far everything from the beginning is there.
    pub(crate) fn frontier(&self) -> u64 {
        match self.0.first() {
            Some(first) if first.start == 0 => first.end,
            _ => 0,
        }
    }

    /// How many bytes there are.
    pub(crate) fn count(&self) -> u64 {
        self.0.iter().map(|range| range.end - range.start).sum()
    }

    /// What is not there of the first `size` bytes.
    pub(crate) fn missing(&self, size: u64) -> Vec<Range<u64>> {
        let mut missing = Vec::new();
        let mut from = 0;
        for range in &self.0 {
            if from < range.start {
                missing.push(from..range.start.min(size));
            }
            from = range.end;
        }
        if from < size {
            missing.push(from..size);
        }
        missing.retain(|range| !range.is_empty());
        missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_join_where_they_meet() {
        let mut ranges = Ranges::default();
        for range in [20..30, 0..5, 40..50, 5..5, 30..35, 3..10] {
            ranges.insert(range);
        }
        assert_eq!(ranges.0, [0..10, 20..35, 40..50]);
        assert_eq!((ranges.frontier(), ranges.count()), (10, 35));
        assert_eq!(ranges.missing(60), [10..20, 35..40, 50..60]);
        assert_eq!(ranges.missing(45), [10..20, 35..40]);
        ranges.insert(9..41);
        assert_eq!(ranges.0, vec![0..50]);
        assert!(ranges.missing(50).is_empty());
    }

    #[test]
    fn any_order_gives_the_same_set() {
        // All orders of five pieces, two of which overlap.
        let pieces = [0..4, 4..8, 6..10, 12..14, 10..12];
        for seed in 0..120_usize {
            let (mut rest, mut number) = (pieces.to_vec(), seed);
            let mut ranges = Ranges::default();
            while !rest.is_empty() {
                let next = number % rest.len();
                number /= rest.len();
                ranges.insert(rest.remove(next));
            }
            assert_eq!(ranges.0, vec![0..14], "order {seed}");
        }
    }

    #[test]
    fn without_the_beginning_there_is_no_frontier() {
        let mut ranges = Ranges::default();
        assert_eq!(ranges.missing(0), []);
        assert_eq!(ranges.missing(3), vec![0..3]);
        ranges.insert(1..3);
        assert_eq!(ranges.frontier(), 0);
        assert_eq!(ranges.missing(3), vec![0..1]);
    }
}
