//! What the superblock of an ext4 file system says about it, also of one that is refused.

use std::io::{Read, Seek, Write};

use fs_ext4::Superblock;
use fs_ext4::features::{SUPPORTED_INCOMPAT, unmaintained_ro_compat, write_breaking_incompat};

use super::device::Window;
use super::error::Ext4Error;
use crate::mbr::Partition;

/// An ext4 file system at a glance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Its label, often empty.
    pub label: String,
    /// Bytes of a block.
    pub block_size: u32,
    /// Bytes that new files may still take, without those reserved for root.
    pub free: u64,
    /// Files that may still be made.
    pub free_inodes: u32,
    /// Whether it was unmounted as it should be.
    pub clean: bool,
    /// Names of its features, as dumpe2fs has them.
    pub features: Vec<String>,
    /// Those of them with which it cannot be changed here.
    pub unwritable: Vec<String>,
}

const NEEDS_RECOVERY: u32 = 0x4;
const ORPHAN_PRESENT: u32 = 0x1_0000;

const COMPATIBLE: [(u32, &str); 8] = [
    (0x4, "has_journal"),
    (0x8, "ext_attr"),
    (0x10, "resize_inode"),
    (0x20, "dir_index"),
    (0x200, "sparse_super2"),
    (0x400, "fast_commit"),
    (0x800, "stable_inodes"),
    (0x1000, "orphan_file"),
];
const INCOMPATIBLE: [(u32, &str); 16] = [
    (0x1, "compression"),
    (0x2, "filetype"),
    (NEEDS_RECOVERY, "needs_recovery"),
    (0x8, "journal_dev"),
    (0x10, "meta_bg"),
    (0x40, "extent"),
    (0x80, "64bit"),
    (0x100, "mmp"),
    (0x200, "flex_bg"),
    (0x400, "ea_inode"),
    (0x1000, "dirdata"),
    (0x2000, "metadata_csum_seed"),
    (0x4000, "large_dir"),
    (0x8000, "inline_data"),
    (0x1_0000, "encrypt"),
    (0x2_0000, "casefold"),
];
const READ_ONLY_COMPATIBLE: [(u32, &str); 14] = [
    (0x1, "sparse_super"),
    (0x2, "large_file"),
    (0x8, "huge_file"),
    (0x10, "uninit_bg"),
    (0x20, "dir_nlink"),
    (0x40, "extra_isize"),
    (0x100, "quota"),
    (0x200, "bigalloc"),
    (0x400, "metadata_csum"),
    (0x800, "replica"),
    (0x1000, "read-only"),
    (0x2000, "project"),
    (0x8000, "verity"),
    (ORPHAN_PRESENT, "orphan_present"),
];

impl Summary {
    /// Of the file system in `partition` of `disk`.
    ///
    /// # Errors
    /// When there is no ext4.
    pub fn read<D: Read + Write + Seek + Send>(disk: D, partition: &Partition) -> Result<Self, Ext4Error> {
        let window = Window::new(disk, partition);
        let superblock = Superblock::read(&window).map_err(|reason| Ext4Error::NotExt4 {
            number: partition.number,
            reason: reason.to_string(),
        })?;
        let (incompatible, read_only) = (superblock.feature_incompat, superblock.feature_ro_compat);
        let free = superblock
            .free_blocks_count
            .saturating_sub(superblock.r_blocks_count);
        let dirty = incompatible & NEEDS_RECOVERY != 0 || read_only & ORPHAN_PRESENT != 0;
        let mut features = names(superblock.feature_compat, &COMPATIBLE);
        features.extend(names(incompatible, &INCOMPATIBLE));
        features.extend(names(read_only, &READ_ONLY_COMPATIBLE));
        let breaking = write_breaking_incompat(incompatible) | incompatible & !SUPPORTED_INCOMPAT;
        let mut unwritable = names(breaking, &INCOMPATIBLE);
        // Left by a crash, and gone when that is repaired.
        let unmaintained = unmaintained_ro_compat(read_only) & !ORPHAN_PRESENT;
        unwritable.extend(names(unmaintained, &READ_ONLY_COMPATIBLE));
        Ok(Self {
            label: superblock.volume_name.clone(),
            block_size: superblock.block_size(),
            free: free.saturating_mul(superblock.block_size().into()),
            free_inodes: superblock.free_inodes_count,
            clean: superblock.is_clean() && superblock.last_orphan == 0 && !dirty,
            features,
            unwritable,
        })
    }
}

/// Names of the bits that are set; an unknown one is called by its number.
fn names(bits: u32, known: &[(u32, &str)]) -> Vec<String> {
    let set = (0..32).map(|shift| 1 << shift).filter(|bit| bits & bit != 0);
    set.map(|bit| match known.iter().find(|(known, _)| *known == bit) {
        Some((_, name)) => (*name).to_owned(),
        None => format!("unknown feature {bit:#x}"),
    })
    .collect()
}
