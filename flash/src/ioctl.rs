//! The requests to the kernel that no library wraps.

use std::fs::File;
use std::os::fd::AsRawFd;

use nix::errno::Errno;

nix::ioctl_none!(
    /// BLKRRPART, linux/fs.h.
    blkrrpart,
    0x12,
    95
);

nix::ioctl_none_bad!(
    /// CDROMEJECT, linux/cdrom.h; every SCSI disk takes it (drivers/scsi/scsi_ioctl.c), and so readers on USB.
    cdromeject,
    0x5309
);

/// Ejects the medium: the reader lets go of it. False where there is no such thing, as with readers on an MMC bus.
///
/// # Errors
/// When the device refuses, for example because it is in use.
pub(crate) fn eject(device: &File) -> nix::Result<bool> {
    // SAFETY: the request takes no argument and the descriptor is open for as long as `device` lives.
    match unsafe { cdromeject(device.as_raw_fd()) } {
        Ok(_) => Ok(true),
        Err(Errno::EINVAL | Errno::ENOTTY | Errno::EOPNOTSUPP) => Ok(false),
        Err(error) => Err(error),
    }
}

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
