//! One image on one or several cards at once: everything is checked, then asked, then done.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::{Result, anyhow, bail};

use crate::card::Card;
use crate::fan_out::{self, Opened, PATIENCE, Tap};
use crate::image::Image;
use crate::job::Job;
use crate::membership::Membership;
use crate::open_card::OpenCard;
use crate::report::{Event, Voice};
use crate::settings::Wanted;
use crate::size;
use crate::write::clear_head;

/// How it is done, for all cards.
pub(crate) struct Manner<'a> {
    pub(crate) image: &'a Image,
    pub(crate) membership: &'a Membership,
    /// Size of virtual cards that are made.
    pub(crate) card_size: Option<u64>,
    /// Larger devices are no cards.
    pub(crate) max_size: u64,
    pub(crate) voice: Voice,
    /// Do not ask.
    pub(crate) yes: bool,
    /// Say what would be done.
    pub(crate) dry_run: bool,
    /// Write also what the image's file systems call free.
    pub(crate) whole: bool,
    /// Let go of the cards at the end.
    pub(crate) eject: bool,
    pub(crate) interrupt: &'a Interrupt,
}

/// One card, and what it is to be.
pub(crate) struct Order {
    pub(crate) device: PathBuf,
    pub(crate) wanted: Wanted,
    /// Whether to say what to write on the card itself.
    pub(crate) label: bool,
}

/// Ctrl-C. While nothing is written it ends the program at once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interrupt {
    writing: Arc<AtomicBool>,
    wanted: Arc<AtomicBool>,
}

impl Interrupt {
    /// Catches Ctrl-C from now on.
    pub(crate) fn catch() -> Result<Self> {
        let this = Self::default();
        let caught = this.clone();
        ctrlc::set_handler(move || {
            caught.wanted.store(true, Ordering::Relaxed);
            if !caught.writing.load(Ordering::Relaxed) {
                eprintln!("flash: interrupted, nothing was written");
                // As a shell says of a program that SIGINT has ended.
                std::process::exit(130);
            }
        })?;
        Ok(this)
    }

    /// Whether the user has pressed it.
    pub(crate) fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed)
    }
}

/// One card, checked.
struct Todo<'a> {
    order: &'a Order,
    job: Job,
    card: Card,
}

/// Writes the cards; `done` is called for each one that is ready.
///
/// # Errors
/// Before anything is written, or when a card does not become ready.
pub(crate) fn run(orders: &[Order], manner: &Manner<'_>, done: &mut dyn FnMut(&Order)) -> Result<()> {
    let todo = check(orders, manner)?;
    if manner.dry_run {
        todo.iter().for_each(|one| one.plan(manner));
        return Ok(());
    }
    confirm(&todo, manner)?;
    for one in &todo {
        one.card.unmount()?;
    }
    manner.interrupt.writing.store(true, Ordering::Relaxed);
    let result = write(&todo, manner, done);
    manner.interrupt.writing.store(false, Ordering::Relaxed);
    result
}

fn check<'a>(orders: &'a [Order], manner: &Manner<'_>) -> Result<Vec<Todo<'a>>> {
    // All cards first: that one of many cannot be written is known before minutes of reading.
    let mut cards: Vec<(Card, PathBuf)> = Vec::new();
    for Order { device, .. } in orders {
        let (file, root) = (manner.image.file(), Path::new("/"));
        let card = Card::find(device, manner.card_size, file, manner.max_size, root)?;
        let place = device.canonicalize().unwrap_or_else(|_| device.clone());
        if cards.iter().any(|(_, other)| *other == place) {
            bail!("{} is named twice: name each card once", device.display());
        }
        cards.push((card, place));
    }
    let mut todo = Vec::new();
    for (order, (card, _)) in orders.iter().zip(cards) {
        let job = Job::check(manner.image, &order.wanted, manner.membership, manner.dry_run)
            .inspect_err(|error| manner.image.forget_if_damaged(error))?;
        job.check_fits(&card)?;
        todo.push(Todo { order, job, card });
    }
    Ok(todo)
}

