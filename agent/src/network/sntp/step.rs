//! Whether a node takes the master's time: pure.

use std::time::Duration;

use super::clock::Trust;

/// So far behind the master a clock that nobody keeps right is stepped. Less is not worth a jump in the logs.
pub const FAR: Duration = Duration::from_secs(10);
/// No master is believed that is so much further than the image (or than 2024, without one): a card does not last as
/// long, and certificates would all have run out.
const LIFE: Duration = Duration::from_secs(20 * 365 * 24 * 3600);
const YEAR_2024: Duration = Duration::from_secs(1_704_067_200);

/// What is known of the times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The node's time since 1970.
    pub own: Duration,
    /// Whether a time daemon keeps it right.
    pub trust: Trust,
    /// The master's.
    pub master: Duration,
    /// When the node's image was built; zero when that is unknown.
    pub built: Duration,
}

/// The time to set, if any. Never back: what happened stays before what happens. A clock that a time daemon keeps right
/// is left to it, unless it is before the image itself.
pub fn plan(seen: Seen) -> Option<Duration> {
    let Seen {
        own,
        trust,
        master,
        built,
    } = seen;
    if master <= own || master > built.max(YEAR_2024) + LIFE {
        return None;
    }
    let impossible = own < built;
    let far = trust == Trust::Unsynchronised && master - own >= FAR;
    (impossible || far).then_some(master)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_goes_forward_only_and_a_time_daemon_is_left_alone() {
        let base = 1_790_000_000;
        let kept = Trust::Synchronised(Duration::ZERO);
        let free = Trust::Unsynchronised;
        // Own time and the master's as distance from the image's; trust -> stepped
        for (own, master, trust, stepped) in [
            (100, 200, free, true),
            (100, 110, free, true),
            (100, 109, free, false),
            (200, 100, free, false),
            (100, 100_000, kept, false),
            (-50, 5, kept, true),
            (-50, -10, kept, true),
            (-50, -60, kept, false),
            (0, 700_000_000, free, false),
            (-100, 700_000_000, free, false),
        ] {
            let at = |distance: i64| Duration::from_secs((base + distance) as u64);
            let seen = Seen {
                own: at(own),
                trust,
                master: at(master),
                built: at(0),
            };
            assert_eq!(plan(seen), stepped.then_some(at(master)), "{seen:?}");
        }
    }

    #[test]
    fn a_node_without_an_image_takes_the_masters_time_too() {
        let seen = Seen {
            own: Duration::from_secs(3),
            trust: Trust::Unsynchronised,
            master: Duration::from_secs(1_795_000_000),
            built: Duration::ZERO,
        };
        assert_eq!(plan(seen), Some(seen.master));
    }
}
