//! The agent as a Debian package, for people who keep their own system: the overlay's files without what only a card
//! needs, and scripts that enable the units and take everything away again. Made here, without dpkg: the bytes depend on
//! the inputs and SOURCE_DATE_EPOCH alone.

mod archive;
mod control;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::build::{Entry, Machine, Package};
use crate::draft::{self, Draft};
use control::Control;

/// For which machines a package is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Architecture {
    /// Raspberry Pis, 32 bit.
    Armhf,
    /// PCs, to try it out.
    Amd64,
}

impl Architecture {
    fn name(self) -> &'static str {
        match self {
            Self::Armhf => "armhf",
            Self::Amd64 => "amd64",
        }
    }

    fn machine(self) -> Machine {
        match self {
            Self::Armhf => Machine::Arm,
            Self::Amd64 => Machine::Amd64,
        }
    }
}

/// What a package is made of.
#[derive(Debug)]
pub struct Inputs {
    /// The agent's program.
    pub agent: PathBuf,
    /// The folder that mirrors `/`, with its `manifest.toml`.
    pub overlay: PathBuf,
    /// The machines that it is for.
    pub architecture: Architecture,
    /// Time of everything in it, in seconds since 1970.
    pub epoch: u64,
}

/// Makes the package.
///
/// # Errors
/// With the reason on one line; there is no package then.
pub fn run(inputs: &Inputs, output: &Path) -> Result<()> {
    let Inputs {
        agent,
        overlay,
        architecture,
        epoch,
    } = inputs;
    let package = Package::read(overlay, agent, architecture.machine())?;
    let control = Control::new(&package, architecture.name())?;
    let mut draft = Draft::create(output)?;
    archive::write(&package.entries, &control, *epoch, draft.file())
        .with_context(|| format!("writing {}", output.display()))?;
    draft::publish(Vec::from([draft]))
}

/// The bytes of a file of the package.
fn bytes(entry: &Entry) -> &[u8] {
    match entry {
        Entry::File(bytes, _) => bytes,
        Entry::Folder(_) | Entry::Symlink(_) => &[],
    }
}
