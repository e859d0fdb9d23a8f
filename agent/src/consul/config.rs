//! What Consul is to be on this node: pure. And its settings file.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use crate::engine::docker::containers::Part;

/// Where the container sees the folder of settings, and that of data.
pub const SETTINGS_FOLDER: &str = "/consul/config";
/// See [`SETTINGS_FOLDER`].
pub const DATA_FOLDER: &str = "/consul/data";

/// In units of Consul's fastest, 1 s until a silent leader is doubted: its default of 5 leaves a lab without a leader for
/// 10 s and more, and 1 makes a Pi whose card stalls for a second lose its leadership again and again.
const RAFT_MULTIPLIER: u32 = 3;

/// What Consul's settings come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Situation {
    /// The node's host name.
    pub hostname: String,
    /// The node's own address on the cluster network.
    pub own: Ipv4Addr,
    /// Whether it is the master.
    pub master: bool,
    /// Its part in the swarm.
    pub part: Part,
    /// Whether it was seen as the swarm's one manager before Consul could start: by now others may have joined.
    pub maker: bool,
    /// Whether there is a cluster secret.
    pub encrypted: bool,
}

/// Whether its swarm has decided so far with this node alone.
pub fn is_sole(part: &Part, own: Ipv4Addr) -> bool {
    part.manager && part.managers.iter().all(|address| *address == own)
}

/// What Consul is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Its name in the catalogue.
    pub name: String,
    /// The address it is reached at.
    pub address: Ipv4Addr,
    /// Whether it is one of those that decide.
    pub server: bool,
    /// Whether it begins a new cluster, unless it has data of one.
    pub bootstrap: bool,
    /// Those whom it joins.
    pub others: Vec<Ipv4Addr>,
    /// The node's role: `master` or `node`.
    pub role: &'static str,
    /// Whether gossip and RPC are encrypted.
    pub encrypted: bool,
}

/// What Consul is to be, or what is waited for first.
///
/// # Errors
/// With what is waited for: without another member to join, only who may begin a cluster can start.
pub fn wanted(situation: &Situation) -> Result<Config, String> {
    let Situation {
        hostname,
        own,
        master,
        part,
        maker,
        encrypted,
    } = situation.clone();
    // Nobody else can have begun a cluster in its swarm.
    let sole = is_sole(&part, own);
    let Part {
        node: _,
        manager,
        managers,
    } = part;
    let others: Vec<_> = managers.into_iter().filter(|address| *address != own).collect();
    if others.is_empty() && !sole {
        return Err("the swarm's managers, to join their Consul".to_owned());
    }
    Ok(Config {
        name: hostname,
        address: own,
        server: manager,
        bootstrap: manager && (sole || maker),
        others,
        role: if master { "master" } else { "node" },
        encrypted,
    })
}

impl Config {
    /// What can only change with a restart, as a word. Consul reads who is to be joined only at its start, and whether
    /// it begins a cluster only when it has no data.
    pub fn fingerprint(&self) -> String {
        let Self {
            name,
            address,
            server,
            bootstrap: _,
            others: _,
            role: _,
            encrypted,
        } = self;
        let kind = if *server { "server" } else { "client" };
        let encrypted = if *encrypted { "encrypted" } else { "open" };
        format!("2/{name}/{address}/{kind}/{encrypted}")
    }

