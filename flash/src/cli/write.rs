//! Writing a card: everything is checked, then asked, then done.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail};

use super::ImageOptions;
use super::list::{self, DEFAULT_MAX_SIZE, ListCards};
use crate::card::{Card, OpenCard};
use crate::fan_out::{self, Tap};
use crate::image::Image;
use crate::job::Job;
use crate::membership::Membership;
use crate::names;
use crate::settings::{Options, Wanted};
use crate::size;
use crate::write::clear_head;

/// What to write, where to, and with which settings.
#[derive(Clone, Debug, clap::Args)]
pub struct WriteCard {
    /// Image to write.
    #[command(flatten)]
    pub image: ImageOptions,
    /// Card to write to: a whole block device such as /dev/sdb, or a file as a virtual card. The size of a file that
    /// exists is the size of the card; one that does not is made. Given more than once, all are written at once; the
    /// fastest may get 32 MiB ahead of the slowest, and one that fails does not stop the others
    #[arg(long, short, value_name = "PATH", required = true)]
    pub device: Vec<PathBuf>,
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
    let names = match &arguments.settings.hostname {
        Some(pattern) => names::expand(pattern, arguments.device.len())?
            .into_iter()
            .map(Some)
            .collect(),
        None => vec![None; arguments.device.len()],
    };
    let checked = names.into_iter().map(|hostname| {
        let settings = Options {
            hostname,
            ..arguments.settings.clone()
        };
        settings.check()
    });
    let wanted: Vec<Wanted> = checked.collect::<Result<_>>()?;
    let image = arguments.image.get()?;
    // All cards first: that one of many cannot be written is known before minutes of reading.
    let mut cards = Vec::new();
    for device in &arguments.device {
        let card = Card::find(
            device,
            arguments.card_size,
            image.file(),
            arguments.max_size,
            Path::new("/"),
        )?;
        let place = device.canonicalize().unwrap_or_else(|_| device.clone());
        if cards.iter().any(|(_, _, other)| *other == place) {
            bail!("{} is named twice: name each card once", device.display());
        }
        cards.push((device, card, place));
    }
    let mut todo = Vec::new();
    for ((device, card, _), wanted) in cards.into_iter().zip(wanted) {
        let job = Job::check(&image, &wanted, &arguments.membership)
            .inspect_err(|error| image.forget_if_damaged(error))?;
        job.check_fits(&card)?;
        todo.push(Todo {
            device,
            job,
            card,
            wanted,
        });
    }
    confirm(&todo, &image, arguments.yes)?;

    let interrupted = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&interrupted);
    ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed)).context("catching Ctrl-C")?;
    write_all(&todo, &image, &interrupted)
}

/// One card, and what is to be done with it.
struct Todo<'a> {
    device: &'a Path,
    job: Job,
    card: Card,
    wanted: Wanted,
}

/// Writes all cards, each on a thread of its own.
fn write_all(todo: &[Todo<'_>], image: &Image, interrupted: &Arc<AtomicBool>) -> Result<()> {
    let mut source = image.source()?;
    let mut open = Vec::new();
    for one in todo {
        match one.card.open() {
            Ok(card) => open.push(card),
            Err(error) => {
                // Files that were made for the cards before it are of no use to anybody.
                todo[..open.len()].iter().for_each(|one| one.card.discard());
                return Err(error);
            }
        }
    }
    let (pump, taps) = fan_out::split(todo.len());
    let alone = todo.len() == 1;
    let damaged = AtomicBool::new(false);
    let results: Vec<Result<()>> = std::thread::scope(|scope| {
        scope.spawn(|| damaged.store(pump.run(&mut source).is_err(), Ordering::Relaxed));
        let cards = todo.iter().zip(open).zip(taps);
        let threads: Vec<_> = cards
            .map(|((one, open), tap)| {
                scope.spawn(move || {
                    let result = one.write(open, tap, alone, interrupted);
                    if let (Err(error), false) = (&result, alone) {
                        eprintln!("flash: {error:#}");
                    }
                    result
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err(anyhow!("a thread failed"))))
            .collect()
    });
    let failed: Vec<String> = todo
        .iter()
        .zip(&results)
        .filter(|(_, result)| result.is_err())
        .map(|(one, _)| one.device.display().to_string())
        .collect();
    if damaged.load(Ordering::Relaxed) {
        image.forget();
    }
    match (results.into_iter().find_map(Result::err), alone) {
        (None, _) => Ok(()),
        (Some(error), true) => Err(error),
        (Some(_), false) => bail!(
            "{} of {} cards failed, see above: {}{}",
            failed.len(),
            todo.len(),
            failed.join(", "),
            if failed.len() < todo.len() {
                "; the others are ready"
            } else {
                ""
            }
        ),
    }
}

impl Todo<'_> {
    fn write(
        &self,
        mut open: OpenCard,
        mut tap: Tap,
        alone: bool,
        interrupted: &Arc<AtomicBool>,
    ) -> Result<()> {
        let started = Instant::now();
        let device = self.device.display();
        let name = (!alone).then(|| device.to_string());
        let result = self.job.write(
            &mut tap,
            &mut open,
            self.card.size(),
            name.as_deref(),
            interrupted,
        );
        // The others need not wait for this one any more.
        drop(tap);
        let length = result.map_err(|error| {
            let cleared = clear_head(&mut open, 512).is_ok();
            self.card.discard();
            let state = match (self.card.is_new(), cleared) {
                (true, _) => "it was removed again",
                (false, true) => "it has no partition table now and does not boot",
                (false, false) => "it cannot even be cleared: do not use it",
            };
            // The pump says for all cards whether the image was damaged.
            anyhow!("{device} was not written to the end ({state}): {error:#}; then flash it again")
        })?;
        if let Err(error) = open.reread_partition_table() {
            let card = name.as_deref().unwrap_or("the card");
            eprintln!(
                "flash: {card} is good, but this system still sees its old partitions ({error:#}): pull it out"
            );
        }
        let name = self
            .wanted
            .hostname
            .as_ref()
            .map_or(String::new(), |name| format!("{name}: "));
        let file = if self.card.is_new() { " (a new file)" } else { "" };
        let seconds = started.elapsed().as_secs_f32();
        println!(
            "{name}{device}{file} is ready: {} written and read back in {seconds:.0} s",
            size::display(length)
        );
        Ok(())
    }
}

fn confirm(todo: &[Todo<'_>], image: &Image, yes: bool) -> Result<()> {
    let used = todo.iter().filter(|one| !one.card.is_new());
    let used: Vec<String> = used.map(|one| one.card.describe()).collect();
    if yes || used.is_empty() {
        return Ok(());
    }
    let (card, them) = (used.join(" and on "), if used.len() == 1 { "it" } else { "them" });
    if !io::stdin().is_terminal() {
        bail!(
            "everything on {card} would be lost, and there is no terminal to ask at: add --yes if that is meant"
        );
    }
    eprint!(
        "Everything on {card} will be lost.\nWrite {} to {them}? [yes/no] ",
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
