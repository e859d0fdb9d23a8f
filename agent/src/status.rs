//! What a node is and sees: the one thing that the command line, the HTTP API and later the dashboard show.

use std::net::Ipv4Addr;

use boot_config::Hostname;
use serde::{Deserialize, Serialize};

use crate::consul::run::ConsulStatus;
use crate::engine::preload::Preloads;
use crate::engine::run::EngineStatus;
use crate::network::mac::Mac;
pub use crate::network::role::Role;

/// The status of one node, as `cluster-lab status --json` and `GET /api/v1/status` give it. What is absent is null.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Status {
    /// Version of the agent.
    pub version: String,
    /// Name of the node.
    pub hostname: String,
    /// Name of the cluster.
    pub cluster: String,
    /// The node's role.
    pub role: Role,
    /// Interface of the cluster network, once it can be used.
    pub interface: Option<String>,
    /// VLAN identifier of the cluster network, or `off`.
    pub vlan: String,
    /// The address that the node is reached at on the cluster network: the master's while it is master, else its own.
    pub address: Option<Ipv4Addr>,
    /// The address that stays with the node whatever its role.
    pub node_address: Option<Ipv4Addr>,
    /// Length of the cluster network's prefix.
    pub prefix_length: u8,
    /// Hardware address of the interface.
    pub mac: Option<Mac>,
    /// The master, once known; on the master itself, the node itself.
    pub master: Option<Master>,
    /// The other nodes, without this one and without the master.
    pub peers: Vec<Peer>,
    /// Docker Engine and the node's part in the swarm.
    pub engine: EngineStatus,
    /// The container images that came with the card.
    pub preloads: Preloads,
    /// Consul; null where it is switched off.
    pub consul: Option<ConsulStatus>,
    /// What the node waits for, if for anything.
    pub waiting_for: Option<String>,
    /// What is wrong without keeping the node from working.
    pub warnings: Vec<String>,
    /// Who may join: who has the `secret`; in an `open-lab` everybody; `none` when there is neither.
    pub trust: String,
    /// Steps of the first boot.
    pub first_boot: FirstBoot,
    /// When what was reached.
    pub timing: Timing,
}

/// The master.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Master {
    /// Its name, once it has told it.
    pub hostname: Option<Hostname>,
    /// Its address.
    pub address: Ipv4Addr,
}

/// Another node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Peer {
    /// Its name, if it told one.
    pub hostname: Option<Hostname>,
    /// Its address on the cluster network.
    pub address: Ipv4Addr,
    /// Its hardware address.
    pub mac: Mac,
}

/// How far the first boot is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct FirstBoot {
    /// Whether every step is done.
    pub done: bool,
    /// The steps that are done.
    pub steps: Vec<FirstBootStep>,
}

/// A step of the first boot that is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct FirstBootStep {
    /// Its name.
    pub name: String,
    /// When it was done, seconds since 1970.
    pub done_at: u64,
}

/// When what was reached, in seconds since the system booted (CLOCK_BOOTTIME).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Timing {
    /// The agent started.
    pub agent_started: f64,
    /// The interface could be used for the first time.
    pub interface_ready: Option<f64>,
    /// A role was taken for the first time: as master, or as node with an address.
    pub role_taken: Option<f64>,
}

