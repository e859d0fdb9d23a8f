//! Free blocks of ext4 (the kernel's Documentation/filesystems/ext4: super, group_descr, bitmaps).

use super::{u16_at, u32_at};

const MAGIC: u16 = 0xef53;
/// Where the superblock starts.
const SUPER: usize = 1024;
/// Incompatible features under which the bitmaps mean what they say here: file types, extents, 64 bit, flexible groups,
/// values in inodes, seed of checksums, large folders, inline data, encryption, case folding.
const INCOMPAT_KNOWN: u32 =
    0x2 | 0x40 | 0x80 | 0x200 | 0x400 | 0x2000 | 0x4000 | 0x8000 | 0x1_0000 | 0x2_0000;
const INCOMPAT_64BIT: u32 = 0x80;
/// Snapshots and bigalloc: the bits are not blocks.
const RO_COMPAT_OTHER_BITS: u32 = 0x80 | 0x200;
const RO_COMPAT_SPARSE: u32 = 0x1;
/// The group's bitmap was never written.
const BLOCK_UNINIT: u16 = 0x2;
/// 512 GiB with groups of 128 MiB.
const GROUPS_MAX: u64 = 4096;

#[derive(Debug)]
pub(super) struct Ext4 {
    block: u64,
    blocks: u64,
    first: u64,
    per_group: u64,
    descriptor: u64,
    /// Blocks kept for more descriptors, behind each copy of them.
    reserved: u64,
    /// Blocks of a group's inodes.
    inode_table: u64,
    /// Not every group has a copy of the superblock.
    sparse: bool,
    groups: Vec<Group>,
}

/// What is said about a group.
#[derive(Debug)]
struct Descriptor {
    bitmap: u64,
    inode_bitmap: u64,
    inode_table: u64,
    free: u64,
    is_uninit: bool,
}

impl Descriptor {
    fn parse(bytes: &[u8], wide: bool) -> Self {
        let number = |low, high| {
            let high = if wide {
                u64::from(u32_at(bytes, high)) << 32
            } else {
                0
            };
            u64::from(u32_at(bytes, low)) | high
        };
        let free_high = if wide {
            u64::from(u16_at(bytes, 0x2c)) << 16
        } else {
            0
        };
        Self {
            bitmap: number(0x0, 0x20),
            inode_bitmap: number(0x4, 0x24),
            inode_table: number(0x8, 0x28),
            free: u64::from(u16_at(bytes, 0xc)) | free_high,
            is_uninit: u16_at(bytes, 0x12) & BLOCK_UNINIT != 0,
        }
    }
}

#[derive(Clone, Debug, Default)]
struct Group {
    free: u64,
    bitmap: Option<Vec<u8>>,
}

impl Ext4 {
    /// From the first bytes of a partition.
    pub(super) fn parse(start: &[u8], length: u64) -> Option<Self> {
        let superblock = start.get(SUPER..)?;
        let (incompat, ro_compat) = (u32_at(superblock, 96), u32_at(superblock, 100));
        if u16_at(superblock, 56) != MAGIC
            || incompat & !INCOMPAT_KNOWN != 0
            || ro_compat & RO_COMPAT_OTHER_BITS != 0
        {
            return None;
        }
        let is_64bit = incompat & INCOMPAT_64BIT != 0;
        let high = if is_64bit {
            u64::from(u32_at(superblock, 0x150)) << 32
        } else {
            0
        };
        let shift = u32_at(superblock, 24);
        let this = Self {
            block: 1024_u64.checked_shl(shift).filter(|_| shift <= 6)?,
            blocks: u64::from(u32_at(superblock, 4)) | high,
            first: u64::from(u32_at(superblock, 20)),
            per_group: u64::from(u32_at(superblock, 32)),
            descriptor: if is_64bit {
                u64::from(u16_at(superblock, 254))
            } else {
                32
            },
            reserved: u64::from(u16_at(superblock, 206)),
            inode_table: 0,
            sparse: ro_compat & RO_COMPAT_SPARSE != 0,
            groups: Vec::new(),
        };
        let inodes = u64::from(u32_at(superblock, 40)) * u64::from(u16_at(superblock, 88).max(128));
        let groups = this
            .blocks
            .checked_sub(this.first)?
            .div_ceil(this.per_group.max(1));
        let sound = (1..=8 * this.block).contains(&this.per_group)
            && this.per_group.is_multiple_of(8)
            && (32..=1024).contains(&this.descriptor)
            && (!is_64bit || this.descriptor >= 64)
            && (1..=GROUPS_MAX).contains(&groups)
            && this.first <= 1
            && this
                .blocks
                .checked_mul(this.block)
                .is_some_and(|bytes| bytes <= length);
        let groups = vec![Group::default(); usize::try_from(groups).ok()?];
        sound.then_some(Self {
            groups,
            inode_table: inodes.div_ceil(this.block),
            ..this
        })
    }

