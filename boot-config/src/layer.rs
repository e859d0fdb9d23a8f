//! One source of settings. Everything is optional: what a layer does not say, the layers below it decide.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use crate::{
    Domain, Forwarders, Hostname, ImageReference, InsecureRegistry, InterfacePattern, LabelKey, LabelValue,
    Pool, RebuildAfter, RegistryMirror, Reservations, User, Vlan,
};

/// The version of the file format that this library reads and writes.
pub const FORMAT_VERSION: u32 = 1;

/// Key `version` of the file: always [`FORMAT_VERSION`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct FormatVersion;

/// What one source (a file, the kernel command line) says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Layer {
    /// Required in a file.
    pub version: FormatVersion,
    /// Name of this node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<Hostname>,
    /// The cluster that this node belongs to.
    #[serde(default, skip_serializing_if = "is_default")]
    pub cluster: ClusterLayer,
    /// The cluster network.
    #[serde(default, skip_serializing_if = "is_default")]
    pub network: NetworkLayer,
    /// Docker Engine.
    #[serde(default, skip_serializing_if = "is_default")]
    pub docker: DockerLayer,
    /// Docker's swarm mode.
    #[serde(default, skip_serializing_if = "is_default")]
    pub swarm: SwarmLayer,
    /// Consul.
    #[serde(default, skip_serializing_if = "is_default")]
    pub consul: ConsulLayer,
    /// The account to make at first boot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<User>,
}

/// `[cluster]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ClusterLayer {
    /// Name of the cluster, a DNS label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Hostname>,
    /// Whether a card without a cluster secret may take part, with whoever else has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_lab: Option<bool>,
}

/// `[network]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct NetworkLayer {
    /// The wired interface; found by itself when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<InterfacePattern>,
    /// VLAN of the cluster network, or `off`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vlan: Option<Vlan>,
    /// The cluster network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subnet: Option<Ipv4Net>,
    /// The address that the master holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub master_address: Option<Ipv4Addr>,
    /// The addresses that the master leases.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<Pool>,
    /// The DNS domain of the cluster network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<Domain>,
    /// Whether the master tells DHCP clients that it is their DNS server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dhcp_dns: Option<bool>,
    /// The router that the master tells DHCP clients of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dhcp_router: Option<Ipv4Addr>,
    /// Whether the master's own clock counts as right when nothing keeps it so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ntp_without_internet: Option<bool>,
    /// DNS servers that the master asks for names that are not the cluster's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dns_forwarders: Option<Forwarders>,
    /// Whether this card is to be master where it has the choice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefer_master: Option<bool>,
    /// Whether this card is never to be master.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub never_master: Option<bool>,
    /// Addresses that certain machines always get.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reservations: Option<Reservations>,
}

/// `[docker]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DockerLayer {
    /// Labels of this node: of its engine, and of it in the swarm. They add to those of the layers below.
    #[serde(default, skip_serializing_if = "is_default")]
    pub labels: BTreeMap<LabelKey, LabelValue>,
    /// Mirrors of Docker's own registry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registry_mirrors: Option<Vec<RegistryMirror>>,
    /// Registries that are spoken to without TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub insecure_registries: Option<Vec<InsecureRegistry>>,
}

/// `[consul]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ConsulLayer {
    /// Whether it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// The image that it runs from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageReference>,
}

/// `[swarm]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SwarmLayer {
    /// How long a lost manager is waited for where no majority of others can be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rebuild_after: Option<RebuildAfter>,
}

impl TryFrom<i64> for FormatVersion {
    type Error = String;

    fn try_from(number: i64) -> Result<Self, String> {
        if number == i64::from(FORMAT_VERSION) {
            Ok(Self)
        } else {
            Err(format!(
                "version {number} of this file is not known here: only version {FORMAT_VERSION} is"
            ))
        }
    }
}

impl From<FormatVersion> for i64 {
    fn from(_: FormatVersion) -> Self {
        Self::from(FORMAT_VERSION)
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
