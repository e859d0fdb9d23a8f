//! The Consul image, made without any registry: Debian's package and the C library that it needs, as a Docker archive
//! (`docker load` takes it). Its bytes depend on the recipe only: no clock, no owner and no name of this machine is in
//! it. Kept in the cache under the hash of its recipe.

mod archive;
mod packages;
mod recipe;

use std::path::PathBuf;

use anyhow::{Context as _, Result};

pub use recipe::Architecture;

use crate::base::Cache;
use crate::copy::Partial;
use crate::progress::Progress;
use recipe::Recipe;

/// The cached archive, made first when it is not there yet.
///
/// # Errors
/// When it has to be made and cannot be: no package archive, another checksum.
pub fn obtain(architecture: Architecture, cache: &Cache, progress: &Progress) -> Result<PathBuf> {
    let recipe = Recipe::embedded()?;
    let folder = cache.consul_images()?;
    let file = folder.join(format!("{}-{architecture}.tar.gz", Recipe::hash()));
    if file.exists() {
        progress.say(format_args!("Consul image: {}", file.display()));
        return Ok(file);
    }
    progress.say(format_args!("making the Consul image {}", file.display()));
    let target = recipe.target(architecture)?;
    // Gone at the end, whatever happens. Beside its result: /tmp may be small.
    let work = tempfile::tempdir_in(&folder).context("making a folder to work in")?;
    let root = packages::unpack(&recipe, architecture, target, work.path())?;
    let layer = archive::layer(&recipe, target, &root)?;
    let mut output = Partial::create(&file)?;
    archive::write(&recipe, target, &layer, output.file())?;
    output.finish()?;
    Ok(file)
}
