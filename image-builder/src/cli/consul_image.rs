//! `image-builder consul-image`.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::base::Cache;
use crate::consul_image::{self, Architecture};
use crate::progress::Progress;

const EXAMPLES: &str = "Examples:
  image-builder consul-image --architecture armhf --output consul.tar.gz
  image-builder build ... --preload consul.tar.gz   puts it into a release image";

/// Make the Consul image, a Docker archive, from Debian's package, or use the cached one. Needs neither root nor a
/// registry.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Whose: armhf for cards.
    #[arg(long, value_name = "NAME")]
    architecture: Architecture,
    /// Where it goes.
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
}

impl Arguments {
    pub(super) fn run(self) -> Result<()> {
        let Self { architecture, output } = self;
        let made = consul_image::obtain(architecture, &Cache::of_user()?, &Progress::start())?;
        std::fs::copy(&made, &output)
            .with_context(|| format!("copying the Consul image to {}", output.display()))?;
        println!("{}", output.display());
        Ok(())
    }
}
