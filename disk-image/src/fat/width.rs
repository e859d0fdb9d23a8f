//! How wide the entries of a FAT are (Microsoft's FAT specification, section 3.5).

use std::io::{self, Read, Seek, SeekFrom};

use super::FatError;
use crate::mbr::Partition;

/// 12, 16 or 32: the kind of FAT in a partition, which follows from the number of its clusters alone.
///
/// # Errors
/// [`FatError::NotFat`].
pub fn bits(mut disk: impl Read + Seek, partition: &Partition) -> Result<u8, FatError> {
    let number = partition.number;
    let not_fat = |error| FatError::NotFat { number, error };
    let mut sector = [0; 512];
    disk.seek(SeekFrom::Start(partition.start))
        .and_then(|_| disk.read_exact(&mut sector))
        .map_err(not_fat)?;
    match clusters(&sector) {
        Some(..4085) => Ok(12),
        Some(4085..65525) => Ok(16),
        Some(_) => Ok(32),
        None => Err(not_fat(io::Error::other("its boot sector makes no sense"))),
    }
}

/// How many clusters a boot sector speaks of; `None` when it makes no sense.
fn clusters(sector: &[u8; 512]) -> Option<u64> {
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
    let folder = (word(17) * 32).div_ceil(bytes);
    let before = word(14) + u64::from(sector[16]) * either(22, 36) + folder;
    Some(either(19, 32).checked_sub(before)? / u64::from(sector[13]))
}
