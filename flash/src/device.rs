//! What the kernel says about a block device (sysfs, mountinfo, swaps), and why it must not be overwritten.
//!
//! The `removable` flag decides nothing: readers of memory cards built into laptops are not removable. What counts is
//! whether anything uses the device, or could: a disk that is far larger than a card has to be asked for.

use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::sys::stat::{major, minor};

/// Major and minor number, as sysfs and mountinfo write them: `8:16`.
pub type Number = String;

/// A block device as found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// Kernel name, such as `sdb` or `mmcblk0`.
    pub name: String,
    /// Vendor's and product's name, where the kernel knows them.
    pub model: Option<String>,
    /// Serial number, where the kernel knows it.
    pub serial: Option<String>,
    /// What the maker of the card has written into it, where the reader lets us see that (MMC).
    pub cid: Option<String>,
    /// How it is connected, by the folder that sysfs has it in.
    pub bus: Option<String>,
    /// In bytes.
    pub size: u64,
    /// The whole device, if this is a partition of it.
    pub partition_of: Option<String>,
    /// Its partitions, as the kernel sees them.
    pub partitions: Vec<Extent>,
    /// Which medium it is, counted by the kernel (from 5.15 on): another number after each change.
    pub medium: String,
    /// Locked, or a read-only device.
    pub read_only: bool,
    /// Device-mapper and RAID devices that are built on it: (part of this device, holder).
    pub holders: Vec<(String, String)>,
    /// (part of this device, mount point), without those of the desktop.
    pub mounts: Vec<(String, String)>,
    /// (part of this device, mount point) where a desktop mounts whatever is inserted.
    pub auto_mounts: Vec<(String, String)>,
    /// Parts of this device that are swap space in use.
    pub swaps: Vec<String>,
    /// The file behind a loop device.
    pub backing_file: Option<PathBuf>,
}

/// A partition and where it lies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// Kernel name, such as `sdb1`.
    pub name: String,
    /// Start, in bytes.
    pub start: u64,
    /// Length, in bytes.
    pub length: u64,
}

/// Why a device is not written to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Only whole cards have a partition table.
    #[error("{0} is a partition; name the whole device: /dev/{1}")]
    Partition(String, String),
    /// The disk of this computer.
    #[error("{0} holds the running system ({1} is mounted at {2}): it is never written to")]
    RunningSystem(String, String, String),
    /// In use.
    #[error("{0} is in use: {1} is mounted at {2}; unmount it first (umount {2})")]
    Mounted(String, String, String),
    /// In use.
    #[error("{0} is in use: {1} is swap space; switch it off first (swapoff /dev/{1})")]
    Swap(String, String),
    /// In use.
    #[error("{0} is in use: {1} is part of {2} (RAID, LVM or encryption); stop that first")]
    Held(String, String, String),
    /// Not in use now, but a part of something that is.
    #[error(
        "{0} has data of {2} on {1}, which no mount shows; if nobody needs it, erase that first (wipefs --all /dev/{1})"
    )]
    Member(String, String, &'static str),
    /// More than a card.
    #[error(
        "{device} holds {size}, more than the {max} that is taken for a card; if it is the right one, add --max-size {enough}"
    )]
    TooLarge {
        /// The device.
        device: String,
        /// Its size.
        size: String,
        /// The limit.
        max: String,
        /// A limit that would do.
        enough: String,
    },
    /// Cannot be written.
    #[error("{0} is read-only: move the lock switch of the card or its adapter, or check the reader")]
    ReadOnly(String),
    /// A reader without a card.
    #[error("{0} has no medium: insert a card")]
    Empty(String),
}

/// Mount points that belong to the running system.
const SYSTEM: [&str; 6] = ["/", "/boot", "/boot/efi", "/boot/firmware", "/usr", "/var"];

