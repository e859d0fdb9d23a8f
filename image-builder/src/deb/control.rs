//! What dpkg must know of the package: its description, its configuration files, and what is to be done when it comes
//! and goes (Debian Policy, chapters 5 and 6).

use anyhow::{Result, ensure};

use super::bytes;
use crate::build::{Entry, INSTALLED, Package};

/// The members of the package's control archive.
#[derive(Debug)]
pub(super) struct Control {
    control: String,
    conffiles: String,
    /// Units that the package enables, separated by spaces.
    units: String,
}

const POSTINST: &str = include_str!("postinst");
const PRERM: &str = include_str!("prerm");
const POSTRM: &str = include_str!("postrm");
const UNITS: &str = "@UNITS@";
/// A program with this in its head is linked to the C library of Debian.
const LOADER: &[u8] = b"/lib64/ld-linux-x86-64.so.2";

impl Control {
    /// For what the package installs. Links that enable units are not among it: the scripts make them.
    pub(super) fn new(package: &Package, architecture: &str) -> Result<Self> {
        let units: Vec<_> = package.units.iter().map(String::as_str).collect();
        ensure!(
            !units.is_empty(),
            "the overlay enables no unit: there is nothing to start"
        );
        let files = package
            .entries
            .iter()
            .filter(|(_, entry)| matches!(entry, Entry::File(..)));
        let conffiles = files
            .filter(|(path, _)| path.as_str().starts_with("/etc/"))
            .map(|(path, _)| format!("{path}\n"))
            .collect();
        let kib = |entry: &Entry| (bytes(entry).len() as u64).div_ceil(1024).max(1);
        let size: u64 = package.entries.values().map(kib).sum();
        let agent = package
            .entries
            .get(&INSTALLED.parse()?)
            .map(bytes)
            .unwrap_or_default();
        let head = agent.get(..4096).unwrap_or(agent);
        let linked = head.windows(LOADER.len()).any(|window| window == LOADER);
        Ok(Self {
            control: text(architecture, size, linked),
            conffiles,
            units: units.join(" "),
        })
    }

    /// Name, mode and text of each.
    pub(super) fn files(&self) -> [(&'static str, u16, String); 5] {
        let script = |text: &str| text.replace(UNITS, &self.units);
        [
            ("conffiles", 0o644, self.conffiles.clone()),
            ("control", 0o644, self.control.clone()),
            ("postinst", 0o755, script(POSTINST)),
            ("postrm", 0o755, script(POSTRM)),
            ("prerm", 0o755, script(PRERM)),
        ]
    }
}

fn text(architecture: &str, size: u64, linked: bool) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let depends = if linked { "Depends: libc6 (>= 2.34)\n" } else { "" };
    format!(
        "Package: cluster-lab\nVersion: {version}\nArchitecture: {architecture}\nMaintainer: Cluster Lab \
         <cluster-lab@localhost>\nInstalled-Size: {size}\n{depends}Recommends: docker.io | docker-ce | docker-engine | \
         docker-hypriot\nProvides: hypriot-cluster-lab\nConflicts: hypriot-cluster-lab\nReplaces: \
         hypriot-cluster-lab\nSection: admin\nPriority: optional\nDescription: Docker cluster of Raspberry Pis that \
         finds itself\n Nodes on one switch find each other, agree on a master, and make one Docker Swarm on a network \
         of\n their own (VLAN 200), beside the home network and without touching it.\n .\n Nothing happens before \
         `systemctl start cluster-lab`.\n"
    )
}
