//! Leaves the swarm in order: a manager hands its part over first, and what only this node has is never thrown away.

use std::time::Duration;

use tokio::time::Instant;

use super::control_plane::keeps_majority_without;
use super::docker::Engine;
use super::plan::Action;
use super::swarm::{Control, Manager, Membership, Node, Swarm};

/// For handing over; a Pi takes some seconds for each of the steps.
const PATIENCE: Duration = Duration::from_secs(90);
/// For other managers that do not answer; an election takes some 10 s.
const SILENCE_MAX: Duration = Duration::from_secs(40);
const SILENCE: &str = "the other managers to answer";
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(500);

/// The next step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// This, then look again.
    Do(Action),
    /// The others must see it first.
    Wait(&'static str),
    /// The node has left.
    Left,
    /// The node stays in its swarm, for this reason.
    Stay(String),
}

/// What comes next. Pure.
pub fn next(swarm: &Swarm) -> Step {
    let member = match swarm {
        Swarm::Out => return Step::Left,
        Swarm::Locked | Swarm::Failed(_) => {
            return Step::Stay("this node stays in its swarm, which Docker cannot start".to_owned());
        }
        Swarm::In(member) => member,
    };
    match &member.control {
        // It has nothing to lose, and its tasks start elsewhere.
        Control::Worker | Control::Pending => Step::Do(Action::Leave),
        // For a moment also while they choose another leader.
        Control::NoQuorum => Step::Wait(SILENCE),
        Control::Manager(view) => manager(member, view),
    }
}

fn manager(member: &Membership, view: &Manager) -> Step {
    let is_own = |node: &&Node| node.id == member.node;
    let Some(own) = view.nodes.iter().find(is_own) else {
        return Step::Wait("the swarm to know this node");
    };
    let other_is_ready = view.nodes.iter().any(|node| node.id != own.id && node.ready);
    if !other_is_ready {
        return if view.services == 0 {
            Step::Do(Action::Leave)
        } else {
            Step::Stay(
                "this node stays in its swarm: no other node is there to take over its services ('docker swarm leave \
                 --force' gives them up)"
                    .to_owned(),
            )
        };
    }
    if !own.is_leaving() {
        return Step::Do(Action::Retire(own.id.clone()));
    }
    if own.manager.is_none() {
        return Step::Wait("this node to be a worker");
    }
    if keeps_majority_without(&view.nodes, own) {
        return Step::Do(Action::Demote(own.id.clone()));
    }
    let heirs = view
        .nodes
        .iter()
        .filter(|node| node.id != own.id && node.ready && !node.is_leaving());
    match heirs
        .filter(|node| node.manager.is_none())
        .min_by_key(|node| (node.address, &node.id))
    {
        Some(heir) => Step::Do(Action::Promote(heir.id.clone())),
        None => Step::Wait("another manager to be ready"),
    }
}

/// Does it; a line for the user when it could not be done in order.
pub async fn leave(engine: &Engine, say: impl Fn(&str)) -> Option<String> {
    let start = Instant::now();
    let mut answered = start;
    let mut retired = None;
    let mut last = String::new();
    while start.elapsed() < PATIENCE {
        match engine.report().await.map(|report| next(&report.swarm)) {
            Ok(Step::Left) => return None,
            Ok(Step::Stay(reason)) => return Some(reason),
            Ok(Step::Wait(SILENCE)) if answered.elapsed() > SILENCE_MAX => {
                return Some(
                    "this node stays in its swarm: the other managers do not answer, and they need it"
                        .to_owned(),
                );
            }
            Ok(Step::Wait(SILENCE)) => {
                SILENCE.clone_into(&mut last);
                say(&last);
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            Ok(Step::Wait(what)) => what.clone_into(&mut last),
            Ok(Step::Do(action)) => {
                if let Action::Retire(node) = &action {
                    retired = Some(node.clone());
                }
                tracing::info!("leaving the swarm: {action:?}");
                last = engine
                    .apply(&action)
                    .await
                    .err()
                    .map_or_else(String::new, |error| format!("{error:#}"));
            }
            Err(error) => {
                return Some(format!(
                    "Docker did not answer, so this node may still be in its swarm: {error:#}"
                ));
            }
        }
        answered = Instant::now();
        say(&last);
        tokio::time::sleep(PAUSE).await;
    }
    if let Some(node) = retired
        && let Err(error) = engine.apply(&Action::Unretire(node)).await
    {
        tracing::warn!("this node gets no tasks: {error:#}");
    }
    Some(format!(
        "this node stays in its swarm: within {} s nobody took over ({last})",
        PATIENCE.as_secs()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    use crate::engine::swarm::{LEAVING_LABEL, Raft, Token};

    /// Nodes: `m` manager, `u` manager that is not reached, `w` worker, `d` worker that is down; the first one is own, and
    /// retired when `retired`.
    fn swarm(nodes: &str, services: usize, retired: bool) -> Swarm {
        let leaving = retired.then(|| (LEAVING_LABEL.to_owned(), "true".to_owned()));
        let node = |(index, kind): (usize, char)| Node {
            id: index.to_string(),
            hostname: String::new(),
            address: None,
            ready: kind != 'd' && kind != 'u',
            manager: matches!(kind, 'm' | 'u').then_some(Raft {
                reachable: kind == 'm',
                leader: index == 0,
                member: true,
            }),
            labels: leaving.clone().into_iter().filter(|_| index == 0).collect(),
            told: BTreeMap::new(),
        };
        Swarm::In(Membership {
            node: "0".to_owned(),
            address: None,
            managers: 1,
            control: Control::Manager(Manager {
                worker_token: Token::default(),
                nodes: nodes.chars().enumerate().map(node).collect(),
                services,
            }),
        })
    }

    #[test]
    fn a_manager_hands_over_before_it_leaves() {
        let one = |id: &str| id.to_owned();
        for (nodes, services, retired, expected) in [
            ("m", 0, false, Step::Do(Action::Leave)),
            ("md", 0, false, Step::Do(Action::Leave)),
            ("mw", 1, false, Step::Do(Action::Retire(one("0")))),
            ("mw", 1, true, Step::Do(Action::Promote(one("1")))),
            ("mm", 1, true, Step::Do(Action::Demote(one("0")))),
            ("mmm", 1, true, Step::Do(Action::Demote(one("0")))),
            ("mmuw", 1, true, Step::Do(Action::Promote(one("3")))),
            ("mmu", 1, true, Step::Wait("another manager to be ready")),
        ] {
            assert_eq!(next(&swarm(nodes, services, retired)), expected, "{nodes}");
        }
        let Step::Stay(reason) = next(&swarm("md", 1, false)) else {
            panic!()
        };
        assert!(
            reason.contains("no other node is there to take over its services"),
            "{reason}"
        );
        assert_eq!(next(&Swarm::Out), Step::Left);
        let mut silent = swarm("mm", 0, true);
        if let Swarm::In(member) = &mut silent {
            member.control = Control::NoQuorum;
        }
        assert_eq!(next(&silent), Step::Wait(SILENCE));
    }
}
