//! The status in the making: what the daemon sees of the network, put into the form that is shown.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Instant;

use anyhow::Context;
use boot_config::Settings;

use super::Options;
use crate::consul::run::ConsulStatus;
use crate::engine::preload::Preloads;
use crate::engine::run::EngineStatus;
use crate::network::view::View;
use crate::status::{Master, Role, Status, Timing};
use crate::trust::Trust;

/// Said as long as it is so.
const OPEN_LAB: &str = "open lab: whoever is on the cluster network can join; flash the cards without --open-lab to keep others out";

/// The status in the making.
pub(super) struct Board {
    pub(super) status: Status,
    master_address: Ipv4Addr,
    settings_warnings: Vec<String>,
    refused: Vec<String>,
}

impl Board {
    pub(super) fn new(options: &Options, trust: Option<&Trust>, clock: &Clock) -> Self {
        let Settings { cluster, network, .. } = &options.settings;
        let open = trust.is_some_and(Trust::is_open);
        let mut warnings = options.warnings.clone();
        warnings.extend(open.then(|| OPEN_LAB.to_owned()));
        let status = Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            hostname: hostname(&options.proc),
            cluster: cluster.name.to_string(),
            role: Role::Starting,
            interface: None,
            vlan: network.vlan.to_string(),
            address: None,
            node_address: None,
            prefix_length: network.subnet.prefix_len(),
            mac: None,
            master: None,
            peers: Vec::new(),
            engine: EngineStatus::default(),
            preloads: Preloads::default(),
            consul: options.settings.consul.enabled.then(ConsulStatus::default),
            waiting_for: None,
            warnings: warnings.clone(),
            trust: match trust {
                Some(_) if open => "open-lab",
                Some(_) => "secret",
                None => "none",
            }
            .to_owned(),
            first_boot: (options.first_boot)(),
            timing: Timing {
                agent_started: clock.since_boot(),
                interface_ready: None,
                role_taken: None,
            },
        };
        Self {
            status,
            master_address: network.master_address,
            settings_warnings: warnings,
            refused: Vec::new(),
        }
    }

    /// New settings were not taken, for these reasons.
    pub(super) fn refuse(&mut self, reasons: &[String]) {
        let line = |reason| {
            let line = format!("the settings are not taken, the old ones hold: {reason}");
            tracing::warn!("{line}");
            line
        };
        let refused: Vec<String> = reasons.iter().map(line).collect();
        let others = self
            .status
            .warnings
            .iter()
            .filter(|line| !self.refused.contains(line))
            .cloned();
        self.status.warnings = refused.iter().cloned().chain(others).collect();
        self.refused = refused;
    }

    pub(super) fn refresh(&mut self, options: &Options) {
        self.status.hostname = hostname(&options.proc);
        self.status.first_boot = (options.first_boot)();
    }

    pub(super) fn show(&mut self, view: &View, clock: &Clock) {
        let View {
            role,
            interface,
            address,
            node_address,
            master_name,
            master_node: _,
            peers,
            waiting,
            warnings,
        } = view.clone();
        let status = &mut self.status;
        status.role = role;
        (status.interface, status.mac) = interface.unzip();
        status.address = address;
        status.node_address = node_address;
        let address_of = |hostname| Master {
            hostname,
            address: self.master_address,
        };
        status.master = match role {
            Role::Master => Some(address_of(status.hostname.parse().ok())),
            Role::Node => Some(address_of(master_name)),
            Role::Starting | Role::Listening | Role::Claiming => None,
        };
        status.peers = peers;
        status.waiting_for = waiting.or_else(|| match (role, address) {
            (Role::Listening, _) => Some("a sign of a master".to_owned()),
            (Role::Node, None) => Some("an address from the master".to_owned()),
            _ => None,
        });
        let own = self.refused.iter().chain(&self.settings_warnings).cloned();
        status.warnings = own.chain(warnings).collect();
        let timing = &mut status.timing;
        let ready = status.interface.is_some();
        let taken = address.is_some() && matches!(role, Role::Master | Role::Node);
        timing.interface_ready = timing
            .interface_ready
            .or_else(|| ready.then(|| clock.since_boot()));
        timing.role_taken = timing.role_taken.or_else(|| taken.then(|| clock.since_boot()));
    }
}

/// Seconds since the system booted: read once, then counted on, so that no later change of the clock matters.
pub(super) struct Clock {
    start: Instant,
    uptime: f64,
}

impl Clock {
    pub(super) fn start(proc: &Path) -> anyhow::Result<Self> {
        let file = proc.join("uptime");
        let text = std::fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
        let uptime = text
            .split_whitespace()
            .next()
            .and_then(|word| word.parse().ok())
            .unwrap_or_default();
        Ok(Self {
            start: Instant::now(),
            uptime,
        })
    }

    /// To the millisecond.
    pub(super) fn since_boot(&self) -> f64 {
        ((self.uptime + self.start.elapsed().as_secs_f64()) * 1000.0).round() / 1000.0
    }
}

fn hostname(proc: &Path) -> String {
    let name = std::fs::read_to_string(proc.join("sys/kernel/hostname")).unwrap_or_default();
    name.trim().to_owned()
}
