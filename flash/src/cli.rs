//! The command line: everything is checked, then asked, then done.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Instant, SystemTime};

use anyhow::{Context, Result, anyhow, bail};
use disk_image::fat::BootPartition;
use disk_image::mbr::{Mbr, Partition};
use disk_image::source::Source;

use crate::card::{Card, OpenCard};
use crate::peek::Peek;
use crate::progress::Progress;
use crate::settings::{self, Edits, Options, Wanted};
use crate::size;
use crate::verify;
use crate::write::{Extent, Watch, clear_head, finish, write_body};

/// The partition table and what boot loaders put behind it.
const HEAD: u64 = 1024 * 1024;

const EXAMPLES: &str = "\
Examples:
  A card in a reader, for the first node; asks before it writes:
    sudo flash --hostname cl-node-1 --user pi --ssh-key ~/.ssh/id_ed25519.pub \\
        --device /dev/sdb cluster-lab.img.zip
  A virtual card of 4 GiB:
    flash --hostname cl-node-1 --card-size 4G --device cl-node-1.img cluster-lab.img.zip

The image may be a raw .img, or one packed as .zip or .gz; what it is, its content says.
A card is whole or does not boot: its partition table is written last, when everything
else has been read back and compared.";

/// Write a card image to a card, with the settings of one node, and read back what was written.
#[derive(Clone, Debug, clap::Parser)]
#[command(version, after_help = EXAMPLES)]
pub struct Arguments {
    /// Image to write: .img, .zip or .gz
    pub image: PathBuf,
    /// Card to write to: a whole block device such as /dev/sdb, or a file as a virtual card. The size of a file that
    /// exists is the size of the card; one that does not is made
    #[arg(long, short, value_name = "PATH")]
    pub device: PathBuf,
    /// Size of a virtual card that does not exist yet, such as 4G [default: that of the image]
    #[arg(long, value_name = "SIZE", value_parser = size::parse)]
    pub card_size: Option<u64>,
    /// Overwrite the card without asking
    #[arg(long, short)]
    pub yes: bool,
    /// What the card is to be told.
    #[command(flatten)]
    pub settings: Options,
}

/// What is to be done, checked.
struct Job {
    image: PathBuf,
    table: Mbr,
    /// Length of the image, if known before it is unpacked.
    length: Option<u64>,
    boot: Option<Partition>,
    edits: Edits,
}

/// Does what the command line says.
///
/// # Errors
/// Before anything is written, or with a card that does not boot.
pub fn run(arguments: &Arguments) -> Result<()> {
    let wanted = arguments.settings.check()?;
    let job = Job::check(&arguments.image, &wanted)?;
    let new_size = arguments.card_size;
    let card = Card::find(&arguments.device, new_size, &arguments.image, Path::new("/"))?;
    job.check_fits(&card)?;
    confirm(&card, &arguments.image, arguments.yes)?;

    let interrupted = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&interrupted);
    ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed)).context("catching Ctrl-C")?;
    let started = Instant::now();
    let mut open = card.open()?;
    let result = job.write(&mut open, card.size(), &interrupted);
    let length = result.map_err(|error| {
        let cleared = clear_head(&mut open, 512).is_ok();
        card.discard();
        let state = match (card.is_new(), cleared) {
            (true, _) => "it was removed again",
            (false, true) => "it has no partition table now and does not boot",
            (false, false) => "it cannot even be cleared: do not use it",
        };
        anyhow!(
            "{} was not written to the end ({state}): {error:#}; then flash it again",
            arguments.device.display()
        )
    })?;
    if let Err(error) = open.reread_partition_table() {
        eprintln!(
            "flash: the card is good, but this system still sees its old partitions ({error:#}): pull it out"
        );
    }
    let name = wanted.hostname.map_or(String::new(), |name| format!("{name}: "));
    let file = if card.is_new() { " (a new file)" } else { "" };
    let device = format!("{}{file}", arguments.device.display());
    let seconds = started.elapsed().as_secs_f32();
    println!(
        "{name}{device} is ready: {} written and read back in {seconds:.0} s",
        size::display(length)
    );
    Ok(())
}

impl Job {
    /// Opens the image and tries the settings on a copy of its boot partition in memory.
    fn check(image: &Path, wanted: &Wanted) -> Result<Self> {
        let name = image.display();
        let source = Source::open(image)?;
        let length = source.length();
        let table = Mbr::parse(source.first_sector(), length).with_context(|| format!("{name}"))?;
        let boot = table.boot_partition().copied();
        let edits = match (wanted.is_empty(), &boot) {
            (true, _) => Edits::new(),
            (false, None) => bail!("{name} has no FAT boot partition to write the settings to"),
            (false, Some(boot)) => {
                let mut disk = Peek::new(source);
                let partition = BootPartition::open(&mut disk, boot)?;
                let edits = wanted.plan(|name| Ok(partition.read(name)?))?;
                partition.close()?;
                settings::apply(&mut disk, boot, &edits, SystemTime::now().into())?;
                edits
            }
        };
        Ok(Self {
            image: image.to_owned(),
            table,
            length,
            boot,
            edits,
        })
    }

    fn check_fits(&self, card: &Card) -> Result<()> {
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

    /// Writes and proves the card; gives the length of the image.
    fn write(&self, card: &mut OpenCard, size: Option<u64>, interrupted: &Arc<AtomicBool>) -> Result<u64> {
        let first = self
            .table
            .partitions
            .iter()
            .map(|partition| partition.start)
            .min();
        let head = usize::try_from(first.map_or(HEAD, |first| first.min(HEAD)))?;
        let extent = Extent {
            card: size,
            head,
            blank: card.is_blank(),
        };
        clear_head(card, head)?;
        let mut source = Source::open(&self.image)?;
        let writing = Progress::new("writing", self.length, Arc::clone(interrupted));
        let written = write_body(&mut source, card, extent, &writing)?;
        drop(writing);
        if written.length < self.table.end() {
            bail!("the image ends before its last partition: it is damaged; download it again");
        }
        if size.is_none() {
            card.settle(written.length)?;
        }
        card.sync_and_forget()?;
        let reading = Progress::new("verifying", Some(written.length), Arc::clone(interrupted));
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

fn confirm(card: &Card, image: &Path, yes: bool) -> Result<()> {
    if yes || card.is_new() {
        return Ok(());
    }
    let card = card.describe();
    if !io::stdin().is_terminal() {
        bail!(
            "everything on {card} would be lost, and there is no terminal to ask at: add --yes if that is meant"
        );
    }
    eprint!(
        "Everything on {card} will be lost.\nWrite {} to it? [yes/no] ",
        image.display()
    );
    io::stderr().flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    if answer.trim() != "yes" {
        bail!("nothing was written");
    }
    Ok(())
}
