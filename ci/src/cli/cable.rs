//! `lab cable`: a node's network cable.

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::lab::Lab;

/// Unplug a node's network cable, or plug it in again.
#[derive(Debug, Args)]
#[command(
    arg_required_else_help = true,
    after_help = "Examples:\n  ci/lab cable out cl-node-1\n  ci/lab cable in cl-node-1"
)]
pub(super) struct Cable {
    /// What to do.
    #[arg(value_enum)]
    what: What,
    /// Name of the node.
    node: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    /// Plug it in.
    In,
    /// Unplug it: the link stays up, but nothing passes.
    Out,
}

impl Cable {
    pub(super) fn run(self, lab: &Lab) -> Result<()> {
        lab.unplug(&self.node, self.what == What::Out)?;
        let state = if self.what == What::Out {
            "unplugged"
        } else {
            "plugged in"
        };
        eprintln!("{}: cable {state}", self.node);
        Ok(())
    }
}
