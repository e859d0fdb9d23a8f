//! Free clusters of FAT16 and FAT32 (Microsoft's FAT specification, sections 3 and 4).

use super::{u16_at, u32_at};

#[derive(Debug)]
pub(super) struct Fat {
    cluster: u64,
    /// Where cluster 2 is.
    data: u64,
    clusters: u64,
    table: u64,
    is_32: bool,
    /// A bit for each cluster that is free.
    free: Vec<bool>,
}

impl Fat {
    /// From the first bytes of a partition.
    pub(super) fn parse(start: &[u8], length: u64) -> Option<Self> {
        let byte = |at: usize| u64::from(start[at]);
        let sector = u64::from(u16_at(start, 11));
        let (per_cluster, reserved, tables) = (byte(13), u64::from(u16_at(start, 14)), byte(16));
        let either = |short: usize, long: usize| match u16_at(start, short) {
            0 => u64::from(u32_at(start, long)),
            short => u64::from(short),
        };
        let (sectors, table_sectors) = (either(19, 32), either(22, 36));
        let sound = u16_at(start, 510) == 0xaa55
            && [512, 1024, 2048, 4096].contains(&sector)
            && per_cluster.is_power_of_two()
            && reserved > 0
            && (1..=2).contains(&tables)
            && sectors.checked_mul(sector).is_some_and(|bytes| bytes <= length);
        if !sound {
            return None;
        }
        let root = (u64::from(u16_at(start, 17)) * 32).div_ceil(sector);
        let data = reserved + tables * table_sectors + root;
        let clusters = sectors.checked_sub(data)? / per_cluster;
        // The specification's own bounds; FAT12 is too small to matter.
        let is_32 = clusters >= 65_525;
        let table_holds = table_sectors * sector / if is_32 { 4 } else { 2 };
        (clusters >= 4085 && table_holds >= clusters + 2).then(|| Self {
            cluster: per_cluster * sector,
            data: data * sector,
            clusters,
            table: reserved * sector,
            is_32,
            free: Vec::new(),
        })
    }

    /// Where the first table is in the partition.
    pub(super) fn table(&self) -> (u64, u64) {
        (self.table, (self.clusters + 2) * if self.is_32 { 4 } else { 2 })
    }

    /// Takes the first table.
    pub(super) fn learn_table(&mut self, bytes: &[u8]) {
        self.free = if self.is_32 {
            let entries = bytes.chunks_exact(4).skip(2);
            entries.map(|entry| u32_at(entry, 0) & 0x0fff_ffff == 0).collect()
        } else {
            bytes
                .chunks_exact(2)
                .skip(2)
                .map(|entry| u16_at(entry, 0) == 0)
                .collect()
        };
    }

    /// Of bytes from the start of the partition.
    pub(super) fn is_free(&self, start: u64, end: u64) -> bool {
        let Some(from) = start.checked_sub(self.data) else {
            return false;
        };
        let clusters = from / self.cluster..(end - self.data).div_ceil(self.cluster);
        clusters.into_iter().all(|cluster| {
            let free = usize::try_from(cluster)
                .ok()
                .and_then(|cluster| self.free.get(cluster));
            free.is_some_and(|free| *free)
        })
    }
}
