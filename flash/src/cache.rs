//! Where downloads are kept: the user's cache folder (XDG base directories), private to them.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use anyhow::{Context, Result};

/// The folder, made if need be.
///
/// # Errors
/// When there is no home folder, or it cannot be written.
pub(crate) fn folder() -> Result<PathBuf> {
    let absolute = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let base = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")));
    let base = base.context("there is no place for downloads: set XDG_CACHE_HOME to a folder")?;
    let folder = base.join("cluster-lab/images");
    let made = DirBuilder::new().recursive(true).mode(0o700).create(&folder);
    made.with_context(|| format!("making {}", folder.display()))?;
    Ok(folder)
}
