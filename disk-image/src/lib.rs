//! Card images, without mounting anything: compressed sources, the partition table, the FAT boot partition and the
//! ext4 root file system.
//!
//! Everything is generic over `Read`, `Write` and `Seek`, and nothing here syncs to a disk: who opened the file or
//! device does that.

#[cfg(feature = "ext4")]
pub mod ext4;
#[cfg(feature = "fat")]
pub mod fat;
pub mod free;
pub mod mbr;
#[cfg(feature = "source")]
pub mod source;
#[cfg(feature = "fat")]
pub mod timestamp;
