//! `lab down`: ends a lab.

use anyhow::Result;
use clap::Args;

use crate::lab::Lab;

/// End the lab: cut all power, stop switch and router, remove the cards.
///
/// Consoles and captures stay in the lab's folder until the next 'ci/lab up' there.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  ci/lab down\n  ci/lab down --keep-cards")]
pub(super) struct Down {
    /// Leave the cards in the lab's folder, for a look at them. The next 'ci/lab up' there removes them.
    #[arg(long)]
    keep_cards: bool,
}

impl Down {
    pub(super) fn run(self, lab: &mut Lab) -> Result<()> {
        lab.down()?;
        if !self.keep_cards {
            lab.folder().remove_cards()?;
        }
        let cards = if self.keep_cards { "kept" } else { "removed" };
        eprintln!(
            "The lab is down. Cards {cards}; consoles and captures are in {}.",
            lab.folder().root().display()
        );
        Ok(())
    }
}
