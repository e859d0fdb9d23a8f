//! `image-builder base`.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::base::{self, Cache};
use crate::copy::copy_sparse;
use crate::progress::Progress;

/// Make the default base image from Debian packages (needs root), or use the cached one.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Also copy the image here.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Arguments {
    pub(super) fn run(self) -> Result<()> {
        let progress = Progress::start();
        let image = base::obtain(&Cache::of_user()?, &progress)?;
        if let Some(output) = &self.output {
            copy_sparse(&image, output)
                .with_context(|| format!("copying the base image to {}", output.display()))?;
        }
        println!("{}", self.output.as_deref().unwrap_or(&image).display());
        Ok(())
    }
}
