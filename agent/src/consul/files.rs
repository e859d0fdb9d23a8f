//! Consul's folder on the card: its settings (for root only), its data, and whose data it is.

use std::io::{self, ErrorKind};
use std::net::Ipv4Addr;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use serde_json::json;

use super::config::{AUTHORITY, CERTIFICATE, Config, KEY, SETTINGS};
use crate::durable;
use crate::trust::ConsulKeys;

/// Port of the servers' RPC and Raft.
const RPC_PORT: u16 = 8300;

/// Below the agent's state.
#[derive(Clone, Debug)]
pub(super) struct Files {
    folder: PathBuf,
}

impl Files {
    pub(super) fn in_folder(folder: PathBuf) -> Self {
        Self { folder }
    }

    pub(super) fn settings(&self) -> PathBuf {
        self.folder.join("settings")
    }

    pub(super) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// The node's identifier in the swarm that the data belongs to.
    pub(super) fn owner(&self) -> Option<String> {
        std::fs::read_to_string(self.folder.join("swarm-node")).ok()
    }

    /// Remembers that this node was its swarm's one manager, or that it does not matter any more.
    pub(super) fn mark_maker(&self, node: Option<&str>) -> io::Result<()> {
        let file = self.folder.join("maker");
        match node {
            Some(node) if !self.is_maker(node) => {
                self.make()?;
                durable::write(&file, node.as_bytes(), 0o600, None)
            }
            Some(_) => Ok(()),
            None => match std::fs::remove_file(file) {
                Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            },
        }
    }

    pub(super) fn is_maker(&self, node: &str) -> bool {
        std::fs::read_to_string(self.folder.join("maker")).is_ok_and(|maker| maker == node)
    }

    /// Removes the data; what comes now belongs to this node of a swarm.
    pub(super) fn begin(&self, owner: &str) -> io::Result<()> {
        remove(self.data())?;
        self.make()?;
        durable::write(&self.folder.join("swarm-node"), owner.as_bytes(), 0o600, None)
    }

    /// Makes the folders that are missing.
    pub(super) fn make(&self) -> io::Result<()> {
        for folder in [self.settings(), self.data()] {
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)?;
        }
        Ok(())
    }

    /// The name under which this node is in the catalogue: its host name, with its number added if another node has the
    /// same. It stays, whoever comes and goes.
    pub(super) fn name(&self, hostname: &str, own: Ipv4Addr, has_twin: bool) -> io::Result<String> {
        let file = self.folder.join("name");
        let kept = std::fs::read_to_string(&file).unwrap_or_default();
        let is_its =
            |rest: &str| rest.is_empty() || rest.strip_prefix('-').is_some_and(|n| n.parse::<u8>().is_ok());
        if kept.strip_prefix(hostname).is_some_and(is_its) {
            return Ok(kept);
        }
        let number = own.octets()[3];
        let name = if has_twin {
            format!("{hostname}-{number}")
        } else {
            hostname.to_owned()
        };
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.folder)?;
        durable::write(&file, name.as_bytes(), 0o600, None)?;
        Ok(name)
    }

    /// Writes the settings; whether anything has changed.
    pub(super) fn write(&self, config: &Config, keys: Option<&ConsulKeys>) -> io::Result<bool> {
        self.make()?;
        let text = config.render(keys.map(|keys| keys.gossip.as_str()));
        let mut files = vec![(SETTINGS, text.as_str())];
        if let Some(keys) = keys {
            files.extend([
                (AUTHORITY, &**keys.authority),
                (CERTIFICATE, &**keys.certificate),
                (KEY, &**keys.key),
            ]);
        }
        let mut changed = false;
        for (name, text) in files {
            let file = self.settings().join(name);
            if std::fs::read(&file).ok().as_deref() != Some(text.as_bytes()) {
                durable::write(&file, text.as_bytes(), 0o600, None)?;
                changed = true;
            }
        }
        Ok(changed)
    }

    /// Removes a server's part of the data: one that becomes a server again must learn all anew.
    pub(super) fn forget_raft(&self) -> io::Result<()> {
        remove(self.data().join("raft"))
    }

    /// Keeps torn data for whoever wants to look at it, until the next time.
    pub(super) fn set_aside(&self) -> io::Result<()> {
        // The others may have the cluster that was begun with it.
        self.mark_maker(None)?;
        let aside = self.folder.join("data.torn");
        remove(aside.clone())?;
        std::fs::rename(self.data(), aside)?;
        self.make()
    }

    /// Tells Consul at its next start that this node is the only server
    /// (<https://developer.hashicorp.com/consul/tutorials/operate-consul/recovery-outage>).
    pub(super) fn recover(&self, own: Ipv4Addr) -> io::Result<()> {
        let id = std::fs::read_to_string(self.data().join("node-id"))?;
        let peers = json!([{ "id": id.trim(), "address": format!("{own}:{RPC_PORT}"), "non_voter": false }]);
        let file = self.data().join("raft/peers.json");
        durable::write(&file, peers.to_string().as_bytes(), 0o600, None)
    }
}

fn remove(folder: PathBuf) -> io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_and_twins_get_a_number() {
        let folder = tempfile::tempdir().unwrap();
        let files = |name: &str| Files::in_folder(folder.path().join(name));
        let own = Ipv4Addr::new(192, 168, 200, 21);
        assert_eq!(files("a").name("pi", own, false).unwrap(), "pi");
        assert_eq!(
            files("a").name("pi", own, true).unwrap(),
            "pi",
            "the first keeps it"
        );
        assert_eq!(files("b").name("pi", own, true).unwrap(), "pi-21");
        assert_eq!(files("b").name("pi", own, false).unwrap(), "pi-21");
        assert_eq!(
            files("b").name("pi-zero", own, false).unwrap(),
            "pi-zero",
            "it was renamed"
        );
    }

    #[test]
    fn data_belongs_to_one_membership_and_torn_data_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::in_folder(folder.path().join("consul"));
        assert_eq!(files.owner(), None);
        files.mark_maker(Some("one")).unwrap();
        assert!(files.is_maker("one") && !files.is_maker("two"));
        for owner in ["one", "two"] {
            files.begin(owner).unwrap();
            assert_eq!(files.owner().as_deref(), Some(owner));
            assert_eq!(std::fs::read_dir(files.data()).unwrap().count(), 0);
            std::fs::create_dir(files.data().join("raft")).unwrap();
        }
        for _ in 0..2 {
            std::fs::create_dir_all(files.data().join("raft")).unwrap();
            files.set_aside().unwrap();
            assert!(folder.path().join("consul/data.torn/raft").exists());
            assert!(!files.data().join("raft").exists() && !files.is_maker("one"));
        }
    }
}
