//! Applies a plan to a root file system.

use anyhow::{Result, ensure};
use disk_image::ext4::{Kind, RootFs, RootPath};

use super::glob::Pattern;
use super::plan::{Entry, Plan, owned_by_root};

/// Folders above the plan's entries, and what a node makes at its first start.
const SPARE_INODES: u64 = 64;

/// Refuses a root partition without room for the plan, before anything is written.
pub(super) fn check_room(plan: &Plan, root: &impl RootFs) -> Result<()> {
    let (needed, mut free) = (plan.bytes(), root.free()?);
    for path in plan.entries.keys() {
        // What is replaced makes room.
        if let Some(old) = root.metadata(path)?.filter(|old| old.kind == Kind::File) {
            free += old.length;
        }
    }
    ensure!(
        needed <= free,
        "the root partition is full: {} KiB are needed, {} KiB are free, {} KiB are missing; use a base image with \
         more room",
        needed / 1024,
        free / 1024,
        (needed - free).div_ceil(1024)
    );
    let (files, inodes) = (plan.entries.len() as u64, u64::from(root.free_inodes()?));
    ensure!(
        files + SPARE_INODES <= inodes,
        "the root file system can take {inodes} more files, and {} are needed: use a base image made with more inodes",
        files + SPARE_INODES
    );
    Ok(())
}

/// Removes, empties, then adds.
pub(super) fn run(plan: &Plan, root: &impl RootFs) -> Result<()> {
    let Plan {
        remove,
        blank,
        entries,
    } = plan;
    for pattern in remove {
        for path in matching(pattern, root)? {
            root.remove(&path)?;
        }
    }
    for path in blank {
        if let Some(old) = root.metadata(path)? {
            let attributes = if old.kind == Kind::File {
                old.attributes
            } else {
                owned_by_root(0o644)
            };
            root.write_file(path, &[], attributes)?;
        }
    }
    for (path, entry) in entries {
        if let Some(folder) = path.parent() {
            root.make_folder(&folder, owned_by_root(0o755))?;
        }
        match entry {
            Entry::Folder(attributes) => root.make_folder(path, *attributes)?,
            Entry::File(bytes, attributes) => root.write_file(path, bytes, *attributes)?,
            Entry::Symlink(target) => root.symlink(path, target)?,
        }
    }
    Ok(())
}

/// What is there and matches; folders are left alone.
pub(super) fn matching(pattern: &Pattern, root: &impl RootFs) -> Result<Vec<RootPath>> {
    let mut paths = Vec::new();
    let Some(folder) = pattern.path().parent() else {
        if pattern.is_literal() && root.metadata(pattern.path())?.is_some() {
            paths.push(pattern.path().clone());
        }
        return Ok(paths);
    };
    for name in root.list(&folder)? {
        let path = folder.join(&name)?;
        let file = root
            .metadata(&path)?
            .is_some_and(|found| found.kind != Kind::Folder);
        if file && pattern.matches(&name) {
            paths.push(path);
        }
    }
    Ok(paths)
}
