//! Which bytes of an ext4 partition count: what its own bitmaps call used, and all of its metadata.
//!
//! Holes of an image file are no substitute. A block bitmap that is all zeros may be a hole; a card that keeps its old
//! bytes there has another bitmap.

use std::io::{Read, Seek, Write};
use std::ops::Range;

use fs_ext4::Superblock;
use fs_ext4::bgd::{self, BgdFlags, BlockGroupDescriptor};
use fs_ext4::block_io::BlockDevice as _;
use fs_ext4::checksum::Checksummer;

use super::device::Window;
use super::error::{Ext4Error, failed};
use crate::mbr::Partition;
use crate::ranges::merge;

/// Bitmaps count clusters instead of blocks.
const BIGALLOC: u32 = 0x200;

/// Bytes of `disk` that must be there for the file system in `partition` to be whole, sorted.
///
/// # Errors
/// When there is no ext4, or one that makes no sense.
pub fn in_use<D: Read + Write + Seek + Send>(
    disk: D,
    partition: &Partition,
) -> Result<Vec<Range<u64>>, Ext4Error> {
    let window = Window::new(disk, partition);
    let damaged = |reason: fs_ext4::Error| Ext4Error::NotExt4 {
        number: partition.number,
        reason: reason.to_string(),
    };
    let superblock = Superblock::read(&window).map_err(damaged)?;
    superblock.check_fits_device(partition.length).map_err(damaged)?;
    if superblock.feature_ro_compat & BIGALLOC != 0 {
        return Ok(std::iter::once(partition.start..partition.end()).collect());
    }
    let checksums = Checksummer::from_superblock(&superblock);
    let groups = bgd::read_all(&window, &superblock, &checksums).map_err(damaged)?;
    // Before the first block of a file system with blocks of 1 KiB is a boot sector.
    let boot_sector = 0..u64::from(superblock.first_data_block);
    let mut blocks = Vec::from([boot_sector]);
    for (number, group) in (0..).zip(&groups) {
        blocks.extend(metadata(&superblock, number, group));
        if !group.flags().contains(BgdFlags::BLOCK_UNINIT) {
            let mut bitmap = vec![0; superblock.block_size() as usize];
            window
                .read_at(
                    group.block_bitmap * u64::from(superblock.block_size()),
                    &mut bitmap,
                )
                .map_err(|error| failed("reading the block bitmap of", "/", error))?;
            used(&superblock, number, &bitmap, &mut blocks);
        }
    }
    let size = u64::from(superblock.block_size());
    let bytes = |block: u64| partition.start + (block * size).min(partition.length);
    let ranges = merge(blocks)
        .into_iter()
        .map(|range| bytes(range.start)..bytes(range.end));
    Ok(merge(ranges.collect()))
}

/// First block of a group.
fn start(superblock: &Superblock, group: u64) -> u64 {
    u64::from(superblock.first_data_block) + group * u64::from(superblock.blocks_per_group)
}

/// Copies of the superblock and the descriptors, bitmaps and inode tables: there whatever the bitmap says.
fn metadata(superblock: &Superblock, number: u64, group: &BlockGroupDescriptor) -> [Range<u64>; 4] {
    let head = start(superblock, number);
    let table = u64::from(superblock.inodes_per_group) * u64::from(superblock.inode_size);
    let table = table.div_ceil(superblock.block_size().into());
    [
        head..head + superblock.group_head_metadata_blocks(number),
        group.block_bitmap..group.block_bitmap + 1,
        group.inode_bitmap..group.inode_bitmap + 1,
        group.inode_table..group.inode_table + table,
    ]
}

fn used(superblock: &Superblock, number: u64, bitmap: &[u8], blocks: &mut Vec<Range<u64>>) {
    let head = start(superblock, number);
    let length = u64::from(superblock.blocks_per_group).min(superblock.blocks_count.saturating_sub(head));
    let mut run = head..head;
    for (byte, at) in bitmap.iter().zip((head..head + length).step_by(8)) {
        for bit in (0..8).filter(|bit| byte & (1 << bit) != 0) {
            let block = at + bit;
            if block >= head + length {
                break;
            }
            if block != run.end {
                blocks.push(run);
                run = block..block;
            }
            run.end = block + 1;
        }
    }
    blocks.push(run);
}
