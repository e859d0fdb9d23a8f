//! The default base image: made from Debian packages once, then kept under a name that is the hash of its recipe.
//!
//! Steps, each a file of its own: bootstrap (mmdebstrap) -> kernel -> initramfs -> root files -> boot files ->
//! assemble. The packages' versions are what the archive has that day, so the same recipe gives the same shape, not
//! the same bytes.

mod archive;
mod assemble;
mod boot_files;
mod bootstrap;
mod cache;
mod cpio;
mod identity;
mod initramfs;
mod kernel;
mod recipe;
mod root_files;

use std::path::PathBuf;

use anyhow::{Result, ensure};

pub(crate) use archive::mirror_of_this_machine;
pub use cache::Cache;

use crate::copy::Partial;
use crate::progress::Progress;
use cache::Slot;
use identity::Identity;
use recipe::Recipe;

/// The cached base image, made first when it is not there yet.
///
/// # Errors
/// When it has to be made and cannot be; nothing is left in the cache then.
pub fn obtain(cache: &Cache, progress: &Progress) -> Result<PathBuf> {
    let recipe = Recipe::embedded()?;
    let identity = Identity::of_embedded();
    // Not root, and not alone: the finished image needs no lock.
    if let Some(image) = cache.find(&identity) {
        progress.say(format_args!("base image: {}", image.display()));
        return Ok(image);
    }
    ensure!(
        running_as_root(),
        "there is no base image in the cache and making one needs root: run `image-builder base` as root once, or \
         give another base image with --base"
    );
    let slot = cache.slot(&identity)?;
    if !slot.image.exists() {
        progress.say(format_args!("making the base image {}", slot.image.display()));
        make(&recipe, &identity, &slot, progress)?;
    }
    Ok(slot.image.clone())
}

fn make(recipe: &Recipe, identity: &Identity, slot: &Slot, progress: &Progress) -> Result<()> {
    let work = &slot.work;
    let root = work.join("root");
    let boot = work.join("boot");
    let packages = bootstrap::run(recipe, work, &root, &slot.log, progress)?;
    progress.say("unpacking the kernel, making the initramfs");
    let kernel = kernel::install(recipe, &packages, work, &root)?;
    let initramfs = initramfs::make(recipe, &packages, work, &kernel)?;
    root_files::apply(recipe, identity, &root)?;
    boot_files::fill(recipe, identity, &packages, &kernel, &initramfs, work, &boot)?;
    progress.say("making the file systems");
    let mut output = Partial::create(&slot.image)?;
    assemble::run(recipe, identity, &root, &boot, work, output.file())?;
    output.finish()
}

/// Whether the effective user is root: it owns what this process creates.
fn running_as_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}
