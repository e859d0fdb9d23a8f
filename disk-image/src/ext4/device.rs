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
    writable: bool,
}

/// A disk that is only looked at.
#[derive(Debug)]
pub struct ReadOnly<D>(D);

impl<D> ReadOnly<D> {
    /// Around any disk.
    pub fn new(disk: D) -> Self {
        Self(disk)
    }
}

impl<D: Read> Read for ReadOnly<D> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

impl<D: Seek> Seek for ReadOnly<D> {
    fn seek(&mut self, position: SeekFrom) -> std::io::Result<u64> {
        self.0.seek(position)
    }
}

impl<D> Write for ReadOnly<D> {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(ErrorKind::PermissionDenied.into())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<D> Window<ReadOnly<D>> {
    /// One that nothing is written to.
    pub(super) fn read_only(disk: D, partition: &Partition) -> Self {
        Self {
            writable: false,
            ..Self::new(ReadOnly(disk), partition)
        }
    }
}

impl<D> Window<D> {
    pub(super) fn new(disk: D, partition: &Partition) -> Self {
        Self {
            disk: Mutex::new(disk),
            start: partition.start,
            length: partition.length,
            writable: true,
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
        self.writable
    }
}
