//! Writing cards: the options of the command line, and which cards they mean.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::list::{self, DEFAULT_MAX_SIZE, ListCards};
use super::{ImageOptions, cluster};
use crate::batch::{self, Interrupt, Manner, Order};
use crate::cluster_file;
use crate::membership::Membership;
use crate::names;
use crate::report::{Event, Voice};
use crate::settings::Options;
use crate::size;
use crate::wait::{self, Known};

/// What to write, where to, and with which settings.
#[derive(Clone, Debug, clap::Args)]
pub struct WriteCard {
    /// Image to write.
    #[command(flatten)]
    pub image: ImageOptions,
    /// Card to write to: a whole block device such as /dev/sdb, or a file as a virtual card. The size of a file that
    /// exists is the size of the card; one that does not is made. Given more than once, all are written at once; one
    /// that is slow or fails does not hold up the others. Without it, flash waits
    /// for a card to be inserted, and takes none that was there before
    #[arg(long, short, value_name = "PATH")]
    pub device: Vec<PathBuf>,
    /// Wait for a card in this reader only: its kernel name, such as sdb or mmcblk0
    #[arg(long, value_name = "NAME", conflicts_with = "device")]
    pub reader: Option<String>,
    /// Size of a virtual card that does not exist yet, such as 4G [default: that of the image]
    #[arg(long, value_name = "SIZE", value_parser = size::parse)]
    pub card_size: Option<u64>,
    /// Largest device that is taken for a card; larger ones are mostly somebody's disk, and have to be asked for
    #[arg(long, value_name = "SIZE", value_parser = size::parse, default_value = DEFAULT_MAX_SIZE)]
    pub max_size: u64,
    /// List the devices that may be cards, and why others are refused (as `flash list`)
    #[arg(long, exclusive = true)]
    pub list: bool,
    /// Overwrite the card without asking
    #[arg(long, short, visible_alias = "force", visible_short_alias = 'f')]
    pub yes: bool,
    /// Say nothing unless something fails
    #[arg(long, short, conflicts_with = "json")]
    pub quiet: bool,
    /// Say what happens as events for scripts: one JSON object on each line of standard output
    #[arg(long)]
    pub json: bool,
    /// Check everything and say what would be written, and write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Write also what the file systems of the image call free; without this, a device keeps there what it had
    #[arg(long)]
    pub whole: bool,
    /// Leave the card in the system's hands at the end: usable at once, not ejected
    #[arg(long)]
    pub no_eject: bool,
    /// What the card is to be told.
    #[command(flatten)]
    pub settings: Options,
    /// Which cluster it belongs to.
    #[command(flatten)]
    pub membership: Membership,
}

/// Does what the command line says.
///
/// # Errors
/// Before anything is written, or with a card that does not boot.
pub(super) fn run(arguments: &WriteCard) -> Result<()> {
    // Optional for the parser only, because a subcommand stands in their place.
    if arguments.list {
        return list::run(&ListCards::default());
    }
    let voice = match (arguments.quiet, arguments.json) {
        (true, _) => Voice::Quiet,
        (false, true) => Voice::Json,
        (false, false) => Voice::People,
    };
    let result = match arguments.image.image.as_deref() {
        Some(place) if cluster_file::is_one(place) => cluster::run(arguments, Path::new(place), voice),
        _ => write(arguments, voice),
    };
    result.inspect_err(|error| {
        let error = format!("{error:#}");
        voice.tell_scripts(&Event::Error { error: &error });
    })
}

fn write(arguments: &WriteCard, voice: Voice) -> Result<()> {
    let root = Path::new("/");
    let reader = arguments.reader.as_deref();
    // Before the image is fetched: a card that is inserted meanwhile counts.
    let mut known = Known::look(root, reader).context("looking for cards")?;
    let count = arguments.device.len().max(1);
    let hostnames = match &arguments.settings.hostname {
        Some(pattern) => names::expand(pattern, count)?.into_iter().map(Some).collect(),
        None => vec![None; count],
    };
    let wanted = hostnames.into_iter().map(|hostname| {
        let settings = Options {
            hostname,
            ..arguments.settings.clone()
        };
        settings.check()
    });
    let wanted = wanted.collect::<Result<Vec<_>>>()?;
    let image = arguments.image.get(voice)?;
    let interrupt = Interrupt::catch()?;
    let manner = Manner {
        image: &image,
        membership: &arguments.membership,
        card_size: arguments.card_size,
        max_size: arguments.max_size,
        voice,
        yes: arguments.yes,
        dry_run: arguments.dry_run,
        whole: arguments.whole,
        eject: !arguments.no_eject,
        interrupt: &interrupt,
    };
    let mut devices = arguments.device.clone();
    if devices.is_empty() {
        let hostname = wanted[0].hostname.as_ref().map(|name| name.as_str());
        say_waiting(voice, hostname);
        devices.push(wait::for_card(root, reader, &mut known, arguments.max_size)?);
    }
    let orders = devices.into_iter().zip(wanted).map(|(device, wanted)| Order {
        device,
        wanted,
        label: false,
    });
    batch::run(&orders.collect::<Vec<_>>(), &manner, &mut |_| {})
}

/// Says that a card is to be inserted.
pub(super) fn say_waiting(voice: Voice, hostname: Option<&str>) {
    voice.tell_scripts(&Event::Waiting { hostname });
    if voice == Voice::People {
        let name = hostname.map_or(String::new(), |name| format!(" for {name}"));
        eprintln!(
            "Insert the card{name}; one that is in its reader already: pull it out and insert it again."
        );
    }
}
