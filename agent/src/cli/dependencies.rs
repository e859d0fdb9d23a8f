//! `cluster-lab dependencies`

use std::path::PathBuf;
use std::process::ExitCode;

use super::health::print;
use super::run::only_file;
use crate::config::Config;
use crate::health::dependencies::{System, group};
use crate::paths::Paths;

const EXAMPLES: &str = "Examples:
  cluster-lab dependencies           what this system must have, and what to do about what is missing
  cluster-lab dependencies --json    the same for programs

The exit status is 0 only if nothing is missing.";

/// Arguments of `dependencies`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Print the checks as JSON
    #[arg(long)]
    json: bool,
    /// Look at the system below this folder
    #[arg(long, value_name = "DIR", default_value = "/", hide = true)]
    root: PathBuf,
    /// Use this file as the only source of settings
    #[arg(long, value_name = "FILE", hide = true)]
    config: Option<PathBuf>,
}

/// Prints the checks.
///
/// # Errors
/// When they cannot be printed.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let paths = Paths::below(&args.root);
    let settings = match &args.config {
        None => Config::load(&paths).settings,
        Some(file) => only_file(file)?.settings,
    };
    let system = System::look(&paths);
    print(&[group(&system, settings.network.vlan)], args.json)
}
