//! The loop's hold on the interface: finds it, opens it, keeps its addresses right, and leaves it as it was.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use boot_config::{Network as Settings, Vlan};

use super::{HTTP, Job, Network, Port};
use crate::members;
use crate::network::dhcp::client::{Client, Identity};
use crate::network::jitter::Jitter;
use crate::network::link::{self, Interface, Plan};
use crate::network::packet::{PacketSocket, Wanted};
use crate::network::role::{Event, Role};
use crate::network::web::Web;

/// Links and addresses are looked at so often even when the kernel reports no change.
const LOOK_EVERY: Duration = Duration::from_secs(3);
/// Steps towards a usable interface in one look; each changes something, and more than four are never needed.
const STEPS_MAX: usize = 6;
/// What a card waits for that nobody gave a secret.
const NO_SECRET: &str = "a cluster secret: flash this card again with flash, which makes one; or let everybody on the \
    switch join, with open-lab = true in section [cluster] of cluster-lab.toml on every card";

impl Network {
    /// Looks at the links, makes what is missing, and follows what has changed.
    pub(super) async fn look(&mut self) {
        self.look = self.now() + LOOK_EVERY;
        let found = self.usable_interface().await;
        // That the kernel did not answer says nothing about the interface: the role is kept.
        let wrong = found
            .as_ref()
            .err()
            .map(|error| format!("the cluster's interface: {error:#}"));
        let failed = wrong.is_some();
        self.warnings.set("interface", wrong.into_iter().collect());
        let (interface, waiting) = match found {
            Ok(Plan::Ready(interface)) => (Some(interface), None),
            Ok(Plan::Wait(reason)) => (None, Some(reason)),
            Ok(Plan::Change(_)) | Err(_) => (None, Some("the cluster's interface to settle".to_owned())),
        };
        if failed && self.port.is_some() {
            return;
        }
        if self.waiting != waiting {
            if let Some(waiting) = &waiting {
                tracing::info!("waiting for {waiting}");
            }
            self.waiting = waiting;
        }
        if self.port.as_ref().map(|port| &port.interface) == interface.as_ref() {
            self.set_addresses().await;
            return;
        }
        if self.port.is_some() {
            self.jobs.push_back(Job::Heard(Event::LinkDown));
            self.work().await;
            self.pin_master().await;
            self.port = None;
            self.web = None;
            self.channels.clear();
        }
        if let Some(interface) = interface {
            self.open(interface).await;
        }
    }

    async fn usable_interface(&mut self) -> anyhow::Result<Plan> {
        if self.options.members.is_none() {
            return Ok(Plan::Wait(NO_SECRET.to_owned()));
        }
        let Settings { interface, vlan, .. } = &self.options.settings;
        let mut plan = Plan::Wait("the cluster's interface".to_owned());
        for _ in 0..STEPS_MAX {
            let current = self.port.as_ref().map(|port| port.interface.index);
            plan = link::plan(&self.netlink.links().await?, interface.as_ref(), *vlan, current);
            match &plan {
                Plan::Change(action) => self.netlink.apply(action).await?,
                Plan::Ready(_) | Plan::Wait(_) => break,
            }
        }
        Ok(plan)
    }

    pub(super) async fn open(&mut self, interface: Interface) {
        let sockets = PacketSocket::open(interface.index, Wanted::Arp)
            .and_then(|arp| Ok((arp, PacketSocket::open(interface.index, Wanted::DhcpClient)?)));
        let (arp, dhcp) = match sockets {
            Ok(sockets) => sockets,
            Err(error) => {
                self.waiting = Some(format!("raw sockets on {}: {error}", interface.name));
                return;
            }
        };
        let Settings {
            subnet,
            master_address,
            ..
        } = self.options.settings;
        let who = Identity {
            mac: interface.mac,
            hostname: self.options.hostname.parse().ok(),
            master: master_address,
            subnet,
        };
        let client = Client::new(who, Jitter::new(self.jitter.number()), self.remembered.address);
        let mac = interface.mac;
        // An agent that was killed may have left it.
        self.unpin(interface.index).await;
        tracing::info!("cluster network on {} ({mac})", interface.name);
        self.port = Some(Port {
            interface,
            arp,
            dhcp,
            client,
        });
        self.set_addresses().await;
        self.jobs.push_back(Job::Heard(Event::LinkUp(mac)));
    }