impl Device {
    /// Reads what is known about the device `number`. `root` is `/`, except in tests.
    ///
    /// # Errors
    /// When sysfs or procfs cannot be read.
    pub fn read(root: &Path, number: &Number) -> io::Result<Self> {
        let folder = root.join("sys/dev/block").join(number).canonicalize()?;
        let name = file_name(&folder);
        let text = |file: &str| {
            std::fs::read_to_string(folder.join(file)).map_or(String::new(), |text| text.trim().to_owned())
        };
        let partition_of = text("partition")
            .parse::<u32>()
            .ok()
            .and_then(|_| folder.parent().map(file_name));
        let parts = folders(&folder)?
            .into_iter()
            .filter(|part| part.join("partition").exists());
        let parts: Vec<PathBuf> = std::iter::once(folder.clone()).chain(parts).collect();
        let mut known = Vec::new();
        let mut holders = Vec::new();
        for part in &parts {
            let number = std::fs::read_to_string(part.join("dev"))?.trim().to_owned();
            known.push((file_name(part), number));
            let held = folders(&part.join("holders")).unwrap_or_default();
            holders.extend(held.iter().map(|holder| (file_name(part), file_name(holder))));
        }
        let model = [text("device/vendor"), text("device/model"), text("device/name")].join(" ");
        let sectors: u64 = text("size").parse().unwrap_or(0);
        let proc = |file: &str| std::fs::read_to_string(root.join("proc").join(file));
        let fstab = std::fs::read_to_string(root.join("etc/fstab")).unwrap_or_default();
        let (auto_mounts, mounts) = mounts(&proc("self/mountinfo")?, &known)
            .into_iter()
            .partition(|(_, point)| is_of_desktop(point, &fstab));
        Ok(Self {
            model: Some(model.split_whitespace().collect::<Vec<_>>().join(" "))
                .filter(|model| !model.is_empty()),
            serial: Some([text("device/serial"), text("serial")].concat())
                .filter(|serial| !serial.is_empty()),
            cid: Some(text("device/cid")).filter(|cid| !cid.is_empty()),
            bus: bus(&folder),
            // sysfs counts in 512 bytes whatever the device's own sector is.
            size: sectors * 512,
            partition_of,
            partitions: parts[1..].iter().map(|part| extent(part)).collect(),
            medium: text("diskseq"),
            read_only: text("ro") == "1",
            holders,
            mounts,
            auto_mounts,
            swaps: swaps(&proc("swaps").unwrap_or_default(), &known),
            backing_file: Some(text("loop/backing_file"))
                .filter(|file| !file.is_empty())
                .map(PathBuf::from),
            name,
        })
    }

    /// The block device behind a path, if it is one.
    ///
    /// # Errors
    /// As [`Device::read`].
    pub fn at(root: &Path, path: &Path) -> io::Result<Option<Self>> {
        let meta = std::fs::metadata(path)?;
        if !meta.file_type().is_block_device() {
            return Ok(None);
        }
        let number = format!("{}:{}", major(meta.rdev()), minor(meta.rdev()));
        Self::read(root, &number).map(Some)
    }

    /// Why the device must not be overwritten, the worst reason first.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub fn check(&self) -> Result<(), Refusal> {
        let name = format!("/dev/{}", self.name);
        let system = self
            .mounts
            .iter()
            .find(|(_, point)| SYSTEM.contains(&point.as_str()));
        let clones = |(a, b): &(String, String)| (a.clone(), b.clone());
        if let Some((part, point)) = system.map(clones) {
            return Err(Refusal::RunningSystem(name, part, point));
        }
        if let Some((part, point)) = self.mounts.first().map(clones) {
            return Err(Refusal::Mounted(name, part, point));
        }
        if let Some(part) = self.swaps.first() {
            return Err(Refusal::Swap(name, part.clone()));
        }
        if let Some((part, holder)) = self.holders.first().map(clones) {
            return Err(Refusal::Held(name, part, holder));
        }
        if let Some(whole) = &self.partition_of {
            return Err(Refusal::Partition(name, whole.clone()));
        }
        if self.size == 0 {
            return Err(Refusal::Empty(name));
        }
        if self.read_only {
            return Err(Refusal::ReadOnly(name));
        }
        Ok(())
    }
}

/// Where desktops mount what is inserted, unless the administrator has put it there.
fn is_of_desktop(point: &str, fstab: &str) -> bool {
    let mut lines = fstab.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let listed = lines.any(|line| line.split_whitespace().nth(1).map(unescape).as_deref() == Some(point));
    let places = ["/media/", "/run/media/"];
    !listed && places.iter().any(|place| point.starts_with(place))
}

