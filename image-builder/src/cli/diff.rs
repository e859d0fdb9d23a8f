//! `image-builder diff`.

use std::path::PathBuf;

use anyhow::{Result, bail};

/// Show in which files two images differ. Fails if they do.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Each line: - only in the first, + only in the second, ! different.\n\nExample:\n  image-builder diff base.img.xz \
                  cluster-lab.img.zip"
)]
pub(super) struct Arguments {
    /// Any card image, packed or not.
    first: PathBuf,
    /// Another one.
    second: PathBuf,
}

impl Arguments {
    pub(super) fn run(self) -> Result<()> {
        let lines = crate::difference::run(&self.first, &self.second)?;
        for line in &lines {
            println!("{line}");
        }
        if !lines.is_empty() {
            bail!("the images differ");
        }
        Ok(())
    }
}
