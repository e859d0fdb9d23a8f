//! What was changed, for the manifest of the release: read from the finished image, not from what was meant.

use std::fs::File;

use anyhow::{Context as _, Result};
use disk_image::ext4::{Ext4, Kind, RootFs, RootPath};
use disk_image::fat::BootPartition;

use super::examine::Layout;
use super::plan::Plan;
use crate::release::{Added, Content, Manifest};

/// Fills in everything that the plan changed.
pub(super) fn fill(
    manifest: &mut Manifest,
    plan: &Plan,
    boot_files: &[&str],
    layout: &Layout,
    image: &mut File,
) -> Result<()> {
    let boot = BootPartition::open(&mut *image, &layout.boot)?;
    for name in boot_files {
        manifest.boot.push(Added {
            path: (*name).to_owned(),
            content: Content::of_file(&boot.read(name)?.unwrap_or_default()),
            access: None,
        });
    }
    boot.close()?;
    let root = Ext4::open_read_only(image.try_clone().context("opening the image")?, &layout.root)?;
    let Plan {
        remove,
        blank,
        entries,
    } = plan;
    manifest.removed = remove.iter().map(|pattern| pattern.path().to_string()).collect();
    manifest.emptied = blank.iter().map(ToString::to_string).collect();
    for path in entries.keys() {
        let found = entry(&root, path)?.with_context(|| format!("{path} is missing"))?;
        manifest.root.push(found);
    }
    Ok(root.close()?)
}

/// What is at a path.
pub(crate) fn entry(root: &impl RootFs, path: &RootPath) -> Result<Option<Added>> {
    let Some(found) = root.metadata(path)? else {
        return Ok(None);
    };
    let content = match found.kind {
        Kind::File => Content::of_file(&root.read(path)?.unwrap_or_default()),
        Kind::Folder => Content::Folder,
        Kind::Symlink => Content::Symlink {
            target: root.read_link(path)?.unwrap_or_default(),
        },
        Kind::Other => Content::Other,
    };
    Ok(Some(Added {
        path: path.to_string(),
        content,
        access: Some(found.attributes.into()),
    }))
}