/// The status as lines for people.
impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let dash = || "-".to_owned();
        let shown = |name: &Option<Hostname>| name.clone().map_or_else(dash, String::from);
        let mut line = |key: &str, value: &str| writeln!(f, "{key:<12} {value}");
        line("node", &self.hostname)?;
        line("role", &self.role.to_string())?;
        if let Some(waiting) = &self.waiting_for {
            line("waiting for", waiting)?;
        }
        line("cluster", &format!("{} ({})", self.cluster, self.trust))?;
        let vlan = match self.vlan.as_str() {
            "off" => "untagged".to_owned(),
            id => format!("VLAN {id}"),
        };
        let interface = self.interface.clone().unwrap_or_else(dash);
        line("interface", &format!("{interface} ({vlan})"))?;
        let net = |address: Ipv4Addr| format!("{address}/{}", self.prefix_length);
        line("address", &self.address.map_or_else(dash, net))?;
        if let Some(own) = self.node_address.filter(|own| self.address != Some(*own)) {
            line("own address", &net(own))?;
        }
        let master = self.master.as_ref();
        line(
            "master",
            &master.map_or_else(dash, |master| {
                format!("{} {}", master.address, shown(&master.hostname))
            }),
        )?;
        for (i, peer) in self.peers.iter().enumerate() {
            let value = format!(
                "{:<15} {} {}",
                peer.address.to_string(),
                peer.mac,
                shown(&peer.hostname)
            );
            line(if i == 0 { "nodes" } else { "" }, &value)?;
        }
        line("docker", &self.engine.to_string())?;
        if let Some(consul) = &self.consul {
            line("consul", &consul.to_string())?;
        }
        if self.preloads.loaded < self.preloads.images || !self.preloads.broken.is_empty() {
            line("images", &self.preloads.to_string())?;
        }
        let done = if self.first_boot.done { "done" } else { "not done" };
        line("first boot", done)?;
        for warning in &self.warnings {
            line("warning", warning)?;
        }
        line("version", &self.version)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::engine::run::SwarmPart;

    pub(crate) fn example() -> Status {
        Status {
            version: "0.1.0".to_owned(),
            hostname: "cl-node-2".to_owned(),
            cluster: "cluster-lab".to_owned(),
            role: Role::Node,
            interface: Some("eth0.200".to_owned()),
            vlan: "200".to_owned(),
            address: Some(Ipv4Addr::new(192, 168, 200, 20)),
            node_address: Some(Ipv4Addr::new(192, 168, 200, 20)),
            prefix_length: 24,
            mac: Some(Mac::from([2, 0, 0, 0, 0, 2])),
            master: Some(Master {
                hostname: Some("cl-node-1".parse().unwrap()),
                address: Ipv4Addr::new(192, 168, 200, 1),
            }),
            peers: vec![Peer {
                hostname: None,
                address: Ipv4Addr::new(192, 168, 200, 21),
                mac: Mac::from([2, 0, 0, 0, 0, 3]),
            }],
            engine: EngineStatus {
                docker: Some("20.10.24".to_owned()),
                swarm: SwarmPart::Worker,
                waiting_for: None,
            },
            preloads: Preloads {
                images: 2,
                references: Vec::new(),
                loaded: 1,
                loading: Some("lab/web:1".to_owned()),
                broken: Vec::new(),
            },
            consul: Some(ConsulStatus {
                version: Some("1.8.7".to_owned()),
                name: Some("cl-node-2".to_owned()),
                server: true,
                members: 3,
                leader: Some(Ipv4Addr::new(192, 168, 200, 20)),
                waiting_for: None,
            }),
            waiting_for: None,
            warnings: vec!["port 80 is taken".to_owned()],
            trust: "open-lab".to_owned(),
            first_boot: FirstBoot {
                done: true,
                steps: vec![FirstBootStep {
                    name: "hostname".to_owned(),
                    done_at: 1_700_000_000,
                }],
            },
            timing: Timing {
                agent_started: 12.5,
                interface_ready: Some(13.25),
                role_taken: None,
            },
        }
    }

    #[test]
    fn the_json_keys_are_as_documented() {
        let json = serde_json::to_value(example()).unwrap();
        let expected = serde_json::json!({
            "version": "0.1.0", "hostname": "cl-node-2", "cluster": "cluster-lab", "role": "node",
            "interface": "eth0.200", "vlan": "200", "address": "192.168.200.20",
            "node-address": "192.168.200.20", "prefix-length": 24, "mac": "02:00:00:00:00:02",
            "master": {"hostname": "cl-node-1", "address": "192.168.200.1"},
            "peers": [{"hostname": null, "address": "192.168.200.21", "mac": "02:00:00:00:00:03"}],
            "engine": {"docker": "20.10.24", "swarm": "worker", "waiting-for": null},
            "preloads": {"images": 2, "loaded": 1, "loading": "lab/web:1", "broken": []},
            "consul": {"version": "1.8.7", "name": "cl-node-2", "server": true, "members": 3,
                "leader": "192.168.200.20", "waiting-for": null},
            "waiting-for": null, "warnings": ["port 80 is taken"], "trust": "open-lab",
            "first-boot": {"done": true, "steps": [{"name": "hostname", "done-at": 1_700_000_000}]},
            "timing": {"agent-started": 12.5, "interface-ready": 13.25, "role-taken": null},
        });
        assert_eq!(json, expected);
        assert_eq!(serde_json::from_value::<Status>(json).unwrap(), example());
    }

    #[test]
    fn people_get_a_line_per_fact() {
        let expected = "\
node         cl-node-2
role         node
cluster      cluster-lab (open-lab)
interface    eth0.200 (VLAN 200)
address      192.168.200.20/24
master       192.168.200.1 cl-node-1
nodes        192.168.200.21  02:00:00:00:00:03 -
docker       20.10.24, swarm worker
consul       1.8.7, server, 3 alive
images       1 of 2 loaded, loading lab/web:1
first boot   done
warning      port 80 is taken
version      0.1.0
";
        assert_eq!(example().to_string(), expected);
    }
}
