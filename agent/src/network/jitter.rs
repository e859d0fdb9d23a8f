//! Random delays, so that nodes powered on together do not speak together.

use std::ops::Range;
use std::time::Duration;

/// A small generator (SplitMix64). Good for back-off and transaction numbers, never for secrets: it does not ask the
/// kernel for random bytes, which may block for seconds on a Pi that has just started.
#[derive(Clone, Debug)]
pub struct Jitter(u64);

impl Jitter {
    /// A generator whose numbers follow from `seed` alone. Give every node another seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A duration in `range`, to the microsecond; its start when the range is empty.
    pub fn between(&mut self, range: &Range<Duration>) -> Duration {
        let width = u64::try_from(range.end.saturating_sub(range.start).as_micros()).unwrap_or(u64::MAX);
        range.start + Duration::from_micros(self.number().checked_rem(width).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_in_the_range_and_differs_by_seed() {
        let range = Duration::from_secs(2)..Duration::from_secs(4);
        let draw = |seed| {
            let mut jitter = Jitter::new(seed);
            (0..100).map(|_| jitter.between(&range)).collect::<Vec<_>>()
        };
        assert!(draw(1).iter().all(|delay| range.contains(delay)));
        assert_ne!(draw(1), draw(2));
        let empty = Duration::from_secs(1)..Duration::from_secs(1);
        assert_eq!(Jitter::new(0).between(&empty), empty.start);
    }
}
