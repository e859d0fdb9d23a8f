//! The kernel and its modules, taken out of their package: nothing of it is installed by maintainer scripts.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::bootstrap::Packages;
use super::recipe::Recipe;
use crate::tool::Tool;

const DPKG_DEB: Tool = Tool {
    name: "dpkg-deb",
    package: "dpkg",
};
const DEPMOD: Tool = Tool {
    name: "depmod",
    package: "kmod",
};

/// An unpacked kernel.
#[derive(Debug)]
pub(super) struct Kernel {
    /// The kernel itself.
    pub(super) image: PathBuf,
    /// Folder of compiled device trees.
    pub(super) device_trees: PathBuf,
    /// `/lib/modules/<release>` in the root folder, with the files of depmod.
    pub(super) modules: PathBuf,
}

/// Unpacks a package into a folder.
pub(super) fn unpack(package: &Path, folder: &Path) -> Result<()> {
    let unpacked = DPKG_DEB.run(DPKG_DEB.command().arg("-x").arg(package).arg(folder));
    unpacked
        .map(drop)
        .with_context(|| format!("unpacking {}", package.display()))
}

/// Unpacks the kernel and puts its modules into the root folder.
pub(super) fn install(recipe: &Recipe, packages: &Packages, work: &Path, root: &Path) -> Result<Kernel> {
    let unpacked = work.join("kernel");
    unpack(&packages.find("linux-image-")?, &unpacked)?;
    let modules = only_entry(&unpacked.join("lib/modules"))?;
    let release = modules
        .file_name()
        .context("the kernel has no release")?
        .to_owned();
    trim(
        &modules.join("kernel"),
        &recipe.drop_modules,
        &recipe.keep_modules,
    )?;

    let installed = root.join("usr/lib/modules").join(&release);
    fs::create_dir_all(root.join("usr/lib/modules")).context("making /lib/modules")?;
    fs::rename(&modules, &installed).context("moving the kernel's modules into the root folder")?;
    DEPMOD
        .run(DEPMOD.command().arg("-b").arg(root).arg(&release))
        .context("indexing the kernel's modules")?;

    let mut image = std::ffi::OsString::from("vmlinuz-");
    image.push(&release);
    Ok(Kernel {
        image: unpacked.join("boot").join(image),
        device_trees: only_entry(&unpacked.join("usr/lib"))?,
        modules: installed,
    })
}

/// Removes what lies under `drop` and not under `keep`.
fn trim(folder: &Path, drop: &[String], keep: &[String]) -> Result<()> {
    for path in drop {
        remove_but(folder, Path::new(path), keep).with_context(|| format!("leaving out {path}"))?;
    }
    Ok(())
}

fn remove_but(folder: &Path, path: &Path, keep: &[String]) -> std::io::Result<()> {
    if keep.iter().any(|kept| path.starts_with(kept)) {
        return Ok(());
    }
    let full = folder.join(path);
    if !full.is_dir() {
        return if full.exists() {
            fs::remove_file(full)
        } else {
            Ok(())
        };
    }
    if !keep.iter().any(|kept| Path::new(kept).starts_with(path)) {
        return fs::remove_dir_all(full);
    }
    for entry in fs::read_dir(full)? {
        remove_but(folder, &path.join(entry?.file_name()), keep)?;
    }
    Ok(())
}

fn only_entry(folder: &Path) -> Result<PathBuf> {
    let doing = || format!("looking for the kernel in {}", folder.display());
    let mut entries = fs::read_dir(folder).with_context(doing)?;
    Ok(entries.next().with_context(doing)?.with_context(doing)?.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trimming_spares_what_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        for path in ["net/a/x.ko", "net/b/y.ko", "net/z.ko", "sound/s.ko", "fs/f.ko"] {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let drop = ["net", "sound", "absent"].map(str::to_owned);
        trim(folder.path(), &drop, &["net/b".to_owned()]).unwrap();
        let there = |path: &str| folder.path().join(path).exists();
        assert!(there("net/b/y.ko") && there("fs/f.ko"));
        assert!(!there("net/a") && !there("net/z.ko") && !there("sound"));
    }
}
