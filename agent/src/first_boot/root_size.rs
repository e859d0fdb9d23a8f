//! The root file system as large as the card: partition table, the kernel's idea of the partition, file system.
//!
//! All three may be done or not, in this order, after a power cut; each is looked at anew. Only an ext file system on
//! the last partition of an MBR disk grows. GPT is left alone: its copy at the end of the disk would have to move.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use disk_image::mbr::{self, Mbr, MbrError, SECTOR_LEN, Sector};

use super::mounts;
use super::outcome::Outcome;
use super::system::{PartitionExtent, Ran, System};
use crate::paths::Paths;

/// Where the root file system lies, by the kernel's account.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Observed {
    /// Device node of the partition.
    partition: String,
    /// Its number.
    number: u8,
    /// Its length in bytes, as the kernel has it now.
    length: u64,
    /// Device node of the disk.
    disk: String,
    /// Bytes of the disk.
    disk_length: u64,
    /// The disk's first sector.
    sector: Sector,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Action {
    WriteTable(Box<Sector>),
    ResizePartition {
        start: u64,
        length: u64,
    },
    /// Always: whether the file system is full size only the tool knows.
    ResizeFileSystem,
}

/// What there is no use in trying.
type NotHere = String;

pub(super) fn run(system: &mut dyn System, paths: &Paths) -> Result<Outcome> {
    let observed = match observe(paths)? {
        Ok(observed) => observed,
        Err(reason) => return Ok(Outcome::NothingToDo(reason)),
    };
    let actions = match plan(&observed)? {
        Ok(actions) => actions,
        Err(reason) => return Ok(Outcome::NothingToDo(reason)),
    };
    for action in actions {
        match action {
            Action::WriteTable(sector) => system.write_partition_table(&observed.disk, &sector)?,
            Action::ResizePartition { start, length } => system.resize_partition(&PartitionExtent {
                disk: observed.disk.clone(),
                number: observed.number,
                start,
                length,
            })?,
            Action::ResizeFileSystem => {
                if system.run("resize2fs", &[&observed.partition], "")? == Ran::Missing {
                    bail!("resize2fs is not installed: install the package e2fsprogs");
                }
            }
        }
    }
    system.sync()?;
    Ok(Outcome::Applied(format!("{} fills the card", observed.partition)))
}

fn observe(paths: &Paths) -> Result<Result<Observed, NotHere>> {
    // The last one: an initramfs may have had a root of its own before.
    let Some(root) = mounts::read(paths).into_iter().rfind(|mount| mount.point == "/") else {
        return Ok(Err("the root file system is not known".to_owned()));
    };
    if !matches!(&*root.kind, "ext2" | "ext3" | "ext4") {
        return Ok(Err(format!("the root file system is {}, not ext4", root.kind)));
    }
    // Not by the name in mountinfo, which may be /dev/root. The link leads to .../mmcblk0/mmcblk0p2.
    let link = paths.at("/sys/dev/block").join(&root.device);
    let node: PathBuf =
        std::fs::canonicalize(&link).with_context(|| format!("looking at {}", link.display()))?;
    if !node.join("partition").exists() {
        return Ok(Err("the root file system is not on a partition".to_owned()));
    }
    let parent = node.parent().context("a partition without a disk in /sys")?;
    let disk = device_node(parent)?;
    let observed = Observed {
        partition: device_node(&node)?,
        number: u8::try_from(number(&node.join("partition"))?).context("a partition number beyond 255")?,
        length: number(&node.join("size"))? * SECTOR_LEN,
        disk_length: number(&parent.join("size"))? * SECTOR_LEN,
        sector: first_sector(&paths.at(&disk))?,
        disk,
    };
    Ok(Ok(observed))
}

fn plan(observed: &Observed) -> Result<Result<Vec<Action>, NotHere>> {
    let Observed {
        partition: _,
        number,
        length,
        disk,
        disk_length,
        sector,
    } = observed;
    let table = match Mbr::parse(sector, Some(*disk_length)) {
        Ok(table) => table,
        Err(MbrError::Gpt) => {
            return Ok(Err(format!(
                "{disk} has a GPT partition table, which is left alone"
            )));
        }
        Err(error) => return Err(error).with_context(|| format!("reading the partition table of {disk}")),
    };
    let Some(last) = table.last().filter(|last| last.number == *number) else {
        return Ok(Err(format!("partition {number} is not the last one on {disk}")));
    };
    let mut actions = Vec::new();
    let mut grown = *sector;
    let then = match mbr::grow_last(&mut grown, *disk_length)? {
        Some(growth) => {
            actions.push(Action::WriteTable(Box::new(grown)));
            growth.partition
        }
        None => *last,
    };
    if then.length > *length {
        actions.push(Action::ResizePartition {
            start: then.start,
            length: then.length,
        });
    }
    actions.push(Action::ResizeFileSystem);
    Ok(Ok(actions))
}

