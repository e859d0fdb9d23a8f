//! A partition of an image as the driver's block device.

use std::io::{Error, ErrorKind, Read, Seek, SeekFrom, Write};
use std::sync::{Mutex, PoisonError};

use fs_ext4::block_io::BlockDevice;

use crate::mbr::Partition;

/// The bytes of one partition.
pub(super) struct Window<D> {
    disk: Mutex<D>,
    start: u64,
    length: u64,
}

impl<D> Window<D> {
    pub(super) fn new(disk: D, partition: &Partition) -> Self {
        Self {
            disk: Mutex::new(disk),
            start: partition.start,
            length: partition.length,
        }
    }

    /// Where on the disk, if all of it is inside the partition.
    fn position(&self, offset: u64, length: usize) -> Result<SeekFrom, Error> {
        let end = offset
            .checked_add(length as u64)
            .filter(|end| *end <= self.length);
        end.map(|_| SeekFrom::Start(self.start + offset))
            .ok_or_else(|| Error::new(ErrorKind::InvalidInput, "beyond the end of the partition"))
    }
}

impl<D: Read + Write + Seek + Send> BlockDevice for Window<D> {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> fs_ext4::Result<()> {
        let position = self.position(offset, buffer.len())?;
        let mut disk = self.disk.lock().unwrap_or_else(PoisonError::into_inner);
        disk.seek(position)?;
        Ok(disk.read_exact(buffer)?)
    }

    fn size_bytes(&self) -> u64 {
        self.length
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> fs_ext4::Result<()> {
        let position = self.position(offset, bytes.len())?;
        let mut disk = self.disk.lock().unwrap_or_else(PoisonError::into_inner);
        disk.seek(position)?;
        Ok(disk.write_all(bytes)?)
    }

    /// Four times per change if it synced, and for nothing: the image counts only when it is complete.
    fn flush(&self) -> fs_ext4::Result<()> {
        Ok(())
    }

    fn is_writable(&self) -> bool {
        true
    }
}
