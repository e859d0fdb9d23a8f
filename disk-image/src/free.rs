//! Which parts of an image its file systems call free, found out while the image passes by from its start to its end.
//!
//! A block that is free need not be written to a card: nothing reads it before it is written again. Only what is sure
//! counts: FAT16 and FAT32 by their first table, ext4 by block bitmaps that agree with their group's count of free
//! blocks. File systems with a journal to be replayed, with features that are not known here, or with tables that come
//! after what they describe, have nothing free.

mod ext4;
mod fat;

use crate::mbr::Mbr;

/// What is known so far.
#[derive(Debug)]
pub struct FreeMap {
    parts: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    start: u64,
    end: u64,
    /// Bytes that say something, as far as they have passed by.
    awaited: Vec<Region>,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// Its first bytes have not passed by yet.
    Unknown,
    /// Nothing in it is known to be free.
    Nothing,
    Ext4(ext4::Ext4),
    Fat(fat::Fat),
}

/// Bytes of the partition that are waited for.
#[derive(Debug)]
struct Region {
    purpose: Purpose,
    /// From the start of the disk.
    at: u64,
    bytes: Vec<u8>,
    filled: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// Boot sector and superblock.
    Start,
    /// The group descriptors of ext4, or the table of FAT.
    Table,
    /// The block bitmap of a group of ext4.
    Bitmap(usize),
}

/// Boot sector of FAT, superblock of ext4.
const START_LEN: usize = 2048;
/// Larger tables belong to no card.
const TABLE_MAX: u64 = 256 * 1024 * 1024;

impl FreeMap {
    /// Nothing is known to be free yet.
    pub fn new(table: &Mbr) -> Self {
        let part = |partition: &crate::mbr::Partition| Part {
            start: partition.start,
            end: partition.end(),
            awaited: vec![Region::new(Purpose::Start, partition.start, START_LEN)],
            kind: Kind::Unknown,
        };
        Self {
            parts: table.partitions.iter().map(part).collect(),
        }
    }

    /// No part of the image is ever called free.
    pub fn none() -> Self {
        Self { parts: Vec::new() }
    }

    /// Takes note of the next bytes of the image, which start at `at`. In order and without gaps.
    pub fn observe(&mut self, at: u64, bytes: &[u8]) {
        let end = at + bytes.len() as u64;
        for part in &mut self.parts {
            if part.start < end && at < part.end {
                part.observe(at, bytes);
            }
        }
    }

    /// Whether all of `start..end` is free. Asked when these bytes have passed by.
    pub fn is_free(&self, start: u64, end: u64) -> bool {
        let part = self
            .parts
            .iter()
            .find(|part| part.start <= start && end <= part.end);
        part.is_some_and(|part| {
            let (start, end) = (start - part.start, end - part.start);
            match &part.kind {
                Kind::Unknown | Kind::Nothing => false,
                Kind::Ext4(ext4) => ext4.is_free(start, end),
                Kind::Fat(fat) => fat.is_free(start, end),
            }
        })
    }
}

impl Part {
    fn observe(&mut self, at: u64, bytes: &[u8]) {
        loop {
            self.awaited.iter_mut().for_each(|region| region.feed(at, bytes));
            let whole = self
                .awaited
                .iter()
                .position(|region| region.filled == region.bytes.len());
            let Some(whole) = whole else {
                return;
            };
            // What it asks for may lie in these same bytes.
            let region = self.awaited.swap_remove(whole);
            self.learn(region.purpose, &region.bytes);
        }
    }

    fn learn(&mut self, purpose: Purpose, bytes: &[u8]) {
        match (purpose, &mut self.kind) {
            (Purpose::Start, _) => {
                let length = self.end - self.start;
                let ext4 = ext4::Ext4::parse(bytes, length).map(Kind::Ext4);
                self.kind = ext4
                    .or_else(|| fat::Fat::parse(bytes, length).map(Kind::Fat))
                    .unwrap_or(Kind::Nothing);
                let (at, len) = match &self.kind {
                    Kind::Ext4(ext4) => ext4.descriptors(),
                    Kind::Fat(fat) => fat.table(),
                    Kind::Unknown | Kind::Nothing => return,
                };
                self.await_region(Purpose::Table, at, len);
            }
            (Purpose::Table, Kind::Ext4(ext4)) => {
                for (group, at, len) in ext4.learn_descriptors(bytes) {
                    self.await_region(Purpose::Bitmap(group), at, len);
                }
            }
            (Purpose::Table, Kind::Fat(fat)) => fat.learn_table(bytes),
            (Purpose::Bitmap(group), Kind::Ext4(ext4)) => ext4.learn_bitmap(group, bytes),
            _ => {}
        }
    }

    /// `at` is from the start of the partition.
    fn await_region(&mut self, purpose: Purpose, at: u64, len: u64) {
        let inside = at
            .checked_add(len)
            .is_some_and(|end| end <= self.end - self.start);
        if let (true, true, Ok(len)) = (inside, (1..=TABLE_MAX).contains(&len), usize::try_from(len)) {
            self.awaited.push(Region::new(purpose, self.start + at, len));
        }
    }
}

impl Region {
    fn new(purpose: Purpose, at: u64, len: usize) -> Self {
        Self {
            purpose,
            at,
            bytes: vec![0; len],
            filled: 0,
        }
    }

    /// Takes what it still needs, if it is next. What passed by before it was asked for never comes again.
    fn feed(&mut self, at: u64, bytes: &[u8]) {
        let needed = self.at + self.filled as u64;
        let offset = needed
            .checked_sub(at)
            .and_then(|offset| usize::try_from(offset).ok());
        if let Some(found) = offset.and_then(|offset| bytes.get(offset..)) {
            let count = found.len().min(self.bytes.len() - self.filled);
            self.bytes[self.filled..self.filled + count].copy_from_slice(&found[..count]);
            self.filled += count;
        }
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes
        .get(at..at + 2)
        .map_or(0, |two| u16::from_le_bytes([two[0], two[1]]))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}
