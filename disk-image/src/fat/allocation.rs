//! Which bytes of a FAT partition count: everything before the clusters, and the clusters that the first FAT calls used
//! (Microsoft's FAT specification, sections 3 and 4).

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

use super::FatError;
use crate::mbr::Partition;
use crate::ranges::merge;

/// Where things are, in bytes from the start of the partition.
#[derive(Debug, PartialEq, Eq)]
struct Layout {
    fat: u64,
    fat_length: u64,
    clusters: u64,
    cluster: u64,
    count: u64,
    total: u64,
}

impl Layout {
    /// From the boot sector, `None` when it makes no sense.
    fn parse(sector: &[u8; 512]) -> Option<Self> {
        let word = |at: usize| u64::from(u16::from_le_bytes([sector[at], sector[at + 1]]));
        let long = |at: usize| word(at) | word(at + 2) << 16;
        let either = |short: usize, long_at: usize| match word(short) {
            0 => long(long_at),
            number => number,
        };
        let bytes = word(11);
        if !matches!(bytes, 512 | 1024 | 2048 | 4096) || sector[13] == 0 || sector[16] == 0 {
            return None;
        }
        let (reserved, fat_sectors) = (word(14), either(22, 36));
        let folder = (word(17) * 32).div_ceil(bytes);
        let clusters = reserved + u64::from(sector[16]) * fat_sectors + folder;
        let total = either(19, 32);
        let count = total.checked_sub(clusters)? / u64::from(sector[13]);
        Some(Self {
            fat: reserved * bytes,
            fat_length: fat_sectors * bytes,
            clusters: clusters * bytes,
            cluster: u64::from(sector[13]) * bytes,
            count,
            total: total * bytes,
        })
    }

    /// The kind of FAT, which follows from the number of clusters alone.
    fn bits(&self) -> u8 {
        match self.count {
            ..4085 => 12,
            4085..65525 => 16,
            _ => 32,
        }
    }

    /// Whether a cluster is used; the first one is number 2.
    fn is_used(&self, fat: &[u8], cluster: u64) -> bool {
        let byte = |at: u64| {
            let at = usize::try_from(at).unwrap_or(usize::MAX);
            // What the FAT is too short for counts as used.
            u32::from(fat.get(at).copied().unwrap_or(0xff))
        };
        match self.bits() {
            12 => {
                let at = cluster + cluster / 2;
                let pair = byte(at) | byte(at + 1) << 8;
                (if cluster.is_multiple_of(2) {
                    pair & 0xfff
                } else {
                    pair >> 4
                }) != 0
            }
            16 => byte(2 * cluster) | byte(2 * cluster + 1) != 0,
            // The upper four bits are reserved.
            _ => {
                byte(4 * cluster)
                    | byte(4 * cluster + 1)
                    | byte(4 * cluster + 2)
                    | byte(4 * cluster + 3) & 0xf
                    != 0
            }
        }
    }
}

/// Bytes of `disk` that must be there for the file system in `partition` to be whole, sorted.
///
/// # Errors
/// [`FatError::NotFat`].
pub fn in_use(mut disk: impl Read + Seek, partition: &Partition) -> Result<Vec<Range<u64>>, FatError> {
    let not_fat = |error| FatError::NotFat {
        number: partition.number,
        error,
    };
    let layout = layout(&mut disk, partition)
        .map_err(not_fat)?
        .filter(|layout| {
            layout.total <= partition.length && layout.fat + layout.fat_length <= layout.clusters
        })
        .ok_or_else(|| not_fat(io::Error::other("its boot sector makes no sense")))?;
    let mut fat = vec![0; usize::try_from(layout.fat_length).unwrap_or(0)];
    read(&mut disk, partition.start + layout.fat, &mut fat).map_err(not_fat)?;
    let end = layout.clusters + layout.count * layout.cluster;
    // The sectors after the last cluster belong to nobody; they are few.
    let mut ranges = vec![0..layout.clusters, end..partition.length];
    for cluster in (0..layout.count).filter(|cluster| layout.is_used(&fat, cluster + 2)) {
        let start = layout.clusters + cluster * layout.cluster;
        ranges.push(start..start + layout.cluster);
    }
    let ranges = merge(ranges);
    let shift = |range: Range<u64>| partition.start + range.start..partition.start + range.end;
    Ok(ranges.into_iter().map(shift).collect())
}

/// 12, 16 or 32: the kind of FAT in a partition.
///
/// # Errors
/// [`FatError::NotFat`].
pub fn bits(mut disk: impl Read + Seek, partition: &Partition) -> Result<u8, FatError> {
    let number = partition.number;
    let layout = layout(&mut disk, partition).map_err(|error| FatError::NotFat { number, error })?;
    let nonsense = || FatError::NotFat {
        number,
        error: io::Error::other("its boot sector makes no sense"),
    };
    layout.map(|layout| layout.bits()).ok_or_else(nonsense)
}

fn layout(disk: &mut (impl Read + Seek), partition: &Partition) -> io::Result<Option<Layout>> {
    let mut sector = [0; 512];
    read(disk, partition.start, &mut sector)?;
    Ok(Layout::parse(&sector))
}

fn read(disk: &mut (impl Read + Seek), at: u64, bytes: &mut [u8]) -> io::Result<()> {
    disk.seek(SeekFrom::Start(at))?;
    disk.read_exact(bytes)
}
