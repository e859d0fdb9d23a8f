//! The partition table in the first sector of a card (MBR, as Raspberry Pis boot from).
//!
//! Pure: a sector in, partitions or one clear reason out. It knows the four primary entries only; an extended
//! partition is listed as one partition, what is inside it is not looked at. GPT is told apart and refused.

/// Bytes of a sector. MBR counts in sectors of 512 on every SD card and USB drive that a Pi boots from.
pub const SECTOR_LEN: u64 = 512;

/// The sector that holds the table.
pub type Sector = [u8; 512];

const SIGNATURE_AT: usize = 0x1b8;
const ENTRIES_AT: usize = 0x1be;
const ENTRY_LEN: usize = 16;
const START_IN_ENTRY: usize = 8;
const LENGTH_IN_ENTRY: usize = 12;
const MAGIC_AT: usize = 510;

const TYPE_EMPTY: u8 = 0x00;
const TYPE_GPT_PROTECTIVE: u8 = 0xee;
const TYPES_EXTENDED: [u8; 3] = [0x05, 0x0f, 0x85];
const TYPES_FAT: [u8; 6] = [0x01, 0x04, 0x06, 0x0b, 0x0c, 0x0e];

/// A sound partition table with at least one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mbr {
    /// The disk signature, which Linux makes the first half of a PARTUUID.
    pub signature: u32,
    /// The partitions in the order of their numbers. Never empty.
    pub partitions: Vec<Partition>,
}

/// A primary partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partition {
    /// 1 to 4: its place in the table, as in `mmcblk0p2`.
    pub number: u8,
    /// The type byte, such as 0x0c (FAT32) or 0x83 (Linux).
    pub kind: u8,
    /// Where it starts, in bytes from the start of the disk.
    pub start: u64,
    /// Its length in bytes.
    pub length: u64,
}

/// What [`grow_last`] changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Growth {
    /// The partition as it is now.
    pub partition: Partition,
    /// Its length in bytes before.
    pub old_length: u64,
}

/// Why a first sector is no usable partition table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MbrError {
    /// No magic number, a bare file system, or not one partition.
    #[error("there is no partition table in the first sector: this is not a card image")]
    NoTable,
    /// A GUID partition table.
    #[error(
        "the disk has a GPT partition table; only MBR tables, as Raspberry Pi images have, are supported"
    )]
    Gpt,
    /// A used entry of length zero.
    #[error("partition {0} has a length of zero: the partition table is damaged")]
    ZeroLength(u8),
    /// A partition that contains the table itself.
    #[error("partition {0} starts at the partition table itself: the table is damaged")]
    OverTable(u8),
    /// Two partitions share sectors.
    #[error("partitions {0} and {1} overlap: the partition table is damaged")]
    Overlap(u8, u8),
    /// A partition reaches past the end of the disk or image.
    #[error(
        "partition {number} ends at byte {end} but there are only {disk_len} bytes: the image is cut short or the disk too small"
    )]
    BeyondEnd {
        /// Its number.
        number: u8,
        /// First byte after it.
        end: u64,
        /// Bytes there are.
        disk_len: u64,
    },
    /// The last partition holds logical partitions, which would have to grow too.
    #[error("partition {0} is an extended partition and cannot be grown")]
    Extended(u8),
}

impl Partition {
    /// First byte after the partition.
    pub fn end(&self) -> u64 {
        self.start + self.length
    }

    /// Whether the type byte says FAT.
    pub fn is_fat(&self) -> bool {
        TYPES_FAT.contains(&self.kind)
    }
}

impl Mbr {
    /// Reads and validates a table. `disk_len` is the length of the disk or image in bytes; where that is not known
    /// (a stream), `None` leaves out the check for partitions beyond the end.
    ///
    /// # Errors
    /// On the first thing that makes the table unusable.
    pub fn parse(sector: &Sector, disk_len: Option<u64>) -> Result<Self, MbrError> {
        if sector[MAGIC_AT..] != [0x55, 0xaa] {
            return Err(MbrError::NoTable);
        }
        let mut partitions = Vec::new();
        for number in 1..=4 {
            let entry = &sector[entry_at(number)..][..ENTRY_LEN];
            // The kernel's own test (block/partitions/msdos.c) that tells a table from a bare FAT boot sector.
            if !matches!(entry[0], 0x00 | 0x80) {
                return Err(MbrError::NoTable);
            }
            match entry[4] {
                TYPE_EMPTY => continue,
                TYPE_GPT_PROTECTIVE => return Err(MbrError::Gpt),
                kind => partitions.push(Partition {
                    number,
                    kind,
                    start: sectors(entry, START_IN_ENTRY) * SECTOR_LEN,
                    length: sectors(entry, LENGTH_IN_ENTRY) * SECTOR_LEN,
                }),
            }
        }
        check(&partitions, disk_len)?;
        let signature = [0, 1, 2, 3].map(|i| sector[SIGNATURE_AT + i]);
        Ok(Self {
            signature: u32::from_le_bytes(signature),
            partitions,
        })
    }