/// The device node that the kernel names in a device's `uevent`.
fn device_node(folder: &Path) -> Result<String> {
    let file = folder.join("uevent");
    let text = std::fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
    let name = text
        .lines()
        .find_map(|line| line.strip_prefix("DEVNAME="))
        .with_context(|| format!("{} names no device", file.display()))?;
    Ok(format!("/dev/{name}"))
}

fn number(file: &Path) -> Result<u64> {
    let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    text.trim()
        .parse()
        .with_context(|| format!("reading {}", file.display()))
}

fn first_sector(disk: &Path) -> Result<Sector> {
    let mut sector: Sector = [0; 512];
    let read =
        std::fs::File::open(disk).and_then(|mut file| std::io::Read::read_exact(&mut file, &mut sector));
    read.with_context(|| format!("reading the partition table of {}", disk.display()))?;
    Ok(sector)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// A table with two partitions in MiB, as on a card: FAT at 4, root after it.
    pub(in crate::first_boot) fn sector(root_start: u64, root_length: u64) -> Sector {
        let mut sector: Sector = [0; 512];
        sector[510..].copy_from_slice(&[0x55, 0xaa]);
        for (at, kind, start, length) in [(0x1be, 0x0c, 4, 64), (0x1ce, 0x83, root_start, root_length)] {
            let sectors = |mib: u64| u32::try_from(mib * MIB / SECTOR_LEN).unwrap().to_le_bytes();
            sector[at + 4] = kind;
            sector[at + 8..at + 12].copy_from_slice(&sectors(start));
            sector[at + 12..at + 16].copy_from_slice(&sectors(length));
        }
        sector
    }

    fn observed(table_mib: u64, kernel_mib: u64, disk_mib: u64) -> Observed {
        Observed {
            partition: "/dev/mmcblk0p2".to_owned(),
            number: 2,
            length: kernel_mib * MIB,
            disk: "/dev/mmcblk0".to_owned(),
            disk_length: disk_mib * MIB,
            sector: sector(68, table_mib),
        }
    }

    #[test]
    fn whatever_a_power_cut_left_undone_is_done() {
        let grown = Action::WriteTable(Box::new(sector(68, 932)));
        let resized = Action::ResizePartition {
            start: 68 * MIB,
            length: 932 * MIB,
        };
        for (why, observed, expected) in [
            (
                "new card",
                observed(500, 500, 1000),
                vec![grown, resized.clone(), Action::ResizeFileSystem],
            ),
            (
                "cut after the table",
                observed(932, 500, 1000),
                vec![resized, Action::ResizeFileSystem],
            ),
            (
                "cut later",
                observed(932, 932, 1000),
                vec![Action::ResizeFileSystem],
            ),
        ] {
            assert_eq!(plan(&observed).unwrap(), Ok(expected), "{why}");
        }
    }

    #[test]
    fn what_cannot_grow_is_left_alone_with_a_reason() {
        let mut gpt = observed(500, 500, 1000);
        gpt.sector[0x1be + 4] = 0xee;
        let not_last = Observed {
            number: 1,
            ..observed(500, 500, 1000)
        };
        for (observed, reason) in [
            (gpt, "/dev/mmcblk0 has a GPT partition table, which is left alone"),
            (not_last, "partition 1 is not the last one on /dev/mmcblk0"),
        ] {
            assert_eq!(plan(&observed).unwrap(), Err(reason.to_owned()));
        }
        let message = format!("{:#}", plan(&observed(500, 500, 100)).unwrap_err());
        assert!(
            message.starts_with("reading the partition table of /dev/mmcblk0: partition 2 ends"),
            "{message}"
        );
    }

    #[test]
    fn roots_that_are_no_card_are_told() {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::below(root.path());
        assert_eq!(
            observe(&paths).unwrap(),
            Err("the root file system is not known".to_owned())
        );
        std::fs::create_dir_all(paths.at("/proc/self")).unwrap();
        for (kind, reason) in [
            ("overlay", "the root file system is overlay, not ext4"),
            ("squashfs", "the root file system is squashfs, not ext4"),
        ] {
            let line = format!("1 0 0:25 / / rw - {kind} none rw\n");
            std::fs::write(paths.at("/proc/self/mountinfo"), line).unwrap();
            assert_eq!(observe(&paths).unwrap(), Err(reason.to_owned()));
        }
    }
}
