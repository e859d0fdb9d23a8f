//! The command line.

mod base;
mod build;
mod consul_image;
mod deb;
mod diff;
mod inspect;
mod recipe;
mod verify;

use anyhow::Result;

/// Makes Cluster Lab card images.
#[derive(Debug, clap::Parser)]
#[command(version)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Base(base::Arguments),
    Build(build::Arguments),
    ConsulImage(consul_image::Arguments),
    Deb(deb::Arguments),
    Diff(diff::Arguments),
    Inspect(inspect::Arguments),
    Recipe(recipe::Arguments),
    Verify(verify::Arguments),
}

impl Arguments {
    /// Runs the chosen command.
    ///
    /// # Errors
    /// With the cause and, where known, the remedy on one line.
    pub fn run(self) -> Result<()> {
        match self.command {
            Command::Base(arguments) => arguments.run(),
            Command::Build(arguments) => arguments.run(),
            Command::ConsulImage(arguments) => arguments.run(),
            Command::Deb(arguments) => arguments.run(),
            Command::Diff(arguments) => arguments.run(),
            Command::Inspect(arguments) => arguments.run(),
            Command::Recipe(arguments) => arguments.run(),
            Command::Verify(arguments) => arguments.run(),
        }
    }
}
