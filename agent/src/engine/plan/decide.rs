//! The decisions themselves.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::{Action, Part, Planner, Situation, Step};
use crate::engine::swarm::{Control, Invitation, Manager, Membership, Swarm};

impl Planner {
    /// The next step. Times are durations since any fixed moment, the same one in all calls.
    pub fn step(&mut self, now: Duration, situation: &Situation, swarm: &Swarm) -> Step {
        // What is not complained about this time is over.
        self.before = self.since.take();
        let Situation { own, part } = situation;
        match swarm {
            Swarm::In(member) => self.member(now, *own, part, member),
            Swarm::Out => self.outsider(*own, part),
            Swarm::Locked => Step::Wait("the swarm's key: docker swarm unlock".to_owned()),
            Swarm::Failed(reason) => self.failed(now, part, reason),
        }
    }

    fn outsider(&mut self, own: Ipv4Addr, part: &Part) -> Step {
        match part {
            Part::Master { .. } if self.from_state => Step::Do(Action::InitFromState(own)),
            Part::Master { others } => Step::Do(match best(others) {
                Some(invitation) => Action::Join(own, invitation.clone()),
                None => Action::Init(own),
            }),
            Part::Node { invitation } => match invitation {
                Some(invitation) => Step::Do(Action::Join(own, invitation.clone())),
                None => Step::Wait("the master's invitation to the swarm".to_owned()),
            },
        }
    }

    /// The engine has a swarm that it cannot start: a full disk, a wrong clock, a torn file. What a manager has there may
    /// be the only copy; a node that is invited has another place to go to.
    fn failed(&mut self, now: Duration, part: &Part, reason: &str) -> Step {
        match part {
            Part::Node { invitation: Some(_) } => {
                self.or_after(now, "failed", self.timing.rebuild_after, Action::Leave, || {
                    format!("the swarm, of which Docker says: {reason}")
                })
            }
            _ => Step::Wait(format!(
                "the swarm, of which Docker says: {reason} (to give it up: docker swarm leave --force)"
            )),
        }
    }

    fn member(&mut self, now: Duration, own: Ipv4Addr, part: &Part, member: &Membership) -> Step {
        if let Some(step) = self.moved(now, own, part, member) {
            return step;
        }
        match (&member.control, part) {
            (Control::Manager(view), _) => {
                self.from_state = false;
                self.manager(now, own, part, member, view)
            }
            (Control::Worker | Control::Pending, Part::Node { invitation }) => {
                self.worker(now, invitation.as_ref(), member)
            }
            (Control::Worker | Control::Pending, Part::Master { others }) => {
                self.powerless(now, others, member, Action::Leave)
            }
            (Control::NoQuorum, Part::Master { others }) => {
                let step = self.powerless(now, others, member, Action::InitFromState(own));
                self.from_state |= matches!(step, Step::Do(_));
                step
            }
            (Control::NoQuorum, Part::Node { .. }) => {
                Step::Wait("a majority of the swarm's managers".to_owned())
            }
        }
    }

    fn manager(
        &mut self,
        now: Duration,
        own: Ipv4Addr,
        part: &Part,
        member: &Membership,
        view: &Manager,
    ) -> Step {
        let rival = match part {
            Part::Master { others } => best(others),
            Part::Node { invitation } => invitation.as_ref(),
        };
        let rival = rival.filter(|rival| !rival.knows(&member.node));
        let yields = |rival: &Invitation| match part {
            Part::Master { .. } => !rival.is_empty(),
            Part::Node { .. } => true,
        };
        if let Some(rival) = rival {
            if view.is_empty() && yields(rival) {
                let wait = self.timing.leave_after;
                return self.or_after(now, "empty", wait, Action::Leave, || {
                    "leaving this empty swarm for the other one here".to_owned()
                });
            }
            if let Part::Node { .. } = part {
                return Step::Wait(if rival.is_empty() {
                    "the master to join this node's swarm".to_owned()
                } else {
                    "you to choose: the master's swarm and this node's both have nodes or services; 'docker swarm leave \
                     --force' on the managers of the one that you give up"
                        .to_owned()
                });
            }
        }
        if !member.leads() {
            return Step::Settled;
        }
        // The leader is the master, or will be in a moment.
        let action = self.control_plane.next(now, &view.nodes, Some(own));
        action.map_or(Step::Settled, Step::Do)
    }

