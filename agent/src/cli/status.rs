//! `cluster-lab status`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};

use crate::http_client;
use crate::paths::Paths;
use crate::stopped::Marker;

/// Arguments of `status`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print the status as JSON
    #[arg(long)]
    json: bool,
    /// Ask the daemon behind this Unix socket
    #[arg(long, value_name = "PATH", hide = true)]
    socket: Option<PathBuf>,
}

/// Prints the status of the daemon.
///
/// # Errors
/// When the daemon does not run or does not answer.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let socket = args
        .socket
        .clone()
        .unwrap_or_else(|| Paths::default().agent_socket());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting")?;
    let asked = runtime.block_on(http_client::status_of_daemon(&socket));
    if asked.is_err() && Marker::new(&Paths::default().state()).read().is_some() && args.socket.is_none() {
        bail!("this node is stopped (start it: cluster-lab start)");
    }
    let status = asked.context("the daemon does not run (start it: systemctl start cluster-lab)")?;
    let text = if args.json {
        serde_json::to_string_pretty(&status)? + "\n"
    } else {
        status.to_string()
    };
    // `cluster-lab status | head -1` is no failure of the status.
    match std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(error).context("writing the status")
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}
