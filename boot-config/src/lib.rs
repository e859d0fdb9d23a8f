//! The settings of one card: what `cluster-lab.toml` on the boot partition (and `/etc/cluster-lab/cluster.toml`)
//! may say, and how several sources of settings become one.
//!
//! No I/O and no knowledge of its callers: text in, typed values out, and back. `flash` renders, the agent parses,
//! `image-builder` checks.

mod cloud_init;
mod cluster_conf;
mod docker;
mod domain;
mod early_hypriot;
mod first_run;
mod forwarders;
mod hostname;
mod hostname_of;
mod image_reference;
mod interface;
mod kernel_command_line;
mod layer;
mod parse;
mod pool;
mod preseed;
mod rebuild_after;
mod region;
mod reservations;
mod secret;
mod set_hostname;
mod settings;
mod user;
mod vlan;
mod wifi;
mod yaml;

pub use cloud_init::{CloudInit, CloudInitError, kernel_word, with_instance_id};
pub use cluster_conf::{OLD_SETTINGS, from_cluster_conf};
pub use docker::{DockerError, InsecureRegistry, LabelKey, LabelValue, RegistryMirror};
pub use domain::{Domain, DomainError};
pub use early_hypriot::{EarlyError, EarlyHypriot};
pub use first_run::{FIRST_RUN_FILE, FirstRun};
pub use forwarders::{Forwarders, ForwardersError};
pub use hostname::{Hostname, HostnameError};
pub use hostname_of::ForeignFormat;
pub use image_reference::{ImageReference, ImageReferenceError};
pub use interface::{InterfaceError, InterfacePattern};
pub use kernel_command_line::from_kernel_command_line;
pub use layer::{
    ClusterLayer, ConsulLayer, DockerLayer, FORMAT_VERSION, FormatVersion, Layer, NetworkLayer, SwarmLayer,
};
pub use parse::{ParseError, parse, render};
pub use pool::{ADDRESSES_MAX, Pool, PoolError};
pub use preseed::{Preseed, PreseedError};
pub use rebuild_after::{RebuildAfter, RebuildAfterError};
pub use region::{Locale, RegionError, TimeZone, Uplink};
pub use reservations::{Reservations, ReservationsError, Reserved};
pub use secret::{ClusterSecret, SECRET_FILE, SecretError};
pub use set_hostname::SetHostnameError;
pub use settings::{Cluster, Consul, Docker, Inclination, Network, Settings, SettingsError, Swarm};
pub use user::{PasswordHash, User, UserError, UserName};
pub use vlan::{Vlan, VlanError, VlanId};
pub use wifi::{Country, Ssid, Wifi, WifiError, WifiKey};

/// Name of the settings file on the boot partition.
pub const FILE_NAME: &str = "cluster-lab.toml";