    /// The PARTUUID that Linux gives a partition of this disk, such as `1a2b3c4d-02`.
    pub fn partuuid(&self, number: u8) -> String {
        format!("{:08x}-{number:02x}", self.signature)
    }

    /// The boot partition: the first one that is FAT.
    pub fn boot_partition(&self) -> Option<&Partition> {
        self.partitions.iter().find(|partition| partition.is_fat())
    }

    /// The partition that ends last on the disk, whatever its number.
    pub fn last(&self) -> Option<&Partition> {
        self.partitions.iter().max_by_key(|partition| partition.start)
    }

    /// First byte after the last partition: the least that a disk must hold.
    pub fn end(&self) -> u64 {
        self.last().map_or(0, Partition::end)
    }
}

/// Lets the last partition reach the end of a disk of `disk_len` bytes (at most the 2 TiB that the table can say).
/// Only the four bytes of its length change: the disk signature, and with it `root=PARTUUID=`, stays.
///
/// `None` when there is nothing to grow into.
///
/// # Errors
/// As [`Mbr::parse`], and for an extended partition. The sector is unchanged then.
pub fn grow_last(sector: &mut Sector, disk_len: u64) -> Result<Option<Growth>, MbrError> {
    let mbr = Mbr::parse(sector, Some(disk_len))?;
    let Some(&partition) = mbr.last() else {
        return Ok(None);
    };
    if TYPES_EXTENDED.contains(&partition.kind) {
        return Err(MbrError::Extended(partition.number));
    }
    let room = (disk_len - partition.start) / SECTOR_LEN;
    let new = u32::try_from(room).unwrap_or(u32::MAX);
    let length = u64::from(new) * SECTOR_LEN;
    if length <= partition.length {
        return Ok(None);
    }
    let at = entry_at(partition.number) + LENGTH_IN_ENTRY;
    sector[at..at + 4].copy_from_slice(&new.to_le_bytes());
    Ok(Some(Growth {
        partition: Partition { length, ..partition },
        old_length: partition.length,
    }))
}

fn check(partitions: &[Partition], disk_len: Option<u64>) -> Result<(), MbrError> {
    if partitions.is_empty() {
        return Err(MbrError::NoTable);
    }
    for (i, partition) in partitions.iter().enumerate() {
        let number = partition.number;
        if partition.length == 0 {
            return Err(MbrError::ZeroLength(number));
        }
        if partition.start == 0 {
            return Err(MbrError::OverTable(number));
        }
        if let Some(other) = partitions[..i]
            .iter()
            .find(|other| other.start < partition.end() && partition.start < other.end())
        {
            return Err(MbrError::Overlap(other.number, number));
        }
        if let Some(disk_len) = disk_len.filter(|&len| len < partition.end()) {
            let end = partition.end();
            return Err(MbrError::BeyondEnd {
                number,
                end,
                disk_len,
            });
        }
    }
    Ok(())
}

fn entry_at(number: u8) -> usize {
    ENTRIES_AT + ENTRY_LEN * (usize::from(number) - 1)
}

