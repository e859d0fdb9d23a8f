//! What a new role sets up and takes down.

use std::net::SocketAddrV4;
use std::sync::Arc;
use std::time::Duration;

use boot_config::{Network as Settings, Vlan};

use super::{Job, Network};
use crate::members;
use crate::network::dhcp::lease_table::{Client as LeaseClient, ClientKey, Lease, LeaseTable};
use crate::network::dhcp::message::Network as Told;
use crate::network::dhcp::rival::Rival;
use crate::network::dhcp::server::{Audience, Server};
use crate::network::discovery::Discovery;
use crate::network::dns::forward::Places;
use crate::network::follower::Follower;
use crate::network::jitter::Jitter;
use crate::network::master::{About, Services};
use crate::network::memory::Remembered;
use crate::network::role::Role;
use crate::network::sntp::clock::KernelClock;
use crate::network::sntp::follower::TimeFollower;

/// Length of a lease. Short, so that a node that is gone soon leaves the list of peers.
const LEASE: Duration = Duration::from_secs(600);

impl Network {
    pub(super) async fn take_role(&mut self, now: Duration, role: Role) {
        let interface = self
            .port
            .as_ref()
            .map_or_else(String::new, |port| port.interface.name.clone());
        let address = self.options.settings.master_address;
        match role {
            Role::Starting => tracing::info!("no usable cluster network"),
            Role::Listening => tracing::info!("listening for a master on {interface}"),
            Role::Claiming => tracing::info!("no master heard: claiming {address} on {interface}"),
            Role::Master => tracing::info!("this node is the master: {address} on {interface}"),
            Role::Node => tracing::info!("this node is a node: there is a master on {interface}"),
        }
        if role != Role::Master && self.services.take().is_some() {
            self.warnings.set("master", Vec::new());
        }
        match role {
            Role::Listening => {
                // A new search: the cache of the last one may still have the master that is gone.
                self.search = None;
                self.master = None;
                let search = self.seal.clone().map(|seal| Discovery::search(&interface, seal));
                match search.transpose() {
                    Ok(search) => self.search = search,
                    Err(error) => tracing::warn!("masters are sought without DNS-SD: {error:#}"),
                }
            }
            Role::Claiming => {}
            Role::Starting | Role::Master | Role::Node => self.search = None,
        }
        if let Some(port) = &mut self.port {
            let outputs = match role {
                Role::Starting => port.client.stop(),
                Role::Claiming => Vec::new(),
                Role::Listening => port.client.start(now),
                // A master leases its own address to itself, so that it keeps one when it is master no longer.
                Role::Master | Role::Node => {
                    let mut outputs = port.client.start(now);
                    if outputs.is_empty() {
                        outputs = port.client.hurry(now);
                    }
                    outputs
                }
            };
            self.jobs.extend(outputs.into_iter().map(Job::Client));
        }
        if matches!(role, Role::Starting | Role::Master) {
            self.follower = None;
            self.time = None;
            self.warnings.set("trust", Vec::new());
        }
        self.set_addresses().await;
        match role {
            Role::Master => {
                // The upper half: the better mixed one.
                let term = (self.jitter.number() >> 32) as u32;
                if let Some(announcements) = &mut self.announcements {
                    announcements.begin(term);
                }
                self.serve(now);
            }
            Role::Node => self.follow(),
            Role::Starting | Role::Listening | Role::Claiming => {}
        }
        if matches!(role, Role::Master | Role::Node) {
            self.remember();
        }
        // Who listens again may be the next master, and serves the leases that the last one told of.
        if matches!(role, Role::Starting | Role::Master) {
            self.news = None;
        }
    }

    /// Asks the master for news from now on, once there is an address to ask from.
    pub(super) fn follow(&mut self) {
        let Some(port) = &self.port else { return };
        if self.role.role() == Role::Node && self.follower.is_none() && port.client.address().is_some() {
            let master = SocketAddrV4::new(self.options.settings.master_address, members::PORT);
            let interface = port.interface.name.clone();
            let jitter = Jitter::new(self.jitter.number());
            let members = self.options.members.clone();
            self.follower = members.map(|members| Follower::start(members, master, interface, jitter));
        }
    }

    /// Takes the master's time from now on: of a master that has shown that it has the cluster's secret, as a clock that
    /// was set wrong is not set back.
    pub(super) fn follow_time(&mut self) {
        let Some(port) = &self.port else { return };
        if self.role.role() == Role::Node && self.time.is_none() && port.client.address().is_some() {
            self.time = Some(TimeFollower::start(
                self.options.settings.master_address,
                port.interface.name.clone(),
                Arc::new(KernelClock),
                self.options.built,
                Jitter::new(self.jitter.number()),
            ));
        }
    }

    /// Starts the master's services, with the leases of an earlier run and those that the last master told of.
    fn serve(&mut self, now: Duration) {
        let (Some(port), Some(seal)) = (&self.port, &self.seal) else {
            return;
        };
        let Settings {
            vlan,
            subnet,
            master_address,
            pool,
            domain,
            dhcp_dns,
            dhcp_router,
            ntp_without_internet,
            reservations,
            dns_forwarders,
            ..
        } = &self.options.settings;
        let mut table = LeaseTable::new(*pool, reservations.clone(), LEASE);
        let told = self
            .news
            .iter()
            .flat_map(|news| news.peers.iter().chain(&news.master_node));
        let told = told.map(|peer| Lease {
            address: peer.address,
            client: LeaseClient {
                key: ClientKey::Mac(peer.mac),
                mac: peer.mac,
                hostname: peer.hostname.clone(),
                node: true,
            },
        });
        table.adopt(now, told);
        let (leases, warning) = self.memory.leases();
        table.adopt(now, leases);
        self.warnings.set("leases", warning.into_iter().collect());
        let audience = if *vlan == Vlan::Off {
            Audience::Agents
        } else {
            Audience::Everyone
        };
        let server = Server {
            address: *master_address,
            subnet: *subnet,
            lease: LEASE,
            audience,
            network: Told {
                router: *dhcp_router,
                dns: dhcp_dns.then_some(*master_address),
                ntp: Some(*master_address),
                domain: Some(domain.clone()),
            },
            seal: seal.clone(),
            rival: Rival::new(now),
            table,
        };
        let about = About {
            interface: port.interface.clone(),
            hostname: self.options.hostname.clone(),
            os: self.options.os.clone(),
            memory: self.memory.clone(),
            domain: domain.clone(),
            places: Places {
                forwarders: dns_forwarders.clone(),
                ..self.options.places.clone()
            },
            time_alone: *ntp_without_internet,
        };
        let mut services = Services::new(about, server, now);
        let wrong = services.tick(now);
        self.warnings.set("master", wrong);
        self.services = Some(services);
    }

    pub(super) fn remember(&mut self) {
        let address = self.port.as_ref().and_then(|port| port.client.last());
        let remembered = Remembered::new(Some(self.role.role() == Role::Master), address);
        if remembered == self.remembered {
            return;
        }
        self.remembered = remembered;
        self.memory.later(move |memory| memory.save_role(remembered));
    }
}
