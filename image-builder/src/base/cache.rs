//! Where base images are kept: `$XDG_CACHE_HOME/cluster-lab/base/<hash of the recipe>.img`, and those from the web in
//! `.../cluster-lab/downloads`; Consul images in `.../cluster-lab/consul`.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::identity::Identity;

/// The folder of base images.
#[derive(Debug)]
pub struct Cache {
    folder: PathBuf,
}

/// The place of one image, held against other processes as long as this lives.
#[derive(Debug)]
pub(super) struct Slot {
    /// There only when complete.
    pub(super) image: PathBuf,
    /// What the last making said.
    pub(super) log: PathBuf,
    /// An empty folder for the making.
    pub(super) work: PathBuf,
    _lock: File,
}

impl Cache {
    /// In the user's cache folder.
    ///
    /// # Errors
    /// When neither `XDG_CACHE_HOME` nor `HOME` is set.
    pub fn of_user() -> Result<Self> {
        let folder = |name| {
            std::env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let cache = folder("XDG_CACHE_HOME")
            .or_else(|| Some(folder("HOME")?.join(".cache")))
            .context("neither XDG_CACHE_HOME nor HOME is set: there is no place for the base image")?;
        Ok(Self::in_folder(&cache.join("cluster-lab")))
    }

    /// In any folder.
    pub fn in_folder(folder: &Path) -> Self {
        let folder = folder.to_owned();
        Self { folder }
    }

    /// The folder of downloaded images.
    pub(crate) fn downloads(&self) -> Result<PathBuf> {
        let folder = self.folder.join("downloads");
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("using the cache folder {}", folder.display()))?;
        Ok(folder)
    }

    /// The folder of Consul images.
    pub(crate) fn consul_images(&self) -> Result<PathBuf> {
        let folder = self.folder.join("consul");
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("using the cache folder {}", folder.display()))?;
        Ok(folder)
    }

    /// A finished image, if it is there.
    pub(super) fn find(&self, identity: &Identity) -> Option<PathBuf> {
        Some(self.image(identity)).filter(|image| image.exists())
    }

    fn image(&self, identity: &Identity) -> PathBuf {
        self.folder.join(format!("base/{}.img", identity.name()))
    }

    /// Waits for other processes that make an image, and clears what an interrupted one left.
    pub(super) fn slot(&self, identity: &Identity) -> Result<Slot> {
        let folder = self.folder.join("base");
        let doing = || format!("using the cache folder {}", folder.display());
        std::fs::create_dir_all(&folder).with_context(doing)?;
        let lock = File::create(folder.join("lock")).with_context(doing)?;
        lock.lock().with_context(doing)?;
        let work = folder.join("work");
        clear(&work).with_context(doing)?;
        Ok(Slot {
            image: self.image(identity),
            log: folder.join("log"),
            work,
            _lock: lock,
        })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // Best effort: the next run clears it otherwise.
        let _ = clear(&self.work);
    }
}

/// The lock is held, so the folder belongs to nobody alive.
fn clear(work: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(work) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftovers_of_an_interrupted_run_are_cleared() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::in_folder(folder.path());
        let identity = Identity::of_embedded();
        let work = folder.path().join("base/work");
        std::fs::create_dir_all(work.join("root")).unwrap();
        let slot = cache.slot(&identity).unwrap();
        assert!(!work.exists());
        std::fs::create_dir_all(&slot.work).unwrap();
        drop(slot);
        assert!(!work.exists());
    }
}
