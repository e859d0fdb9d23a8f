//! The one request to the kernel that no library wraps.

use std::fs::File;
use std::os::fd::AsRawFd;

use nix::errno::Errno;

nix::ioctl_none!(
    /// BLKRRPART, linux/fs.h.
    blkrrpart,
    0x12,
    95
);

/// Lets the kernel read the partition table of a block device anew.
///
/// # Errors
/// When a partition is in use meanwhile. Devices and kernels that have no partitions are no error.
pub(crate) fn reread_partition_table(device: &File) -> nix::Result<()> {
    // SAFETY: the request takes no argument and the descriptor is open for as long as `device` lives.
    match unsafe { blkrrpart(device.as_raw_fd()) } {
        Ok(_) | Err(Errno::EINVAL | Errno::ENOTTY) => Ok(()),
        Err(error) => Err(error),
    }
}
