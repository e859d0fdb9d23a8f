//! `image-builder recipe`.

use std::path::PathBuf;

use anyhow::Result;

use crate::recipe::Recipe;

/// Work with recipes, files that say what a release image is made of.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Read a recipe and look whether all that it names is there; errors name the line.
    #[command(
        after_help = "Example:\n  image-builder recipe check lab.toml && image-builder build --recipe lab.toml"
    )]
    Check {
        /// The recipe.
        file: PathBuf,
    },
}

impl Arguments {
    pub(super) fn run(self) -> Result<()> {
        let Command::Check { file } = self.command;
        Recipe::check(&file)?;
        println!("{} is a sound recipe", file.display());
        Ok(())
    }
}
