//! Services, tasks and nodes as a manager sees them. What may be secret (commands, variables) is not among it: whoever
//! is on the cluster network may see this.

use serde::{Deserialize, Serialize};

use super::definition::Port;

/// A service as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ServiceSeen {
    /// Its name.
    pub name: String,
    /// Its image.
    pub image: String,
    /// How many tasks are wanted; null: one on every node.
    pub replicas: Option<u64>,
    /// How many tasks run.
    pub running: u64,
    /// Ports that every node opens for it.
    pub ports: Vec<Port>,
    /// The only node that it may run on.
    pub node: Option<String>,
    /// Its other placement constraints.
    pub constraints: Vec<String>,
    /// When its definition was changed last, seconds since 1970.
    pub last_updated: u64,
}

/// A task: one container of a service, or what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct TaskSeen {
    /// Its identifier.
    pub id: String,
    /// The service's name.
    pub service: String,
    /// Its number among the service's tasks; null where there is one per node.
    pub slot: Option<i64>,
    /// The node's name.
    pub node: Option<String>,
    /// Swarm's word for its state, such as `running`.
    pub state: String,
    /// The state that Swarm wants it in.
    pub desired: String,
    /// Since when it is in its state, seconds since 1970.
    pub since: u64,
    /// What went wrong.
    pub error: Option<String>,
    /// The container on that node.
    pub container: Option<String>,
}

/// A node of the swarm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct NodeSeen {
    /// Its identifier in the swarm.
    pub id: String,
    /// Its name.
    pub hostname: String,
    /// Its address on the cluster network.
    pub address: Option<String>,
    /// Whether its engine answers.
    pub ready: bool,
    /// Whether Swarm may give it tasks.
    pub active: bool,
    /// `worker`, `manager` or `leader`.
    pub part: String,
    /// Docker's version.
    pub docker: Option<String>,
    /// The processor's architecture.
    pub architecture: Option<String>,
    /// Processors.
    pub processors: Option<i64>,
    /// Bytes of memory.
    pub memory: Option<i64>,
}

/// The swarm at one look.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Overview {
    /// The nodes.
    pub nodes: Vec<NodeSeen>,
    /// The services.
    pub services: Vec<ServiceSeen>,
    /// Their tasks.
    pub tasks: Vec<TaskSeen>,
}

impl Overview {
    /// Without tasks of the past, except those that failed.
    pub fn of_now(mut self) -> Self {
        let failed = |task: &TaskSeen| task.state == "failed" || task.state == "rejected";
        self.tasks
            .retain(|task| task.desired == "running" || failed(task));
        self
    }
}

impl TaskSeen {
    /// Whether it does its work.
    pub fn is_running(&self) -> bool {
        self.state == "running" && self.desired == "running"
    }
}
