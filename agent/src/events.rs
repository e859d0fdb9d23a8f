//! What happened: the changes of the status and of the swarm, in words, for people who watch. In memory only; the journal
//! has the rest.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::services::{NodeSeen, Overview, TaskSeen};
use crate::status::{Peer, Status};

/// What is remembered.
const MOST: usize = 300;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Event {
    /// Counts up from 1 since the agent started.
    pub number: u64,
    /// Seconds since 1970, by this node's clock.
    pub at: u64,
    /// In words.
    pub text: String,
}

/// The last events.
#[derive(Clone, Debug)]
pub struct Events {
    kept: Arc<Mutex<VecDeque<Event>>>,
    last: Arc<watch::Sender<u64>>,
}

impl Default for Events {
    fn default() -> Self {
        Self {
            kept: Arc::default(),
            last: Arc::new(watch::channel(0).0),
        }
    }
}

impl Events {
    fn kept(&self) -> MutexGuard<'_, VecDeque<Event>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds events.
    pub fn add(&self, texts: impl IntoIterator<Item = String>) {
        let at = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        for text in texts {
            let mut kept = self.kept();
            let number = *self.last.borrow() + 1;
            kept.push_back(Event { number, at, text });
            if kept.len() > MOST {
                kept.pop_front();
            }
            self.last.send_replace(number);
        }
    }

    /// The number of the last event, which changes with each.
    pub fn last(&self) -> watch::Receiver<u64> {
        self.last.subscribe()
    }

    /// Those with a higher number.
    pub fn after(&self, number: u64) -> Vec<Event> {
        self.kept()
            .iter()
            .filter(|event| event.number > number)
            .cloned()
            .collect()
    }
}

/// What happened between two statuses.
pub fn of_status(old: &Status, new: &Status) -> Vec<String> {
    let mut texts = Vec::new();
    if old.role != new.role {
        texts.push(format!("{} is {} now, was {}", new.hostname, new.role, old.role));
    }
    if old.master != new.master
        && let Some(name) = new.master.as_ref().and_then(|master| master.hostname.as_ref())
    {
        texts.push(format!("the master is {name}"));
    }
    if old.engine.swarm != new.engine.swarm {
        texts.push(format!("{}: {}", new.hostname, new.engine.swarm));
    }
    let name = |peer: &Peer| {
        let name = peer.hostname.as_ref().map(ToString::to_string);
        name.unwrap_or_else(|| peer.address.to_string())
    };
    let names = |status: &Status| status.peers.iter().map(name).collect::<Vec<_>>();
    let (before, after) = (names(old), names(new));
    let came = after.iter().filter(|name| !before.contains(name));
    texts.extend(came.map(|name| format!("{name} is on the cluster network")));
    let went = before.iter().filter(|name| !after.contains(name));
    texts.extend(went.map(|name| format!("{name} is not seen any more")));
    let fresh = new.warnings.iter().filter(|line| !old.warnings.contains(line));
    texts.extend(fresh.map(|line| format!("warning: {line}")));
    texts
}

/// What happened in the swarm between two looks.
pub fn of_swarm(old: &Overview, new: &Overview) -> Vec<String> {
    let mut texts = Vec::new();
    let was_ready = |node: &NodeSeen| {
        old.nodes
            .iter()
            .find(|before| before.id == node.id)
            .map(|before| before.ready)
    };
    for node in &new.nodes {
        match (was_ready(node), node.ready) {
            (Some(true), false) => texts.push(format!("{} does not answer any more", node.hostname)),
            (Some(false), true) => texts.push(format!("{} answers again", node.hostname)),
            (None, true) => texts.push(format!("{} joined the swarm", node.hostname)),
            _ => {}
        }
    }
    let before = |task: &TaskSeen| old.tasks.iter().find(|before| before.id == task.id);
    for task in &new.tasks {
        if before(task).is_some_and(|before| before.state == task.state) {
            continue;
        }
        let name = task
            .slot
            .map_or_else(|| task.service.clone(), |slot| format!("{}.{slot}", task.service));
        let node = task.node.as_deref().unwrap_or("no node");
        match (task.state.as_str(), &task.error) {
            ("running", _) => texts.push(format!("{name} runs on {node}")),
            ("failed" | "rejected", error) => {
                let reason = error.as_deref().unwrap_or("no reason was given");
                texts.push(format!("{name} failed on {node}: {reason}"));
            }
            _ => {}
        }
    }
    let names = |overview: &Overview| {
        overview
            .services
            .iter()
            .map(|service| service.name.clone())
            .collect::<Vec<_>>()
    };
    let (before, after) = (names(old), names(new));
    texts.extend(
        after
            .iter()
            .filter(|name| !before.contains(name))
            .map(|name| format!("the service {name} is new")),
    );
    texts.extend(
        before
            .iter()
            .filter(|name| !after.contains(name))
            .map(|name| format!("the service {name} was removed")),
    );
    texts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::run::SwarmPart;
    use crate::status::Role;
    use crate::status::tests::example;

    #[test]
    fn changes_of_the_status_are_put_into_words() {
        let old = example();
        assert_eq!(of_status(&old, &old), [""; 0]);
        let mut new = old.clone();
        new.role = Role::Master;
        new.engine.swarm = SwarmPart::Leader;
        new.peers[0].hostname = Some("cl-node-3".parse().unwrap());
        new.warnings.push("too hot".to_owned());
        assert_eq!(
            of_status(&old, &new),
            [
                "cl-node-2 is master now, was node",
                "cl-node-2: swarm leader",
                "cl-node-3 is on the cluster network",
                "192.168.200.21 is not seen any more",
                "warning: too hot",
            ]
        );
    }

    #[test]
    fn the_last_events_are_kept_and_numbered() {
        let events = Events::default();
        let last = events.last();
        events.add((0..MOST + 10).map(|number| number.to_string()));
        assert_eq!(*last.borrow(), MOST as u64 + 10);
        assert_eq!(events.after(0).len(), MOST);
        let rest = events.after(MOST as u64 + 8);
        assert_eq!(
            rest.iter().map(|event| event.text.as_str()).collect::<Vec<_>>(),
            ["308", "309"]
        );
    }

    #[test]
    fn changes_of_the_swarm_are_put_into_words() {
        let json = r#"{"nodes": [{"id": "1", "hostname": "n1", "ready": true, "active": true, "part": "leader"}],
            "services": [], "tasks": []}"#;
        let old: Overview = serde_json::from_str(json).unwrap();
        let json = r#"{"nodes": [{"id": "1", "hostname": "n1", "ready": false, "active": true, "part": "leader"},
                {"id": "2", "hostname": "n2", "ready": true, "active": true, "part": "worker"}],
            "services": [{"name": "web", "image": "a", "replicas": 1, "running": 1, "ports": [], "constraints": [], "last-updated": 0}],
            "tasks": [{"id": "3", "service": "web", "slot": 1, "node": "n2", "state": "running", "desired": "running", "since": 0},
                {"id": "4", "service": "web", "slot": 1, "node": "n2", "state": "failed", "desired": "shutdown", "since": 0,
                 "error": "no such image"}]}"#;
        let new: Overview = serde_json::from_str(json).unwrap();
        assert_eq!(
            of_swarm(&old, &new),
            [
                "n1 does not answer any more",
                "n2 joined the swarm",
                "web.1 runs on n2",
                "web.1 failed on n2: no such image",
                "the service web is new",
            ]
        );
        assert_eq!(of_swarm(&new, &new), [""; 0]);
        assert_eq!(
            of_swarm(&new, &old),
            ["n1 answers again", "the service web was removed"]
        );
    }
}
