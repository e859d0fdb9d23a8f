//! This node's next step in the swarm: pure, time passed in.
//!
//! The master makes the swarm, unless somebody has one already; all others join it. From then on the master is who leads
//! the swarm (see `leadership`). What must never happen is that a
//! swarm with somebody's services is thrown away. So:
//! - A manager whose swarm works leaves it only when that swarm is empty: no other node, no service.
//! - A master alone in an empty swarm (a card flashed anew that was quicker than the others) gives it up for one that
//!   another node manages.
//! - Workers lose nothing: they leave a swarm that the master's does not know, once the master invites them.
//! - A swarm that has lost its managers is made anew only by the master, only where no majority could ever say
//!   otherwise (at most two managers are known, so in a lab of one or two nodes), and after [`Timing::rebuild_after`].

mod decide;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::control_plane::ControlPlane;
use super::swarm::{Control, Invitation, Swarm};

/// How long what is waited for.
#[derive(Clone, Debug)]
pub struct Timing {
    /// A swarm that the master does not know is left after so long: a node that just joined is not in its list yet.
    pub leave_after: Duration,
    /// A swarm without its managers is made anew after so long; a worker that its manager does not reach joins again.
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
    /// The master, with what other nodes that are managers say; only asked for when [`asks_others`].
    Master {
        /// Their invitations.
        others: Vec<Invitation>,
    },
    /// A node, with what the master says.
    Node {
        /// The master's invitation, once it has one.
        invitation: Option<Invitation>,
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
    /// Set labels of a node.
    Label(String, BTreeMap<String, String>),
    /// Take a node's tasks away, and mark it as leaving.
    Retire(String),
    /// The opposite.
    Unretire(String),
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
    /// What is so that must not stay so, and since when.
    since: Option<(&'static str, Duration)>,
    /// The same as of the last step.
    before: Option<(&'static str, Duration)>,
    /// The swarm was to be made from this manager's state: when that fails the engine forgets that it is in one, and an
    /// ordinary new swarm would wipe the state.
    from_state: bool,
    control_plane: ControlPlane,
}

/// Whether a master must know what other managers say before it can plan.
pub fn asks_others(swarm: &Swarm) -> bool {
    match swarm {
        Swarm::Out => true,
        Swarm::Locked | Swarm::Failed(_) => false,
        Swarm::In(member) => match &member.control {
            Control::Worker | Control::Pending | Control::NoQuorum => true,
            Control::Manager(view) => view.is_empty(),
        },
    }
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
}

#[cfg(test)]
mod tests;
