//! Who leads the cluster's consensus, as far as this node knows, and what follows for the role. The one thing that the
//! cluster network learns from the engine.
//!
//! While nobody knows, the claim alone decides. Who leads takes the master's address: from nobody by a claim, from a
//! master that does not lead by an announcement, with an age that outranks every master's. Who has lost the majority that
//! it knew gives the address up and claims it no more.

use std::time::Duration;

use super::{Action, Event, Machine, Role, State};

/// Who leads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Leadership {
    /// Nobody knows: there is no engine yet, or it is in no swarm.
    #[default]
    Unknown,
    /// Another node. `elects`: the others will choose a successor when it is lost.
    Other {
        /// Whether there are enough of them to do so.
        elects: bool,
    },
    /// This node, with a majority.
    Own,
    /// Nobody: the majority that this node knew is out of its reach.
    Lost,
}

/// What a leader's age as master counts more. More than any cluster runs, and half of what an announcement can carry.
const HEAD_START: Duration = Duration::from_secs(6 * 365 * 24 * 3600);
/// A leader takes the address from a master after so long: an election may be followed by another.
const SETTLE: Duration = Duration::from_secs(2);
/// A leader that had to give the address to another tries again after so long.
const AGAIN: Duration = Duration::from_secs(15);

/// What a machine remembers of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Led {
    leadership: Leadership,
    /// When a leader takes the address from a master.
    seize: Duration,
    /// Whether this term as master was a leader's once. What was announced in a term never goes back, or it would be
    /// taken for a recording.
    announced: bool,
}

impl Led {
    pub(super) fn leads(&self) -> bool {
        self.leadership == Leadership::Own
    }

    pub(super) fn is_lost(&self) -> bool {
        self.leadership == Leadership::Lost
    }

    /// Whether the cluster will choose who is master next.
    pub(super) fn elects(&self) -> bool {
        matches!(
            self.leadership,
            Leadership::Other { elects: true } | Leadership::Lost
        )
    }

    /// What counts as the age of a master.
    pub(super) fn rank(&self, age: Duration) -> Duration {
        if self.leads() { age + HEAD_START } else { age }
    }

    /// A term as master begins.
    pub(super) fn begin(&mut self) {
        self.announced = false;
    }

    /// What is announced as the age of a master.
    pub(super) fn announce(&mut self, age: Duration) -> Action {
        self.announced |= self.leads();
        Action::Announce(if self.announced { age + HEAD_START } else { age })
    }

    /// When a leader that follows a master is to take the address.
    pub(super) fn seize(&self) -> Option<Duration> {
        self.leads().then_some(self.seize)
    }

    /// Another master was found to stay.
    pub(super) fn put_off(&mut self, now: Duration) {
        if self.leads() {
            self.seize = now + AGAIN;
        }
    }
}

impl Machine {
    /// Takes what is known of the leader, and says what to do.
    pub fn lead_by(&mut self, now: Duration, leadership: Leadership) -> Vec<Action> {
        let before = std::mem::replace(&mut self.led.leadership, leadership);
        if before == leadership {
            return Vec::new();
        }
        match (leadership, self.role()) {
            (Leadership::Own, Role::Listening) => {
                if let State::Listening { until, .. } = &mut self.state {
                    *until = now;
                }
                self.handle(now, Event::Tick)
            }
            (Leadership::Own, _) => {
                self.led.seize = now + SETTLE;
                Vec::new()
            }
            (Leadership::Lost, Role::Master | Role::Claiming) => {
                let wait = self.timing.listen_node.clone();
                self.listen(now, &wait)
            }
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests;
