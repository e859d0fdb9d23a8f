//! Writing a card: everything is checked, then asked, then done.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail};

use super::ImageOptions;
use super::list::{self, DEFAULT_MAX_SIZE, ListCards};
use crate::card::Card;
use crate::image::Image;
use crate::job::Job;
use crate::membership::Membership;
use crate::settings::Options;
use crate::size;
use crate::write::clear_head;

/// What to write, where to, and with which settings.
#[derive(Clone, Debug, clap::Args)]
pub struct WriteCard {
    /// Image to write.
    #[command(flatten)]
    pub image: ImageOptions,
    /// Card to write to: a whole block device such as /dev/sdb, or a file as a virtual card. The size of a file that
    /// exists is the size of the card; one that does not is made
    #[arg(long, short, value_name = "PATH", required = true)]
    pub device: Option<PathBuf>,
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
    #[arg(long, short)]
    pub yes: bool,
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
    let Some(device) = &arguments.device else {
        bail!("--device is needed: see flash --help");
    };
    let wanted = arguments.settings.check()?;
    let image = &arguments.image.get()?;
    let job = Job::check(image, &wanted, &arguments.membership)
        .inspect_err(|error| image.forget_if_damaged(error))?;
    let new_size = arguments.card_size;
    let card = Card::find(device, new_size, image.file(), arguments.max_size, Path::new("/"))?;
    job.check_fits(&card)?;
    confirm(&card, image, arguments.yes)?;

    let interrupted = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&interrupted);
    ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed)).context("catching Ctrl-C")?;
    let started = Instant::now();
    let mut open = card.open()?;
    let result = job.write(&mut open, card.size(), &interrupted);
    let length = result.map_err(|error| {
        image.forget_if_damaged(&error);
        let cleared = clear_head(&mut open, 512).is_ok();
        card.discard();
        let state = match (card.is_new(), cleared) {
            (true, _) => "it was removed again",
            (false, true) => "it has no partition table now and does not boot",
            (false, false) => "it cannot even be cleared: do not use it",
        };
        anyhow!(
            "{} was not written to the end ({state}): {error:#}; then flash it again",
            device.display()
        )
    })?;
    if let Err(error) = open.reread_partition_table() {
        eprintln!(
            "flash: the card is good, but this system still sees its old partitions ({error:#}): pull it out"
        );
    }
    let name = wanted.hostname.map_or(String::new(), |name| format!("{name}: "));
    let file = if card.is_new() { " (a new file)" } else { "" };
    let place = format!("{}{file}", device.display());
    let seconds = started.elapsed().as_secs_f32();
    println!(
        "{name}{place} is ready: {} written and read back in {seconds:.0} s",
        size::display(length)
    );
    Ok(())
}

fn confirm(card: &Card, image: &Image, yes: bool) -> Result<()> {
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
        image.name()
    );
    io::stderr().flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    if answer.trim() != "yes" {
        bail!("nothing was written");
    }
    Ok(())
}
