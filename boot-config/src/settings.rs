//! All layers merged over the built-in defaults: what the node really uses.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use crate::{
    Domain, Forwarders, Hostname, ImageReference, InsecureRegistry, InterfacePattern, LabelKey, LabelValue,
    Layer, Pool, RebuildAfter, RegistryMirror, Reservations, User, Vlan, VlanId,
};

/// Complete settings. Precedence, lowest first: the defaults here, /etc, boot partition, kernel command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Name of this node; without one the system keeps the name it has.
    pub hostname: Option<Hostname>,
    /// The cluster.
    pub cluster: Cluster,
    /// The cluster network.
    pub network: Network,
    /// Docker Engine.
    pub docker: Docker,
    /// Docker's swarm mode.
    pub swarm: Swarm,
    /// Consul.
    pub consul: Consul,
    /// The account to make at first boot.
    pub user: Option<User>,
}

/// The cluster that the node belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// Its name.
    pub name: Hostname,
    /// Whether a card without a cluster secret may take part, with whoever else has none.
    pub open_lab: bool,
}

/// Docker Engine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Docker {
    /// Labels of this node.
    pub labels: BTreeMap<LabelKey, LabelValue>,
    /// Mirrors of Docker's own registry.
    pub registry_mirrors: Vec<RegistryMirror>,
    /// Registries that are spoken to without TLS.
    pub insecure_registries: Vec<InsecureRegistry>,
}

/// Docker's swarm mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swarm {
    /// How long a lost manager is waited for where no majority of others can be.
    pub rebuild_after: RebuildAfter,
}

/// Consul on the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consul {
    /// Whether it runs.
    pub enabled: bool,
    /// The image that it runs from.
    pub image: ImageReference,
}

/// The cluster network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// The wired interface; found by itself when `None`.
    pub interface: Option<InterfacePattern>,
    /// Tagged or not.
    pub vlan: Vlan,
    /// Address range of the cluster network.
    pub subnet: Ipv4Net,
    /// The address that the master holds.
    pub master_address: Ipv4Addr,
    /// The addresses that the master leases.
    pub pool: Pool,
    /// The DNS domain of the cluster network.
    pub domain: Domain,
    /// Whether the master tells DHCP clients that it is their DNS server.
    pub dhcp_dns: bool,
    /// The router that the master tells DHCP clients of; none, unless there is one in the cluster network.
    pub dhcp_router: Option<Ipv4Addr>,
    /// Whether the master's own clock counts as right when nothing keeps it so.
    pub ntp_without_internet: bool,
    /// DNS servers that the master asks for names that are not the cluster's; the uplink's when `None`.
    pub dns_forwarders: Option<Forwarders>,
    /// Which part this card has in the choice of a master.
    pub inclination: Inclination,
    /// Addresses that certain machines always get.
    pub reservations: Reservations,
}

/// Which part a card has in the choice of a master.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Inclination {
    /// As good as any.
    #[default]
    Any,
    /// Master where it has the choice (`prefer-master`).
    Prefer,
    /// Never master (`never-master`).
    Never,
}

/// Layers that are sound one by one but not together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// `master-address` is no host address of `subnet`.
    #[error(
        "master-address {address} is not a host address in subnet {subnet}: choose one inside it, such as {example}"
    )]
    MasterOutside {
        /// The address asked for.
        address: Ipv4Addr,
        /// The subnet asked for.
        subnet: Ipv4Net,
        /// One that would do.
        example: Ipv4Addr,
    },
    /// `pool` reaches out of `subnet`.
    #[error("pool {pool} is not inside subnet {subnet}: choose host addresses of that subnet")]
    PoolOutside {
        /// The pool asked for.
        pool: Pool,
        /// The subnet asked for.
        subnet: Ipv4Net,
    },
    /// The master's own address would be leased.
    #[error("pool {pool} contains master-address {address}: leave that address out of the pool")]
    MasterInPool {
        /// The pool asked for.
        pool: Pool,
        /// The master's address.
        address: Ipv4Addr,
    },
    /// `dhcp-router` is no host address of `subnet`, or one that a node may have.
    #[error(
        "dhcp-router {router} must be a host address in subnet {subnet} outside the pool {pool}: leave it out unless a router of yours has that address"
    )]
    WrongRouter {
        /// The router asked for.
        router: Ipv4Addr,
        /// The subnet asked for.
        subnet: Ipv4Net,
        /// The pool asked for.
        pool: Pool,
    },
    /// A reserved address is no host address of `subnet`, or the master's.
    #[error(
        "reservation {address} must be a host address in subnet {subnet} other than master-address {master_address}"
    )]
    WrongReservation {
        /// The address asked for.
        address: Ipv4Addr,
        /// The subnet asked for.
        subnet: Ipv4Net,
        /// The master's address.
        master_address: Ipv4Addr,
    },
    /// A card cannot be both.
    #[error("prefer-master and never-master are both true: leave one of them out")]
    PreferredAndNever,
}