/// sysfs counts in 512 bytes whatever the device's own sector is.
fn extent(part: &Path) -> Extent {
    let sectors = |file: &str| {
        let text = std::fs::read_to_string(part.join(file)).unwrap_or_default();
        text.trim().parse::<u64>().unwrap_or(0)
    };
    Extent {
        name: file_name(part),
        start: sectors("start") * 512,
        length: sectors("size") * 512,
    }
}

/// The bus nearest to the device in its path: a reader on USB is a SCSI disk, too.
fn bus(folder: &Path) -> Option<String> {
    let path = folder.to_string_lossy();
    let buses = [
        ("/usb", "usb"),
        ("/mmc_host/", "mmc"),
        ("/nvme", "nvme"),
        ("/ata", "ata"),
        ("/virtio", "virtio"),
    ];
    let found = buses.iter().find(|(part, _)| path.contains(part));
    let virtual_bus = || file_name(folder).starts_with("loop").then_some("loop");
    found.map(|(_, bus)| *bus).or_else(virtual_bus).map(str::to_owned)
}

/// Mount points of the known parts (name, number) in the text of /proc/self/mountinfo, see proc(5).
fn mounts(mountinfo: &str, known: &[(String, Number)]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for line in mountinfo.lines() {
        let (mount, source) = line.split_once(" - ").unwrap_or((line, ""));
        let fields: Vec<&str> = mount.split(' ').collect();
        let (Some(number), Some(point)) = (fields.get(2), fields.get(4)) else {
            continue;
        };
        // Btrfs has a number of its own, so the name of the source counts too.
        let source = source
            .split(' ')
            .nth(1)
            .and_then(|source| source.strip_prefix("/dev/"));
        let part = known
            .iter()
            .find(|(name, known)| known == number || source == Some(name.as_str()));
        if let Some((name, _)) = part {
            found.push((name.clone(), unescape(point)));
        }
    }
    found
}

/// Which of the known parts the text of /proc/swaps lists.
fn swaps(text: &str, known: &[(String, Number)]) -> Vec<String> {
    let devices = text
        .lines()
        .skip(1)
        .filter_map(|line| line.split_whitespace().next()?.strip_prefix("/dev/"));
    let names = known.iter().map(|(name, _)| name);
    devices
        .filter_map(|device| names.clone().find(|name| *name == device).cloned())
        .collect()
}

/// Blanks and backslashes in mountinfo are `\` and three octal digits.
fn unescape(text: &str) -> String {
    let mut parts = text.split('\\');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part
            .get(..3)
            .and_then(|digits| u8::from_str_radix(digits, 8).ok())
        {
            Some(byte) => {
                plain.push(char::from(byte));
                plain.push_str(&part[3..]);
            }
            None => plain.push_str(part),
        }
    }
    plain
}

