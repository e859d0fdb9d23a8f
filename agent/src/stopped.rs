//! Whether this node is stopped: a file in the state folder, so that it stays so over a restart. `cluster-lab stop` writes
//! it, the daemon does what it asks for and says so in it, `cluster-lab start` removes it.

use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::durable;

/// The file.
#[derive(Clone, Debug)]
pub struct Marker(PathBuf);

/// What it says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Stopped {
    version: u32,
    /// Whether everything was put back.
    pub done: bool,
    /// What a user must know of it, a line each.
    pub notes: Vec<String>,
}

impl Stopped {
    /// What is to be done yet, or was.
    pub fn new(done: bool, notes: Vec<String>) -> Self {
        Self {
            version: 1,
            done,
            notes,
        }
    }
}

impl Marker {
    /// That of a state folder.
    pub fn new(state: &Path) -> Self {
        Self(state.join("stopped"))
    }

    /// What it says; `None`: the node is not stopped. A torn file counts as asked for.
    pub fn read(&self) -> Option<Stopped> {
        let text = std::fs::read(&self.0).ok()?;
        Some(serde_json::from_slice(&text).unwrap_or_else(|_| Stopped::new(false, Vec::new())))
    }

    /// Writes it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, stopped: &Stopped) -> anyhow::Result<()> {
        let text = serde_json::to_string(stopped)?;
        let folder = self.0.parent().unwrap_or(Path::new("/"));
        std::fs::create_dir_all(folder)
            .and_then(|()| durable::write(&self.0, text.as_bytes(), 0o644, None))
            .with_context(|| format!("writing {}", self.0.display()))
    }

    /// Removes it.
    ///
    /// # Errors
    /// When the file cannot be removed.
    pub fn remove(&self) -> anyhow::Result<()> {
        match std::fs::remove_file(&self.0) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            done => done.and_then(|()| durable::sync_folder_of(&self.0)),
        }
        .with_context(|| format!("removing {}", self.0.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_was_written_and_a_torn_one_asks_for_a_stop() {
        let folder = tempfile::tempdir().unwrap();
        let marker = Marker::new(folder.path());
        assert_eq!(marker.read(), None);
        let stopped = Stopped::new(true, vec!["a".to_owned()]);
        marker.write(&stopped).unwrap();
        assert_eq!(marker.read(), Some(stopped));
        std::fs::write(folder.path().join("stopped"), "{").unwrap();
        assert!(!marker.read().unwrap().done);
        marker.remove().unwrap();
        marker.remove().unwrap();
        assert_eq!(marker.read(), None);
    }
}
