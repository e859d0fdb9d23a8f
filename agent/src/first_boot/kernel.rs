//! What the steps ask of the kernel directly. The only file of the first boot with `unsafe`.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use nix::libc;
use nix::time::ClockId;

/// linux/blkpg.h: `_IO(0x12, 105)`. Written out, as its number is the same on all our architectures.
const BLKPG: u32 = 0x1269;
/// linux/blkpg.h, since Linux 3.6.
const BLKPG_RESIZE_PARTITION: libc::c_int = 3;

/// `struct blkpg_ioctl_arg`
#[repr(C)]
struct Argument {
    op: libc::c_int,
    flags: libc::c_int,
    datalen: libc::c_int,
    data: *mut PartitionArgument,
}

/// `struct blkpg_partition`
#[repr(C)]
struct PartitionArgument {
    start: libc::c_longlong,
    length: libc::c_longlong,
    pno: libc::c_int,
    devname: [u8; 64],
    volname: [u8; 64],
}

/// sethostname(2)
pub(super) fn set_hostname(name: &str) -> Result<()> {
    nix::unistd::sethostname(name).with_context(|| format!("naming the kernel {name}"))
}

/// clock_settime(2)
pub(super) fn set_clock(seconds: u64) -> Result<()> {
    // 32 bits on the ARM target: this fails from 2038 on instead of setting a wrong time.
    let seconds = seconds
        .try_into()
        .context("a time that this system cannot hold")?;
    ClockId::CLOCK_REALTIME
        .set_time(nix::sys::time::TimeSpec::new(seconds, 0))
        .context("setting the clock")
}

/// umount2(2), lazily: others may have the file open.
pub(super) fn detach_mount(path: &Path) -> Result<()> {
    nix::mount::umount2(path, nix::mount::MntFlags::MNT_DETACH)
        .with_context(|| format!("unmounting {}", path.display()))
}

/// Waits until all file systems are on their disks.
pub(super) fn sync() {
    nix::unistd::sync();
}

/// Gives a partition in use another length, both in bytes. BLKRRPART would be refused while it is mounted.
pub(super) fn resize_partition(disk: &Path, number: u8, start: u64, length: u64) -> Result<()> {
    let device = File::open(disk).with_context(|| format!("opening {}", disk.display()))?;
    let mut partition = PartitionArgument {
        start: start.try_into().context("a partition start beyond all disks")?,
        length: length.try_into().context("a partition length beyond all disks")?,
        pno: number.into(),
        devname: [0; 64],
        volname: [0; 64],
    };
    let mut argument = Argument {
        op: BLKPG_RESIZE_PARTITION,
        flags: 0,
        datalen: libc::c_int::try_from(size_of::<PartitionArgument>())?,
        data: &raw mut partition,
    };
    // SAFETY: the descriptor is open, and both structures are laid out as the kernel expects and outlive the call.
    let result = unsafe { libc::ioctl(device.as_raw_fd(), BLKPG as _, &raw mut argument) };
    let error = std::io::Error::last_os_error();
    ensure!(
        result == 0,
        "telling the kernel the size of partition {number} of {}: {error}",
        disk.display()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_structures_have_its_sizes() {
        // 8 + 8 + 4 + 64 + 64, padded to a multiple of eight.
        assert_eq!(size_of::<PartitionArgument>(), 152);
        assert_eq!(std::mem::offset_of!(PartitionArgument, volname), 84);
    }

    #[test]
    fn a_file_that_is_no_disk_is_refused_by_the_kernel() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let message = resize_partition(file.path(), 2, 512, 512)
            .unwrap_err()
            .to_string();
        assert!(
            message.starts_with("telling the kernel the size of partition 2 of "),
            "{message}"
        );
    }
}
