//! `image-builder deb`.

use std::path::PathBuf;

use anyhow::Result;

use super::build::build_time;
use crate::deb::{self, Architecture, Inputs};

/// Make a Debian package of the agent, for people who keep their own system.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  image-builder deb --agent cluster-lab --overlay rootfs-overlay --architecture armhf --output \
                  cluster-lab_armhf.deb\n  apt install ./cluster-lab_armhf.deb && systemctl start cluster-lab"
)]
pub(super) struct Arguments {
    /// The agent's program, built for the architecture.
    #[arg(long, value_name = "FILE")]
    agent: PathBuf,
    /// Folder that mirrors /, with a manifest.toml.
    #[arg(long, value_name = "DIR")]
    overlay: PathBuf,
    /// The machines that the package is for.
    #[arg(long)]
    architecture: Architecture,
    /// The package.
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
}

impl Arguments {
    pub(super) fn run(self) -> Result<()> {
        let Self {
            agent,
            overlay,
            architecture,
            output,
        } = self;
        let inputs = Inputs {
            agent,
            overlay,
            architecture,
            epoch: build_time()?,
        };
        deb::run(&inputs, &output)?;
        println!("{}", output.display());
        Ok(())
    }
}
