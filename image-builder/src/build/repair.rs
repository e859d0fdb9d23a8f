//! Repairs a root file system that was in use when its image was made: on a copy of the partition, since the reference
//! tools cannot replay a journal inside an image, and in the copy of the base image only.

use std::fs::File;
use std::io::{Read, Seek as _, SeekFrom};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::FileExt as _;

use anyhow::{Context as _, Result, bail};
use disk_image::mbr::Partition;

use super::check::E2FSCK;
use crate::copy::write_sparse;

const BLOCK: usize = 64 << 10;
/// e2fsck(8): no errors, or errors that were corrected.
const REPAIRED: [Option<i32>; 2] = [Some(0), Some(1)];

/// Replays the journal and corrects what can be corrected without asking anybody (`e2fsck -fp`).
pub(super) fn run(image: &mut File, root: &Partition, epoch: u64) -> Result<()> {
    let mut copy = tempfile::tempfile().context("making a copy of the root partition")?;
    image
        .seek(SeekFrom::Start(root.start))
        .context("reading the root partition")?;
    write_sparse(&mut (&*image).take(root.length), &mut copy, 0)?;
    let name = format!("/proc/{}/fd/{}", std::process::id(), copy.as_raw_fd());
    let mut command = E2FSCK.command();
    command.args(["-fp", &name]);
    for clock in ["E2FSCK_TIME", "E2FSPROGS_FAKE_TIME", "SOURCE_DATE_EPOCH"] {
        command.env(clock, epoch.to_string());
    }
    let outcome = E2FSCK.outcome(&mut command)?;
    if !REPAIRED.contains(&outcome.code) {
        let said = outcome.text.replace(&name, "it");
        let said: Vec<_> = said.split_whitespace().collect();
        bail!(
            "the root file system needs decisions that only you can make, use a fresh image: {}",
            said.join(" ")
        );
    }
    put_back(&copy, image, root)
}

/// Writes the blocks that changed.
fn put_back(copy: &File, image: &File, root: &Partition) -> Result<()> {
    let (mut new, mut old) = (vec![0; BLOCK], vec![0; BLOCK]);
    let mut at = 0;
    while at < root.length {
        let length = usize::try_from(root.length - at).unwrap_or(BLOCK).min(BLOCK);
        let (Some(new), Some(old)) = (new.get_mut(..length), old.get_mut(..length)) else {
            break;
        };
        copy.read_exact_at(new, at).context("reading the repaired copy")?;
        image
            .read_exact_at(old, root.start + at)
            .context("reading the image")?;
        if new != old {
            image
                .write_all_at(new, root.start + at)
                .context("writing the image")?;
        }
        at += length as u64;
    }
    Ok(())
}
