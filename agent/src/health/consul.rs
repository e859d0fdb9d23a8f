//! The checks of Consul, in the words of the first Cluster Lab.

use std::net::Ipv4Addr;

use super::{Check, Group, check};
use crate::consul::run::ConsulStatus;

/// Raft of the servers.
pub(super) const RAFT: u16 = 8300;
/// Gossip, HTTP and DNS, on every node. The first Cluster Lab had 8302 too, which is for several data centres.
pub(super) const EVERYWHERE: [u16; 3] = [8301, 8500, 8600];

/// What was seen of Consul.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsulSeen {
    /// Ports on which somebody listens.
    pub ports: Vec<u16>,
    /// Its members; nothing when its API does not answer.
    pub members: Option<Vec<MemberSeen>>,
}

/// A member of Consul's cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberSeen {
    /// Its name in the catalogue.
    pub name: String,
    /// Its address.
    pub address: Ipv4Addr,
    /// Whether Consul has lost it.
    pub failed: bool,
    /// Whether the machine answers.
    pub answers: bool,
}

/// `status`: what the daemon says of it.
pub(super) fn group(status: &ConsulStatus, seen: &ConsulSeen) -> Group {
    let waits = status
        .waiting_for
        .clone()
        .unwrap_or_else(|| "'docker logs cluster_lab_consul' tells what is wrong".to_owned());
    let mut checks = vec![check(
        "Consul container is running",
        status.version.is_some(),
        waits.clone(),
    )];
    let wanted = status.server.then_some(RAFT).into_iter().chain(EVERYWHERE);
    checks.extend(wanted.map(|port| {
        let line = format!("Consul is listening on port {port}");
        check(line, seen.ports.contains(&port), waits.clone())
    }));
    checks.push(check("Consul API works", seen.members.is_some(), waits));
    checks.extend(seen.members.iter().flat_map(|members| of_members(members)));
    Group {
        name: "Consul",
        checks,
    }
}

fn of_members(members: &[MemberSeen]) -> Vec<Check> {
    let reachable = |member: &MemberSeen| {
        check(
            format!("Cluster-Node is pingable with IP {}", member.address),
            member.answers,
            format!("is {} switched on and plugged in?", member.name),
        )
    };
    let failed: Vec<&str> = members
        .iter()
        .filter(|member| member.failed)
        .map(|member| member.name.as_str())
        .collect();
    let mut checks: Vec<Check> = members.iter().map(reachable).collect();
    checks.push(check(
        "No Cluster-Node is in status 'failed'",
        failed.is_empty(),
        format!("look at {}", failed.join(", ")),
    ));
    checks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(last: u8, up: bool) -> MemberSeen {
        MemberSeen {
            name: format!("cl-node-{last}"),
            address: Ipv4Addr::new(192, 168, 200, last),
            failed: !up,
            answers: up,
        }
    }

    #[test]
    fn a_lost_member_and_a_missing_port_are_named() {
        let status = ConsulStatus {
            version: Some("1.8.7".to_owned()),
            server: true,
            ..ConsulStatus::default()
        };
        let seen = ConsulSeen {
            ports: vec![8300, 8301, 8500],
            members: Some(vec![member(20, true), member(21, false)]),
        };
        let lines: Vec<(String, bool)> = group(&status, &seen)
            .checks
            .into_iter()
            .map(|check| (check.text, check.pass))
            .collect();
        let expected = [
            ("Consul container is running", true),
            ("Consul is listening on port 8300", true),
            ("Consul is listening on port 8301", true),
            ("Consul is listening on port 8500", true),
            ("Consul is listening on port 8600", false),
            ("Consul API works", true),
            ("Cluster-Node is pingable with IP 192.168.200.20", true),
            ("Cluster-Node is pingable with IP 192.168.200.21", false),
            ("No Cluster-Node is in status 'failed'", false),
        ];
        assert_eq!(lines, expected.map(|(line, pass)| (line.to_owned(), pass)));
    }

    #[test]
    fn a_client_has_no_raft_and_a_consul_that_is_not_there_is_waited_for() {
        let status = ConsulStatus {
            waiting_for: Some("its image".to_owned()),
            ..ConsulStatus::default()
        };
        let group = group(&status, &ConsulSeen::default());
        assert!(group.checks.iter().all(|check| !check.pass));
        assert!(!group.checks.iter().any(|check| check.text.contains("8300")));
        assert_eq!(group.checks[0].hint.as_deref(), Some("its image"));
    }
}
