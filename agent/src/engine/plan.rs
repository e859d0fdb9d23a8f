//! This node's next step in the swarm: pure, time passed in.
//!
//! The master makes the swarm, all others join it. Who is in a swarm that the master's does not know (a card of another
//! cluster, or a swarm that was made anew while the node was away) leaves it first.
//!
//! A swarm that has lost its managers is made anew only where no majority could ever say otherwise: with at most two
//! managers known, so in a lab of one or two nodes, and after [`Timing::rebuild_after`]. With three and more, a node
//! without them waits: it may be the one that is cut off.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::control_plane::ControlPlane;
use super::swarm::{Control, Invitation, Membership, Swarm};

/// How long what is waited for.
#[derive(Clone, Debug)]
pub struct Timing {
    /// A swarm that the master does not know is left after so long: a node that just joined is not in its list yet.
    pub leave_after: Duration,
    /// A swarm without its managers, or one that fails, is made anew after so long.
    pub rebuild_after: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            leave_after: Duration::from_secs(15),
            rebuild_after: Duration::from_secs(120),
        }
    }
}

/// What this node is on the cluster network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Situation {
    /// Its own address.
    pub own: Ipv4Addr,
    /// Its part.
    pub part: Part,
}

/// Master or node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// The master.
    Master,
    /// A node, with what the master says.
    Node {
        /// The master's invitation, once it has one.
        invitation: Option<Invitation>,
        /// The master's own address, once known.
        master: Option<Ipv4Addr>,
    },
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Make a swarm, advertised at this address.
    Init(Ipv4Addr),
    /// Make the swarm anew from what this manager has, services included.
    InitFromState(Ipv4Addr),
    /// Join a swarm from this address.
    Join(Ipv4Addr, Invitation),
    /// Leave the swarm, whatever it says.
    Leave,
    /// Make a node a manager.
    Promote(String),
    /// Make a node a worker.
    Demote(String),
    /// Forget a node.
    Remove(String),
    /// Set a node's role label.
    Label(String, &'static str),
}

/// The next step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing to do.
    Settled,
    /// This, then look again.
    Do(Action),
    /// Nothing can be done but wait, for this.
    Wait(String),
}

/// Plans one step after the other.
#[derive(Debug, Default)]
pub struct Planner {
    timing: Timing,
    /// Since when the master's swarm does not know this node.
    stranger: Option<Duration>,
    /// Since when this node's swarm decides nothing.
    powerless: Option<Duration>,
    control_plane: ControlPlane,
}

impl Planner {
    /// A planner that waits as told.
    pub fn new(timing: Timing, control_plane: ControlPlane) -> Self {
        Self {
            timing,
            control_plane,
            ..Self::default()
        }
    }

    /// The next step. Times are durations since any fixed moment, the same one in all calls.
    pub fn step(&mut self, now: Duration, situation: &Situation, swarm: &Swarm) -> Step {
        let Situation { own, part } = situation;
        let Swarm::In(member) = swarm else {
            self.stranger = None;
            let failed = matches!(swarm, Swarm::Failed(_));
            if !failed {
                self.powerless = None;
            }
            return match (swarm, part) {
                (Swarm::Failed(reason), _) => {
                    self.or_after(now, Action::Leave, &format!("the swarm: {reason}"))
                }
                (Swarm::Locked, _) => Step::Wait("the swarm's key: docker swarm unlock".to_owned()),
                (Swarm::Out, Part::Master) => Step::Do(Action::Init(*own)),
                (Swarm::Out, Part::Node { invitation, .. }) => match invitation {
                    Some(invitation) => Step::Do(Action::Join(*own, invitation.clone())),
                    None => Step::Wait("the master's invitation to the swarm".to_owned()),
                },
                (Swarm::Joining | Swarm::In(_), _) => Step::Wait("Docker to join the swarm".to_owned()),
            };
        };
        if member.address != Some(*own) {
            return Step::Do(moved(*own, member));
        }
        let master = match part {
            Part::Master => Some(*own),
            Part::Node { invitation, master } => {
                let stranger = invitation
                    .as_ref()
                    .is_some_and(|invitation| !invitation.nodes.contains(&member.node));
                if let Some(step) = self.stranger(now, stranger) {
                    return step;
                }
                *master
            }
        };
        match (&member.control, part) {
            (Control::Manager(view), _) => {
                self.powerless = None;
                if !member.leads() {
                    return Step::Settled;
                }
                let action = self.control_plane.next(now, &view.nodes, master);
                action.map_or(Step::Settled, Step::Do)
            }
            (Control::Worker, Part::Node { .. }) => {
                self.powerless = None;
                Step::Settled
            }
            (Control::Worker, Part::Master) => self.powerless(now, member, Action::Leave),
            (Control::NoQuorum, _) => self.powerless(now, member, Action::InitFromState(*own)),
        }
    }

    fn stranger(&mut self, now: Duration, stranger: bool) -> Option<Step> {
        if !stranger {
            self.stranger = None;
            return None;
        }
        let since = *self.stranger.get_or_insert(now);
        if now < since + self.timing.leave_after {
            return Some(Step::Wait("the master's swarm to know this node".to_owned()));
        }
        self.stranger = None;
        Some(Step::Do(Action::Leave))
    }

    fn powerless(&mut self, now: Duration, member: &Membership, remedy: Action) -> Step {
        if member.managers > 2 {
            self.powerless = None;
            return Step::Wait(format!("a majority of the swarm's {} managers", member.managers));
        }
        self.or_after(now, remedy, "the swarm's manager")
    }

    fn or_after(&mut self, now: Duration, remedy: Action, reason: &str) -> Step {
        let since = *self.powerless.get_or_insert(now);
        let left = (since + self.timing.rebuild_after).saturating_sub(now);
        if left.is_zero() {
            self.powerless = None;
            return Step::Do(remedy);
        }
        let wait = self.timing.rebuild_after.as_secs();
        Step::Wait(format!(
            "{reason}; without a change in {wait} s the swarm is made anew"
        ))
    }
}

/// The node has another address than its swarm knows. The only manager takes the swarm along.
fn moved(own: Ipv4Addr, member: &Membership) -> Action {
    let managers = match &member.control {
        Control::Manager(view) => view.nodes.iter().filter(|node| node.manager.is_some()).count(),
        Control::NoQuorum => member.managers,
        Control::Worker => return Action::Leave,
    };
    if managers > 1 {
        Action::Leave
    } else {
        Action::InitFromState(own)
    }
}

#[cfg(test)]
mod tests;