impl Default for Settings {
    /// The network of the original Cluster Lab (VLAN 200, 192.168.200.1/24), with a pool that holds 230 nodes. The domain
    /// lies below `internal`, which ICANN has reserved for private use (2024) and nobody else answers for; `lab` may be
    /// delegated one day, `local` is multicast DNS's, and `home.arpa` may be the home router's.
    #[expect(clippy::expect_used, reason = "constants, covered by a test")]
    fn default() -> Self {
        let net = |host| Ipv4Addr::new(192, 168, 200, host);
        Self {
            hostname: None,
            cluster: Cluster {
                name: "cluster-lab".parse().expect("a label"),
                open_lab: false,
            },
            network: Network {
                interface: None,
                vlan: Vlan::Id(VlanId::try_from(200).expect("in range")),
                subnet: Ipv4Net::new_assert(net(0), 24),
                master_address: net(1),
                pool: Pool::new(net(20), net(249)).expect("in order"),
                domain: "cluster.internal".parse().expect("a domain"),
                dhcp_dns: false,
                dhcp_router: None,
                ntp_without_internet: false,
                dns_forwarders: None,
                inclination: Inclination::Any,
                reservations: Reservations::default(),
            },
            docker: Docker::default(),
            swarm: Swarm::default(),
            consul: Consul {
                enabled: true,
                image: "cluster-lab/consul:1.8.7".parse().expect("a reference"),
            },
            user: None,
        }
    }
}

impl Settings {
    /// The defaults, then each layer over what came before it.
    ///
    /// # Errors
    /// When the values do not fit together.
    pub fn from_layers<'a>(layers: impl IntoIterator<Item = &'a Layer>) -> Result<Self, SettingsError> {
        let mut settings = Self::default();
        for layer in layers {
            if layer.network.prefer_master == Some(true) && layer.network.never_master == Some(true) {
                return Err(SettingsError::PreferredAndNever);
            }
            settings.apply(layer);
        }
        settings.network.check()?;
        Ok(settings)
    }

    fn apply(&mut self, layer: &Layer) {
        let Layer {
            version: _,
            hostname,
            cluster,
            network,
            docker,
            swarm,
            consul,
            user,
        } = layer.clone();
        self.hostname = hostname.or(self.hostname.take());
        self.user = user.or(self.user.take());
        let crate::ClusterLayer { name, open_lab } = cluster;
        if let Some(name) = name {
            self.cluster.name = name;
        }
        if let Some(open_lab) = open_lab {
            self.cluster.open_lab = open_lab;
        }
        let crate::DockerLayer {
            labels,
            registry_mirrors,
            insecure_registries,
        } = docker;
        self.docker.labels.extend(labels);
        if let Some(mirrors) = registry_mirrors {
            self.docker.registry_mirrors = mirrors;
        }
        if let Some(registries) = insecure_registries {
            self.docker.insecure_registries = registries;
        }
        let crate::SwarmLayer { rebuild_after } = swarm;
        if let Some(wait) = rebuild_after {
            self.swarm.rebuild_after = wait;
        }
        let crate::ConsulLayer { enabled, image } = consul;
        if let Some(enabled) = enabled {
            self.consul.enabled = enabled;
        }
        if let Some(image) = image {
            self.consul.image = image;
        }
        let crate::NetworkLayer {
            interface,
            vlan,
            subnet,
            master_address,
            pool,
            domain,
            dhcp_dns,
            dhcp_router,
            ntp_without_internet,
            dns_forwarders,
            prefer_master,
            never_master,
            reservations,
        } = network;
        self.network.interface = interface.or(self.network.interface.take());
        if let Some(vlan) = vlan {
            self.network.vlan = vlan;
        }
        if let Some(subnet) = subnet {
            self.network.subnet = subnet;
        }
        if let Some(address) = master_address {
            self.network.master_address = address;
        }
        if let Some(pool) = pool {
            self.network.pool = pool;
        }
        if let Some(domain) = domain {
            self.network.domain = domain;
        }
        if let Some(dhcp_dns) = dhcp_dns {
            self.network.dhcp_dns = dhcp_dns;
        }
        if let Some(alone) = ntp_without_internet {
            self.network.ntp_without_internet = alone;
        }
        self.network.dhcp_router = dhcp_router.or(self.network.dhcp_router);
        self.network.dns_forwarders = dns_forwarders.or(self.network.dns_forwarders.take());
        if let Some(reservations) = reservations {
            self.network.reservations = reservations;
        }
        let now = self.network.inclination;
        self.network.inclination = match (prefer_master, never_master) {
            // Refused by the check of a layer before.
            (_, Some(true)) => Inclination::Never,
            (Some(true), _) => Inclination::Prefer,
            (Some(false), _) if now == Inclination::Prefer => Inclination::Any,
            (_, Some(false)) if now == Inclination::Never => Inclination::Any,
            _ => now,
        };
    }
}

