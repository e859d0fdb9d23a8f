//! The cluster's nodes as the endpoint sees them, and the names that people give them.

use std::net::Ipv4Addr;
use std::sync::Arc;

use crate::network::view::View;
use crate::status::Role;

/// The name that leads to whoever is master.
const MASTER_ALIAS: &str = "cl-master";

/// A node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its name; unique.
    pub name: String,
    /// Its own address; `None` for this node before it has one.
    pub address: Option<Ipv4Addr>,
    /// Whether it is this node.
    pub is_own: bool,
    /// Whether it is the master.
    pub is_master: bool,
}

/// All nodes, this one first, the others by address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nodes {
    /// The nodes.
    pub all: Vec<Arc<Node>>,
    /// The interface that others are reached through.
    pub interface: Option<String>,
    /// The addresses that this node is reached at on the cluster network.
    pub reached_at: Vec<Ipv4Addr>,
}

impl Nodes {
    /// From what the cluster network shows to the node of this name.
    pub fn of_view(view: &View, hostname: &str) -> Self {
        let has_role = matches!(view.role, Role::Master | Role::Node);
        let mut all = vec![Node {
            name: hostname.to_owned(),
            address: view.node_address,
            is_own: true,
            is_master: view.role == Role::Master,
        }];
        let other = |name: Option<String>, address: Ipv4Addr, is_master| Node {
            name: name.unwrap_or_else(|| address.to_string()),
            address: Some(address),
            is_own: false,
            is_master,
        };
        let mut others = Vec::new();
        if has_role {
            let peers = view.peers.iter();
            others.extend(peers.map(|peer| {
                let name = peer.hostname.clone().map(String::from);
                other(name, peer.address, Some(peer.address) == view.master_node)
            }));
            let master = view.master_node.filter(|_| view.role == Role::Node);
            if let Some(address) =
                master.filter(|master| others.iter().all(|node| node.address != Some(*master)))
            {
                others.push(other(view.master_name.clone().map(String::from), address, true));
            }
        }
        others.retain(|node| node.address != view.node_address);
        others.sort_by_key(|node| node.address);
        all.extend(others);
        // Two cards may have one name: what people say must mean one node.
        for index in 1..all.len() {
            let (before, rest) = all.split_at_mut(index);
            if before.iter().any(|node| node.name == rest[0].name)
                && let Some(address) = rest[0].address
            {
                rest[0].name = format!("{}-{}", rest[0].name, address.octets()[3]);
            }
        }
        let reached_at = [view.node_address, view.address];
        let mut reached_at: Vec<_> = reached_at.into_iter().flatten().collect();
        reached_at.dedup();
        Self {
            all: all.into_iter().map(Arc::new).collect(),
            interface: view.interface.as_ref().map(|(name, _)| name.clone()),
            reached_at,
        }
    }

    /// This node.
    pub fn own(&self) -> Option<&Arc<Node>> {
        self.all.iter().find(|node| node.is_own)
    }

    /// The node that people mean by a name or an address.
    pub fn named(&self, name: &str) -> Option<&Arc<Node>> {
        let exact = self.all.iter().find(|node| node.name == name);
        exact.or_else(|| self.all.iter().find(|node| node.answers_to(name)))
    }

    /// Takes `node/name` apart; nothing when what is before the slash is no node.
    pub fn split<'a>(&self, reference: &'a str) -> Option<(&Arc<Node>, &'a str)> {
        let (node, name) = reference.trim_start_matches('/').split_once('/')?;
        Some((self.named(node)?, name))
    }
}

impl Node {
    /// Whether people may mean it by this name.
    pub fn answers_to(&self, name: &str) -> bool {
        self.name == name
            || (self.is_master && name == MASTER_ALIAS)
            || self.address.is_some_and(|address| address.to_string() == name)
    }

    /// The address as text; a dash while there is none.
    pub fn shown_address(&self) -> String {
        self.address
            .map_or_else(|| "-".to_owned(), |address| address.to_string())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::status::Peer;

    pub(crate) fn three() -> Nodes {
        let address = |last| Ipv4Addr::new(192, 168, 200, last);
        let peer = |name: &str, last| Peer {
            hostname: name.parse().ok(),
            address: address(last),
            mac: [2, 0, 0, 0, 0, last].into(),
        };
        let view = View {
            role: Role::Node,
            interface: Some(("eth0.200".to_owned(), [2, 0, 0, 0, 0, 1].into())),
            address: Some(address(21)),
            node_address: Some(address(21)),
            master_name: "m".parse().ok(),
            master_node: Some(address(20)),
            peers: vec![peer("n2", 22)],
            ..View::default()
        };
        Nodes::of_view(&view, "n1")
    }

    #[test]
    fn each_node_is_there_once_and_has_a_name_of_its_own() {
        let nodes = three();
        let names: Vec<_> = nodes.all.iter().map(|node| node.name.as_str()).collect();
        assert_eq!(names, ["n1", "m", "n2"]);
        assert_eq!(nodes.reached_at, [Ipv4Addr::new(192, 168, 200, 21)]);
        let mut view = View {
            role: Role::Master,
            node_address: Some(Ipv4Addr::new(192, 168, 200, 20)),
            address: Some(Ipv4Addr::new(192, 168, 200, 1)),
            ..View::default()
        };
        view.peers = vec![Peer {
            hostname: "n1".parse().ok(),
            address: Ipv4Addr::new(192, 168, 200, 30),
            mac: [2, 0, 0, 0, 0, 9].into(),
        }];
        let nodes = Nodes::of_view(&view, "n1");
        assert_eq!(
            (nodes.all[0].name.as_str(), nodes.all[1].name.as_str()),
            ("n1", "n1-30")
        );
        assert_eq!(nodes.reached_at.len(), 2);
        assert!(nodes.all[0].is_master);
    }

    #[test]
    fn people_name_a_node_by_name_address_or_as_the_master() {
        let nodes = three();
        for (said, meant) in [
            ("n2", Some("n2")),
            ("192.168.200.22", Some("n2")),
            ("cl-master", Some("m")),
            ("n3", None),
        ] {
            assert_eq!(nodes.named(said).map(|node| node.name.as_str()), meant, "{said}");
        }
        let split = |reference| {
            nodes
                .split(reference)
                .map(|(node, name)| (node.name.as_str(), name))
        };
        assert_eq!(split("n2/web"), Some(("n2", "web")));
        assert_eq!(split("/cl-master/web"), Some(("m", "web")));
        assert_eq!(split("library/busybox"), None);
        assert_eq!(split("web"), None);
    }
}
