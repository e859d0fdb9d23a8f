//! `image-builder inspect`.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

/// Show what an image holds: partitions, file systems, operating system, agent, settings, preloaded container images.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  image-builder inspect cluster-lab.img.zip\n  image-builder inspect --json base.img.xz"
)]
pub(super) struct Arguments {
    /// Any card image, packed or not.
    #[arg(value_name = "IMG")]
    image: PathBuf,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(super) fn run(self) -> Result<()> {
        let report = crate::inspect::run(&self.image)?;
        if self.json {
            println!(
                "{}",
                serde_json::to_string_pretty(&report).context("writing JSON")?
            );
        } else {
            println!("{report}");
        }
        Ok(())
    }
}
