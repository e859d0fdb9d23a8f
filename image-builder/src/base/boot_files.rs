//! The folder that becomes the boot partition.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::bootstrap::Packages;
use super::identity::Identity;
use super::kernel::{Kernel, unpack};
use super::recipe::Recipe;
use super::root_files::fill_in;

/// Where the firmware's package has its files, and under which licence.
const FIRMWARE: &str = "usr/lib/raspi-firmware";
const LICENCE: &str = "usr/share/doc/raspi-firmware/copyright";

/// Fills `boot`.
pub(super) fn fill(
    recipe: &Recipe,
    identity: &Identity,
    packages: &Packages,
    kernel: &Kernel,
    initramfs: &[u8],
    work: &Path,
    boot: &Path,
) -> Result<()> {
    let firmware = work.join("firmware");
    unpack(&packages.find(&recipe.firmware_package)?, &firmware)?;
    fs::create_dir_all(boot).context("making the boot folder")?;
    let copy = |from: std::path::PathBuf, name: &str| -> Result<()> {
        fs::copy(&from, boot.join(name))
            .with_context(|| format!("copying {} to the boot folder", from.display()))?;
        Ok(())
    };
    copy(kernel.image.clone(), "vmlinuz")?;
    for name in &recipe.device_trees {
        copy(kernel.device_trees.join(name), name)?;
    }
    for name in &recipe.firmware {
        copy(firmware.join(FIRMWARE).join(name), name)?;
    }
    copy(firmware.join(LICENCE), "LICENCE.firmware")?;
    fs::write(boot.join("initrd.img"), initramfs).context("writing the initramfs")?;
    for (name, text) in &recipe.boot_files {
        fs::write(boot.join(name), fill_in(text, identity)).with_context(|| format!("writing {name}"))?;
    }
    Ok(())
}
