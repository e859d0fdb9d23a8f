//! Output files that have no name until all of them are complete.
//!
//! They are made with O_TMPFILE, so that a builder that is killed leaves nothing, whatever it was doing. Where a file
//! system cannot do that (NFS, FAT), the name is `<name>.partial` until then.

use std::fs::File;
use std::io::ErrorKind;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag};

/// A file to be: open for reading and writing.
#[derive(Debug)]
pub(crate) struct Draft {
    file: File,
    name: PathBuf,
    /// A name that it has already, and that goes with it.
    partial: Option<PathBuf>,
}

impl Draft {
    /// An empty file in the folder of `name`.
    pub(crate) fn create(name: &Path) -> Result<Self> {
        let unnamed = File::options()
            .read(true)
            .write(true)
            .custom_flags(OFlag::O_TMPFILE.bits())
            .open(folder_of(name));
        let partial = partial(name);
        let (file, partial) = match unnamed {
            Ok(file) => (file, None),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => {
                return Err(error).with_context(|| format!("creating {}", name.display()));
            }
            Err(_) => {
                let mut options = File::options();
                options.create(true).read(true).write(true).truncate(true);
                let file = options
                    .open(&partial)
                    .with_context(|| format!("creating {}", partial.display()))?;
                (file, Some(partial))
            }
        };
        Ok(Self {
            file,
            name: name.to_owned(),
            partial,
        })
    }

    /// The open file.
    pub(crate) fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// The name that it will have.
    pub(crate) fn name(&self) -> &Path {
        &self.name
    }

    /// Where this and other programs find it, as long as it is open here.
    pub(crate) fn path(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd()).into()
    }

    /// Gives it its name. One that is new comes at once; an old file is replaced by renaming over it.
    fn appear(&mut self) -> Result<()> {
        let doing = || format!("writing {}", self.name.display());
        if self.partial.is_none() {
            let link = |name: &Path| {
                nix::unistd::linkat(AT_FDCWD, &self.path(), AT_FDCWD, name, AtFlags::AT_SYMLINK_FOLLOW)
            };
            match link(&self.name) {
                Ok(()) => return Ok(()),
                Err(nix::Error::EEXIST) => {}
                Err(error) => return Err(error).with_context(doing),
            }
            let partial = partial(&self.name);
            // What another builder left.
            let _ = std::fs::remove_file(&partial);
            link(&partial).with_context(doing)?;
            self.partial = Some(partial);
        }
        if let Some(partial) = &self.partial {
            std::fs::rename(partial, &self.name).with_context(doing)?;
        }
        self.partial = None;
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let Some(partial) = &self.partial {
            // Best effort: what stays is named as what it is.
            let _ = std::fs::remove_file(partial);
        }
    }
}

/// Makes all of them durable, and only then gives them their names, one right after the other, in this order.
pub(crate) fn publish(mut drafts: Vec<Draft>) -> Result<()> {
    for draft in &drafts {
        draft
            .file
            .sync_all()
            .with_context(|| format!("writing {}", draft.name.display()))?;
    }
    drafts.iter_mut().try_for_each(Draft::appear)?;
    let folders: std::collections::BTreeSet<_> = drafts.iter().map(|draft| folder_of(&draft.name)).collect();
    for folder in folders {
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .with_context(|| format!("writing the folder {}", folder.display()))?;
    }
    Ok(())
}

fn folder_of(name: &Path) -> &Path {
    name.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

fn partial(name: &Path) -> PathBuf {
    let mut partial = name.as_os_str().to_owned();
    partial.push(".partial");
    partial.into()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn nothing_has_a_name_until_all_are_published() {
        let folder = tempfile::tempdir().unwrap();
        let names = || std::fs::read_dir(folder.path()).unwrap().count();
        let (old, new) = (folder.path().join("old"), folder.path().join("new"));
        std::fs::write(&old, "of yesterday").unwrap();
        let drafts = [&new, &old].map(|name| {
            let mut draft = Draft::create(name).unwrap();
            draft.file().write_all(b"of today").unwrap();
            assert_eq!(std::fs::read(draft.path()).unwrap(), b"of today");
            draft
        });
        assert_eq!(names(), 1);
        publish(drafts.into()).unwrap();
        for name in [old, new] {
            assert_eq!(std::fs::read(name).unwrap(), b"of today");
        }
        assert_eq!(names(), 2);
    }

    #[test]
    fn a_dropped_draft_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        drop(Draft::create(&folder.path().join("image")).unwrap());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let message = format!("{:#}", Draft::create(Path::new("/nonexistent/x")).unwrap_err());
        assert!(
            message.starts_with("creating /nonexistent/x: No such file"),
            "{message}"
        );
    }
}
