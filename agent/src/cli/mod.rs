//! The command line: one file per subcommand, with its arguments and its `run`.

mod first_boot;
mod run;
mod status;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

const EXAMPLES: &str = "Examples:
  cluster-lab status          what this node is, which master and nodes it sees, what it waits for
  cluster-lab status --json   the same for programs
  cluster-lab -v run          the daemon in the foreground, with its reasons
  cluster-lab first-boot      the steps of the first boot that are not done yet

Settings: cluster-lab.toml on the boot partition, over /etc/cluster-lab/cluster.toml.";

/// The arguments of `cluster-lab`.
#[derive(Debug, Parser)]
#[command(name = "cluster-lab", version, about, after_help = EXAMPLES)]
pub struct Cli {
    /// Say more on stderr; twice for libraries too. `RUST_LOG` overrides it
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Do what a new card needs once: name, identity, keys, account, size. Run by the system at every boot
    FirstBoot(first_boot::Args),
    /// Be a node of the cluster: take the master or node role and keep it. Run by the system as a service
    Run(run::Args),
    /// Show what this node is, which master and nodes it sees, what it waits for
    Status(status::Args),
}

/// Runs the subcommand.
///
/// # Errors
/// When it failed; the message is for the user.
pub fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::FirstBoot(args) => first_boot::run(&args),
        Command::Run(args) => run::run(args),
        Command::Status(args) => status::run(&args),
    }
}

/// An error and its causes as one line.
pub fn one_line(error: &anyhow::Error) -> String {
    format!("{error:#}")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound_and_shows_examples() {
        Cli::command().debug_assert();
        let help = Cli::command().render_help().to_string();
        assert!(
            help.contains("Examples:") && help.contains("first-boot"),
            "{help}"
        );
    }

    #[test]
    fn an_error_is_one_line_with_its_causes() {
        let error = anyhow::anyhow!("no such\nfile").context("reading x");
        assert_eq!(one_line(&error), "reading x: no such file");
    }
}
