//! How long the parts of the choice of a master take.

use std::ops::Range;
use std::time::Duration;

/// How long everything takes. The defaults let a lone node become master within 6 s of its link being up.
#[derive(Clone, Debug)]
pub struct Timing {
    /// Listening of a node that remembers no role.
    pub listen_fresh: Range<Duration>,
    /// Listening of the previous master: short, so that after a power cut the same node is master again.
    pub listen_master: Range<Duration>,
    /// Listening of a previous node: long enough for the previous master to boot as well.
    pub listen_node: Range<Duration>,
    /// Listening after a master vanished or a claim was lost.
    pub listen_again: Range<Duration>,
    /// Between two queries for a master.
    pub query_every: Duration,
    /// Number of claim probes.
    pub claims: u8,
    /// Between two claim probes, and between the last one and taking the address.
    pub claim_every: Range<Duration>,
    /// Between two announcements of a master.
    pub announce_every: Duration,
    /// Least time between two announcements made in defence.
    pub defend_every: Duration,
    /// A master silent for so long is queried.
    pub doubt_after: Duration,
    /// A master silent for so long is gone.
    pub gone_after: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        let ms = Duration::from_millis;
        Self {
            listen_fresh: ms(2000)..ms(4000),
            listen_master: ms(800)..ms(1200),
            listen_node: ms(20_000)..ms(24_000),
            listen_again: ms(1500)..ms(4000),
            query_every: ms(400),
            claims: 3,
            claim_every: ms(350)..ms(550),
            announce_every: ms(2000),
            defend_every: ms(300),
            doubt_after: ms(5000),
            gone_after: ms(9000),
        }
    }
}

impl Timing {
    /// A master that comes so late to its next announcement may have a successor.
    pub(super) fn hung_after(&self) -> Duration {
        self.gone_after.saturating_sub(self.announce_every)
    }

    /// The longest that a claim takes, from its first probe to the announcement.
    pub(super) fn claim(&self) -> Duration {
        self.claim_every.end * u32::from(self.claims)
    }
}
