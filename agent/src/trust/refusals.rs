//! Keeps the log readable: whoever is refused is named once in a while, not at each try.

use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Nobody is named twice within this time.
const QUIET: Duration = Duration::from_secs(600);
/// No more are named within that time.
const NAMES_MAX: usize = 32;

/// Who was named, and when.
#[derive(Clone, Debug, Default)]
pub struct Refusals(Vec<(IpAddr, Instant)>);

impl Refusals {
    /// Whether a line about this one is due now.
    pub fn is_due(&mut self, now: Instant, who: IpAddr) -> bool {
        self.0.retain(|(_, at)| now.duration_since(*at) < QUIET);
        let due = self.0.len() < NAMES_MAX && self.0.iter().all(|(named, _)| *named != who);
        if due {
            self.0.push((who, now));
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_named_once_in_a_while_and_never_too_many() {
        let mut refusals = Refusals::default();
        let start = Instant::now();
        let who = |last| IpAddr::from([192, 168, 200, last]);
        assert!(refusals.is_due(start, who(1)));
        assert!(!refusals.is_due(start + QUIET / 2, who(1)));
        assert!(refusals.is_due(start + QUIET / 2, who(2)));
        assert!(refusals.is_due(start + QUIET, who(1)));
        let named = (10..200)
            .filter(|&last| refusals.is_due(start + QUIET, who(last)))
            .count();
        assert_eq!(named, NAMES_MAX - 2);
    }
}
