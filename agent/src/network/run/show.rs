//! What the loop shows of itself: the view, and the names that go into the hosts file.

use std::net::Ipv4Addr;
use std::time::Duration;

use boot_config::{Inclination, Network as Settings};

use super::Network;
use crate::network::dhcp::lease_table::Lease;
use crate::network::follower::News;
use crate::network::mac::Mac;
use crate::network::names::Names;
use crate::network::role::Role;
use crate::network::view::View;
use crate::status::Peer;

/// The master's news, the own hardware address, whether this is the master, the own address, all nodes.
pub(super) type NamesFrom = (Option<News>, Option<Mac>, bool, Option<Ipv4Addr>, Vec<Peer>);

impl Network {
    pub(super) fn publish(&mut self) {
        let now = self.now();
        let own = self.port.as_ref().map(|port| port.interface.mac);
        // Kept while listening for a successor's leases, but of a master that is gone.
        let news = self.news.as_ref().filter(|_| self.role.role() == Role::Node);
        let mut peers: Vec<Peer> = match (&self.services, news) {
            (Some(services), _) => services
                .active(now)
                .filter(|lease| lease.client.node)
                .map(|Lease { address, client }| Peer {
                    hostname: client.hostname,
                    address,
                    mac: client.mac,
                })
                .collect(),
            (None, Some(news)) => news.peers.clone(),
            (None, None) => Vec::new(),
        };
        let news = news.cloned();
        let names = (
            news.clone(),
            own,
            self.services.is_some(),
            self.node_address(),
            peers.clone(),
        );
        // Every frame that is heard comes by here; the names of a hundred nodes are made only when they are others.
        if self.names != names {
            self.tell_names(news.as_ref(), own, &peers);
            self.names = names;
        }
        peers.retain(|peer| Some(peer.mac) != own);
        let view = View {
            role: self.role.role(),
            interface: self
                .port
                .as_ref()
                .map(|port| (port.interface.name.clone(), port.interface.mac)),
            node_address: self.node_address(),
            address: self.master_address().or_else(|| self.node_address()),
            master_name: news.as_ref().and_then(|news| news.master.clone()),
            master_node: news.and_then(|news| Some(news.master_node?.address)),
            peers,
            waiting: self.waiting.clone().or_else(|| self.waits_as_listener(now)),
            warnings: self.warnings.lines(),
        };
        self.view.send_if_modified(|old| {
            let changed = *old != view;
            *old = view;
            changed
        });
    }

    /// Why a node that listens goes on listening.
    fn waits_as_listener(&self, now: Duration) -> Option<String> {
        let Settings {
            master_address,
            inclination,
            ..
        } = &self.options.settings;
        if self.role.role() != Role::Listening {
            None
        } else if self.foreign.has_master(now) {
            Some(format!(
                "another cluster to leave {master_address} on this switch"
            ))
        } else if *inclination == Inclination::Never {
            Some("a master: this card is never one (never-master = true)".to_owned())
        } else {
            None
        }
    }

    /// Names are known on the master, and on a node whose master has told of itself.
    fn tell_names(&self, news: Option<&News>, own: Option<Mac>, peers: &[Peer]) {
        let Settings {
            master_address,
            domain,
            ..
        } = &self.options.settings;
        let (name, mac, address) = match (&self.services, news) {
            (Some(_), _) => (self.options.hostname.parse().ok(), own, self.node_address()),
            (
                None,
                Some(News {
                    master, master_node, ..
                }),
            ) => {
                let node = master_node.as_ref();
                (
                    master.clone(),
                    node.map(|node| node.mac),
                    node.map(|node| node.address),
                )
            }
            (None, None) => return,
        };
        let Some(hosts) = &self.hosts else { return };
        let others = peers.iter().filter(|peer| Some(peer.mac) != mac);
        let names = Names::new(
            // Until it has an address of its own, its name leads to the master's.
            name.map(|name| (name, address.unwrap_or(*master_address))),
            others.map(|peer| (peer.hostname.clone(), peer.address)),
        );
        hosts.tell(&names, *master_address, domain);
    }
}
