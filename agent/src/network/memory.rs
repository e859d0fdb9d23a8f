//! What a node remembers over a restart: its last role and address (`role.json`), and as master the leases
//! (`leases.json`). What cannot be read counts as forgotten: a node comes up without it, only more slowly.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::dhcp::lease_file;
use super::dhcp::lease_table::Lease;
use crate::durable;

/// What `role.json` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Remembered {
    version: u32,
    /// Whether the node was master; `None` when it never took a role.
    pub master: Option<bool>,
    /// The address it had as node.
    pub address: Option<Ipv4Addr>,
}

/// The state folder.
#[derive(Clone, Debug)]
pub struct Memory {
    folder: PathBuf,
    turn: Arc<Mutex<()>>,
}

impl Remembered {
    /// A memory of this.
    pub fn new(master: Option<bool>, address: Option<Ipv4Addr>) -> Self {
        Self {
            version: 1,
            master,
            address,
        }
    }
}

impl Memory {
    /// Makes the folder, for root only, unless it is there.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(folder: &Path) -> anyhow::Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        let made = std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder);
        made.with_context(|| format!("making the state folder {}", folder.display()))?;
        Ok(Self {
            folder: folder.to_owned(),
            turn: Arc::default(),
        })
    }

    /// Writes in another thread, one write after the other: a card may take seconds to sync, in which nothing else may
    /// stop. A failure is logged.
    pub fn later(&self, write: impl FnOnce(&Self) -> anyhow::Result<()> + Send + 'static) {
        let memory = self.clone();
        tokio::spawn(async move {
            let _turn = Arc::clone(&memory.turn).lock_owned().await;
            if let Ok(Err(error)) = tokio::task::spawn_blocking(move || write(&memory)).await {
                tracing::warn!("not remembered over a restart: {error:#}");
            }
        });
    }

    /// Waits until what was to be written `later` is written.
    pub async fn finish(&self) {
        // First the writes that have not begun get their turn.
        tokio::task::yield_now().await;
        let _turn = self.turn.lock().await;
    }

    /// The last role and address.
    pub fn role(&self) -> Remembered {
        let read = || serde_json::from_slice(&std::fs::read(self.role_file()).ok()?).ok();
        read()
            .filter(|remembered: &Remembered| remembered.version == 1)
            .unwrap_or_default()
    }

    /// Remembers the role and address.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save_role(&self, remembered: Remembered) -> anyhow::Result<()> {
        let file = self.role_file();
        let text = serde_json::to_string(&remembered)?;
        durable::write(&file, text.as_bytes(), 0o600, None)
            .with_context(|| format!("writing {}", file.display()))
    }

    /// The leases; a line for the status when the file is there but unreadable.
    pub fn leases(&self) -> (Vec<Lease>, Option<String>) {
        let file = self.lease_file();
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return (Vec::new(), None),
            Err(error) => {
                return (
                    Vec::new(),
                    Some(format!("{} cannot be read: {error}", file.display())),
                );
            }
        };
        match lease_file::parse(&text) {
            Ok(leases) => (leases, None),
            Err(error) => {
                let line = format!(
                    "{} is damaged: {error}; nodes may get other addresses",
                    file.display()
                );
                (Vec::new(), Some(line))
            }
        }
    }

    /// Writes the leases.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save_leases(&self, leases: impl Iterator<Item = Lease>) -> anyhow::Result<()> {
        let file = self.lease_file();
        let text = lease_file::render(leases)?;
        durable::write(&file, text.as_bytes(), 0o600, None)
            .with_context(|| format!("writing {}", file.display()))
    }

    fn role_file(&self) -> PathBuf {
        self.folder.join("role.json")
    }

    fn lease_file(&self) -> PathBuf {
        self.folder.join("leases.json")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_remembered_and_damage_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let memory = Memory::open(&folder.path().join("state")).unwrap();
        assert_eq!(memory.role(), Remembered::default());
        let remembered = Remembered::new(Some(true), Some(Ipv4Addr::new(192, 168, 200, 20)));
        memory.save_role(remembered).unwrap();
        assert_eq!(memory.role(), remembered);
        for damage in ["", "{\"version\":2,\"master\":true,\"address\":null}", "\0"] {
            std::fs::write(memory.role_file(), damage).unwrap();
            assert_eq!(memory.role(), Remembered::default());
        }
    }

    #[test]
    fn damaged_leases_are_a_warning() {
        let folder = tempfile::tempdir().unwrap();
        let memory = Memory::open(folder.path()).unwrap();
        assert_eq!(memory.leases(), (Vec::new(), None));
        std::fs::write(memory.lease_file(), "{").unwrap();
        let (leases, warning) = memory.leases();
        assert!(leases.is_empty());
        assert!(warning.unwrap().contains("leases.json is damaged"));
    }
}
