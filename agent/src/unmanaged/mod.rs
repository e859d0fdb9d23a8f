//! Tells the network managers and DHCP clients of the system to leave the VLAN interface alone, and cloud-init the
//! hostname: they would give the cluster network a second address, a default route, or take its address away.
//!
//! Written before they start, at every start, when different. [`restore`] takes all of it back, byte for byte. Only
//! what this module wrote is ever changed: a file of the same name that somebody else wrote stays, with a warning.
//!
//! avahi needs nothing: it publishes on the interfaces that have addresses and serves no addresses itself.

pub(crate) mod block;
mod files;

use std::path::Path;

use anyhow::{Context, Result};
use boot_config::{Settings, Vlan};

use crate::durable;
use crate::paths::Paths;
use files::{Change, Service};

/// Brings all files into line with the settings. Returns a line for each that could not be, and for each that somebody
/// else owns.
pub fn apply(paths: &Paths, settings: &Settings) -> Vec<String> {
    let vlan = match settings.network.vlan {
        Vlan::Id(id) => Some(id),
        Vlan::Off => None,
    };
    let wanted = |service: Service| {
        let present = service.is_present(paths);
        files::change(service, vlan, settings.hostname.is_some()).filter(|_| present)
    };
    Service::ALL
        .into_iter()
        .filter_map(|service| bring(paths, service, wanted(service).as_ref()).err())
        .map(|error| format!("{error:#}"))
        .collect()
}

/// Takes everything back that [`apply`] did. Returns a line for each file that could not be.
pub fn restore(paths: &Paths) -> Vec<String> {
    Service::ALL
        .into_iter()
        .filter_map(|service| bring(paths, service, None).err())
        .map(|error| format!("{error:#}"))
        .collect()
}

fn bring(paths: &Paths, service: Service, wanted: Option<&Change>) -> Result<()> {
    let shown = service.file();
    let place = paths.at(shown);
    let present = match std::fs::read(&place) {
        Ok(bytes) => Some(bytes),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(error).with_context(|| format!("reading {shown}")),
    };
    match files::next(present.as_deref(), wanted, service) {
        files::Next::Keep => Ok(()),
        files::Next::Foreign => anyhow::bail!(
            "{shown} was not written by cluster-lab and is left alone: make sure that it leaves the VLAN interface alone"
        ),
        files::Next::Remove => std::fs::remove_file(&place)
            .and_then(|()| durable::sync_folder_of(&place))
            .with_context(|| format!("removing {shown}")),
        files::Next::Write(bytes) => write(&place, &bytes).with_context(|| format!("writing {shown}")),
    }
}

/// Keeps mode and owner of a file that is there.
fn write(place: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    let (mode, owner) = match place.metadata() {
        Ok(found) => (found.mode() & 0o7777, Some((found.uid(), found.gid()))),
        Err(_) => (0o644, None),
    };
    if let Some(folder) = place.parent() {
        std::fs::create_dir_all(folder)?;
    }
    durable::write(place, bytes, mode, owner)
}

#[cfg(test)]
mod tests;
