//! `cluster-lab start`

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::require_root;
use crate::config::Config;
use crate::http_client;
use crate::paths::Paths;
use crate::status::Role;
use crate::stopped::Marker;
use crate::unmanaged;

/// A lone Pi has its role within 10 s.
const TIMEOUT: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(300);

const EXAMPLES: &str = "Examples:
  cluster-lab start              take part in the cluster again after 'cluster-lab stop'
  cluster-lab start && cluster-lab health";

/// Arguments of `start`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Work on the system below this folder
    #[arg(long, value_name = "DIR", default_value = "/", hide = true)]
    root: PathBuf,
    /// Where the state is
    #[arg(long, value_name = "DIR", hide = true)]
    state_dir: Option<PathBuf>,
    /// Where the daemon listens
    #[arg(long, value_name = "PATH", hide = true)]
    socket: Option<PathBuf>,
    /// The service manager
    #[arg(long, value_name = "PROGRAM", default_value = "systemctl", hide = true)]
    service_manager: OsString,
}

/// Lets the daemon take part again and waits for the node's role.
///
/// # Errors
/// When the daemon does not run, or gets no role in time.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    require_root("start")?;
    let paths = Paths::below(&args.root);
    let state = args.state_dir.clone().unwrap_or_else(|| paths.state());
    let socket = args.socket.clone().unwrap_or_else(|| paths.agent_socket());
    let marker = Marker::new(&state);
    if marker.read().is_some() {
        for warning in unmanaged::apply(&paths, &Config::load(&paths).settings) {
            eprintln!("cluster-lab: warning: {warning}");
        }
    }
    marker.remove()?;
    let started = Command::new(&args.service_manager)
        .args(["start", "cluster-lab"])
        .status();
    let started = started.with_context(|| format!("starting {}", args.service_manager.display()))?;
    if !started.success() {
        bail!("the daemon does not start ('journalctl -u cluster-lab' tells why)");
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting")?;
    let start = Instant::now();
    let mut waiting = "the daemon".to_owned();
    while start.elapsed() < TIMEOUT {
        if let Ok(status) = runtime.block_on(http_client::status_of_daemon(&socket)) {
            match status.role {
                Role::Master | Role::Node if status.address.is_some() => {
                    println!(
                        "this node is {}",
                        if status.role == Role::Master {
                            "the master"
                        } else {
                            "a node"
                        }
                    );
                    return Ok(ExitCode::SUCCESS);
                }
                _ => waiting = status.waiting_for.unwrap_or_else(|| "its role".to_owned()),
            }
        }
        std::thread::sleep(PAUSE);
    }
    bail!(
        "started, but after {} s this node still waits for {waiting}",
        TIMEOUT.as_secs()
    )
}
