//! `lab console`: a person at a node's serial console.

use anyhow::{Result, bail};
use clap::Args;

use crate::console::attach;
use crate::lab::Lab;

/// Attach this terminal to a node's serial console. Ctrl-] detaches; the node goes on.
///
/// Log in as the user lab, with the password in keys/password of the lab's folder. What was written before is in
/// consoles/NODE.log there. One terminal at a time.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  ci/lab console cl-node-1")]
pub(super) struct Console {
    /// Name of the node.
    node: String,
}

impl Console {
    pub(super) fn run(self, lab: &Lab) -> Result<()> {
        let node = lab.node(&self.node)?;
        if !node.is_on() {
            bail!("{0} is off: switch it on with 'ci/lab power on {0}'", node.name);
        }
        eprintln!(
            "Attached to {}; detach with Ctrl-]. Press Enter for a prompt.",
            node.name
        );
        attach(&lab.console_socket(&node.name))?;
        eprintln!("\nDetached.");
        Ok(())
    }
}
