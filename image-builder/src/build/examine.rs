//! Looks at a base image before it is changed: partitions, how its boot partition takes settings, which system it is.

use std::fs::File;

use anyhow::{Context as _, Result, ensure};
use disk_image::ext4::{Ext4, Summary};
use disk_image::fat::BootPartition;
use disk_image::mbr::{Mbr, Partition, Sector};

use crate::opened::root_partition;
use crate::system::System;

/// How the boot partition takes settings. An image may take several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootShape {
    /// `user-data`: HypriotOS from 1.7, Ubuntu, newer Raspberry Pi OS, and our own base image.
    CloudInit,
    /// `device-init.yaml`: HypriotOS 0.7 to 1.6.
    DeviceInit,
    /// `occidentalis.txt`: HypriotOS before 0.7.
    Occidentalis,
    /// `cmdline.txt` starts its own first-boot program: Raspberry Pi OS.
    FirstRun,
}

impl BootShape {
    /// From the names in the boot partition and the text of its `cmdline.txt`.
    pub fn recognise(names: &[String], command_line: &str) -> Vec<Self> {
        let has = |name: &str| names.iter().any(|found| found.eq_ignore_ascii_case(name));
        let mut shapes = Vec::new();
        if has("user-data") {
            shapes.push(Self::CloudInit);
        }
        if has("device-init.yaml") {
            shapes.push(Self::DeviceInit);
        }
        if has("occidentalis.txt") {
            shapes.push(Self::Occidentalis);
        }
        let own_start = [
            "init_resize.sh",
            "init=/usr/lib/raspberrypi-sys-mods/firstboot",
            "systemd.run=",
        ];
        if has("firstrun.sh") || has("issue.txt") || own_start.iter().any(|sign| command_line.contains(sign))
        {
            shapes.push(Self::FirstRun);
        }
        shapes
    }
}

impl std::fmt::Display for BootShape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::CloudInit => "cloud-init (user-data)",
            Self::DeviceInit => "device-init.yaml",
            Self::Occidentalis => "occidentalis.txt",
            Self::FirstRun => "Raspberry Pi OS (first run)",
        })
    }
}

/// What was found.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub(super) boot: Partition,
    pub(super) root: Partition,
    pub(super) shapes: Vec<BootShape>,
    pub(super) system: System,
}

impl std::fmt::Display for Layout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shapes: Vec<_> = self.shapes.iter().map(ToString::to_string).collect();
        let shapes = if shapes.is_empty() {
            "nothing known".to_owned()
        } else {
            shapes.join(", ")
        };
        let (system, mib) = (&self.system, self.root.length >> 20);
        let managers = system.network_managers.join(", ");
        write!(
            f,
            "{}; its boot partition takes settings by {shapes}; network: {}; Docker: {}; root partition of {mib} MiB",
            system.name,
            if managers.is_empty() {
                "nobody known"
            } else {
                &managers
            },
            system
                .docker
                .as_deref()
                .unwrap_or("none, nodes will have no engine")
        )
    }
}

/// Examines the copy of a base image. Nothing is changed.
pub(super) fn run(first_sector: &Sector, length: u64, image: &mut File) -> Result<Layout> {
    let table = Mbr::parse(first_sector, Some(length))?;
    let boot = *table.boot_partition().context("it has no FAT boot partition")?;
    let root = *root_partition(&table)?;

    let fat = BootPartition::open(&mut *image, &boot)?;
    let names: Vec<_> = fat.list()?.into_iter().map(|entry| entry.name).collect();
    let command_line = fat.read("cmdline.txt")?.unwrap_or_default();
    fat.close()?;
    let shapes = BootShape::recognise(&names, &String::from_utf8_lossy(&command_line));

    check_file_system(
        &Summary::read(image.try_clone().context("opening it")?, &root)?,
        root.number,
    )?;
    let ext4 = Ext4::open_read_only(image.try_clone().context("opening it")?, &root)?;
    let system = System::examine(&ext4)?;
    ensure!(
        system.systemd,
        "its system has no systemd, which starts the agent"
    );
    Ok(Layout {
        boot,
        root,
        shapes,
        system,
    })
}

/// Refuses what would be damaged by writing.
fn check_file_system(summary: &Summary, partition: u8) -> Result<()> {
    ensure!(
        summary.unwritable.is_empty(),
        "the file system of partition {partition} has features with which it cannot be changed here ({}): use another image, \
         or take them away with tune2fs",
        summary.unwritable.join(", ")
    );
    ensure!(
        summary.clean,
        "the file system of partition {partition} was not unmounted cleanly (its journal or its state says so): --repair \
         repairs the copy with `e2fsck -fp`, the base stays as it is; or use a fresh image"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boot_partitions_are_recognised() {
        use BootShape::{CloudInit, DeviceInit, FirstRun, Occidentalis};
        let raspberry =
            "console=tty1 root=PARTUUID=1-02 rootwait quiet init=/usr/lib/raspberrypi-sys-mods/firstboot";
        for (names, command_line, expected) in [
            (
                vec!["cmdline.txt", "user-data", "meta-data"],
                "root=/dev/mmcblk0p2",
                vec![CloudInit],
            ),
            (vec!["device-init.yaml"], "", vec![DeviceInit]),
            (vec!["OCCIDENTALIS.TXT"], "", vec![Occidentalis]),
            (vec!["cmdline.txt", "issue.txt"], raspberry, vec![FirstRun]),
            (vec!["user-data", "issue.txt"], "", vec![CloudInit, FirstRun]),
            (vec!["cmdline.txt"], "root=/dev/mmcblk0p2", vec![]),
        ] {
            let names: Vec<_> = names.into_iter().map(str::to_owned).collect();
            assert_eq!(BootShape::recognise(&names, command_line), expected, "{names:?}");
        }
    }
}
