//! The block devices of this computer as candidates for a card: what they are, and why one is refused.

use std::fs::File;
use std::io;
use std::path::Path;

use disk_image::mbr::Mbr;
use serde::Serialize;

use crate::device::{Device, Refusal};
use crate::signature::{self, Content};
use crate::size;

/// Kernel names of devices that are made of memory or of other devices, or that hold no card.
pub(crate) const NO_CARDS: [&str; 8] = ["ram", "zram", "dm-", "md", "sr", "fd", "nbd", "mtdblock"];

/// A device that may be a card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Candidate {
    /// Such as /dev/sdb.
    pub device: String,
    /// Vendor and product.
    pub model: Option<String>,
    /// In bytes.
    pub size: u64,
    /// Serial number.
    pub serial: Option<String>,
    /// How it is connected: usb, mmc, nvme, ata, virtio, loop.
    pub bus: Option<String>,
    /// What is on it, as far as it may be read.
    pub partitions: Vec<Part>,
    /// Why it is not written to.
    pub refused: Option<String>,
}

/// A partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Part {
    /// Its number.
    pub number: u8,
    /// In bytes.
    pub size: u64,
    /// What it holds.
    pub content: Option<&'static str>,
    /// Label of its file system.
    pub label: Option<String>,
}

/// All candidates, the usable ones first. `root` is where /sys, /proc and /dev are.
///
/// # Errors
/// When the kernel does not say.
pub fn all(root: &Path, max_size: u64) -> io::Result<Vec<Candidate>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root.join("sys/block"))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if NO_CARDS.iter().any(|prefix| name.starts_with(prefix)) {
            continue;
        }
        // A device may go away while it is looked at.
        let Ok(number) = std::fs::read_to_string(entry.path().join("dev")) else {
            continue;
        };
        let Ok(device) = Device::read(root, &number.trim().to_owned()) else {
            continue;
        };
        if device.size == 0 && name.starts_with("loop") {
            continue;
        }
        found.push(candidate(&device, root, max_size));
    }
    found.sort_by(|a, b| (a.refused.is_some(), &a.device).cmp(&(b.refused.is_some(), &b.device)));
    Ok(found)
}

fn candidate(device: &Device, root: &Path, max_size: u64) -> Candidate {
    let path = format!("/dev/{}", device.name);
    let mut disk = File::open(root.join("dev").join(&device.name)).ok();
    Candidate {
        model: device.model.clone(),
        size: device.size,
        serial: device.serial.clone(),
        bus: device.bus.clone(),
        partitions: disk
            .as_mut()
            .map_or(Vec::new(), |disk| partitions(disk, device.size)),
        refused: check(device, disk.as_mut(), max_size)
            .err()
            .map(|refusal| refusal.to_string()),
        device: path,
    }
}

/// Why a device must not be overwritten, the worst reason first.
///
/// # Errors
/// See [`Refusal`].
pub fn check(device: &Device, disk: Option<&mut File>, max_size: u64) -> Result<(), Refusal> {
    device.check()?;
    let path = format!("/dev/{}", device.name);
    if let Some((part, kind)) = disk.and_then(|disk| member(disk, device)) {
        return Err(Refusal::Member(path, part, kind));
    }
    if device.size > max_size {
        let (size, max) = (size::display(device.size), size::display(max_size));
        let enough = format!("{}G", device.size.div_ceil(1 << 30));
        return Err(Refusal::TooLarge {
            device: path,
            size,
            max,
            enough,
        });
    }
    Ok(())
}

/// The part of a device that belongs to something that spans disks, and to what.
fn member(disk: &mut File, device: &Device) -> Option<(String, &'static str)> {
    let separator = if device.name.ends_with(|c: char| c.is_ascii_digit()) {
        "p"
    } else {
        ""
    };
    let whole = std::iter::once((device.name.clone(), 0, device.size));
    let parts = table(disk, device.size).map_or(Vec::new(), |table| table.partitions);
    let parts = parts.into_iter().map(|part| {
        let name = format!("{}{separator}{}", device.name, part.number);
        (name, part.start, part.end() - part.start)
    });
    // The kernel knows partitions of a GPT, and logical ones, too.
    let known = device.partitions.iter();
    let known = known.map(|part| (part.name.clone(), part.start, part.length));
    whole.chain(known).chain(parts).find_map(|(name, start, length)| {
        match signature::look(disk, start, length) {
            Ok(Content {
                kind: Some(kind),
                member: true,
                ..
            }) => Some((name, kind)),
            _ => None,
        }
    })
}

fn partitions(disk: &mut File, size: u64) -> Vec<Part> {
    let parts = table(disk, size).map_or(Vec::new(), |table| table.partitions);
    let part = |part: disk_image::mbr::Partition| {
        let length = part.end() - part.start;
        let content = signature::look(disk, part.start, length).unwrap_or_default();
        Part {
            number: part.number,
            size: length,
            content: content.kind,
            label: content.label,
        }
    };
    parts.into_iter().map(part).collect()
}

fn table(disk: &mut File, size: u64) -> Option<Mbr> {
    use std::os::unix::fs::FileExt;
    let mut sector = [0; 512];
    disk.read_exact_at(&mut sector, 0).ok()?;
    Mbr::parse(&sector, Some(size)).ok()
}
