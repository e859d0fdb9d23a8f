//! `flash verify`: a card that was written earlier, against the image.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};

use super::ImageOptions;
use crate::compare::{self, Differences};
use crate::report::Voice;
use crate::size;

/// Which card, and with what to compare it.
#[derive(Clone, Debug, clap::Args)]
pub struct VerifyCard {
    /// Card to read: a block device, or the file of a virtual card
    #[arg(long, short, value_name = "PATH")]
    pub device: PathBuf,
    /// Image that was written to it.
    #[command(flatten)]
    pub image: ImageOptions,
}

/// Compares, and says how the card differs.
pub(super) fn run(arguments: &VerifyCard) -> Result<()> {
    let image = arguments.image.get(Voice::People)?;
    let interrupted = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&interrupted);
    ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed)).context("catching Ctrl-C")?;
    let device = arguments.device.display();
    let found = compare::card(&arguments.device, &image, interrupted);
    let Differences { length, settings } = found.with_context(|| format!("{device}"))?;
    let settings = match settings.as_slice() {
        [] => String::new(),
        names => format!(", but for its settings in {}", names.join(", ")),
    };
    let length = size::display(length);
    println!("{device} holds {}: {length} compared{settings}", image.name());
    Ok(())
}
