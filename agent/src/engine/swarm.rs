//! What this node sees of its swarm, and what a manager tells who wants to join it.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

/// Port of the managers (swarm mode's own, <https://docs.docker.com/engine/swarm/swarm-tutorial/>).
pub const MANAGER_PORT: u16 = 2377;

/// The engine's part in a swarm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Swarm {
    /// None.
    Out,
    /// The engine is joining one.
    Joining,
    /// It is in one whose keys are encrypted with a key that only people have.
    Locked,
    /// It should be in one, but cannot: the engine's own words.
    Failed(String),
    /// It is in one.
    In(Membership),
}

/// A node in its swarm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The node's identifier.
    pub node: String,
    /// The address that it told the others; `None` when it is no IPv4 address.
    pub address: Option<Ipv4Addr>,
    /// How many managers it knows of.
    pub managers: usize,
    /// What it can do there.
    pub control: Control,
}

/// What a member can do in its swarm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Control {
    /// Runs tasks.
    Worker,
    /// Is a manager, but too few others are there to decide anything.
    NoQuorum,
    /// Is a manager of a swarm that works.
    Manager(Manager),
}

/// A manager's view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manager {
    /// The secret with which workers join.
    pub worker_token: String,
    /// All nodes, this one among them.
    pub nodes: Vec<Node>,
}

/// A node as a manager sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its identifier.
    pub id: String,
    /// Its name.
    pub hostname: String,
    /// Its address; `None` while unknown.
    pub address: Option<Ipv4Addr>,
    /// Whether its engine answers.
    pub ready: bool,
    /// Its part in Raft, if it is to have one.
    pub manager: Option<Raft>,
    /// Its label [`ROLE_LABEL`].
    pub role_label: Option<String>,
}

/// A manager's part in Raft.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Raft {
    /// Whether the others reach it.
    pub reachable: bool,
    /// Whether it leads.
    pub leader: bool,
}

/// Node label with the node's role, `master` or `node`, for constraints such as `node.labels.role==master`.
pub const ROLE_LABEL: &str = "role";

/// What a manager tells another member of the cluster. It holds a secret: it only travels between members.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Invitation {
    /// The manager's address on the cluster network.
    pub manager: Ipv4Addr,
    /// The secret with which workers join.
    pub worker_token: String,
    /// Identifiers of the swarm's nodes.
    pub nodes: Vec<String>,
}

impl Membership {
    /// What this member tells another one; nothing unless it is a manager.
    pub fn invitation(&self) -> Option<Invitation> {
        let Control::Manager(manager) = &self.control else {
            return None;
        };
        Some(Invitation {
            manager: self.address?,
            worker_token: manager.worker_token.clone(),
            nodes: manager.nodes.iter().map(|node| node.id.clone()).collect(),
        })
    }

    /// Whether this member is the swarm's leader.
    pub fn leads(&self) -> bool {
        let Control::Manager(manager) = &self.control else {
            return false;
        };
        let own = manager.nodes.iter().find(|node| node.id == self.node);
        own.and_then(|node| node.manager).is_some_and(|raft| raft.leader)
    }
}

/// Without the secret.
impl std::fmt::Debug for Invitation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Invitation")
            .field("manager", &self.manager)
            .field("nodes", &self.nodes)
            .finish_non_exhaustive()
    }
}
