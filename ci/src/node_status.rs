//! What `cluster-lab status --json` says, as far as the lab and its tests look at it.

use std::net::Ipv4Addr;

use serde::Deserialize;

/// One node's view.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct NodeStatus {
    /// Its name.
    pub hostname: String,
    /// `starting`, `listening`, `claiming`, `master` or `node`.
    pub role: String,
    /// The interface on the cluster network.
    pub interface: Option<String>,
    /// Where it is reached there.
    pub address: Option<Ipv4Addr>,
    /// Its own address there, whatever its role.
    pub node_address: Option<Ipv4Addr>,
    /// The master that it knows.
    pub master: Option<Member>,
    /// All others that it knows, without the master.
    pub peers: Vec<Member>,
    /// What it waits for.
    pub waiting_for: Option<String>,
    /// What is wrong with its settings.
    pub warnings: Vec<String>,
    /// What the first boot did.
    pub first_boot: FirstBoot,
    /// When it did what.
    pub timing: Timing,
}

/// Another node.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Member {
    /// Its name, once it has told it.
    pub hostname: Option<String>,
    /// Its cluster address.
    pub address: Ipv4Addr,
}

/// The steps of the first boot.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct FirstBoot {
    /// Whether all are done.
    pub done: bool,
    /// Those that are done.
    pub steps: Vec<Step>,
}

/// A step that is done.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Step {
    /// Its name.
    pub name: String,
    /// Seconds since 1970 by the node's clock.
    pub done_at: Option<u64>,
}

/// Seconds since the kernel started.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Timing {
    /// The agent.
    pub agent_started: Option<f64>,
    /// The cluster network's interface.
    pub interface_ready: Option<f64>,
    /// Master or node, with an address.
    pub role_taken: Option<f64>,
}

impl NodeStatus {
    /// Whether the node is master or node, with an address.
    pub fn has_role(&self) -> bool {
        matches!(self.role.as_str(), "master" | "node") && self.address.is_some()
    }

    /// The names of all others that it knows.
    pub fn others(&self) -> Vec<&str> {
        let all = self.master.iter().chain(&self.peers);
        let names = all.filter_map(|member| member.hostname.as_deref());
        names.filter(|name| *name != self.hostname).collect()
    }

    /// One line: what it is, or what it waits for.
    pub fn line(&self) -> String {
        match (&self.address, &self.waiting_for) {
            (Some(address), None) => format!("{} {address}", self.role),
            (_, Some(waiting)) => format!("{}: {waiting}", self.role),
            (None, None) => self.role.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_agent_says() {
        let text = r#"{ "version": "0.1.0", "hostname": "cl-node-1", "cluster": "cluster-lab", "role": "node",
            "interface": "eth0.200", "vlan": "200", "address": "192.168.200.20",
            "node-address": "192.168.200.20", "prefix-length": 24, "mac": "02:00:00:00:00:01",
            "master": { "hostname": "cl-node-2", "address": "192.168.200.1" },
            "peers": [{ "hostname": null, "address": "192.168.200.21", "mac": "02:00:00:00:00:03" }],
            "waiting-for": null, "warnings": [], "trust": "open-lab",
            "first-boot": { "done": true, "steps": [{ "name": "hostname", "done-at": 1700000000 }] },
            "timing": { "agent-started": 20.5, "interface-ready": 21, "role-taken": null } }"#;
        let status: NodeStatus = serde_json::from_str(text).unwrap();
        assert!(status.has_role());
        assert_eq!(status.others(), ["cl-node-2"]);
        assert_eq!(status.line(), "node 192.168.200.20");
        assert_eq!(status.timing.agent_started, Some(20.5));
        let waiting = NodeStatus {
            role: "listening".to_owned(),
            address: None,
            waiting_for: Some("a master's answer".to_owned()),
            ..status
        };
        assert!(!waiting.has_role());
        assert_eq!(waiting.line(), "listening: a master's answer");
    }
}
