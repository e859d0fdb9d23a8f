//! One card's image and settings, checked before and done after the user has been asked.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::SystemTime;

use anyhow::{Context, Result, bail};
use boot_config::FILE_NAME;
use disk_image::fat::BootPartition;
use disk_image::free::FreeMap;
use disk_image::mbr::{Mbr, Partition};

use crate::card::Card;
use crate::image::Image;
use crate::medium::Medium;
use crate::membership::Membership;
use crate::peek::Peek;
use crate::progress::Progress;
use crate::report::Voice;
use crate::secret::Secrets;
use crate::settings::{self, Edits, Wanted};
use crate::size;
use crate::stream::{Blocks, Unpacked};
use crate::verify;
use crate::write::{Extent, Watch, clear_head, finish, write_body};

/// The partition table and what boot loaders put behind it.
const HEAD: u64 = 1024 * 1024;
/// Behind the last partition there is at most what some tool left there.
const TAIL_MAX: u64 = 1024 * 1024 * 1024;

/// What is to be done, checked.
pub(crate) struct Job {
    table: Mbr,
    /// Length of the image, if known before it is unpacked.
    length: Option<u64>,
    boot: Option<Partition>,
    edits: Edits,
}

impl Job {
    /// Opens the image and tries the settings on a copy of its boot partition in memory.
    pub(crate) fn check(
        image: &Image,
        wanted: &Wanted,
        membership: &Membership,
        dry_run: bool,
    ) -> Result<Self> {
        let name = image.name();
        let source = image.source()?;
        let length = source.length();
        let table = Mbr::parse(source.first_sector(), length).with_context(|| name.to_owned())?;
        let boot = table.boot_partition().copied();
        let mut disk = Peek::new(source);
        let edits = match (wanted.is_empty() && membership.is_empty(), &boot) {
            (true, None) => Edits::new(),
            (false, None) => bail!("{name} has no FAT boot partition to write the settings to"),
            // What cannot be read is no image of Cluster Lab, and its own business while nothing is asked of it.
            (true, Some(boot)) if BootPartition::open(&mut disk, boot).is_err() => Edits::new(),
            (_, Some(boot)) => {
                let partition = BootPartition::open(&mut disk, boot)?;
                let mut edits = wanted.plan(|name| Ok(partition.read(name)?))?;
                let own = partition.read(FILE_NAME)?;
                membership.add_to(&mut edits, own.as_deref(), Secrets::of_user, dry_run)?;
                partition.close()?;
                settings::apply(&mut disk, boot, &edits, SystemTime::now().into())?;
                edits
            }
        };
        Ok(Self {
            table,
            length,
            boot,
            edits,
        })
    }

    /// Length of the image, if known before it is unpacked.
    pub(crate) fn length(&self) -> Option<u64> {
        self.length
    }

    /// Files of the boot partition that are made or changed.
    pub(crate) fn files(&self) -> impl Iterator<Item = &str> {
        self.edits.keys().map(String::as_str)
    }

    pub(crate) fn check_fits(&self, card: &Card) -> Result<()> {
        let needed = self.length.unwrap_or(self.table.end());
        match card.size() {
            Some(size) if size < needed => bail!(
                "the image needs {} ({needed} bytes) and {} holds {size} bytes: use a larger card",
                size::display(needed),
                card.describe()
            ),
            _ => Ok(()),
        }
    }

    /// How much of the start is kept back to the end.
    fn head(&self) -> usize {
        let partitions = self.table.partitions.iter();
        let first = partitions.map(|partition| partition.start).min();
        usize::try_from(first.map_or(HEAD, |first| first.min(HEAD))).unwrap_or(0)
    }

    /// The image, as cards of this job take it; `whole` with what its file systems call free.
    pub(crate) fn unpack<R: Read>(&self, image: R, whole: bool) -> Unpacked<R> {
        let free = if whole {
            FreeMap::none()
        } else {
            FreeMap::new(&self.table)
        };
        Unpacked::new(image, self.head(), free)
    }

    /// Writes `image` to the card and proves it; gives the length of the image. `name` is for progress, where there are
    /// several cards.
    pub(crate) fn write(
        &self,
        image: &mut impl Blocks,
        card: &mut impl Medium,
        size: Option<u64>,
        name: Option<&str>,
        voice: Voice,
        interrupted: &Arc<AtomicBool>,
    ) -> Result<u64> {
        let progress = |phase, total| {
            let interrupted = Arc::clone(interrupted);
            match name {
                Some(name) => Progress::of_card(voice, name, phase, total, interrupted),
                None => Progress::new(voice, phase, total, interrupted),
            }
        };
        let head = self.head();
        let extent = Extent {
            card: size,
            head,
            longest: self.table.end().saturating_add(TAIL_MAX),
            blank: card.is_blank(),
        };
        clear_head(card, head)?;
        let writing = progress("writing", self.length);
        let written = write_body(image, card, extent, &writing)?;
        drop(writing);
        if written.length < self.table.end() {
            bail!("the image ends before its last partition: it is damaged; download it again");
        }
        if size.is_none() {
            card.settle(written.length)?;
        }
        card.sync_and_forget()?;
        let reading = progress("verifying", Some(written.length.saturating_sub(head as u64)));
        verify::body(card, &written, &reading)?;
        if let Some(boot) = self.boot.filter(|_| !self.edits.is_empty()) {
            settings::apply(&mut *card, &boot, &self.edits, SystemTime::now().into())?;
            card.sync_and_forget()?;
            settings::verify(&mut *card, &boot, &self.edits)?;
        }
        if reading.interrupted() {
            bail!("interrupted");
        }
        drop(reading);
        finish(card, &written.head)?;
        card.sync_and_forget()?;
        verify::head(card, &written.head)?;
        Ok(written.length)
    }
}

#[cfg(test)]
mod tests;
