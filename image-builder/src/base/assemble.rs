//! Two folders become an image: partition table, FAT boot partition, ext4 root partition (last, so that it can grow).

use std::fs::File;
use std::io::{Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};

use super::identity::Identity;
use super::recipe::Recipe;
use crate::copy::write_sparse;
use crate::tool::Tool;

const MKFS_VFAT: Tool = Tool {
    name: "mkfs.vfat",
    package: "dosfstools",
};
const MCOPY: Tool = Tool {
    name: "mcopy",
    package: "mtools",
};
const MKE2FS: Tool = Tool {
    name: "mke2fs",
    package: "e2fsprogs",
};

const MIB: u64 = 1 << 20;
const SECTOR: u32 = 512;
/// Partitions start at multiples of 4 MiB: cards erase in units of that size.
const ALIGN: u64 = 4 * MIB;
/// What every kernel since 3.18 (jessie's is 3.16 with these too) can mount, whatever this mke2fs has as default.
const FEATURES: &str = "none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,flex_bg,sparse_super,\
    large_file,huge_file,dir_nlink,extra_isize,metadata_csum";

/// Writes the image into the empty file `output`.
pub(super) fn run(
    recipe: &Recipe,
    identity: &Identity,
    root: &Path,
    boot: &Path,
    work: &Path,
    output: &mut File,
) -> Result<()> {
    let epoch = build_time();
    let boot_size = u64::from(recipe.boot_mib) * MIB;
    let fat = work.join("boot.fat");
    make_fat(identity, boot, boot_size, &fat, &epoch)?;
    let used = used_by(root).context("measuring the root folder")?;
    // Inode tables, journal and block groups take about a twentieth, and 64 MiB for the journal.
    let root_size = (used + used / 16 + (64 + u64::from(recipe.root_free_mib)) * MIB).next_multiple_of(ALIGN);
    let ext4 = work.join("root.ext4");
    make_ext4(identity, root, root_size, &ext4, &epoch)?;
    // The folder is not needed any more, and with it gone the disk needs to hold one copy less.
    std::fs::remove_dir_all(root).context("removing the root folder")?;

    let root_start = ALIGN + boot_size;
    place(&fat, output, ALIGN)?;
    place(&ext4, output, root_start)?;
    write_table(identity, output, boot_size, root_size).context("writing the partition table")
}

/// `SOURCE_DATE_EPOCH` if it is set, else now.
fn build_time() -> String {
    std::env::var("SOURCE_DATE_EPOCH")
        .ok()
        .filter(|text| text.parse::<u32>().is_ok())
        .unwrap_or_else(|| {
            SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |time| time.as_secs())
                .to_string()
        })
}

fn make_fat(identity: &Identity, boot: &Path, size: u64, file: &Path, epoch: &str) -> Result<()> {
    File::create(file)
        .and_then(|file| file.set_len(size))
        .context("creating the boot partition")?;
    let mut format = MKFS_VFAT.command();
    format
        .args([
            "-F",
            "32",
            "-s",
            "1",
            "-n",
            "CLUSTER-LAB",
            "-i",
            &identity.volume_id(),
        ])
        .arg(file);
    MKFS_VFAT
        .run(format.env("SOURCE_DATE_EPOCH", epoch))
        .context("formatting the boot partition")?;
    let mut names: Vec<_> = std::fs::read_dir(boot)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect())
        .context("listing the boot folder")?;
    names.sort();
    let mut copy = MCOPY.command();
    copy.env("SOURCE_DATE_EPOCH", epoch)
        .arg("-i")
        .arg(file)
        .args(names)
        .arg("::");
    MCOPY
        .run(&mut copy)
        .context("filling the boot partition")
        .map(drop)
}

fn make_ext4(identity: &Identity, root: &Path, size: u64, file: &Path, epoch: &str) -> Result<()> {
    let extended = format!(
        "root_owner=0:0,lazy_itable_init=0,lazy_journal_init=0,hash_seed={}",
        identity.hash_seed()
    );
    let mut format = MKE2FS.command();
    format
        .args([
            "-q",
            "-F",
            "-t",
            "ext4",
            "-T",
            "default",
            "-b",
            "4096",
            "-m",
            "1",
            "-L",
            "cluster-lab",
        ])
        .args(["-O", FEATURES, "-U", &identity.root_uuid(), "-E", &extended, "-d"])
        .arg(root)
        .arg(file)
        .arg(format!("{}k", size / 1024))
        .env("SOURCE_DATE_EPOCH", epoch)
        .env("E2FSPROGS_FAKE_TIME", epoch);
    MKE2FS
        .run(&mut format)
        .context("making the root partition")
        .map(drop)
}

/// Bytes in whole blocks of everything below a folder; hard links count once.
fn used_by(folder: &Path) -> std::io::Result<u64> {
    let mut total = 0;
    let mut links = std::collections::BTreeSet::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            if metadata.nlink() < 2 || metadata.is_dir() || links.insert(metadata.ino()) {
                total += metadata.len().next_multiple_of(4096);
            }
            if metadata.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    Ok(total)
}

fn place(part: &Path, output: &mut File, offset: u64) -> Result<()> {
    let doing = || format!("placing {}", part.display());
    let mut source = File::open(part).with_context(doing)?;
    write_sparse(&mut source, output, offset).with_context(doing)?;
    std::fs::remove_file(part).with_context(doing)
}

fn write_table(identity: &Identity, output: &mut File, boot_size: u64, root_size: u64) -> Result<()> {
    let partition = |kind, start: u64, size: u64| -> Result<_> {
        Ok(mbrman::MBRPartitionEntry {
            boot: mbrman::BOOT_INACTIVE,
            first_chs: mbrman::CHS::empty(),
            sys: kind,
            last_chs: mbrman::CHS::empty(),
            starting_lba: u32::try_from(start / u64::from(SECTOR))?,
            sectors: u32::try_from(size / u64::from(SECTOR))?,
        })
    };
    let mut table = mbrman::MBR::new_from(output, SECTOR, identity.disk_signature())?;
    // FAT32 with LBA, and Linux.
    table[1] = partition(0x0c, ALIGN, boot_size)?;
    table[2] = partition(0x83, ALIGN + boot_size, root_size)?;
    output.seek(SeekFrom::Start(0))?;
    table.write_into(output)?;
    Ok(())
}
