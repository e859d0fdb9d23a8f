//! The overlay as a Debian package takes it: without what only a card needs, and with units to enable instead of links.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, Result};
use disk_image::ext4::RootPath;

use super::agent::{self, Machine};
use super::overlay;
use super::plan::Entry;

/// Everything that a package installs.
#[derive(Debug)]
pub(crate) struct Package {
    /// Files, folders and links.
    pub(crate) entries: BTreeMap<RootPath, Entry>,
    /// Names of the units that it enables.
    pub(crate) units: BTreeSet<String>,
}

impl Package {
    /// From an overlay and the agent's program.
    pub(crate) fn read(overlay: &Path, agent: &Path, machine: Machine) -> Result<Self> {
        let (mut plan, cards_only) = overlay::read_with_cards_only(overlay)
            .with_context(|| format!("reading the overlay {}", overlay.display()))?;
        agent::add(&mut plan, agent, machine)
            .with_context(|| format!("taking the agent {}", agent.display()))?;
        let mut units = BTreeSet::new();
        let mut entries = plan.entries;
        entries.retain(|path, entry| match entry {
            Entry::Symlink(target) if enables(path) => {
                if !cards_only.iter().any(|path| path.as_str() == target) {
                    units.insert(path.name().to_owned());
                }
                false
            }
            _ => !cards_only.contains(path),
        });
        Ok(Self { entries, units })
    }
}

/// Whether a link is one of those by which systemd starts a unit.
fn enables(path: &RootPath) -> bool {
    path.as_str().starts_with("/etc/systemd/system/")
        && path
            .parent()
            .is_some_and(|folder| folder.name().ends_with(".wants"))
}
