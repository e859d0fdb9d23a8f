//! `image-builder build`.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};

use crate::base::Cache;
use crate::build::{self, BaseImage, Inputs, Outputs};
use crate::progress::Progress;

/// Make a release image: base image + agent + overlay.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Base image: .img, also packed as .zip, .xz, .gz, .zst or .bz2; a file or a URL. Without it, the default one is
    /// used (and made, as root).
    #[arg(long, value_name = "FILE|URL")]
    base: Option<BaseImage>,
    /// The agent's program, built for ARM.
    #[arg(long, value_name = "FILE")]
    agent: PathBuf,
    /// Folder that mirrors /, with a manifest.toml.
    #[arg(long, value_name = "DIR")]
    overlay: PathBuf,
    /// Container image that every node has from the start, without a registry: a Docker archive (`docker save`, also
    /// packed with gzip). May be given several times.
    #[arg(long, value_name = "FILE")]
    preload: Vec<PathBuf>,
    /// NAME.img or NAME.img.zip; both are made, and beside them .sha256, .bmap (block map) and .manifest.json.
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
    /// If the root file system was not unmounted cleanly, repair it in the copy (`e2fsck -fp`); the base stays as it is.
    #[arg(long)]
    repair: bool,
    /// Sign everything with this secret key of minisign.
    #[arg(long, value_name = "FILE")]
    sign_key: Option<PathBuf>,
}

impl Arguments {
    pub(super) fn run(self) -> Result<()> {
        let progress = Progress::start();
        let Self {
            base,
            agent,
            overlay,
            preload,
            output,
            repair,
            sign_key,
        } = self;
        let outputs = Outputs {
            sign_key,
            ..Outputs::from_name(&output)?
        };
        let epoch = build_time()?;
        let base = BaseImage::obtain(base.as_ref(), &Cache::of_user()?, &progress)?;
        build::run(
            &Inputs {
                base,
                agent,
                overlay,
                preload,
                repair,
                epoch,
            },
            &outputs,
            &progress,
        )?;
        for file in outputs.all() {
            println!("{}", file.display());
        }
        Ok(())
    }
}

/// `SOURCE_DATE_EPOCH` if it is set, else now.
pub(super) fn build_time() -> Result<u64> {
    match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(text) => text
            .parse()
            .with_context(|| format!("SOURCE_DATE_EPOCH is '{text}', not seconds since 1970")),
        Err(_) => Ok(SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs())),
    }
}
