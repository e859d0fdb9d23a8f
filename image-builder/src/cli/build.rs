//! `image-builder build`.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};

use crate::base::Cache;
use crate::build::{self, BaseImage, Inputs, Outputs, Trust};
use crate::checksum::Checksum;
use crate::progress::Progress;
use crate::recipe::Recipe;

/// Make a release image: base image + agent + overlay.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  image-builder build --agent cluster-lab --overlay rootfs-overlay --output lab.img.zip\n  \
                  image-builder build --recipe lab.toml --base raspios.img.xz --base-sha256 HEX"
)]
pub(super) struct Arguments {
    /// Recipe with everything below; flags win over it.
    #[arg(long, value_name = "FILE")]
    recipe: Option<PathBuf>,
    /// Base image: .img, also packed as .zip, .xz, .gz, .zst or .bz2; a file or a URL. Without it, the default one is
    /// used (and made, as root).
    #[arg(long, value_name = "FILE|URL")]
    base: Option<BaseImage>,
    /// SHA-256 that the base image's file, as it is, must have. A URL needs it.
    #[arg(long, value_name = "HEX")]
    base_sha256: Option<Checksum>,
    /// Take a base from a URL without a checksum.
    #[arg(long)]
    unchecked_base: bool,
    /// The agent's program, built for ARM.
    #[arg(long, value_name = "FILE")]
    agent: Option<PathBuf>,
    /// Folder that mirrors /, with a manifest.toml. Of several, later ones win.
    #[arg(long, value_name = "DIR")]
    overlay: Vec<PathBuf>,
    /// Container image that every node has from the start, without a registry: a Docker archive (`docker save`, also
    /// packed with gzip). May be given several times.
    #[arg(long, value_name = "FILE")]
    preload: Vec<PathBuf>,
    /// NAME.img or NAME.img.zip; both are made, and beside them .sha256, .bmap (block map), .manifest.json
    /// and .spdx.json.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// If the root file system was not unmounted cleanly, repair it in the copy (`e2fsck -fp`); the base stays as it is.
    #[arg(long)]
    repair: bool,
    /// Sign everything with this secret key of minisign.
    #[arg(long, value_name = "FILE")]
    sign_key: Option<PathBuf>,
    /// Make the image and what goes with it, but no archive: much faster, for trying things out.
    #[arg(long)]
    no_archive: bool,
    /// Web folder that the archive will be in: makes a repository for Raspberry Pi Imager (.rpi-imager.json).
    #[arg(long, value_name = "URL")]
    publish_url: Option<String>,
}

impl Arguments {
    pub(super) fn run(self) -> Result<()> {
        let progress = Progress::start();
        let no_archive = self.no_archive;
        let recipe = self.merged()?;
        let missing = |flag: &str| format!("{flag} is missing, on the command line or in a --recipe");
        let output = recipe.output.with_context(|| missing("--output"))?;
        let outputs = Outputs {
            sign_key: recipe.sign_key,
            publish_url: recipe.publish_url,
            no_archive,
            ..Outputs::from_name(&output)?
        };
        ensure!(!recipe.overlays.is_empty(), missing("--overlay"));
        let agent = recipe.agent.with_context(|| missing("--agent"))?;
        let trust = Trust {
            sha256: recipe.base_sha256,
            unchecked: recipe.unchecked_base,
        };
        let inputs = Inputs {
            base: BaseImage::obtain(recipe.base.as_ref(), &trust, &Cache::of_user()?, &progress)?,
            agent,
            overlays: recipe.overlays,
            preload: recipe.preload,
            boot: recipe.boot,
            repair: recipe.repair,
            epoch: build_time()?,
        };
        build::run(&inputs, &outputs, &progress)?;
        for file in outputs.all() {
            println!("{}", file.display());
        }
        Ok(())
    }

    /// The recipe, with what the command line says instead.
    fn merged(self) -> Result<Recipe> {
        let Self {
            recipe,
            base,
            base_sha256,
            unchecked_base,
            agent,
            overlay,
            preload,
            output,
            repair,
            sign_key,
            publish_url,
            no_archive: _,
        } = self;
        let recipe = recipe
            .as_deref()
            .map(Recipe::read)
            .transpose()?
            .unwrap_or_default();
        // The recipe's checksum is that of the recipe's base.
        let recipe_sha256 = recipe.base_sha256.filter(|_| base.is_none());
        Ok(Recipe {
            base: base.or(recipe.base),
            base_sha256: base_sha256.or(recipe_sha256),
            unchecked_base: unchecked_base || recipe.unchecked_base,
            agent: agent.or(recipe.agent),
            overlays: if overlay.is_empty() {
                recipe.overlays
            } else {
                overlay
            },
            preload: [recipe.preload, preload].concat(),
            output: output.or(recipe.output),
            sign_key: sign_key.or(recipe.sign_key),
            publish_url: publish_url.or(recipe.publish_url),
            repair: repair || recipe.repair,
            boot: recipe.boot,
        })
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
