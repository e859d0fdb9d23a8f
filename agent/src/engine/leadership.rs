//! Who leads, as Swarm's Raft has it: what the cluster network follows. Pure but for what it remembers.

use std::time::Duration;

use super::swarm::{Control, Manager, Swarm};
use crate::network::role::Leadership;

/// Managers are silent for a moment while they elect. The engine itself takes some 10 s to see that a majority is lost.
const BEAR: Duration = Duration::from_secs(5);
/// So many managers choose another when one is lost.
const ELECTORATE: usize = 3;

/// Remembers whether there was a majority.
#[derive(Debug, Default)]
pub struct Watch {
    /// This node was a manager of a swarm that outlives the loss of one, in this run.
    knew: bool,
    /// Since when there is no majority.
    lost: Option<Duration>,
    last: Leadership,
}

impl Watch {
    /// Who leads. `foreign_master`: the master manages another swarm, so that it is not ours to lead.
    pub fn see(&mut self, now: Duration, swarm: &Swarm, foreign_master: bool) -> Leadership {
        let member = match swarm {
            Swarm::In(member) => member,
            Swarm::Out | Swarm::Locked | Swarm::Failed(_) => {
                *self = Self::default();
                return self.last;
            }
        };
        let lost = self.lost.take();
        self.last = match &member.control {
            Control::Manager(view) => {
                let elects = electorate(view) >= ELECTORATE;
                self.knew = elects;
                match member.leads() {
                    true if foreign_master => Leadership::Unknown,
                    true => Leadership::Own,
                    false => Leadership::Other { elects },
                }
            }
            Control::NoQuorum if self.knew => {
                let since = lost.unwrap_or(now);
                self.lost = Some(since);
                if now >= since + BEAR {
                    Leadership::Lost
                } else {
                    self.last
                }
            }
            Control::Worker => Leadership::Other {
                elects: member.managers >= ELECTORATE,
            },
            Control::NoQuorum | Control::Pending => Leadership::Unknown,
        };
        self.last
    }
}

fn electorate(view: &Manager) -> usize {
    let members = view.nodes.iter().filter_map(|node| node.manager);
    members.filter(|raft| raft.member).count()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::engine::swarm::{Membership, Node, Raft, Token};

    fn manager(managers: usize, leader: usize) -> Control {
        let node = |index: usize| Node {
            id: format!("n{index}"),
            hostname: String::new(),
            address: None,
            ready: true,
            manager: Some(Raft {
                reachable: true,
                leader: index == leader,
                member: true,
            }),
            labels: BTreeMap::new(),
            told: BTreeMap::new(),
        };
        Control::Manager(Manager {
            worker_token: Token::default(),
            nodes: (0..managers).map(node).collect(),
            services: 0,
        })
    }

    fn member(managers: usize, control: Control) -> Swarm {
        Swarm::In(Membership {
            node: "n0".to_owned(),
            address: None,
            managers,
            control,
        })
    }

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_manager_tells_who_leads_and_a_worker_whether_another_will() {
        let other = |elects| Leadership::Other { elects };
        for (swarm, foreign_master, expected) in [
            (Swarm::Out, false, Leadership::Unknown),
            (member(1, manager(1, 0)), false, Leadership::Own),
            (member(1, manager(1, 0)), true, Leadership::Unknown),
            (member(3, manager(3, 1)), false, other(true)),
            (member(1, manager(2, 1)), false, other(false)),
            (member(3, Control::Worker), false, other(true)),
            (member(1, Control::Worker), false, other(false)),
            (member(0, Control::Pending), false, Leadership::Unknown),
            (member(3, Control::NoQuorum), false, Leadership::Unknown),
        ] {
            let seen = Watch::default().see(secs(0), &swarm, foreign_master);
            assert_eq!(seen, expected, "{swarm:?}");
        }
    }

    #[test]
    fn a_majority_that_was_known_is_lost_after_a_moment_and_found_again() {
        let mut watch = Watch::default();
        assert_eq!(
            watch.see(secs(0), &member(3, manager(3, 0)), false),
            Leadership::Own
        );
        let silent = member(3, Control::NoQuorum);
        assert_eq!(watch.see(secs(1), &silent, false), Leadership::Own);
        assert_eq!(watch.see(secs(6), &silent, false), Leadership::Lost);
        assert_eq!(
            watch.see(secs(7), &member(3, manager(3, 1)), false),
            Leadership::Other { elects: true }
        );
        assert_eq!(
            watch.see(secs(8), &silent, false),
            Leadership::Other { elects: true }
        );
    }

    #[test]
    fn in_a_lab_of_two_there_is_no_majority_to_lose() {
        let mut watch = Watch::default();
        watch.see(secs(0), &member(2, manager(2, 0)), false);
        let silent = member(2, Control::NoQuorum);
        assert_eq!(watch.see(secs(1), &silent, false), Leadership::Unknown);
        assert_eq!(watch.see(secs(9), &silent, false), Leadership::Unknown);
    }
}
