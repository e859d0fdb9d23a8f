//! `cluster-lab health`

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use serde_json::json;

use super::require_root;
use super::run::only_file;
use crate::config::Config;
use crate::health::{Group, groups, is_healthy, look, render};
use crate::http_client;
use crate::paths::Paths;
use crate::secret::{self, Found};
use crate::trust::Trust;

const EXAMPLES: &str = "Examples:
  cluster-lab health                   every check, and what to do about each that fails
  cluster-lab health --json            the same for programs
  cluster-lab health >/dev/null && echo all is well

The exit status is 0 only if every check passes.";

/// Arguments of `health`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Print the checks as JSON
    #[arg(long)]
    json: bool,
    /// Look at the system below this folder
    #[arg(long, value_name = "DIR", default_value = "/", hide = true)]
    root: PathBuf,
    /// Ask the daemon behind this Unix socket
    #[arg(long, value_name = "PATH", hide = true)]
    socket: Option<PathBuf>,
    /// Use this file as the only source of settings
    #[arg(long, value_name = "FILE", hide = true)]
    config: Option<PathBuf>,
    /// Where the state is
    #[arg(long, value_name = "DIR", hide = true)]
    state_dir: Option<PathBuf>,
    /// Where Docker Engine listens
    #[arg(long, value_name = "PATH", hide = true)]
    docker_socket: Option<PathBuf>,
}

/// Prints the checks.
///
/// # Errors
/// When this is not root, or they cannot be printed.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    require_root("health")?;
    let paths = Paths::below(&args.root);
    let settings = match &args.config {
        None => Config::load(&paths).settings,
        Some(file) => only_file(file)?.settings,
    };
    let state = args.state_dir.clone().unwrap_or_else(|| paths.state());
    let secret = match secret::read(&state.join(Paths::SECRET)) {
        Found::Secret(secret) => Some(secret),
        Found::Nothing | Found::Damaged(_) => None,
    };
    let seal = Trust::decide(secret, &settings.cluster).map(|trust| trust.seal());
    let socket = args.socket.clone().unwrap_or_else(|| paths.agent_socket());
    let docker = args
        .docker_socket
        .clone()
        .unwrap_or_else(|| paths.at("/var/run/docker.sock"));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting")?;
    let groups = runtime.block_on(async {
        let status = http_client::status_of_daemon(&socket).await.ok();
        let seen = look::look(&paths, status.as_ref(), &docker, seal).await;
        groups(status.as_ref(), &seen)
    });
    // A name that is still looked up must not keep the program.
    runtime.shutdown_background();
    print(&groups, args.json)
}

/// Prints checks, for people or for programs; the exit status says whether all pass.
pub(super) fn print(groups: &[Group], json: bool) -> anyhow::Result<ExitCode> {
    let healthy = is_healthy(groups);
    let text = if json {
        serde_json::to_string_pretty(&json!({ "healthy": healthy, "groups": groups }))? + "\n"
    } else {
        let stdout = std::io::stdout();
        render(
            groups,
            stdout.is_terminal() && std::env::var_os("NO_COLOR").is_none(),
        )
    };
    match std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(error).context("writing the checks")
        }
        _ if healthy => Ok(ExitCode::SUCCESS),
        _ => Ok(ExitCode::FAILURE),
    }
}
