//! What MyCluster's users count: failures of workers, and containers that went on elsewhere. Kept in the swarm itself, as
//! a label, so that a new leader goes on where the old one ended: a failure is counted once, whoever saw it. Pure.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::seen::{NodeSeen, TaskSeen};

/// The counters, and what was counted already.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Counters {
    /// Requests to make, change or remove a service.
    pub requests: u64,
    /// How often a node went away.
    pub failures: u64,
    /// Containers of such nodes that run elsewhere now.
    pub relocated: u64,
    /// Nodes that are away and counted, by identifier.
    away: BTreeSet<String>,
    /// Lost tasks whose successor is counted.
    counted: BTreeSet<String>,
}

impl Counters {
    /// Counts what is new.
    pub fn observe(&mut self, nodes: &[NodeSeen], tasks: &[TaskSeen]) {
        let away: BTreeSet<_> = nodes
            .iter()
            .filter(|node| !node.ready)
            .map(|node| node.id.clone())
            .collect();
        self.failures += away.difference(&self.away).count() as u64;
        self.away = away;
        // A card that was flashed anew is two nodes of one name for a while.
        let is_lost = |name: &str| {
            let mut namesakes = nodes.iter().filter(|node| node.hostname == name);
            namesakes.all(|node| !node.ready)
        };
        let replaced = |lost: &&TaskSeen| {
            let successor = |task: &TaskSeen| {
                task.is_running()
                    && (&task.service, task.slot) == (&lost.service, lost.slot)
                    && task.node != lost.node
                    && task.since >= lost.since
            };
            lost.slot.is_some()
                && lost.node.as_deref().is_some_and(is_lost)
                && lost.state == "running"
                // What its user takes away is to be removed.
                && lost.desired == "shutdown"
                && tasks.iter().any(successor)
        };
        let replaced: Vec<_> = tasks
            .iter()
            .filter(replaced)
            .map(|task| task.id.clone())
            .collect();
        for id in replaced {
            self.relocated += u64::from(self.counted.insert(id));
        }
        self.counted.retain(|id| tasks.iter().any(|task| task.id == *id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, ready: bool) -> NodeSeen {
        NodeSeen {
            id: format!("id-{name}"),
            hostname: name.to_owned(),
            address: None,
            ready,
            active: true,
            part: "worker".to_owned(),
            docker: None,
            architecture: None,
            processors: None,
            memory: None,
        }
    }

    fn task(id: &str, slot: i64, node: &str, desired: &str, since: u64) -> TaskSeen {
        TaskSeen {
            id: id.to_owned(),
            service: "web".to_owned(),
            slot: Some(slot),
            node: Some(node.to_owned()),
            state: "running".to_owned(),
            desired: desired.to_owned(),
            since,
            error: None,
            container: None,
        }
    }

    #[test]
    fn a_failure_and_what_it_moved_are_counted_once() {
        let mut counters = Counters::default();
        let (up, down) = (
            [node("a", true), node("b", true)],
            [node("a", true), node("b", false)],
        );
        let before = [task("1", 1, "a", "running", 10), task("2", 2, "b", "running", 10)];
        counters.observe(&up, &before);
        assert_eq!(counters, Counters::default());
        let after = [
            task("1", 1, "a", "running", 10),
            task("2", 2, "b", "shutdown", 10),
            task("3", 2, "a", "running", 60),
        ];
        counters.observe(&down, &before);
        assert_eq!(
            (counters.failures, counters.relocated),
            (1, 0),
            "moved only once it runs"
        );
        for _ in 0..3 {
            counters.observe(&down, &after);
            assert_eq!((counters.failures, counters.relocated), (1, 1));
        }
        // A new leader reads what the old one wrote.
        let text = serde_json::to_string(&counters).unwrap();
        let mut counters: Counters = serde_json::from_str(&text).unwrap();
        counters.observe(&down, &after);
        counters.observe(&up, &after);
        assert_eq!((counters.failures, counters.relocated), (1, 1));
        counters.observe(&down, &after);
        assert_eq!((counters.failures, counters.relocated), (2, 1), "away again");
    }

    #[test]
    fn a_task_that_was_moved_by_its_user_is_no_relocation() {
        let mut counters = Counters::default();
        let nodes = [node("a", true), node("b", true)];
        counters.observe(
            &nodes,
            &[
                task("1", 1, "a", "shutdown", 10),
                task("2", 1, "b", "running", 20),
            ],
        );
        assert_eq!(counters.relocated, 0);
    }
}
