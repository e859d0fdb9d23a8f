//! Which image, and what it must be.

use std::time::Duration;

use anyhow::{Result, bail};

use crate::download::Patience;
use crate::image::Image;
use crate::report::Voice;
use crate::trust::{self, Checks, Sha256Sum};

/// Where the image comes from.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Image")]
pub struct ImageOptions {
    /// Image or cluster file (cluster.toml, see below). Image: a file, a URL (kept in the cache folder, and gone on with if the download breaks), or - for standard input.
    /// Raw, or packed as .zip, .xz, .gz, .zst or .bz2: its content says which
    #[arg(required = true)]
    pub image: Option<String>,
    /// SHA-256 that the image file, as it is, must have [default for a URL: that of the .sha256 file beside it, if any]
    #[arg(long, value_name = "HEX")]
    pub sha256: Option<Sha256Sum>,
    /// Public key with which the image must be signed, or a file with it; the signature is the .minisig file beside it
    #[arg(long, value_name = "KEY")]
    pub minisign_key: Option<String>,
    /// Seconds for which a server may be silent
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub timeout: u64,
}

impl ImageOptions {
    /// The image, checked against what is said about it.
    ///
    /// # Errors
    /// When it cannot be had, or is another one.
    pub(super) fn get(&self, voice: Voice) -> Result<Image> {
        // Optional for the parser only, because a subcommand stands in its place.
        let Some(image) = &self.image else {
            bail!("an image is needed: see flash --help");
        };
        self.get_from(image, voice)
    }

    /// The same, of an image that is named elsewhere.
    ///
    /// # Errors
    /// As [`ImageOptions::get`].
    pub(super) fn get_from(&self, image: &str, voice: Voice) -> Result<Image> {
        let key = self
            .minisign_key
            .as_deref()
            .map(trust::minisign_key)
            .transpose()?;
        let checks = Checks {
            sha256: self.sha256,
            minisign: key,
        };
        Image::get(image, &checks, Patience(Duration::from_secs(self.timeout)), voice)
    }
}