fn sectors(entry: &[u8], at: usize) -> u64 {
    u32::from_le_bytes([entry[at], entry[at + 1], entry[at + 2], entry[at + 3]]).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    /// As sfdisk writes it: entries of (type, start, length) in sectors.
    fn table(entries: &[(u8, u32, u32)]) -> Sector {
        let mut sector = [0; 512];
        sector[SIGNATURE_AT..SIGNATURE_AT + 4].copy_from_slice(&[0x4d, 0x3c, 0x2b, 0x1a]);
        sector[MAGIC_AT..].copy_from_slice(&[0x55, 0xaa]);
        for (i, (kind, start, length)) in entries.iter().enumerate() {
            let entry = &mut sector[ENTRIES_AT + 16 * i..][..16];
            entry[4] = *kind;
            entry[8..12].copy_from_slice(&start.to_le_bytes());
            entry[12..16].copy_from_slice(&length.to_le_bytes());
        }
        sector
    }

    #[test]
    fn reads_numbers_types_and_bytes() {
        let mbr = Mbr::parse(&table(&[(0x0c, 2048, 2048), (0x83, 4096, 8192)]), Some(6 * MIB)).unwrap();
        assert_eq!(mbr.partuuid(2), "1a2b3c4d-02");
        assert_eq!(
            mbr.boot_partition().map(|p| (p.number, p.start, p.length)),
            Some((1, MIB, MIB))
        );
        assert_eq!(
            mbr.last().map(|p| (p.number, p.kind, p.end())),
            Some((2, 0x83, 6 * MIB))
        );
        assert_eq!(mbr.end(), 6 * MIB);
    }

    #[test]
    fn says_what_is_wrong() {
        let mut bare_fat = table(&[]);
        bare_fat[ENTRIES_AT] = b'x';
        for (sector, expected) in [
            (
                [0; 512],
                "there is no partition table in the first sector: this is not a card image",
            ),
            (table(&[]), "there is no partition table"),
            (bare_fat, "there is no partition table"),
            (
                table(&[(0xee, 1, 100)]),
                "the disk has a GPT partition table; only MBR",
            ),
            (
                table(&[(0x0c, 8, 0)]),
                "partition 1 has a length of zero: the partition table is damaged",
            ),
            (
                table(&[(0x0c, 0, 8)]),
                "partition 1 starts at the partition table itself",
            ),
            (
                table(&[(0x0c, 8, 8), (0x83, 15, 8)]),
                "partitions 1 and 2 overlap: the partition table",
            ),
            (
                table(&[(0x83, 16, 8), (0x0c, 8, 9)]),
                "partitions 1 and 2 overlap",
            ),
            (
                table(&[(0x0c, 8, 8), (0x83, 2048, 2048)]),
                "partition 2 ends at byte 2097152 but there are only 2000000 bytes: the image is cut short",
            ),
            (
                table(&[(0x83, u32::MAX, u32::MAX)]),
                "partition 1 ends at byte 4398046510080 but",
            ),
        ] {
            let message = Mbr::parse(&sector, Some(2_000_000)).unwrap_err().to_string();
            assert!(message.starts_with(expected), "{message}");
        }
    }

    #[test]
    fn a_stream_of_unknown_length_is_not_checked_for_its_end() {
        assert!(Mbr::parse(&table(&[(0x83, 2048, 2048)]), None).is_ok());
    }

    #[test]
    fn growing_changes_the_four_length_bytes_only() {
        let old = table(&[(0x0c, 2048, 2048), (0x83, 4096, 8192)]);
        let mut new = old;
        let growth = grow_last(&mut new, 100 * MIB + 511).unwrap().unwrap();
        assert_eq!((growth.partition.number, growth.old_length), (2, 4 * MIB));
        assert_eq!(growth.partition.end(), 100 * MIB);
        let changed: Vec<usize> = (0..512).filter(|&i| old[i] != new[i]).collect();
        assert!(changed.iter().all(|i| (0x1da..0x1de).contains(i)), "{changed:x?}");
        assert_eq!(Mbr::parse(&new, Some(100 * MIB)).unwrap().end(), 100 * MIB);
        assert_eq!(
            grow_last(&mut new, 100 * MIB),
            Ok(None),
            "a second time there is nothing to do"
        );
    }

    #[test]
    fn grows_the_partition_that_is_last_on_the_disk_not_in_the_table() {
        let mut sector = table(&[(0x83, 4096, 8192), (0x0c, 2048, 2048)]);
        let growth = grow_last(&mut sector, 8 * MIB).unwrap().unwrap();
        assert_eq!(growth.partition.number, 1);
    }

    #[test]
    fn growing_stops_at_what_the_table_can_say() {
        let mut sector = table(&[(0x83, 2048, 2048)]);
        let growth = grow_last(&mut sector, 1 << 50).unwrap().unwrap();
        assert_eq!(growth.partition.length, u64::from(u32::MAX) * 512);
    }

    #[test]
    fn an_unsound_table_is_not_grown() {
        for (sector, expected) in [
            (
                table(&[(0x0f, 2048, 2048)]),
                "partition 1 is an extended partition and cannot be grown",
            ),
            (
                table(&[(0x83, 2048, 2_000_000)]),
                "partition 1 ends at byte 1025048576 but there are only",
            ),
        ] {
            let mut grown = sector;
            let message = grow_last(&mut grown, 100 * MIB).unwrap_err().to_string();
            assert!(message.starts_with(expected), "{message}");
            assert_eq!(grown, sector);
        }
    }
}
