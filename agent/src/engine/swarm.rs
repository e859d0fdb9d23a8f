//! What this node sees of its swarm, and what a manager tells who wants to join it.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

/// Port of the managers (swarm mode's own, <https://docs.docker.com/engine/swarm/swarm-tutorial/>).
pub const MANAGER_PORT: u16 = 2377;

/// The engine's part in a swarm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Swarm {
    /// None.
    Out,
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
    /// How many managers it knows of; 0 while it cannot tell.
    pub managers: usize,
    /// What it can do there.
    pub control: Control,
}

/// What a member can do in its swarm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Control {
    /// Runs tasks.
    Worker,
    /// Joins, or seeks its managers after a restart.
    Pending,
    /// Is a manager, but too few others are there to decide anything.
    NoQuorum,
    /// Is a manager of a swarm that works.
    Manager(Manager),
}

/// A manager's view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manager {
    /// The secret with which workers join.
    pub worker_token: Token,
    /// All nodes, this one among them.
    pub nodes: Vec<Node>,
    /// How many services there are.
    pub services: usize,
}

/// A secret of the swarm's.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(pub String);

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
    /// Its labels in the swarm.
    pub labels: BTreeMap<String, String>,
    /// Those that its engine tells of, which it is to have in the swarm too.
    pub told: BTreeMap<String, String>,
}

/// A manager's part in Raft.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Raft {
    /// Whether the others reach it.
    pub reachable: bool,
    /// Whether it leads.
    pub leader: bool,
    /// Whether it has joined the others; a node that was promoted while it was away has not.
    pub member: bool,
}

/// Node label with the node's role, `master` or `node`, for constraints such as `node.labels.role==master`.
pub const ROLE_LABEL: &str = "role";

/// Node label with the node's processor, as `uname -m` calls it.
pub const ARCH_LABEL: &str = "arch";

/// Node label of a node that is leaving: it gets no part in the swarm any more, and is forgotten when it is gone.
pub const LEAVING_LABEL: &str = "cluster-lab.leaving";

/// What a manager tells another member of the cluster. It holds a secret: it only travels between members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Invitation {
    /// The manager's address on the cluster network.
    pub manager: Ipv4Addr,
    /// The secret with which workers join.
    pub worker_token: Token,
    /// The swarm's nodes.
    pub nodes: Vec<Member>,
    /// How many services there are.
    pub services: usize,
}

/// A node of the swarm that a member is invited to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Member {
    /// Its identifier.
    pub id: String,
    /// Whether its engine answers the manager.
    pub ready: bool,
}

impl Node {
    /// Whether it is leaving.
    pub fn is_leaving(&self) -> bool {
        self.labels.contains_key(LEAVING_LABEL)
    }

    /// Its label [`ROLE_LABEL`].
    pub fn role(&self) -> Option<&str> {
        self.labels.get(ROLE_LABEL).map(String::as_str)
    }
}

impl Manager {
    /// Whether nothing is lost with this swarm.
    pub fn is_empty(&self) -> bool {
        self.nodes.len() <= 1 && self.services == 0
    }

    /// How many managers there are.
    pub fn managers(&self) -> usize {
        self.nodes.iter().filter(|node| node.manager.is_some()).count()
    }
}

impl Invitation {
    /// Whether nothing is lost with this swarm.
    pub fn is_empty(&self) -> bool {
        self.nodes.len() <= 1 && self.services == 0
    }

    /// Whether a node is in this swarm, and if so, whether it answers.
    pub fn is_ready(&self, node: &str) -> Option<bool> {
        let found = self.nodes.iter().find(|member| member.id == node);
        found.map(|member| member.ready)
    }

    /// Whether a node is in this swarm.
    pub fn knows(&self, node: &str) -> bool {
        self.is_ready(node).is_some()
    }
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
            nodes: manager.nodes.iter().map(Member::of).collect(),
            services: manager.services,
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

impl Member {
    fn of(node: &Node) -> Self {
        Self {
            id: node.id.clone(),
            ready: node.ready,
        }
    }
}

/// Without the secret.
impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(..)")
    }
}
