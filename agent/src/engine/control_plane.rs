//! What the swarm's leader does for its control plane: how many managers there are, and which; no stale nodes. Pure.
//!
//! 1 manager for one or two nodes, 3 from three, 5 from seven: an even number bears no more failures than the odd one
//! below it. The master is always one of them, so that it can speak for the swarm.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::plan::Action;
use super::swarm::{Node, ROLE_LABEL};

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
        let look = Look {
            plane: self,
            now,
            nodes,
            master,
        };
        look.removal()
            .or_else(|| look.promotion())
            .or_else(|| look.demotion())
            .or_else(|| look.label())
    }

    fn note(&mut self, now: Duration, nodes: &[Node]) {
        let away = |node: &&Node| !node.ready || node.manager.is_some_and(|raft| !raft.reachable);
        let before = std::mem::take(&mut self.gone);
        let since = |node: &Node| before.get(&node.id).copied().unwrap_or(now);
        let away = nodes.iter().filter(away);
        self.gone = away.map(|node| (node.id.clone(), since(node))).collect();
    }
}

/// The swarm at one moment.
struct Look<'a> {
    plane: &'a ControlPlane,
    now: Duration,
    nodes: &'a [Node],
    master: Option<Ipv4Addr>,
}

impl<'a> Look<'a> {
    fn is_gone_for(&self, node: &Node, patience: Duration) -> bool {
        let since = self.plane.gone.get(&node.id);
        since.is_some_and(|since| self.now - *since >= patience)
    }

    fn is_lost(&self, node: &Node) -> bool {
        self.is_gone_for(node, self.plane.patience.replace)
    }

    fn is_forgotten(&self, node: &Node) -> bool {
        self.is_gone_for(node, self.plane.patience.forget)
    }

    fn is_master(&self, node: &Node) -> bool {
        node.address.is_some() && node.address == self.master
    }

    /// How many managers there should be.
    fn wanted(&self) -> usize {
        let counts = |node: &&Node| !self.is_forgotten(node) && !node.is_leaving();
        managers_for(self.nodes.iter().filter(counts).count())
    }

    /// The managers that count; one that was promoted and is gone before it was one does not.
    fn sound(&self) -> usize {
        let sound = |node: &&Node| {
            let counts = node.manager.is_some_and(|raft| raft.member || node.ready);
            counts && !self.is_lost(node)
        };
        self.nodes.iter().filter(sound).count()
    }

    /// Forgets who has come back as another.
    fn removal(&self) -> Option<Action> {
        let stale = |node: &&Node| match replaced(self.nodes, node) {
            _ if node.is_leaving() && !node.ready => true,
            Some(Twin::Same) => true,
            // Two Pis may have been given one name.
            Some(Twin::Namesake) => self.is_forgotten(node),
            None => false,
        };
        let mut stale = self.nodes.iter().filter(stale);
        stale.find_map(|node| removal(self.nodes, node))
    }

    /// Makes the master a manager, and others while there are too few.
    fn promotion(&self) -> Option<Action> {
        let workers = self
            .nodes
            .iter()
            .filter(|node| node.ready && node.manager.is_none() && !node.is_leaving());
        // A sure order: every leader would choose alike.
        let first = workers.min_by_key(|node| (!self.is_master(node), node.address, &node.id))?;
        (self.is_master(first) || self.sound() < self.wanted()).then(|| Action::Promote(first.id.clone()))
    }

    /// Makes a manager a worker, once there are enough: who is lost, then who is gone, then who does not lead; the master
    /// never.
    fn demotion(&self) -> Option<Action> {
        let (sound, wanted) = (self.sound(), self.wanted());
        if sound < wanted {
            return None;
        }
        let is_surplus = |node: &&Node| {
            let raft = node.manager.filter(|raft| raft.member || self.is_lost(node));
            raft.is_some() && !self.is_master(node) && (self.is_lost(node) || sound > wanted)
        };
        let mut surplus: Vec<&'a Node> = self.nodes.iter().filter(is_surplus).collect();
        let leads = |node: &Node| node.manager.is_some_and(|raft| raft.leader);
        surplus.sort_by_key(|node| (!self.is_lost(node), node.ready, leads(node), node.address));
        surplus.into_iter().find_map(|node| demotion(self.nodes, node))
    }

    /// Labels nodes with their role and what their engines tell. Until the master is known, nobody's label is wrong.
    fn label(&self) -> Option<Action> {
        self.master?;
        let wrong = |node: &Node| {
            let role = if self.is_master(node) { "master" } else { "node" };
            // A master that is lost is none any more; all others are labelled when they are back.
            if !node.ready && node.role() != Some("master") {
                return None;
            }
            let mut labels = node.told.clone();
            labels.insert(ROLE_LABEL.to_owned(), role.to_owned());
            labels.retain(|key, value| node.labels.get(key) != Some(value));
            (!labels.is_empty()).then(|| Action::Label(node.id.clone(), labels))
        };
        self.nodes
            .iter()
            .filter(|node| !node.is_leaving())
            .find_map(wrong)
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

/// Somebody else under a node's name.
enum Twin {
    /// At its address too: the same Pi, whose card was flashed anew.
    Same,
    /// Elsewhere.
    Namesake,
}

/// Whether a node that is gone has come back as another.
fn replaced(nodes: &[Node], node: &Node) -> Option<Twin> {
    let is_twin = |other: &&Node| other.ready && other.id != node.id && other.hostname == node.hostname;
    if node.ready {
        return None;
    }
    let twin = nodes.iter().find(is_twin)?;
    let same = twin.address.is_some() && twin.address == node.address;
    Some(if same { Twin::Same } else { Twin::Namesake })
}

/// Forgets a node that is gone; a manager is made a worker first.
fn removal(nodes: &[Node], node: &Node) -> Option<Action> {
    match node.manager {
        Some(raft) if raft.member => demotion(nodes, node),
        _ => Some(Action::Remove(node.id.clone())),
    }
}

/// Makes a manager a worker, unless the rest would be no majority. One that never joined the others cannot be demoted:
/// the engine refuses, so it is forgotten once it is gone, and joins anew when it comes back.
fn demotion(nodes: &[Node], node: &Node) -> Option<Action> {
    if node.manager.is_some_and(|raft| !raft.member) {
        return (!node.ready).then(|| Action::Remove(node.id.clone()));
    }
    keeps_majority_without(nodes, node).then(|| Action::Demote(node.id.clone()))
}

/// Whether the managers without this one are a majority of themselves.
pub(super) fn keeps_majority_without(nodes: &[Node], node: &Node) -> bool {
    let rest: Vec<_> = nodes
        .iter()
        .filter(|other| other.id != node.id)
        .filter_map(|other| other.manager)
        .filter(|raft| raft.member)
        .collect();
    let reachable = rest.iter().filter(|raft| raft.reachable).count();
    reachable > rest.len() / 2
}

#[cfg(test)]
mod tests;