    /// Tells the kernel where the master is, as this cluster's master has proven it: no other station's ARP packets lead
    /// this node elsewhere, neither those of another cluster's master nor those of one whose agent hangs.
    pub(super) async fn pin_master(&mut self) {
        let wanted = self.master.filter(|_| self.role.role() == Role::Node);
        let Some(port) = self.port.as_ref().filter(|_| self.pinned != wanted) else {
            return;
        };
        let (index, address) = (port.interface.index, self.options.settings.master_address);
        self.pinned = wanted;
        match wanted {
            Some(mac) => {
                if let Err(error) = self.netlink.pin(index, address, mac).await {
                    tracing::debug!("{error:#}");
                }
            }
            None => self.unpin(index).await,
        }
    }

    async fn unpin(&mut self, index: u32) {
        self.pinned = None;
        if let Err(error) = self
            .netlink
            .unpin(index, self.options.settings.master_address)
            .await
        {
            tracing::debug!("{error:#}");
        }
    }

    /// The address that stays with this node whatever its role, once it is leased.
    pub(super) fn node_address(&self) -> Option<Ipv4Addr> {
        self.port.as_ref()?.client.address()
    }

    /// The master's address, while it is this node's.
    pub(super) fn master_address(&self) -> Option<Ipv4Addr> {
        (self.role.role() == Role::Master).then_some(self.options.settings.master_address)
    }

    /// Brings the interface's addresses in line, by difference, and with them what is bound to them.
    pub(super) async fn set_addresses(&mut self) {
        let Some(port) = &self.port else { return };
        let interface = port.interface.clone();
        let served = self.master_address().or_else(|| self.node_address());
        if self.web.as_ref().is_some_and(|web| Some(web.ip()) != served) {
            self.web = None;
        }
        let own = [self.node_address(), self.master_address()];
        self.channels.retain(|channel| own.contains(&Some(channel.ip())));
        let Settings { vlan, subnet, .. } = self.options.settings;
        let wanted = link::wanted_addresses(subnet, self.node_address(), self.master_address());
        let set = async {
            let held = self.netlink.addresses(interface.index).await?;
            let (surplus, missing) = link::address_plan(vlan, subnet, &held, &wanted);
            for net in surplus {
                self.netlink.remove_address(interface.index, net).await?;
            }
            for net in missing {
                self.netlink.add_address(interface.index, net).await?;
            }
            anyhow::Ok(())
        };
        let wrong = set
            .await
            .err()
            .map(|error| format!("{}: {error:#}", interface.name));
        let failed = wrong.is_some();
        self.warnings.set("address", wrong.into_iter().collect());
        if let (Some(address), true, None, false) = (served, self.options.http, &self.web, failed) {
            let served = Web::serve(
                &interface.name,
                SocketAddrV4::new(address, HTTP),
                self.options.web_routes.clone(),
            );
            let wrong = served.map(|web| self.web = Some(web)).err();
            let line = |error| {
                format!("no HTTP API on the cluster network: {error:#}; is a web server running here?")
            };
            self.warnings.set("web", wrong.map(line).into_iter().collect());
        }
        if let (Some(members), false) = (&self.options.members, failed) {
            let mut wrong = Vec::new();
            for ip in own.into_iter().flatten() {
                if self.channels.iter().any(|channel| channel.ip() == ip) {
                    continue;
                }
                let address = SocketAddrV4::new(ip, members::PORT);
                let routes = self.options.member_routes.clone();
                match members.serve(&interface.name, address, routes) {
                    Ok(channel) => self.channels.push(channel),
                    Err(error) => wrong.push(format!(
                        "other members cannot ask this node: {error:#}; is the port in use?"
                    )),
                }
            }
            self.warnings.set("members", wrong);
        }
    }

    /// Removes what was made: address and VLAN link. No DHCP release: the same address is asked for at the next start.
    pub(super) async fn take_down(&mut self) {
        self.web = None;
        self.channels.clear();
        self.follower = None;
        self.time = None;
        self.services = None;
        self.search = None;
        if let Some(hosts) = self.hosts.take() {
            hosts.take_out().await;
        }
        self.memory.finish().await;
        let Some(port) = self.port.take() else { return };
        let Interface { index, name, .. } = port.interface;
        self.unpin(index).await;
        let Settings { vlan, subnet, .. } = self.options.settings;
        let done = async {
            // A VLAN link under another name was there before us.
            if let Vlan::Id(id) = vlan
                && name.ends_with(&format!(".{}", id.get()))
            {
                return self.netlink.apply(&link::Action::Delete(index)).await;
            }
            let (surplus, _) = link::address_plan(vlan, subnet, &self.netlink.addresses(index).await?, &[]);
            for net in surplus {
                self.netlink.remove_address(index, net).await?;
            }
            Ok(())
        };
        if let Err(error) = done.await {
            tracing::warn!("{name} is left as it is: {error:#}");
        }
    }
}
