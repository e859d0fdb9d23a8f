//! A card open for writing: past the system's cache where that is possible, so that progress is honest, memory stays
//! free, and what is read back comes from the card.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};

use anyhow::{Context, Result};
use nix::fcntl::{OFlag, PosixFadviseAdvice, posix_fadvise};

use crate::ioctl;
use crate::medium::Medium;
use crate::write::BLOCK;

/// How much may wait in the system's cache where that cannot be avoided: the last sync is short then.
const DIRTY_MAX: u64 = 64 * 1024 * 1024;
/// What O_DIRECT wants of places, lengths and memory: the largest sector that cards have.
const SECTOR: usize = 4096;

/// A card open for writing.
#[derive(Debug)]
pub struct OpenCard {
    file: File,
    is_block: bool,
    /// The same device, past the cache.
    direct: Option<File>,
    aligned: Vec<u8>,
    position: u64,
    dirty: u64,
}

impl OpenCard {
    /// Of a file that is open for reading and writing.
    pub(crate) fn new(file: File, is_block: bool) -> Self {
        // By its descriptor: whatever its name means by now, this is the device that was checked and claimed.
        let same = format!("/proc/self/fd/{}", file.as_raw_fd());
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(true)
            .custom_flags(OFlag::O_DIRECT.bits());
        let direct = is_block.then(|| options.open(same).ok()).flatten();
        Self {
            file,
            is_block,
            aligned: if direct.is_some() {
                vec![0; BLOCK + SECTOR]
            } else {
                Vec::new()
            },
            direct,
            position: 0,
            dirty: 0,
        }
    }

    /// Lets go of the card, where the reader can. False where it cannot, or for a file.
    ///
    /// # Errors
    /// When it should and does not; the card is good nevertheless.
    pub fn eject(&self) -> Result<bool> {
        Ok(self.is_block && ioctl::eject(&self.file)?)
    }

    /// Lets the kernel see the new partitions.
    ///
    /// # Errors
    /// When the kernel refuses; the card is good nevertheless.
    pub fn reread_partition_table(&self) -> Result<()> {
        if self.is_block {
            ioctl::reread_partition_table(&self.file)?;
        }
        Ok(())
    }

    /// How much of `length` bytes at the position can go past the cache.
    fn direct_length(&self, length: usize) -> usize {
        let aligned = self.direct.is_some() && self.position.is_multiple_of(SECTOR as u64);
        if aligned {
            length.min(BLOCK) / SECTOR * SECTOR
        } else {
            0
        }
    }

    /// Does it past the cache, through memory that is aligned for it; `None` where the device does not take that.
    fn directly(
        &mut self,
        length: usize,
        work: impl FnOnce(&File, &mut [u8], u64) -> io::Result<usize>,
    ) -> Option<io::Result<usize>> {
        if length == 0 {
            return None;
        }
        let direct = self.direct.as_ref()?;
        let from = self.aligned.as_ptr().align_offset(SECTOR).min(SECTOR);
        match work(direct, &mut self.aligned[from..from + length], self.position) {
            Err(error) if error.raw_os_error() == Some(nix::errno::Errno::EINVAL as i32) => {
                self.direct = None;
                None
            }
            result => Some(result),
        }
    }

    fn advance(&mut self, count: usize) -> usize {
        self.position += count as u64;
        count
    }
}

impl Medium for OpenCard {
    fn is_blank(&self) -> bool {
        !self.is_block
    }

    fn settle(&mut self, size: u64) -> io::Result<()> {
        self.file.set_len(size)
    }

    fn sync_and_forget(&mut self) -> Result<()> {
        self.dirty = 0;
        self.file
            .sync_all()
            .context("writing to the card failed at the end: try another reader or card")?;
        posix_fadvise(&self.file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED).context("dropping the cache")
    }
}

impl Read for OpenCard {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.direct_length(buffer.len());
        let read = self.directly(length, |direct, aligned, at| {
            let count = direct.read_at(aligned, at)?;
            buffer[..count].copy_from_slice(&aligned[..count]);
            Ok(count)
        });
        let count = match read {
            Some(result) => result?,
            None => self.file.read_at(buffer, self.position)?,
        };
        Ok(self.advance(count))
    }
}

impl Write for OpenCard {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.direct_length(bytes.len());
        let written = self.directly(length, |direct, aligned, at| {
            aligned.copy_from_slice(&bytes[..length]);
            direct.write_at(aligned, at)
        });
        if let Some(result) = written {
            let count = result?;
            return Ok(self.advance(count));
        }
        let count = self.file.write_at(bytes, self.position)?;
        self.advance(count);
        self.dirty += count as u64;
        if self.is_block && self.dirty >= DIRTY_MAX {
            self.flush()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.dirty = 0;
        self.file.sync_data()
    }
}

impl Seek for OpenCard {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
            SeekFrom::End(by) => self.file.seek(SeekFrom::End(0))?.checked_add_signed(by),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}
