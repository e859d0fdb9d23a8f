//! The initramfs: busybox, the modules that lead to the root partition, and a small script. Not compressed: it is a
//! few megabytes, and a slow or emulated machine would spend longer on unpacking than on reading.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use super::bootstrap::Packages;
use super::cpio::Archive;
use super::kernel::{Kernel, unpack};
use super::recipe::{INIT, Recipe};

/// The programs that the script calls.
const APPLETS: &[&str] = &[
    "cat",
    "dd",
    "findfs",
    "hexdump",
    "insmod",
    "mount",
    "readlink",
    "sh",
    "switch_root",
    "usleep",
];

/// The archive's bytes.
pub(super) fn make(recipe: &Recipe, packages: &Packages, work: &Path, kernel: &Kernel) -> Result<Vec<u8>> {
    let unpacked = work.join("busybox");
    unpack(&packages.find(&recipe.busybox_package)?, &unpacked)?;
    let busybox = ["bin/busybox", "usr/bin/busybox"]
        .iter()
        .find_map(|path| fs::read(unpacked.join(path)).ok());

    let mut archive = Archive::default();
    for folder in ["bin", "dev", "modules", "proc", "root", "sys"] {
        archive.folder(folder);
    }
    archive.character_device("dev/console", 5, 1);
    archive.file("init", 0o755, INIT.as_bytes());
    archive.file(
        "bin/busybox",
        0o755,
        &busybox.context("the busybox package has no busybox")?,
    );
    for applet in APPLETS {
        archive.symlink(&format!("bin/{applet}"), "busybox");
    }
    let mut order = String::new();
    for path in load_order(&kernel.modules, &recipe.initramfs_modules)? {
        let name = path.rsplit('/').next().unwrap_or(&path);
        let content =
            fs::read(kernel.modules.join(&path)).with_context(|| format!("reading the module {path}"))?;
        archive.file(&format!("modules/{name}"), 0o644, &content);
        order.push_str(name);
        order.push('\n');
    }
    archive.file("modules/order", 0o644, order.as_bytes());
    Ok(archive.finish())
}

/// Paths below the modules folder, each after what it depends on.
fn load_order(modules: &Path, wanted: &[String]) -> Result<Vec<String>> {
    let read = |name| fs::read_to_string(modules.join(name)).with_context(|| format!("reading {name}"));
    order(&read("modules.dep")?, &read("modules.builtin")?, wanted)
}

fn order(dependencies: &str, builtin: &str, wanted: &[String]) -> Result<Vec<String>> {
    let lines = dependencies.lines().filter_map(|line| line.split_once(':'));
    let known: BTreeMap<String, (&str, Vec<&str>)> = lines
        // depmod lists what a module needs with the deepest dependency last.
        .map(|(path, needs)| (name_of(path), (path, needs.split_whitespace().rev().collect())))
        .collect();
    let mut order: Vec<String> = Vec::new();
    for name in wanted {
        let Some((path, needs)) = known.get(name) else {
            if builtin.lines().any(|path| name_of(path) == *name) {
                continue;
            }
            bail!("the kernel has no module {name}");
        };
        for path in needs.iter().chain([path]) {
            if !order.iter().any(|loaded| loaded == path) {
                order.push((*path).to_owned());
            }
        }
    }
    Ok(order)
}

/// As the kernel names a module: `kernel/lib/a-b.ko` is `a_b`.
fn name_of(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split('.').next().unwrap_or(file).replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_load_after_what_they_need() {
        let dependencies =
            "fs/ext4.ko: fs/jbd2.ko lib/crc-16.ko\nfs/jbd2.ko:\nlib/crc-16.ko:\nblk/virtio-blk.ko:\n";
        let builtin = "kernel/mmc/mmc_block.ko\n";
        let wanted = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            order(
                dependencies,
                builtin,
                &wanted(&["virtio_blk", "mmc_block", "ext4", "jbd2"])
            )
            .unwrap(),
            ["blk/virtio-blk.ko", "lib/crc-16.ko", "fs/jbd2.ko", "fs/ext4.ko"]
        );
        let message = order(dependencies, builtin, &wanted(&["gone"]))
            .unwrap_err()
            .to_string();
        assert_eq!(message, "the kernel has no module gone");
    }

    #[test]
    fn the_script_calls_only_what_is_there() {
        let of_the_shell = [
            "say",
            "find_root",
            "signature_of",
            "echo",
            "read",
            "exec",
            "return",
            "break",
            "continue",
        ];
        for word in [
            "dd",
            "hexdump",
            "findfs",
            "insmod",
            "usleep",
            "switch_root",
            "readlink",
            "mount",
            "cat",
        ] {
            assert!(
                INIT.contains(word) && APPLETS.contains(&word) && !of_the_shell.contains(&word),
                "{word}"
            );
        }
    }
}
