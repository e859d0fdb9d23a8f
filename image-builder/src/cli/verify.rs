//! `image-builder verify`.

use std::path::PathBuf;

use anyhow::Result;

use crate::verify;

/// Check an image against its manifest.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  image-builder verify cluster-lab.img.zip")]
pub(super) struct Arguments {
    /// The image, packed or not.
    #[arg(value_name = "IMG")]
    image: PathBuf,
    /// Its manifest [default: IMG.manifest.json].
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
}

impl Arguments {
    pub(super) fn run(self) -> Result<()> {
        let beside = || verify::manifest_of(&self.image);
        let manifest = verify::run(&self.image, &self.manifest.clone().unwrap_or_else(beside))?;
        println!(
            "{} is the image of its manifest: {} with {} files added, by {}",
            self.image.display(),
            manifest.base.name,
            manifest.root.len() + manifest.boot.len(),
            manifest.tool
        );
        Ok(())
    }
}
