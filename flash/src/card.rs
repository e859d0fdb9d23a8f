//! What is written to: a block device, or a file as a virtual card.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use nix::fcntl::OFlag;
use nix::sys::stat::{major, minor};

use crate::candidate;
use crate::device::Device;
use crate::image::is_same;
use crate::open_card::OpenCard;
use crate::size;

/// A card that may be written to.
#[derive(Clone, Debug)]
pub struct Card {
    path: PathBuf,
    kind: Kind,
    root: PathBuf,
}

#[derive(Clone, Debug)]
enum Kind {
    Block(Box<Device>),
    File { size: u64 },
    NewFile { size: Option<u64> },
}

impl Card {
    /// Finds out what `path` is, and that it may be overwritten. `new_size` is for a file that does not exist yet.
    /// Devices of more than `max_size` bytes are no cards. `root` is where /sys and /proc are.
    ///
    /// # Errors
    /// When it is in use, is the image itself, or is no card.
    pub fn find(
        path: &Path,
        new_size: Option<u64>,
        image: &File,
        max_size: u64,
        root: &Path,
    ) -> Result<Self> {
        let name = path.display();
        let card = |kind| Self {
            path: path.to_owned(),
            kind,
            root: root.to_owned(),
        };
        let meta = match std::fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if path.starts_with("/dev") {
                    bail!("there is no device {name}: is the card inserted? (`lsblk` lists what there is)");
                }
                if path.components().count() == 1 && root.join("sys/block").join(path).exists() {
                    bail!(
                        "{name} would be a new file, not the device of that name: say --device /dev/{name}"
                    );
                }
                return Ok(card(Kind::NewFile { size: new_size }));
            }
            other => other.with_context(|| format!("{name}"))?,
        };
        if new_size.is_some() {
            bail!("--card-size is for a new file, and {name} exists");
        }
        if is_same(image, path).with_context(|| format!("{name}"))? {
            bail!("{name} is the image itself: name the card with --device and the image last");
        }
        if meta.is_file() {
            // Left behind by a tool that wrote to a device that was gone: it is in memory, no card gets it.
            if path
                .canonicalize()
                .is_ok_and(|path| path.starts_with("/dev") && !path.starts_with("/dev/shm"))
            {
                bail!(
                    "{name} is a file, not a device: remove it (rm {name}), then pull the card out and insert it again"
                );
            }
            if let Some(device) = attached(path, root) {
                bail!("{name} is in use as {device}: detach it first (losetup -d {device})");
            }
            return Ok(card(Kind::File { size: meta.len() }));
        }
        if !meta.file_type().is_block_device() {
            bail!(
                "{name} is neither a block device nor a file: cards are called like /dev/sdb or /dev/mmcblk0"
            );
        }
        let number = format!("{}:{}", major(meta.rdev()), minor(meta.rdev()));
        let device = Device::read(root, &number).with_context(|| format!("looking at {name}"))?;
        // Without the right to read it there is none to write it either, and that is said later.
        candidate::check(&device, File::open(path).ok().as_mut(), max_size)?;
        if device
            .backing_file
            .as_ref()
            .is_some_and(|file| is_same(image, file).is_ok_and(|same| same))
        {
            bail!("{name} is the image itself: name the card with --device and the image last");
        }
        Ok(card(Kind::Block(Box::new(device))))
    }

    /// Size in bytes, where it is settled.
    pub fn size(&self) -> Option<u64> {
        match &self.kind {
            Kind::Block(device) => Some(device.size),
            Kind::File { size } => Some(*size),
            Kind::NewFile { size } => *size,
        }
    }

    /// Whether something may be lost by writing to it.
    pub fn is_new(&self) -> bool {
        matches!(self.kind, Kind::NewFile { .. })
    }

    /// In one line, for people who are to decide whether it is the right one.
    pub fn describe(&self) -> String {
        let path = self.path.display();
        match &self.kind {
            Kind::Block(device) => {
                let model = device.model.as_deref().unwrap_or("unknown model");
                let partitions = match device.partitions.len() {
                    0 => "no partitions".to_owned(),
                    1 => "1 partition".to_owned(),
                    count => format!("{count} partitions"),
                };
                let points = device.auto_mounts.iter().map(|(_, point)| point.as_str());
                let mounted = match points.collect::<Vec<_>>() {
                    points if points.is_empty() => String::new(),
                    points => format!(", mounted at {}", points.join(" and ")),
                };
                format!(
                    "{path} ({model}, {}, {partitions}{mounted})",
                    size::display(device.size)
                )
            }
            Kind::File { size } => format!("{path} (a file of {})", size::display(*size)),
            Kind::NewFile { .. } => format!("{path} (a new file)"),
        }
    }

    /// What the kernel says about it, if it is a device.
    pub(crate) fn device(&self) -> Option<&Device> {
        match &self.kind {
            Kind::Block(device) => Some(device),
            Kind::File { .. } | Kind::NewFile { .. } => None,
        }
    }

    /// Unmounts what a desktop has mounted of it, also in the meantime.
    ///
    /// # Errors
    /// When something uses it.
    pub fn unmount(&self) -> Result<()> {
        let Kind::Block(shown) = &self.kind else {
            return Ok(());
        };
        let number = std::fs::metadata(&self.path)
            .with_context(|| format!("{}", self.path.display()))?
            .rdev();
        let now = Device::read(&self.root, &format!("{}:{}", major(number), minor(number)))?;
        // What is another card by now is refused when it is opened.
        if now.medium != shown.medium {
            return Ok(());
        }
        for (_, point) in now.auto_mounts.iter().rev() {
            // The program, not the system call: it may do it for a user who has mounted it.
            let done = Command::new("umount").arg("--").arg(point).output();
            let done = done.context("running umount")?;
            if !done.status.success() {
                let reason = String::from_utf8_lossy(&done.stderr).trim().to_owned();
                bail!("{point} cannot be unmounted ({reason}): close what uses it, and start again");
            }
        }
        Ok(())
    }

    /// Opens it for writing, for nobody else to use. A file is emptied, so that it reads as zeros.
    ///
    /// # Errors
    /// When it is in use, or may not be written.
    pub fn open(&self) -> Result<OpenCard> {
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        match self.kind {
            // With O_EXCL the kernel itself refuses what is mounted or held, also what was so in the last second.
            Kind::Block(_) => options.custom_flags(OFlag::O_EXCL.bits()),
            Kind::File { .. } => options.truncate(true),
            // Settings may hold the hash of a password.
            Kind::NewFile { .. } => options.create_new(true).mode(0o600),
        };
        let name = self.path.display();
        let file = options.open(&self.path).map_err(|error| {
            let remedy = match error.kind() {
                io::ErrorKind::ResourceBusy => ": unmount it, and close what uses it",
                io::ErrorKind::PermissionDenied if self.device().is_some() => {
                    ": run it with sudo, or give yourself the right until the card is pulled out (sudo setfacl -m u:$USER:rw "
                }
                io::ErrorKind::PermissionDenied => ": you may not write there",
                _ => "",
            };
            let end = if remedy.ends_with(' ') { format!("{name})") } else { String::new() };
            anyhow::Error::new(error).context(format!("opening {name} for writing{remedy}{end}"))
        })?;
        if let Kind::Block(shown) = &self.kind {
            let number = file.metadata().with_context(|| format!("{name}"))?.rdev();
            let now = Device::read(&self.root, &format!("{}:{}", major(number), minor(number)))?;
            let same = |device: &Device| Device {
                auto_mounts: Vec::new(),
                ..device.clone()
            };
            if same(&now) != same(shown) {
                bail!(
                    "{name} is not the card any more that it was a moment ago: nothing was written; start again"
                );
            }
        }
        let is_block = matches!(self.kind, Kind::Block(_));
        if let (false, Some(size)) = (is_block, self.size()) {
            file.set_len(size)
                .with_context(|| format!("making {name} {size} bytes large"))?;
        }
        Ok(OpenCard::new(file, is_block))
    }

    /// After a failure: takes away a file that was made here.
    pub fn discard(&self) {
        if self.is_new() {
            // The failure itself is what the user is told.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// The loop device whose backing file is `path`.
fn attached(path: &Path, root: &Path) -> Option<String> {
    let path = path.canonicalize().ok()?;
    let devices = std::fs::read_dir(root.join("sys/block")).ok()?;
    devices.flatten().find_map(|device| {
        let file = std::fs::read_to_string(device.path().join("loop/backing_file")).ok()?;
        (Path::new(file.trim_end()) == path).then(|| format!("/dev/{}", device.file_name().to_string_lossy()))
    })
}
