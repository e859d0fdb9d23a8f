//! Where a lab keeps its things: one folder for what lasts, one short-named folder for its sockets.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The lab's folder, by default `target/lab/run`.
#[derive(Clone, Debug)]
pub struct Folder {
    root: PathBuf,
    sockets: PathBuf,
}

impl Folder {
    /// The folder at `root`, made if it is not there.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(root: &Path) -> Result<Self> {
        for part in ["", "cards", "consoles", "captures", "boot", "keys"] {
            make_private(&root.join(part))?;
        }
        Self::open(root)
    }

    /// The folder at `root` of a lab that was there before.
    ///
    /// # Errors
    /// When it is not there.
    pub fn open(root: &Path) -> Result<Self> {
        let root = root.canonicalize().with_context(|| {
            format!(
                "there is no lab in {}: start one with 'ci/lab up'",
                root.display()
            )
        })?;
        // A socket's name has 107 bytes at most (unix(7)): the lab's own folder may be too deep for that.
        let base = std::env::var_os("XDG_RUNTIME_DIR")
            .map(PathBuf::from)
            .filter(|dir| dir.is_dir() && dir.as_os_str().len() < 40)
            .unwrap_or_else(|| PathBuf::from("/tmp"));
        let user = nix::unistd::getuid();
        let sockets = base.join(format!("cluster-lab-{user}-{:08x}", number_of(&root)));
        Ok(Self { root, sockets })
    }

    /// A number that is this lab's own on this machine.
    pub fn number(&self) -> u32 {
        number_of(&self.root)
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The record of the running lab.
    pub fn record(&self) -> PathBuf {
        self.root.join("lab.json")
    }

    /// Locked by whoever changes the lab.
    pub fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    /// The card of a node.
    pub fn card(&self, node: &str) -> PathBuf {
        self.root.join("cards").join(format!("{node}.img"))
    }

    /// All that a node ever wrote to its serial console.
    pub fn console_log(&self, node: &str) -> PathBuf {
        self.root.join("consoles").join(format!("{node}.log"))
    }

    /// All frames of a port of the switch.
    pub fn capture(&self, port: &str) -> PathBuf {
        self.root.join("captures").join(format!("{port}.pcap"))
    }

    /// What was read from a card to start the node.
    pub fn boot_files(&self, node: &str) -> PathBuf {
        self.root.join("boot").join(node)
    }

    /// A file of the lab's own SSH key and password.
    pub fn key(&self, name: &str) -> PathBuf {
        self.root.join("keys").join(name)
    }

    /// What a background process of the lab (`switch`, `uplink` or a node's QEMU) says.
    pub fn process_log(&self, process: &str) -> PathBuf {
        self.root.join(format!("{process}.log"))
    }

    /// A socket.
    pub fn socket(&self, name: &str) -> PathBuf {
        self.sockets.join(name)
    }

    /// Makes the folder of sockets, empty.
    ///
    /// # Errors
    /// When it cannot be made, or belongs to somebody else.
    pub fn make_sockets(&self) -> Result<()> {
        self.remove_sockets()?;
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&self.sockets)
            .with_context(|| format!("making the folder of sockets {}", self.sockets.display()))
    }

    /// Removes the folder of sockets.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove_sockets(&self) -> Result<()> {
        remove_all(&self.sockets)
    }

    /// Removes all cards.
    ///
    /// # Errors
    /// When they cannot be removed.
    pub fn remove_cards(&self) -> Result<()> {
        for part in ["cards", "boot"] {
            remove_all(&self.root.join(part))?;
        }
        Ok(())
    }

    /// Removes the logs, captures and cards of an earlier lab.
    ///
    /// # Errors
    /// When they cannot be removed.
    pub fn clear(&self) -> Result<()> {
        for part in ["cards", "consoles", "captures", "boot", "keys"] {
            let part = self.root.join(part);
            remove_all(&part)?;
            make_private(&part)?;
        }
        Ok(())
    }
}

fn number_of(root: &Path) -> u32 {
    crc32fast::hash(root.as_os_str().as_bytes())
}

fn make_private(path: &Path) -> Result<()> {
    std::fs::DirBuilder::new()
        .mode(0o700)
        .recursive(true)
        .create(path)
        .with_context(|| format!("making the folder {}", path.display()))
}

fn remove_all(path: &Path) -> Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", path.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_have_short_names_however_deep_the_folder() {
        let temporary = tempfile::tempdir().unwrap();
        let deep = temporary.path().join("deep/".repeat(30));
        let folder = Folder::create(&deep).unwrap();
        assert!(folder.socket("cl-node-16.console").as_os_str().len() < 107);
        let other = Folder::create(&temporary.path().join("other")).unwrap();
        assert_ne!(folder.socket("a"), other.socket("a"));
    }

    #[test]
    fn clearing_keeps_the_folder_usable() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::create(temporary.path()).unwrap();
        std::fs::write(folder.card("a"), "").unwrap();
        folder.make_sockets().unwrap();
        std::fs::write(folder.socket("a"), "").unwrap();
        folder.make_sockets().unwrap();
        assert!(!folder.socket("a").exists());
        folder.clear().unwrap();
        assert!(!folder.card("a").exists() && folder.card("a").parent().unwrap().is_dir());
        folder.remove_sockets().unwrap();
        folder.remove_sockets().unwrap();
    }
}
