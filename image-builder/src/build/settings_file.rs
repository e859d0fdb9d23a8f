//! `cluster-lab.toml` on the boot partition: a place for the user's settings, and the sign by which `flash` knows
//! that an image has the agent, which reads them.

use std::fs::File;

use anyhow::{Result, ensure};
use boot_config::{FILE_NAME, Layer, render};
use disk_image::fat::BootPartition;
use disk_image::mbr::Partition;
use disk_image::timestamp::Timestamp;

/// Makes the file, with the settings that are given. Without any, one that the base image has is kept.
pub(super) fn add(image: &mut File, boot: &Partition, settings: Option<&Layer>, epoch: u64) -> Result<()> {
    let boot = BootPartition::open(image, boot)?;
    if settings.is_some() || boot.read(FILE_NAME)?.is_none() {
        let text = settings.map_or_else(|| render(&Layer::default()), render);
        boot.write(FILE_NAME, text.as_bytes(), Timestamp::from_epoch(epoch))?;
    }
    Ok(boot.close()?)
}

/// Refuses an image whose file the agent could not read.
pub(super) fn read_back(image: &mut File, boot: &Partition) -> Result<()> {
    let text = BootPartition::open(image, boot)?
        .read(FILE_NAME)?
        .unwrap_or_default();
    ensure!(!text.is_empty(), "{FILE_NAME} is missing from the boot partition");
    boot_config::parse(FILE_NAME, &String::from_utf8_lossy(&text))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_made_once_and_must_be_readable() {
        let disk = tempfile::NamedTempFile::new().unwrap();
        disk.as_file().set_len(8 << 20).unwrap();
        let made = std::process::Command::new("/usr/sbin/mkfs.vfat")
            .arg(disk.path())
            .output();
        assert!(made.expect("mkfs.vfat can be run").status.success());
        let boot = Partition {
            number: 1,
            kind: 0x0c,
            start: 0,
            length: 8 << 20,
        };
        let mut image = disk.reopen().unwrap();
        let missing = read_back(&mut image, &boot).unwrap_err().to_string();
        assert_eq!(missing, "cluster-lab.toml is missing from the boot partition");
        for _ in 0..2 {
            add(&mut image, &boot, None, 0).unwrap();
            read_back(&mut image, &boot).unwrap();
        }
        let fat = BootPartition::open(&mut image, &boot).unwrap();
        fat.write(FILE_NAME, b"version = 9\n", Timestamp::from_epoch(0))
            .unwrap();
        fat.close().unwrap();
        add(&mut image, &boot, None, 0).unwrap();
        let unreadable = read_back(&mut image, &boot).unwrap_err().to_string();
        assert!(
            unreadable.starts_with("cluster-lab.toml line 1 (version): version 9"),
            "{unreadable}"
        );
    }
}