impl Network {
    fn check(&self) -> Result<(), SettingsError> {
        let Self {
            interface: _,
            vlan: _,
            subnet,
            master_address,
            pool,
            domain: _,
            dhcp_dns: _,
            dhcp_router,
            ntp_without_internet: _,
            dns_forwarders: _,
            inclination: _,
            ref reservations,
        } = *self;
        let is_host = |a: Ipv4Addr| subnet.contains(&a) && a != subnet.network() && a != subnet.broadcast();
        if !is_host(master_address) {
            let example = subnet.hosts().next().unwrap_or(subnet.addr());
            return Err(SettingsError::MasterOutside {
                address: master_address,
                subnet,
                example,
            });
        }
        if !is_host(pool.first()) || !is_host(pool.last()) {
            return Err(SettingsError::PoolOutside { pool, subnet });
        }
        if pool.contains(master_address) {
            return Err(SettingsError::MasterInPool {
                pool,
                address: master_address,
            });
        }
        if let Some(router) = dhcp_router
            && (!is_host(router) || pool.contains(router))
        {
            return Err(SettingsError::WrongRouter { router, subnet, pool });
        }
        if let Some(address) = reservations
            .addresses()
            .find(|a| !is_host(*a) || *a == master_address)
        {
            return Err(SettingsError::WrongReservation {
                address,
                subnet,
                master_address,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;

    fn merged(files: &[&str]) -> Result<Settings, SettingsError> {
        let layers: Vec<Layer> = files
            .iter()
            .map(|text| parse("f", &format!("version = 1\n{text}")).unwrap())
            .collect();
        Settings::from_layers(&layers)
    }

    #[test]
    fn the_defaults_fit_together_and_hold_200_nodes() {
        let defaults = merged(&[]).unwrap();
        assert_eq!(defaults, Settings::default());
        assert!(defaults.network.pool.addresses().count() >= 200);
    }

    #[test]
    fn a_later_layer_wins_key_by_key() {
        let settings = merged(&[
            "hostname = \"a\"\n[network]\nvlan = 7",
            "hostname = \"b\"",
            "[network]\nvlan = \"off\"",
        ])
        .unwrap();
        assert_eq!(settings.hostname.unwrap().as_str(), "b");
        assert_eq!(settings.network.vlan, Vlan::Off);
    }

    #[test]
    fn labels_add_up_and_registries_are_replaced() {
        let settings = merged(&[
            "[docker]\nlabels = { room = \"attic\", rack = \"1\" }\nregistry-mirrors = [\"http://a:5000\"]",
            "[docker]\nlabels = { room = \"cellar\" }\nregistry-mirrors = []\ninsecure-registries = [\"pi:5000\"]",
        ])
        .unwrap();
        let Docker {
            labels,
            registry_mirrors,
            insecure_registries,
        } = settings.docker;
        let labels: Vec<_> = labels
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect();
        assert_eq!(labels, [("rack", "1"), ("room", "cellar")]);
        assert!(registry_mirrors.is_empty());
        assert_eq!(insecure_registries[0].as_str(), "pi:5000");
    }

    #[test]
    fn a_later_layer_decides_who_may_be_master() {
        for (files, expected) in [
            (vec!["prefer-master = true"], Inclination::Prefer),
            (
                vec!["prefer-master = true", "prefer-master = false"],
                Inclination::Any,
            ),
            (
                vec!["prefer-master = true", "never-master = false"],
                Inclination::Prefer,
            ),
            (
                vec!["never-master = true", "prefer-master = true"],
                Inclination::Prefer,
            ),
            (
                vec!["never-master = true", "never-master = false"],
                Inclination::Any,
            ),
        ] {
            let files: Vec<String> = files.iter().map(|line| format!("[network]\n{line}")).collect();
            let files: Vec<&str> = files.iter().map(String::as_str).collect();
            assert_eq!(merged(&files).unwrap().network.inclination, expected, "{files:?}");
        }
    }

    #[test]
    fn values_that_do_not_fit_together_are_refused() {
        for (text, expected) in [
            (
                "[network]\nsubnet = \"10.0.0.0/24\"",
                "master-address 192.168.200.1 is not a host address in subnet 10.0.0.0/24",
            ),
            (
                "[network]\nmaster-address = \"192.168.200.255\"",
                "master-address 192.168.200.255 is not a host",
            ),
            (
                "[network]\npool = \"192.168.200.20-192.168.201.9\"",
                "pool 192.168.200.20-192.168.201.9 is not inside",
            ),
            (
                "[network]\nmaster-address = \"192.168.200.30\"",
                "pool 192.168.200.20-192.168.200.249 contains",
            ),
            (
                "[network]\ndhcp-router = \"192.168.1.1\"",
                "dhcp-router 192.168.1.1 must be a host address in subnet 192.168.200.0/24 outside",
            ),
            (
                "[network]\ndhcp-router = \"192.168.200.20\"",
                "dhcp-router 192.168.200.20 must be",
            ),
            (
                "[network.reservations]\nn1 = \"192.168.200.1\"",
                "reservation 192.168.200.1 must be a host address in subnet 192.168.200.0/24 other than",
            ),
            (
                "[network]\nprefer-master = true\nnever-master = true",
                "prefer-master and never-master are both true",
            ),
        ] {
            let message = merged(&[text]).unwrap_err().to_string();
            assert!(message.starts_with(expected), "{message}");
        }
    }
}