    /// A worker has nothing to lose but the tasks that it runs.
    fn worker(&mut self, now: Duration, invitation: Option<&Invitation>, member: &Membership) -> Step {
        let pending = member.control == Control::Pending;
        let Some(invitation) = invitation else {
            return if pending {
                Step::Wait("a manager of the swarm to answer".to_owned())
            } else {
                Step::Settled
            };
        };
        let (what, wait) = match (invitation.is_ready(&member.node), pending) {
            (Some(true), false) => return Step::Settled,
            // It is joining, or its manager is gone or elsewhere now.
            (_, true) | (Some(false), false) => ("away", self.timing.rebuild_after),
            // The master's own swarm may be the one that is given up.
            (None, false) if invitation.is_empty() => ("stranger", self.timing.rebuild_after),
            (None, false) => ("stranger", self.timing.leave_after),
        };
        self.or_after(now, what, wait, Action::Leave, || {
            format!(
                "the master's swarm to have this node; after {} s it joins again",
                wait.as_secs()
            )
        })
    }

    /// A master that can decide nothing in its swarm.
    fn powerless(
        &mut self,
        now: Duration,
        others: &[Invitation],
        member: &Membership,
        remedy: Action,
    ) -> Step {
        if others.iter().any(|other| other.knows(&member.node)) {
            return Step::Wait("the swarm's leader to take the master's address".to_owned());
        }
        if !(1..=2).contains(&member.managers) {
            return Step::Wait(format!("a majority of the swarm's {} managers", member.managers));
        }
        let wait = self.timing.rebuild_after;
        let without = if remedy == Action::Leave {
            ", without its services"
        } else {
            ""
        };
        self.or_after(now, "powerless", wait, remedy, || {
            format!(
                "the swarm's manager; after {} s without it the swarm is made anew{without}",
                wait.as_secs()
            )
        })
    }

    /// The node has another address than its swarm knows. The only manager takes the swarm along.
    fn moved(&mut self, now: Duration, own: Ipv4Addr, part: &Part, member: &Membership) -> Option<Step> {
        let old = member.address.filter(|address| *address != own)?;
        let invited = matches!(part, Part::Node { invitation: Some(_) });
        let remedy = match &member.control {
            Control::Worker | Control::Pending if invited => Action::Leave,
            Control::Manager(view) if view.managers() == 1 => Action::InitFromState(own),
            Control::Worker | Control::Pending => return None,
            Control::Manager(_) | Control::NoQuorum => {
                return Some(Step::Wait(format!(
                    "this manager to be demoted: its address was {old} and is {own} now ('docker node demote' on another \
                     manager; it joins again by itself)"
                )));
            }
        };
        self.from_state |= remedy == Action::InitFromState(own);
        let wait = self.timing.leave_after;
        Some(self.or_after(now, "moved", wait, remedy, || {
            format!("the swarm to follow this node from {old} to {own}")
        }))
    }

    /// The remedy, once `what` has been so for `wait`.
    fn or_after(
        &mut self,
        now: Duration,
        what: &'static str,
        wait: Duration,
        remedy: Action,
        reason: impl FnOnce() -> String,
    ) -> Step {
        let since = match self.before {
            Some((known, since)) if known == what => since,
            _ => now,
        };
        if now >= since + wait {
            return Step::Do(remedy);
        }
        self.since = Some((what, since));
        Step::Wait(reason())
    }
}

/// The swarm with the most to lose.
fn best(invitations: &[Invitation]) -> Option<&Invitation> {
    invitations
        .iter()
        .max_by_key(|invitation| (invitation.services, invitation.nodes.len(), invitation.manager))
}
