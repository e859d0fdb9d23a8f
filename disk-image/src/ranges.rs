//! Sorted ranges of bytes, as block maps are made of.

use std::ops::Range;

/// Sorts ranges and joins those that touch or overlap; empty ones go.
pub fn merge(mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    ranges.retain(|range| range.start < range.end);
    ranges.sort_by_key(|range| range.start);
    let mut merged: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

/// What of `whole` lies in none of the ranges, which are merged.
pub fn gaps(whole: Range<u64>, merged: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut gaps = Vec::new();
    let mut at = whole.start;
    for range in merged {
        if range.start > at {
            gaps.push(at..range.start.min(whole.end));
        }
        at = at.max(range.end);
    }
    gaps.push(at.min(whole.end)..whole.end);
    merge(gaps)
}

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "these are ranges")]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_sorted_and_joined() {
        assert_eq!(merge(vec![5..7, 1..3, 3..4, 6..9, 8..8, 20..20]), [1..4, 5..9]);
        assert_eq!(merge(Vec::new()), []);
    }

    #[test]
    fn gaps_are_what_is_left() {
        assert_eq!(gaps(0..10, &[2..3, 5..10]), [0..2, 3..5]);
        assert_eq!(gaps(0..10, &[0..4, 4..8]), [8..10]);
        assert_eq!(gaps(0..10, &[]), [0..10]);
        assert_eq!(gaps(0..10, &[0..20]), []);
        assert_eq!(gaps(0..10, &[12..14]), [0..10]);
    }
}
