//! The recipe: data, embedded in the program.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::hex::hex;

const TEXT: &str = include_str!("../../recipe/consul.toml");
/// Counted up when the code in this folder makes another archive from the same recipe.
const MAKER: u32 = 1;

/// Whose programs, in Debian's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Architecture {
    /// The cards: ARMv7, 32 bit.
    Armhf,
    /// Tests on a PC.
    Amd64,
}

/// What goes into the image. The file `recipe/consul.toml` says what each key is for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Recipe {
    version: u32,
    pub(super) suite: String,
    pub(super) reference: String,
    pub(super) libraries: Vec<String>,
    architectures: BTreeMap<Architecture, Target>,
}

/// What differs from architecture to architecture.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Target {
    /// Docker's name of it.
    pub(super) docker: String,
    pub(super) variant: Option<String>,
    pub(super) library_folder: String,
    pub(super) loader: String,
    pub(super) packages: BTreeMap<String, Package>,
}

/// One version of a package.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Package {
    pub(super) version: String,
    pub(super) sha256: String,
}

impl Recipe {
    /// The one in this program.
    pub(super) fn embedded() -> Result<Self> {
        let recipe: Self = toml::from_str(TEXT).context("reading the embedded recipe of the Consul image")?;
        ensure!(
            recipe.version == 1,
            "the embedded recipe of the Consul image has version {}",
            recipe.version
        );
        Ok(recipe)
    }

    /// Names the cached archive.
    pub(super) fn hash() -> String {
        let mut hash = Sha256::new();
        hash.update(MAKER.to_be_bytes());
        hash.update(TEXT);
        let mut name = hex(&hash.finalize());
        name.truncate(16);
        name
    }

    pub(super) fn target(&self, architecture: Architecture) -> Result<&Target> {
        let found = self.architectures.get(&architecture);
        found.with_context(|| format!("the recipe has no Consul for {architecture}"))
    }
}

impl std::fmt::Display for Architecture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Armhf => "armhf",
            Self::Amd64 => "amd64",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_recipe_has_both_architectures() {
        let recipe = Recipe::embedded().unwrap();
        for architecture in [Architecture::Armhf, Architecture::Amd64] {
            let target = recipe.target(architecture).unwrap();
            assert!(target.packages.contains_key("consul") && target.packages.contains_key("libc6"));
            assert!(target.packages.values().all(|package| package.sha256.len() == 64));
        }
        assert_eq!(Recipe::hash().len(), 16);
    }
}
