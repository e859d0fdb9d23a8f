//! Any card image, opened to look at it: packed ones are unpacked into a file without a name first.

use std::fs::File;
use std::path::Path;

use anyhow::{Context as _, Result};
use disk_image::ext4::{Ext4, ReadOnly};
use disk_image::fat::BootPartition;
use disk_image::mbr::{Mbr, Partition};
use disk_image::source::Source;

use crate::copy::{Bounded, write_sparse};

/// The type of a Linux partition.
pub(crate) const LINUX: u8 = 0x83;

/// An image that is only read.
pub(crate) struct Opened {
    pub(crate) file: File,
    pub(crate) length: u64,
    pub(crate) table: Mbr,
}

impl Opened {
    /// Opens an image of any packing.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let source = Source::open(path)?;
        let first_sector = *source.first_sector();
        let size = std::fs::metadata(path)
            .with_context(|| format!("reading {}", path.display()))?
            .len();
        let packed = source.length() != Some(size);
        let (file, length) = if packed {
            let mut file = tempfile::tempfile().context("making a file to unpack to")?;
            let length = write_sparse(&mut Bounded::image(source), &mut file, 0)?;
            (file, length)
        } else {
            let file = File::open(path).with_context(|| format!("reading {}", path.display()))?;
            (file, size)
        };
        let table = Mbr::parse(&first_sector, Some(length)).with_context(|| path.display().to_string())?;
        Ok(Self { file, length, table })
    }

    /// The partition that the root file system is in: the last one of Linux.
    pub(crate) fn root_partition(&self) -> Result<&Partition> {
        root_partition(&self.table)
    }

    /// Its root file system.
    pub(crate) fn root(&self) -> Result<Ext4<ReadOnly<File>>> {
        let file = self.file.try_clone().context("reading the image")?;
        Ok(Ext4::open_read_only(file, self.root_partition()?)?)
    }

    /// Its boot partition.
    pub(crate) fn boot(&self) -> Result<BootPartition<ReadOnly<File>>> {
        let partition = self
            .table
            .boot_partition()
            .context("it has no FAT boot partition")?;
        let file = self.file.try_clone().context("reading the image")?;
        Ok(BootPartition::open(ReadOnly::new(file), partition)?)
    }
}

/// The last partition of Linux.
pub(crate) fn root_partition(table: &Mbr) -> Result<&Partition> {
    let linux = table
        .partitions
        .iter()
        .filter(|partition| partition.kind == LINUX);
    linux
        .max_by_key(|partition| partition.start)
        .context("it has no Linux partition")
}
