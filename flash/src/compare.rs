//! A card that was written earlier, against its image: bytes, and on the boot partition, where every card has its own
//! settings, files. What the image's file systems call free is nobody's and does not count.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result, bail};
use boot_config::FIRST_RUN_FILE;
use disk_image::fat::BootPartition;
use disk_image::free::FreeMap;
use disk_image::mbr::{Mbr, Partition};
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

use crate::hash::STEP;
use crate::image::Image;
use crate::peek::Peek;
use crate::progress::Progress;
use crate::report::Voice;
use crate::stream::mask;
use crate::write::{BLOCK, Watch};

/// Files of the boot partition that say something about one card.
const SETTINGS: [&str; 13] = [
    "cluster-lab.secret",
    "cluster-lab.toml",
    "cmdline.txt",
    "config.txt",
    "custom.toml",
    "device-init.yaml",
    "fake-hwclock.data",
    "firstrun.sh",
    "meta-data",
    "network-config",
    "occidentalis.txt",
    "rpi-preseed.toml",
    "user-data",
];

/// How a card that holds an image differs from it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Differences {
    /// Length of the image.
    pub(crate) length: u64,
    /// Files of the boot partition that are the card's own.
    pub(crate) settings: Vec<String>,
}

/// Compares the card at `device` with an image.
///
/// # Errors
/// When they differ in more than settings, or one cannot be read.
pub(crate) fn card(device: &Path, image: &Image, interrupted: Arc<AtomicBool>) -> Result<Differences> {
    let mut source = image.source()?;
    let table =
        Mbr::parse(source.first_sector(), source.length()).with_context(|| image.name().to_owned())?;
    let boot = table.boot_partition().copied();
    let mut card = File::open(device).context("opening it")?;
    // What the system remembers says nothing about the card.
    posix_fadvise(&card, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED).context("dropping the cache")?;
    let progress = Progress::new(Voice::People, "comparing", source.length(), interrupted);
    let mut free = FreeMap::new(&table);
    let (length, boot_differs) = bytes(&mut source, &mut card, boot.as_ref(), &mut free, &progress)?;
    drop(progress);
    let settings = match boot.filter(|_| boot_differs) {
        Some(boot) => {
            let expected = files(Peek::new(image.source()?), &boot)?;
            let found = files(card, &boot).context("its boot partition differs, and")?;
            settings(&expected, &found)?
        }
        None => Vec::new(),
    };
    Ok(Differences { length, settings })
}

/// The length of the image, and whether the boot partition differs. Any other difference is an error.
fn bytes(
    image: &mut impl Read,
    card: &mut impl Read,
    boot: Option<&Partition>,
    free: &mut FreeMap,
    watch: &dyn Watch,
) -> Result<(u64, bool)> {
    let (mut expected, mut found) = (vec![0; BLOCK], vec![0; BLOCK]);
    let (mut at, mut boot_differs) = (0, false);
    loop {
        let count = image.by_ref().take(BLOCK as u64).read_to_end({
            expected.clear();
            &mut expected
        })?;
        if count == 0 {
            return Ok((at, boot_differs));
        }
        if watch.interrupted() {
            bail!("interrupted");
        }
        free.observe(at, &expected);
        let free = mask(free, at, count);
        let found = &mut found[..count];
        card.read_exact(found)
            .with_context(|| format!("reading at byte {at} of the card"))?;
        if found != expected {
            let pairs = expected.iter().zip(found).zip(at..);
            for (_, at) in pairs.filter(|((expected, found), _)| expected != found) {
                if free >> (at % BLOCK as u64 / STEP as u64) & 1 == 1 {
                    // Nobody reads it before it is written again, so a card may keep there what it had.
                    continue;
                }
                if boot.is_some_and(|boot| (boot.start..boot.end()).contains(&at)) {
                    boot_differs = true;
                } else {
                    bail!(
                        "it differs from the image at byte {at}: flash it again, and if that does not last, use another card"
                    );
                }
            }
        }
        at += count as u64;
        watch.advance(count as u64);
    }
}

/// All files of a boot partition, by path.
fn files<D: Read + Write + Seek>(disk: D, boot: &Partition) -> Result<BTreeMap<String, Vec<u8>>> {
    Ok(BootPartition::open(disk, boot)?.read_all()?)
}

/// The files that are the card's own; an error if anything but settings differs.
fn settings(expected: &BTreeMap<String, Vec<u8>>, found: &BTreeMap<String, Vec<u8>>) -> Result<Vec<String>> {
    for (name, bytes) in expected {
        match found.get(name) {
            // A first start takes it away when it is done.
            None if name == FIRST_RUN_FILE => {}
            None => bail!("{name} is missing on its boot partition: flash it again"),
            Some(own) if own != bytes && !SETTINGS.contains(&name.as_str()) => {
                bail!("{name} on its boot partition is not that of the image: flash it again")
            }
            Some(_) => {}
        }
    }
    let own = found
        .iter()
        .filter(|(name, bytes)| expected.get(*name) != Some(bytes));
    Ok(own.map(|(name, _)| name.clone()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> BTreeMap<String, Vec<u8>> {
        let owned = |(name, text): &(&str, &str)| ((*name).to_owned(), text.as_bytes().to_owned());
        files.iter().map(owned).collect()
    }

    #[test]
    fn settings_and_added_files_may_differ_and_nothing_else() {
        let image = tree(&[("kernel.img", "k"), ("user-data", "u"), ("overlays/a", "a")]);
        for (card, expected) in [
            (
                vec![("kernel.img", "k"), ("user-data", "u"), ("overlays/a", "a")],
                Ok(vec![]),
            ),
            (
                vec![
                    ("kernel.img", "k"),
                    ("user-data", "x"),
                    ("overlays/a", "a"),
                    ("my.txt", ""),
                ],
                Ok(vec!["my.txt", "user-data"]),
            ),
            (
                vec![("kernel.img", "x"), ("user-data", "u"), ("overlays/a", "a")],
                Err("kernel.img on"),
            ),
            (
                vec![("kernel.img", "k"), ("user-data", "u")],
                Err("overlays/a is missing on its boot partition"),
            ),
            (
                vec![("kernel.img", "k"), ("overlays/a", "a")],
                Err("user-data is missing"),
            ),
        ] {
            match (settings(&image, &tree(&card)), expected) {
                (Ok(names), Ok(expected)) => assert_eq!(names, expected),
                (Err(error), Err(expected)) => assert!(error.to_string().starts_with(expected), "{error}"),
                (result, _) => panic!("{result:?}"),
            }
        }
    }
}
