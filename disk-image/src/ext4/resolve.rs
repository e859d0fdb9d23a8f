//! Finds the inode of a path. Symbolic links are followed here, since the driver does not: on images with a merged
//! /usr, `/lib` itself is one.

use std::collections::VecDeque;

use fs_ext4::{Error, Filesystem};

use super::error::{Ext4Error, failed};
use super::path::RootPath;

/// Inode of `/`.
pub(super) const ROOT: u32 = 2;
/// As the kernel's MAXSYMLINKS.
const MAX_LINKS: u32 = 40;

/// What to do with a link in the last component.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum LastLink {
    Keep,
    Follow,
}

/// The inode of `path`, `None` if there is none.
pub(super) fn find(fs: &Filesystem, path: &RootPath, last: LastLink) -> Result<Option<u32>, Ext4Error> {
    let looking = |error| failed("looking for", path, error);
    let mut folders = vec![ROOT];
    let mut names: VecDeque<Vec<u8>> = components(path.as_str().as_bytes());
    let mut links = 0;
    let mut found = ROOT;
    while let Some(name) = names.pop_front() {
        if name == b".." {
            // `..` of the root is the root.
            if folders.len() > 1 {
                folders.pop();
            }
            found = here(&folders);
            continue;
        }
        found = match fs.lookup_at(here(&folders), &name) {
            Ok(inode) => inode,
            Err(Error::NotFound) => return Ok(None),
            Err(Error::NotADirectory) => {
                return Err(Ext4Error::NotAFolder {
                    path: path.to_string(),
                });
            }
            Err(error) => return Err(looking(error)),
        };
        let inode = fs.stat_ino(found).map_err(looking)?;
        if inode.is_symlink() && (last == LastLink::Follow || !names.is_empty()) {
            links += 1;
            if links > MAX_LINKS {
                return Err(Ext4Error::Links {
                    path: path.to_string(),
                });
            }
            let target = fs.read_link_ino(found).map_err(looking)?;
            if target.starts_with(b"/") {
                folders.truncate(1);
            }
            for name in components(&target).into_iter().rev() {
                names.push_front(name);
            }
            found = here(&folders);
        } else if inode.is_dir() {
            folders.push(found);
        } else if !names.is_empty() {
            return Err(Ext4Error::NotAFolder {
                path: path.to_string(),
            });
        }
    }
    Ok(Some(found))
}

fn here(folders: &[u32]) -> u32 {
    folders.last().copied().unwrap_or(ROOT)
}

fn components(path: &[u8]) -> VecDeque<Vec<u8>> {
    path.split(|byte| *byte == b'/')
        .filter(|name| !name.is_empty() && name != b".")
        .map(<[u8]>::to_vec)
        .collect()
}
