//! `lab power`: a node's plug and power button.

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::lab::Lab;

/// Switch nodes on, off, or cut their power.
#[derive(Debug, Args)]
#[command(
    arg_required_else_help = true,
    after_help = "Examples:\n  ci/lab power cut cl-node-1\n  ci/lab power on cl-node-1\n  ci/lab power off cl-node-1 cl-node-2"
)]
pub(super) struct Power {
    /// What to do.
    #[arg(value_enum)]
    what: What,
    /// Names of the nodes.
    #[arg(required = true, value_name = "NODE")]
    nodes: Vec<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum What {
    /// Start the node from its card as it is.
    On,
    /// Stop its services, then switch off.
    Off,
    /// Pull its plug: at once, whatever it does.
    Cut,
}

impl Power {
    pub(super) fn run(self, lab: &mut Lab) -> Result<()> {
        for name in &self.nodes {
            lab.node(name)?;
        }
        for name in &self.nodes {
            match self.what {
                What::On => lab.power_on(name)?,
                What::Off => lab.power_off(name)?,
                What::Cut => lab.power_cut(name)?,
            }
            eprintln!("{name}: {}", self.done());
        }
        Ok(())
    }

    fn done(&self) -> &'static str {
        match self.what {
            What::On => "on",
            What::Off => "off",
            What::Cut => "power cut",
        }
    }
}
