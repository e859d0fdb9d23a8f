//! What the swarm's leader does for its control plane: how many managers there are, and which; no stale nodes. Pure.
//!
//! 1 manager for one or two nodes, 3 from three, 5 from seven: an even number bears no more failures than the odd one
//! below it. The master is always one of them, so that it can speak for the swarm.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::plan::Action;
use super::swarm::Node;

/// How long a node may be away.
#[derive(Clone, Debug)]
pub struct Patience {
    /// Another manager takes the place of one that is gone for so long: longer than a reboot.
    pub replace: Duration,
    /// A node that is gone for so long does not count any more.
    pub forget: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            replace: Duration::from_secs(180),
            forget: Duration::from_secs(900),
        }
    }
}

/// Remembers since when who is gone.
#[derive(Debug, Default)]
pub struct ControlPlane {
    patience: Patience,
    gone: HashMap<String, Duration>,
}

impl ControlPlane {
    /// One with this patience.
    pub fn new(patience: Patience) -> Self {
        Self {
            patience,
            gone: HashMap::new(),
        }
    }

    /// The next thing to do. `master`: the master's own address, once known.
    pub fn next(&mut self, now: Duration, nodes: &[Node], master: Option<Ipv4Addr>) -> Option<Action> {
        self.note(now, nodes);
        let gone_for = |node: &Node| self.gone.get(&node.id).map(|since| now - *since);
        let lost = |node: &Node| gone_for(node).is_some_and(|time| time >= self.patience.replace);
        let forgotten = |node: &Node| gone_for(node).is_some_and(|time| time >= self.patience.forget);
        let is_master = |node: &Node| node.address.is_some() && node.address == master;

        if let Some(stale) = nodes.iter().find(|node| replaced(nodes, node)) {
            return match stale.manager {
                None => Some(Action::Remove(stale.id.clone())),
                Some(_) => demotion(nodes, stale),
            };
        }
        let mut workers: Vec<&Node> = nodes
            .iter()
            .filter(|node| node.ready && node.manager.is_none())
            .collect();
        // A sure order: every leader would choose alike.
        workers.sort_by_key(|node| (!is_master(node), node.address, &node.id));
        if let Some(first) = workers.first().filter(|node| is_master(node)) {
            return Some(Action::Promote(first.id.clone()));
        }
        let wanted = managers_for(nodes.iter().filter(|node| !forgotten(node)).count());
        let managers: Vec<&Node> = nodes.iter().filter(|node| node.manager.is_some()).collect();
        let sound = managers.iter().filter(|node| !lost(node)).count();
        if sound < wanted
            && let Some(first) = workers.first()
        {
            return Some(Action::Promote(first.id.clone()));
        }
        // Whoever is lost goes first, then who does not lead; the master never.
        let mut surplus: Vec<&Node> = managers
            .iter()
            .filter(|node| !is_master(node) && (lost(node) || sound > wanted))
            .copied()
            .collect();
        surplus.sort_by_key(|node| {
            (
                !lost(node),
                node.manager.is_some_and(|raft| raft.leader),
                node.address,
            )
        });
        let enough = sound >= wanted;
        if let Some(demotion) = surplus
            .into_iter()
            .filter(|_| enough)
            .find_map(|node| demotion(nodes, node))
        {
            return Some(demotion);
        }
        // Until the master is known, nobody's label is wrong.
        master?;
        let role = |node: &Node| if is_master(node) { "master" } else { "node" };
        let mislabelled = nodes
            .iter()
            .find(|node| node.ready && node.role_label.as_deref() != Some(role(node)))?;
        Some(Action::Label(mislabelled.id.clone(), role(mislabelled)))
    }

    fn note(&mut self, now: Duration, nodes: &[Node]) {
        let away = |node: &&Node| !node.ready || node.manager.is_some_and(|raft| !raft.reachable);
        let before = std::mem::take(&mut self.gone);
        let since = |node: &Node| before.get(&node.id).copied().unwrap_or(now);
        self.gone = nodes
            .iter()
            .filter(away)
            .map(|node| (node.id.clone(), since(node)))
            .collect();
    }
}

/// How many managers a swarm of so many nodes has.
fn managers_for(nodes: usize) -> usize {
    match nodes {
        0..=2 => 1,
        3..=6 => 3,
        _ => 5,
    }
}

/// Whether a node that is gone has come back under its name as another: flashed anew.
fn replaced(nodes: &[Node], node: &Node) -> bool {
    let twin = |other: &Node| other.ready && other.id != node.id && other.hostname == node.hostname;
    !node.ready && nodes.iter().any(twin)
}

/// Makes a manager a worker, unless the rest would be no majority.
fn demotion(nodes: &[Node], node: &Node) -> Option<Action> {
    let rest: Vec<_> = nodes
        .iter()
        .filter(|other| other.id != node.id)
        .filter_map(|other| other.manager)
        .collect();
    let reachable = rest.iter().filter(|raft| raft.reachable).count();
    (reachable > rest.len() / 2).then(|| Action::Demote(node.id.clone()))
}

#[cfg(test)]
mod tests;
