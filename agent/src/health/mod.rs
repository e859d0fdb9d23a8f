//! The health of a node, in the groups and words of the first Cluster Lab: what to look at is in `look`, what follows
//! from it is here and pure.

pub mod consul;
pub mod dependencies;
pub mod look;

use std::net::Ipv4Addr;

use serde::Serialize;

use crate::docker_endpoint;
use crate::engine::run::SwarmPart;
use crate::status::{Role, Status};
use consul::ConsulSeen;

/// What was seen of a node, besides its status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The interface that leads to the internet, and whether it has an address.
    pub uplink: Option<(String, bool)>,
    /// Whether a machine in the internet answers.
    pub internet: bool,
    /// Whether a name of the internet is resolved.
    pub dns: bool,
    /// The addresses of the cluster network's interface, IPv4 only; link-local ones are 169.254.x.y.
    pub addresses: Vec<Ipv4Addr>,
    /// Whether the master's agent takes connections.
    pub master_answers: bool,
    /// Whether the master is announced by DNS-SD.
    pub announced: bool,
    /// Whether Docker Engine's program is there.
    pub docker_installed: bool,
    /// Nodes of the swarm that are ready; only managers know.
    pub swarm_nodes: Option<usize>,
    /// Whether Docker's endpoint for the whole cluster takes connections.
    pub endpoint: bool,
    /// Consul.
    pub consul: ConsulSeen,
}

/// Checks that belong together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Group {
    /// What they are about.
    pub name: &'static str,
    /// The checks.
    pub checks: Vec<Check>,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What should be so.
    pub text: String,
    /// Whether it is so.
    pub pass: bool,
    /// What to do about it, if it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// All checks. `status`: what the daemon says; nothing when it does not run.
pub fn groups(status: Option<&Status>, seen: &Seen) -> Vec<Group> {
    let mut groups = vec![internet(seen), networking(status, seen)];
    groups.extend(status.map(served));
    groups.push(docker(status, seen));
    let consul = status.and_then(|status| status.consul.as_ref());
    groups.extend(consul.map(|status| consul::group(status, &seen.consul)));
    groups.extend(status.map(|status| swarm(status, seen)));
    groups
}

/// Whether every check passes.
pub fn is_healthy(groups: &[Group]) -> bool {
    groups
        .iter()
        .flat_map(|group| &group.checks)
        .all(|check| check.pass)
}

/// The checks as lines for people: green and red when they are for a terminal.
pub fn render(groups: &[Group], colours: bool) -> String {
    let mut text = String::new();
    for Group { name, checks } in groups {
        text += &format!("{name}\n");
        for Check {
            text: line,
            pass,
            hint,
        } in checks
        {
            let (word, colour) = if *pass { ("PASS", 32) } else { ("FAIL", 31) };
            let word = if colours {
                format!("\x1b[{colour}m{word}\x1b[0m")
            } else {
                word.to_owned()
            };
            text += &format!("  [{word}]   {line}\n");
            if let Some(hint) = hint {
                text += &format!("           -> {hint}\n");
            }
        }
    }
    text
}

fn check(text: impl Into<String>, pass: bool, hint: impl Into<String>) -> Check {
    Check {
        text: text.into(),
        pass,
        hint: (!pass).then(|| hint.into()),
    }
}

fn internet(seen: &Seen) -> Group {
    let Seen {
        uplink,
        internet,
        dns,
        ..
    } = seen;
    let (name, has_address) = match uplink {
        Some((name, has_address)) => (name.as_str(), *has_address),
        None => ("uplink", false),
    };
    Group {
        name: "Internet Connection",
        checks: vec![
            check(
                format!("{name} exists"),
                uplink.is_some(),
                "no interface has a way to the internet: is the switch connected to your router?",
            ),
            check(
                format!("{name} has an ip address"),
                has_address,
                "your router gives it none: look at its DHCP server and the cable",
            ),
            check(
                "Internet is reachable",
                *internet,
                "images cannot be pulled; the cluster itself works without",
            ),
            check("DNS works", *dns, "look at 'nameserver' in /etc/resolv.conf"),
        ],
    }
}

