//! Docker Engine's configuration file: what the cluster needs is merged into it, never over what the user wrote.
//!
//! The original is kept in the state folder and put back, byte for byte, by [`DaemonConfig::restore`]. What the user
//! changes while the cluster runs counts as the original from then on. A file that Docker could not read either is left
//! alone.

mod flags;
mod merge;

use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

pub use flags::{set_by_flags, set_by_units};
pub use merge::{Key, Unreadable, Wanted};

use crate::durable;

/// The file and the place where its original is kept.
#[derive(Clone, Debug)]
pub struct DaemonConfig {
    file: PathBuf,
    kept: PathBuf,
}

/// What is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Kept {
    version: u32,
    /// The user's file; `None`: there was none.
    original: Option<String>,
    /// What was written over it last.
    written: String,
    /// What was written before that: a power cut may come between this file and that one.
    before: Option<String>,
    /// Whether the running engine needs a restart for it.
    restart: bool,
}

/// What was done to the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It is as it should be.
    Nothing,
    /// It is another now.
    Written,
}

impl DaemonConfig {
    /// `file`: such as `/etc/docker/daemon.json`; `state`: such as `/var/lib/cluster-lab`.
    pub fn new(file: PathBuf, state: &Path) -> Self {
        Self {
            file,
            kept: state.join("daemon.json.kept"),
        }
    }

    /// Brings the file into line.
    ///
    /// # Errors
    /// When it cannot be read, understood or written; it is as it was then.
    pub fn apply(&self, wanted: &Wanted) -> anyhow::Result<Applied> {
        let current = self.read()?;
        let kept = self.kept();
        let original = match &kept {
            Some(kept) => kept
                .original_of(current.as_deref())
                .with_context(|| self.alone())?,
            None => current.clone(),
        };
        let old = current.as_deref().unwrap_or("");
        let new = merge::merge(original.as_deref().unwrap_or(""), wanted).with_context(|| self.alone())?;
        if kept.is_none() && merge::is_same(old, &new) {
            return Ok(Applied::Nothing);
        }
        let restart = kept.as_ref().is_some_and(|kept| kept.restart) || merge::needs_restart(old, &new);
        let next = Kept {
            version: 1,
            original,
            before: current.clone(),
            written: new.clone(),
            restart,
        };
        if current.as_deref() == Some(new.as_str()) && kept.is_some_and(|kept| kept.is_like(&next)) {
            return Ok(Applied::Nothing);
        }
        self.keep(&next)?;
        self.write(&new)?;
        Ok(Applied::Written)
    }

    /// Whether the engine must be restarted for what is in the file; true once for each change. To be called when the
    /// engine is about to read the file anyway, too.
    ///
    /// # Errors
    /// When it cannot be noted that the restart is done.
    pub fn take_restart(&self) -> anyhow::Result<bool> {
        match self.kept() {
            // Noted before it is done: an agent that is killed meanwhile must not restart Docker again and again.
            Some(kept) if kept.restart => {
                self.keep(&Kept {
                    restart: false,
                    ..kept
                })?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Puts a file in place with which a running engine forgets by a reload what [`DaemonConfig::apply`] told it: it
    /// keeps lists whose key is gone. False: there is nothing to forget.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn empty(&self) -> anyhow::Result<bool> {
        let Some(kept) = self.kept() else { return Ok(false) };
        let current = self.read()?;
        let original = kept
            .original_of(current.as_deref())
            .with_context(|| self.alone())?;
        let emptied = merge::emptied(original.as_deref().unwrap_or("")).with_context(|| self.alone())?;
        self.keep(&Kept {
            original,
            before: current,
            written: emptied.clone(),
            ..kept
        })?;
        self.write(&emptied)?;
        Ok(true)
    }

    /// Puts the original back.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn restore(&self) -> anyhow::Result<()> {
        let Some(kept) = self.kept() else { return Ok(()) };
        let current = self.read()?;
        match kept
            .original_of(current.as_deref())
            .with_context(|| self.alone())?
        {
            Some(original) => self.write(&original)?,
            None => remove(&self.file)?,
        }
        remove(&self.kept)
    }

    /// The labels that the file has now.
    pub fn labels(&self) -> Vec<String> {
        let text = self.read().ok().flatten().unwrap_or_default();
        merge::labels(&text).unwrap_or_default()
    }

    fn alone(&self) -> String {
        format!("{} is left alone", self.file.display())
    }

    fn read(&self) -> anyhow::Result<Option<String>> {
        let file = self.file.display();
        match std::fs::read(&self.file) {
            Ok(bytes) => match String::from_utf8(bytes) {
                Ok(text) => Ok(Some(text)),
                Err(_) => Err(anyhow::anyhow!("it is not UTF-8").context(self.alone())),
            },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("reading {file}")),
        }
    }

    fn kept(&self) -> Option<Kept> {
        let kept: Kept = serde_json::from_slice(&std::fs::read(&self.kept).ok()?).ok()?;
        (kept.version == 1).then_some(kept)
    }

    fn keep(&self, kept: &Kept) -> anyhow::Result<()> {
        let text = serde_json::to_string(kept)?;
        // Only root reads it: the user's file may hold a password of a proxy.
        durable::write(&self.kept, text.as_bytes(), 0o600, None)
            .with_context(|| format!("writing {}", self.kept.display()))
    }

    /// Keeps mode and owner of a file that is there.
    fn write(&self, text: &str) -> anyhow::Result<()> {
        use std::os::unix::fs::MetadataExt;
        let written = || {
            // A link, as of /etc kept elsewhere, stays a link.
            let file = std::fs::canonicalize(&self.file).unwrap_or_else(|_| self.file.clone());
            let (mode, owner) = match file.metadata() {
                Ok(found) => (found.mode() & 0o7777, Some((found.uid(), found.gid()))),
                Err(_) => (0o644, None),
            };
            if let Some(folder) = file.parent() {
                std::fs::create_dir_all(folder)?;
            }
            durable::write(&file, text.as_bytes(), mode, owner)
        };
        written().with_context(|| format!("writing {}", self.file.display()))
    }
}

impl Kept {
    /// The user's file, given what is there now.
    fn original_of(&self, current: Option<&str>) -> Result<Option<String>, Unreadable> {
        let ours = [Some(self.written.as_str()), self.before.as_deref()];
        match current {
            // Removed: the user wants none.
            None => Ok(None),
            Some(current) if self.original.as_deref() == Some(current) || ours.contains(&Some(current)) => {
                Ok(self.original.clone())
            }
            Some(current) => {
                let original = self.original.as_deref().unwrap_or("");
                merge::without_ours(current, original, &self.written).map(Some)
            }
        }
    }

    fn is_like(&self, other: &Self) -> bool {
        (&self.original, &self.written, self.restart) == (&other.original, &other.written, other.restart)
    }
}

fn remove(file: &Path) -> anyhow::Result<()> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        done => done.and_then(|()| durable::sync_folder_of(file)),
    }
    .with_context(|| format!("removing {}", file.display()))
}

#[cfg(test)]
mod tests;
