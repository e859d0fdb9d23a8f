//! Waits for a card to be inserted. Only one that appears after the start is taken: what was there before is
//! somebody's disk.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::candidate::{self, NO_CARDS};
use crate::device::Device;

/// How often the kernel is asked.
const STEP: Duration = Duration::from_millis(250);
/// How long udev may take to make the device's file.
const NODE_MAX: Duration = Duration::from_secs(10);

/// The devices that are there, and what is in them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Known(BTreeMap<String, Medium>);

/// What a device has in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Medium {
    /// In sectors; none for a reader without a card.
    size: u64,
    /// The kernel's count of media, where it has one.
    number: String,
}

impl Known {
    /// What is there now. With a `reader` (a kernel name such as `sdb`), only that one counts, whatever it is.
    pub(crate) fn look(root: &Path, reader: Option<&str>) -> io::Result<Self> {
        let mut found = BTreeMap::new();
        for entry in std::fs::read_dir(root.join("sys/block"))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let counts = match reader {
                Some(reader) => name == reader,
                None => !name.starts_with("loop") && !NO_CARDS.iter().any(|prefix| name.starts_with(prefix)),
            };
            if counts {
                // A device may go away while it is looked at.
                let text = |file| std::fs::read_to_string(entry.path().join(file)).unwrap_or_default();
                let medium = Medium {
                    size: text("size").trim().parse().unwrap_or(0),
                    number: text("diskseq").trim().to_owned(),
                };
                found.insert(name, medium);
            }
        }
        Ok(Self(found))
    }

    /// A card that was not there `before`.
    fn new_since(&self, before: &Self) -> Option<&str> {
        let is_new = |(name, now): &(&String, &Medium)| {
            let before = before.0.get(*name);
            now.size > 0 && before.is_none_or(|before| before.size == 0 || before.number != now.number)
        };
        self.0.iter().find(is_new).map(|(name, _)| name.as_str())
    }
}

/// Waits for a card that was not there at `known`, which is brought up to date. Cards that may not be written are said
/// and left alone.
///
/// # Errors
/// When the kernel does not say.
pub(crate) fn for_card(
    root: &Path,
    reader: Option<&str>,
    known: &mut Known,
    max_size: u64,
) -> Result<PathBuf> {
    loop {
        let now = Known::look(root, reader).context("looking for cards")?;
        let new = now.new_since(known).map(str::to_owned);
        // One at a time: a second one that was inserted meanwhile is found the next time.
        let Some(name) = new else {
            *known = now;
            std::thread::sleep(STEP);
            continue;
        };
        if let Some(medium) = now.0.get(&name) {
            known.0.insert(name.clone(), medium.clone());
        }
        match usable(root, &name, max_size) {
            Ok(path) => return Ok(path),
            Err(error) => eprintln!("flash: {error:#}; still waiting"),
        }
    }
}

/// The file of a device that has just appeared, if it may be overwritten.
fn usable(root: &Path, name: &str, max_size: u64) -> Result<PathBuf> {
    let path = root.join("dev").join(name);
    let started = Instant::now();
    while !path.exists() && started.elapsed() < NODE_MAX {
        std::thread::sleep(STEP);
    }
    let number = std::fs::read_to_string(root.join("sys/block").join(name).join("dev"))
        .with_context(|| format!("{name} is gone again"))?;
    let device = Device::read(root, &number.trim().to_owned())?;
    candidate::check(&device, std::fs::File::open(&path).ok().as_mut(), max_size)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(devices: &[(&str, u64, &str)]) -> Known {
        let medium = |size, number: &str| Medium {
            size,
            number: number.to_owned(),
        };
        let devices = devices
            .iter()
            .map(|(name, size, number)| ((*name).to_owned(), medium(*size, number)));
        Known(devices.collect())
    }

    #[test]
    fn only_what_was_inserted_afterwards_is_new() {
        let before = known(&[("sda", 100, "1"), ("sdb", 0, "2"), ("sdc", 9, "3")]);
        for (now, expected) in [
            (
                known(&[("sda", 100, "1"), ("sdb", 0, "2"), ("sdc", 9, "3")]),
                None,
            ),
            (known(&[("sda", 100, "1"), ("sdb", 8, "2")]), Some("sdb")),
            (known(&[("sda", 100, "1"), ("sdb", 8, "4")]), Some("sdb")),
            (known(&[("sdc", 9, "4")]), Some("sdc")),
            (known(&[("sda", 100, "1"), ("mmcblk0", 8, "5")]), Some("mmcblk0")),
            (known(&[("sdd", 0, "5")]), None),
        ] {
            assert_eq!(now.new_since(&before), expected, "{now:?}");
        }
    }

    #[test]
    fn disks_of_other_kinds_do_not_count_unless_they_are_named() {
        let root = tempfile::tempdir().unwrap();
        for (name, size) in [
            ("sdb", "5"),
            ("loop7", "5"),
            ("dm-0", "5"),
            ("zram0", "5"),
            ("sr0", "5"),
        ] {
            let folder = root.path().join("sys/block").join(name);
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("size"), size).unwrap();
        }
        let names = |reader| {
            Known::look(root.path(), reader)
                .unwrap()
                .0
                .into_keys()
                .collect::<Vec<_>>()
        };
        assert_eq!(names(None), ["sdb"]);
        assert_eq!(names(Some("loop7")), ["loop7"]);
    }
}
