//! The command line: one file per subcommand, with its arguments and its `run`.

mod daemon;
mod dependencies;
mod docker_env;
mod events;
mod exec;
mod first_boot;
mod health;
mod images;
mod login;
mod logs;
mod nodes;
mod run;
mod service;
mod start;
mod status;
mod stop;
mod support_bundle;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

const EXAMPLES: &str = r#"Examples:
  cluster-lab status          what this node is, which master and nodes it sees, what it waits for
  cluster-lab status --json   the same for programs
  cluster-lab services        what runs on the cluster; `cluster-lab service --help` to change it
  cluster-lab logs web -f     what a service or a node says
  cluster-lab exec -- uptime  a command on all nodes at once
  cluster-lab login           a link to the dashboard that allows changes
  cluster-lab health          every check, and what to do about each that fails
  cluster-lab dependencies    whether this system has what Cluster Lab needs
  cluster-lab stop            leave the cluster in order; every file is as it was before
  cluster-lab start           take part again
  cluster-lab -v run          the daemon in the foreground, with its reasons
  eval "$(cluster-lab docker-env)"   `docker` acts on the whole cluster in this shell
  cluster-lab first-boot      the steps of the first boot that are not done yet

Settings: cluster-lab.toml on the boot partition, over /etc/cluster-lab/cluster.toml."#;

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
    /// Print the settings with which `docker` acts on the whole cluster
    DockerEnv(docker_env::Args),
    /// Do what a new card needs once: name, identity, keys, account, size. Run by the system at every boot
    FirstBoot(first_boot::Args),
    /// Show the nodes of the swarm
    Nodes(nodes::Args),
    /// Show the services, and where they run
    Services(service::ListArgs),
    /// Make, change, move or remove a service
    Service(service::Args),
    /// Show the images on this node
    Images(images::Args),
    /// Show what a service or a node says
    Logs(logs::Args),
    /// Show what happened in the cluster
    Events(events::Args),
    /// Run a command on all nodes at once
    Exec(exec::Args),
    /// Make a link that logs in to the dashboard, or a token for scripts
    Login(login::Args),
    /// Write what somebody who helps must know into a file, without secrets
    SupportBundle(support_bundle::Args),
    /// Be a node of the cluster: take the master or node role and keep it. Run by the system as a service
    Run(run::Args),
    /// Check this node and its cluster, and tell what to do about each failure
    Health(health::Args),
    /// Check that this system has what Cluster Lab needs
    Dependencies(dependencies::Args),
    /// Take part in the cluster again after `stop`
    Start(start::Args),
    /// Leave the cluster in order and put every file back; stays so over a restart
    Stop(stop::Args),
    /// Show what this node is, which master and nodes it sees, what it waits for
    Status(status::Args),
}

/// Runs the subcommand.
///
/// # Errors
/// When it failed; the message is for the user.
pub fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::DockerEnv(args) => docker_env::run(&args),
        Command::FirstBoot(args) => first_boot::run(&args),
        Command::Nodes(args) => nodes::run(&args),
        Command::Services(args) => service::list(&args),
        Command::Service(args) => service::run(&args),
        Command::Images(args) => images::run(&args),
        Command::Logs(args) => logs::run(&args),
        Command::Events(args) => events::run(&args),
        Command::Exec(args) => exec::run(&args),
        Command::Login(args) => login::run(&args),
        Command::SupportBundle(args) => support_bundle::run(&args),
        Command::Run(args) => run::run(args),
        Command::Health(args) => health::run(&args),
        Command::Dependencies(args) => dependencies::run(&args),
        Command::Start(args) => start::run(&args),
        Command::Stop(args) => stop::run(&args),
        Command::Status(args) => status::run(&args),
    }
}

/// Who is not root cannot do this.
fn require_root(verb: &str) -> anyhow::Result<()> {
    // The folder of a process belongs to who it runs as.
    let root =
        std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    if !root {
        anyhow::bail!("only root can do this: sudo cluster-lab {verb}");
    }
    Ok(())
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
