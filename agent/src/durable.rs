//! Files that survive a power cut: temporary name, sync, rename, sync of the folder.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;

/// Numeric owner and group of a file.
pub type Owner = (u32, u32);

/// Puts a file with these bytes, mode and owner (the caller's when `None`) in place of whatever was there: after a
/// power cut there is either the old file or the new one.
///
/// # Errors
/// When any of it fails; the old file is then untouched.
pub fn write(path: &Path, bytes: &[u8], mode: u32, owner: Option<Owner>) -> io::Result<()> {
    let temporary = temporary_name(path);
    let written = write_new(&temporary, bytes, mode, owner).and_then(|()| std::fs::rename(&temporary, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    written?;
    sync_folder_of(path)
}

/// Moves a finished file into place, over an older one.
///
/// # Errors
/// When it is not there or cannot be moved.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    File::open(from)?.sync_all()?;
    std::fs::rename(from, to)?;
    sync_folder_of(to)
}

/// Makes names that were created in, moved to or removed from the folder of `path` last.
///
/// # Errors
/// When the folder cannot be opened or synced.
pub fn sync_folder_of(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}

/// A name that a leftover of an earlier power cut may have too: it is written over.
fn temporary_name(path: &Path) -> std::path::PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".cluster-lab-new");
    path.with_file_name(name)
}

fn write_new(path: &Path, bytes: &[u8], mode: u32, owner: Option<Owner>) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // Created private: between here and its final mode nobody else may open it.
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    if let Some((user, group)) = owner {
        fchown(&file, Some(user), Some(group))?;
    }
    file.set_permissions(std::fs::Permissions::from_mode(mode))?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_a_file_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        for content in ["old", "new"] {
            // As after a cut during an earlier write.
            std::fs::write(folder.path().join(".a.cluster-lab-new"), "torn").unwrap();
            write(&path, content.as_bytes(), 0o640, None).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
        }
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o7777, 0o640);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