fn folders(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let path = entry?.path();
        if path.is_dir() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reader with a card of two partitions, the second one a member of a RAID.
    fn system(mountinfo: &str, swaps: &str) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        for (part, number) in [("", "8:16\n"), ("/sdb1", "8:17\n"), ("/sdb2", "8:18\n")] {
            write(&format!("sys/block/sdb{part}/dev"), number);
            std::fs::create_dir_all(root.path().join(format!("sys/block/sdb{part}/holders"))).unwrap();
        }
        write("sys/block/sdb/size", "62333952\n");
        write("sys/block/sdb/ro", "0\n");
        write("sys/block/sdb/device/vendor", "Generic \n");
        write("sys/block/sdb/device/model", "SD Reader  \n");
        write("sys/block/sdb/sdb1/partition", "1\n");
        write("sys/block/sdb/sdb2/partition", "2\n");
        std::fs::create_dir_all(root.path().join("sys/dev/block")).unwrap();
        for (number, target) in [("8:16", "../../block/sdb"), ("8:17", "../../block/sdb/sdb1")] {
            std::os::unix::fs::symlink(target, root.path().join("sys/dev/block").join(number)).unwrap();
        }
        write("proc/self/mountinfo", mountinfo);
        write("proc/swaps", swaps);
        root
    }

    #[test]
    fn a_free_card_is_described_and_taken() {
        let root = system(
            "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n",
            "Filename Type\n/dev/sda2 partition 1 0\n",
        );
        let device = Device::read(root.path(), &"8:16".to_owned()).unwrap();
        assert_eq!(device.check(), Ok(()));
        assert_eq!(device.model.as_deref(), Some("Generic SD Reader"));
        assert_eq!((device.size, device.partitions.len()), (31_914_983_424, 2));
    }

    #[test]
    fn what_a_desktop_has_mounted_by_itself_is_no_obstacle() {
        let root = system(
            "1 1 8:17 / /media/me/BOOT\\040FS rw shared:1 - vfat /dev/sdb1 rw\n",
            "",
        );
        let device = Device::read(root.path(), &"8:16".to_owned()).unwrap();
        assert_eq!(device.check(), Ok(()));
        let expected = ("sdb1".to_owned(), "/media/me/BOOT FS".to_owned());
        assert_eq!(device.auto_mounts, [expected]);
        std::fs::create_dir(root.path().join("etc")).unwrap();
        let fstab = "# mine\nUUID=1 /media/me/BOOT\\040FS vfat defaults 0 0\n";
        std::fs::write(root.path().join("etc/fstab"), fstab).unwrap();
        let device = Device::read(root.path(), &"8:16".to_owned()).unwrap();
        let message = device.check().unwrap_err().to_string();
        assert!(
            message.contains("sdb1 is mounted at /media/me/BOOT FS;"),
            "{message}"
        );
    }

    #[test]
    fn a_device_in_use_is_refused_with_what_uses_it() {
        let system_disk =
            "1 1 8:18 / /media/x rw - ext4 /dev/sdb2 rw\n2 1 8:17 / /boot rw - vfat /dev/sdb1 rw\n";
        for (mountinfo, swaps, expected) in [
            (
                "1 1 8:17 / /mnt/my\\040card rw shared:1 - vfat /dev/sdb1 rw\n",
                "",
                "/dev/sdb is in use: sdb1 is mounted at /mnt/my card; unmount it first",
            ),
            (
                "1 1 0:44 /sub /mnt rw - btrfs /dev/sdb2 rw\n",
                "",
                "/dev/sdb is in use: sdb2 is mounted at /mnt; unmount it first (umount /mnt)",
            ),
            (
                system_disk,
                "",
                "/dev/sdb holds the running system (sdb1 is mounted at /boot): it is never written to",
            ),
            (
                "",
                "Filename Type Size\n/dev/sdb2 partition 1 0 -2\n",
                "/dev/sdb is in use: sdb2 is swap space; switch it off first (swapoff /dev/sdb2)",
            ),
        ] {
            let root = system(mountinfo, swaps);
            let device = Device::read(root.path(), &"8:16".to_owned()).unwrap();
            let message = device.check().unwrap_err().to_string();
            assert!(message.starts_with(expected), "{message}");
        }
    }

    #[test]
    fn a_device_that_cannot_be_a_card_is_refused() {
        for (path, content, number, expected) in [
            (
                "holders/md0/x",
                "",
                "8:16",
                "/dev/sdb is in use: sdb is part of md0 (RAID, LVM or encryption)",
            ),
            (
                "sdb2/holders/dm-3/x",
                "",
                "8:16",
                "/dev/sdb is in use: sdb2 is part of dm-3",
            ),
            ("ro", "1", "8:16", "/dev/sdb is read-only: move the lock switch"),
            ("size", "0", "8:16", "/dev/sdb has no medium: insert a card"),
            (
                "sdb1/size",
                "9",
                "8:17",
                "/dev/sdb1 is a partition; name the whole device: /dev/sdb",
            ),
        ] {
            let root = system("", "");
            let path = root.path().join("sys/block/sdb").join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
            let device = Device::read(root.path(), &number.to_owned()).unwrap();
            let message = device.check().unwrap_err().to_string();
            assert!(message.starts_with(expected), "{message}");
        }
    }
}
