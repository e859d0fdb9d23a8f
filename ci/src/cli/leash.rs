//! `lab leash` (hidden): runs a program that dies with whoever started this, however that ends (prctl(2),
//! PR_SET_PDEATHSIG). The signal comes when the *thread* that started this ends.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result};
use clap::Args;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;

/// Run a program that is killed when the starter of this ends.
#[derive(Debug, Args)]
pub(super) struct Leash {
    /// The program and its arguments.
    #[arg(required = true, last = true)]
    command: Vec<OsString>,
}

impl Leash {
    pub(super) fn run(self) -> Result<()> {
        set_pdeathsig(Signal::SIGKILL).context("asking for the signal")?;
        let (program, arguments) = self.command.split_first().context("no program")?;
        // Comes back only when it fails.
        let error = Command::new(program).args(arguments).exec();
        Err(error)
            .with_context(|| format!("starting {} (apt-get install qemu-system-arm)", program.display()))
    }
}
