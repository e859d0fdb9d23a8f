//! Checks a finished image: all that was written is read back through a new view of it, and the reference tools look
//! at both file systems.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::fd::AsRawFd as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use disk_image::ext4::{Ext4, Kind, RootFs};

use super::apply;
use super::examine::Layout;
use super::plan::{Entry, Plan};
use crate::copy::write_sparse;
use crate::tool::Tool;

pub(super) const E2FSCK: Tool = Tool {
    name: "e2fsck",
    package: "e2fsprogs",
};
const FSCK_VFAT: Tool = Tool {
    name: "fsck.vfat",
    package: "dosfstools",
};

/// Compares every byte, owner, mode and target with the plan.
pub(super) fn read_back(plan: &Plan, layout: &Layout, epoch: u64, image: &File) -> Result<()> {
    let root = Ext4::open(
        image.try_clone().context("opening the image")?,
        &layout.root,
        epoch,
    )?;
    let Plan {
        remove,
        blank,
        entries,
    } = plan;
    for pattern in remove {
        let left: Vec<_> = apply::matching(pattern, &root)?;
        let left = left.iter().find(|path| !entries.contains_key(path));
        ensure!(
            left.is_none(),
            "{} is still there after it was removed",
            pattern.path()
        );
    }
    for path in blank.iter().filter(|path| !entries.contains_key(path)) {
        ensure!(
            root.metadata(path)?.is_none_or(|found| found.length == 0),
            "{path} is not empty"
        );
    }
    for (path, entry) in entries {
        ensure!(
            same(&root, path, entry)?,
            "{path} reads back different from what was written"
        );
    }
    root.close()?;
    Ok(())
}

fn same(root: &impl RootFs, path: &disk_image::ext4::RootPath, entry: &Entry) -> Result<bool> {
    let found = root.metadata(path)?;
    Ok(match entry {
        Entry::Folder(_) => found.is_some(),
        Entry::Symlink(target) => root.read_link(path)?.as_ref() == Some(target),
        Entry::File(bytes, attributes) => {
            found.is_some_and(|found| found.kind == Kind::File && found.attributes == *attributes)
                && root.read(path)?.as_ref() == Some(bytes)
        }
    })
}

/// Runs `e2fsck -fn` and `fsck.vfat -n`, which must find nothing.
pub(super) fn reference_tools(layout: &Layout, path: &Path, image: &mut File) -> Result<()> {
    let at_offset = format!("{}?offset={}", path.display(), layout.root.start);
    judge(E2FSCK, &["-fn", &at_offset], "the root file system")?;

    // fsck.vfat knows no offsets. The copy has no name, so that it is gone whatever happens.
    let mut boot = tempfile::tempfile().context("making a copy of the boot partition")?;
    image
        .seek(SeekFrom::Start(layout.boot.start))
        .context("reading the boot partition")?;
    write_sparse(&mut image.take(layout.boot.length), &mut boot, 0)?;
    let name = format!("/proc/{}/fd/{}", std::process::id(), boot.as_raw_fd());
    judge(FSCK_VFAT, &["-n", &name], "the boot partition")
}

fn judge(tool: Tool, arguments: &[&str], what: &str) -> Result<()> {
    let outcome = tool.outcome(tool.command().args(arguments))?;
    if outcome.code != Some(0) {
        let lines: Vec<_> = outcome
            .text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .take(8)
            .collect();
        bail!("{} finds errors in {what}: {}", tool.name, lines.join(" | "));
    }
    Ok(())
}
