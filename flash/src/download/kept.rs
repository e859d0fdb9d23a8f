//! What is kept of one URL: the file, as far as it has come, and what the server said about it.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

/// What the server said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) url: String,
    pub(super) etag: Option<String>,
    pub(super) last_modified: Option<String>,
    /// Of the whole file, in bytes.
    pub(super) length: Option<u64>,
    pub(super) complete: bool,
    /// Of the whole file, once it was checked.
    pub(super) sha256: Option<String>,
}

/// The folder of one URL, for nobody else to change meanwhile.
#[derive(Debug)]
pub(super) struct Kept {
    folder: PathBuf,
    _lock: File,
}

impl Kept {
    pub(super) fn open(cache: &Path, url: &str) -> Result<Self> {
        let folder = super::folder_of(cache, url);
        let mut builder = std::fs::DirBuilder::new();
        let made = builder.recursive(true).mode(0o700).create(&folder);
        made.with_context(|| format!("making {}", folder.display()))?;
        let path = folder.join("lock");
        let lock = OpenOptions::new().create(true).append(true).open(&path);
        let lock = lock.with_context(|| format!("opening {}", path.display()))?;
        if lock.try_lock().is_err() {
            bail!("{url} is being downloaded by another flash: wait for it, then run it again");
        }
        Ok(Self { folder, _lock: lock })
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.join("image")
    }

    /// Of what is there.
    pub(super) fn length(&self) -> u64 {
        std::fs::metadata(self.path()).map_or(0, |meta| meta.len())
    }

    pub(super) fn state(&self) -> Option<State> {
        let text = std::fs::read_to_string(self.folder.join("state.json")).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// A power cut leaves the old or the new one.
    pub(super) fn save(&self, state: &State) -> Result<()> {
        let (new, path) = (self.folder.join("state.new"), self.folder.join("state.json"));
        let write = || {
            std::fs::write(&new, serde_json::to_vec_pretty(state)?)?;
            File::open(&new)?.sync_all()?;
            std::fs::rename(&new, &path)?;
            File::open(&self.folder)?.sync_all()
        };
        write().with_context(|| format!("writing {}", path.display()))
    }

    /// What is there does not count any more. The file goes first: without it, the state says nothing.
    pub(super) fn forget(&self) -> Result<()> {
        for path in [self.path(), self.folder.join("state.json")] {
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("removing {}", path.display()));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Another file than the one before.
    pub(super) fn restart(&self, state: &State) -> Result<()> {
        self.forget()?;
        self.save(state)
    }

    /// To write at its end.
    pub(super) fn append(&self) -> Result<File> {
        let path = self.path();
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&path);
        file.with_context(|| format!("opening {}", path.display()))
    }

    /// To read.
    pub(super) fn file(&self) -> Result<File> {
        let path = self.path();
        File::open(&path).with_context(|| format!("opening {}", path.display()))
    }
}
