//! Virtual cards: files that the real `flash` writes, and whose boot partition is read as a Pi's firmware would.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use disk_image::fat::BootPartition;
use disk_image::mbr::{Mbr, SECTOR_LEN};

use crate::boot_files::{DEVICE_TREES, command_line, read_config};
use crate::credentials::Credentials;
use crate::device_tree::use_sdhci;
use crate::machine::Machine;

/// The release image and the program that writes it.
#[derive(Clone, Debug)]
pub struct Flasher {
    /// The `flash` program.
    pub program: PathBuf,
    /// The release image.
    pub image: PathBuf,
    /// Size of a card in bytes. A power of two, as QEMU wants SD cards.
    pub card_size: u64,
}

/// The files that start a node, copied from its card.
#[derive(Clone, Debug)]
pub struct Bootable {
    /// Kernel.
    pub kernel: PathBuf,
    /// Initial file system.
    pub initramfs: Option<PathBuf>,
    /// Device tree.
    pub device_tree: Option<PathBuf>,
    /// Kernel command line.
    pub command_line: String,
}

impl Flasher {
    /// Writes a new card for the node `hostname`, what `flash` says going to `log`.
    ///
    /// # Errors
    /// When `flash` cannot be started or fails; its last words are in the error.
    pub fn flash(&self, card: &Path, hostname: &str, credentials: &Credentials, log: &Path) -> Result<()> {
        let doing = || format!("making the card {}", card.display());
        if !self.image.exists() {
            bail!(
                "there is no image {}: make it with ci/build-image, or name one with --image",
                self.image.display()
            );
        }
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(card)
            .with_context(doing)?;
        file.set_len(self.card_size).with_context(doing)?;
        drop(file);
        let out = File::options()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("opening {}", log.display()))?;
        let status = Command::new(&self.program)
            .env("XDG_CONFIG_HOME", &credentials.config_home)
            // The lab is root's then, and so is its secret.
            .env_remove("SUDO_UID")
            .args(["--yes", "--hostname", hostname, "--user", &credentials.user])
            .arg("--user-password-file")
            .arg(&credentials.password_file)
            .arg("--ssh-key")
            .arg(&credentials.public_key)
            .arg("--device")
            .args([card, &self.image])
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .status()
            .with_context(|| {
                format!(
                    "starting {} (cargo build -p flash makes it)",
                    self.program.display()
                )
            })?;
        if !status.success() {
            let words = std::fs::read_to_string(log).unwrap_or_default();
            let last = words.lines().rev().find(|line| !line.trim().is_empty());
            bail!(
                "flash could not make the card {}: {}",
                card.display(),
                last.unwrap_or("it said nothing")
            );
        }
        Ok(())
    }
}

/// Copies what starts a node from its card to `folder`.
///
/// # Errors
/// When the card has no boot partition, or a file that `config.txt` names is not there.
pub fn read_bootable(card: &Path, machine: Machine, folder: &Path) -> Result<Bootable> {
    read(card, machine, folder).with_context(|| format!("starting from the card {}", card.display()))
}

fn read(card: &Path, machine: Machine, folder: &Path) -> Result<Bootable> {
    let mut file = File::open(card).context("opening it")?;
    let length = file.seek(SeekFrom::End(0))?;
    file.rewind()?;
    let mut sector = [0; SECTOR_LEN as usize];
    file.read_exact(&mut sector)?;
    let table = Mbr::parse(&sector, Some(length))?;
    let partition = table
        .boot_partition()
        .context("it has no FAT boot partition as a Pi's firmware wants")?;
    let boot = BootPartition::open(file, partition)?;
    let need = |name: &str| -> Result<Vec<u8>> {
        boot.read(name)?
            .with_context(|| format!("its boot partition has no {name}"))
    };
    std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let write = |name: &str, bytes: &[u8]| -> Result<PathBuf> {
        let path = folder.join(name);
        std::fs::write(&path, bytes).with_context(|| format!("writing {}", path.display()))?;
        Ok(path)
    };
    let copy = |name: &str, to: &str| write(to, &need(name)?);
    let config = String::from_utf8_lossy(&need("config.txt")?).into_owned();
    let files = read_config(&config, machine.board());
    let device_tree = match (&files.device_tree, machine.needs_device_tree()) {
        (_, false) => None,
        (Some(name), true) => Some(name.as_str()),
        (None, true) => {
            let present = boot.list()?;
            let name = DEVICE_TREES
                .iter()
                .find(|name| present.iter().any(|entry| entry.name.eq_ignore_ascii_case(name)))
                .with_context(|| format!("its boot partition has none of {}", DEVICE_TREES.join(", ")))?;
            Some(*name)
        }
    };
    let device_tree = device_tree
        .map(|name| {
            let mut tree = need(name)?;
            use_sdhci(&mut tree).with_context(|| format!("reading {name} of its boot partition"))?;
            write("device-tree", &tree)
        })
        .transpose()?;
    Ok(Bootable {
        kernel: copy(&files.kernel, "kernel")?,
        initramfs: files
            .initramfs
            .as_deref()
            .map(|name| copy(name, "initramfs"))
            .transpose()?,
        device_tree,
        command_line: command_line(&String::from_utf8_lossy(&need(&files.command_line)?)),
    })
}