fn networking(status: Option<&Status>, seen: &Seen) -> Group {
    let name = "Networking";
    let Some(status) = status else {
        let line = check(
            "the agent is running",
            false,
            "systemctl start cluster-lab, or after 'cluster-lab stop': cluster-lab start",
        );
        return Group {
            name,
            checks: vec![line],
        };
    };
    let interface = status
        .interface
        .clone()
        .unwrap_or_else(|| "cluster interface".to_owned());
    let waits = status
        .waiting_for
        .clone()
        .unwrap_or_else(|| "'cluster-lab status' tells what is wrong".to_owned());
    let own = status.node_address;
    // A master has the master's address besides its own.
    let held: Vec<_> = match status.role {
        Role::Master => own.into_iter().chain(status.address).collect(),
        _ => own.into_iter().collect(),
    };
    let routable: Vec<_> = seen
        .addresses
        .iter()
        .filter(|address| !address.is_link_local())
        .collect();
    let has_all = !held.is_empty() && held.iter().all(|address| seen.addresses.contains(address));
    Group {
        name,
        checks: vec![
            check(
                format!("{interface} exists"),
                status.interface.is_some(),
                waits.clone(),
            ),
            check(
                format!("{interface} has correct IP from vlan network"),
                has_all,
                waits,
            ),
            check(
                "Cluster leader is reachable",
                seen.master_answers,
                "does the switch pass VLAN tags? else vlan = \"off\" in cluster-lab.toml",
            ),
            check(
                format!("{interface} has exactly one IP"),
                has_all && routable.len() == held.len(),
                "somebody else gives it addresses: 'ip addr' shows them",
            ),
            check(
                format!("{interface} has no local link address"),
                !seen.addresses.iter().any(Ipv4Addr::is_link_local),
                "another DHCP client or avahi-autoipd is at work on it: take it away from there",
            ),
            check(
                format!("the leader is announced on {interface}"),
                seen.announced,
                "multicast does not come through: look at the switch (IGMP snooping)",
            ),
        ],
    }
}

fn served(status: &Status) -> Group {
    let trouble = status.warnings.iter().find(|line| {
        ["nodes get no addresses", "no DNS on the cluster network"]
            .iter()
            .any(|start| line.starts_with(start))
    });
    let line = match status.role {
        Role::Master => "DHCP and DNS are served here",
        _ => "DHCP and DNS are served by the leader",
    };
    let known = matches!(status.role, Role::Master) || status.node_address.is_some();
    let hint = trouble
        .cloned()
        .unwrap_or_else(|| "this node has no address from the leader yet".to_owned());
    Group {
        name: "DNSmasq",
        checks: vec![check(line, known && trouble.is_none(), hint)],
    }
}

fn docker(status: Option<&Status>, seen: &Seen) -> Group {
    let engine = status.map(|status| &status.engine);
    let runs = engine.is_some_and(|engine| engine.docker.is_some());
    let waits = engine.and_then(|engine| engine.waiting_for.clone());
    let mut checks = vec![
        check(
            "docker is installed",
            runs || seen.docker_installed,
            "apt-get install docker.io",
        ),
        check(
            "Docker is running",
            runs,
            waits.unwrap_or_else(|| "systemctl start docker".to_owned()),
        ),
    ];
    if let Some(address) = status.and_then(|status| status.node_address) {
        checks.push(check(
            format!(
                "listens on {address} via tcp at port {} (Docker of the whole cluster)",
                docker_endpoint::PORT
            ),
            seen.endpoint,
            "'journalctl -u cluster-lab' tells what is wrong",
        ));
    }
    Group {
        name: "Docker",
        checks,
    }
}

