//! Members that are gone for good: pure. Consul itself forgets a failed member only after days.

use std::net::Ipv4Addr;

use serde::Deserialize;

/// A member as `GET /v1/agent/members` gives it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Member {
    pub(crate) name: String,
    #[serde(rename = "Addr")]
    pub(crate) address: Ipv4Addr,
    /// Serf's state: 1 alive, 2 leaving, 3 left, 4 failed.
    pub(super) status: u8,
}

const ALIVE: u8 = 1;
const FAILED: u8 = 4;

impl Member {
    pub(super) fn is_alive(&self) -> bool {
        self.status == ALIVE
    }

    /// Whether the others have lost it.
    pub(crate) fn is_failed(&self) -> bool {
        self.status == FAILED
    }
}

/// The names of failed members that will not come back: the swarm has no node at their address, or somebody else has
/// it (a card flashed anew with another name).
pub(super) fn stale<'a>(members: &'a [Member], nodes: &[Ipv4Addr]) -> Vec<&'a str> {
    let taken = |address| {
        members
            .iter()
            .any(|other| other.is_alive() && other.address == address)
    };
    let is_stale = |member: &&Member| {
        member.status == FAILED && (!nodes.contains(&member.address) || taken(member.address))
    };
    members
        .iter()
        .filter(is_stale)
        .map(|member| member.name.as_str())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_members_are_stale_when_their_place_is_not_theirs_any_more() {
        let address = |last| Ipv4Addr::new(192, 168, 200, last);
        let member = |name: &str, last, status| Member {
            name: name.to_owned(),
            address: address(last),
            status,
        };
        let members = [
            member("alive", 20, ALIVE),
            member("rebooting", 21, FAILED),
            member("removed", 22, FAILED),
            member("old-name", 20, FAILED),
            member("left", 23, 3),
        ];
        let nodes = [address(20), address(21)];
        assert_eq!(stale(&members, &nodes), ["removed", "old-name"]);
    }
}
