//! The recipe of the base image: data, embedded in the program.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

const TEXT: &str = include_str!("../../recipe/base.toml");
/// The initramfs's program.
pub(super) const INIT: &str = include_str!("../../recipe/init");
/// Run by mmdebstrap at its stages.
pub(super) const HOOKS: [(&str, &str); 3] = [
    ("extract", include_str!("../../recipe/hook-extract")),
    ("essential", include_str!("../../recipe/hook-essential")),
    ("customize", include_str!("../../recipe/hook-customize")),
];
/// Counted up when the code in this folder makes other images from the same recipe.
const MAKER: u32 = 1;

/// What goes into the base image. The file `recipe/base.toml` says what each key is for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Recipe {
    pub(super) version: u32,
    pub(super) suite: String,
    pub(super) architecture: String,
    pub(super) components: Vec<String>,
    pub(super) packages: Vec<String>,
    pub(super) exclude_paths: Vec<String>,
    pub(super) kernel_package: String,
    pub(super) busybox_package: String,
    pub(super) firmware_package: String,
    pub(super) drop_modules: Vec<String>,
    pub(super) keep_modules: Vec<String>,
    pub(super) initramfs_modules: Vec<String>,
    pub(super) device_trees: Vec<String>,
    pub(super) firmware: Vec<String>,
    pub(super) boot_mib: u32,
    pub(super) root_free_mib: u32,
    pub(super) mask: Vec<String>,
    pub(super) enable: Vec<String>,
    pub(super) remove: Vec<String>,
    pub(super) boot_files: BTreeMap<String, String>,
    pub(super) root_files: BTreeMap<String, String>,
    pub(super) root_symlinks: BTreeMap<String, String>,
}

impl Recipe {
    /// The one in this program.
    pub(super) fn embedded() -> Result<Self> {
        let recipe: Self = toml::from_str(TEXT).context("reading the embedded recipe")?;
        ensure!(
            recipe.version == 1,
            "the embedded recipe has version {}",
            recipe.version
        );
        Ok(recipe)
    }

    /// Names the cached image.
    pub(super) fn hash() -> [u8; 32] {
        let mut hash = Sha256::new();
        let hooks = HOOKS.iter().map(|(_, script)| script.as_bytes());
        for part in [&MAKER.to_be_bytes(), TEXT.as_bytes(), INIT.as_bytes()]
            .into_iter()
            .chain(hooks)
        {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_recipe_is_read() {
        let recipe = Recipe::embedded().unwrap();
        assert!(recipe.packages.iter().any(|package| package == "docker.io"));
        for path in recipe
            .root_files
            .keys()
            .chain(recipe.root_symlinks.keys())
            .chain(&recipe.remove)
        {
            assert!(path.starts_with('/'), "{path}");
        }
    }
}