fn swarm(status: &Status, seen: &Seen) -> Group {
    let engine = &status.engine;
    let waits = engine
        .waiting_for
        .clone()
        .unwrap_or_else(|| "'cluster-lab status' tells what is wrong".to_owned());
    let mut checks = vec![check(
        "Swarm is running on this node",
        engine.swarm != SwarmPart::None,
        waits,
    )];
    if let Some(ready) = seen.swarm_nodes {
        // This node, the master unless it is this one, and the others.
        let nodes = status.peers.len() + 1 + usize::from(status.role == Role::Node);
        checks.push(check(
            "Number of Swarm and cluster nodes is equal which means our cluster is healthy",
            ready == nodes,
            format!("{ready} of {nodes} nodes are ready in the swarm: 'docker node ls' and 'cluster-lab status' list them"),
        ));
    }
    Group {
        name: "Swarm",
        checks,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::tests::example;

    fn well() -> (Status, Seen) {
        let status = example();
        let seen = Seen {
            uplink: Some(("eth0".to_owned(), true)),
            internet: true,
            dns: true,
            addresses: status.node_address.into_iter().collect(),
            master_answers: true,
            announced: true,
            docker_installed: true,
            swarm_nodes: Some(3),
            endpoint: true,
            consul: ConsulSeen {
                ports: vec![8300, 8301, 8500, 8600],
                members: Some(Vec::new()),
            },
        };
        (status, seen)
    }

    #[test]
    fn a_sound_node_passes_in_the_words_of_the_first_cluster_lab() {
        let (mut status, seen) = well();
        status.engine.docker = Some("20.10.24".to_owned());
        status.engine.swarm = SwarmPart::Manager;
        let groups = groups(Some(&status), &seen);
        let text = render(&groups, false);
        assert!(is_healthy(&groups), "{text}");
        for line in [
            "Internet Connection\n  [PASS]   eth0 exists\n  [PASS]   eth0 has an ip address\n  [PASS]   Internet is reachable\n",
            "Networking\n  [PASS]   eth0.200 exists\n  [PASS]   eth0.200 has correct IP from vlan network\n",
            "  [PASS]   Cluster leader is reachable\n  [PASS]   eth0.200 has exactly one IP\n",
            "  [PASS]   eth0.200 has no local link address\n  [PASS]   the leader is announced on eth0.200\n",
            "Docker\n  [PASS]   docker is installed\n  [PASS]   Docker is running\n  [PASS]   listens on 192.168.200.",
            "Consul\n  [PASS]   Consul container is running\n",
        ] {
            assert!(text.contains(line), "{text}");
        }
        assert!(render(&groups, true).contains("[\x1b[32mPASS\x1b[0m]   DNS works"));
    }

    #[test]
    fn each_failure_has_its_hint() {
        let (status, mut seen) = well();
        seen.swarm_nodes = Some(2);
        seen.addresses.push(Ipv4Addr::new(169, 254, 7, 7));
        seen.internet = false;
        let groups = groups(Some(&status), &seen);
        let text = render(&groups, false);
        assert!(!is_healthy(&groups));
        for lines in [
            "  [FAIL]   Internet is reachable\n           -> images cannot be pulled",
            "  [FAIL]   eth0.200 has no local link address\n           -> another DHCP client",
            "  [FAIL]   Number of Swarm and cluster nodes is equal which means our cluster is healthy\n           -> 2 of 3",
        ] {
            assert!(text.contains(lines), "{text}");
        }
        assert_eq!(text.matches("[FAIL]").count(), text.matches("->").count());
    }

    #[test]
    fn without_the_daemon_the_rest_is_still_checked() {
        let (_, seen) = well();
        let text = render(&groups(None, &seen), false);
        assert!(
            text.contains("[FAIL]   the agent is running\n           -> systemctl start cluster-lab"),
            "{text}"
        );
        assert!(text.contains("[PASS]   docker is installed"), "{text}");
    }
}