/// Writes all cards, each on a thread of its own.
fn write(todo: &[Todo<'_>], manner: &Manner<'_>, done: &mut dyn FnMut(&Order)) -> Result<()> {
    let Some(first) = todo.first() else {
        return Ok(());
    };
    // Files read as zeros, so there is nothing to be gained.
    let whole = manner.whole || todo.iter().all(|one| one.card.device().is_none());
    let reopen = || -> io::Result<Opened> {
        let source = manner.image.source().map_err(io::Error::other)?;
        Ok(first.job.unpack(Box::new(source), whole))
    };
    let mut source = first.job.unpack(manner.image.source()?, whole);
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
    let (pump, taps) = fan_out::split(todo.len(), PATIENCE, &reopen);
    let alone = todo.len() == 1;
    let damaged = AtomicBool::new(false);
    let results: Vec<Result<()>> = std::thread::scope(|scope| {
        scope.spawn(|| damaged.store(pump.run(&mut source).is_err(), Ordering::Relaxed));
        let cards = todo.iter().zip(open).zip(taps);
        let threads: Vec<_> = cards
            .map(|((one, open), tap)| scope.spawn(move || one.write(open, tap, alone, manner)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err(anyhow!("a thread failed"))))
            .collect()
    });
    if damaged.load(Ordering::Relaxed) {
        manner.image.forget();
    }
    for (one, _) in todo.iter().zip(&results).filter(|(_, result)| result.is_ok()) {
        done(one.order);
    }
    conclude(todo, results)
}

fn conclude(todo: &[Todo<'_>], results: Vec<Result<()>>) -> Result<()> {
    let failed: Vec<String> = todo
        .iter()
        .zip(&results)
        .filter(|(_, result)| result.is_err())
        .map(|(one, _)| one.order.device.display().to_string())
        .collect();
    match (results.into_iter().find_map(Result::err), todo.len()) {
        (None, _) => Ok(()),
        (Some(error), 1) => Err(error),
        (Some(_), all) => bail!(
            "{} of {all} cards failed, see above: {}{}",
            failed.len(),
            failed.join(", "),
            if failed.len() < all {
                "; the others are ready"
            } else {
                ""
            }
        ),
    }
}

impl Todo<'_> {
    fn hostname(&self) -> Option<&str> {
        self.order.wanted.hostname.as_ref().map(|name| name.as_str())
    }

    /// Says what would be done.
    fn plan(&self, manner: &Manner<'_>) {
        let card = self.order.device.display().to_string();
        let description = self.card.describe();
        let files: Vec<&str> = self.job.files().collect();
        let event = Event::Planned {
            card: &card,
            description: &description,
            hostname: self.hostname(),
            bytes: self.job.length(),
            files: files.clone(),
        };
        manner.voice.say(&event, || {
            let name = self
                .hostname()
                .map_or(String::new(), |name| format!(" as {name}"));
            let length = self.job.length().map_or(
                "its size is not known before it is unpacked".to_owned(),
                size::display,
            );
            let files = match files.as_slice() {
                [] => "no settings".to_owned(),
                files => format!("settings in {}", files.join(", ")),
            };
            format!(
                "{} would be written to {description}{name} ({length}), {files}. Nothing was written.",
                manner.image.name()
            )
        });
    }

    fn write(&self, open: OpenCard, tap: Tap<'_>, alone: bool, manner: &Manner<'_>) -> Result<()> {
        let result = self.write_and_say(open, tap, alone, manner);
        if let Err(error) = &result {
            let (card, error) = (self.order.device.display().to_string(), format!("{error:#}"));
            manner.voice.tell_scripts(&Event::Failed {
                card: &card,
                error: &error,
            });
            if !alone {
                eprintln!("flash: {error}");
            }
        }
        result
    }

    fn write_and_say(
        &self,
        mut open: OpenCard,
        mut tap: Tap<'_>,
        alone: bool,
        manner: &Manner<'_>,
    ) -> Result<()> {
        let started = Instant::now();
        let device = self.order.device.display().to_string();
        let name = (!alone).then_some(device.as_str());
        let result = self.job.write(
            &mut tap,
            &mut open,
            self.card.size(),
            name,
            manner.voice,
            &manner.interrupt.wanted,
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
        self.let_go(&open, manner);
        let seconds = started.elapsed().as_secs_f32();
        let label = self.hostname().filter(|_| self.order.label);
        let event = Event::Ready {
            card: &device,
            hostname: self.hostname(),
            label,
            bytes: length,
            seconds: started.elapsed().as_secs(),
        };
        manner.voice.say(&event, || {
            let name = self.hostname().map_or(String::new(), |name| format!("{name}: "));
            let file = if self.card.is_new() { " (a new file)" } else { "" };
            let label = label.map_or(String::new(), |label| format!("; label this card {label}"));
            format!(
                "{name}{device}{file} is ready: {} written and read back in {seconds:.0} s{label}",
                size::display(length)
            )
        });
        Ok(())
    }

    /// Ejects the card, or else lets the kernel see what is on it now.
    fn let_go(&self, open: &OpenCard, manner: &Manner<'_>) {
        let device = self.order.device.display();
        match manner.eject.then(|| open.eject()) {
            Some(Ok(true)) => return,
            None | Some(Ok(false)) => {}
            Some(Err(error)) => {
                eprintln!(
                    "flash: {device} is good, but does not let itself be ejected ({error:#}): pull it out"
                );
                return;
            }
        }
        if let Err(error) = open.reread_partition_table() {
            eprintln!(
                "flash: {device} is good, but this system still sees its old partitions ({error:#}): pull it out"
            );
        }
    }
}

fn confirm(todo: &[Todo<'_>], manner: &Manner<'_>) -> Result<()> {
    let used = todo.iter().filter(|one| !one.card.is_new());
    let used: Vec<String> = used.map(|one| one.card.describe()).collect();
    if manner.yes || used.is_empty() {
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
        manner.image.name()
    );
    io::stderr().flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    if answer.trim() != "yes" {
        bail!("nothing was written");
    }
    Ok(())
}