    /// Where the group descriptors are in the partition.
    pub(super) fn descriptors(&self) -> (u64, u64) {
        (
            (self.first + 1) * self.block,
            self.groups.len() as u64 * self.descriptor,
        )
    }

    /// Takes the descriptors; gives groups and places of their bitmaps.
    pub(super) fn learn_descriptors(&mut self, bytes: &[u8]) -> Vec<(usize, u64, u64)> {
        let size = usize::try_from(self.descriptor).unwrap_or(32);
        let descriptors: Vec<Descriptor> = bytes
            .chunks_exact(size)
            .map(|bytes| Descriptor::parse(bytes, size >= 64))
            .collect();
        let mut bitmaps = Vec::new();
        for (number, descriptor) in descriptors.iter().enumerate().take(self.groups.len()) {
            self.groups[number].free = descriptor.free;
            if descriptor.is_uninit {
                let bitmap = self.implied_bitmap(number, &descriptors);
                self.learn_bitmap(number, &bitmap);
            } else if (1..self.blocks).contains(&descriptor.bitmap) {
                bitmaps.push((number, descriptor.bitmap * self.block, self.per_group / 8));
            }
        }
        bitmaps
    }

    /// The bitmap of a group that has none: all is free but what the file system itself keeps there.
    fn implied_bitmap(&self, number: usize, descriptors: &[Descriptor]) -> Vec<u8> {
        let from = self.first + number as u64 * self.per_group;
        let mut bitmap = vec![0; usize::try_from(self.per_group / 8).unwrap_or(0)];
        let mut take = |start: u64, count: u64| {
            let bits = (start.max(from)..start.saturating_add(count)).map(|block| block - from);
            for bit in bits.take_while(|&bit| bit < self.per_group) {
                if let Some(byte) = usize::try_from(bit / 8)
                    .ok()
                    .and_then(|byte| bitmap.get_mut(byte))
                {
                    *byte |= 1 << (bit % 8);
                }
            }
        };
        if self.has_superblock(number) {
            let table = (self.groups.len() as u64 * self.descriptor).div_ceil(self.block);
            take(from, 1 + table + self.reserved);
        }
        for descriptor in descriptors {
            take(descriptor.bitmap, 1);
            take(descriptor.inode_bitmap, 1);
            take(descriptor.inode_table, self.inode_table);
        }
        bitmap
    }

    /// Copies of the superblock are in groups 0, 1 and powers of 3, 5 and 7, or in all.
    fn has_superblock(&self, number: usize) -> bool {
        let is_power = |base: usize| {
            let mut power = base;
            while power < number {
                power *= base;
            }
            power == number
        };
        !self.sparse || number <= 1 || [3, 5, 7].into_iter().any(is_power)
    }

    /// Takes a bitmap, if it says what the descriptor says.
    pub(super) fn learn_bitmap(&mut self, number: usize, bytes: &[u8]) {
        let from = self.first + number as u64 * self.per_group;
        let count = self.per_group.min(self.blocks.saturating_sub(from));
        let is_free = |bit: u64| usize::try_from(bit / 8).is_ok_and(|byte| bytes[byte] >> (bit % 8) & 1 == 0);
        let free = (0..count).filter(|&bit| is_free(bit)).count() as u64;
        if let Some(group) = self.groups.get_mut(number).filter(|group| group.free == free) {
            group.bitmap = Some(bytes.to_owned());
        }
    }

    /// Of bytes from the start of the partition.
    pub(super) fn is_free(&self, start: u64, end: u64) -> bool {
        let blocks = start / self.block..end.div_ceil(self.block);
        blocks.end <= self.blocks
            && blocks.into_iter().all(|block| {
                let Some(bit) = block.checked_sub(self.first) else {
                    return false;
                };
                let group = usize::try_from(bit / self.per_group)
                    .ok()
                    .and_then(|group| self.groups.get(group));
                let bit = bit % self.per_group;
                let byte = usize::try_from(bit / 8).unwrap_or(usize::MAX);
                group
                    .and_then(|group| group.bitmap.as_ref())
                    .and_then(|bitmap| bitmap.get(byte))
                    .is_some_and(|byte| byte >> (bit % 8) & 1 == 0)
            })
    }
}