    /// The settings file. `gossip`: the key of Consul's gossip.
    pub fn render(&self, gossip: Option<&str>) -> String {
        let mut settings = json!({
            "datacenter": "dc1",
            "node_name": self.name,
            "node_meta": { "role": self.role, "arch": std::env::consts::ARCH },
            "data_dir": DATA_FOLDER,
            "server": self.server,
            "bind_addr": self.address,
            "advertise_addr": self.address,
            "client_addr": "127.0.0.1",
            "addresses": { "dns": format!("127.0.0.1 {}", self.address) },
            // Nothing listens without need: there is one data centre.
            "ports": { "serf_wan": -1, "grpc": -1 },
            "retry_join": self.others,
            "retry_interval": "3s",
            "rejoin_after_leave": true,
            "leave_on_terminate": false,
            "skip_leave_on_interrupt": true,
            "performance": { "raft_multiplier": RAFT_MULTIPLIER, "leave_drain_time": "1s" },
            // Each node's would be written to the cards of all servers every 15 s, for nobody.
            "disable_coordinates": true,
            "disable_update_check": true,
            "disable_host_node_id": true,
            // It would win over a new cluster secret.
            "disable_keyring_file": true,
            "enable_script_checks": false,
            "log_level": "WARN",
            "dns_config": { "allow_stale": true, "node_ttl": "5s", "service_ttl": { "*": "1s" } },
        });
        if self.server {
            settings["autopilot"] = json!({
                "cleanup_dead_servers": true,
                "last_contact_threshold": "2s",
                "server_stabilization_time": "5s",
            });
        }
        if self.bootstrap {
            settings["bootstrap_expect"] = json!(1);
        }
        if let Some(key) = gossip.filter(|_| self.encrypted) {
            settings["encrypt"] = json!(key);
            let file = |name: &str| Value::from(format!("{SETTINGS_FOLDER}/{name}"));
            settings["ca_file"] = file(AUTHORITY);
            settings["cert_file"] = file(CERTIFICATE);
            settings["key_file"] = file(KEY);
            settings["verify_incoming_rpc"] = json!(true);
            settings["verify_outgoing"] = json!(true);
            settings["verify_server_hostname"] = json!(true);
        }
        format!("{settings:#}\n")
    }
}

/// Files beside the settings.
pub const SETTINGS: &str = "consul.json";
/// See [`SETTINGS`].
pub const AUTHORITY: &str = "authority.pem";
/// See [`SETTINGS`].
pub const CERTIFICATE: &str = "certificate.pem";
/// See [`SETTINGS`].
pub const KEY: &str = "key.pem";

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Ipv4Addr = Ipv4Addr::new(192, 168, 200, 20);
    const OTHER: Ipv4Addr = Ipv4Addr::new(192, 168, 200, 21);

    fn situation(manager: bool, managers: &[Ipv4Addr]) -> Situation {
        Situation {
            hostname: "n1".to_owned(),
            own: OWN,
            master: false,
            part: Part {
                node: "id".to_owned(),
                manager,
                managers: managers.to_vec(),
            },
            maker: false,
            encrypted: true,
        }
    }

    #[test]
    fn only_the_one_manager_of_a_swarm_begins_a_cluster() {
        let alone = wanted(&situation(true, &[OWN])).unwrap();
        assert!(alone.server && alone.bootstrap && alone.others.is_empty());
        let second = wanted(&situation(true, &[OWN, OTHER])).unwrap();
        assert!(second.server && !second.bootstrap);
        assert_eq!(second.others, [OTHER]);
        let worker = wanted(&situation(false, &[OTHER])).unwrap();
        assert!(!worker.server && !worker.bootstrap);
        let lost = wanted(&situation(false, &[])).unwrap_err();
        assert_eq!(lost, "the swarm's managers, to join their Consul");
    }

    #[test]
    fn who_made_the_swarm_begins_the_cluster_though_others_have_joined_meanwhile() {
        let maker = |manager| Situation {
            maker: true,
            ..situation(manager, &[OWN, OTHER])
        };
        assert!(wanted(&maker(true)).unwrap().bootstrap);
        assert!(!wanted(&maker(false)).unwrap().bootstrap);
    }

    #[test]
    fn a_move_of_the_master_or_another_manager_is_no_reason_to_restart() {
        let before = wanted(&situation(true, &[OWN])).unwrap();
        let after = Situation {
            master: true,
            ..situation(true, &[OWN, OTHER])
        };
        assert_eq!(before.fingerprint(), wanted(&after).unwrap().fingerprint());
        let client = wanted(&situation(false, &[OTHER])).unwrap();
        assert_ne!(before.fingerprint(), client.fingerprint());
    }

    #[test]
    fn settings_are_encrypted_when_there_is_a_secret() {
        let config = wanted(&situation(true, &[OWN])).unwrap();
        let settings: Value = serde_json::from_str(&config.render(Some("a2V5"))).unwrap();
        assert_eq!(settings["encrypt"], "a2V5");
        assert_eq!(settings["bootstrap_expect"], 1);
        assert_eq!(settings["verify_server_hostname"], true);
        let open = Config {
            encrypted: false,
            bootstrap: false,
            ..config
        };
        let text = open.render(None);
        assert!(
            !text.contains("encrypt") && !text.contains("verify") && !text.contains("bootstrap"),
            "{text}"
        );
    }
}
