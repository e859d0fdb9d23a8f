//! What the cluster network shows of itself: the part of the status that changes with it.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use boot_config::Hostname;

use super::mac::Mac;
use super::role::Role;
use crate::status::Peer;

/// The cluster network as this node sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The node's role.
    pub role: Role,
    /// Name and hardware address of the interface, when it can be used.
    pub interface: Option<(String, Mac)>,
    /// The address that the node is reached at: the master's while it is master, else its own.
    pub address: Option<Ipv4Addr>,
    /// The node's own address.
    pub node_address: Option<Ipv4Addr>,
    /// The master's name, told by itself.
    pub master_name: Option<Hostname>,
    /// The master's own address, told by itself.
    pub master_node: Option<Ipv4Addr>,
    /// The other nodes.
    pub peers: Vec<Peer>,
    /// What it waits for.
    pub waiting: Option<String>,
    /// What is wrong.
    pub warnings: Vec<String>,
}

impl Default for View {
    fn default() -> Self {
        Self {
            role: Role::Starting,
            interface: None,
            address: None,
            node_address: None,
            master_name: None,
            master_node: None,
            peers: Vec::new(),
            waiting: None,
            warnings: Vec::new(),
        }
    }
}

/// Warnings by subject. A subject's lines are replaced as a whole, and logged when they are new.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Warnings(BTreeMap<&'static str, Vec<String>>);

impl Warnings {
    /// Replaces the lines of a subject; none: all is well.
    pub fn set(&mut self, subject: &'static str, lines: Vec<String>) {
        let old = self.0.insert(subject, lines.clone()).unwrap_or_default();
        for line in lines.iter().filter(|line| !old.contains(line)) {
            tracing::warn!("{line}");
        }
    }

    /// All lines.
    pub fn lines(&self) -> Vec<String> {
        self.0.values().flatten().cloned().collect()
    }
}
